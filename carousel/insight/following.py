"""Finds units whose state follows a property of the data, with the probability that this happens by chance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from carousel.errors import DataError
from carousel.insight.refusal import TooShort

FEWEST_CHANGES = 10


@dataclass(frozen=True)
class Following:
    """How well the value of each of H units predicts a property.

    kind: "auc" for a boolean property: the probability that the unit is higher at a step with the property than at a
        step without it (0.5 means no relation, 0 and 1 a perfect one). "correlation" (Pearson's) for a number.
    scores: (H). p: (H), the probability that by chance the best of all units has a score as extreme as this one.
    """

    kind: str
    scores: Tensor
    p: Tensor

    @property
    def strength(self) -> Tensor:
        """(H), from 0 (no relation) to 1 (perfect), whatever the sign."""
        return (2 * self.scores - 1).abs() if self.kind == "auc" else self.scores.abs()

    def best(self, count: int = 5) -> list[tuple[int, float, float]]:
        """(unit, score, p) of the units with the largest strength, strongest first.

        count: how many units to return; all H if there are fewer.
        """
        units = self.strength.argsort(descending=True, stable=True)[:count].tolist()
        return [(unit, self.scores[unit].item(), self.p[unit].item()) for unit in units]


def units_following(values: Any, property: Any, *, draws: int = 200, seed: int = 0) -> Following:
    """Measures how well units follow a property, which is a number or a boolean for each step.

    values: (T, H) or (T, B, H), a state or a gate of each unit; NaN in the padding.
    property: (T) or (T, B), bool or numbers.
    draws: the number of random rotations, which give the scores of chance. A rotation of the property within each
        sequence by a random number of steps keeps its rhythm but removes its relation to the units. Each score is
        compared with the best score of all units in each rotation, so that p is at least 1 / (draws + 1).
    seed: of the random rotations.

    Raises DataError for shapes that do not fit, or for a property that is the same everywhere. Raises TooShort if it
    changes fewer than 10 times, since every unit that drifts would then seem to follow it.
    """
    held, target = torch.as_tensor(values), torch.as_tensor(property)
    if held.dim() == 2:
        held = held.unsqueeze(1)
    if target.dim() == 1:
        target = target.unsqueeze(1)
    if held.dim() != 3 or target.shape != held.shape[:2]:
        raise DataError(
            f"Values must be (T, H) or (T, B, H) and the property (T) or (T, B), "
            f"but they are {tuple(torch.as_tensor(values).shape)} and {tuple(torch.as_tensor(property).shape)}."
        )
    kind = "auc" if target.dtype == torch.bool else "correlation"
    real = ~held.isnan().any(-1)
    # One sequence after another, without padding.
    rows = [real[:, row].nonzero().squeeze(1) for row in range(held.shape[1])]
    x = torch.cat([held[steps, row] for row, steps in enumerate(rows)]).double()
    sequences = [target[steps, row].double() for row, steps in enumerate(rows)]
    _check(sequences)
    score = _auc(x) if kind == "auc" else _correlation(x)
    scores = score(torch.cat(sequences)[None])[0]
    random = torch.Generator().manual_seed(seed)
    chance = torch.stack([torch.cat([_turned(s, random) for s in sequences]) for _ in range(draws)])
    nothing = 0.5 if kind == "auc" else 0.0
    extreme = (score(chance) - nothing).abs().amax(1)  # (draws), of the best unit
    exceeded = (extreme[:, None] >= (scores - nothing).abs() - 1e-12).sum(0)
    return Following(kind, scores, (1 + exceeded) / (draws + 1))


def _check(sequences: list[Tensor]) -> None:
    whole = torch.cat(sequences)
    if not len(whole) or not whole.isfinite().all():
        raise DataError("The property must be a finite number at every step, and there must be a step.")
    if (whole == whole[0]).all():
        raise DataError("The property is the same at every step, so no unit can follow it.")
    changes = sum(int((s[1:] != s[:-1]).sum()) for s in sequences)
    if changes < FEWEST_CHANGES:
        raise TooShort(
            f"The property changes {changes} times in {len(whole)} steps, and anything that drifts would follow it: "
            f"it takes {FEWEST_CHANGES} changes. Read more.",
            needed=FEWEST_CHANGES,
        )


def _turned(sequence: Tensor, random: torch.Generator) -> Tensor:
    """The sequence, rotated by a random number of steps that is not 0."""
    if len(sequence) < 2:
        return sequence
    return sequence.roll(int(torch.randint(1, len(sequence), (), generator=random)))


def _auc(x: Tensor) -> Any:
    """(N, H) values -> a function from (draws, N) zeros and ones to their AUC, (draws, H), by Mann and Whitney's U."""
    ranks = _ranks(x)

    def score(flags: Tensor) -> Tensor:
        positive = flags.sum(1, keepdim=True)
        u = flags @ ranks - positive * (positive + 1) / 2
        return u / (positive * (flags.shape[1] - positive))

    return score


def _ranks(x: Tensor) -> Tensor:
    """The ranks in every column, from 1; equal values share the mean of their ranks."""
    ordered, order = x.sort(0)
    count = len(x)
    begins = torch.ones_like(x, dtype=torch.bool)
    begins[1:] = ordered[1:] != ordered[:-1]
    ends = torch.ones_like(begins)
    ends[:-1] = begins[1:]
    place = torch.arange(count)[:, None].expand_as(x)
    first = torch.where(begins, place, 0).cummax(0).values
    last = torch.where(ends, place, count).flip(0).cummin(0).values.flip(0)
    return torch.empty_like(x).scatter_(0, order, (first + last).to(x.dtype) / 2 + 1)


def _correlation(x: Tensor) -> Any:
    """(N, H) values -> a function from (draws, N) numbers to Pearson's r, (draws, H); 0 for a constant unit."""
    centred = x - x.mean(0)
    length = torch.linalg.vector_norm(centred, dim=0)
    unit = torch.where(length > 0, centred / length.clamp(min=torch.finfo(x.dtype).tiny), 0.0)

    def score(numbers: Tensor) -> Tensor:
        deviation = numbers - numbers.mean(1, keepdim=True)
        return (deviation / torch.linalg.vector_norm(deviation, dim=1, keepdim=True)) @ unit

    return score
