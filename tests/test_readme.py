"""Every Python block of a document runs as it stands, in order, in one interpreter; what it prints is what it says.

A block's expected output is the comment lines that begin with "# >" after it, if any.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("document", ["README.md", "docs/insight.md", "docs/inspect.md"])
def test_python_blocks_run_and_print_what_they_say(document, tmp_path):
    text = (ROOT / document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert blocks, f"{document} shows no Python"
    script = tmp_path / "document.py"  # a file, so that a cell's source can be found
    script.write_text("\n".join(blocks), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)], cwd=tmp_path, capture_output=True, text=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    promised = [line[3:].strip() for block in blocks for line in block.splitlines() if line.startswith("# >")]
    assert [line.strip() for line in done.stdout.splitlines()] == promised


def test_every_command_it_shows_exists():
    commands = set(re.findall(r"^\s*(?:\$ )?carousel ([a-z]+)", README, flags=re.MULTILINE))
    assert {"train", "generate"} <= commands
    for command in commands:
        done = subprocess.run([sys.executable, "-m", "carousel", command, "--help"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "example" in done.stdout.lower()


def test_files_it_links_to_are_there():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target
