"""A table written to a file, whole or not at all."""

from pathlib import Path
from typing import Any

import polars as pl

from carousel.errors import DataError
from carousel.files import written
from carousel.tasks.files import require_writable

WRITTEN = (".csv", ".tsv", ".parquet", ".arrow", ".feather", ".ipc")


def write(frame: pl.DataFrame, path: Path) -> None:
    """To a file of the kind that its name says. The file appears whole or, after an error, not at all.

    Raises DataError for a name of another kind and where the file cannot be written.
    """
    name = path.name.lower()
    writers: dict[tuple[str, ...], Any] = {
        (".csv",): frame.write_csv,
        (".tsv",): lambda file: frame.write_csv(file, separator="\t"),
        (".parquet",): frame.write_parquet,
        (".arrow", ".feather", ".ipc"): frame.write_ipc,
    }
    require_writable(path, WRITTEN)
    writer = next(writer for endings, writer in writers.items() if name.endswith(endings))
    try:
        with written(path) as file:
            writer(file)
    except OSError as problem:
        raise DataError(f"{path} could not be written: {problem.strerror or problem}.") from None
