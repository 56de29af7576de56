"""What a sequence begins with where no state is given: for each state a number or a row, or a learned row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from carousel.cells import Cell
from carousel.program import Interface, naming


def learned_states(cell: Cell, program: Interface, initial_state: str) -> list[str]:
    """The states that begin with a parameter: all where the layer was asked for it, and those that the cell names."""
    return [s for s in program.states if initial_state == "learned" or cell.initial.get(s) == "learned"]


def are_given(cell: Cell, program: Interface, initial_state: str) -> bool:
    """Whether a state begins with anything but zero."""
    return bool(learned_states(cell, program, initial_state) or cell.initial)


def row_of(cell: Cell, state: str, like: Tensor) -> Tensor:
    """The row that a state begins with; where it is learned, before training. like: a row of as many units.

    Raises ValueError where the cell's function gives another number of them.
    """
    value = cell.initial.get(state, 0.0)
    if not callable(value):
        return torch.full_like(like, _number(value))
    found = value(like.shape[-1])
    if found.shape != like.shape:
        raise ValueError(
            f"{type(cell).__name__}: the function that says how the state {state!r} begins was called with "
            f"{like.shape[-1]} units, and must return a tensor of them, but returned {tuple(found.shape)}"
        )
    return found.to(like)


def _number(value: Any) -> float:
    """The number that a state begins with; a learned one begins with 0 before training."""
    return 0.0 if isinstance(value, str) else float(value)


def shapes(cell: Cell, program: Interface, initial_state: str, sizes: Mapping[str, int]) -> dict[str, tuple[int]]:
    """The parameters of learned initial states and their shapes."""
    states = learned_states(cell, program, initial_state)
    return {naming.initial(state): (sizes[program.states[state]],) for state in states}


def reset(module: nn.Module, cell: Cell, program: Interface, initial_state: str, suffix: str = "") -> None:
    """Sets learned initial states to what they are before training."""
    for state in learned_states(cell, program, initial_state):
        parameter = module.get_parameter(naming.initial(state) + suffix)
        with torch.no_grad():
            parameter.copy_(row_of(cell, state, parameter))


def of_scan(
    module: nn.Module,
    cell: Cell,
    program: Interface,
    initial_state: str,
    shapes: Mapping[str, tuple[int, int]],
    like: Tensor,
    suffix: str = "",
) -> tuple[Tensor, ...]:
    """The states that one scan begins with, (batch, size) each. shapes: of them, by state."""
    learned = learned_states(cell, program, initial_state)
    found = []
    for state, shape in shapes.items():
        if state in learned:
            found.append(getattr(module, naming.initial(state) + suffix).expand(shape))
        elif callable(value := cell.initial.get(state, 0.0)):
            # Not like.new_empty: the weights that torch expands by samples can do little but multiply.
            row = torch.empty(shape[-1], dtype=like.dtype, device=like.device)
            found.append(row_of(cell, state, row).expand(shape).clone())
        else:  # not by expand: an exporter could not leave the number of rows open
            found.append(torch.full(shape, _number(value), dtype=like.dtype, device=like.device))
    return tuple(found)
