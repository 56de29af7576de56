"""Text files, turned into one long array of symbols on disk, whatever their size.

Two passes over the files in chunks: one finds the vocabulary and counts, one writes the symbols. Memory holds a
chunk and the vocabulary, never the text.
"""

import codecs
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from carousel.errors import DataError, RunError, option
from carousel.files import open_to_read, written
from carousel.tasks.files import require_existing
from carousel.tasks.kinds_of_files import is_companion, visible
from carousel.tasks.vocabulary import (
    ByteVocabulary,
    CharVocabulary,
    TokenVocabulary,
    Vocabulary,
    WordVocabulary,
    whole_words,
)
from carousel.training.run_folder import require_space

CHUNK = 1 << 20  # bytes
# How files begin that hold text, packed in some way, and how to come by it.
PACKED = {
    b"\x1f\x8b": "packed by gzip. Unpack it: gunzip -k {}",
    b"\xfd7zXZ\0": "packed by xz. Unpack it: unxz -k {}",
    b"\x28\xb5\x2f\xfd": "packed by zstd. Unpack it: unzstd {}",
    b"PK\x03\x04": "a zip archive (.docx, .xlsx, .npz and .epub are such too). Unpack it, or save its text as .txt",
    b"%PDF-": "a PDF. Take its text out: pdftotext {}",
}
DTYPES = ("uint8", "uint16", "uint32")  # of the symbols there
TOKENS = "tokens.bin"  # in the run folder, until training has ended


@dataclass(frozen=True)
class Tally:
    """Counts over a stretch of text."""

    tokens: int = 0
    characters: int = 0
    unknown: int = 0  # tokens outside the vocabulary
    unknown_characters: int = 0

    def plus(self, ids: np.ndarray, lengths: np.ndarray, unknown: int | None) -> "Tally":
        strange = ids == unknown if unknown is not None else np.zeros(len(ids), bool)
        return Tally(
            self.tokens + len(ids),
            self.characters + int(lengths.sum()),
            self.unknown + int(strange.sum()),
            self.unknown_characters + int(lengths[strange].sum()),
        )


@dataclass(frozen=True)
class Corpus:
    """The symbols of a text in a file, memory-mapped: the first part to learn from, the rest to validate on."""

    path: Path
    dtype: str
    training_tally: Tally
    validation_tally: Tally

    def _all(self) -> np.ndarray:
        expected = (self.training_tally.tokens + self.validation_tally.tokens) * np.dtype(self.dtype).itemsize
        size = self.path.stat().st_size if self.path.exists() else 0
        if size != expected:
            raise RunError(
                f"{self.path} should hold the training text in {expected:,} bytes, and has {size:,}. "
                f"The run cannot go on without it: train again."
            )
        return np.memmap(self.path, dtype=self.dtype, mode="r")

    @property
    def training(self) -> np.ndarray:
        return self._all()[: self.training_tally.tokens]

    @property
    def validation(self) -> np.ndarray:
        return self._all()[self.training_tally.tokens :]

    def to_json(self) -> dict[str, Any]:
        return {
            "dtype": self.dtype,
            "training": asdict(self.training_tally),
            "validation": asdict(self.validation_tally),
        }

    @classmethod
    def from_json(cls, folder: Path, record: dict[str, Any]) -> "Corpus":
        """Raises ValueError, TypeError or KeyError for what `to_json` has not written."""
        tallies = Tally(**record["training"]), Tally(**record["validation"])
        counts = [count for tally in tallies for count in asdict(tally).values()]
        if record["dtype"] not in DTYPES or not all(isinstance(count, int) and count >= 0 for count in counts):
            raise ValueError("the corpus is described by a type of its symbols and by counts of them")
        return cls(folder / TOKENS, record["dtype"], *tallies)

    def require_symbols(self, size: int) -> None:
        """Raises RunError for symbols beyond a vocabulary of that size."""
        found = int(self._all().max(initial=0))
        if found >= size:
            raise RunError(
                f"{self.path} holds the symbol {found}, and the vocabulary has {size}: one of them is not of this run."
            )


# -- finding and reading files ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sources:
    files: list[Path]
    skipped: list[Path]  # found in a folder, and not text
    companions: list[Path]  # READMEs, licences and pictures beside texts

    @property
    def bytes(self) -> int:
        return sum(file.stat().st_size for file in self.files)


def identity(file: Path) -> dict[str, Any]:
    """The name, size and SHA-256 of a file, which a run records to recognise later whether the file has changed."""
    with open_to_read(file) as content:
        return {
            "file": str(file),
            "bytes": file.stat().st_size,
            "sha256": hashlib.file_digest(content, "sha256").hexdigest(),
        }


def find(paths: Sequence[str | Path], *, any_bytes: bool = False) -> Sources:
    """The text files that these names mean: files, and all text files in folders, sorted by name.

    In a folder, hidden files, READMEs, licences, pictures and files that do not begin as UTF-8 text are passed over
    (`any_bytes` takes the last of these too).
    Raises DataError for a name that leads to no text.
    """
    require_existing(map(Path, paths))
    files: list[Path] = []
    skipped: list[Path] = []
    companions: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = visible(path)
            beside = [file for file in found if is_companion(file)]
            inside = [file for file in found if not is_companion(file)]
            text = [file for file in inside if any_bytes or _begins_as_text(file)]
            if not text:
                raise DataError(
                    f"The folder {path} holds no text file ({len(found)} files were looked at). "
                    f"Name a text file, or a folder with some."
                )
            files += text
            companions += beside
            skipped += [file for file in inside if file not in set(text)]
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"{path} is neither a file nor a folder. Training reads its text twice: give a file.")
    sources = Sources(files, skipped, companions)
    if sources.bytes == 0:
        raise DataError(f"{' '.join(str(path) for path in paths)} is empty: there is nothing to read.")
    return sources


def _begins_as_text(file: Path) -> bool:
    try:
        with open(file, "rb") as stream:
            head = stream.read(4096)
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except (OSError, UnicodeDecodeError):
        return False
    return b"\0" not in head


def read(files: Iterable[Path], *, any_bytes: bool = False) -> Iterator[str]:
    """The text of these files in chunks, one file after another, a line break between two.

    A UTF-8 byte-order mark is left out; line ends stay as they are. With `any_bytes`, bytes that are no UTF-8
    come as lone surrogates, which `vocabulary.to_bytes` turns back. Raises DataError where a file cannot be read
    or is not UTF-8.
    """
    ended = True
    for file in files:
        if not ended:
            yield "\n"
        for chunk in _read_file(file, any_bytes):
            yield chunk
            ended = chunk.endswith("\n")


def _read_file(file: Path, any_bytes: bool) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder("utf-8")(errors="surrogateescape" if any_bytes else "strict")
    offset = 0
    try:
        with open(file, "rb") as stream:
            while True:
                block = stream.read(CHUNK)
                if offset == 0 and not any_bytes:
                    _refuse_other_encodings(file, block)
                    block = block.removeprefix(codecs.BOM_UTF8)
                pending = len(decoder.getstate()[0])
                try:
                    text = decoder.decode(block, final=not block)
                except UnicodeDecodeError as problem:
                    byte = problem.object[problem.start]
                    raise DataError(
                        f"{file} is not UTF-8 text: byte 0x{byte:02X} at position "
                        f"{offset - pending + problem.start:,} ({problem.reason}). Convert it (for example: "
                        f"iconv -f LATIN1 -t UTF-8 {file.name} > new.txt), or train on bytes, which takes any "
                        f"file: {option('level', 'byte')}"
                    ) from None
                offset += len(block)
                if text:
                    yield text
                if not block:
                    return
    except OSError as problem:
        raise DataError(f"{file} cannot be read: {problem.strerror}. Check its permissions.") from None


def _refuse_other_encodings(file: Path, head: bytes) -> None:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(
            f"{file} is UTF-16 text, and training reads UTF-8. "
            f"Convert it: iconv -f UTF-16 -t UTF-8 {file.name} > new.txt"
        )
    packed = next((how for mark, how in PACKED.items() if head.startswith(mark)), None)
    if packed:
        raise DataError(
            f"{file} is no text but {packed.format(file.name)}. Or train on its bytes as they are: "
            f"{option('level', 'byte')}"
        )
    if b"\0" in head[:4096]:
        raise DataError(
            f"{file} is not text: it holds zero bytes near its beginning. "
            f"Give a text file, or train on bytes, which takes any file: {option('level', 'byte')}"
        )


# -- building ---------------------------------------------------------------------------------------------------


def survey(sources: Sources, level: str, *, words: int, training_share: float) -> tuple[Vocabulary, int]:
    """First pass: the vocabulary of a text, and how many tokens it is.

    The alphabet of the char level is that of the whole text; the words of the word level are those of its
    training part, as a word that only validation holds must not be known.
    """
    chunks = read(sources.files, any_bytes=level == "byte")
    if level == "char":
        return CharVocabulary.survey(chunks)
    if level == "byte":
        return ByteVocabulary.survey(chunks)
    kind = {"word": WordVocabulary, "token": TokenVocabulary}.get(level)
    if kind is None:
        raise DataError(f"A text is read by char, byte, word or token; the level {level!r} is none of these.")
    return kind.survey(chunks, limit=words, training_bytes=training_share * sources.bytes)


def encode(text: Iterable[str], vocabulary: Vocabulary) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Symbols and their lengths in characters, chunk by chunk, as if the text were encoded at once."""
    if isinstance(vocabulary, WordVocabulary):
        text = whole_words(text)
    for chunk in text:
        yield vocabulary.encode(chunk)


def write(sources: Sources, vocabulary: Vocabulary, tokens: int, folder: Path, *, validation_share: float) -> Corpus:
    """Second pass: the symbols of a text of `tokens` tokens, written to `folder`, split by position.

    Raises RunError when the disk has no room for them.
    """
    dtype = np.min_scalar_type(vocabulary.size - 1)
    require_space(folder, tokens * dtype.itemsize, "The training text")
    split = int(tokens * (1 - validation_share))
    training, validation = Tally(), Tally()
    try:
        with written(folder / TOKENS) as file:
            for ids, lengths in encode(read(sources.files, any_bytes=vocabulary.level == "byte"), vocabulary):
                cut = max(0, min(len(ids), split - training.tokens))
                training = training.plus(ids[:cut], lengths[:cut], vocabulary.unknown)
                validation = validation.plus(ids[cut:], lengths[cut:], vocabulary.unknown)
                file.write(ids.astype(dtype).tobytes())
    except OSError as problem:
        raise RunError(
            f"{folder / TOKENS} could not be written: {problem.strerror}. Put the run elsewhere ({option('out')})."
        ) from None
    if training.tokens + validation.tokens != tokens:
        raise DataError(
            f"The text changed while it was read: {tokens:,} tokens at first, then "
            f"{training.tokens + validation.tokens:,}. Train on a copy."
        )
    return Corpus(folder / TOKENS, dtype.name, training, validation)
