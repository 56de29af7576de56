"""The symbols of one side of the pairs: how its texts become numbers, and numbers become texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from carousel.errors import CarouselError, RunError, option
from carousel.models.encoder_decoder import BOUNDARY
from carousel.tasks import vocabulary as of_language
from carousel.tasks.vocabulary import ByteVocabulary, CharVocabulary, Decoder, Vocabulary, WordVocabulary

SIZES = {"subword": 3_000, "word": 10_000}  # of vocabularies, where nobody chooses one


class Subwords:
    """Pieces of words, found by byte pair encoding (Sennrich, Haddow and Birch 2016) of the bytes of UTF-8.

    The 256 bytes are pieces too, so that no text has an unknown symbol. The package `tokenizers` finds and applies
    them. tokenizer: its description, as JSON. Raises RunError where it is none, CarouselError without the package.
    """

    level = "subword"
    unknown: int | None = None

    def __init__(self, tokenizer: str) -> None:
        self._json = tokenizer
        try:
            self.tokenizer = _tokenizers().Tokenizer.from_str(tokenizer)
        except CarouselError:
            raise
        except Exception as problem:  # the package raises plain Exception
            raise RunError(f"The vocabulary in config.json is no tokenizer ({problem}): it is damaged.") from None
        self.size = self.tokenizer.get_vocab_size()

    @classmethod
    def learn(cls, texts: Iterable[str], size: int) -> Subwords:
        """The `size` pieces (256 at least) that the merges of the commonest pairs give in these texts."""
        package = _tokenizers()
        tokenizer = package.Tokenizer(package.models.BPE())
        tokenizer.pre_tokenizer = package.pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = package.decoders.ByteLevel()
        alphabet = package.pre_tokenizers.ByteLevel.alphabet()
        trainer = package.trainers.BpeTrainer(
            vocab_size=max(size, len(alphabet)), initial_alphabet=sorted(alphabet), show_progress=False
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer.to_str())

    def encode(self, text: str) -> np.ndarray:
        return np.array(self.tokenizer.encode(text).ids, np.int64)

    def decode(self, ids: Iterable[int]) -> str:
        return str(self.tokenizer.decode(list(ids)))

    def to_json(self) -> dict[str, Any]:
        return {"level": self.level, "tokenizer": self._json}


class _PieceByPiece:
    """The decoder of subwords. It waits where a piece ends within a character."""

    def __init__(self, subwords: Subwords) -> None:
        self._tokenizer = subwords.tokenizer
        self._stream = _tokenizers().decoders.DecodeStream()

    def push(self, symbol: int) -> str:
        return self._stream.step(self._tokenizer, symbol) or ""

    def flush(self) -> str:
        return ""


def _tokenizers() -> Any:
    try:
        import tokenizers
    except ImportError:
        raise CarouselError(
            f"Texts are read by subword with the package tokenizers, which is not installed: pip install "
            f"'carousel-rnn[text]'. Or read them by word: {option('level', 'word')}."
        ) from None
    return tokenizers


class TextSymbols:
    """The symbols of one side: symbol 0 is the boundary of a text, the others are those of a vocabulary, after it.

    level: subword, word, char or byte. size: how many there are. unknown: the symbol of what the vocabulary does not
    have, None for levels that know every text.
    """

    def __init__(self, vocabulary: Vocabulary | Subwords) -> None:
        self.vocabulary, self.level = vocabulary, vocabulary.level
        self.size = vocabulary.size + 1
        self.unknown = None if vocabulary.unknown is None else vocabulary.unknown + 1

    @classmethod
    def learn(cls, texts: Sequence[str], level: str, size: int | None = None) -> TextSymbols:
        """The symbols of these texts. size: of the vocabulary, for the levels subword and word."""
        size = size or SIZES.get(level, 0)
        if level == "subword":
            return cls(Subwords.learn(texts, size))
        if level == "byte":
            return cls(ByteVocabulary())
        if level == "char":
            return cls(CharVocabulary("".join(sorted({letter for text in texts for letter in text}))))
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(WordVocabulary.PATTERN.findall(" " + text))
        # A word that was met once is learnt too seldom to be of use, and teaches what the unknown symbol stands for.
        often = sorted((word for word, count in counts.items() if count > 1), key=lambda word: (-counts[word], word))
        return cls(WordVocabulary(often[:size], len({letter for text in texts for letter in text})))

    def encode(self, text: str) -> np.ndarray:
        """The symbols of a text, without boundaries, (n,) int64."""
        if isinstance(self.vocabulary, Subwords):
            return self.vocabulary.encode(text) + 1
        # A word is known with the space before it, and the first word of a text has one too.
        return self.vocabulary.encode(" " + text if self.level == "word" else text).ids + 1

    def decode(self, symbols: Iterable[int]) -> str:
        """The text of symbols. Boundaries are passed over."""
        return self.vocabulary.decode(symbol - 1 for symbol in symbols if symbol != BOUNDARY).strip()

    def decoder(self) -> Decoder:
        """Turns symbols of the vocabulary, one less than those here, into text one by one."""
        return _PieceByPiece(self.vocabulary) if isinstance(self.vocabulary, Subwords) else self.vocabulary.decoder()

    def pieces(self, symbols: Iterable[int]) -> list[str]:
        """The text of each symbol by itself, for pictures."""
        return ["·" if symbol == BOUNDARY else self.vocabulary.decode([symbol - 1]) for symbol in symbols]

    def to_json(self) -> dict[str, Any]:
        return self.vocabulary.to_json()


def from_json(record: dict[str, Any]) -> TextSymbols:
    """The symbols that a run recorded. Raises RunError for a record that `to_json` has not made."""
    if record.get("level") == "subword" and isinstance(record.get("tokenizer"), str):
        return TextSymbols(Subwords(record["tokenizer"]))
    return TextSymbols(of_language.from_json(record))
