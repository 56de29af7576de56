"""Initialisations by name, for any layer: `layer.initialize("orthogonal", "forget-bias")`.

Each changes only what it speaks of; `reset_parameters` goes back to torch.nn's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from carousel.program import naming

if TYPE_CHECKING:
    from carousel.layers.recurrent import Recurrent


def orthogonal(layer: Recurrent, longest: int | None) -> None:
    """Every U a random orthogonal matrix, so that products of them neither grow nor shrink a gradient.

    Source: Saxe, McClelland & Ganguli (arXiv:1312.6120, 2014).
    """
    del longest
    for block in _blocks(layer, naming.U):
        nn.init.orthogonal_(block)


def identity(layer: Recurrent, longest: int | None) -> None:
    """Every U the identity and every bias 0, as for an RNN of rectified units (IRNN).

    Source: Le, Jaitly & Hinton (arXiv:1504.00941, 2015).
    """
    del longest
    for block in _blocks(layer, naming.U):
        nn.init.eye_(block)
    for name in (naming.B, naming.C):
        for block in _blocks(layer, name) if layer.program.gate_bias else ():
            nn.init.zeros_(block)


def forget_bias(layer: Recurrent, longest: int | None) -> None:
    """A bias of 1 for the gate f: at the beginning the cell remembers. Raises ValueError for a cell without f.

    Source: Jozefowicz, Zaremba & Sutskever (ICML 2015).
    """
    del longest
    if "f" not in layer.program.gates:
        raise ValueError(f"forget-bias is for cells with a gate f, which {layer.program.cell} does not have")
    _set_bias(layer, "f", lambda size: torch.ones(size))


def chrono(layer: Recurrent, longest: int | None) -> None:
    """Biases for time constants from 1 to `longest` steps: b_f = log(uniform(1, longest - 1)), b_i = -b_f.

    For a GRU b_z takes the place of b_f. Raises ValueError for a cell with neither, or without `longest`.
    Source: Tallec & Ollivier (arXiv:1804.11188, 2018), equation 16.
    """
    if longest is None or longest < 3:
        raise ValueError(
            "chrono needs longest=, the number of steps (3 or more) over which something is to be remembered"
        )
    gates = layer.program.gates
    keeps = next((gate for gate in ("f", "z") if gate in gates), None)
    if keeps is None:
        raise ValueError(f"chrono is for cells with a gate f or z, and {layer.program.cell} has neither")
    drawn: list[Tensor] = []

    def times(size: int) -> Tensor:
        drawn.append(torch.log(torch.empty(size).uniform_(1.0, longest - 1.0)))
        return drawn[-1]

    _set_bias(layer, keeps, times)
    if keeps == "f" and "i" in gates:
        opposite = iter(drawn)
        _set_bias(layer, "i", lambda _size: -next(opposite))


SCHEMES: dict[str, Callable[[Recurrent, int | None], None]] = {
    "orthogonal": orthogonal,
    "identity": identity,
    "forget-bias": forget_bias,
    "chrono": chrono,
}


def initialize_by_name(layer: Recurrent, names: tuple[str, ...], longest: int | None) -> None:
    """Applies schemes in order, without gradients. Raises ValueError for a name that there is not."""
    for name in names:
        if name not in SCHEMES:
            raise ValueError(f"there is no initialisation {name!r}; there is {', '.join(SCHEMES)}")
    with torch.no_grad():
        for name in names:
            SCHEMES[name](layer, longest)


def _blocks(layer: Recurrent, parameter: str) -> Iterator[Tensor]:
    """The part of each gate in a parameter, of all layers and directions."""
    for suffix in layer.suffixes():
        yield from layer.get_parameter(parameter + suffix).chunk(len(layer.program.gates))


def _set_bias(layer: Recurrent, gate: str, values: Callable[[int], Tensor]) -> None:
    """Gives a gate's whole bias these values: b them, and c zero; or its part of `shift` where cells have that."""
    place = layer.program.gates.index(gate)
    names = [naming.B, naming.C] if layer.program.gate_bias else ["shift"]
    if names == ["shift"] and "shift" not in layer.program.vectors:
        raise ValueError(f"{layer.program.cell} has no bias for its gate {gate} (bias=False?)")
    for suffix in layer.suffixes():
        first, *rest = (layer.get_parameter(name + suffix).chunk(len(layer.program.gates))[place] for name in names)
        first.copy_(values(first.numel()))
        for other in rest:
            other.zero_()
