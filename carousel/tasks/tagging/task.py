"""The tagging task as the catalogue of tasks needs it; see `carousel.tasks.catalogue`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from carousel.errors import DataError
from carousel.lazy import importer
from carousel.tasks.files import make_folder, require_folder
from carousel.tasks.table import write
from carousel.tasks.tagging import answers, preparation, sources
from carousel.tasks.tagging.scoring import Evaluation
from carousel.tasks.tagging.settings import Settings
from carousel.tasks.tagging.trained import TrainedTagger
from carousel.training.progress import Report
from carousel.training.run_folder import RunFolder

if TYPE_CHECKING:
    from carousel.tasks.tagging.portable import portable
    from carousel.tasks.tagging.training import open_run

__all__ = ["Settings", "conclude", "evaluate", "open_run", "portable", "prepare", "recognize", "recognize_own"]

# Imported when they are used first, so that who only asks a model does not wait for them.
__getattr__ = importer(
    __name__, {"open_run": "carousel.tasks.tagging.training", "portable": "carousel.tasks.tagging.portable"}
)


def recognize(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
    return sources.recognize(paths, options)


recognize_own = recognize  # it takes nothing else


def prepare(paths: Sequence[Path], settings: Settings, report: Report) -> preparation.Prepared:
    """Reads the sequences, and decides as `preparation.prepare` does."""
    parts = sources.PartFiles(paths, settings)
    for line in parts.said:
        report.say(line)

    def beside(path: Path | None) -> Any:
        return None if path is None else sources.read([path], settings)

    return preparation.prepare(
        sources.read(parts.train, settings),
        settings,
        report,
        validation=beside(parts.validation),
        test=beside(parts.test),
        sources=parts.train,
    )


def conclude(folder: RunFolder, report: Report) -> None:
    """Says where the pictures are, and what to type next."""
    run = folder.path
    name = quote(str(run))
    words = folder.config()["front_end"]["kind"] == "words"
    report.say(f"\nThe learning curve: {run / 'curve.png'}")
    report.say(f"What was taken for what: {run / 'confusion.png'}\nWhat to type next:")
    report.say(f'  carousel tag {name} "The clouds are in the sky."' if words else f"  carousel tag {name} --data FILE")
    report.say(f"  carousel evaluate {name} FILE")
    report.say(f"  carousel inspect {name}")


def evaluate(folder: RunFolder, paths: Sequence[Path], *, out: Path | None, say: Callable[[str], None]) -> None:
    """Shows accuracy, figures of spans and of each tag, and draws the confusion matrix: in the run's folder, or in the
    folder `out`, with a table of every step."""
    from carousel.insight.confusion import draw_confusion

    run = folder.path
    if not paths:
        raise DataError(f"Sequences to evaluate on must be named: carousel evaluate {run} FILE")
    require_folder(out or run)
    trained = TrainedTagger.of(folder)
    data = sources.read_for(trained.front_end.kind, paths, trained.columns, getattr(trained.front_end, "channels", ()))
    result = trained.evaluate(data)
    for line in words(result, trained.front_end.unit):
        say(line + "\n")
    title = f"{run.name} on {paths[0].name}: accuracy {result.accuracy:.1%}"
    picture = (out or run) / ("confusion.png" if out else "evaluation.png")
    make_folder(picture.parent)
    draw_confusion(picture, result.steps.confusion, result.steps.classes, title=title)
    say(f"the confusion matrix: {picture}\n")
    if out is not None:
        write(answers.table(trained, data), out / "answers.csv")
        say(f"every answer: {out / 'answers.csv'}\n")


def words(result: Evaluation, unit: str) -> list[str]:
    """The lines that `evaluate` shows."""
    baseline = result.baseline
    lines = [
        f"{result.sequences:,} sequences, {result.steps.count:,} {unit}s",
        f"accuracy {result.accuracy:.2%}, {baseline.name} {baseline.accuracy:.2%}",
    ]
    if result.unknown and result.known is not None:
        theirs = float(baseline.right[~result.known].mean())
        lines.append(
            f"unknown words, {result.unknown:,} of them: accuracy {result.unknown_accuracy:.2%}, {baseline.name} "
            f"{theirs:.2%}"
        )
    lines += [f"macro-F1 of the tags {result.steps.macro_f1:.1%}, {result.nats:.4f} nats/{unit}", ""]
    if result.spans:
        lines += [f"spans: F1 {result.spans[0].f1:.2%}, {baseline.name} {baseline.spans[0].f1:.2%}", ""]
        rows = [(one.type or "all", one.precision, one.recall, one.f1, one.true) for one in result.spans]
        lines += [*_table("span", rows, "spans"), ""]
    rows = [(str(one.label), one.precision, one.recall, one.f1, one.true) for one in result.by_tag]
    lines += _table("tag", rows, f"{unit}s")
    if result.strange:
        lines += ["", f"never met in training, so never the answer: {', '.join(result.strange)}"]
    return [*lines, ""]


def _table(what: str, rows: Sequence[tuple[str, float, float, float, int]], counted: str) -> list[str]:
    """Lines with precision, recall and F1 of each row."""
    cells = [(what, "precision", "recall", "F1", counted)]
    cells += [(name, f"{p:.1%}", f"{r:.1%}", f"{f1:.1%}", f"{count:,}") for name, p, r, f1, count in rows]
    widths = [max(len(row[k]) for row in cells) for k in range(5)]
    return [
        "  ".join(text.ljust(widths[0]) if k == 0 else text.rjust(widths[k]) for k, text in enumerate(row)).rstrip()
        for row in cells
    ]
