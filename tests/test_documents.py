"""Every block of code and every command of README and docs meets a test, or says here why it cannot.

`test_readme.py` runs the blocks of Python and parses what begins with `carousel`. Here is the rest: which kinds of
blocks there are, the commands of other programs, those of Carousel that need no data, and what is only to be read.
"""

from __future__ import annotations

import argparse
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from test_readme import DOCUMENTS, commands_in

import carousel
from carousel.cli import app

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^ *```([^\n]*)\n(.*?)^ *```", flags=re.MULTILINE | re.DOTALL)
BLOCKS = [(name, kind, body) for name, text in DOCUMENTS.items() for kind, body in BLOCK.findall(text)]
KINDS = {
    "python": "test_readme.py runs it",
    "console": "each of its lines is a command",
    "c": "test_the_c_that_is_shown_compiles",
    "{toctree}": "make docs reads it",
}
# Blocks without a kind, which are to be read: the first words of each, and which test holds what they show.
TO_READ = {
    "cli        carousel train": "test_architecture.py: the folders in their order",
    "b7 = weight_ih[0]": "test_the_plan_that_the_architecture_shows_is_the_one_that_runs",
}
PROGRAM = re.compile(r"^ *(?:\$ )?((?:carousel|make|pip|python) .*)$", flags=re.MULTILINE)
QUOTED = re.compile(r"`((?:make|pip|python) [^`]+)`")


def typed(text: str) -> set[str]:
    """The commands of other programs that a document shows, in blocks and in passing, each in one line."""
    text = re.sub(r"\\\n", " ", text)
    lines = [*PROGRAM.findall(text), *QUOTED.findall(text)]
    return {" ".join(line.split()) for line in lines if not line.startswith("carousel ")}


COMMANDS = sorted({line for text in DOCUMENTS.values() for line in typed(text)})


def test_every_block_has_a_kind_that_a_test_knows():
    assert len(BLOCKS) > 50
    for name, kind, body in BLOCKS:
        read = [held for words, held in TO_READ.items() if not kind and body.startswith(words)]
        assert kind in KINDS or read, f"{name}: no test knows what to do with this block ({kind or 'no kind'}):\n{body}"


def test_every_line_of_a_console_is_a_command():
    for name, kind, body in BLOCKS:
        lines = re.sub(r"\\\n", " ", body).splitlines() if kind == "console" else []
        strange = [line for line in lines if line.strip() and not PROGRAM.match(line)]
        assert not strange, f"{name} shows commands that no test knows: {strange}"


class Parsed(BaseException):
    """Raised where a script has understood its command line, so that it does not go on."""


def understood(script: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs a script up to where it has parsed its options. One that takes no options is only to exist."""
    assert (ROOT / script).is_file(), script
    if "parse_args" not in (ROOT / script).read_text(encoding="utf-8"):
        assert not arguments, f"{script} takes no options"
        return
    parse = argparse.ArgumentParser.parse_args

    def stop(self: argparse.ArgumentParser, args: list[str] | None = None, namespace: object = None) -> None:
        parse(self, args, namespace)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    monkeypatch.syspath_prepend((ROOT / script).parent)
    with pytest.raises(Parsed):
        runpy.run_path(str(ROOT / script), run_name="__main__")


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_of_other_programs_are_understood(line, monkeypatch):
    program, *rest = shlex.split(line, comments=True)
    if program == "make":
        targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
        assert {word for word in rest if "=" not in word} <= targets
    elif program == "pip":
        assert rest[0] == "install"
        extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
        assert set(re.findall(r"\[(\w+)\]", line)) <= set(extras)
    else:
        understood(rest[0], rest[1:], monkeypatch)


def test_a_command_that_is_wrong_is_noticed(monkeypatch):
    with pytest.raises(SystemExit):
        understood("benchmarks/cells.py", ["--no-such-option"], monkeypatch)


WITHOUT_DATA = re.compile(r"carousel (cells|doctor)\b|carousel course( *#.*)?$|carousel --")
ALONE = sorted({one for text in DOCUMENTS.values() for one in commands_in(text) if WITHOUT_DATA.match(one)})


@pytest.mark.parametrize("line", ALONE)
def test_commands_that_need_no_data_run(line, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    app(shlex.split(line, comments=True)[1:], result_action="return_value")
    printed = capsys.readouterr()
    assert printed.out or any(tmp_path.iterdir())
    assert "Error" not in printed.err


def test_the_c_that_is_shown_compiles(tmp_path):
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler on the PATH")
    (block,) = [body for _, kind, body in BLOCKS if kind == "c"]
    include, lines = block.split("\n", 1)
    carousel.export.to_c(carousel.LSTM(4, 16, peepholes="all"), tmp_path, name="listener")
    main = f"{include}\nvoid run(const float *input, float *output);\n"
    main += f"void run(const float *input, float *output) {{\n{lines}}}\n"
    (tmp_path / "main.c").write_text(main, encoding="utf-8")
    subprocess.run([compiler, "-std=c99", "-Wall", "-Werror", "-c", "main.c"], cwd=tmp_path, check=True)


def test_the_plan_that_the_architecture_shows_is_the_one_that_runs():
    (block,) = [body for _, _, body in BLOCKS if body.startswith("b7 = weight_ih[0]")]
    shown = [re.split(r" {2,}", line.strip())[0] for line in block.splitlines()]
    plan = [line.strip() for line in carousel.LSTM(3, 4).explain(plan=True).split("backward:")[0].splitlines()]
    begin = plan.index(shown[0])
    assert shown == [shown[0], *plan[plan.index("segment 0 of the step, waits", begin) :][: len(shown) - 1]]
