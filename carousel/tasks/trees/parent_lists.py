"""Trees as lists of parents, in the layout of Stanford's Tree-LSTM: a folder with three files, a tree in each line.

    sents.toks      the words of a sentence, with spaces between them: It works
    parents.txt     the parent of each node, counted from 1, and 0 for the root: 3 3 0. Words stand at the first nodes
    labels.txt      the label of each node, # for none: 2 4 3

dparents.txt and dlabels.txt, where there is no parents.txt: trees of dependencies, with a word at every node.
Source: Tai et al. 2015, github.com/stanfordnlp/treelstm, scripts/preprocess-sst.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from carousel.errors import DataError
from carousel.files import open_to_read
from carousel.layers.trees import Trees
from carousel.tasks.trees.treebank import LabelledTree

WORDS = ("sents.toks", "sents.txt")
FORMS = (("parents.txt", "labels.txt"), ("dparents.txt", "dlabels.txt"))


def is_one(folder: Path) -> bool:
    """Whether a folder has these files."""
    return any((folder / name).is_file() for name in WORDS) and any((folder / one).is_file() for one, _ in FORMS)


def read(folder: Path) -> list[LabelledTree]:
    """The trees of a folder; without a file of labels they have none. Raises DataError, with the file and the line, for
    what is no tree: a parent that there is not, a cycle, no root or several, more words than nodes."""
    if not is_one(folder):
        raise DataError(
            f"reading trees: the folder {folder} must have {WORDS[0]} and {FORMS[0][0]} (lists of parents), or name "
            f"files of trees in brackets instead"
        )
    words = _lines(next(folder / name for name in WORDS if (folder / name).is_file()))
    shape_file, label_file = next(form for form in FORMS if (folder / form[0]).is_file())
    parents = _lines(folder / shape_file)
    without = [None] * len(parents)
    labels: Sequence[str | None] = _lines(folder / label_file) if (folder / label_file).is_file() else without
    for name, lines in ((WORDS[0], words), (label_file, labels)):
        if len(lines) != len(parents):
            raise DataError(
                f"reading trees: {folder / shape_file} has {len(parents):,} lines and {folder / name} {len(lines):,}; "
                f"each tree is a line in both"
            )
    return [
        _tree(*parts, where=f"{folder / shape_file}, line {number}")
        for number, parts in enumerate(zip(parents, words, labels, strict=True), start=1)
    ]


def _tree(parents: str, words: str, labels: str | None, *, where: str) -> LabelledTree:
    doing = f"reading {where}"
    try:
        above = [int(part) - 1 for part in parents.split()]
    except ValueError:
        raise DataError(f"{doing}: the parents of nodes must be whole numbers, 0 for a root") from None
    nodes, tokens = len(above), words.split()
    try:
        shape = Trees(above)
    except DataError as problem:
        raise DataError(f"{doing}: {problem} (nodes are counted from 0 here)") from None
    if len(shape.roots) != 1:
        raise DataError(f"{doing}: a tree has one root, a node of parent 0; this has {len(shape.roots)}")
    if not 1 <= len(tokens) <= nodes:
        raise DataError(f"{doing}: there are {nodes} nodes and {len(tokens)} words, which stand at the first of them")
    of_nodes = ["#"] * nodes if labels is None else labels.split()
    if len(of_nodes) != nodes:
        raise DataError(f"{doing}: there are {nodes} nodes and {len(of_nodes)} labels; write # where there is none")
    return LabelledTree(
        shape,
        tuple(None if label == "#" else label for label in of_nodes),
        (*tokens, *[None] * (nodes - len(tokens))),
        where,
    )


def text_of(path: Path) -> str:
    """The text of a file. Raises DataError for one that cannot be read, or is no UTF-8."""
    try:
        with open_to_read(path) as file:
            return file.read().decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise DataError(f"reading trees: {path} is no UTF-8 text (byte {problem.start}); save it as UTF-8") from None
    except OSError as problem:
        raise DataError(f"reading trees: {path} cannot be read: {problem.strerror}") from None


def _lines(path: Path) -> list[str]:
    lines = text_of(path).split("\n")
    return lines if lines[-1].strip() else lines[:-1]
