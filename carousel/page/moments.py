"""The data of a page: the steps of a network over one sequence. A task that fills these classes has a page.

Each step reads an input, `Symbols` or `Signals`, and predicts something after it, `NextSymbols`, `Classes` or
`Quantiles`, or at it, `Guesses`. These classes select the views of the page, which know no tasks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from carousel.page.scans import Scan

MOST_LINES = 12  # the largest number of channels with a line each

# -- inputs ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Symbols:
    """The symbols of a text, one for each step.

    names: the texts of symbols. read: (T), indices into names. starts: (T), the index in the text of each symbol's
    first character.
    """

    names: list[str]
    read: np.ndarray
    starts: np.ndarray


@dataclass(frozen=True)
class Signals:
    """Numbers over time.

    names: those of the C channels. values: (T, C), NaN where no value was observed. times: (T), the label of each step.
    starts: (T), the position of each step in a unit that two networks on the same data share (a row, seconds).
    learnt: the number of first steps that were training data; None if it is not known.
    alike: whether all channels have one kind and unit, as the bands of a sound have.
    """

    names: list[str]
    values: np.ndarray
    times: list[str]
    starts: np.ndarray
    learnt: int | None = None
    alike: bool = False

    @property
    def as_lines(self) -> bool:
        """Whether each channel is drawn as a line. Channels that are alike, or too many, are drawn as one image."""
        return not self.alike and len(self.names) <= MOST_LINES


# -- predictions ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NextSymbols:
    """Predictions of the next symbol.

    likely, probability: (T, K), the likeliest symbols after each step, as indices into `names`, and their
    probabilities, likeliest first. surprise: (T), -ln P of the actual next symbol; NaN at the end.
    rank: (T), the rank of the actual next symbol among all, from 1; 0 at the end.
    """

    names: list[str]
    likely: np.ndarray
    probability: np.ndarray
    surprise: np.ndarray
    rank: np.ndarray


@dataclass(frozen=True)
class Classes:
    """Predictions of the class of the sequence, from the steps so far.

    probability: (T, K). alone: (T, K), the probabilities of the network that is shown, if several vote; else None.
    moved: (T), how much a step changed the probabilities: the divergence D(after || before) in bits.
    truth: the true class; None if it is not known.
    at: (N), in order from 0, the steps after which the network predicted, if it did not after each. At the steps
        between, the last prediction is repeated, and `moved` is NaN.
    """

    names: list[str]
    probability: np.ndarray
    moved: np.ndarray
    truth: int | None = None
    alone: np.ndarray | None = None
    at: np.ndarray | None = None


@dataclass(frozen=True)
class Guesses:
    """What the network says of each step itself: its tag, or the word there from all the others.

    what: the noun, "tag" or "word". likely, probability: (T, K), the likeliest at each step, as indices into `names`,
    and their probabilities, likeliest first. actual: (T), what is there, as indices into `names`, -1 where that is not
    known. given: (T), the probability of what is there; NaN where that is not known.
    """

    what: str
    names: list[str]
    likely: np.ndarray
    probability: np.ndarray
    actual: np.ndarray
    given: np.ndarray


@dataclass(frozen=True)
class Quantiles:
    """Forecasts after each step, in the units of the first signal.

    levels: (Q), increasing, with 0.5 among them.
    quantiles: (T, horizon, Q), the forecasts after each step; NaN where no forecast is possible.
    linear: (T, horizon), the linear forecasts, without the network; NaN likewise.
    times: (horizon), the labels of the steps after the last.
    surprise: (T), how unlikely the value of a step was by the forecast one step before: -log2(2 min(p, 1 - p)) bits,
        where p is the level of the value among the quantiles. level: (T), this p. Both are NaN without value or
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
    """The inputs and predictions of T consecutive steps, and the scan of each layer."""

    reads: Symbols | Signals
    expects: NextSymbols | Classes | Guesses | Quantiles
    scans: list[Scan]


# -- measures --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Influence:
    """The influence of the input k steps before on the prediction after step t: `shares`, (T, lags). A row sums to 1.

    of: a phrase for the prediction, as in "what moved the prediction".
    at: (N), in order from 0, the steps t of `shares`, (N, lags), if they are not all steps.
    """

    shares: np.ndarray
    of: str
    at: np.ndarray | None = None


@dataclass(frozen=True)
class Curve:
    """The gradient of a loss by lag: one line of the picture, and its meaning in words."""

    name: str
    lags: np.ndarray
    norms: np.ndarray
    words: str
    memory_length: float | None  # in steps; None if the sequence was too short to measure it


@dataclass(frozen=True)
class Follower:
    """A unit whose value follows a property of the input, its score, and p, the probability of this by chance."""

    layer: int
    value: str
    unit: int
    score: float
    p: float


@dataclass(frozen=True)
class Property:
    """A property of the input at every step, and the units that follow it best. kind: "auc" or "correlation"."""

    name: str
    kind: str
    marks: np.ndarray
    followers: Sequence[Follower]


@dataclass(frozen=True)
class Moments:
    """All that a page shows of one run.

    subject: a phrase for the input, as in "the text". unit: a word for a step, such as "char". summary: a sentence.
    about: label and text of each fact, for the end of the page.
    timescales: for each scan, (units), the time scale of each unit in steps.
    findings: (what is wrong with the network, the evidence, what to try), in words.
    notes: by view ("findings", "reads", "expects", "influence", "units", "flow"), notes for the reader, such as
        why something cannot be measured, or what exactly is shown.
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
