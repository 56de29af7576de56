"""What the page shows: a network's steps over one sequence, as plain data. Whoever can fill this in has a page.

A step reads something, `Symbols` or `Signals`; after it something is expected: `NextSymbols`, `Classes` or `Quantiles`.
The page's views are chosen by which of them it is given, and know of no task.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from carousel.page.scans import Scan

MOST_LINES = 12  # channels that have a line each

# -- what was read ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Symbols:
    """Symbols of a text, one a step.

    names: texts of symbols; `read`: (T), indices into it. starts: (T), each one's first character's place in the text.
    """

    names: list[str]
    read: np.ndarray
    starts: np.ndarray


@dataclass(frozen=True)
class Signals:
    """Numbers over time.

    names: of the C channels. values: (T, C), NaN where nothing was seen. times: (T), what each step is called.
    starts: (T), where each step is, in a measure that two networks that read the same data share (a row, seconds).
    learnt: how many of the first steps the network learnt from; None where that is not known.
    alike: whether all channels are of one kind and unit, as the bands of a sound are.
    """

    names: list[str]
    values: np.ndarray
    times: list[str]
    starts: np.ndarray
    learnt: int | None = None
    alike: bool = False

    @property
    def as_lines(self) -> bool:
        """Whether each channel has a line; those that are alike, or too many, are one picture."""
        return not self.alike and len(self.names) <= MOST_LINES


# -- what was expected ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NextSymbols:
    """Which symbol would come next.

    likely, probability: (T, K), the likeliest after each step, likeliest first, as indices into `names`.
    surprise: (T), -ln P of the symbol that in fact came next; NaN where none did.
    rank: (T), how many symbols were thought likelier than that one, plus 1; 0 where there is none.
    """

    names: list[str]
    likely: np.ndarray
    probability: np.ndarray
    surprise: np.ndarray
    rank: np.ndarray


@dataclass(frozen=True)
class Classes:
    """To which class the sequence belongs, as far as it has been read.

    probability: (T, K). alone: (T, K), those of the network that is shown, where several vote; else None.
    moved: (T), how far a step moved the probabilities: the divergence D(after || before) in bits.
    truth: which class it is in fact; None where that is not known.
    at: (N), in order from 0, the steps after which the network was asked, where it was not after each: at those
        between, what it said last is repeated, and `moved` is NaN.
    """

    names: list[str]
    probability: np.ndarray
    moved: np.ndarray
    truth: int | None = None
    alone: np.ndarray | None = None
    at: np.ndarray | None = None


@dataclass(frozen=True)
class Quantiles:
    """The values that are forecast after each step, in the units of the first of the signals.

    levels: (Q), increasing, with 0.5 among them.
    quantiles: (T, horizon, Q), forecast after each step for the steps ahead; NaN where nothing can be forecast.
    linear: (T, horizon), what the forecast would be without the network; NaN likewise.
    times: (horizon), what the steps after the last are called.
    surprise: (T), how unlikely the value of a step was by the forecast of one step before: -log2(2 min(p, 1 - p)) bits,
        p being the level of the value among its quantiles. level: (T), that p. NaN where there is no value or no
        forecast.
    """

    levels: tuple[float, ...]
    quantiles: np.ndarray
    linear: np.ndarray
    times: list[str]
    surprise: np.ndarray
    level: np.ndarray


@dataclass(frozen=True)
class Steps:
    """What was read and expected at T consecutive steps, and what each layer did."""

    reads: Symbols | Signals
    expects: NextSymbols | Classes | Quantiles
    scans: list[Scan]


# -- what was measured ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Influence:
    """How much what was read k steps before moved what was expected after step t: `shares`, (T, lags), each row of 1.

    of: what was moved, as in "what moved the prediction".
    at: (N), in order from 0, the steps t that `shares`, (N, lags), are of, where they are not of each.
    """

    shares: np.ndarray
    of: str
    at: np.ndarray | None = None


@dataclass(frozen=True)
class Curve:
    """How large the gradient of a loss is, `lags` steps back: one line of the picture, and what it means in words."""

    name: str
    lags: np.ndarray
    norms: np.ndarray
    words: str
    memory_length: float | None  # in steps; None where the sequence was too short to measure it


@dataclass(frozen=True)
class Follower:
    """A unit whose value follows a property of what is read, its score, and p, how likely chance is to do as well."""

    layer: int
    value: str
    unit: int
    score: float
    p: float


@dataclass(frozen=True)
class Property:
    """A property of what is read at every step, and the units that follow it best. kind: "auc" or "correlation"."""

    name: str
    kind: str
    marks: np.ndarray
    followers: Sequence[Follower]


@dataclass(frozen=True)
class Moments:
    """All that a page shows of one run.

    subject: what is read, as in "the text". unit: what a step of it is, "char" or the like. summary: a sentence.
    about: label and text of each fact, for the end of the page.
    timescales: for each scan, (units), how many steps a unit remembers.
    findings: what is wrong with the network, how it was seen, what to try; in words.
    notes: by view ("findings", "reads", "expects", "influence", "units", "flow"), what its reader must know: why
        something cannot be measured, or what exactly is shown.
    """

    name: str
    subject: str
    unit: str
    summary: str
    about: list[tuple[str, str]]
    steps: Steps
    influence: Influence | None = None
    timescales: list[np.ndarray] = field(default_factory=list)
    flow: list[Curve] = field(default_factory=list)
    properties: list[Property] = field(default_factory=list)
    findings: list[tuple[str, str, str]] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
