"""Penalties on the output of a layer, to be added to a loss: one for its size, and one for its rate of change.

    output, _ = layer(x, lengths=lengths)
    dropped = F.dropout(output, 0.4, self.training)
    loss = cross_entropy(decoder(dropped), y)
    loss = loss + 2 * activation_penalty(dropped, lengths=lengths) + temporal_penalty(output, lengths=lengths)

Both are functions of an output. Give them the same lengths, mask and reset as the layer; they take a PackedSequence
too. In AWD-LSTM, as above, the first uses the output after dropout and the second the output before it. Keras's
`activity_regularizer=L2(a)` is the first, with the sum over units where this function takes the mean.

Source: Merity, McCann & Socher, "Revisiting activation regularization for language RNNs" (arXiv:1708.01009, 2017),
sections 2 and 3. The norms are means of squares, as in the authors' code.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from carousel.layers.arguments import as_mask


def activation_penalty(
    output: Tensor | PackedSequence,
    *,
    lengths: Tensor | Sequence[int] | None = None,
    mask: Tensor | None = None,
    batch_first: bool = False,
) -> Tensor:
    """mean(h_t²) over units and real steps, which keeps activations small ("AR", alpha).

    output: (T, B, units), (B, T, units) with batch_first, (T, units), or a PackedSequence.
    lengths, mask, batch_first: as for the layer. Values in the padding have no effect.
    Returns a single number, in float32 for float16 and bfloat16. It is 0 if there are no real steps.
    Raises ValueError for masks of another shape, and for an output that is none of these.
    """
    if isinstance(output, PackedSequence):
        return _mean(output.data.square())
    rows, real, _ = _in_time("activation_penalty", output, lengths, mask, None, batch_first)
    return _mean(rows.square(), real)


def temporal_penalty(
    output: Tensor | PackedSequence,
    *,
    lengths: Tensor | Sequence[int] | None = None,
    mask: Tensor | None = None,
    reset: Tensor | None = None,
    batch_first: bool = False,
) -> Tensor:
    """mean((h_t - h_{t+1})²) over units and pairs of neighbouring steps, which keeps change slow ("TAR", beta).

    A pair is two real steps of one sequence with no real step between them. There is no pair across a reset.
    output, lengths, mask, batch_first: as for `activation_penalty`. reset: as for the layer.
    Returns a single number, in float32 for float16 and bfloat16. It is 0 if there are no pairs.
    Raises ValueError for masks of another shape, and for an output of another kind.
    """
    if isinstance(output, PackedSequence):
        sizes = output.batch_sizes
        # If the step before has n rows, row b of a step stands n rows after row b of that step.
        later = torch.arange(int(sizes[0]), int(sizes.sum()), device="cpu")
        earlier = later - sizes[:-1].repeat_interleave(sizes[1:])
        earlier, later = earlier.to(output.data.device), later.to(output.data.device)
        return _mean((output.data.index_select(0, earlier) - output.data.index_select(0, later)).square())
    rows, real, starts = _in_time("temporal_penalty", output, lengths, mask, reset, batch_first)
    if real is None and rows.dtype.itemsize >= 4 and len(rows) > 1 and rows.numel():
        return F.mse_loss(rows[:-1], rows[1:])  # one pass; the general way below takes three
    if real is None:
        return _mean((rows[:-1] - rows[1:]).square())
    # The real step before each step, or -1. The two are in one sequence if no sequence starts between them.
    time = torch.arange(len(real), device=real.device)[:, None]
    latest = torch.where(real, time, -1).cummax(0).values
    before = torch.cat([torch.full_like(latest[:1], -1), latest[:-1]])
    sequence = starts.cumsum(0)
    paired = real & (before >= 0) & (sequence.gather(0, before.clamp(min=0)) == sequence)
    neighbours = rows.gather(0, before.clamp(min=0).unsqueeze(-1).expand_as(rows))
    return _mean((neighbours - rows).square(), paired)


def _in_time(
    name: str,
    output: Tensor,
    lengths: Tensor | Sequence[int] | None,
    mask: Tensor | None,
    reset: Tensor | None,
    batch_first: bool,
) -> tuple[Tensor, Tensor | None, Tensor]:
    """(T, B, units) with 0 in the padding; a (T, B) mask of real steps, or None; and a (T, B) mask of steps that begin
    a sequence."""
    if not isinstance(output, Tensor) or output.dim() not in (2, 3):
        found = f"of {output.dim()} dimensions" if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(f"{name}: output must be a Tensor of 2 or 3 dimensions or a PackedSequence, got {found}")
    batched = output.dim() == 3
    transposed = batched and batch_first
    rows = output if batched else output.unsqueeze(1)
    rows = rows.transpose(0, 1) if transposed else rows
    if lengths is None and mask is None and reset is None:
        return rows, None, rows.new_zeros(rows.shape[:2], dtype=torch.bool)
    steps, batch = rows.shape[:2]
    real, starts = as_mask(name, steps, batch, lengths, mask, reset, batched, transposed)
    real, starts = real.to(rows.device), starts.to(rows.device)
    return torch.where(real.unsqueeze(-1), rows, 0.0), real, starts


def _mean(values: Tensor, counted: Tensor | None = None) -> Tensor:
    """The mean of the values, (steps, ..., units), over the counted steps; 0 if no step is counted."""
    dtype = torch.promote_types(values.dtype, torch.float32)
    if counted is None:
        return values.mean(dtype=dtype) if values.numel() else values.sum(dtype=dtype)
    total = torch.where(counted.unsqueeze(-1), values, 0.0).sum(dtype=dtype)
    return total / (counted.sum() * values.shape[-1]).clamp(min=1)
