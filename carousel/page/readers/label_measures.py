"""Measures of a classifier on one sequence: what moved its answer, and how far back the loss of one reaches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from carousel.insight import GradientFlow, gradient_flow
from carousel.models.label_model import LabelModel
from carousel.page import analysis
from carousel.page.telling import Telling
from carousel.tasks.classification.steps import StoredSteps

ORIGINS = 16  # prefixes whose losses are followed back
MOST_TOGETHER = 1 << 18  # steps of all prefixes of a sequence that a page reads anew, and numbers it keeps of them
FEWEST_PREFIXES = 16
LAST = 8  # steps at the end, after each of which a prefix ends
BATCH_STEPS = 1 << 15  # of prefixes whose influence is measured at once


def moved(chances: np.ndarray) -> np.ndarray:
    """How far each row of probabilities is from the one before, D(after || before) in bits: (T + 1, K) -> (T)."""
    after, before = chances[1:], np.maximum(chances[:-1], 1e-30)
    return np.maximum(0, (after * (np.log2(np.maximum(after, 1e-30)) - np.log2(before))).sum(1))


def ends_of_prefixes(steps: int) -> np.ndarray:
    """The last step of each prefix of a sequence that a page reads anew: in order, with 0 and T - 1 among them.

    A prefix costs as many steps as it has. All T prefixes are read if T^2 <= MOST_TOGETHER. Of a longer sequence only
    some are read, evenly spaced, and those that end in its last steps, so that the work grows no faster than T.
    """
    count = max(FEWEST_PREFIXES, MOST_TOGETHER // steps)
    if count >= steps:
        return np.arange(steps)
    apart = np.linspace(0, steps - 1, count).round().astype(np.int64)
    return np.union1d(apart, np.arange(steps - min(LAST, steps), steps))


def influence(
    member: LabelModel,
    steps: np.ndarray,
    answer: np.ndarray,
    report: Callable[[str], None] = lambda _: None,
    *,
    at: np.ndarray | None = None,
) -> np.ndarray:
    """(N, T): how much what was read k steps before step t moves the log-odds of the answer after t, for the N steps t
    of `at`; 0 before the beginning.

    answer: (N) classes. The log-odds ln(P / (1 - P)) have the direction of the loss, and do not go flat where P is 1.
    at: default: every step. report: told every few seconds how far it is.
    """
    at = np.arange(len(steps)) if at is None else at
    norms = np.zeros((len(at), len(steps)), np.float32)
    at_once, telling = max(1, BATCH_STEPS // len(steps)), Telling(report, len(at), "steps")
    for begin in range(0, len(at), at_once):
        ends = at[begin : begin + at_once]
        x, lengths = prefixes(member, steps, ends)
        classes = torch.from_numpy(answer[begin : begin + at_once]).to(x.device)
        found = pushed(member, x, lengths, classes)
        for row, end in enumerate(ends):
            norms[begin + row, : end + 1] = found[: end + 1, row].flip(0).numpy()
        telling.done(begin + len(ends))
    return norms


@torch.inference_mode(False)
@torch.enable_grad()
def pushed(member: LabelModel, x: Tensor, lengths: Tensor, classes: Tensor) -> Tensor:
    """(T, B): |d log-odds / d e_s| of each row's class by what was read at each step, on all ways that lead from
    there to the answer: through the recurrence, and through the convolutions beside it. On the CPU."""
    e = member.read(x.clone()).detach().requires_grad_()
    odds = log_odds(member.score(e, lengths), classes)
    (gradient,) = torch.autograd.grad(odds.sum(), e)
    return gradient.double().norm(dim=-1).cpu()


def log_odds(scores: Tensor, classes: Tensor) -> Tensor:
    """ln(P / (1 - P)) of the class of each row, (B), from scores (B, K)."""
    picked = classes[:, None]
    others = scores.scatter(1, picked, -torch.inf)
    return scores.gather(1, picked)[:, 0] - others.logsumexp(1)


def flow_of(member: LabelModel, steps: np.ndarray, answer: int) -> GradientFlow:
    """How the loss of an answer reaches back through the recurrence.

    Of several prefixes of the sequence; the log-odds are split by the steps at which they read the layer, as
    `gradient_flow` splits every loss of sequences, which works for every head and for both directions.
    """
    ends = np.unique(np.linspace(0, len(steps) - 1, ORIGINS).round().astype(int))
    x, lengths = prefixes(member, steps, ends)
    odds = partial(log_odds, classes=torch.full((len(ends),), answer, device=member.head.weight.device))
    return gradient_flow(member, x, lengths, loss=odds, lags=analysis.lags_for(len(steps)))


def prefixes(member: LabelModel, steps: np.ndarray, ends: np.ndarray) -> tuple[Tensor, Tensor]:
    """The sequences up to and with each of these steps, as a batch."""
    return StoredSteps.of([steps[: end + 1] for end in ends]).batch(np.arange(len(ends)), member.head.weight.device)


def received(member: LabelModel, steps: np.ndarray) -> Tensor:
    """What the layer receives, (T, 1, I)."""
    return member.read(torch.from_numpy(steps).to(member.head.weight.device).unsqueeze(1))
