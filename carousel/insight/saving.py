"""Saves pictures as files."""

import warnings
from pathlib import Path
from typing import Any

from carousel.errors import DataError
from carousel.files import written

PICTURES = (".png", ".svg", ".pdf")


def save(figure: Any, path: Path, *, dpi: int = 120) -> None:
    """Saves a matplotlib figure. The ending of the path decides the format. The file is written whole or not at all.

    Raises DataError for an unknown ending, and if the file cannot be written."""
    if path.suffix.lower() not in PICTURES:
        raise DataError(f"{path} ends in none of {', '.join(PICTURES)}, which say what kind of picture to write.")
    try:
        with warnings.catch_warnings(), written(path) as file:
            # A warning is unnecessary: characters that the font lacks are drawn as boxes.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            figure.savefig(file, dpi=dpi, format=path.suffix.lower()[1:])
    except OSError as problem:
        raise DataError(f"{path} could not be written: {problem.strerror or problem}.") from None
