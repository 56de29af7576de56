"""The notebooks of docs/notebooks run, and each has the cells of the script that it was made of."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from test_readme import printed_by

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "notebooks"
SCRIPTS = sorted(FOLDER.glob("*.py"))


def cells_of_script(text: str) -> list[tuple[str, str]]:
    """(kind, source) of each cell: one begins at a line "# %%", and a text is commented out."""
    found = []
    for title, body in re.findall(r"^# %%(.*)\n((?:(?!# %%).*\n?)*)", text, flags=re.MULTILINE):
        kind = "markdown" if "markdown" in title else "code"
        found.append((kind, re.sub(r"^# ?", "", body, flags=re.MULTILINE) if kind == "markdown" else body))
    return [(kind, source.strip()) for kind, source in found]


def cells_of_notebook(text: str) -> list[tuple[str, str]]:
    return [(cell["cell_type"], "".join(cell["source"]).strip()) for cell in json.loads(text)["cells"]]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_runs_and_its_notebook_has_its_cells(script, tmp_path):
    notebook = script.with_suffix(".ipynb").read_text(encoding="utf-8")
    assert cells_of_notebook(notebook) == cells_of_script(script.read_text(encoding="utf-8")), (
        f"{script.stem}: the notebook is not what the script makes; jupytext --to ipynb docs/notebooks/*.py"
    )
    copy = tmp_path / script.name  # a cell's source is found beside it, and a run is written there
    copy.write_text(script.read_text(encoding="utf-8"), encoding="utf-8")
    printed_by(copy, alone=False)


def test_every_notebook_is_listed_and_has_a_script():
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\]\((\w+)\.ipynb\)", page)) == {path.stem for path in FOLDER.glob("*.ipynb")}
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {script.stem for script in SCRIPTS}
