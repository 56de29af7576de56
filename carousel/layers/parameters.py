"""The parameters of layers: their shapes, their registration and their initial values."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from carousel.cells import Cell, Matrix, Vector
from carousel.cells.member_sizes import parted
from carousel.cells.weights import Initial
from carousel.layers import parts, structure
from carousel.program import Interface, Program, naming


def check_sizes(program: Interface, cell: Cell, sizes: dict[str, int], units: Mapping[str, int]) -> dict[str, int]:
    """Numbers for all size names: those given, "input", "hidden" and "projection" among them, and the cell's own.

    units: of the cell's own size names; where it gives none, the cell does.
    Raises ValueError if the cell and the layer's proj_size or units do not agree, or where equations need another
    number.
    """
    of_states = {each for size in program.states.values() for each in parted(size)} - {"", "one"}
    of_weights = {size for shape in program.parameters.values() for size in shape} - {"one"}
    used = of_weights | of_states | {*program.context.values()}
    proj_size = sizes["projection"]
    if "projection" in used and not proj_size:
        raise ValueError(f"{program.cell} uses the size 'projection': give the layer a proj_size above zero")
    if proj_size and "projection" not in used:
        raise ValueError(f"proj_size is for cells that use the size 'projection', which {program.cell} does not")
    own = used - {*sizes, *program.blocks}
    if unknown := sorted({*units} - own):
        known = f"has {', '.join(sorted(own))}" if own else "has none of its own"
        raise ValueError(f"units gives a number to the size {unknown[0]!r}, but {program.cell} {known}")
    given = {**cell.units, **units}
    for size in sorted(own):
        number = given.get(size)
        if not isinstance(number, int) or number < 1:
            raise ValueError(
                f"{program.cell} uses the size {size!r}, whose number must be a whole one above zero, but is "
                f"{'not given' if number is None else number}: give the layer units={{{size!r}: 16}}"
            )
        sizes = sizes | {size: number}
    sizes = program.with_rows({"one": 1, **sizes})
    sizes = parts.with_input(program, sizes)
    structure.check(program, sizes["hidden"])
    for size, demanded in program.lengths.items() if isinstance(program, Program) else ():
        if sizes[size] != demanded:
            raise ValueError(
                f"the step of {program.cell} normalizes rows of {demanded} units, but this layer has {sizes[size]}: "
                "write v.shape[-1:] in the place of the number, and it fits every layer"
            )
    return sizes


def parameter_shapes(program: Interface, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """{name: shape} of the parameters of one scan, in torch.nn's order. sizes: the number for each size name."""
    shapes = structure.stored(program, program.parameter_shapes(sizes))
    return {name: shape for name, shape in shapes.items() if name not in program.own}


def register(
    module: nn.Module,
    program: Interface,
    shapes: dict[str, tuple[int, ...]],
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> None:
    """Gives a layer its parameters, and its constants as buffers.

    Raises ProgramError for one that has the name of something else in it.
    """
    naming.check_free(program.cell, type(module), shapes, vars(module) | module._parameters)
    for name, shape in shapes.items():
        numbers = torch.empty(shape, device=device, dtype=dtype)
        if _without_suffix(name) in program.constants:
            module.register_buffer(name, numbers)
        else:
            module.register_parameter(name, nn.Parameter(numbers))


def initialize(module: nn.Module, program: Interface, cell: Cell, hidden_size: int, suffix: str = "") -> None:
    """Draws one scan's parameters: uniform in ±1/sqrt(hidden_size), or what the cell declares as `initial`."""
    bound = 1.0 / math.sqrt(hidden_size)
    declared = _declared(cell)
    for name in (name for name in program.parameters if name not in program.own):
        initial = declared[name].initial if name in declared else None
        _begin(numbers_of(module, name + suffix), initial, bound)


def _begin(numbers: Tensor, initial: Initial | None, bound: float) -> None:
    with torch.no_grad():
        if initial is None:
            nn.init.uniform_(numbers, -bound, bound)
        elif isinstance(initial, str):
            getattr(nn.init, f"{initial}_")(numbers)
        elif callable(initial):
            made = initial(*numbers.shape)
            if tuple(made.shape) != tuple(numbers.shape):
                raise ValueError(
                    f"the function that gives an initial value was called with the shape {tuple(numbers.shape)}, and "
                    f"must return a tensor of it, but returned {tuple(made.shape)}"
                )
            numbers.copy_(made)
        else:
            nn.init.constant_(numbers, initial)


def numbers_of(module: nn.Module, name: str) -> Tensor:
    """A parameter of a layer, or a constant of it."""
    return module.get_buffer(name) if name in module._buffers else module.get_parameter(name)


def _declared(cell: Cell) -> dict[str, Vector | Matrix]:
    """What a cell declares, by the names of parameters."""
    return cell.vector_table() | {naming.of_matrix(name): matrix for name, matrix in cell.matrix_table().items()}


def _without_suffix(name: str) -> str:
    return re.sub(r"_l\d+(_reverse)?$", "", name)


def options_text(module: nn.Module, defaults: dict[str, Any]) -> str:
    """The options that differ from their defaults, as torch.nn prints them."""
    given = {name: getattr(module, name) for name in defaults}
    return "".join(f", {name}={value}" for name, value in given.items() if value != defaults[name])
