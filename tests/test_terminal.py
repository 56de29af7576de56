"""A terminal never obeys what a file says: names, messages and what models write reach it cleaned."""

from __future__ import annotations

import ast
import io
import sys
from pathlib import Path
from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

import carousel
from carousel import cli
from carousel.training.measure import Measure
from carousel.training.progress import Lines, Status, meter
from carousel.training.screen import Screen
from carousel.training.terminal import DIRECTION, printable, write

PACKAGE = Path(carousel.__file__).parent
STATUS = Status(step=1, steps=2, tokens=10, epoch=0.5, seconds=1.0, train=1.0, validation=1.0, best=1.0)

# Colours, a window's title, a bell, C1's own escape, an override of direction, an isolate, half a character, a line
# separator, a carriage return that overwrites the line.
HOSTILE = "\x1b[31m \x1b]0;title\x07 \x9b2J \u202egpj.exe \u2066 \udcff \u2028 \rover"


def obeyed(text: str) -> list[str]:
    """What a terminal would obey: an oracle of its own, by Unicode's categories and classes of direction."""
    return [s for s in text if s not in "\n\t" and (category(s) in ("Cc", "Cs", "Zl", "Zp") or s in DIRECTION)]


class Terminal(io.StringIO):
    encoding = "utf-8"

    def __init__(self, tty: bool) -> None:
        super().__init__()
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty


@given(st.text(max_size=40))
def test_printable_keeps_the_rest_and_is_itself_printable(text):
    shown = printable(text)
    assert not obeyed(shown)
    assert len(shown) == len(text)
    assert all(a == b for a, b in zip(shown, text, strict=True) if a != "·")
    assert printable(shown) == shown


def test_letters_of_all_languages_and_what_joins_them_stay():
    for text in ("naïve Straße", "مرحبا", "שלום", "日本語", "می\u200cخواهم", "👩\u200d💻", "a\tb\nc", "3 · 4"):
        assert printable(text) == text


@pytest.mark.parametrize("tty", [True, False])
@pytest.mark.parametrize("exact", [True, False])
def test_only_results_that_go_to_a_file_are_written_as_they_are(tty, exact):
    stream, text = Terminal(tty), HOSTILE.replace("\udcff", "")
    write(text, stream, exact=exact)
    assert bool(obeyed(stream.getvalue())) == (exact and not tty)
    if exact and not tty:
        assert stream.getvalue() == text


def test_what_the_encoding_lacks_becomes_a_question_mark():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    write("naïve ⏎ \udcff", stream)
    assert raw.getvalue() == b"na?ve ? ?"


def test_reports_on_a_terminal_and_in_a_log():
    seen: list[str] = []
    file = Terminal(tty=True)
    console = Console(file=file, force_terminal=True, color_system=None, width=200)
    for report in (Lines(write=seen.append), Screen(console)):
        report.begin(Measure(), (HOSTILE, 1.0), samples=HOSTILE)
        report.say(f"columns: {HOSTILE}")
        report.validated(STATUS, HOSTILE)
        report.pause()
    with meter(f"[bold]{HOSTILE}[/bold]", console, after=0.0) as heard:
        heard(1, 2)
    screen = file.getvalue()
    assert not obeyed("".join(seen))
    for part in ("\x1b[31m", "\x1b]0;", "\x07", "\x9b", *DIRECTION, "\udcff", "\u2028"):
        assert part not in screen  # rich's own moves of the cursor are no colours and no titles
    assert "[bold]" in screen


def test_errors_and_remarks_of_commands(monkeypatch, capsys, tmp_path):
    (tmp_path / "table.csv").write_text(f"time,{HOSTILE[:4]}\u202e\n2020-01-01,x\n2020-01-02,y\n")
    for arguments in (
        ["train", HOSTILE.replace("\udcff", "")],
        ["train", str(tmp_path / "table.csv"), "--target", "\x1b[31mnone"],
        ["generate", "\x1b[31m\u202e"],
        ["tra\x1b[31min\u202e"],
        ["train", "--horizon", "\x1b[31m\u202e"],
    ):
        monkeypatch.setattr(sys, "argv", ["carousel", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        assert stopped.value.code != 0
        assert said.err.strip()
        assert not obeyed(said.out + said.err), arguments


def test_nothing_else_prints():
    """One place knows what a terminal obeys; whoever prints past it would have to know too."""
    for file in PACKAGE.rglob("*.py"):
        if file.parent.name == "course":
            continue  # lessons are scripts, and what they print is their own
        tree = ast.parse(file.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            assert not (isinstance(node, ast.Name) and node.id == "print"), f"{file.name}:{node.lineno} prints"
            streams = isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr")
            assert not streams or file.name in ("terminal.py", "__init__.py"), f"{file.name}:{node.lineno}"
