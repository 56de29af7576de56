"""Decoders that attend, at every step, to a context that is given once: the outputs of an encoder, regions of an image.

A layer is called with it: `layer(x, context=encoded, context_lengths=lengths)`, (positions, batch, units). Where the
attention feeds nothing back into the recurrence, it is faster after the layer, all steps at once.
"""

from carousel.cells.attention.bahdanau import BahdanauGRU
from carousel.cells.attention.luong import LuongLSTM

__all__ = ["BahdanauGRU", "LuongLSTM"]
