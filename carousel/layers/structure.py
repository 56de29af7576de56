"""Recurrent matrices of which some numbers are always zero: blocks, one for each head, and connections that are absent.

Engines multiply whole matrices. A layer stores the blocks alone, or all numbers and what says which of them count; here
both become the matrices that engines take. Gradients reach what counts, and nothing else.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from carousel.cells import Cell
from carousel.errors import ProgramError
from carousel.program import Interface, naming

CONNECTED = "connected"  # the buffer that says which numbers of each U count


def check(program: Interface, hidden_size: int) -> None:
    """Raises ValueError for units that heads cannot divide."""
    if hidden_size % program.heads:
        raise ValueError(
            f"{program.cell} has {program.heads} heads, so that hidden_size must be a multiple of {program.heads}, but "
            f"is {hidden_size}"
        )


def stored(program: Interface, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The shapes of what a layer stores, from those that engines take."""
    if program.heads == 1:
        return shapes
    rows, columns = shapes[naming.U]
    return shapes | {naming.U: (rows, columns // program.heads)}


def register(module: nn.Module, cell: Cell, hidden_size: int) -> None:
    """Gives a layer what says which connections there are, if the cell has not all of them. Raises ProgramError."""
    if cell.connections is None:
        return
    found = cell.connections(hidden_size, hidden_size)
    if tuple(found.shape) != (hidden_size, hidden_size) or found.dtype != torch.bool:
        raise ProgramError(
            f"connections of the cell {type(cell).__name__} was called with ({hidden_size}, {hidden_size}), and must "
            f"return a bool tensor of that shape, but returned {found.dtype} of {tuple(found.shape)}"
        )
    like = next(module.parameters())
    module.register_buffer(CONNECTED, found.to(like.device, like.dtype), persistent=False)


def whole(module: nn.Module, program: Interface, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The weights of one scan as engines take them."""
    if program.heads > 1:
        weights = weights | {naming.U: _block_diagonal(weights[naming.U], len(program.recurrents), program.heads)}
    if CONNECTED in module._buffers:
        u, connected = weights[naming.U], module.get_buffer(CONNECTED)
        weights = weights | {naming.U: (u.view(-1, *connected.shape) * connected).view(u.shape)}
    return weights


def _block_diagonal(u: Tensor, gates: int, heads: int) -> Tensor:
    """(gates * hidden, hidden / heads) as (gates * hidden, hidden), zero outside the blocks."""
    width = u.shape[1]
    places = torch.eye(heads, dtype=u.dtype, device=u.device).view(1, heads, 1, heads, 1)
    return (u.view(gates, heads, width, 1, width) * places).reshape(gates * heads * width, heads * width)
