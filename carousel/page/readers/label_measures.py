"""Measures of a classifier on one sequence: the influence of steps on its prediction, and the gradient of its loss."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

from carousel.insight import GradientFlow, gradient_flow
from carousel.models.label_model import LabelModel
from carousel.page import analysis
from carousel.page.progress_lines import ProgressLines
from carousel.tasks.sequences.steps import StoredSteps

ORIGINS = 16  # prefixes whose losses are followed back
# A limit for the steps of all prefixes that a page reads separately, and for the numbers it keeps.
MOST_TOGETHER = 1 << 18
FEWEST_PREFIXES = 16
LAST = 8  # the last steps, which all end a prefix
BATCH_STEPS = 1 << 15  # steps of prefixes whose influence is measured together


def moved(chances: np.ndarray) -> np.ndarray:
    """The divergence D(after || before) in bits of each row of probabilities from the row before: (T + 1, K) -> (T)."""
    after, before = chances[1:], np.maximum(chances[:-1], 1e-30)
    return np.maximum(0, (after * (np.log2(np.maximum(after, 1e-30)) - np.log2(before))).sum(1))


def ends_of_prefixes(steps: int) -> np.ndarray:
    """The last steps of the prefixes that a page reads separately, in order, from 0 to T - 1.

    The cost of a prefix is its number of steps. All T prefixes are read if T^2 <= MOST_TOGETHER. For a longer sequence
    only some are read, evenly spaced, and all that end in the last steps, so that the cost grows no faster than T.
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
    """The influence of the input k steps before step t on the log-odds of the prediction after t, (N, T).

    It has a row for each of the N steps `at`, with 0 before the start of the sequence. answer: (N), the predicted
    classes. The log-odds ln(P / (1 - P)) have the direction of the loss, but their slope does not vanish where P = 1.
    at: Default: every step. report: called every few seconds with the progress.
    """
    at = np.arange(len(steps)) if at is None else at
    norms = np.zeros((len(at), len(steps)), np.float32)
    at_once, progress = max(1, BATCH_STEPS // len(steps)), ProgressLines(report, len(at), "steps")
    for begin in range(0, len(at), at_once):
        ends = at[begin : begin + at_once]
        x, lengths = prefixes(member, steps, ends)
        classes = torch.from_numpy(answer[begin : begin + at_once]).to(x.device)
        found = pushed(member, x, lengths, classes)
        for row, end in enumerate(ends):
            norms[begin + row, : end + 1] = found[: end + 1, row].flip(0).numpy()
        progress.done(begin + len(ends))
    return norms


@torch.inference_mode(False)
@torch.enable_grad()
def pushed(member: LabelModel, x: Tensor, lengths: Tensor, classes: Tensor) -> Tensor:
    """|d log-odds / d e_s| for the class of each row and the input of each step, (T, B), on the CPU.

    It includes all paths from the input to the prediction, through the recurrence and through the convolutions.
    """
    e = member.read(x.clone()).detach().requires_grad_()
    odds = log_odds(member.score(e, lengths), classes)
    (gradient,) = torch.autograd.grad(odds.sum(), e)
    return gradient.double().norm(dim=-1).cpu()


def log_odds(scores: Tensor, classes: Tensor) -> Tensor:
    """ln(P / (1 - P)) for the class of each row, (B). scores: (B, K)."""
    picked = classes[:, None]
    others = scores.scatter(1, picked, -torch.inf)
    return scores.gather(1, picked)[:, 0] - others.logsumexp(1)


def flow_of(member: LabelModel, steps: np.ndarray, answer: int) -> GradientFlow:
    """The gradient flow of the log-odds of a prediction through the recurrence, for several prefixes of the sequence.

    `gradient_flow` splits losses of sequences among the steps at which they read the layer, which works for every head
    and for both directions.
    """
    ends = np.unique(np.linspace(0, len(steps) - 1, ORIGINS).round().astype(int))
    x, lengths = prefixes(member, steps, ends)
    odds = partial(log_odds, classes=torch.full((len(ends),), answer, device=member.head.weight.device))
    return gradient_flow(member, x, lengths, loss=odds, lags=analysis.lags_for(len(steps)))


def prefixes(member: LabelModel, steps: np.ndarray, ends: np.ndarray) -> tuple[Tensor, Tensor]:
    """The prefixes of the sequence that end with each of these steps, as a batch."""
    return StoredSteps.of([steps[: end + 1] for end in ends]).batch(np.arange(len(ends)), member.head.weight.device)


def received(member: LabelModel, steps: np.ndarray) -> Tensor:
    """The input of the layer, (T, 1, I)."""
    return member.read(torch.from_numpy(steps).to(member.head.weight.device).unsqueeze(1))
