"""The predictions of a classifier of trees as a table: a row for each tree, or for each node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.trees.reading import from_texts, read_treebank
from carousel.tasks.trees.trained import TrainedTrees
from carousel.tasks.trees.treebank import Label, LabelledTree, Treebank
from carousel.training.run_folder import RunFolder

SHOWN = 3  # labels in a line, the likeliest
WIDEST = 60  # characters of a sentence in a line


def ask(
    folder: RunFolder, data: Sequence[Path], *, strings: Sequence[str] = (), nodes: bool = False
) -> tuple[pl.DataFrame, tuple[Label, ...]]:
    """The predictions of a run's best model as a table (see `table`), and the labels that it knows.

    data: files of trees. strings: trees in brackets, instead. nodes: a row for each node. Raises DataError where the
    trees cannot be read, where there are none, and where both are given."""
    trained = TrainedTrees.of(folder)
    return table(trained, _read(folder, data, strings), nodes=nodes), trained.classes


def _read(folder: RunFolder, data: Sequence[Path], strings: Sequence[str]) -> Treebank:
    if strings and data:
        raise DataError(f"A tree is given as it stands ({option('string')}), or in files: not both at a time.")
    if not strings and not data:
        raise DataError(f"Trees to answer for must be named: carousel predict {folder.path} DATA")
    return from_texts(strings) if strings else read_treebank(data)


def table(trained: TrainedTrees, trees: Sequence[LabelledTree], *, nodes: bool = False) -> pl.DataFrame:
    """A row for each tree: tree (where it stands), words, label (where the trees have some), prediction, and P(label)
    for each label. nodes: a row for each node, children before their parents, with its number in the column node."""
    logs = trained.log_probabilities(trees)
    columns: dict[str, Any] = {"tree": [], "node": [], "words": [], "label": []}
    chosen = []
    for tree, of_nodes in zip(trees, logs, strict=True):
        rows, spans = range(tree.shape.nodes) if nodes else [tree.root], tree.spans()
        columns["tree"] += [tree.where] * len(rows)
        columns["node"] += rows
        columns["words"] += [spans[node] for node in rows]
        columns["label"] += [None if tree.labels[node] is None else str(tree.labels[node]) for node in rows]
        chosen.append(of_nodes[list(rows)])
    if not nodes:
        del columns["node"]
    if not any(label is not None for label in columns["label"]):
        del columns["label"]
    found = np.concatenate([np.empty((0, len(trained.classes))), *chosen])
    columns["prediction"] = [str(trained.classes[k]) for k in found.argmax(1)]
    chances = np.exp(found)
    return pl.DataFrame(columns | {f"P({label})": chances[:, k] for k, label in enumerate(trained.classes)})


def shown(frame: pl.DataFrame, classes: Sequence[Label]) -> Iterator[str]:
    """Yields a line of text for each row: where it stands, its words, its likeliest labels, and whether the likeliest
    is right, where the true label is known."""
    about = [name for name in ("tree", "node", "words") if name in frame.columns]
    cells = {name: [_short(str(value)) for value in frame[name]] for name in about}
    widths = {name: max([len(name), *map(len, cells[name])]) for name in about}
    yield "  ".join(name.ljust(widths[name]) for name in about).rstrip()
    for number, row in enumerate(frame.iter_rows(named=True)):
        likely = sorted(classes, key=lambda label: -row[f"P({label})"])[:SHOWN]
        parts = [cells[name][number].ljust(widths[name]) for name in about]
        parts.append("   ".join(f"{label} {row[f'P({label})']:.1%}" for label in likely))
        if row.get("label") is not None:
            parts.append("right" if row["label"] == row["prediction"] else f"wrong: it is {row['label']}")
        yield "  ".join(parts)


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
