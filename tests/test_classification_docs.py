"""docs/classification.md: its Python runs as it stands and prints what it says; its commands and options exist."""

import re
import subprocess
import sys
from pathlib import Path

from carousel.cli import app

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "classification.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)


def test_its_python_runs_and_prints_what_it_says(tmp_path: Path) -> None:
    assert BLOCKS
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(BLOCKS)], cwd=tmp_path, capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    promised = [line[3:].strip() for block in BLOCKS for line in block.splitlines() if line.startswith("# >")]
    assert done.stdout.splitlines() == promised


def test_its_commands_and_options_exist() -> None:
    for line in re.findall(r"^carousel (.*)$", PAGE, flags=re.MULTILINE):
        name, *words = line.partition("#")[0].split()
        known = app[name].assemble_argument_collection()
        names = {spelling for argument in known for spelling in argument.names}
        assert {word for word in words if word.startswith("--")} <= names, line
    everything = {
        spelling for argument in app["train"].assemble_argument_collection() for spelling in argument.names
    } | {spelling for argument in app["predict"].assemble_argument_collection() for spelling in argument.names}
    for option in set(re.findall(r"--[a-z][a-z-]+", PAGE)):
        assert option in everything, option
