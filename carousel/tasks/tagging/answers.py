"""The tags of a model in the forms in which they are shown and written."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks.sequences.front_ends.audio import AudioFrontEnd
from carousel.tasks.tagging import front_ends, sources
from carousel.tasks.tagging.frames import middles_of_frames
from carousel.tasks.tagging.spans import Span, are_spans, spans
from carousel.tasks.tagging.tagged import Tagged
from carousel.tasks.tagging.tokenizing import words_of
from carousel.tasks.tagging.trained import TrainedTagger
from carousel.tasks.tagging.words import WordFrontEnd

AT_ONCE = 64  # sentences that are tagged together


@dataclass(frozen=True)
class TaggedText:
    """A text with the tag of each of its words.

    probabilities: P of each tag that was chosen. spans: the spans that the tags mark; none where tags mark none.
    unknown: which words the model does not know, and tags by their characters and neighbours.
    """

    text: str
    words: tuple[str, ...]
    tags: tuple[str, ...]
    probabilities: tuple[float, ...]
    spans: tuple[Span, ...]
    unknown: tuple[bool, ...]

    def to_json(self) -> dict[str, Any]:
        """As `carousel tag --json` writes it. Spans have the words from start to end - 1, counted from 0."""
        record: dict[str, Any] = {
            "text": self.text,
            "words": list(self.words),
            "tags": list(self.tags),
            "probabilities": [round(p, 6) for p in self.probabilities],
        }
        if self.spans:
            record["spans"] = [
                {**span._asdict(), "text": " ".join(self.words[span.start : span.end])} for span in self.spans
            ]
        return record

    def lines(self) -> Iterator[str]:
        """A line for each word, as a terminal shows it; below them the spans."""
        widths = [max((len(one) for one in column), default=0) for column in (self.words, self.tags)]
        for word, tag, p, unknown in zip(self.words, self.tags, self.probabilities, self.unknown, strict=True):
            yield f"{word.ljust(widths[0])}  {tag.ljust(widths[1])}  {p:6.1%}{'  unknown word' if unknown else ''}"
        for span in self.spans:
            yield f"{span.type}: {' '.join(self.words[span.start : span.end])}"


def tag_texts(trained: TrainedTagger, texts: Iterable[str], *, pretokenized: bool = False) -> Iterator[TaggedText]:
    """The tags of the words of each text, one text after another.

    pretokenized: whether the words of a text are divided by white space, and nothing else divides them.
    Raises DataError for a model that does not tag words.
    """
    front_end = trained.front_end
    if not isinstance(front_end, WordFrontEnd):
        raise DataError(
            f"This model tags {front_end.unit}s of {front_end.kind}, and no text: name a file ({option('data')})."
        )

    def divided(text: str) -> tuple[str, ...]:
        return tuple(text.split()) if pretokenized else words_of(text, front_end.knows)

    return tag_words(trained, ((text, divided(text)) for text in texts))


def tag_words(trained: TrainedTagger, sentences: Iterable[tuple[str, tuple[str, ...]]]) -> Iterator[TaggedText]:
    """The tags of the words of each sentence, which is a text and its words. For a model that tags words."""
    front_end, marked = trained.front_end, are_spans(trained.tags)
    assert isinstance(front_end, WordFrontEnd)
    waiting = iter(sentences)
    while some := list(islice(waiting, AT_ONCE)):
        logs = trained.log_probabilities(Tagged("words", [words for _, words in some], [text for text, _ in some]))
        for (text, words), log in zip(some, logs, strict=True):
            tags = tuple(trained.tags[k] for k in log.argmax(1).tolist())
            yield TaggedText(
                text,
                words,
                tags,
                tuple(np.exp(log.max(1, initial=-np.inf)).tolist()),
                tuple(spans(tags)) if marked else (),
                tuple(not front_end.knows(word) for word in words),
            )


def read(trained: TrainedTagger, paths: Sequence[Path]) -> Tagged:
    """Sequences for a trained model, from files that may or may not have tags."""
    front_end = trained.front_end
    data = sources.read_for(front_end.kind, paths, trained.columns, getattr(front_end, "channels", ()))
    trained.require_kind(data)
    return data


def table(trained: TrainedTagger, data: Tagged) -> pl.DataFrame:
    """The predicted tags as a table with a row for each step: the sequence, the step from 1, for words the word, for
    sounds the middle of the frame in seconds; the true tag, where the data have one; the prediction and its P."""
    logs = trained.log_probabilities(data)
    lengths = [len(log) for log in logs]
    columns: dict[str, Any] = {
        "sequence": [name for name, length in zip(data.names, lengths, strict=True) for _ in range(length)],
        "step": [step for length in lengths for step in range(1, length + 1)],
    }
    if isinstance(trained.front_end, WordFrontEnd):
        columns["word"] = [word for words in data.items for word in words]
    if isinstance(trained.front_end, AudioFrontEnd):
        columns["seconds"] = [t for length in lengths for t in middles_of_frames(trained.front_end, length).tolist()]
    if (truth := front_ends.tags_of(trained.front_end, data, lengths)) is not None:
        columns["tag"] = [tag for one in truth for tag in one]
    columns["prediction"] = [trained.tags[k] for log in logs for k in log.argmax(1).tolist()]
    columns["probability"] = [p for log in logs for p in np.exp(log.max(1, initial=-np.inf)).tolist()]
    return pl.DataFrame(columns)


def stretches(trained: TrainedTagger, data: Tagged) -> pl.DataFrame:
    """The predicted tags of rows and frames as a table with a row for each stretch of one tag: the sequence, where it
    starts and ends, and the tag. Of sounds start and end are seconds, of rows the first and the last step, from 1."""
    rows = []
    for name, log in zip(data.names, trained.log_probabilities(data), strict=True):
        edges = _edges(trained, len(log))
        start = 0
        for tag, run in groupby(log.argmax(1).tolist()):
            end = start + len(list(run))
            rows.append((name, edges[start], edges[end] if _is_sound(trained) else end, trained.tags[tag]))
            start = end
    where = "file" if _is_sound(trained) else "sequence"
    return pl.DataFrame(rows, schema=[where, "start", "end", "tag"], orient="row")


def _is_sound(trained: TrainedTagger) -> bool:
    return isinstance(trained.front_end, AudioFrontEnd)


def _edges(trained: TrainedTagger, steps: int) -> list[float] | list[int]:
    """Where each step starts, and where the last one ends."""
    if isinstance(trained.front_end, AudioFrontEnd):
        middles = middles_of_frames(trained.front_end, steps + 1)
        half = (middles[1] - middles[0]) / 2 if steps else 0.0
        return [round(max(0.0, float(middle - half)), 4) for middle in middles]
    return list(range(1, steps + 2))


def sentences(texts: Iterable[TaggedText]) -> Tagged:
    """The words of tagged texts as sequences, each with its text for a name."""
    found = list(texts)
    return Tagged("words", [one.words for one in found], [one.text for one in found])


def printed(trained: TrainedTagger, data: Tagged) -> Iterator[str]:
    """The lines that show the tags of data from files: of words each sentence, of others the stretches as CSV."""
    if data.kind == "words":
        yield from as_lines(tag_words(trained, ((" ".join(words), words) for words in data.items)))
    else:
        yield stretches(trained, data).write_csv().rstrip("\n")


def as_lines(texts: Iterable[TaggedText]) -> Iterator[str]:
    """The lines of each text, with an empty line between two texts."""
    for number, text in enumerate(texts):
        if number:
            yield ""
        yield from text.lines()


def as_json(texts: Iterable[TaggedText]) -> Iterator[str]:
    """A line of JSON for each text."""
    for text in texts:
        yield json.dumps(text.to_json(), ensure_ascii=False)
