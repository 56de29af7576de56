"""The parameters of layers: their shapes, their registration and their initial values."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from carousel.program import Interface, Program, naming


def check_sizes(program: Interface, sizes: dict[str, int]) -> dict[str, int]:
    """Returns the sizes, {size name: number} with "input", "hidden" and "projection".

    Raises ValueError if the cell and the layer's proj_size do not agree, or if the equations need another number.
    """
    matrix_sizes = [size for weight in program.weights.values() for size in (weight.rows, weight.columns)]
    uses, proj_size = "projection" in (*program.states.values(), *matrix_sizes), sizes["projection"]
    if uses and not proj_size:
        raise ValueError(f"{program.cell} uses the size 'projection': give the layer a proj_size above zero")
    if proj_size and not uses:
        raise ValueError(f"proj_size is for cells that use the size 'projection', which {program.cell} does not")
    for size, units in program.lengths.items() if isinstance(program, Program) else ():
        if sizes[size] != units:
            raise ValueError(
                f"the step of {program.cell} normalizes rows of {units} units, but this layer has {sizes[size]}: "
                "write v.shape[-1:] in the place of the number, and it fits every layer"
            )
    return sizes


def parameter_shapes(program: Interface, sizes: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    """{name: shape} of the parameters of one scan, in torch.nn's order. sizes: the number for each size name."""
    shapes = program.parameter_shapes(sizes)
    return {name: shape for name, shape in shapes.items() if name not in program.own}


def register(
    module: nn.Module,
    cell: str,
    shapes: dict[str, tuple[int, ...]],
    device: torch.device | str | None,
    dtype: torch.dtype | None,
) -> None:
    """Registers the parameters of a layer. Raises ProgramError for a name that another attribute has already."""
    naming.check_free(cell, type(module), shapes, vars(module) | module._parameters)
    for name, shape in shapes.items():
        module.register_parameter(name, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))


def initialize(module: nn.Module, program: Interface, hidden_size: int, suffix: str = "") -> None:
    """Draws the parameters of one scan uniformly from ±1/sqrt(hidden_size). A vector with `initial` starts at that."""
    bound = 1.0 / math.sqrt(hidden_size)
    for name in (name for name in program.parameters if name not in program.own):
        parameter = module.get_parameter(name + suffix)
        vector = program.vectors.get(name)
        if vector is not None and vector.initial is not None:
            nn.init.constant_(parameter, vector.initial)
        else:
            nn.init.uniform_(parameter, -bound, bound)


def options_text(module: nn.Module, defaults: dict[str, Any]) -> str:
    """The options that differ from their defaults, as torch.nn prints them."""
    given = {name: getattr(module, name) for name in defaults}
    return "".join(f", {name}={value}" for name, value in given.items() if value != defaults[name])
