"""The classifier of sequences as a Python user meets it, in scikit-learn's manners."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from carousel.errors import DataError, speaking
from carousel.insight.confusion import draw_confusion
from carousel.tasks.classification import answers, arrays, sources
from carousel.tasks.classification.early import Stream
from carousel.tasks.classification.preparation import Prepared, prepare
from carousel.tasks.classification.settings import Settings
from carousel.tasks.classification.trained import TrainedClassifier
from carousel.tasks.fitted_model import FittedModel
from carousel.tasks.sequences import objects, tables
from carousel.tasks.sequences.examples import Columns, Examples
from carousel.tasks.sequences.metrics import Evaluation
from carousel.tasks.table import give_back, kind_of, numbers_written
from carousel.training.progress import Report
from carousel.training.run_folder import RunFolder
from carousel.training.settings import explained_by


@explained_by(Settings)
class SequenceClassifier(FittedModel[TrainedClassifier]):
    """Learns to which class a sequence belongs: numbers over time, sound, or text.

        model = carousel.SequenceClassifier()
        model.fit(X, y)                         # X: (N, T, C), or a list of (T, C) of unequal length, or of strings
        model.predict(X), model.predict_proba(X), model.score(X, y)

        model.fit("BasicMotions_TRAIN.ts")      # anything that `carousel train` takes, or a table in long form
        model.save("runs/motions")
        model = carousel.SequenceClassifier.load("runs/motions")

        stream = model.stream()                 # with bidirectional=False: one step at a time
        stream.push(step).probabilities

    X is an array (N, T, C), or (N, T) for one channel, or with axes="NCT" (N, C, T); one that has more channels than
    steps is refused until `axes` says which of the two it is. Or a list of arrays (T, C) or (T,), of strings, or, with
    `rate` (samples a second), of sounds (n,); a pandas, polars or Arrow table of rows that share an id (`id`, `time`,
    `label`, `group` name its columns), or with a sequence in each row; or the name of a file or folder. NaN and what
    NumPy masks are missing values. y is the class of each: texts or numbers, or one-hot rows (N, K); tables and files
    bring their own. groups (speakers, subjects) are kept together where parts are held out.

    It has get_params, set_params, fit, predict and score, and can be cloned: cross_val_score and GridSearchCV work. fit
    seeds torch's global generator with `seed`. All methods but `fit`, `load` and `resume` raise RunError before `fit`,
    and DataError for data that they cannot read.

    rate: of sounds given as arrays, in samples a second; a trained model takes its own rate for theirs where none is
        given.
    verbose: whether to show how the training goes.
    """

    TASK = "classification"
    CALLED = "A classifier"
    _TRAINED = TrainedClassifier

    def __init__(
        self,
        *,
        cell: str = "gru",
        hidden: int = 64,
        layers: int = 1,
        bidirectional: bool = True,
        head: str = "attention",
        embedding: int = 64,
        convolutions: int | None = None,
        fixed_convolutions: int | None = None,
        dropout: float | None = None,
        learning_rate: float = 4e-3,
        minutes: float | None = None,
        epochs: float | None = None,
        folds: int | None = None,
        validation_share: float = 0.2,
        batch: int | None = None,
        class_weights: str = "none",
        label_smoothing: float = 0.1,
        augment: bool = True,
        level: str | None = None,
        differences: bool | None = None,
        label: str | None = None,
        id: str | Sequence[str] | None = None,
        time: str | Sequence[str] | None = None,
        text: str | None = None,
        file: str | None = None,
        group: str | None = None,
        names: str | None = None,
        axes: str | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        seed: int = 0,
        device: str = "auto",
        threads: int | None = None,
        rate: int | None = None,
        verbose: bool = False,
    ) -> None:
        self._store(locals())

    # -- scikit-learn's manners -------------------------------------------------------------------------------------

    def __sklearn_tags__(self) -> Any:
        """Asked by scikit-learn, which is not needed otherwise."""
        from sklearn.utils import ClassifierTags, InputTags, Tags, TargetTags

        return Tags(
            estimator_type="classifier",
            target_tags=TargetTags(required=False),
            classifier_tags=ClassifierTags(),
            input_tags=InputTags(two_d_array=True, three_d_array=True, string=True, allow_nan=True),
        )

    # -- learning ---------------------------------------------------------------------------------------------------

    @speaking(python=True)
    def fit(
        self, X: Any, y: Any = None, groups: Any = None, *, out: str | Path | None = None, report: Report | None = None
    ) -> Self:
        """Learns from sequences and their classes, and returns this object.

        X, y, groups: the sequences, the class of each, and the group of each; see the class.
        out: the run folder to keep; without it the run leaves nothing behind, and `save` writes one.
        report: is told of the progress. Default: nothing is shown, or with `verbose` the terminal.
        Raises DataError where the data or a parameter cannot be used, RunError where the run cannot be written,
        KeyboardInterrupt after Ctrl-C, when the step is finished; with `out` it is saved too, and `resume` goes on.
        """

        def prepared(settings: Settings, report: Report) -> Prepared:
            examples = self._examples(X, y, groups, rate=self.get_params()["rate"], columns=settings.columns)
            files = [sources.meant(Path(path), settings.columns)[0] for path in _paths_of(X)]
            return prepare(examples, settings, report, files)

        return self._learn(prepared, out=out, report=report)

    def _take(self, folder: RunFolder, device: str) -> None:
        super()._take(folder, device)
        self.classes_ = np.array(self.trained.classes)

    @speaking(python=True)
    def examples(self, X: Any) -> Examples:
        """The sequences X as this classifier reads them, with their names, and with classes where they bring any."""
        return self._asked(X)

    # -- answering --------------------------------------------------------------------------------------------------

    @speaking(python=True)
    def predict_proba(self, X: Any) -> np.ndarray:
        """P of each class for each sequence of X, (N, K) float64, in the order of `classes_`."""
        return np.exp(self._log_probabilities(X))

    @speaking(python=True)
    def predict(self, X: Any) -> np.ndarray:
        """The likeliest class of each sequence of X, (N,)."""
        chosen = self._log_probabilities(X).argmax(1)
        return self.classes_[chosen]

    @speaking(python=True)
    def answers(self, X: Any, *, every: int | None = None) -> Any:
        """A table with a row for each sequence: its name, its prediction, P of each class. It is of the kind that X is
        of, and a polars table where X is none.

        X: sequences, as for `fit`. every: a row after every so many steps of a sequence, and one at its end, instead.
        Raises DataError where X cannot be read, and for an `every` below 1.
        """
        trained, examples = self._fitted("asked"), self._asked(X)
        if every is not None and every < 1:
            raise DataError(f"Answers come after every so many steps, 1 or more, not {every}.")
        frame = answers.table(trained, examples) if every is None else answers.early_table(trained, examples, every)
        return give_back(frame, kind_of(X)) if objects.is_frame(X) else frame

    @speaking(python=True)
    def evaluate(self, X: Any, y: Any = None) -> Evaluation:
        """Accuracy, macro-F1, each class's figures and the confusion matrix, beside the commonest class's accuracy.

        X: sequences in any form that `fit` takes. y: their classes, if X does not bring them.
        Raises DataError where they cannot be read or have no classes.
        """
        return self._fitted("judged").evaluate(self._asked(X, y))

    @speaking(python=True)
    def score(self, X: Any, y: Any = None, sample_weight: Any = None) -> float:
        """The share of sequences that `predict` gets right, from 0 to 1.

        X, y: as for `evaluate`, whose errors it raises too. sample_weight: the weight of each sequence, (N,).
        """
        examples = self._asked(X, y)
        truth = examples.require_labels("Scoring")
        right = np.array([str(one) for one in truth]) == np.array([str(one) for one in self.predict(examples)])
        return float(np.average(right, weights=sample_weight))

    @speaking(python=True)
    def stream(self) -> Stream:
        """A `Stream`, which reads one sequence as it arrives. Raises DataError for a bidirectional model."""
        return Stream(self._fitted("asked"))

    @speaking(python=True)
    def plot_confusion(self, X: Any, y: Any = None, *, path: str | Path) -> Path:
        """Writes the confusion matrix of some sequences as a PNG picture to `path`, which it returns.

        X, y: as for `evaluate`, whose errors it raises too.
        """
        result = self.evaluate(X, y)
        draw_confusion(Path(path), result.confusion, result.classes, title=f"accuracy {result.accuracy:.1%}")
        return Path(path)

    def _log_probabilities(self, X: Any) -> np.ndarray:
        return self._fitted("asked").log_probabilities(X if isinstance(X, Examples) else self._asked(X))

    def _asked(self, X: Any, y: Any = None) -> Examples:
        trained = self._fitted("asked")
        channels = getattr(trained.front_end, "channels", ())
        rate = self.get_params()["rate"] or getattr(trained.front_end, "rate", None)
        return self._examples(X, y, None, rate=rate, columns=trained.columns, channels=channels, asked=True)

    @staticmethod
    def _examples(
        X: Any,
        y: Any,
        groups: Any,
        *,
        rate: int | None,
        columns: Columns,
        channels: tuple[str, ...] = (),
        asked: bool = False,
    ) -> Examples:
        if paths := _paths_of(X):
            return _with(sources.read_examples(paths, columns, channels=channels, asked=asked), y, groups)
        if objects.is_frame(X):
            with numbers_written(columns.decimal, columns.thousands):
                frame, said = objects.read_frame(X, columns)
            examples = tables.read_table(
                frame, "the table", columns, channels=channels, asked=asked, labelled=y is not None
            )
            return _with(replace(examples, said=(*said, *examples.said)), y, groups)
        X = list(X) if objects.is_column(X) else X
        return arrays.from_python(X, y, groups=groups, rate=rate, axes=columns.axes, channels=channels if asked else ())


def _paths_of(X: Any) -> list[str | Path]:
    """The files and folders that X names; none where X is data itself."""
    if isinstance(X, str | Path):
        return [X]
    return list(X) if isinstance(X, list | tuple) and all(isinstance(one, Path) for one in X) else []


def _with(examples: Examples, y: Any, groups: Any) -> Examples:
    """The examples with the classes and groups that are given beside them, instead of their own."""
    if y is None and groups is None:
        return examples
    given = arrays.from_python([""] * len(examples), y, groups=groups)
    return replace(
        examples,
        labels=given.labels if y is not None else examples.labels,
        groups=given.groups if groups is not None else examples.groups,
    )
