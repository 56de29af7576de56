"""docs/classification.md: every row of its tables of layouts is read as it says, or refused in its words."""

import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from test_classification_readers import write_wav

from carousel.errors import DataError
from carousel.tasks.classification.sources import read_examples
from carousel.tasks.sequences.examples import Columns

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "classification.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| (.+?) \| (`.+) \| (.+?) \|$", PAGE, re.MULTILINE)


def written(folder: Path, cell: str) -> tuple[list[Path], dict[str, str]]:
    """The files of a row, and the options that it names. A name that ends in a colon is followed by the lines of the
    file; the others are files of which nothing is said but that they are there."""
    files, _, with_options = cell.partition(" with ")
    contents: dict[str, list[str]] = {}
    name = ""
    for code in re.findall(r"`([^`]+)`", files):
        if code.endswith(":") and "," not in code:
            name = code[:-1]
            contents[name] = []
        elif name and not re.fullmatch(r"[\w/]+\.(wav|csv)", code):
            contents[name].append(code)
        else:
            contents[code] = []
    for file, lines in contents.items():
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".wav":
            write_wav(path, np.zeros(100))
        else:
            path.write_text("\n".join(lines or (["x,y", "1,2", "3,4"] if path.suffix == ".csv" else ["words"])) + "\n")
    asked = re.findall(r"--(\w+) (\S+?)`", with_options)
    return [folder / next(iter(contents)) if len(contents) == 1 else folder], dict(asked)


def test_the_page_has_its_tables() -> None:
    assert len(ROWS) == 22


@pytest.mark.parametrize(("form", "cell", "reading"), ROWS, ids=[row[0] for row in ROWS])
def test_a_layout_is_read_as_the_page_says(tmp_path: Path, form: str, cell: str, reading: str) -> None:  # noqa: ARG001
    paths, options = written(tmp_path / "data", cell)
    if reading.startswith("refused: "):
        with pytest.raises(DataError, match=re.escape(reading.removeprefix("refused: "))):
            read_examples(paths, Columns(**options))
        return
    examples = read_examples(paths, Columns(**options))
    assert examples.labels is not None
    counts, *more = reading.split("; ")
    assert (
        ", ".join(f"{label} {count}" for label, count in sorted(Counter(map(str, examples.labels)).items())) == counts
    )
    if more:
        lengths, channels = more
        assert ", ".join(f"{len(item)} steps" for item in examples.items) == lengths
        assert ", ".join(examples.channels) == channels
