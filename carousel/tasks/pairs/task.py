"""The task of pairs as the catalogue of tasks needs it; see `carousel.tasks.catalogue`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import polars as pl

from carousel.errors import DataError
from carousel.lazy import importer
from carousel.tasks.files import make_folder, require_folder
from carousel.tasks.pairs import preparation, sources
from carousel.tasks.pairs.pairs_model import PairsModel
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.table import write
from carousel.training.progress import Report
from carousel.training.run_folder import RunFolder

if TYPE_CHECKING:
    from carousel.tasks.pairs.portable import portable
    from carousel.tasks.pairs.training import open_run

__all__ = ["Settings", "conclude", "evaluate", "open_run", "portable", "prepare", "recognize", "recognize_own"]

# Imported when they are used first, so that who only asks a model does not wait for them.
__getattr__ = importer(
    __name__, {"open_run": "carousel.tasks.pairs.training", "portable": "carousel.tasks.pairs.portable"}
)


def recognize(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
    return sources.recognize(paths, options)


def recognize_own(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
    """Data whose sources are no texts: a table of names of images and captions is a table of texts, too."""
    return sources.recognize(paths, options, [kind for kind in sources.KINDS if kind != "text"])


def prepare(paths: Sequence[Path], settings: Settings, report: Report) -> preparation.Prepared:
    """Reads the pairs, and decides as `preparation.prepare` does."""
    pairs = sources.read(paths, source=settings.source, target=settings.target)
    return preparation.prepare(pairs, settings, report, paths)


def conclude(folder: RunFolder, report: Report) -> None:
    """Says where the learning curve is, and what to type next."""
    name = quote(str(folder.path))
    report.say(f"\nThe learning curve: {folder.path / 'curve.png'}\nWhat to type next:")
    with folder.reading_config():
        source = sources.from_json(folder.config()["source"])
    for line in source.asks(name):
        report.say(f"  {line}")
    report.say(f"  carousel evaluate {name} DATA")
    report.say(f"  carousel inspect {name}")


def evaluate(folder: RunFolder, paths: Sequence[Path], *, out: Path | None, say: Callable[[str], None]) -> None:
    """Shows BLEU, chrF and the shares of texts and words that are right, beside the naive baseline's. out: a folder
    for a table of every source, what was written for it, and its target."""
    if not paths:
        raise DataError(f"Pairs to evaluate on must be named: carousel evaluate {folder.path} DATA")
    if out is not None:
        require_folder(out)
    model = PairsModel.of(folder)
    result = model.evaluate(list(paths))
    for line in result.lines:
        say(line + "\n")
    if out is not None:
        make_folder(out)
        columns = {"source": result.sources, "written": result.written, "target": result.targets}
        write(pl.DataFrame(columns), out / "answers.csv")
        say(f"every answer: {out / 'answers.csv'}\n")
