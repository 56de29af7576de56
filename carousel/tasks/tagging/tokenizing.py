"""Divides a text into the words that a tagger was trained on.

Every corpus has its own rule of what a word is ("don't" or "do n't", "U.S." or "U.S ."), which its words show. So a
text is divided at white space, and each piece as the words of the training data say:

1. A piece that training knows stays whole, as e-mail or :-), and so do addresses, numbers and abbreviations (U.S.).
2. Marks at its ends are words of their own, as long as the rest is not known: (now), becomes ( now ) ,
3. An ending with an apostrophe that training knows as a word is split off: do n't, Bush 's.
4. A piece with hyphens or slashes is divided at them where training knows the mark as a word: 15 - year.
"""

import re
from collections.abc import Callable, Iterator

RULE = (
    "a text is divided at white space; what training knows stays whole, else marks at the ends, endings such as n't "
    "and 's, hyphens and slashes are split off where training knows them as words"
)
ADDRESS = re.compile(r"(https?://|www\.)\S+|\S+@\S+\.\w+", re.IGNORECASE)
ABBREVIATION = re.compile(r"([^\W\d_]\.){2,}")
NUMBER = re.compile(r"[+-]?\d+([.,:/]\d+)*%?")
CLITIC = re.compile(r"(n['’]t|['’]\w{1,2})$", re.IGNORECASE)
OPENING = re.compile(r"^(\.{2,}|-{2,}|[^\w\s])")
CLOSING = re.compile(r"(\.{2,}|-{2,}|[^\w\s])$")
INNER = re.compile(r"([-/–—])")


def words_of(text: str, knows: Callable[[str], bool]) -> tuple[str, ...]:
    """The words of a text. knows: whether training has a word, in any case of its letters."""
    return tuple(word for piece in text.split() for word in _divided(piece, knows))


def _divided(piece: str, knows: Callable[[str], bool]) -> list[str]:
    before: list[str] = []
    after: list[str] = []
    while piece and not _is_whole(piece, knows):
        if closing := CLOSING.search(piece):
            after.append(closing.group())
            piece = piece[: closing.start()]
        elif opening := OPENING.search(piece):
            before.append(opening.group())
            piece = piece[opening.end() :]
        else:
            return [*before, *_inside(piece, knows), *reversed(after)]
    return [*before, *([piece] if piece else []), *reversed(after)]


def _is_whole(piece: str, knows: Callable[[str], bool]) -> bool:
    return knows(piece) or any(shape.fullmatch(piece) for shape in (ADDRESS, ABBREVIATION, NUMBER))


def _inside(piece: str, knows: Callable[[str], bool]) -> Iterator[str]:
    """The words of a piece without marks at its ends, which training does not know."""
    if (clitic := CLITIC.search(piece)) and clitic.start() and knows(clitic.group().replace("’", "'")):
        yield from _divided(piece[: clitic.start()], knows)
        yield clitic.group()
        return
    for part in INNER.split(piece):
        if INNER.fullmatch(part) and not knows(part):  # a mark that is never a word does not divide one
            yield piece
            return
    yield from (part for part in INNER.split(piece) if part)
