"""How well a model predicts each word of a text from all the others."""

import numpy as np
import torch
from torch.nn import functional

from carousel.models import FillModel

WINDOW, MARGIN = 128, 32  # words that are read together, and words at each end that are context only
ROWS = 16  # windows at once
SCORED = 512  # places whose scores of all words are computed at once


@torch.inference_mode()
def total_nats(network: FillModel, tokens: np.ndarray) -> float:
    """-Σ ln P(token | the others near it), over all tokens.

    The text is read in windows of 128 tokens that overlap, and each token is scored in the window in whose middle it
    lies, so that there are at least 32 tokens on either side of it, but for the ends of the text.
    """
    device = next(network.parameters()).device
    was_training = network.training
    network.eval()
    total = torch.zeros((), dtype=torch.float64, device=device)
    for symbols, scored in _batches(tokens):
        x = torch.from_numpy(symbols).to(device)
        places = network.places(x)[torch.from_numpy(scored).to(device)]
        targets = x[torch.from_numpy(scored).to(device)]
        for some, wanted in zip(places.split(SCORED), targets.split(SCORED), strict=True):
            total += functional.cross_entropy(network.scores(some), wanted, reduction="sum").double()
    network.train(was_training)
    return total.item()


def _batches(tokens: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Windows of the text, (window, rows) each, and which of their places are scored: every token once."""
    count, step = len(tokens), WINDOW - 2 * MARGIN
    if count <= WINDOW:
        return [(tokens.astype(np.int64)[:, None], np.ones((count, 1), bool))]
    starts = [*range(0, count - WINDOW, step), count - WINDOW]
    edges = [0, *(start + MARGIN for start in starts[1:]), count]  # the first token that each window scores
    found = []
    for begin in range(0, len(starts), ROWS):
        some = range(begin, min(begin + ROWS, len(starts)))
        places = np.array([starts[k] for k in some]) + np.arange(WINDOW)[:, None]
        scored = (places >= np.array([edges[k] for k in some])) & (places < np.array([edges[k + 1] for k in some]))
        found.append((tokens[places].astype(np.int64), scored))
    return found
