"""Spans: stretches of steps that tags mark as one thing, as B-PER I-PER marks the name of a person.

A tag is O, outside of every span, or a letter, a hyphen and the type of a span. The letters are those of all usual
schemes (Ramshaw and Marcus 1995; Tjong Kim Sang and Veenstra 1999; Ratinov and Roth 2009):

    IOB, IOB1   I inside; B only where a span follows another of its type at once
    BIO, IOB2   B at the first step of every span, I at the others
    BIOES       also E at the last step, and S for a span of one step (BILOU and BMEWO have L, U, M and W)

Spans are read as conlleval does, the script of the CoNLL shared tasks, which is also the usual mode of seqeval: a span
starts and ends wherever the letters or the types say so, even where tags break the scheme, as I-PER after O does.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

OUTSIDE = "O"
SPELLED = re.compile(r"([BIESLUMW])-(.+)")
SAME = {"L": "E", "U": "S", "M": "I", "W": "S"}  # letters of other schemes with the same meaning


class Span(NamedTuple):
    """The steps from start to end - 1, and their type."""

    start: int
    end: int
    type: str


def are_spans(tags: Iterable[str]) -> bool:
    """Whether all these tags have the form of tags of spans, with one at least that is inside of a span."""
    each = set(tags) - {OUTSIDE}
    return bool(each) and all(SPELLED.fullmatch(tag) for tag in each)


def spans(tags: Sequence[str]) -> list[Span]:
    """The spans that the tags of one sequence mark, in order."""
    found: list[Span] = []
    start, before = 0, (OUTSIDE, "")
    for step, tag in enumerate([*tags, OUTSIDE]):
        now = _letter_and_type(tag)
        if _ends(before, now):
            found.append(Span(start, step, before[1]))
        if _starts(before, now):
            start = step
        before = now
    return found


def _letter_and_type(tag: str) -> tuple[str, str]:
    spelled = SPELLED.fullmatch(tag)
    if spelled is None:
        return OUTSIDE, ""
    letter, kind = spelled.groups()
    return SAME.get(letter, letter), kind


def _ends(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """Whether a span ends between two steps."""
    if before[0] == OUTSIDE:
        return False
    return before[0] in "ES" or now[0] in "OBS" or now[1] != before[1]


def _starts(before: tuple[str, str], now: tuple[str, str]) -> bool:
    """Whether a span starts at the second of two steps."""
    if now[0] == OUTSIDE:
        return False
    return now[0] in "BS" or before[0] in "OES" or now[1] != before[1]


@dataclass(frozen=True)
class SpanScore:
    """The figures of the spans of one type, or of all; 0 where there is nothing to divide by:

        precision = right / predicted,   recall = right / true,   F1 = 2 right / (predicted + true)

    A span is right where its start, its end and its type are all right. type: the type; "" for all types together.
    """

    type: str
    true: int
    predicted: int
    right: int

    @property
    def precision(self) -> float:
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        return self.right / self.true if self.true else 0.0

    @property
    def f1(self) -> float:
        return 2 * self.right / (self.true + self.predicted) if self.true + self.predicted else 0.0


def scores(truth: Iterable[Sequence[str]], predicted: Iterable[Sequence[str]]) -> list[SpanScore]:
    """How well the spans of predicted tags agree with the true ones: of all types together, then of each type by
    alphabet. truth, predicted: the tags of the same sequences."""
    true: Counter[str] = Counter()
    said: Counter[str] = Counter()
    right: Counter[str] = Counter()
    for mine, yours in zip(truth, predicted, strict=True):
        there, found = set(spans(mine)), set(spans(yours))
        for counter, some in ((true, there), (said, found), (right, there & found)):
            counter.update(span.type for span in some)
    types = sorted(true | said)
    together = SpanScore("", true.total(), said.total(), right.total())
    return [together, *(SpanScore(one, true[one], said[one], right[one]) for one in types)]
