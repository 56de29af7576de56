"""The sentence that every training ends with: how the model stands beside a naive baseline, why, and what to try.

the model is better than counts of pairs: its loss is 25% lower
the model is level with the nearest neighbour: it has 2 more of 40 sequences right, which may be chance (...); ...
the model loses to the nearest neighbour: it has 9 fewer of 40 sequences right (...); use that instead, or ...
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from carousel.errors import option
from carousel.tasks.chance import BY_CHANCE, by_chance
from carousel.training.settings import DEFAULT_MINUTES, TrainingSettings

LONGER = 4  # times as long is what a model is advised that does not win

WORDS = {"wins": "is better than", "level": "is level with", "loses": "loses to"}


@dataclass(frozen=True)
class Verdict:
    """How a model stands beside a baseline.

    baseline: its name, as it stands in a sentence. why: the figures that say so. advice: what to try where the model
    does not win.
    """

    standing: Literal["wins", "level", "loses"]
    baseline: str
    why: str
    advice: str

    def __str__(self) -> str:
        advice = f"; {self.advice}" if self.advice and self.standing != "wins" else ""
        return f"the model {WORDS[self.standing]} {self.baseline}: {self.why}{advice}"


def by_figure(baseline: str, ahead: float, why: str, *, least: float, advice: str) -> Verdict:
    """ahead: by how much the model is better, in the unit of `least`: the smallest difference that counts as one."""
    standing: Literal["wins", "level", "loses"] = "wins" if ahead > least else "loses" if ahead < -least else "level"
    return Verdict(standing, baseline, why, advice)


def by_loss(baseline: str, loss: float, its: float, *, least: float, advice: str) -> Verdict:
    """By two losses, of the model and of the baseline; least: the smallest part of the baseline's that counts."""
    part = 1 - loss / its if its > 0 else 0.0
    why = f"its loss is {abs(part):.0%} {'lower' if part > 0 else 'higher'}"
    if abs(part) <= least:
        why = f"their losses are as high, to {least:.0%}"
    return by_figure(baseline, part, why, least=least, advice=advice)


def by_right(
    baseline: str, mine: np.ndarray, its: np.ndarray, what: str, *, advice: str, instead: str | None = None
) -> Verdict:
    """By which of the same examples the model and the baseline have right, (n); a difference that may be chance is
    none (McNemar's test). what: the examples, in the plural. instead: how to use the baseline where the model loses."""
    more, chance = int(mine.sum()) - int(its.sum()), by_chance(mine, its)
    count, how = f"{len(mine):,} {what}", f"p = {chance:.2g} by McNemar's test"
    if more == 0:
        return Verdict("level", baseline, f"both have equally many of {count} right", advice)
    why = f"it has {abs(more):,} {'more' if more > 0 else 'fewer'} of {count} right"
    if chance >= BY_CHANCE:
        return Verdict("level", baseline, f"{why}, which may be chance ({how})", advice)
    why = f"{why}, {100 * abs(more) / len(mine):.1f} points ({how})"
    if more > 0:
        return Verdict("wins", baseline, why, "")
    return Verdict("loses", baseline, why, advice if instead is None else f"use that instead ({instead}), or {advice}")


def longer(settings: TrainingSettings) -> str:
    """The advice to train for longer, as it is typed."""
    if settings.epochs:
        typed = option("epochs", f"{LONGER * settings.epochs:g}")
    else:
        typed = option("minutes", f"{LONGER * (settings.minutes or DEFAULT_MINUTES):g}")
    return f"train a new run for longer ({typed})"
