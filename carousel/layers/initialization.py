"""Initialisations by name, for any layer: `layer.initialize("orthogonal", "forget-bias")`.

Each changes only what it speaks of; `reset_parameters` goes back to torch.nn's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from carousel.layers.layer import Layer
from carousel.program import Program, naming
from carousel.program.keeping import Gate, Keeping, keeping


def orthogonal(layer: Layer, longest: int | None) -> None:
    """Every U a random orthogonal matrix, so that products of them neither grow nor shrink a gradient.

    Source: Saxe, McClelland & Ganguli (arXiv:1312.6120, 2014).
    """
    del longest
    _check_recurrent("orthogonal", layer)
    for block in _blocks(layer, naming.U):
        nn.init.orthogonal_(block)


def identity(layer: Layer, longest: int | None) -> None:
    """Every U the identity and every bias 0, as for an RNN of rectified units (IRNN).

    Source: Le, Jaitly & Hinton (arXiv:1504.00941, 2015).
    """
    del longest
    _check_recurrent("identity", layer)
    for block in _blocks(layer, naming.U):
        nn.init.eye_(block)
    for name in (naming.B, naming.C):
        for block in _blocks(layer, name) if layer.program.gate_bias else ():
            nn.init.zeros_(block)


def forget_bias(layer: Layer, longest: int | None) -> None:
    """A bias of 1 for the gates that keep a state, beside what the equations add: at first the cell remembers.

    Which gates these are is read off the equations (`carousel.program.keeping`): f in f * c + i * g, and in
    (1 - z) * h + z * n the gate z, which keeps when it is shut and gets a bias of -1. Raises ValueError where no gate
    keeps.
    Source: Jozefowicz, Zaremba & Sutskever (ICML 2015).
    """
    del longest
    for how in _kept("forget-bias", layer):
        for gate in how.keeps:
            towards = 1.0 if gate.slope > 0 else -1.0
            _set_bias(layer, gate, [torch.full((layer.hidden_size,), gate.sign * towards)] * len(layer.suffixes()))


def chrono(layer: Layer, longest: int | None) -> None:
    """Biases for time constants from 1 to `longest` steps: b_f = log(uniform(1, longest - 1)), b_i = -b_f.

    f stands for the gate that keeps a state, and i for one of its own that scales what is written; both are read off
    the equations, and a gate that keeps when it is shut gets -b_f. Raises ValueError where no gate keeps, or without
    `longest`.
    Source: Tallec & Ollivier (arXiv:1804.11188, 2018), equation 16.
    """
    if longest is None or longest < 3:
        raise ValueError(
            "chrono needs longest=, the number of steps (3 or more) over which something is to be remembered"
        )
    kept = _kept("chrono", layer)
    drawn = [torch.log(torch.empty(layer.hidden_size).uniform_(1.0, longest - 1.0)) for _ in layer.suffixes()]
    for how in kept:
        for gate in how.keeps:
            _set_bias(layer, gate, [gate.biases(times) for times in drawn])
        for gate in how.writes:
            if gate.bias is not None:
                _set_bias(layer, gate, [gate.biases(-times) for times in drawn])


SCHEMES: dict[str, Callable[[Layer, int | None], None]] = {
    "orthogonal": orthogonal,
    "identity": identity,
    "forget-bias": forget_bias,
    "chrono": chrono,
}


def initialize_by_name(layer: Layer, names: tuple[str, ...], longest: int | None) -> None:
    """Applies schemes in order, without gradients. Raises ValueError for a name that there is not."""
    for name in names:
        if name not in SCHEMES:
            raise ValueError(f"there is no initialisation {name!r}; there is {', '.join(SCHEMES)}")
    with torch.no_grad():
        for name in names:
            SCHEMES[name](layer, longest)


def _blocks(layer: Layer, parameter: str) -> Iterator[Tensor]:
    """The part of each gate in a parameter, of all layers and directions."""
    for suffix in layer.suffixes():
        gates = _gates_of(layer, parameter)
        yield from layer.get_parameter(parameter + suffix).chunk(len(gates)) if gates else ()


def _check_recurrent(scheme: str, layer: Layer) -> None:
    if not layer.program.recurrents:
        raise ValueError(
            f"{scheme} draws the matrices U that multiply the state, and no gate of {layer.program.cell} has one"
        )


def _kept(scheme: str, layer: Layer) -> list[Keeping]:
    """How the layer's cell keeps its states. Raises ValueError where no gate keeps any."""
    program = layer.program
    if not isinstance(program, Program):
        raise ValueError(
            f"{scheme} reads off the cell's program which gate keeps, and the step of {program.cell} runs as plain "
            "Python"
        )
    found = list(keeping(program).values())
    if not found:
        raise ValueError(
            f"{scheme} is for cells with a gate that keeps a state, as f in f * c + i * g, and {program.cell} has none"
        )
    return found


def _set_bias(layer: Layer, gate: Gate, biases: list[Tensor]) -> None:
    """Gives a gate these biases, one for each layer and direction: b, or the learned vector in its place, and c zero.

    Raises ValueError for a gate without one.
    """
    if gate.bias is None:
        raise ValueError(f"{layer.program.cell} has no bias for its gate {gate.name} (bias=False?)")
    kind, what = gate.bias
    name, of = (naming.B, what) if kind == "input" else what if isinstance(what, tuple) else (what, None)
    for suffix, bias in zip(layer.suffixes(), biases, strict=True):
        _part(layer, name + suffix, of).copy_(bias)
        if kind == "input" and of in layer.program.recurrents:
            _part(layer, naming.C + suffix, of).zero_()


def _part(layer: Layer, parameter: str, gate: str | None) -> Tensor:
    """The part of a gate in a parameter; all of it where it has no such parts."""
    whole = layer.get_parameter(parameter)
    gates = _gates_of(layer, parameter)
    return whole if gate is None else whole.chunk(len(gates))[gates.index(gate)]


def _gates_of(layer: Layer, parameter: str) -> tuple[str, ...]:
    """The gates whose blocks a parameter is made of."""
    program, name = layer.program, parameter.rpartition("_l")[0] or parameter
    if name in (naming.U, naming.C):
        return program.recurrents
    return program.inputs if name in (naming.W, naming.B) else program.gates
