"""The classification task as the catalogue of tasks needs it; see `carousel.tasks.catalogue`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import polars as pl

from carousel.errors import DataError
from carousel.lazy import importer
from carousel.tasks.classification import answers, preparation, sources
from carousel.tasks.classification.settings import Settings
from carousel.tasks.classification.trained import TrainedClassifier
from carousel.tasks.files import make_folder, require_folder
from carousel.tasks.sequences.metrics import Evaluation
from carousel.tasks.table import write
from carousel.training.progress import Report
from carousel.training.run_folder import RunFolder

if TYPE_CHECKING:
    from carousel.tasks.classification.portable import portable
    from carousel.tasks.classification.training import open_run

__all__ = ["PREDICTS", "Settings", "conclude", "evaluate", "open_run", "portable", "predict", "prepare", "recognize"]

# Imported when they are used first, so that who only asks a model does not wait for them.
__getattr__ = importer(
    __name__,
    {"open_run": "carousel.tasks.classification.training", "portable": "carousel.tasks.classification.portable"},
)

PREDICTS = ("strings", "every")


def recognize(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
    return sources.recognize(paths, options)


def prepare(paths: Sequence[Path], settings: Settings, report: Report) -> preparation.Prepared:
    """Reads the sequences, and decides as `preparation.prepare` does."""
    examples = sources.read_examples(paths, settings.columns)
    read = [sources.meant(path, settings.columns)[0] for path in paths]
    return preparation.prepare(examples, settings, report, read)


def conclude(folder: RunFolder, report: Report) -> None:
    """Says where the pictures are, and what to type next."""
    run = folder.path
    name = quote(str(run))
    report.say(f"\nThe learning curve: {run / 'curve.png'}")
    report.say(f"What was taken for what: {run / 'confusion.png'}\nWhat to type next:")
    report.say(f"  carousel predict {name} DATA --out answers.csv")
    report.say(f"  carousel predict {name} DATA --every 10")
    report.say(f"  carousel evaluate {name} DATA")
    report.say(f"  carousel inspect {name}")


def predict(folder: RunFolder, data: Sequence[Path], **options: Any) -> tuple[pl.DataFrame, Iterator[str]]:
    """The predictions as a table, and as lines; options: those of `PREDICTS`, as `answers.ask` takes them."""
    frame, classes = answers.ask(folder, data, **options)
    return frame, answers.shown(frame, classes)


def evaluate(folder: RunFolder, paths: Sequence[Path], *, out: Path | None, say: Callable[[str], None]) -> None:
    """Shows accuracy, macro-F1 and the figures of each class, and draws the confusion matrix: in the run's folder, or
    in the folder `out`, with a table of every answer."""
    from carousel.insight.confusion import draw_confusion

    run = folder.path
    if not paths:
        raise DataError(f"Sequences to evaluate on must be named: carousel evaluate {run} DATA")
    require_folder(out or run)
    trained = TrainedClassifier.of(folder)
    examples = answers.read(trained, paths)
    result = trained.evaluate(examples)
    for line in words(result, known=len(trained.classes)):
        say(line + "\n")
    title = f"{run.name} on {paths[0].name}: accuracy {result.accuracy:.1%}"
    picture = (out or run) / ("confusion.png" if out else "evaluation.png")
    make_folder(picture.parent)
    draw_confusion(picture, result.confusion, result.classes, title=title)
    say(f"the confusion matrix: {picture}\n")
    if out is not None:
        write(answers.table(trained, examples), out / "answers.csv")
        say(f"every answer: {out / 'answers.csv'}\n")


def words(result: Evaluation, known: int) -> list[str]:
    """The lines that `evaluate` shows. known: how many of the classes the model knows; they come first."""
    lines = [
        f"{result.count:,} sequences",
        f"accuracy {result.accuracy:.1%}, always the commonest class of training {result.baseline:.1%}",
        f"macro-F1 {result.macro_f1:.1%}, {result.nats:.3f} nats/sequence",
        "",
    ]
    rows = [("class", "precision", "recall", "F1", "sequences")]
    rows += [
        (str(one.label), f"{one.precision:.1%}", f"{one.recall:.1%}", f"{one.f1:.1%}", f"{one.true:,}")
        for one in result.by_class
    ]
    widths = [max(len(row[k]) for row in rows) for k in range(5)]
    for row in rows:
        first, *rest = (text.ljust(widths[0]) if k == 0 else text.rjust(widths[k]) for k, text in enumerate(row))
        lines.append("  ".join([first, *rest]).rstrip())
    if strange := [str(label) for label in result.classes[known:]]:
        lines += ["", f"never met in training, so never the answer: {', '.join(strange)}"]
    return [*lines, ""]
