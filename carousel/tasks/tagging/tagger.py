"""The tagger as a Python user meets it, in scikit-learn's manners."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from carousel.errors import DataError, speaking
from carousel.tasks.files import paths_in
from carousel.tasks.fitted_model import FittedModel
from carousel.tasks.sequences.examples import Columns, channel_names
from carousel.tasks.sequences.objects import is_frame
from carousel.tasks.tagging import answers, preparation, rows, sources
from carousel.tasks.tagging.answers import TaggedText
from carousel.tasks.tagging.scoring import Evaluation
from carousel.tasks.tagging.settings import Settings
from carousel.tasks.tagging.tagged import Tagged
from carousel.tasks.tagging.trained import TrainedTagger
from carousel.training.progress import Report
from carousel.training.run_folder import RunFolder
from carousel.training.settings import explained_by


@explained_by(Settings)
class Tagger(FittedModel[TrainedTagger]):
    """Learns the tag of every step of a sequence: of words, of rows of numbers, of frames of sound.

        model = carousel.Tagger()
        model.fit(sentences, tags)          # sentences: lists of words; tags: a list of tags for each
        model.predict(sentences), model.predict_proba(sentences), model.score(sentences, tags)
        model.tag("The clouds are in the sky.")

        model.fit("train.conllu")           # anything that `carousel train` takes
        model.save("runs/english")
        model = carousel.Tagger.load("runs/english")

    X is a list of sentences, each a list of words (or a text, which white space divides), or of arrays (T, C) of
    numbers, NaN for a missing one; a pandas, polars or Arrow table of rows that share an id; or the name of a file.
    y has a list of tags for each sequence, None for a step without one; tables and files bring their own.

    The parameters are those of `Settings`, with the same defaults, and

    verbose: show how the training goes.

    It has get_params, set_params, fit, predict and score, and can be cloned. fit seeds torch's global generator with
    `seed`.
    """

    TASK = "tagging"
    CALLED = "A tagger"
    _TRAINED = TrainedTagger

    def __init__(
        self,
        *,
        cell: str = "lstm",
        hidden: int = 128,
        layers: int = 1,
        bidirectional: bool = True,
        embedding: int = 100,
        character_hidden: int = 48,
        dropout: float | None = None,
        forget: float = 0.1,
        learning_rate: float = 4e-3,
        minutes: float | None = None,
        epochs: float | None = None,
        validation_share: float = 0.1,
        validation_file: str | None = None,
        test_file: str | None = None,
        batch: int | None = None,
        label: str | None = None,
        word: str | None = None,
        id: str | Sequence[str] | None = None,
        time: str | Sequence[str] | None = None,
        file: str | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        seed: int = 0,
        device: str = "auto",
        threads: int | None = None,
        verbose: bool = False,
    ) -> None:
        self._store(locals())

    # -- learning ---------------------------------------------------------------------------------------------------

    @speaking(python=True)
    def fit(self, X: Any, y: Any = None, *, out: str | Path | None = None, report: Report | None = None) -> Self:
        """Learn from sequences and the tags of their steps.

        X, y: as the class says; y is left out where X is a file or a table. report: is told of the progress.
        out: the run folder to keep; without it the run leaves nothing behind, and `save` writes one.
        Raises DataError where the data or a parameter cannot be used, RunError where the run cannot be written,
        KeyboardInterrupt after Ctrl-C, when the step is finished; with `out` it is saved too, and `resume` goes on.
        """

        def prepared(settings: Settings, report: Report) -> preparation.Prepared:
            files = paths_in(X) if _names_files(X) else []
            parts = sources.PartFiles(files, settings)
            for line in parts.said:
                report.say(line)

            def beside(path: Path | None) -> Tagged | None:
                return None if path is None else sources.read([path], settings)

            return preparation.prepare(
                sources.read(parts.train, settings) if files else _from_python(X, y, settings),
                settings,
                report,
                validation=beside(parts.validation),
                test=beside(parts.test),
                sources=parts.train,
            )

        return self._learn(prepared, out=out, report=report)

    def _take(self, folder: RunFolder, device: str) -> None:
        super()._take(folder, device)
        self.classes_ = np.array(self.trained.tags)

    # -- answering --------------------------------------------------------------------------------------------------

    @speaking(python=True)
    def predict(self, X: Any) -> list[list[str]]:
        """The likeliest tag of each step, a list for each sequence.

        X: as for `fit`. Raises RunError before `fit`, DataError for sequences that the model cannot read.
        """
        trained = self._fitted("asked")
        return [[trained.tags[k] for k in log.argmax(1).tolist()] for log in trained.log_probabilities(self._asked(X))]

    @speaking(python=True)
    def predict_proba(self, X: Any) -> list[np.ndarray]:
        """P of each tag, in the order of `classes_`, at each step, (T, tags) float64 for each sequence.

        X: as for `fit`. Raises RunError before `fit`, DataError for sequences that the model cannot read.
        """
        return [np.exp(log) for log in self._fitted("asked").log_probabilities(self._asked(X))]

    @speaking(python=True)
    def tag(self, text: str, *, pretokenized: bool = False) -> TaggedText:
        """The words of a text with their tags, probabilities and spans.

        text: a sentence. pretokenized: whether words are divided by white space alone; without it they are divided as
        the words of the training data say, see `carousel.tasks.tagging.tokenizing`.
        Raises RunError before `fit`, DataError for a model that tags no words, and for what is no text.
        """
        if not isinstance(text, str):
            raise DataError(f"A text to tag is a str, not {type(text).__name__}; lists of words are for predict.")
        return next(answers.tag_texts(self._fitted("asked"), [text], pretokenized=pretokenized))

    @speaking(python=True)
    def evaluate(self, X: Any, y: Any = None) -> Evaluation:
        """Accuracy, the figures of spans, of unknown words and of each tag, beside those of the naive baseline.

        X, y: as for `fit`. Raises RunError before `fit`, DataError where the sequences have no tags.
        """
        return self._fitted("asked").evaluate(self._asked(X, y))

    @speaking(python=True)
    def score(self, X: Any, y: Any = None) -> float:
        """The share of steps whose tag `predict` gets right.

        X, y: as for `fit`. Raises RunError before `fit`, DataError where the sequences have no tags.
        """
        return self.evaluate(X, y).accuracy

    def _asked(self, X: Any, y: Any = None) -> Tagged:
        trained = self._fitted("asked")
        channels = getattr(trained.front_end, "channels", ())
        if _names_files(X):
            return sources.read_for(trained.front_end.kind, paths_in(X), trained.columns, channels)
        if is_frame(X):
            asked = Columns(**{name: trained.columns.get(name) for name in ("label", "id", "time")})
            return rows.read_rows(X, asked, channels=channels, model_asks=True)
        return _from_python(X, y, Settings(), channels)


def _names_files(X: Any) -> bool:
    several = [X] if isinstance(X, str | Path) else X
    if isinstance(several, list | tuple) and several and all(isinstance(one, Path) for one in several):
        return True
    return isinstance(X, str | Path)


def _from_python(X: Any, y: Any, settings: Settings, channels: tuple[str, ...] = ()) -> Tagged:
    """Sequences and tags as a program has them. Raises DataError where their numbers or lengths differ."""
    if is_frame(X):
        return rows.read_rows(X, Columns(label=settings.label, id=settings.id, time=settings.time))
    if not hasattr(X, "__iter__"):
        raise DataError(f"X must be a list of sequences, each a list of words or an array (T, C), not {X!r:.40}.")
    items = [one.split() if isinstance(one, str) else one for one in X]
    if not items:
        raise DataError("There is no sequence: X is empty.")
    words = [_is_words(one) for one in items]
    if any(words) and not all(words):
        raise DataError("All sequences must be of one kind: lists of words, or arrays (T, C) of numbers.")
    names = [f"sequence {number}" for number in range(len(items))]
    tags = _tags(y, items, names)
    if all(words):
        return Tagged("words", [tuple(map(str, one)) for one in items], names, tags)
    arrays = [_array(name, one) for name, one in zip(names, items, strict=True)]
    width = arrays[0].shape[1]
    if wrong := [name for name, one in zip(names, arrays, strict=True) if one.shape[1] != width]:
        raise DataError(f"Every sequence must have the channels of the first, {width}; {wrong[0]} has others.")
    return Tagged("series", arrays, names, tags, channels=channels or channel_names(width))


def _is_words(sequence: Any) -> bool:
    return not isinstance(sequence, np.ndarray) and all(isinstance(one, str) for one in sequence)


def _array(name: str, sequence: Any) -> np.ndarray:
    try:
        array = np.asarray(sequence, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name} must be a list of words, or numbers (T, C).") from None
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise DataError(f"{name} must be numbers (T, C), or (T,) for one channel; its shape is {array.shape}.")
    if np.isinf(array).any():
        raise DataError(f"{name} has an infinite value. Leave it missing (NaN) if it is not known.")
    return array


def _tags(y: Any, items: Sequence[Any], names: Sequence[str]) -> list[list[str | None]] | None:
    if y is None:
        return None
    if isinstance(y, str) or len(y) != len(items):
        raise DataError(f"y must have a list of tags for each of the {len(items)} sequences; it has {len(y)}.")
    found = []
    for name, item, tags in zip(names, items, y, strict=True):
        if isinstance(tags, str) or not hasattr(tags, "__len__") or len(tags) != len(item):
            what = f"{len(tags)}" if hasattr(tags, "__len__") and not isinstance(tags, str) else repr(tags)
            raise DataError(f"{name} has {len(item)} steps, and its tags are {what}: every step has a tag, or None.")
        found.append([None if tag is None else str(tag) for tag in tags])
    return found
