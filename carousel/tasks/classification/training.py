"""From examples to a finished run."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from carousel.insight.confusion import draw_confusion
from carousel.tasks.classification import choices, verdict
from carousel.tasks.classification.examples import Examples
from carousel.tasks.classification.learning import Learning
from carousel.tasks.classification.metrics import Evaluation, evaluate
from carousel.tasks.classification.preparation import Prepared, prepare
from carousel.tasks.classification.settings import Settings
from carousel.tasks.classification.steps import StoredSteps
from carousel.tasks.classification.trained import TrainedClassifier, ensemble
from carousel.training.batches import ShuffledBatches
from carousel.training.loop import Loop
from carousel.training.measure import Measure
from carousel.training.progress import Report
from carousel.training.run import Run
from carousel.training.run_cell import hash_of
from carousel.training.run_folder import RunFolder
from carousel.training.session import (
    announce_start,
    carry_out,
    draw_curve,
    record_final,
    require_space_for,
    versions,
)

MEASURE = Measure("sequence")
REMEMBERED = 50  # sequences held out that the run can name
MOST_SOURCES = 1000  # files: of more, the run remembers none


def train(
    examples: Examples,
    settings: Settings,
    *,
    out: Path,
    report: Report,
    kept: bool = True,
    sources: Sequence[Path] = (),
) -> None:
    """A new run in `out`, from examples to the end of its budget. kept: it stays there, so that pictures of its
    learning curve and confusion matrix are worth while. sources: the files and folders that the examples are from,
    which the run remembers."""
    RunFolder.require_unused(out)
    data = prepare(examples, settings, report)
    settings = data.settings
    if settings.threads:
        torch.set_num_threads(settings.threads)
    require_space_for(ensemble(data.front_end, len(data.classes), data.model, data.members), out)
    folder = RunFolder.create(out, kept=kept, cell=settings.cell)
    try:
        data.steps.save(folder.path, labels=data.truth, folds=data.folds)
        folder.write_config(
            {
                "task": "classification",
                "versions": versions(),
                "settings": asdict(settings),
                "classes": list(data.classes),
                "counts": np.bincount(data.truth, minlength=len(data.classes)).tolist(),
                "columns": asdict(examples.columns),
                "front_end": data.front_end.to_json(),
                "model": data.model,
                "members": data.members,
                "grouped": examples.groups is not None,
                "sources": [str(path.absolute()) for path in sources] if len(sources) <= MOST_SOURCES else [],
                "held_out": _remembered(data, examples),
                **hash_of(settings.cell),
            },
            data=[StoredSteps.FILE],
        )
    except BaseException:
        folder.discard(StoredSteps.FILE)
        raise
    continue_run(folder, report, resuming=False)


def continue_run(folder: RunFolder, report: Report, *, resuming: bool) -> None:
    """Train from where the folder stands to the end, then judge the best networks on what each held out."""
    config = folder.config()
    with folder.reading_config():
        settings = Settings(**config["settings"])
        torch.manual_seed(settings.seed)
        trained = TrainedClassifier.described_by(folder, config, trained=False, device=str(settings.torch_device))
    if resuming:
        folder.data(StoredSteps.FILE, StoredSteps.WHAT)
    steps, truth, folds = _stored(folder, trained)
    network = trained.network.train()
    network.set_dropout(choices.dropout(trained.front_end.kind) if settings.dropout is None else settings.dropout)
    if not trained.front_end.symbolic:
        for k, member in enumerate(network.members):
            member.standardize_on(steps[number] for number in np.flatnonzero(folds != k).tolist())
    learning = Learning(
        steps,
        truth,
        folds,
        augmentation=choices.augmentation(trained.front_end.kind, settings),
        class_weights=_weights(trained, settings),
        label_smoothing=settings.label_smoothing,
        device=settings.torch_device,
    )
    batches = ShuffledBatches(len(learning.learnt), settings.batch or 1, learning.loss, seed=settings.seed)
    judge = _Judge(learning, trained)
    baseline = ("class frequencies", _entropy(truth, learning))
    report.begin(MEASURE, baseline, samples="on the sequences held out")
    run = Run(
        Loop(network, batches, peak_rate=settings.learning_rate, device=settings.torch_device),
        folder,
        settings.budget,
        validate=judge.validate,
        sample=lambda steps: judge.summary(),  # noqa: ARG005
        planned=_planner(report),
        measure=MEASURE,
        validation_measure=MEASURE,
        report=report,
    )
    if not resuming:
        words = f"{baseline[0]}, {MEASURE.words(baseline[1])}"
        announce_start(folder, settings, network.members[0].recurrent.explain(), words, report)
    carry_out(run, report, resuming=resuming)
    baselines = verdict.baselines(steps, truth, folds, trained.front_end, seed=settings.seed)
    result = _conclude(folder, judge, baselines, report)
    if folder.kept:
        _draw(folder, result, baseline)


def _stored(folder: RunFolder, trained: TrainedClassifier) -> tuple[StoredSteps, np.ndarray, np.ndarray]:
    """The steps that the run learns from, the number of each sequence's class, and the network that each is held out
    from. Raises RunError where they are not those of this run."""
    steps, arrays = StoredSteps.load(folder.path)
    front_end, limits = trained.front_end, {"labels": (0, len(trained.classes))}
    limits["folds"] = (-1, len(trained.network.members))
    flat, lengths = steps.flat, steps.lengths
    whole = flat.dtype in ((np.int64,) if front_end.symbolic else (np.float32, np.float64))
    whole = whole and flat.shape == ((len(flat),) if front_end.symbolic else (len(flat), front_end.size))
    whole = whole and bool((lengths >= 0).all()) and int(lengths.sum()) == len(flat)
    if whole and front_end.symbolic and len(flat):
        whole = flat.min() >= 0 and flat.max() < front_end.size
    for name, (least, beyond) in limits.items():
        array = arrays.get(name, np.zeros(0))
        whole = whole and array.dtype == np.int64 and array.shape == lengths.shape
        whole = whole and bool(np.all((array >= least) & (array < beyond)))
    if not whole:
        raise folder.lost_data(StoredSteps.FILE, StoredSteps.WHAT, "holds others")
    return steps, arrays["labels"], arrays["folds"]


class _Judge:
    """Judges the networks on what each of them holds out, and remembers the last judgement."""

    def __init__(self, learning: Learning, trained: TrainedClassifier) -> None:
        self.learning, self.trained = learning, trained
        self.latest: Evaluation | None = None
        self.right = np.zeros(len(learning.labels), bool)  # which sequences were answered rightly

    def validate(self) -> float:
        held, learning = self.learning.held, self.learning
        answers = learning.held_out(self.trained.network)[held]
        self.right[held] = answers.argmax(1) == learning.labels[held]
        self.latest = evaluate(learning.labels[held], answers, self.trained.classes, self.trained.commonest)
        return self.latest.nats

    def summary(self) -> str:
        assert self.latest is not None
        return f"accuracy {self.latest.accuracy:.1%}, macro-F1 {self.latest.macro_f1:.1%}"


def _conclude(
    folder: RunFolder, judge: _Judge, baselines: Sequence[verdict.BaselineScore], report: Report
) -> Evaluation:
    folder.load_into(judge.trained.network)
    judge.trained.network.to(judge.learning.device)
    judge.validate()
    assert judge.latest is not None
    result = judge.latest
    record_final(
        folder,
        final=result.nats,
        accuracy=result.accuracy,
        macro_f1=result.macro_f1,
        baseline=result.baseline,
        sequences=result.count,
        baselines={baseline.name: baseline.accuracy for baseline in baselines},
    )
    (folder.path / StoredSteps.FILE).unlink(missing_ok=True)  # the data are the user's; a finished run needs no copy
    report.say(
        f"best model: {judge.summary()} on {result.count:,} sequences held out; always the commonest class: "
        f"{result.baseline:.1%}"
    )
    for line in verdict.said(result, judge.right, baselines):
        report.say(line)
    if len(judge.trained.network.members) > 1:
        report.say(
            f"each was judged by the one network that had not learnt from it; new ones get the vote of all "
            f"{len(judge.trained.network.members)}"
        )
    return result


def _draw(folder: RunFolder, result: Evaluation, baseline: tuple[str, float]) -> None:
    draw_curve(folder, MEASURE, baseline, x_label="epochs (times over the training sequences)")
    draw_confusion(
        folder.path / "confusion.png",
        result.confusion,
        result.classes,
        title=f"{folder.path.name}: sequences held out, accuracy {result.accuracy:.1%}",
    )


def _remembered(data: Prepared, examples: Examples) -> list[dict[str, Any]]:
    """Some sequences that were held out, all over the data: by number and name, and the network that has not seen
    each."""
    held = np.flatnonzero(data.folds >= 0)
    some = held[np.unique(np.linspace(0, len(held) - 1, min(REMEMBERED, len(held))).round().astype(int))]
    return [
        {"number": int(number), "name": examples.names[number], "network": int(fold)}
        for number, fold in zip(data.numbers[some], data.folds[some], strict=True)
    ]


# -- the parts of a run ---------------------------------------------------------------------------------------------


def _weights(trained: TrainedClassifier, settings: Settings) -> torch.Tensor | None:
    """Balanced: n / (K · n_c) for class c, so that every class weighs as much as every other (King and Zeng 2001)."""
    if settings.class_weights == "none":
        return None
    counts = torch.tensor(trained.counts, dtype=torch.float32)
    return torch.where(counts > 0, counts.sum() / (len(counts) * counts.clamp(min=1)), 0.0)


def _entropy(truth: np.ndarray, learning: Learning) -> float:
    """Mean -ln of the frequency of the class, over what is held out: what knowing frequencies alone would lose."""
    counts = np.bincount(truth)
    return float(-np.log(counts[truth[learning.held]] / counts.sum()).mean())


def _planner(report: Report) -> Callable[[Loop], None]:
    def planned(loop: Loop) -> None:
        assert loop.plan is not None
        times = loop.plan.steps / loop.batches.steps_per_epoch
        report.say(f"{loop.plan.steps:,} steps, {times:.1f} times over the training sequences")

    return planned


# -- what is said ---------------------------------------------------------------------------------------------------
