"""Pictures become files."""

import warnings
from pathlib import Path
from typing import Any

from carousel.errors import DataError
from carousel.files import written

PICTURES = (".png", ".svg", ".pdf")


def save(figure: Any, path: Path, *, dpi: int = 120) -> None:
    """A matplotlib figure as the kind of file that the name says, which appears whole or not at all.

    Raises DataError for any other name, and where it cannot be written."""
    if path.suffix.lower() not in PICTURES:
        raise DataError(f"{path} ends in none of {', '.join(PICTURES)}, which say what kind of picture to write.")
    try:
        with warnings.catch_warnings(), written(path) as file:
            # Signs that the font lacks are drawn as boxes, which says it as well.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            figure.savefig(file, dpi=dpi, format=path.suffix.lower()[1:])
    except OSError as problem:
        raise DataError(f"{path} could not be written: {problem.strerror or problem}.") from None
