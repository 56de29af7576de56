"""A text that a model of pairs wrote, and batches of the numbers that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from carousel.models.encoder_decoder import BOUNDARY, PADDING


@dataclass(frozen=True)
class Written:
    """A text that a model wrote. score: of the search, see `carousel.models.beam_search.Search`; with the head ctc it
    is log_probability: ln P of the text given its source. read: a name for each step of the source, which is the text
    of a symbol; pieces: of each symbol that was written, and, from a decoder, the end; alignment: (pieces, read), how
    much each attended to each, None without attention. times: from the head ctc, when each symbol begins and ends in
    seconds, (pieces, 2)."""

    text: str
    score: float
    log_probability: float
    read: tuple[str, ...]
    pieces: tuple[str, ...]
    alignment: np.ndarray | None
    times: np.ndarray | None = None


def padded(sequences: Sequence[np.ndarray], filling: int) -> tuple[Tensor, Tensor]:
    """Sequences of symbols, or of arrays of one shape, as one batch, (longest, B, ...), and their lengths, (B)."""
    lengths = np.array([len(one) for one in sequences], np.int64)
    shape, kind = sequences[0].shape[1:], sequences[0].dtype
    x = np.full((int(lengths.max(initial=0)), len(sequences), *shape), filling, kind)
    for row, one in enumerate(sequences):
        x[: len(one), row] = one
    return torch.from_numpy(x), torch.from_numpy(lengths)


def targets_of(sequences: Sequence[np.ndarray]) -> Tensor:
    """Targets as one batch, (longest + 1, B): each ends in the boundary, and PADDING follows it."""
    return padded([np.append(one, BOUNDARY) for one in sequences], PADDING)[0]
