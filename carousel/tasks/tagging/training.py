"""The training of a tagger: its network, batches and losses, from the sequences that a run folder holds."""

from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from carousel.insight.confusion import draw_confusion
from carousel.models.tag_model import TagModel
from carousel.tasks.tagging import baselines
from carousel.tasks.tagging.preparation import Prepared
from carousel.tasks.tagging.scoring import Evaluation, evaluate
from carousel.tasks.tagging.settings import Settings
from carousel.tasks.tagging.store import TEST, TRAINING, UNTAGGED, VALIDATION, Reading, Store, padded_tags
from carousel.tasks.tagging.trained import TrainedTagger, answers, of_words
from carousel.tasks.tagging.verdict import said
from carousel.tasks.tagging.words import WordFrontEnd
from carousel.tasks.verdict import longer
from carousel.training.batches import ShuffledBatches
from carousel.training.measure import Measure
from carousel.training.run_folder import RunFolder
from carousel.training.task_run import Judgement, TaskRun

WHAT = "the sequences that this run learns from"


class TaggingRun(TaskRun):
    """A training of a tagger on the sequences in a run folder. check: whether the file is as it was written."""

    reads = "training sequences"
    samples = "on the sequences held out"
    unneeded = (Prepared.DATA,)  # the data are the user's: a finished run needs no copy of them

    network: TagModel

    def __init__(self, folder: RunFolder, *, check: bool) -> None:
        config = folder.config()
        with folder.reading_config():
            self.settings = settings = Settings(**config["settings"])
            strange = tuple(config["strange"])
            torch.manual_seed(settings.seed)
            device = str(settings.torch_device)
            self.trained = trained = TrainedTagger.described_by(folder, config, trained=False, device=device)
        if check:
            folder.data(Prepared.DATA, WHAT)
        self.names = (*trained.tags, *strange)
        self.store = store = _stored(folder, trained, len(self.names))
        self.network = trained.network.train()
        self.network.set_dropout(settings.dropout or 0.0)
        self.network.forget = settings.forget
        self.recurrent = self.network.recurrent
        self.learnt = store.of_part(TRAINING)
        words = trained.front_end if isinstance(trained.front_end, WordFrontEnd) else None
        if words is None:
            self.network.standardize_on(store.steps[number] for number in self.learnt.tolist())
        self.reading = Reading(store.steps, device, words, store.forms)
        lengths = store.steps.lengths[self.learnt]
        self.batches = ShuffledBatches(
            len(self.learnt), settings.batch or 1, self._loss, seed=settings.seed, sizes=lengths
        )
        unit = trained.front_end.unit
        self.measure = self.validation_measure = Measure(unit)
        naive = self._baseline(store.of_part(VALIDATION))
        self.baseline = (trained.baseline.name, self._nats(store.of_part(VALIDATION), naive))
        self.latest: Evaluation | None = None

    def _loss(self, model: nn.Module, chosen: Tensor) -> Tensor:
        """The mean cross-entropy in nats over the tagged steps of a batch. chosen: indices into `learnt`, (batch,)."""
        numbers = self.learnt[chosen.numpy()]
        x, lengths, spelled = self.reading.batch(numbers)
        scores = cast(TagModel, model)(x, lengths, spelled)
        truth = padded_tags(self.store, numbers).to(scores.device)
        total = functional.cross_entropy(scores.flatten(0, 1), truth.flatten(), ignore_index=UNTAGGED, reduction="sum")
        return total / max(1, int((truth != UNTAGGED).sum()))

    def validate(self) -> float:
        """The mean of -ln P(true tag) in nats over the validation steps whose tags training knows."""
        held = self.store.of_part(VALIDATION)
        logs = answers(self.network, self.reading, held)
        self.latest = self._evaluation(held, logs)
        return self._nats(held, logs)

    def sample(self, step: int) -> str:  # noqa: ARG002
        assert self.latest is not None
        spans = "" if self.latest.f1 is None else f", span F1 {self.latest.f1:.1%}"
        return f"accuracy {self.latest.accuracy:.1%}{spans}"

    def dropout_for(self, epochs: float) -> None:
        """None: the dropout does not depend on the length of the training, and the preparation reported it."""

    def judge(self) -> Judgement:
        """Judges the best model beside the naive baseline, on the validation data and, where there are some, on the
        test data."""
        nats = self.validate()
        assert self.latest is not None
        record = {"final": nats, **_figures(self.latest)}
        unit, advice = self.trained.front_end.unit, f"{longer(self.settings)}, or give more data"
        lines = said(self.latest, "held out", unit, advice=advice)
        test = self.store.of_part(TEST)
        if len(test):
            result = self._evaluation(test, answers(self.network, self.reading, test))
            record["test"] = _figures(result)
            lines += said(result, "of the test data", unit, advice=advice)
        return Judgement(record, tuple(lines))

    def draw(self, folder: RunFolder) -> None:
        """Draws the learning curve and the confusion matrix."""
        super().draw(folder)
        assert self.latest is not None
        draw_confusion(
            folder.path / "confusion.png",
            self.latest.steps.confusion,
            self.latest.steps.classes,
            title=f"{folder.path.name}: sequences held out, accuracy {self.latest.accuracy:.1%}",
        )

    def _evaluation(self, numbers: np.ndarray, logs: list[np.ndarray]) -> Evaluation:
        trained, front_end = self.trained, self.trained.front_end
        truth = [
            [None if tag == UNTAGGED else self.names[tag] for tag in self.store.tags_of(number)] for number in numbers
        ]
        known = None
        if isinstance(front_end, WordFrontEnd):
            knows = np.array([front_end.knows(form) for form in self.store.forms], bool)
            known = [knows[self.store.steps[number]] for number in numbers]
        return evaluate(
            truth,
            logs,
            self._baseline(numbers),
            trained.tags,
            trained.counts,
            baseline=trained.baseline.name,
            known=known,
        )

    def _baseline(self, numbers: np.ndarray) -> list[np.ndarray]:
        """ln P of each tag at each step of some sequences, by the naive baseline."""
        baseline = self.trained.baseline
        if isinstance(baseline, baselines.TagCounts):
            return of_words(baseline, [self.store.words_of(number) for number in numbers])
        return [baseline.log_probabilities(self.store.steps[number]) for number in numbers]

    def _nats(self, numbers: np.ndarray, logs: list[np.ndarray]) -> float:
        """The mean of -ln P(true tag) over the steps whose tag training knows; 0 without any."""
        total, count = 0.0, 0
        for number, log in zip(numbers, logs, strict=True):
            truth = self.store.tags_of(number)
            there = np.flatnonzero((truth >= 0) & (truth < len(self.trained.tags)))
            total -= float(log[there, truth[there]].sum())
            count += len(there)
        return total / max(1, count)


def open_run(folder: RunFolder, prepared: Prepared | None = None) -> TaggingRun:
    """See `carousel.training.task_run.OpenRun`."""
    return TaggingRun(folder, check=prepared is None)


def _figures(result: Evaluation) -> dict[str, object]:
    figures: dict[str, object] = {
        "accuracy": result.accuracy,
        "baseline_accuracy": result.baseline.accuracy,
        "steps": result.steps.count,
        "sequences": result.sequences,
    }
    if result.f1 is not None:
        figures |= {"span_f1": result.f1, "baseline_span_f1": result.baseline.spans[0].f1}
    if result.unknown:
        figures |= {"unknown": result.unknown, "unknown_accuracy": result.unknown_accuracy}
    return figures


def _stored(folder: RunFolder, trained: TrainedTagger, tags: int) -> Store:
    """The sequences of the run. Raises RunError where they do not fit this run's network and tags."""
    front_end = trained.front_end
    try:
        store = Store.load(folder.path)
        flat = store.steps.flat
        if isinstance(front_end, WordFrontEnd):
            fits = flat.dtype == np.int64 and bool(store.forms)
        else:
            fits = flat.dtype == np.float32 and flat.shape == (len(flat), front_end.size)
        fits = fits and bool((store.tags >= UNTAGGED).all() and (store.tags < tags).all())
        fits = fits and len(store.of_part(TRAINING)) > 0 and len(store.of_part(VALIDATION)) > 0
    except (KeyError, ValueError):
        fits = False
    if not fits:
        raise folder.lost_data(Prepared.DATA, WHAT, "holds others")
    return store
