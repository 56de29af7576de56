"""Chooses the text that a page shows."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from carousel.errors import DataError
from carousel.page.readers.symbols import pieces_of
from carousel.tasks.language import LanguageModel, corpus
from carousel.training.run_folder import RunFolder

CHUNKS = 4  # pieces of a file, of about a megabyte each, which is more than any page shows


@dataclass(frozen=True)
class Passage:
    """A text, its source, and whether the source has more text."""

    text: str
    source: str
    more: bool = False

    @property
    def said(self) -> str:
        return f"{self.source}{', its beginning' if self.more else ''}"


def passage_for(model: LanguageModel, text: str | Path | None, steps: int) -> Passage:
    """The first `steps` symbols of the given text, as the model reads them.

    Raises DataError for a file that is no text, and for fewer than two symbols, since the model predicts the second.
    """
    if isinstance(text, Path):
        any_bytes = model.vocabulary.level == "byte"
        sources = corpus.find([text], any_bytes=any_bytes)
        found = Passage("".join(islice(corpus.read(sources.files, any_bytes=any_bytes), CHUNKS)), text.name)
    elif text is not None:
        found = Passage(text, "the text that was given")
    else:
        held_out = _held_out(model, steps)
        found = held_out if isinstance(held_out, Passage) else _own_writing(model, steps, held_out)
    _, _, starts = pieces_of(model.vocabulary, found.text)
    if len(starts) < 2:
        raise DataError(
            f"A page shows at least two symbols, as the second is predicted from the first, and {found.source} "
            f"has {len(starts)}."
        )
    if len(starts) <= steps:
        return found
    return Passage(found.text[: starts[steps]], found.source, more=True)


def _held_out(model: LanguageModel, steps: int) -> Passage | str:
    """The last `steps` symbols of the run's file, which are validation data; or the reason why they are missing."""
    if model.run is None:
        return "no text was given"
    config = RunFolder.open(model.run).config()
    sources, settings = config.get("sources") or [], config.get("settings", {})
    if len(sources) != 1:
        return "no text was given, and what the run did not learn from is not known to be the end of one file"
    (source,) = sources
    if not isinstance(source, dict) or not isinstance(source.get("file"), str) or not isinstance(settings, dict):
        return "no text was given, and the run does not say what it did not learn from"
    file = Path(source["file"])
    try:
        now = corpus.identity(file)
        unread = int(now["bytes"] * settings.get("validation_share", 0.0))
        with open(file, "rb") as content:
            content.seek(max(now["bytes"] - unread, now["bytes"] - 16 * steps, 0))
            text = content.read().decode("utf-8", "ignore")
    except FileNotFoundError:
        return f"no text was given, and {file.name}, which the run learnt from, is missing"
    except OSError as problem:
        return f"no text was given, and {file.name}, which the run learnt from, cannot be read ({problem.strerror})"
    if any(now[what] != known for what, known in source.items()):
        return f"no text was given, and {file.name} has changed since the run learnt from it"
    _, _, starts = pieces_of(model.vocabulary, text)
    if unread == 0 or len(starts) < 2:
        return f"no text was given, and too little of {file.name} was held out"
    text = text[starts[max(0, len(starts) - steps)] :]
    # Earlier runs did not keep a checksum, so that another text of the same length seems to be the same.
    sure = "" if "sha256" in source else ", if the file is as it was then"
    return Passage(text, f"the end of {file.name}, which the run did not learn from{sure}")


def _own_writing(model: LanguageModel, steps: int, why: str) -> Passage:
    if model.fills:
        raise DataError(f"A text to read must be named, as {why}: carousel inspect RUN FILE (in Python: data=).")
    return Passage(model.generate("", length=steps, seed=0), f"what the model writes by itself, as {why}")


def settings_of(model: LanguageModel) -> dict[str, Any]:
    """The settings of the model's training; empty for a model without a run."""
    if model.run is None:
        return {}
    found: dict[str, Any] = RunFolder.open(model.run).config().get("settings", {})
    return found
