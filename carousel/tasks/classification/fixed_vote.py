"""The vote of fixed convolutions: what is fitted in closed form, and how much it is to weigh."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from carousel.models.fixed_convolutions import KERNELS, FixedVote, mixed
from carousel.tasks.classification.learning import Learning

DILATIONS = 16  # at most, evenly spread in the logarithm
MOST_POINTS = 512  # frames of a sequence: steps of longer ones are averaged
PENALTIES = np.logspace(-3, 3, 10)
SHARES = torch.linspace(0, 1, 11).tolist()
SHARPNESS = (1.0, 2.0, 3.0, 5.0, 8.0, 12.0)
SPREAD = 1e-8  # added to the deviation of a share


def shape(features: int, channels: int, lengths: np.ndarray) -> dict[str, Any]:
    """The arguments of the convolutions, of about so many features, for sequences of these lengths: the longest kernel
    spans a sequence of mean length."""
    stride = -(-int(lengths.max()) // MOST_POINTS)
    reach = max(0.0, np.log2(max(1.0, (lengths.mean() / stride - 1) / 8)))
    dilations = np.unique((2 ** np.linspace(0, reach, DILATIONS)).astype(int)).tolist()
    return {
        "channels": channels,
        "dilations": dilations,
        "thresholds": max(1, features // (len(KERNELS) * len(dilations))),
        "points": -(-int(lengths.max()) // stride),
        "stride": stride,
    }


@dataclass(frozen=True)
class Ridge:
    """A linear map to one score a class, s = W (f - centre) / spread + C."""

    centre: np.ndarray  # (width)
    spread: np.ndarray  # (width)
    weight: np.ndarray  # (classes, width)
    bias: np.ndarray  # (classes)

    @classmethod
    def fit(cls, f: np.ndarray, truth: np.ndarray, classes: int) -> "Ridge":
        """f (N, width). Scores are drawn to 1 for the class of a sequence and to -1 for the others; the penalty is the
        one with the smallest leave-one-out error,

            e_n = c_n / h_n,    c = (G + λ I)⁻¹ y,    h = the diagonal of (G + λ I)⁻¹ - 1 / (λ N),    G = f fᵀ

        of centred f and y (Golub, Heath and Wahba 1979; the last term is that of the intercept).
        """
        centre, spread = f.mean(0), f.std(0) + SPREAD
        f = (f - centre) / spread
        wanted = np.where(truth[:, None] == np.arange(classes), 1.0, -1.0)
        bias = wanted.mean(0)
        values, vectors = np.linalg.eigh(f @ f.T)
        turned = vectors.T @ (wanted - bias)
        best = (np.inf, turned)
        for penalty in PENALTIES:
            inverse = 1 / (values.clip(0) + penalty)
            c = vectors @ (inverse[:, None] * turned)
            h = vectors**2 @ inverse - 1 / (penalty * len(f))
            error = float(np.mean((c / np.maximum(h, 1e-12)[:, None]) ** 2))
            best = min(best, (error, c), key=lambda one: one[0])
        return cls(centre, spread, (f.T @ best[1]).T, bias)

    def scores(self, f: np.ndarray) -> np.ndarray:
        """The scores of N sequences, (N, classes), from their features, (N, features)."""
        return np.asarray((f - self.centre) / self.spread @ self.weight.T + self.bias)


def fit(vote: FixedVote, learning: Learning, *, seed: int) -> torch.Tensor:
    """Fits the vote to all that is learnt from, and gives the scores (N, classes) of what is held out, each by a map
    that has not learnt from it; NaN for the others."""
    steps, truth, folds = learning.steps, learning.labels, learning.folds
    convolutions, classes = vote.convolutions.cpu(), len(vote.bias)
    convolutions.fit(*steps.batch(learning.learnt), seed=seed)
    f = np.zeros((len(steps), convolutions.width))
    for numbers in steps.batches(np.arange(len(steps))):
        f[numbers] = convolutions(*steps.batch(numbers)).double().numpy()
    scores = np.full((len(steps), classes), np.nan)
    for fold in range(int(folds.max()) + 1):
        known = folds != fold
        scores[folds == fold] = Ridge.fit(f[known], truth[known], classes).scores(f[folds == fold])
    whole = Ridge.fit(f[learning.learnt], truth[learning.learnt], classes)
    for name in ("centre", "spread", "weight", "bias"):
        getattr(vote, name).copy_(torch.from_numpy(getattr(whole, name)))
    vote.to(learning.device)
    return torch.from_numpy(scores)


def weigh(vote: FixedVote, logs: np.ndarray, scores: torch.Tensor, truth: np.ndarray) -> np.ndarray:
    """ln P, (N, classes), of the networks' ln P and these scores, with a share and sharpness that suit these sequences;
    the vote takes them.

    The share is the least one that makes no more errors than the best choice, or more by one standard error of that
    excess at most (the rule of one standard error, Breiman et al. 1984): few sequences would else make a share of what
    is chance. Errors decide and not the loss, since a vote that is sure lowers the loss of networks that are careful by
    their smoothed labels, and may be wrong more often. The sharpness is the one that loses least at that share.
    """
    networks, which = torch.from_numpy(logs), torch.arange(len(truth))
    choices = [(0.0, 1.0), *((share, sharpness) for share in SHARES[1:] for sharpness in SHARPNESS)]
    answers = [mixed(networks, scores, *choice) for choice in choices]
    losses = [-answer[which, truth].mean().item() for answer in answers]
    wrong = np.stack([answer.argmax(1).numpy() != truth for answer in answers]).astype(float)
    excess = wrong - wrong[wrong.mean(1).argmin()]
    level = excess.mean(1) <= excess.std(1) / np.sqrt(len(truth))
    share, _, sharpness = min(
        (share, loss, sharpness) for (share, sharpness), loss, fits in zip(choices, losses, level, strict=True) if fits
    )
    vote.share.fill_(share)
    vote.sharpness.fill_(sharpness)
    return np.asarray(mixed(networks, scores, share, sharpness).numpy())
