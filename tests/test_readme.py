"""Every Python block of a document runs as it stands, in order, in one module; what it prints is what it says.

A block's expected output is the comment lines that begin with "# >" after it, if any.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cyclopts import CycloptsError

from carousel.cli import app

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [page.relative_to(ROOT).as_posix() for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"))]
MADE = "docs/gallery.md", "docs/reference/"  # by `make docs`
DOCUMENTS = {page: (ROOT / page).read_text(encoding="utf-8") for page in sorted(PAGES) if not page.startswith(MADE)}


@pytest.mark.parametrize("document", [name for name, text in DOCUMENTS.items() if "```python" in text])
def test_python_blocks_run_and_print_what_they_say(document, tmp_path):
    blocks = re.findall(r"^```python\n(.*?)^```", DOCUMENTS[document], flags=re.MULTILINE | re.DOTALL)
    script = tmp_path / "document.py"  # a file, so that a cell's source can be found
    script.write_text("\n".join(blocks), encoding="utf-8")
    promised = [line[3:].strip() for block in blocks for line in block.splitlines() if line.startswith("# >")]
    assert [line.strip() for line in printed_by(script, alone=document == "README.md").splitlines()] == promised


def printed_by(script: Path, alone: bool) -> str:
    """What a script prints, where a warning is an error: alone, in a process of its own, or beside the tests.

    A process spends seconds on the import of torch, so that only one document has its own.
    """
    if alone:
        command = [sys.executable, "-W", "error", str(script)]
        done = subprocess.run(command, cwd=script.parent, capture_output=True, text=True, encoding="utf-8")
        assert done.returncode == 0, done.stderr
        return done.stdout
    with contextlib.chdir(script.parent), contextlib.redirect_stdout(io.StringIO()) as printed:
        runpy.run_path(str(script), run_name="document")
    return printed.getvalue()


def commands_in(text: str) -> list[str]:
    """Every line that begins with `carousel`, as typed, without what is said beside it."""
    return re.findall(r"^ *(?:\$ )?(carousel .*)$", text, flags=re.MULTILINE)


EXAMPLES = [inspect.getdoc(app[name].default_command) or "" for name in app if not name.startswith("-")]
SHOWN = sorted({line for text in (*DOCUMENTS.values(), *EXAMPLES) for line in commands_in(text)})


@pytest.mark.parametrize("line", SHOWN)
def test_every_command_that_is_shown_is_understood(line):
    """Parsed, with its options and their values, and not run."""
    app.parse_args(shlex.split(line, comments=True)[1:], exit_on_error=False, print_error=False)


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "docs/inspect.md",
        "docs/classification.md",
        "docs/pairs.md",
        "docs/captions.md",
        "docs/forecasting.md",
        "docs/tables.md",
        "docs/runs.md",
    ],
)
def test_every_option_it_names_in_passing_is_one_of_a_command(document):
    text = re.sub(
        r"`(pip|python) [^`]*`|^ *(pip|python) .*$", "", (ROOT / document).read_text("utf-8"), flags=re.MULTILINE
    )
    commands = [app[name] for name in app if not name.startswith("-")]
    options = {name for one in commands for argument in one.assemble_argument_collection() for name in argument.names}
    assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= options


def test_a_command_that_is_wrong_is_noticed():
    for line in ("train text.txt --hiden 9", "train text.txt --hidden nine", "generate", "trian text.txt"):
        with pytest.raises(CycloptsError):
            app.parse_args(shlex.split(line), exit_on_error=False, print_error=False)


def test_every_command_shows_an_example_of_itself():
    names = [name for name in app if not name.startswith("-")]
    assert {"train", "generate", "doctor"} <= set(names)
    for name, text in zip(names, EXAMPLES, strict=True):
        assert any(line.split()[1] == name for line in commands_in(text)), name


def test_files_it_links_to_are_there():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)|(?:href|src|srcset)=\"([^\"]+)\"", README):
        assert (ROOT / "".join(target)).exists(), target


def test_its_picture_has_a_dark_form_on_the_site_too():
    with_pictures = runpy.run_path(str(ROOT / "docs" / "site" / "contents.py"))["with_pictures"]
    shown = with_pictures(README)
    assert "<picture>" in README
    assert "<" not in shown.split("## ")[0]
    for file, look in (("readme.png", "light"), ("readme-dark.png", "dark")):
        assert f"](docs/{file}){{.only-{look}}}](docs/inspect.md)" in shown
