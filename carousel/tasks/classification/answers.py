"""The predictions of a classifier as a table."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.classification import arrays, sources
from carousel.tasks.classification.early import moments
from carousel.tasks.classification.trained import TrainedClassifier
from carousel.tasks.sequences.examples import Examples, Label
from carousel.training.run_folder import RunFolder

SHOWN = 3  # classes in a line, the likeliest


def ask(
    folder: RunFolder,
    data: Sequence[Path],
    *,
    strings: Sequence[str] = (),
    every: int | None = None,
) -> tuple[pl.DataFrame, tuple[Label, ...]]:
    """The predictions of a run's best model as a table (see `table` and, with `every`, `early_table`), and the classes.

    data: files and folders with sequences. strings: texts, instead of files. Raises DataError where the data cannot be
    read, where there are none, and where both are given.
    """
    trained = TrainedClassifier.of(folder)
    if every is not None and every < 1:
        raise DataError(f"Answers come after every so many steps, 1 or more ({option('every')}), not {every}.")
    if strings and data:
        raise DataError(f"A text is given as it stands ({option('string')}), or in files: not both at a time.")
    if strings:
        examples = arrays.from_python(strings)
    elif data:
        examples = read(trained, data)
    else:
        raise DataError(f"Sequences to answer for must be named: carousel predict {folder.path} DATA")
    frame = table(trained, examples) if every is None else early_table(trained, examples, every)
    return frame, trained.classes


def read(trained: TrainedClassifier, data: Sequence[Path]) -> Examples:
    """Sequences for a trained model, from files that may or may not say their classes."""
    return sources.read_examples(data, trained.columns, channels=getattr(trained.front_end, "channels", ()), asked=True)


def shown(frame: pl.DataFrame, classes: Sequence[Label]) -> Iterator[str]:
    """Yields a line of text for each row: the sequence, its likeliest classes, and whether the likeliest is right,
    where the true class is known."""
    about = [name for name in frame.columns[: frame.columns.index("prediction")] if name != "class"]
    widths = {name: max(len(name), *(len(str(value)) for value in frame[name])) for name in about}
    yield "  ".join(name.ljust(widths[name]) for name in about).rstrip()
    for row in frame.iter_rows(named=True):
        likely = sorted(classes, key=lambda label: -row[f"P({label})"])[:SHOWN]
        parts = [str(row[name]).ljust(widths[name]) for name in about]
        parts.append("   ".join(f"{label} {row[f'P({label})']:.1%}" for label in likely))
        if "class" in row:
            parts.append("right" if row["class"] == row["prediction"] else f"wrong: it is {row['class']}")
        yield "  ".join(parts)


def table(trained: TrainedClassifier, examples: Examples) -> pl.DataFrame:
    """A row for each sequence: sequence, its class as the data give it if they do, prediction, and P(class) for each
    class."""
    return _rows(trained, examples, list(range(len(examples))), trained.log_probabilities(examples), {})


def early_table(trained: TrainedClassifier, examples: Examples, every: int) -> pl.DataFrame:
    """As `table`, with a row after every `every` steps of a sequence and one at its end. The column `steps` has the
    number of steps read."""
    numbers, stops, answers = [], [], []
    for number, steps in enumerate(trained.steps_of(examples)):
        for moment in moments(trained, steps, every):
            numbers.append(number)
            stops.append(moment.steps)
            answers.append(moment.log_probabilities)
    return _rows(trained, examples, numbers, np.array(answers), {f"{trained.front_end.unit}s": stops})


def _rows(
    trained: TrainedClassifier, examples: Examples, numbers: list[int], logs: np.ndarray, more: dict[str, Any]
) -> pl.DataFrame:
    columns: dict[str, Any] = {"sequence": [examples.names[number] for number in numbers], **more}
    if examples.labels is not None:
        columns["class"] = [str(examples.labels[number]) for number in numbers]
    columns["prediction"] = [str(trained.classes[k]) for k in logs.argmax(1)]
    chances = np.exp(logs)
    for k, label in enumerate(trained.classes):
        columns[f"P({label})"] = chances[:, k]
    return pl.DataFrame(columns)
