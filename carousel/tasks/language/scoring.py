"""How well a network predicts a text."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

STEPS = 256  # in one call of the network; the state is carried from one to the next
LANE = 2048  # symbols that make a further lane worth its fresh start, and 64 lanes at most
MOST_LANES = 64


@torch.inference_mode()
def total_nats(network: nn.Module, tokens: np.ndarray) -> float:
    """-Σ ln P(token | the tokens before it), over all tokens but the first.

    The text is read in up to 64 lanes side by side, each from a fresh state, so the first few predictions of a
    lane know less than they could: the loss is a little higher than in one single pass, by less than 0.01 nats
    a character.
    """
    device = next(network.parameters()).device
    predictions = len(tokens) - 1
    if predictions < 1:
        return 0.0
    lanes = max(1, min(MOST_LANES, predictions // LANE))
    length = -(-predictions // lanes)
    nothing = -100  # what cross_entropy leaves out: the end of a last lane that is shorter
    inputs = np.zeros((lanes, length), np.int64)
    targets = np.full((lanes, length), nothing, np.int64)
    inputs.reshape(-1)[:predictions] = tokens[:-1]
    targets.reshape(-1)[:predictions] = tokens[1:]
    was_training = network.training
    network.eval()
    total = torch.zeros((), dtype=torch.float64, device=device)
    state = None
    for start in range(0, length, STEPS):
        window = slice(start, start + STEPS)
        scores, state = network(torch.from_numpy(inputs[:, window].T.copy()).to(device), state)
        wanted = torch.from_numpy(targets[:, window].T.copy()).to(device)
        total += functional.cross_entropy(
            scores.flatten(0, 1), wanted.flatten(), ignore_index=nothing, reduction="sum"
        ).double()
    network.train(was_training)
    return total.item()
