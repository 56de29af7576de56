"""Reads sequences with tags from files and folders in any of their forms."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from carousel.errors import DataError, option
from carousel.tasks.files import require_existing
from carousel.tasks.kinds_of_files import named
from carousel.tasks.sequences.examples import Columns
from carousel.tasks.sequences.kinds import files_under, part_of
from carousel.tasks.table import looks_like_table, numbers_written
from carousel.tasks.tagging import conll, frames, rows
from carousel.tasks.tagging.settings import Settings
from carousel.tasks.tagging.tagged import Tagged, joined

CONLL, ROWS, FRAMES = "words with tags", "a table whose tags change within an id", "sounds with a table of intervals"
ROLES = ("label", "id", "time", "file")  # the columns that a table of sequences may have


def recognize(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
    """Why these look like sequences with tags, or None. Reads names, and the beginning of a file."""
    settings = Settings(**{role: options[role] for role in ROLES if role in options})
    columns = Columns(**{role: getattr(settings, role) for role in ROLES})
    forms = {form_of(path, columns) for path in paths if path.is_file()}
    forms |= {CONLL for path in paths if path.is_dir() and _conll_files(path)}
    return forms.pop() if len(forms) == 1 else None


def form_of(path: Path, columns: Columns) -> str | None:
    """CONLL, ROWS or FRAMES; None for any other file."""
    if conll.looks_like(path):
        return CONLL
    if frames.looks_like(path, columns.label, columns.file):
        return FRAMES
    return ROWS if rows.looks_like(path, columns) else None


class PartFiles:
    """The files of a data set. train: to learn from. validation, test: files of the user's, or of the parts in a
    folder; None where there is none."""

    def __init__(self, paths: Sequence[Path], settings: Settings) -> None:
        require_existing(paths)
        self.said: list[str] = []
        self.train: list[Path] = []
        self.validation = _file(settings.validation_file)
        self.test = _file(settings.test_file)
        for path in paths:
            self.train += self._in_folder(path) if path.is_dir() else [path]

    def _in_folder(self, folder: Path) -> list[Path]:
        """The files to learn from in a folder. Where their names say which part each is, the other parts are for
        validation and test."""
        files = _conll_files(folder)
        if not files:
            raise DataError(
                f"The folder {folder} holds no file of tagged words ({', '.join(conll.ENDINGS[:4])}). Name the file "
                f"to learn from."
            )
        parts: dict[str | None, list[Path]] = {}
        for file in files:
            parts.setdefault(part_of(file.name.split(".")[0]), []).append(file)
        if "train" not in parts:
            return files
        if len(parts.get("valid", ())) == 1 and self.validation is None:
            self.validation = parts["valid"][0]
        if len(parts.get("test", ())) == 1 and self.test is None:
            self.test = parts["test"][0]
        used = {*parts["train"], self.validation, self.test}
        if left := [file for file in files if file not in used]:
            self.said.append(f"left: {named(left)}")
        return parts["train"]


def read(paths: Sequence[Path], settings: Settings) -> Tagged:
    """The sequences in files, with their tags. Raises DataError where there are none, or they cannot be read."""
    return _read(paths, {name: getattr(settings, name) for name in _COLUMNS}, settings.decimal, settings.thousands)


_COLUMNS = ("label", "word", "id", "time", "file")


def read_for(
    kind: str, paths: Sequence[Path], columns: Mapping[str, str | None], channels: Sequence[str] = ()
) -> Tagged:
    """The sequences in files, for a trained model of this kind, with their tags where the files have some.

    columns, channels: those that the model learnt from.
    """
    require_existing(paths)
    if not paths:
        raise DataError("Data to tag must be named: a file, or several.")
    if kind == "audio" and all(frames.is_sound(path) for path in paths):
        return frames.read_sounds(paths)
    if kind == "words" and (text := [path for path in paths if not conll.looks_like(path)]):
        raise DataError(
            f"{text[0]} is no file of tagged words: a word in each line with its tag, and a blank line after each "
            f"sentence. A plain text is tagged by carousel tag RUN < {text[0].name}, a sentence in each line."
        )
    return _read(paths, columns, None, None, channels=channels, kind=kind)


def _read(
    paths: Sequence[Path],
    columns: Mapping[str, str | None],
    decimal: str | None,
    thousands: str | None,
    *,
    channels: Sequence[str] = (),
    kind: str | None = None,
) -> Tagged:
    asked = Columns(**{role: columns.get(role) for role in ROLES})
    parts = []
    with numbers_written(decimal, thousands):
        for path in paths:
            form = form_of(path, asked)
            if form == FRAMES:
                parts.append(frames.read_table(path, label=asked.label, file=asked.file))
            elif form == ROWS or (form is None and kind in (None, "series") and looks_like_table(path)):
                parts.append(rows.read_rows(path, asked, channels=channels, model_asks=kind is not None))
            elif form == CONLL or kind == "words" or path.name.endswith((".txt", ".tsv")):
                label, word = columns.get("label"), columns.get("word")
                parts.append(conll.read(path, label=label, word=word, asked=kind is not None))
            else:
                raise DataError(
                    f"{path} holds no sequences with tags that can be read: a file has a word and its tag in each line "
                    f"and a blank line after each sentence ({', '.join(conll.ENDINGS[:4])} or other text), or it is a "
                    f"table with a column of ids ({option('id')}) and one of tags ({option('label')}), or a table of "
                    f"the intervals of sounds: file, start, end, label."
                )
    return joined(parts)


def _conll_files(folder: Path) -> list[Path]:
    return [file for file in files_under(folder) if conll.is_named(file)]


def _file(name: str | None) -> Path | None:
    if name is None:
        return None
    require_existing([Path(name)])
    return Path(name)
