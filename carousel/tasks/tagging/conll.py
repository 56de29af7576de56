"""Files of words: a word in each line with its tag, and a blank line after each sentence.

    The     DET             two columns or more, separated by tabs or by white space: CoNLL-2003 and its like
    cat     NOUN

    1  The  the  DET  ...   CoNLL-U: ten columns separated by tabs (universaldependencies.org/format.html)

A file may be packed by gzip.
"""

import gzip
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from carousel.errors import DataError, option
from carousel.tasks.table import listed
from carousel.tasks.tagging.tagged import Tagged

ENDINGS = (".conllu", ".conllup", ".conll", ".conllx", ".iob", ".iob2", ".bio", ".bioes")
CONLL_U = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
GLOBAL = "# global.columns ="  # CoNLL-U Plus names its columns in this line
HEAD = 1 << 16  # bytes that are looked at to recognise a file
FEWEST, MOST_TAGS = 6, 0.5  # words in the head, and different last columns by words
DOCUMENT = "-DOCSTART-"  # a line of CoNLL-2003 between two documents


def is_named(path: Path) -> bool:
    """Whether the name of a file is that of a file of tagged words."""
    return path.name.lower().removesuffix(".gz").endswith(ENDINGS)


def looks_like(path: Path) -> bool:
    """Whether a file holds tagged words, by its name or by its first lines: groups of lines with equally many columns,
    the last of which repeats a few texts."""
    if is_named(path):
        return path.is_file()
    if not path.is_file() or path.name.lower().endswith((".md", ".rst", ".py")):
        return False
    try:
        head = _content(path, HEAD).decode("utf-8-sig", "replace")  # it may end within a character
    except DataError:
        return False
    lines = [line.strip("\r") for line in head.split("\n")[:-1] or [head]]
    while lines and not lines[-1].strip():
        lines.pop()
    words = [line for line in lines if line.strip() and not _is_comment(line)]
    if len(words) < FEWEST or not any(not line.strip() for line in lines):
        return False
    tabs = all("\t" in line for line in words)
    rows = [line.split("\t" if tabs else None) for line in words]
    distinct = len({row[-1] for row in rows})
    few = MOST_TAGS if tabs else MOST_TAGS / 2  # lines of verse may have as many words each
    return {len(row) for row in rows} == {len(rows[0])} and len(rows[0]) > 1 and distinct <= few * len(rows)


def read(path: Path, *, label: str | None = None, word: str | None = None, asked: bool = False) -> Tagged:
    """The sentences in a file.

    label, word: the columns of the tags and of the words, by name or by number from 1. asked: whether a trained model
    is asked about the file, which then needs no tags.
    Raises DataError for a file that cannot be read, and for a line with more or fewer columns than the first, whose
    number it says.
    """
    layout, sentences = _Layout(path), _Sentences(path)
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            sentences.end()
        elif layout.read(number, line):
            sentences.add(number, layout.row)
    sentences.end()
    if not sentences.rows:
        raise DataError(f"{path} holds no word: a file of tagged words has a word and its tag in each line.")
    forms = layout.column(word, layout.usual_word, "word")
    tags = layout.tags(label, forms, asked=asked)
    said = [_said(layout, forms, tags, sentences)]
    if layout.skipped:
        said.append(f"{layout.skipped:,} lines of words that are parts of others (1-2 or 8.1) are left out")
    return Tagged(
        "words",
        [tuple(sentences.cell(row, forms) for row in rows) for rows in sentences.rows],
        [f"{path.name}, line {rows[0][0]:,}" for rows in sentences.rows],
        None if tags is None else [[sentences.tag(row, tags) for row in rows] for rows in sentences.rows],
        columns={"label": label, "word": word},
        said=tuple(said),
    )


Row = tuple[int, Sequence[str]]  # the number of a line, and its columns


@dataclass
class _Layout:
    """How the lines of a file are divided, which its first word decides. row: the columns of the line that was read
    last. skipped: how many lines were none of a word."""

    path: Path
    names: tuple[str, ...] = ()
    separator: str | None = None
    first: int = 0  # the number of the line that decided
    width: int = 0
    row: Sequence[str] = ()
    skipped: int = 0

    def read(self, number: int, line: str) -> bool:
        """Whether a line holds a word; `row` has its columns."""
        if line.startswith(GLOBAL):
            self.names = tuple(line.removeprefix(GLOBAL).lower().split())
            return False
        if not self.width:
            if _is_comment(line):
                return False
            self._decide(number, line)
        self.row = line.split(self.separator)
        if line.startswith("#") and (self.names or len(self.row) != self.width):
            return False
        if self.row[0] == DOCUMENT:
            return False
        if len(self.row) != self.width:
            raise DataError(
                f"{self.path}, line {number:,}: there {_columns(len(self.row))}, and there {_columns(self.width)} in "
                f"line {self.first:,}, divided at {'tabs' if self.separator else 'white space'}: {line[:60]!r}. Each "
                f"line has the columns of one word, and a blank line ends a sentence."
            )
        if self.names[:1] == ("id",) and not self.row[0].isdecimal():
            self.skipped += 1
            return False
        return True

    def _decide(self, number: int, line: str) -> None:
        self.separator = "\t" if "\t" in line else None
        self.row = line.split(self.separator)
        self.first, self.width = number, len(self.row)
        if not self.names and self.width == len(CONLL_U) and self.row[0].split("-")[0].split(".")[0].isdecimal():
            self.names = CONLL_U

    @property
    def usual_word(self) -> int:
        return self.names.index("form") if "form" in self.names else 0

    def column(self, given: str | None, usual: int, setting: str) -> int:
        """The index of a column that is given by name or number, or else the usual one. Raises DataError for others."""
        if given is None:
            return usual
        if given.lower() in self.names:
            return self.names.index(given.lower())
        if given.isdecimal() and 1 <= int(given) <= self.width:
            return int(given) - 1
        named = f", or {listed(self.names, 12)}" if self.names else ""
        raise DataError(
            f"{self.path} has no column {given!r} ({option(setting)}). Its columns are numbered from 1 to {self.width}"
            f"{named}."
        )

    def tags(self, given: str | None, forms: int, *, asked: bool) -> int | None:
        """The index of the column of tags; None where a file that is asked about has words alone."""
        if given is None and self.width == 1:
            if asked:
                return None
            raise DataError(
                f"{self.path} has one column, which are words, and no tags: each line has a word and its tag, divided "
                f"by a tab or by white space."
            )
        if asked and given is not None and given.isdecimal() and int(given) > self.width:
            return None
        usual = next((self.names.index(name) for name in ("upos", "xpos") if name in self.names), self.width - 1)
        found = self.column(given, usual, "label")
        if found == forms:
            raise DataError(
                f"{self.path}: the column {found + 1} cannot have both the words ({option('word')}) and the tags "
                f"({option('label')}). Name another for one of them."
            )
        return found


@dataclass
class _Sentences:
    """Collects the lines of a file, sentence by sentence."""

    path: Path
    rows: list[list[Row]] = field(default_factory=list)
    _open: list[Row] = field(default_factory=list)

    def add(self, number: int, row: Sequence[str]) -> None:
        self._open.append((number, row))

    def end(self) -> None:
        if self._open:
            self.rows.append(self._open)
            self._open = []

    def cell(self, row: Row, column: int) -> str:
        """The word of a line. Raises DataError where there is none."""
        number, cells = row
        word = cells[column].strip()
        if not word:
            raise DataError(f"{self.path}, line {number:,}: the column {column + 1}, which has the words, is empty.")
        return word

    def tag(self, row: Row, column: int) -> str:
        """The tag of a line. Raises DataError where there is none."""
        number, cells = row
        tag = cells[column].strip()
        if not tag:
            raise DataError(
                f"{self.path}, line {number:,}: the column {column + 1}, which has the tags, is empty. Every word has "
                f"a tag; in many schemes O is that of words outside of what is tagged."
            )
        return tag


def _said(layout: _Layout, forms: int, tags: int | None, sentences: _Sentences) -> str:
    def name(column: int) -> str:
        return f"the column {layout.names[column]}" if column < len(layout.names) else f"column {column + 1}"

    what = "CoNLL-U" if layout.names == CONLL_U else f"{layout.width} column{'s' * (layout.width > 1)}"
    words = sum(map(len, sentences.rows))
    count = f"{len(sentences.rows):,} sentence{'s' * (len(sentences.rows) != 1)} of {words:,} words"
    where = f"words from {name(forms)}" + ("" if tags is None else f", tags from {name(tags)}")
    return f"{layout.path.name}: {what}; {count}, {where}"


def _is_comment(line: str) -> bool:
    """Whether a line before the first word is a comment, and no word "#"."""
    return line.startswith("#") and "\t" not in line and len(line.split()) != 2


def _columns(count: int) -> str:
    return f"{'is' if count == 1 else 'are'} {count} column{'s' * (count != 1)}"


def _lines(path: Path) -> Iterator[str]:
    content = _content(path, None)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        number = content[: problem.start].count(b"\n") + 1
        raise DataError(
            f"{path}, line {number:,}: the byte 0x{content[problem.start]:02X} is not UTF-8 ({problem.reason}). "
            f"Convert the file: iconv -f LATIN1 -t UTF-8 {path.name} > new.conll"
        ) from None
    for line in text.split("\n"):  # not splitlines: a word may have other white space of Unicode in it
        yield line.removesuffix("\r")


def _content(path: Path, most: int | None) -> bytes:
    """The bytes of a file, unpacked; the first `most` of them."""
    try:
        with open(path, "rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with (gzip.open if packed else open)(path, "rb") as file:
            content: bytes = file.read(-1 if most is None else most)
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror or problem}.") from None
    except (EOFError, zlib.error) as problem:
        raise DataError(f"{path} is packed by gzip, and breaks off or is damaged: {problem}.") from None
    if not content:
        raise DataError(f"{path} is empty: a file of tagged words has a word and its tag in each line.")
    return content
