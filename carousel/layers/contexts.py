"""The context of a call: checked, and laid out as the rows that engines read, sequence by sequence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from carousel.engines.context import Context
from carousel.layers.arguments import check_dtype
from carousel.layers.layer import Layer

Given = Tensor | Mapping[str, Tensor] | None
Lengths = Tensor | Sequence[int] | None


def check_none(name: str, cell: str, context: Mapping[str, str]) -> None:
    """Raises ValueError for a cell that reads a context, of a layer that cannot be given one."""
    if context:
        raise ValueError(
            f"{name}: the cell {cell} reads a context, {', '.join(context)}, which this layer is not given; run it in "
            "carousel.Recurrent, layer(x, context=...)"
        )


@dataclass(frozen=True)
class Contexts:
    """The contexts of a batch: (B, P, size) by name, and how many positions each row has. P is the largest of them."""

    rows: dict[str, Tensor]
    lengths: Tensor

    def of_sequences(self, row_of_each: Tensor) -> Context:
        """What a scan reads, of the row of the batch that each of its sequences belongs to."""
        most = next(iter(self.rows.values())).shape[1]
        lengths = self.lengths[row_of_each.cpu()]
        there = (torch.arange(most)[None, :] < lengths[:, None]).flatten()
        at = (row_of_each.cpu()[:, None] * most + torch.arange(most)).flatten()[there].to(row_of_each.device)
        rows = {name: given.flatten(0, 1).index_select(0, at) for name, given in self.rows.items()}
        return Context(rows, lengths.tolist(), most)


def of_call(
    layer: Layer, context: Given, lengths: Lengths, batch: int, batched: bool, transposed: bool
) -> Contexts | None:
    """The context of a call, checked; None for a cell that reads none.

    batched: whether the input has an axis of sequences. transposed: whether that is its first (batch_first).
    Raises TypeError or ValueError for a context that does not fit the cell or the input.
    """
    name, wanted = type(layer).__name__, layer._program.context
    if not wanted:
        if context is not None or lengths is not None:
            raise ValueError(f"{name}: context is for cells that read one, and {layer._program.cell} does not")
        return None
    batch = int(batch)  # not before: an exporter leaves the number of rows open for cells without a context
    listed = ", ".join(f"{key} (of {layer.sizes[size]} units)" for key, size in wanted.items())
    if context is None:
        raise ValueError(
            f"{name}: the cell {layer._program.cell} reads a context that is given once for a sequence: {listed}; "
            "call layer(x, context=...), and context_lengths= where sequences have differing numbers of positions"
        )
    given = {next(iter(wanted)): context} if isinstance(context, Tensor) and len(wanted) == 1 else context
    if not isinstance(given, Mapping) or set(given) != set(wanted):
        found = ", ".join(map(str, given)) if isinstance(given, Mapping) else f"a {type(context).__name__}"
        raise TypeError(f"{name}: context must be a mapping with {listed}, got {found}")
    rows = {}
    for key, size in wanted.items():
        rows[key] = _padded(layer, f"context[{key!r}]", given[key], layer.sizes[size], batch, batched, transposed)
    positions = {key: value.shape[1] for key, value in rows.items()}
    if len({*positions.values()}) > 1:
        raise ValueError(f"{name}: all of a context must have as many positions, got {positions}")
    return Contexts(rows, _lengths(name, lengths, batch, next(iter(positions.values()))))


def _padded(layer: Layer, what: str, given: Tensor, units: int, batch: int, batched: bool, transposed: bool) -> Tensor:
    """A context as (B, P, units). Raises TypeError, ValueError or RuntimeError for one of another form."""
    name, weight = type(layer).__name__, layer.weight_ih_l0
    if not isinstance(given, Tensor):
        raise TypeError(f"{name}: {what} must be a Tensor, got {type(given).__name__}")
    check_dtype(what, given, weight)
    if given.device != weight.device:
        raise RuntimeError(f"{name}: {what} is on {given.device}, but the weights are on {weight.device}")
    value = given if batched else given.unsqueeze(1 - transposed)
    value = value if transposed or value.dim() != 3 else value.transpose(0, 1)
    if value.dim() != 3 or value.shape[0] != batch or value.shape[2] != units:
        axes = ("positions",) if not batched else (batch, "positions") if transposed else ("positions", batch)
        wanted = ", ".join(map(str, (*axes, units)))
        raise ValueError(f"{name}: {what} must have the shape ({wanted}), as the input has, got {tuple(given.shape)}")
    return value.to(weight.dtype)


def _lengths(name: str, lengths: Lengths, batch: int, positions: int) -> Tensor:
    if lengths is None:
        return torch.full((batch,), positions)
    found = torch.as_tensor(lengths).cpu().reshape(-1)
    whole = not (found.dtype.is_floating_point or found.dtype == torch.bool) or not found.numel()
    if not whole or found.shape != (batch,) or bool(((found < 0) | (found > positions)).any()):
        raise ValueError(
            f"{name}: context_lengths must be {batch} whole numbers from 0 to {positions}, one for each sequence, got "
            f"{lengths!r}"
        )
    return found.long()
