"""Everything that is decided before a classifier is trained, from examples."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from carousel.errors import DataError, option
from carousel.models.fixed_convolutions import KERNELS, FixedVote
from carousel.models.label_model import Ensemble
from carousel.tasks.classification import choices, fixed_vote
from carousel.tasks.classification.settings import Settings
from carousel.tasks.classification.trained import ensemble, steps_of
from carousel.tasks.sequences import front_ends, splits
from carousel.tasks.sequences.examples import Columns, Examples, Label
from carousel.tasks.sequences.steps import StoredSteps, said_lengths
from carousel.tasks.table import listed
from carousel.training.building import parameter_count
from carousel.training.progress import Report
from carousel.training.threads import choose_threads

REPORT_EVERY = 5.0  # seconds
MOST_NAMED = 50  # sequences held out whose names the run records
MOST_SOURCES = 1000  # files: of more, the run records none


@dataclass(frozen=True)
class Prepared:
    """Everything that is decided before a training (a `Preparation`): N sequences, their classes, and the networks.

    settings: every choice is made, except the steps of a training by the clock. truth: index of the class of each
    sequence, (N,) int64. folds: index of the network that each is held out from, (N,) int64, -1 for none.
    numbers: index of each sequence among all examples, (N,), as those without steps are left out. names: of all
    examples. grouped: whether sequences belong to groups. sources: the files and folders that they are from.
    """

    TASK: ClassVar[str] = "classification"
    DATA: ClassVar[str] = StoredSteps.FILE

    settings: Settings
    classes: tuple[Label, ...]
    front_end: front_ends.FrontEnd
    steps: StoredSteps
    truth: np.ndarray
    folds: np.ndarray
    numbers: np.ndarray
    names: Sequence[str]
    columns: Columns
    grouped: bool
    sources: Sequence[Path] = ()

    @property
    def learnt(self) -> int:
        """How many sequences at least one network learns from."""
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
        model["fixed"] = None
        if self.settings.fixed_convolutions and isinstance(self.front_end, front_ends.SeriesFrontEnd):
            lengths = self.steps.lengths if self.members > 1 else self.steps.lengths[self.folds != 0]
            model["fixed"] = fixed_vote.shape(self.settings.fixed_convolutions, len(self.front_end.channels), lengths)
        return model | choices.frames(self.settings, self.front_end.kind, self.steps.lengths)

    def network(self) -> Ensemble:
        return ensemble(self.front_end, len(self.classes), self.model, self.members)

    def write(self, folder: Path) -> dict[str, Any]:
        """Writes the steps of all sequences, their classes and their folds."""
        self.steps.save(folder, labels=self.truth, folds=self.folds)
        return {
            "classes": list(self.classes),
            "counts": np.bincount(self.truth, minlength=len(self.classes)).tolist(),
            "columns": asdict(self.columns),
            "front_end": self.front_end.to_json(),
            "model": self.model,
            "members": self.members,
            "grouped": self.grouped,
            "sources": [str(path.absolute()) for path in self.sources] if len(self.sources) <= MOST_SOURCES else [],
            "held_out": self._held_out(),
        }

    def _held_out(self) -> list[dict[str, Any]]:
        """Some sequences that were held out, spread over the data: index, name, and the network that each was held out
        from."""
        held = np.flatnonzero(self.folds >= 0)
        some = held[np.unique(np.linspace(0, len(held) - 1, min(MOST_NAMED, len(held))).round().astype(int))]
        return [
            {"number": int(number), "name": self.names[number], "network": int(fold)}
            for number, fold in zip(self.numbers[some], self.folds[some], strict=True)
        ]


def prepare(examples: Examples, settings: Settings, report: Report, sources: Sequence[Path] = ()) -> Prepared:
    """Decides and reports what the sequences and their classes are, which are held out, and which network learns.

    The front end is fitted to the sequences that are learnt from; sequences without a step are left out. Trains and
    writes nothing. Raises DataError where the examples or a setting cannot be used."""
    names, columns, grouped = examples.names, examples.columns, examples.groups is not None
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
    prepared = Prepared(settings, classes, front_end, steps, truth, folds, given, names, columns, grouped, sources)
    threads = choose_threads(settings, report.say)
    lengths = steps.lengths if prepared.members > 1 else steps.lengths[folds != 0]
    settings = choices.resolved(settings, front_end.kind, lengths, threads)
    prepared = replace(prepared, settings=settings)
    _announce_model(prepared, report)
    return prepared


def _steps(front_end: front_ends.FrontEnd, examples: Examples, report: Report) -> StoredSteps:
    """The steps that the front end makes of the examples. Many recordings take a while, so progress is reported."""
    sequences, reported = [], time.monotonic()
    for number in range(len(examples)):
        sequences.append(steps_of(front_end, examples, number))
        if time.monotonic() - reported >= REPORT_EVERY:
            report.say(f"read {number + 1:,} of {len(examples):,}")
            reported = time.monotonic()
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


def _announce_model(data: Prepared, report: Report) -> None:
    settings, steps, members = data.settings, data.steps, data.members
    report.say(said_lengths(steps.lengths, data.front_end.unit))
    how = "whole groups" if data.grouped else "as many of each class"
    if members > 1:
        report.say(
            f"{members} networks vote; each is judged on the {1 / members:.0%} that it does not learn from ({how})"
        )
    else:
        held = len(data.folds) - data.learnt
        report.say(f"{data.learnt:,} sequences to learn from, {held:,} to validate on ({how})")
    direction = "both directions" if settings.bidirectional else "forward"
    torch.manual_seed(settings.seed)
    network = data.network()
    dropped = choices.dropout(data.front_end.kind) if settings.dropout is None else settings.dropout
    report.say(
        f"model: {settings.cell}, {settings.layers} x {settings.hidden} units, {direction}, head {settings.head}"
        f"{_beside(data.model)}; "
        f"{parameter_count(network):,} parameters; dropout {dropped:g}; {settings.device}, {settings.threads} threads"
    )
    if network.fixed is not None:
        report.say(_fixed(network.fixed))


def _fixed(vote: FixedVote) -> str:
    beside = vote.convolutions
    return (
        f"fixed convolutions vote beside them: shares of time at which {len(KERNELS)} kernels at "
        f"{len(beside.dilations)} dilations find their shape, {beside.width:,} in all (MiniRocket), by ridge regression"
    )


def _beside(model: dict[str, Any]) -> str:
    if not model["convolutions"]:
        return ""
    every = f", a frame every {model['stride']} steps" if model["stride"] > 1 else ""
    over = f" over each sequence stretched to {model['points']} steps" if model["points"] else ""
    return f"; beside it three convolutions of {model['convolutions']} channels{over}{every}"
