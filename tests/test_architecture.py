"""The shape of the package itself: one direction of knowledge, light imports, nothing that refers to nowhere."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "carousel"

# Each folder knows those before it in this list and nothing after it.
ORDER = [
    "errors",
    "deprecation",
    "lazy",
    "files",
    "cells",
    "program",
    "engines",
    "layers",
    "insight",
    "convert",
    "models",
    "export",
    "training",
    "tasks",
    "page",
    "course",
    "cli",
]


# The same inside folders with rooms of their own: modules and folders, those first that others know.
ROOMS = {
    "carousel.tasks.forecasting": ["settings", "scoring", "table", "network", "answers", "home", "forecaster", "task"],
}


@cache
def imported(file: Path) -> set[str]:
    """The names of all modules that a file imports, and of all that it imports from them."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
        elif isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
    return found


def below(package: str, names: set[str]) -> set[str]:
    """The modules and folders of this package that names lie in."""
    return {name.removeprefix(f"{package}.").split(".")[0] for name in names if name.startswith(f"{package}.")}


FILES = sorted(f for f in PACKAGE.rglob("*.py") if f.parent != PACKAGE)


def test_knowledge_goes_one_way():
    places = {file: ORDER.index(file.relative_to(PACKAGE).parts[0]) for file in FILES}
    upward = {
        f"{file.relative_to(ROOT)} imports {name}, which stands above it"
        for file, own in places.items()
        for name in below("carousel", imported(file)) & set(ORDER[own + 1 :])
    }
    assert not upward


@pytest.mark.parametrize("package", ROOMS)
def test_knowledge_goes_one_way_between_rooms(package):
    order, folder = ROOMS[package], ROOT / package.replace(".", "/")
    files = [file for file in folder.rglob("*.py") if file != folder / "__init__.py"]
    rooms = {file: file.relative_to(folder).parts[0].removesuffix(".py") for file in files}
    assert set(rooms.values()) == set(order)
    upward = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files
        for name in below(package, imported(file)) & set(order)
        if order.index(name) > order.index(rooms[file])
    }
    assert not upward


TASKS = sorted(file.parent for file in (PACKAGE / "tasks").glob("*/task.py"))


def test_no_task_knows_another():
    """What several tasks need stands beside them: `sequences`, `table`, and files of `tasks` itself."""
    sideways = {
        f"{file.relative_to(ROOT)} imports {name}"
        for file in (PACKAGE / "tasks").rglob("*.py")
        for name in below("carousel.tasks", imported(file))
        & {folder.name for folder in TASKS if folder not in file.parents}
    }
    assert not sideways


LINES = {"engines/native/": 250, "": 350}  # of the files below a folder: what stands first holds
# Longer files, each to be divided; whoever divides one removes it here.
LONG: set[str] = set()


def test_no_file_is_longer_than_one_can_read_at_a_sitting():
    """Complexity of functions is ruff's C901."""
    lengths = {str(file.relative_to(PACKAGE)): len(file.read_text(encoding="utf-8").splitlines()) for file in FILES}
    most = {name: next(LINES[folder] for folder in LINES if name.startswith(folder)) for name in lengths}
    long = {name for name, lines in lengths.items() if lines > most[name]}
    assert not long - LONG
    assert not LONG - set(lengths), "a file of the list of long files is gone: remove its name there"


PRIVATE = re.compile(r"\b(torch|forward_ad)(\.\w+)*\._[a-zA-Z]|_dynamo\w*")


def test_torchs_private_names_stand_in_one_file():
    named = [file for file in FILES if PRIVATE.search(file.read_text(encoding="utf-8"))]
    assert [file.name for file in named] == ["inside_torch.py"]


def modules_loaded_by(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


PRINT_HELP = """
import io, contextlib
with contextlib.redirect_stdout(io.StringIO()):
    from carousel.cli import app
    app(["--help"], result_action="return_value")
"""


def test_the_package_and_its_help_do_not_wait_for_torch():
    heavy = {"torch", "numpy", "matplotlib", "polars"}
    assert not heavy & modules_loaded_by("import carousel")
    assert not heavy & modules_loaded_by(PRINT_HELP)


def test_layers_do_not_load_what_only_tracing_derivatives_needs():
    loaded = modules_loaded_by("import carousel; carousel.LSTM(2, 3)")
    assert not {"matplotlib", "onnx", "rich"} & loaded


def test_every_public_name_is_there():
    import carousel

    for name in carousel.__all__:
        assert getattr(carousel, name).__name__ == name
        assert getattr(carousel, name).__doc__, f"{name} has no docstring"
    assert set(carousel.__all__) <= set(dir(carousel))
    for folder in ("insight", "layers", "training"):
        assert getattr(carousel, folder).__name__ == f"carousel.{folder}"
    with pytest.raises(AttributeError, match="module 'carousel' has no attribute 'LTSM'"):
        _ = carousel.LTSM


NAMED = re.compile(r"`([\w/.]+\.(?:py|h|cpp|js))`")


@pytest.mark.parametrize("page", ["architecture.md", "decisions/README.md"])
def test_files_that_the_architecture_names_are_there(page):
    """By the end of their path: a page says `loop.py` where the folder is clear."""
    folders = "benchmarks", "carousel", "docs", "tests"
    known = [f"/{file.relative_to(ROOT)}" for folder in folders for file in (ROOT / folder).rglob("*.*")]
    named = set(NAMED.findall((ROOT / "docs" / page).read_text(encoding="utf-8")))
    assert named
    assert not {name for name in named if not any(file.endswith(f"/{name}") for file in known)}


def test_the_architecture_draws_the_folders_in_their_order():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    house = text.split("```")[1]
    drawn = [line.split()[0] for line in house.strip().splitlines()]
    assert drawn == list(reversed(ORDER))
