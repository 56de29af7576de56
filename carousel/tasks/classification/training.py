"""The training of a classifier: its networks, their batches and losses, from the sequences that a run folder holds."""

import numpy as np
import torch

from carousel.insight.confusion import draw_confusion
from carousel.models.label_model import Ensemble
from carousel.tasks.classification import choices, fixed_vote, verdict
from carousel.tasks.classification.learning import Learning
from carousel.tasks.classification.preparation import Prepared
from carousel.tasks.classification.settings import Settings
from carousel.tasks.classification.trained import TrainedClassifier
from carousel.tasks.sequences.metrics import Evaluation, evaluate
from carousel.tasks.sequences.steps import StoredSteps
from carousel.tasks.verdict import longer
from carousel.training.batches import ShuffledBatches
from carousel.training.measure import Measure
from carousel.training.run_folder import RunFolder
from carousel.training.task_run import Judgement, TaskRun


class ClassificationRun(TaskRun):
    """A training of a classifier on the sequences in a run folder. check: whether the file is as it was written.

    right: which sequences were classified correctly at the last validation, by the network that holds them out, (N,).
    alone: the accuracy of the networks there, without the vote of fixed convolutions.
    """

    measure = validation_measure = Measure("sequence")
    reads = "training sequences"
    samples = "on the sequences held out"
    unneeded = (StoredSteps.FILE,)  # the data are the user's: a finished run needs no copy of them

    network: Ensemble

    def __init__(self, folder: RunFolder, *, check: bool) -> None:
        config = folder.config()
        with folder.reading_config():
            self.settings = settings = Settings(**config["settings"])
            torch.manual_seed(settings.seed)
            device = str(settings.torch_device)
            self.trained = trained = TrainedClassifier.described_by(folder, config, trained=False, device=device)
        if check:
            folder.data(StoredSteps.FILE, StoredSteps.WHAT)
        self.steps, self.truth, self.folds = _stored(folder, trained)
        kind = trained.front_end.kind
        self.network = trained.network.train()
        self.network.set_dropout(choices.dropout(kind) if settings.dropout is None else settings.dropout)
        self.recurrent = self.network.members[0].recurrent
        if (members := len(self.network.members)) > 1:
            self.samples = f"each sequence judged by the one of {members} networks that does not learn from it"
        if not trained.front_end.symbolic:
            for k, member in enumerate(self.network.members):
                member.standardize_on(self.steps[number] for number in np.flatnonzero(self.folds != k).tolist())
        self.learning = Learning(
            self.steps,
            self.truth,
            self.folds,
            augmentation=choices.augmentation(kind, settings),
            class_weights=class_weights(trained, settings),
            label_smoothing=settings.label_smoothing,
            device=settings.torch_device,
        )
        self.batches = ShuffledBatches(
            len(self.learning.learnt), settings.batch or 1, self.learning.loss, seed=settings.seed
        )
        self.baseline = ("class frequencies", _entropy(self.truth, self.learning))
        vote = self.network.fixed
        self.scores = None if vote is None else fixed_vote.fit(vote, self.learning, seed=settings.seed)
        self.latest: Evaluation | None = None
        self.alone = 0.0
        self.right = np.zeros(len(self.truth), bool)

    def validate(self) -> float:
        """The mean of -ln P(true class), in nats, each sequence judged by the network that holds it out."""
        held, labels = self.learning.held, self.learning.labels
        answers = self.learning.held_out(self.network)[held]
        self.alone = float(np.mean(answers.argmax(1) == labels[held]))
        if self.network.fixed is not None and self.scores is not None:
            answers = fixed_vote.weigh(self.network.fixed, answers, self.scores[held], labels[held])
        self.right[held] = answers.argmax(1) == labels[held]
        self.latest = evaluate(labels[held], answers, self.trained.classes, self.trained.commonest)
        return self.latest.nats

    def sample(self, step: int) -> str:  # noqa: ARG002
        assert self.latest is not None
        return f"accuracy {self.latest.accuracy:.1%}, macro-F1 {self.latest.macro_f1:.1%}"

    def dropout_for(self, epochs: float) -> None:
        """None: the dropout does not depend on the length of the training, and the preparation reported it."""

    def judge(self) -> Judgement:
        """Judges the networks beside the models that people would use instead; see `verdict`."""
        baselines = verdict.baselines(
            self.steps, self.truth, self.folds, self.trained.front_end, seed=self.settings.seed
        )
        self.validate()
        result, members = self.latest, len(self.network.members)
        assert result is not None
        record = {
            "final": result.nats,
            "accuracy": result.accuracy,
            "macro_f1": result.macro_f1,
            "baseline": result.baseline,
            "sequences": result.count,
            "baselines": {baseline.name: baseline.accuracy for baseline in baselines},
        }
        lines = [
            f"best model: {self.sample(0)} on {result.count:,} sequences held out; always the commonest class: "
            f"{result.baseline:.1%}",
        ]
        if members > 1:
            lines.append(
                f"each was judged by the one network that had not learnt from it; new ones get the vote of all "
                f"{members}"
            )
        if self.network.fixed is not None:
            share = float(self.network.fixed.share)
            lines.append(
                f"of the vote {share:.0%} is that of the fixed convolutions, a share that was chosen on the same "
                f"sequences held out; the networks alone: accuracy {self.alone:.1%}"
                if share
                else "fixed convolutions were tried beside the networks, and have no vote: with one there would be as "
                "many errors on the sequences held out"
            )
        advice = f"{longer(self.settings)}, or give more sequences"
        lines += verdict.said(result, self.right, baselines, advice=advice)
        return Judgement(record, tuple(lines))

    def draw(self, folder: RunFolder) -> None:
        """Draws the learning curve and the confusion matrix."""
        super().draw(folder)
        assert self.latest is not None
        draw_confusion(
            folder.path / "confusion.png",
            self.latest.confusion,
            self.latest.classes,
            title=f"{folder.path.name}: sequences held out, accuracy {self.latest.accuracy:.1%}",
        )


def open_run(folder: RunFolder, prepared: Prepared | None = None) -> ClassificationRun:
    """See `carousel.training.task_run.OpenRun`."""
    return ClassificationRun(folder, check=prepared is None)


def _stored(folder: RunFolder, trained: TrainedClassifier) -> tuple[StoredSteps, np.ndarray, np.ndarray]:
    """The sequences of the run, the class of each (its index), and the index of the network that holds it out.

    Raises RunError where they do not fit this run's networks and classes."""
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


def class_weights(trained: TrainedClassifier, settings: Settings) -> torch.Tensor | None:
    """The weights of the classes, (K,), or None where all weigh 1.

    Balanced: n / (K · n_c) for class c, so that every class weighs as much as every other (King and Zeng 2001)."""
    if settings.class_weights == "none":
        return None
    counts = torch.tensor(trained.counts, dtype=torch.float32)
    return torch.where(counts > 0, counts.sum() / (len(counts) * counts.clamp(min=1)), 0.0)


def _entropy(truth: np.ndarray, learning: Learning) -> float:
    """The loss of a model that knows only how frequent each class is: mean -ln(n_c / n) over the sequences held out."""
    counts = np.bincount(truth)
    return float(-np.log(counts[truth[learning.held]] / counts.sum()).mean())
