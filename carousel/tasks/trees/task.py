"""The task of trees as the catalogue of tasks needs it; see `carousel.tasks.catalogue`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import polars as pl

from carousel.errors import DataError, RunError
from carousel.lazy import importer
from carousel.tasks.files import make_folder, require_folder
from carousel.tasks.table import write
from carousel.tasks.trees import answers, preparation, reading
from carousel.tasks.trees.scores import TreeEvaluation
from carousel.tasks.trees.settings import Settings
from carousel.tasks.trees.trained import TrainedTrees
from carousel.tasks.trees.treebank import Treebank
from carousel.training.progress import Report
from carousel.training.run_folder import RunFolder

if TYPE_CHECKING:
    from carousel.tasks.portable import Portable
    from carousel.tasks.trees.training import open_run

__all__ = ["PREDICTS", "Settings", "conclude", "evaluate", "open_run", "portable", "predict", "prepare", "recognize"]

# Imported when they are used first, so that who only asks a model does not wait for them.
__getattr__ = importer(
    __name__,
    {
        "open_run": "carousel.tasks.trees.training",
    },
)

PREDICTS = ("strings", "nodes")


def recognize(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:  # noqa: ARG001
    return reading.recognize(paths)


def prepare(paths: Sequence[Path], settings: Settings, report: Report) -> preparation.Prepared:
    """Reads the trees of the files, of --validation-file and of --test-file, and decides as `preparation.prepare`."""
    return preparation.prepare(parts_of(reading.read_treebank(paths), settings), settings, report, paths)


def parts_of(trees: Treebank, settings: Settings) -> list[Treebank]:
    """These trees to learn from, those to validate on, and those to test on, which the settings name."""
    files = (settings.validation_file, settings.test_file)
    return [trees, *(Treebank(()) if name is None else reading.read_treebank([Path(name)]) for name in files)]


def portable(folder: RunFolder) -> "Portable":
    raise RunError(
        f"exporting {folder.path}: a network over trees has no form in ONNX or C yet, since both scan sequences; run "
        f"it in Python: carousel.TreeClassifier.load"
    )


def conclude(folder: RunFolder, report: Report) -> None:
    """Says where the pictures are, and what to type next."""
    run = folder.path
    name = quote(str(run))
    report.say(f"\nThe learning curve: {run / 'curve.png'}")
    report.say(f"What was taken for what: {run / 'confusion.png'}\nWhat to type next:")
    report.say(f"  carousel predict {name} TREES --out answers.csv")
    report.say(f"  carousel predict {name} TREES --nodes")
    report.say(f"  carousel evaluate {name} TREES")
    report.say(f"  carousel inspect {name}")


def predict(folder: RunFolder, data: Sequence[Path], **options: Any) -> tuple[pl.DataFrame, Iterator[str]]:
    """The predictions as a table, and as lines; options: those of `PREDICTS`, as `answers.ask` takes them."""
    frame, classes = answers.ask(folder, data, **options)
    return frame, answers.shown(frame, classes)


def evaluate(folder: RunFolder, paths: Sequence[Path], *, out: Path | None, say: Callable[[str], None]) -> None:
    """Shows the accuracy of roots, of all nodes and with labels merged, and draws the confusion matrix of the roots: in
    the run's folder, or in the folder `out`, with a table of every answer."""
    from carousel.insight.confusion import draw_confusion

    run = folder.path
    if not paths:
        raise DataError(f"Trees to evaluate on must be named: carousel evaluate {run} TREES")
    require_folder(out or run)
    trained, trees = TrainedTrees.of(folder), reading.read_treebank(paths)
    result = trained.evaluate(trees)
    for line in words(result):
        say(line + "\n")
    picture = (out or run) / ("confusion.png" if out else "evaluation.png")
    make_folder(picture.parent)
    title = f"{run.name} on {paths[0].name}: roots, accuracy {result.accuracy:.1%}"
    draw_confusion(picture, result.roots.confusion, result.roots.classes, title=title)
    say(f"the confusion matrix: {picture}\n")
    if out is not None:
        write(answers.table(trained, trees), out / "answers.csv")
        say(f"every answer: {out / 'answers.csv'}\n")


def words(result: TreeEvaluation) -> list[str]:
    """The lines that `evaluate` shows."""
    roots = result.roots
    lines = [
        f"{result.count:,} trees",
        f"roots: accuracy {roots.accuracy:.1%}, macro-F1 {roots.macro_f1:.1%}, {roots.nats:.3f} nats; always the "
        f"commonest label of training {roots.baseline:.1%}",
    ]
    if result.merged is not None:
        one = result.merged
        lines.append(
            f"merged, {' or '.join(map(str, one.classes))}: accuracy {one.accuracy:.1%} on {one.count:,} trees; always "
            f"the commonest {one.baseline:.1%}"
        )
    if result.nodes is not None:
        lines.append(f"all nodes: accuracy {result.nodes[0]:.1%} on {result.nodes[1]:,} nodes")
    return lines
