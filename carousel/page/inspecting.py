"""`carousel inspect` as a function: it makes the page from a run and data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from carousel.errors import DataError, RunError
from carousel.files import write_atomically
from carousel.page.document import document
from carousel.page.pictures import draw_pictures
from carousel.page.readers import Reader, reader_for
from carousel.training.run_folder import RunFolder

STEPS = 500
PAGE = "index.html"


def inspect(
    run: Any,
    data: Any = None,
    *,
    item: str | int | None = None,
    against: Any = None,
    out: str | Path | None = None,
    steps: int = STEPS,
    report: Callable[[str], None] = lambda _: None,
    cell: Any = None,
    trust_cell: bool = False,
) -> Path:
    """Writes a page that shows what a trained model does with a sequence step by step, and pictures of it.

        carousel.inspect("runs/shakespeare", Path("sonnets.txt"))
        carousel.inspect(model, "The clouds are in the sky.", against="runs/gru", out="page")
        carousel.inspect("runs/movements", "new.ts", item=3)
        carousel.inspect("runs/sales", item="north")

    run: a run's folder, or a LanguageModel, SequenceClassifier, Tagger, TreeClassifier or Forecaster.
    data: the data that the model reads. For a language model: a text as str, or a Path of a file; None: the validation
        part of the training text, if that file still exists unchanged, else a text that the model generates. For a
        classifier: anything that `predict` takes, or a text as str for a classifier of texts; None: a sequence that the
        run held out, if its data still exist. For a tagger: a text as str, or a Path of a file of the kind that it was
        trained on; None: a sequence that the run held out. For a forecaster: a table with the columns of the training
        table, or its file; None: the training table, of which the run keeps a copy.
    item: one of several sequences or series, by its name or its number from 0. Default: the first.
    against: another run of the same task, which is shown beside the first with the same data.
    out: a folder, which is made if necessary. Default: `inspect` in the run's folder. steps: the largest number of
        steps to show.
    report: called with a line of text for each stage of the work.
    cell, trust_cell: the same as for a model's `load`, for runs that were trained with a cell in a file. If two runs
        have different such cells, load one of them yourself and pass the model.

    Returns the path of the page, `out`/index.html, which is one file and needs no network. Raises RunError for a folder
    that is no run or cannot be written to, DataError for data that cannot be read or are too short.
    """
    if steps < 2:
        raise DataError(f"A page shows 2 steps or more, not {steps}.")
    readers = _readers(run, against, cell=cell, trust_cell=trust_cell)
    _require_one_task(readers)
    chosen = readers[0].choose(data, item=item, steps=steps)
    folder = _folder(readers[0], out)
    report(f"it reads {chosen.said}")
    names = names_of(readers)
    examined = [reader.examine(name, chosen, report) for reader, name in zip(readers, names, strict=True)]
    written = _write(folder / PAGE, document([moments for moments, _ in examined]).encode("utf-8"))
    report("pictures")
    for name, (_, drawings) in zip(names, examined, strict=True):
        draw_pictures(folder, f"{name}-" if len(examined) > 1 else "", drawings)
    report(f"wrote {written}, {written.stat().st_size / 1e6:.1f} MB, and pictures beside it")
    return written


def _readers(run: Any, against: Any, *, cell: Any, trust_cell: bool) -> list[Reader]:
    """The readers of one or two runs.

    Raises an error if a cell is given but no run was trained with a cell in a file.
    """
    given = [each for each in (run, against) if each is not None]
    own = [isinstance(each, str | Path) and RunFolder.open(each).has_own_cell for each in given]
    return [
        reader_for(each, cell=cell if mine or not any(own) else None, trust_cell=trust_cell)
        for each, mine in zip(given, own, strict=True)
    ]


def _require_one_task(readers: Sequence[Reader]) -> None:
    tasks = [reader.task for reader in readers]
    if len(set(tasks)) > 1:
        raise DataError(
            f"Two runs stand side by side where they do the same with the same data: "
            f"{' and '.join(names_of(readers))} are runs of {' and '.join(tasks)}. Inspect them one at a time."
        )


def names_of(readers: Sequence[Reader]) -> list[str]:
    names = [reader.run.resolve().name if reader.run else "the model" for reader in readers]
    return names if len(set(names)) == len(names) else [f"{name} {k}" for k, name in enumerate(names, 1)]


def _folder(reader: Reader, out: str | Path | None) -> Path:
    if out is None and reader.run is None:
        raise DataError("A model that is of no run has no folder for its page: name one with out=.")
    folder = Path(out) if out is not None else Path(str(reader.run)) / "inspect"
    if out is None and folder.is_symlink():  # a link that came with the run may point anywhere
        raise RunError(f"{folder} is a link, and a run's page is not written through one: name a folder with --out.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise RunError(f"The folder {folder} cannot be made: {problem.strerror}. Choose another --out.") from None
    return folder


def _write(path: Path, content: bytes) -> Path:
    try:
        write_atomically(path, content)
    except OSError as problem:
        raise RunError(
            f"{path} ({len(content) / 1e6:.1f} MB) could not be written: {problem.strerror}. Choose another --out."
        ) from None
    return path
