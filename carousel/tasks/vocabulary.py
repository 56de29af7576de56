"""The symbols a language model reads and writes: characters, bytes or words.

Every vocabulary turns text into integers and back. Its `unknown` symbol (None for bytes, which know every text)
stands for whatever it does not hold, and `unknown_nats` says what spelling such a thing out costs, so that losses
per character stay comparable: a model that does not know a character still has to name it.
"""

import codecs
import math
import re
from collections import Counter, deque
from collections.abc import Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np

from carousel.errors import RunError

CODE_POINTS = 0x110000  # of Unicode
LONGEST = 1 << 16  # characters of a word that are waited for before it is cut


class Encoded(NamedTuple):
    ids: np.ndarray  # one integer per token
    lengths: np.ndarray  # characters each token stands for


class Decoder(Protocol):
    """Turns symbols into text one by one, never giving out half a character."""

    def push(self, symbol: int) -> str: ...

    def flush(self) -> str: ...


class Vocabulary(Protocol):
    level: str
    size: int
    unknown: int | None

    def encode(self, text: str) -> Encoded: ...

    def decode(self, ids: Iterable[int]) -> str: ...

    def decoder(self) -> Decoder: ...

    def unknown_nats(self, count: int, characters: int) -> float:
        """What it costs to spell out `count` unknown tokens of `characters` characters in all, in nats."""

    def unknown_parts(self, text: str) -> list[str]:
        """What of this text the vocabulary does not hold, each once, in order."""

    def to_json(self) -> dict[str, Any]: ...


class Pieces:
    """The decoder of vocabularies whose symbols are whole pieces of text."""

    def __init__(self, pieces: list[str]) -> None:
        self._pieces = pieces

    def push(self, symbol: int) -> str:
        return self._pieces[symbol]

    def flush(self) -> str:
        return ""


class CharVocabulary:
    """One symbol per character (Unicode code point) of the training text, in code point order.

    Symbol 0 stands for any other character; naming it costs ln 1,114,112 nats, one choice among all of Unicode.
    """

    level = "char"
    unknown: int | None = 0

    def __init__(self, characters: str) -> None:
        self.characters = characters
        self.size = 1 + len(characters)
        points = np.array([ord(character) for character in characters], np.int64)
        self._table = np.zeros(int(points.max(initial=0)) + 2, np.int64)  # the last entry: any higher code point
        self._table[points] = np.arange(1, self.size)

    @classmethod
    def survey(cls, chunks: Iterable[str]) -> tuple["CharVocabulary", int]:
        """The vocabulary of a text, and how many tokens the text is."""
        counts = np.zeros(CODE_POINTS, np.int64)
        for chunk in chunks:
            points = code_points(chunk)
            seen = np.bincount(points)
            counts[: len(seen)] += seen
        return cls("".join(map(chr, np.flatnonzero(counts)))), int(counts.sum())

    def encode(self, text: str) -> Encoded:
        points = np.minimum(code_points(text), len(self._table) - 1)
        return Encoded(self._table[points], np.ones(len(points), np.int64))

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(map(self.decoder().push, ids))

    def decoder(self) -> Decoder:
        return Pieces(["\N{REPLACEMENT CHARACTER}", *self.characters])

    def unknown_nats(self, count: int, characters: int) -> float:  # noqa: ARG002 (one character each)
        return count * math.log(CODE_POINTS)

    def unknown_parts(self, text: str) -> list[str]:
        known = set(self.characters)
        return [character for character in dict.fromkeys(text) if character not in known]

    def to_json(self) -> dict[str, Any]:
        return {"level": self.level, "characters": self.characters}


class ByteVocabulary:
    """The 256 bytes. Knows every text, in UTF-8, and files that are no text as well."""

    level = "byte"
    size = 256
    unknown: int | None = None

    @classmethod
    def survey(cls, chunks: Iterable[str]) -> tuple["ByteVocabulary", int]:
        return cls(), sum(len(to_bytes(chunk)) for chunk in chunks)

    def encode(self, text: str) -> Encoded:
        ids = np.frombuffer(to_bytes(text), np.uint8).astype(np.int64)
        # In UTF-8 the bytes 10xxxxxx continue a character that an earlier byte began.
        return Encoded(ids, (ids & 0b1100_0000 != 0b1000_0000).astype(np.int64))

    def decode(self, ids: Iterable[int]) -> str:
        return bytes(map(int, ids)).decode("utf-8", errors="replace")

    def decoder(self) -> Decoder:
        return ByteDecoder()

    def unknown_nats(self, count: int, characters: int) -> float:  # noqa: ARG002 (there are none)
        return 0.0

    def unknown_parts(self, text: str) -> list[str]:  # noqa: ARG002
        return []

    def to_json(self) -> dict[str, Any]:
        return {"level": self.level}


class ByteDecoder:
    """Holds bytes back until they make a whole character; what can never become one turns into U+FFFD."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, symbol: int) -> str:
        return self._decoder.decode(bytes([symbol]))

    def flush(self) -> str:
        return self._decoder.decode(b"", final=True)


class WordVocabulary:
    """The most frequent words of the training text, with its punctuation and white space.

    A token is a word together with the one space before it, if there is one (" clouds"), or a single mark, or a
    single white-space character, so that decoding gives back the text exactly. Words met only once, and those
    beyond the limit, are symbol 0. Spelling one costs ln(alphabet + 1) nats for each of its characters and for
    its end.
    """

    level = "word"
    unknown: int | None = 0
    PATTERN = re.compile(r" ?\w+(?:['’]\w+)*| ?[^\w\s]|\s")

    def __init__(self, words: list[str], alphabet: int) -> None:
        self.words = words
        self.alphabet = alphabet
        self.size = 1 + len(words)
        self._ids = {word: number for number, word in enumerate(words, start=1)}

    @classmethod
    def survey(
        cls, chunks: Iterable[str], *, limit: int, training_bytes: float = math.inf
    ) -> tuple["WordVocabulary", int]:
        """The vocabulary of a text's first `training_bytes` bytes, and how many tokens the whole text is."""
        counts: Counter[str] = Counter()
        letters: set[str] = set()
        tokens, read = 0, 0
        for chunk in whole_words(chunks):
            found = cls.PATTERN.findall(chunk)
            tokens += len(found)
            size = len(to_bytes(chunk))
            if read + size > training_bytes:
                chunk = to_bytes(chunk)[: max(0, int(training_bytes) - read)].decode("utf-8", "ignore")
                found = cls.PATTERN.findall(chunk)[:-1]  # the cut may go through the last
            counts.update(found)
            letters.update(chunk)
            read += size
        # Sorted by frequency, then by word, so that the same text always gives the same numbers.
        often = sorted((word for word, count in counts.items() if count > 1), key=lambda word: (-counts[word], word))
        return cls(often[:limit], len(letters)), tokens

    def encode(self, text: str) -> Encoded:
        found = self.PATTERN.findall(text)
        ids = np.fromiter((self._ids.get(word, 0) for word in found), np.int64, len(found))
        return Encoded(ids, np.fromiter(map(len, found), np.int64, len(found)))

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(map(self.decoder().push, ids))

    def decoder(self) -> Decoder:
        return Pieces([" <unk>", *self.words])

    def unknown_nats(self, count: int, characters: int) -> float:
        return (characters + count) * math.log(self.alphabet + 1)

    def unknown_parts(self, text: str) -> list[str]:
        return [word for word in dict.fromkeys(self.PATTERN.findall(text)) if word not in self._ids]

    def to_json(self) -> dict[str, Any]:
        return {"level": self.level, "words": self.words, "alphabet": self.alphabet}


class TokenVocabulary(WordVocabulary):
    """The most frequent tokens of a text that is divided into tokens already, by white space.

    A token is a run of anything but white space together with the one space before it, if there is one (" @-@",
    " <unk>"), or a single white-space character. All else is as for `WordVocabulary`.
    """

    level = "token"
    PATTERN = re.compile(r" ?\S+|\s")


def from_json(record: dict[str, Any]) -> Vocabulary:
    match record:
        case {"level": "char", "characters": str(characters)} if len(set(characters)) == len(characters):
            return CharVocabulary(characters)
        case {"level": "byte"}:
            return ByteVocabulary()
        case {"level": "word", "words": list(words), "alphabet": int(alphabet)} if _are_words(words) and alphabet >= 0:
            return WordVocabulary(words, alphabet)
        case {"level": "token", "words": list(words), "alphabet": int(alphabet)} if _are_words(words) and alphabet >= 0:
            return TokenVocabulary(words, alphabet)
    raise RunError("The vocabulary in config.json is none that this Carousel knows: the file is damaged. Train again.")


def _are_words(words: list[Any]) -> bool:
    return all(isinstance(word, str) for word in words) and len(set(words)) == len(words)


def code_points(text: str) -> np.ndarray:
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.int64)


def to_bytes(text: str) -> bytes:
    """UTF-8; bytes that were no UTF-8 when the text was read (see `corpus.read`) come back as they were."""
    return text.encode("utf-8", "surrogateescape")


def whole_words(chunks: Iterable[str]) -> Iterable[str]:
    """The same text in chunks that begin where a token of `WordVocabulary` begins, so that the tokens of the chunks are
    those of the text. A word of more than `LONGEST` characters may be cut in two."""
    rest = ""
    for chunk in chunks:
        rest += chunk
        cut = _late_beginning(rest)
        if cut > 0:
            yield rest[:cut]
            rest = rest[cut:]
    if rest:
        yield rest


def _late_beginning(text: str) -> int:
    """Where, late in this text, a token begins, whatever follows the text; 0 where that is not known yet."""
    for position in range(len(text) - 1, max(0, len(text) - LONGEST), -1):
        if text[position].isspace():  # stands in no token but at its beginning
            return position
    if len(text) <= LONGEST:
        return 0
    # Scripts without spaces: the last token may go on ("don" and "'" may become "don't"), the last but one began there.
    last = deque(WordVocabulary.PATTERN.finditer(text), maxlen=2)
    return last[0].start() or len(text)
