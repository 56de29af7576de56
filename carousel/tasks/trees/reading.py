"""Reads labelled trees: files of brackets, one tree a line, and folders in the layout of Stanford's Tree-LSTM."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from carousel.errors import DataError
from carousel.files import open_to_read
from carousel.layers.trees import Bracketed
from carousel.layers.trees.brackets import bracketed_lines
from carousel.tasks.files import require_existing
from carousel.tasks.kinds_of_files import why_data
from carousel.tasks.trees import parent_lists
from carousel.tasks.trees.treebank import Label, LabelledTree, Treebank

LOOKED_AT = 20  # lines from whose form a file is recognised


def recognize(paths: Sequence[Path]) -> str | None:
    """Why these look like trees, or None. Brackets: each of the first lines is one whole tree, and one of them has a
    node inside another."""
    if all(path.is_dir() and parent_lists.is_one(path) for path in paths):
        return "trees as lists of parents"
    return "trees in brackets" if all(path.is_file() and _is_bracketed(path) for path in paths) else None


def _is_bracketed(path: Path) -> bool:
    if why_data(path):
        return False
    try:
        with open_to_read(path) as file:
            lines = [line.decode() for line in islice((one for one in file if one.strip()), LOOKED_AT)]
        found = [tree for _, tree in bracketed_lines(lines, labelled=False)]
    except (DataError, OSError, UnicodeDecodeError):
        return False
    return any(tree.trees.nodes > 1 for tree in found)


def read_treebank(paths: Sequence[Path] | Sequence[str]) -> Treebank:
    """The trees of these files and folders. Raises DataError, with the line, for what is no tree, and where there are
    none."""
    named = [Path(path) for path in paths]
    require_existing(named)
    trees: list[LabelledTree] = []
    for path in named:
        found = parent_lists.read(path) if path.is_dir() else _read_brackets(path)
        if not found:
            raise DataError(f"reading trees: {path} has none; each line must be a tree, (3 (2 It) (4 works))")
        trees += found
    return Treebank(_with_numbers(trees))


def _read_brackets(path: Path) -> list[LabelledTree]:
    if (what := why_data(path)) is not None:
        raise DataError(f"reading trees: {what} Trees are texts, one in brackets in each line: (3 (2 It) (4 works))")
    return list(_trees_in(parent_lists.text_of(path).split("\n"), str(path)))


def _trees_in(lines: Sequence[str], name: str) -> Iterator[LabelledTree]:
    for number, one in bracketed_lines(lines, name, labelled=False):
        yield _tree(one, f"{name}, line {number}")


def _tree(one: Bracketed, where: str) -> LabelledTree:
    return LabelledTree(one.trees, one.labels, one.words, where)


def from_texts(texts: Sequence[str]) -> Treebank:
    """Trees in brackets, one a text. Raises DataError, naming the text by its number, for what is none."""
    trees: list[LabelledTree] = []
    for number, text in enumerate(texts):
        name = f"text {number}"
        found = [replace(tree, where=name) for tree in _trees_in(text.split("\n"), name)]
        if len(found) != 1:
            raise DataError(
                f"reading trees: {name} has {len(found)} trees, and each text is one, (3 (2 It) (4 works)). To read a "
                f"file, name it as a pathlib.Path"
            )
        trees += found
    return Treebank(_with_numbers(trees))


def with_root_labels(treebank: Treebank, labels: Sequence[Label]) -> Treebank:
    """The same trees, each with this label at its root and with none at other nodes. Raises DataError for another
    number of labels."""
    if len(labels) != len(treebank):
        raise DataError(
            f"reading labels: y must have one label for each of the {len(treebank):,} trees, and has {len(labels):,}"
        )
    found = []
    for tree, label in zip(treebank, labels, strict=True):
        own: list[Label | None] = [None] * tree.shape.nodes
        own[tree.root] = label
        found.append(replace(tree, labels=tuple(own)))
    return Treebank(tuple(found))


def _with_numbers(trees: Sequence[LabelledTree]) -> tuple[LabelledTree, ...]:
    """The same, where all labels are whole numbers as numbers."""
    each = {label for tree in trees for label in tree.labels if label is not None}
    try:
        numbers: dict[Label, Label] = {label: int(label) for label in each}
    except ValueError:
        return tuple(trees)
    if len(set(numbers.values())) < len(numbers):  # 1 and 01 are two labels
        return tuple(trees)
    return tuple(
        replace(tree, labels=tuple(None if label is None else numbers[label] for label in tree.labels))
        for tree in trees
    )
