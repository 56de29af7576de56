"""What the page shows: a network's steps over one sequence, as plain data. Whoever can fill this in has a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from carousel.page.scans import Scan


@dataclass(frozen=True)
class Steps:
    """What was read and expected at T consecutive steps.

    names: texts of symbols; `read` and `likely` are indices into it.
    read: (T), the symbol read at each step. starts: (T), its first character's place in the text.
    likely, probability: (T, K), the likeliest next symbols after each step, likeliest first.
    surprise: (T), -ln P of the symbol that in fact came next; NaN where none did.
    rank: (T), how many symbols were thought likelier than that one, plus 1; 0 where none came.
    scans: what each layer did.
    """

    names: list[str]
    read: np.ndarray
    starts: np.ndarray
    likely: np.ndarray
    probability: np.ndarray
    surprise: np.ndarray
    rank: np.ndarray
    scans: list[Scan]


@dataclass(frozen=True)
class Curve:
    """How large the gradient of a loss is, `lags` steps back: one line of the picture, and what it means in words."""

    name: str
    lags: np.ndarray
    norms: np.ndarray
    words: str
    horizon: float | None  # in steps; None where the text was too short to tell


@dataclass(frozen=True)
class Follower:
    """A unit whose value follows a property of the text, its score, and p, how likely chance is to do as well."""

    layer: int
    value: str
    unit: int
    score: float
    p: float


@dataclass(frozen=True)
class Property:
    """A property of the text at every step, and the units that follow it best. kind: "auc" or "correlation"."""

    name: str
    kind: str
    marks: np.ndarray
    followers: Sequence[Follower]


@dataclass(frozen=True)
class Moments:
    """All that a page shows of one run.

    unit: what a symbol is, "char" or the like. about: label and text of each fact, for the end of the page.
    influence: (T, lags), how much the symbol read k steps before moved the prediction after step t; shares of 1.
    timescales: for each layer, (units), how many steps a unit remembers.
    findings: what is wrong with the network, how it was seen, what to try; in words.
    refusals: of "flow", "timescales" and "findings", why the text is too short to tell them.
    """

    name: str
    unit: str
    about: list[tuple[str, str]]
    steps: Steps
    influence: np.ndarray | None = None
    timescales: list[np.ndarray] = field(default_factory=list)
    flow: list[Curve] = field(default_factory=list)
    properties: list[Property] = field(default_factory=list)
    findings: list[tuple[str, str, str]] = field(default_factory=list)
    refusals: dict[str, list[str]] = field(default_factory=dict)
