"""Named initialisations for any layer: `layer.initialize("orthogonal", "forget-bias")`.

Each scheme changes only the parameters that it names. `reset_parameters` restores torch.nn's initialisation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from carousel.layers.layer import Layer
from carousel.program import Program, naming
from carousel.program.keeping import Gate, Keeping, keeping


def orthogonal(layer: Layer, longest: int | None) -> None:
    """Makes every U a random orthogonal matrix, so that products of them neither enlarge nor shrink a gradient.

    Source: Saxe, McClelland & Ganguli (arXiv:1312.6120, 2014).
    """
    del longest
    _check_recurrent("orthogonal", layer)
    for block in _blocks(layer, naming.U):
        nn.init.orthogonal_(block)


def identity(layer: Layer, longest: int | None) -> None:
    """Makes every U the identity and every bias 0, as for an RNN of rectified units (IRNN).

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
    """Gives the gates that keep a state a bias of 1, so that the cell remembers at first.

    `carousel.program.keeping` finds these gates in the equations: f in f * c + i * g, and z in (1 - z) * h + z * n,
    which keeps the state where z = 0 and therefore receives -1. A constant in the equations comes on top.
    Raises ValueError if no gate keeps a state.
    Source: Jozefowicz, Zaremba & Sutskever (ICML 2015).
    """
    del longest
    for how in _kept("forget-bias", layer):
        for gate in how.keeps:
            towards = 1.0 if gate.slope > 0 else -1.0
            _set_bias(layer, gate, [torch.full((layer.hidden_size,), gate.sign * towards)] * len(layer.suffixes()))


def chrono(layer: Layer, longest: int | None) -> None:
    """Sets biases for time constants from 1 to `longest` steps: b_f = log(uniform(1, longest - 1)), b_i = -b_f.

    f is the gate that keeps a state, and i another gate that scales the value to be written; both are found in the
    equations. A gate that keeps the state where it is 0 receives -b_f. Raises ValueError if no gate keeps a state, or
    without `longest`.
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
    """Applies schemes in order, without gradients. Raises ValueError for an unknown name."""
    for name in names:
        if name not in SCHEMES:
            raise ValueError(f"there is no initialisation {name!r}; there is {', '.join(SCHEMES)}")
    with torch.no_grad():
        for name in names:
            SCHEMES[name](layer, longest)


def _blocks(layer: Layer, parameter: str) -> Iterator[Tensor]:
    """The blocks of each gate in a parameter, in all layers and directions."""
    for suffix in layer.suffixes():
        gates = _gates_of(layer, parameter)
        heads = layer.program.heads if parameter == naming.U else 1
        yield from layer.get_parameter(parameter + suffix).chunk(len(gates) * heads) if gates else ()


def _check_recurrent(scheme: str, layer: Layer) -> None:
    if not layer.program.recurrents:
        raise ValueError(
            f"{scheme} draws the matrices U that multiply the state, and no gate of {layer.program.cell} has one"
        )


def _kept(scheme: str, layer: Layer) -> list[Keeping]:
    """How the layer's cell keeps its states. Raises ValueError if no gate keeps a state."""
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
    """Sets the biases of a gate, one for each layer and direction: b (or its learned vector) is set, and c becomes 0.

    Raises ValueError for a gate without a bias.
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
    """The block of a gate in a parameter; the whole parameter if gate is None."""
    whole = layer.get_parameter(parameter)
    gates = _gates_of(layer, parameter)
    return whole if gate is None else whole.chunk(len(gates))[gates.index(gate)]


def _gates_of(layer: Layer, parameter: str) -> tuple[str, ...]:
    """The gates whose blocks form a parameter, in order."""
    program, name = layer.program, parameter.rpartition("_l")[0] or parameter
    if name in (naming.U, naming.C):
        return program.recurrents
    return program.inputs if name in (naming.W, naming.B) else program.gates
