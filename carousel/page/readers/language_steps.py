"""The steps of a language model over a text, and the influence of symbols on its predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from carousel.insight import input_influence
from carousel.models import TokenModel
from carousel.page.analysis import Measure
from carousel.page.moments import NextSymbols, Steps, Symbols
from carousel.page.readers.symbols import Names, symbol_text
from carousel.page.scans import scans
from carousel.tasks.vocabulary import Vocabulary

LIKELY = 8  # next symbols shown after each step


@torch.no_grad()
def read_steps(
    network: TokenModel,
    vocabulary: Vocabulary,
    ids: np.ndarray,
    pieces: Sequence[str],
    starts: np.ndarray,
    hx: tuple[Tensor, ...] | None = None,
) -> tuple[Steps, tuple[Tensor, ...]]:
    """The steps of the network over these symbols, and its states after every step, (T, L, H) each.

    pieces: the text of each symbol. hx: the states before the first step.
    """
    layer = network.recurrent
    symbols = torch.from_numpy(ids).to(network.head.weight.device)
    scanned, output, after = scans(layer, network.embedding(symbols), hx or layer.fresh_states(1), ids)
    logs = network.head(output).log_softmax(-1).float().cpu()
    top = logs.topk(min(LIKELY, logs.shape[1]))
    actual = torch.from_numpy(ids[1:]).unsqueeze(1)
    of_next = logs[:-1].gather(1, actual)
    surprise = np.append(-of_next[:, 0].numpy(), np.nan)
    rank = np.append((logs[:-1] > of_next).sum(1).numpy() + 1, 0)
    names, expected = Names(), Names()
    read = np.array([names.place(piece) for piece in pieces])
    likely = np.array([[expected.place(symbol_text(vocabulary, i)) for i in row] for row in top.indices.tolist()])
    reads = Symbols(names.texts, read, starts)
    expects = NextSymbols(expected.texts, likely, top.values.exp().numpy(), surprise, rank)
    return Steps(reads, expects, scanned), after


def measure_of(network: TokenModel, ids: np.ndarray) -> Measure:
    """|d max score_t / d e_s| (Madsen, Distill 2019), where e_s is the embedding of symbol s."""
    symbols = column(network, ids)[:, 0]

    def measure(steps: Tensor, hx: Any, at: Sequence[int]) -> Tensor:
        return input_influence(network, symbols[steps.to(symbols.device)], hx, at=at, of="top").norms

    return measure


def column(network: TokenModel, ids: np.ndarray) -> Tensor:
    """The symbols as a batch of one sequence, (T, 1)."""
    return torch.from_numpy(ids)[:, None].to(network.head.weight.device)
