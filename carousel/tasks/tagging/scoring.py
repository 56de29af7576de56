"""How good the tags of a model are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carousel.tasks.sequences.metrics import ClassScore
from carousel.tasks.sequences.metrics import Evaluation as StepScores
from carousel.tasks.tagging.spans import SpanScore, are_spans, scores


@dataclass(frozen=True)
class Judged:
    """Tags beside the true ones, of one model.

    right: which of the n steps with a true tag are right, (n,). spans: as `scores` returns them; empty where tags mark
    no spans.
    """

    name: str
    right: np.ndarray
    spans: Sequence[SpanScore]

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


@dataclass(frozen=True)
class Evaluation:
    """Predicted tags beside the true ones, and beside those of the naive baseline.

    steps: accuracy, figures of each tag, confusion and nats over all n steps with a true tag.
    spans: the figures of spans, of all types together and then of each; empty where tags mark no spans.
    known: which of the n steps are words that the model knows, (n,); None where steps are no words.
    right: which of the n steps the model has right, (n,). baseline: the naive baseline on the same steps.
    sequences: how many there are. strange: true tags that training did not have, which are never predicted.
    """

    steps: StepScores
    spans: Sequence[SpanScore]
    known: np.ndarray | None
    right: np.ndarray
    baseline: Judged
    sequences: int
    strange: tuple[str, ...]

    @property
    def accuracy(self) -> float:
        """The share of steps with the right tag."""
        return self.steps.accuracy

    @property
    def f1(self) -> float | None:
        """F1 of spans of all types; None where tags mark no spans."""
        return self.spans[0].f1 if self.spans else None

    @property
    def unknown(self) -> int:
        """How many steps are words that the model does not know."""
        return 0 if self.known is None else int((~self.known).sum())

    @property
    def unknown_accuracy(self) -> float:
        """The accuracy on words that the model does not know; NaN without any."""
        return float(self.right[~self.known].mean()) if self.known is not None and self.unknown else float("nan")

    @property
    def by_tag(self) -> list[ClassScore]:
        """Precision, recall and F1 of each tag."""
        return self.steps.by_class

    @property
    def nats(self) -> float:
        """The mean of -ln P(true tag) over steps; infinite where the model does not know the true tag."""
        return self.steps.nats


def evaluate(
    truth: Sequence[Sequence[str | None]],
    logs: Sequence[np.ndarray],
    baseline_logs: Sequence[np.ndarray],
    tags: Sequence[str],
    counts: Sequence[int],
    *,
    baseline: str,
    known: Sequence[np.ndarray] | None = None,
) -> Evaluation:
    """Compares the tags of N sequences with the true ones.

    truth: the true tag of each step, None for a step that is not judged. logs, baseline_logs: ln P of the K tags at
    each step, (T, K) each. tags: the K tags of the model. counts: how many training steps had each. baseline: its name.
    known: whether the model knows the word of each step, (T,) each.
    """
    numbers = {tag: number for number, tag in enumerate(tags)}
    for sentence in truth:
        for tag in sentence:
            if tag is not None:
                numbers.setdefault(tag, len(numbers))
    names = tuple(numbers)
    judged = [np.array([tag is not None for tag in sentence], bool) for sentence in truth]
    true = np.array([numbers[tag] for sentence in truth for tag in sentence if tag is not None], np.int64)
    log = np.concatenate([one[mask] for one, mask in zip(logs, judged, strict=True)])
    said = log.argmax(1)
    confusion = np.zeros((len(names), len(names)), np.int64)
    np.add.at(confusion, (true, said), 1)
    picked = np.full(len(true), -np.inf)
    within = true < len(tags)
    picked[within] = log[within, true[within]]
    commonest = float((true == int(np.argmax(counts))).mean())
    steps = StepScores(names, confusion, float(-picked.mean()), commonest)
    marked = are_spans(tags)

    def span_scores(answers: Sequence[np.ndarray]) -> list[SpanScore]:
        if not marked:
            return []
        predicted = [[tags[k] for k in one.argmax(1)] for one in answers]
        return scores([[tag or "O" for tag in sentence] for sentence in truth], predicted)

    naive = np.concatenate([one[mask] for one, mask in zip(baseline_logs, judged, strict=True)]).argmax(1)
    return Evaluation(
        steps,
        span_scores(logs),
        None if known is None else np.concatenate([one[mask] for one, mask in zip(known, judged, strict=True)]),
        said == true,
        Judged(baseline, naive == true, span_scores(baseline_logs)),
        len(truth),
        names[len(tags) :],
    )
