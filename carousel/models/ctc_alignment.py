"""When a network with CTC wrote each symbol of a text."""

from collections.abc import Sequence

import numpy as np

from carousel.models.ctc_model import BLANK, steps_needed


def aligned(log_p: np.ndarray, text: Sequence[int]) -> np.ndarray:
    """The steps at which each symbol of a text stands in the likeliest path that collapses to it, (n, 2) int64: the
    first step of the symbol, and the step after its last. The blanks stand between them.

    log_p: ln P of each symbol at each step, (S, symbols). text: its n symbols. Viterbi's algorithm on the states
    blank, y_1, blank, y_2, ..., blank: a path stays in a state or goes to the next, and passes over a blank between two
    different symbols. Of equally likely paths it takes the one that reaches each symbol later.
    Raises ValueError for a text that needs more steps than there are.
    """
    symbols = np.asarray(text, np.int64)
    if steps_needed(symbols) > len(log_p):
        raise ValueError(f"a text of {len(symbols)} symbols needs {steps_needed(symbols)} steps, not {len(log_p)}")
    if not len(log_p):
        return np.zeros((0, 2), np.int64)
    states = np.full(2 * len(symbols) + 1, BLANK)
    states[1::2] = symbols
    passes = np.zeros(len(states), bool)
    passes[3::2] = symbols[1:] != symbols[:-1]
    score = np.full(len(states), -np.inf)
    score[:2] = log_p[0, states[:2]]
    steps_back = np.zeros((len(log_p), len(states)), np.int8)
    for s in range(1, len(log_p)):
        from_each = np.stack([score, _shifted(score, 1), np.where(passes, _shifted(score, 2), -np.inf)])
        steps_back[s] = from_each.argmax(0)
        score = from_each.max(0) + log_p[s, states]
    return _spans(steps_back, len(states) - 1 if len(states) == 1 or score[-1] >= score[-2] else len(states) - 2)


def _spans(steps_back: np.ndarray, state: int) -> np.ndarray:
    """Follows the likeliest path from its last state. steps_back: how many states it went on at each step."""
    path = np.zeros(len(steps_back), np.int64)
    for s in range(len(steps_back) - 1, -1, -1):
        path[s] = state
        state -= int(steps_back[s, state])
    numbers = np.arange(1, 2 * ((steps_back.shape[1] - 1) // 2), 2)
    return np.stack([np.searchsorted(path, numbers), np.searchsorted(path, numbers, side="right")], 1)


def _shifted(score: np.ndarray, by: int) -> np.ndarray:
    return np.concatenate([np.full(by, -np.inf), score])[: len(score)]
