"""What `carousel train DATA` takes data for, and what it refuses to take for text."""

import gzip
import io
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from carousel.cli import app
from carousel.errors import DataError
from carousel.tasks.catalogue import choose, prepare
from carousel.training.progress import Quiet

PROSE = "The clouds are in the sky, and the fish are in the sea.\nNobody knows why: it is so.\n" * 40
DAYS = [date(2024, 1, 1) + timedelta(days=k) for k in range(60)]
SERIES = "date,sold\n" + "".join(f"{day},{10 + k % 7}.5\n" for k, day in enumerate(DAYS))
POWER = "Date;Time;Power;Volts\n" + "".join(f"16/12/2006;17:{k:02}:00;4.2{k};234.84\n" for k in range(60))
SPACED = "".join(f" {k:6.2f}  {k * k:8.3f}   {-k:6.1f}\n" for k in range(60))
MESSAGES = "".join(f"{'ham' if k % 3 else 'spam'}\tsee you at {k}, or so\n" for k in range(60))


class Remembering(Quiet):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


def files(folder: Path, content: dict[str, str | bytes]) -> Path:
    """A folder with these files. Returns it, or its only file."""
    for name, text in content.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder / next(iter(content)) if len(content) == 1 else folder


def npy(array: np.ndarray) -> bytes:
    """An array as np.save writes it."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


TAKEN = {
    "prose": ({"poem.txt": PROSE}, "language"),
    "a refrain": ({"song.txt": "It was a dark night; the rain fell, in torrents.\n" * 40}, "language"),
    "prose without an ending": ({"poem": PROSE}, "language"),
    "a readme that is named": ({"README.md": PROSE}, "language"),
    "source code": ({"a.py": PROSE, "sub/b.py": PROSE}, "language"),
    "texts beside a readme": ({"a.txt": PROSE, "b.txt": PROSE, "LICENSE": "free", "README.md": "texts"}, "language"),
    "a table": ({"sales.csv": SERIES}, "forecasting"),
    "a table called text": ({"sales.txt": SERIES}, "forecasting"),
    "a table called data": ({"sales.dat": SERIES.replace(",", " ")}, "forecasting"),
    "a packed table": ({"sales.csv.gz": gzip.compress(SERIES.encode())}, "forecasting"),
}


@pytest.mark.parametrize("case", TAKEN)
def test_what_data_are_taken_for(tmp_path, case):
    content, task = TAKEN[case]
    assert choose([files(tmp_path, content)], None, {}, Quiet()).__name__ == f"carousel.tasks.{task}.task"  # type: ignore[arg-type]


REFUSED = {
    "a spreadsheet": ({"sales.xlsx": b"PK\x03\x04"}, r"sales.xlsx is a spreadsheet: save its sheet as CSV UTF-8"),
    "json": (
        {"sales.json": '[{"a": 1}]\n' * 90},
        r"sales.json is JSON: write it as a table first, as pandas.read_json",
    ),
    "json lines": ({"sales.jsonl": '{"a": 1}\n' * 90}, r"sales.jsonl is JSON"),
    "numbers in columns": ({"numbers.txt": SPACED}, r"numbers.txt holds lines of 3 numbers and no names: they may be"),
    "numbers in columns of data": ({"numbers.dat": SPACED}, r"numbers.dat .*line of column names"),
    "classes and texts without names": ({"SMSSpamCollection": MESSAGES}, r"is a table, and its columns do not say"),
    "numbers alone": ({"numbers.txt": "1.5\n2.5\n" * 60}, r"numbers.txt begins with numbers"),
    "a folder of tables": (
        {"a.csv": "x,y,z\n1,2,3\n" * 9, "b.csv": "x,y,z\n1,2,3\n" * 9, "README.md": PROSE},
        r"holds data \(a.csv, b.csv\), and nothing says what to learn .*name the tables: .*\*.csv",
    ),
    "tables beside texts": (
        {"a.csv": "x,y,z\n1,2,3\n" * 9, "poem.txt": PROSE},
        r"holds data \(a.csv\), and other files \(poem.txt\)",
    ),
    "a folder of json": ({"a.json": "{}", "b.json": "{}"}, r"holds data \(a.json, b.json\)"),
    "an array without classes": (
        {"x.npy": npy(np.zeros((6, 5, 2)))},
        r"holds one array, \(6, 5, 2\), and says no classes",
    ),
    "the beginning of an array": ({"x.npy": b"\x93NUMPY"}, r"x.npy is no .npy file that can be read"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_data_are_never_learnt_as_text(tmp_path, case):
    content, words = REFUSED[case]
    report = Remembering()
    with pytest.raises(DataError, match=words) as refusal:
        prepare([files(tmp_path, content)], None, {}, report)  # type: ignore[arg-type]
    assert "--task language" in str(refusal.value) or "(--task: forecasting, language" in report.said[0]


def test_what_lies_beside_texts_is_named_and_left(tmp_path, capsys):
    content = {
        "a.txt": PROSE,
        "LICENSE.txt": "All rights.",
        "README.md": "About.",
        "map.svg": "<svg/>",
        "sub/b.txt": PROSE,
    }
    app(["train", str(files(tmp_path, content)), "--dry-run", "--hidden", "4"], result_action="return_value")  # type: ignore[arg-type]
    said = capsys.readouterr().out
    assert "2 files: text" in said
    assert "left, as they are beside the texts: LICENSE.txt, README.md, map.svg" in said


def test_nothing_beside_data_is_the_text(tmp_path):
    folder = files(tmp_path, {"README.md": PROSE, "map.png": b"\x89PNG\0"})
    with pytest.raises(DataError, match="holds no text file"):
        prepare([folder], None, {}, Quiet())


def test_any_text_is_read_where_that_is_asked_for(tmp_path):
    for name, content in (("sales.csv", SERIES), ("sales.json", '[{"a": 1}]\n' * 90), ("power.txt", POWER)):
        _, prepared = prepare([files(tmp_path, {name: content})], "language", {"hidden": 4}, Quiet())
        assert prepared.tokens == len(content)


def test_a_table_of_semicolons_called_text_is_read(tmp_path):
    path = files(tmp_path, {"household_power_consumption.txt": POWER})
    options = {"time": "Date,Time", "target": ["Power"], "date_format": "%d/%m/%Y"}
    task, prepared = prepare([path], None, options, Quiet())
    assert task.__name__ == "carousel.tasks.forecasting.task"
    assert prepared.roles.targets == ("Power",)
    assert np.isfinite(prepared.inputs.values).all()
