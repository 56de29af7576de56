"""From examples to all that is decided before a classifier is trained."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from carousel.errors import DataError, option
from carousel.tasks.classification import choices, front_ends, splits
from carousel.tasks.classification.examples import Examples, Label
from carousel.tasks.classification.settings import Settings
from carousel.tasks.classification.steps import StoredSteps
from carousel.tasks.classification.trained import ensemble, steps_of
from carousel.tasks.table import listed
from carousel.training.progress import Report
from carousel.training.session import (
    parameter_count,
)

TELL_EVERY = 5.0  # seconds


@dataclass(frozen=True)
class Prepared:
    """All that is decided before a training begins; nothing is written yet.

    settings: with nothing left open but the steps of a training by the clock. truth: the number of each sequence's
    class; folds: the network that each is held out from, -1 for none."""

    settings: Settings
    classes: tuple[Label, ...]
    front_end: front_ends.FrontEnd
    steps: StoredSteps
    truth: np.ndarray
    folds: np.ndarray
    numbers: np.ndarray  # of each among the examples that were given

    @property
    def learnt(self) -> int:
        """How many are not held out from all networks."""
        return len(self.folds) if self.members > 1 else int((self.folds != 0).sum())

    @property
    def members(self) -> int:
        return int(self.folds.max()) + 1

    @property
    def steps_per_epoch(self) -> int:
        assert self.settings.batch is not None
        return -(-self.learnt // min(self.settings.batch, self.learnt))

    @property
    def model(self) -> dict[str, Any]:
        """The arguments of a network."""
        names = ("cell", "hidden", "layers", "bidirectional", "head", "embedding", "convolutions")
        model = {name: getattr(self.settings, name) for name in names}
        return model | choices.frames(self.settings, self.front_end.kind, self.steps.lengths)


def prepare(examples: Examples, settings: Settings, report: Report) -> Prepared:
    """Decide, and say, what the sequences and their classes are, what is held out and what network learns. Trains and
    writes nothing: split, with the front end fitted to what is learnt from, and without sequences that have no step.

    Raises DataError where the examples or a setting cannot be used."""
    labels = examples.require_labels("Training")
    classes = _classes(labels)
    numbers = {str(label): number for number, label in enumerate(classes)}
    _announce(examples, classes, report)
    truth = np.array([numbers[str(label)] for label in labels], np.int64)
    _require_several(truth, classes)
    folds = _folds(examples, truth, settings)
    learnt = examples if folds.max() > 0 else examples.at(np.flatnonzero(folds != 0))
    front_end = front_ends.fit(learnt, level=settings.level, differences=settings.differences)
    report.say(front_end.said)
    steps = _steps(front_end, examples, report)
    full, given = np.flatnonzero(steps.lengths > 0), np.arange(len(steps))
    if not len(full):
        raise DataError(
            f"None of the {len(steps):,} sequences has a step to learn from: steps at the end of a series at which "
            f"every value is missing (NaN, an empty field) are padding, and a text has a step for each of its words."
        )
    if len(full) < len(steps):
        empty = [examples.names[number] for number in np.flatnonzero(steps.lengths == 0).tolist()]
        report.say(f"left out, as they have no step: {listed(empty, 5)}")
        steps, truth, given, examples = steps.at(full), truth[full], full, examples.at(full.tolist())
        _require_several(truth, classes)
        folds = _folds(examples, truth, settings)
    prepared = Prepared(settings, classes, front_end, steps, truth, folds, given)
    threads = settings.threads or torch.get_num_threads()
    lengths = steps.lengths if prepared.members > 1 else steps.lengths[folds != 0]
    settings = choices.resolved(settings, front_end.kind, lengths, threads)
    prepared = replace(prepared, settings=settings)
    _announce_model(prepared, report, grouped=examples.groups is not None)
    return prepared


def _steps(front_end: front_ends.FrontEnd, examples: Examples, report: Report) -> StoredSteps:
    """All that the front end makes of the examples; of many recordings that takes a while, so it is told."""
    sequences, told = [], time.monotonic()
    for number in range(len(examples)):
        sequences.append(steps_of(front_end, examples, number))
        if time.monotonic() - told >= TELL_EVERY:
            report.say(f"read {number + 1:,} of {len(examples):,}")
            told = time.monotonic()
    return StoredSteps.of(sequences)


def _classes(labels: Sequence[Label]) -> tuple[Label, ...]:
    """Each class once, numbers in order and texts by alphabet."""
    each = {str(label): label for label in labels}
    numeric = all(isinstance(label, int | float) for label in each.values())
    return tuple(sorted(each.values(), key=(lambda label: label) if numeric else str))


def _require_several(truth: np.ndarray, classes: tuple[Label, ...]) -> None:
    there = np.unique(truth)
    if len(there) < 2:
        what = (
            f"all {len(truth):,} sequences are of the class {classes[there[0]]!r}" if len(there) else "there are none"
        )
        raise DataError(
            f"A classifier learns to tell classes apart, and {what}. Give sequences of two classes or more."
        )
    if len(there) == len(truth):
        raise DataError(
            f"Every one of the {len(truth):,} sequences is of a class of its own "
            f"({listed(list(map(str, classes)), 4)}), so nothing can be held out to judge on. "
            f"Is this the right column of classes ({option('label')})?"
        )


def _folds(examples: Examples, truth: np.ndarray, settings: Settings) -> np.ndarray:
    """The network that each example is held out from, -1 for none."""
    wanted = settings.folds or (choices.FOLDS if len(examples) <= choices.FEW else 1)
    labels = truth.tolist()
    if wanted == 1:
        held = splits.held_out(labels, examples.groups, settings.validation_share, settings.seed)
        return np.where(held, 0, -1)
    return splits.folds(labels, examples.groups, wanted, settings.seed)


def _announce(examples: Examples, classes: tuple[Label, ...], report: Report) -> None:
    for line in examples.said:
        report.say(line)
    counts = Counter(str(label) for label in examples.require_labels("Training"))
    few = [f"{label}: {counts[str(label)]:,}" for label in sorted(classes, key=lambda label: -counts[str(label)])]
    report.say(f"{len(examples):,} sequences of {len(classes)} classes ({listed(few, 12)})")
    if lone := [str(label) for label in classes if counts[str(label)] == 1]:
        report.say(f"only one sequence is of {listed(lone)}: nothing can tell how well such a class is learnt")
    if examples.groups is not None:
        groups = len(set(map(str, examples.groups)))
        report.say(f"{groups} groups; none is both learnt from and held out at a time")


def _announce_model(data: Prepared, report: Report, *, grouped: bool) -> None:
    settings, steps, members = data.settings, data.steps, data.members
    shortest, mean, longest = steps.lengths.min(), steps.lengths.mean(), steps.lengths.max()
    unit = data.front_end.unit
    report.say(f"{shortest:,} to {longest:,} {unit}s a sequence, {mean:,.0f} on average")
    how = "whole groups" if grouped else "as many of each class"
    if members > 1:
        report.say(
            f"{members} networks vote; each is judged on the {1 / members:.0%} that it does not learn from ({how})"
        )
    else:
        held = len(data.folds) - data.learnt
        report.say(f"{data.learnt:,} sequences to learn from, {held:,} to validate on ({how})")
    direction = "both directions" if settings.bidirectional else "forward"
    torch.manual_seed(settings.seed)
    network = ensemble(data.front_end, len(data.classes), data.model, members)
    dropped = choices.dropout(data.front_end.kind) if settings.dropout is None else settings.dropout
    report.say(
        f"model: {settings.cell}, {settings.layers} x {settings.hidden} units, {direction}, head {settings.head}"
        f"{_beside(data.model)}; "
        f"{parameter_count(network):,} parameters; dropout {dropped:g}; {settings.device}, {settings.threads} threads"
    )


def _beside(model: dict[str, Any]) -> str:
    if not model["convolutions"]:
        return ""
    every = f", a frame every {model['stride']} steps" if model["stride"] > 1 else ""
    over = f" over each sequence stretched to {model['points']} steps" if model["points"] else ""
    return f"; beside it three convolutions of {model['convolutions']} channels{over}{every}"
