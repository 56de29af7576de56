"""Which text a page reads."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from carousel.errors import DataError
from carousel.page.readers.symbols import pieces_of
from carousel.tasks.language import LanguageModel, corpus
from carousel.training.run_folder import RunFolder

CHUNKS = 4  # of a file, each of a megabyte or so: more than any page shows


@dataclass(frozen=True)
class Passage:
    """A text, where it is from, and whether there was more of it."""

    text: str
    source: str
    more: bool = False

    @property
    def said(self) -> str:
        return f"{self.source}{', its beginning' if self.more else ''}"


def passage_for(model: LanguageModel, text: str | Path | None, steps: int) -> Passage:
    """The text that is meant, its first `steps` symbols as the model reads it.

    Raises DataError for a file that is no text, and for fewer than two symbols: the second is predicted from the first.
    """
    if isinstance(text, Path):
        any_bytes = model.vocabulary.level == "byte"
        sources = corpus.find([text], any_bytes=any_bytes)
        found = Passage("".join(islice(corpus.read(sources.files, any_bytes=any_bytes), CHUNKS)), text.name)
    elif text is not None:
        found = Passage(text, "the text that was given")
    else:
        found = _held_out(model, steps) or _own_writing(model, steps)
    _, _, starts = pieces_of(model.vocabulary, found.text)
    if len(starts) < 2:
        raise DataError(
            f"A page shows at least two symbols, as the second is predicted from the first, and {found.source} "
            f"has {len(starts)}."
        )
    if len(starts) <= steps:
        return found
    return Passage(found.text[: starts[steps]], found.source, more=True)


def _held_out(model: LanguageModel, steps: int) -> Passage | None:
    """The last `steps` symbols of the training's files, which it validated on; None where they are gone or changed."""
    if model.run is None:
        return None
    config = RunFolder.open(model.run).config()
    sources, settings = config.get("sources") or [], config.get("settings", {})
    if not sources:
        return None
    last = Path(sources[-1]["file"])
    try:
        size = last.stat().st_size
        if size != sources[-1]["bytes"]:
            return None
        unread = int(size * settings.get("validation_share", 0.0)) if len(sources) == 1 else 0
        with open(last, "rb") as file:
            file.seek(max(size - unread, size - 16 * steps, 0))
            text = file.read().decode("utf-8", "ignore")
    except OSError:
        return None
    _, _, starts = pieces_of(model.vocabulary, text)
    if unread == 0 or len(starts) < 2:
        return None
    text = text[starts[max(0, len(starts) - steps)] :]
    return Passage(text, f"the end of {last.name}, which the run did not learn from")


def _own_writing(model: LanguageModel, steps: int) -> Passage:
    return Passage(model.generate("", length=steps, seed=0), "what the model writes by itself, as no text was given")


def settings_of(model: LanguageModel) -> dict[str, Any]:
    """What was chosen for the model's training; nothing for a model that is of no run."""
    if model.run is None:
        return {}
    found: dict[str, Any] = RunFolder.open(model.run).config().get("settings", {})
    return found
