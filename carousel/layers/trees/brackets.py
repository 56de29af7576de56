"""Trees in brackets, as of the Penn and the Stanford Sentiment Treebank: (3 (2 It) (4 works))."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import Tensor

from carousel.errors import DataError
from carousel.layers.trees.trees import Trees

# Parts are divided by the white space of ASCII alone: the Sentiment Treebank has words with a no-break space inside.
_PART = re.compile(r"[()]|[^\s()]+", re.ASCII)


@dataclass(frozen=True)
class Bracketed:
    """What was read from a text of trees.

    trees: their shapes. Nodes are numbered as they are closed: the children of a node before it, the root of a tree
        last.
    labels: the label of each node, None where it has none. words: the word of each node, None where it has children.
    """

    trees: Trees
    labels: tuple[str | None, ...]
    words: tuple[str | None, ...]

    @property
    def leaves(self) -> Tensor:
        """The numbers of the nodes with a word."""
        return self.trees.leaves


def read_brackets(text: str | Iterable[str], name: str = "the text", *, labelled: bool = True) -> Bracketed:
    """The trees of a text, one a line; lines without anything are passed over.

    A node is "(label word)", or "(label (...) (...) ...)" with any number of nodes inside.
    text: the whole text, or its lines. name: what to call the text in an error.
    labelled: whether every node must have a label; if not, a node may also be "(word)" or "((...) (...) ...)".
    Raises DataError, naming the line, for anything else.
    """
    lines = text.split("\n") if isinstance(text, str) else text
    each = [one for _, one in bracketed_lines(lines, name, labelled=labelled)]
    return Bracketed(
        Trees.batch([one.trees for one in each]),
        tuple(label for one in each for label in one.labels),
        tuple(word for one in each for word in one.words),
    )


def bracketed_lines(
    lines: Iterable[str], name: str = "the text", *, labelled: bool = True
) -> Iterator[tuple[int, Bracketed]]:
    """The number of each line that has a tree, from 1, and the tree; arguments and errors as of `read_brackets`."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            reader = _LineOfBrackets(f"reading {name}, line {number}", labelled)
            reader.read(line)
            yield number, Bracketed(Trees(reader.parents), tuple(reader.labels), tuple(reader.words))


class _Open:
    """A node that is not closed yet."""

    def __init__(self, place: int, labelled: bool):
        self.place, self.labelled = place, labelled
        self.label: str | None = None
        self.word: str | None = None
        self.children: list[int] = []

    @property
    def may_have_children(self) -> bool:
        return (self.label is not None or not self.labelled) and self.word is None

    @property
    def is_whole(self) -> bool:
        return (self.label is not None or not self.labelled) and (self.word is not None or bool(self.children))

    def settle(self) -> None:
        """Now that the bracket closes: a single word in it is no label, where a node needs none."""
        if not self.labelled and self.word is None and not self.children:
            self.word, self.label = self.label, None


class _LineOfBrackets:
    """Reads one line, part by part."""

    def __init__(self, doing: str, labelled: bool):
        self.doing, self.labelled = doing, labelled
        self.parents: list[int] = []
        self.labels: list[str | None] = []
        self.words: list[str | None] = []
        self.waiting: list[_Open] = []

    def read(self, line: str) -> None:
        for found in _PART.finditer(line):
            part, place = found[0], found.start() + 1
            if not self.waiting:
                self._begin(part, place)
            elif part == "(":
                self._open(part, place)
            elif part == ")":
                self._close(part, place)
            else:
                self._word(part, place)
        if self.waiting:
            open = self.waiting[-1].place
            raise DataError(f"{self.doing}: the bracket of character {open} is never closed; add ')'")

    def _begin(self, part: str, place: int) -> None:
        if self.parents:
            raise DataError(
                f"{self.doing}: the tree ends before character {place}, {_shown(part)}; a line has one tree"
            )
        if part != "(":
            raise DataError(f"{self.doing}: a tree begins with '(', but character {place} is {_shown(part)}")
        self.waiting.append(_Open(place, self.labelled))

    def _open(self, part: str, place: int) -> None:
        if not self.waiting[-1].may_have_children:
            raise self._not_a_node(self.waiting[-1], place, part)
        self.waiting.append(_Open(place, self.labelled))

    def _close(self, part: str, place: int) -> None:
        node = self.waiting.pop()
        node.settle()
        if not node.is_whole:
            raise self._not_a_node(node, place, part)
        for child in node.children:
            self.parents[child] = len(self.parents)
        if self.waiting:
            self.waiting[-1].children.append(len(self.parents))
        self.parents.append(-1)
        self.labels.append(node.label)
        self.words.append(node.word)

    def _word(self, part: str, place: int) -> None:
        node = self.waiting[-1]
        if node.label is None and not node.children:
            node.label = part
        elif node.word is None and not node.children:
            node.word = part
        else:
            raise self._not_a_node(node, place, part)

    def _not_a_node(self, node: _Open, place: int, part: str) -> DataError:
        forms = "(label word) or (label (...) (...))" + ("" if self.labelled else ", or these without the label")
        return DataError(
            f"{self.doing}: the bracket of character {node.place} must be {forms}, but has "
            f"{_shown(part)} at character {place}"
        )


def _shown(part: str) -> str:
    return repr(part if len(part) < 20 else part[:17] + "...")
