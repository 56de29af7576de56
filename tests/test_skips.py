"""Continuous integration fails where a test was skipped that could have run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

REASONS = {
    "needs a Chromium: none of chromium is on the PATH": 1,
    "keras is not installed": 1,
    "needs input.txt of tiny-shakespeare": 0,
    "no CUDA device": 0,
}


def run(folder: Path, text: str, *options: str, strict: bool) -> subprocess.CompletedProcess:
    (folder / "test_it.py").write_text(text)
    environment = {name: value for name, value in os.environ.items() if name != "CAROUSEL_NO_SKIPS"}
    environment |= {"PYTHONPATH": str(Path(__file__).parent)} | ({"CAROUSEL_NO_SKIPS": "1"} if strict else {})
    command = [sys.executable, "-m", "pytest", "-p", "skips", "-p", "no:cacheprovider", *options, "test_it.py"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize("reason", REASONS)
def test_a_skip_fails_unless_the_machine_is_the_reason(tmp_path, reason):
    text = f"import pytest\ndef test_one(): pass\ndef test_two(): pytest.skip({reason!r})\n"
    done = run(tmp_path, text, strict=True)
    assert done.returncode == REASONS[reason], done.stdout
    assert ("skipped, although CAROUSEL_NO_SKIPS is set" in done.stdout) == bool(REASONS[reason])
    assert run(tmp_path, text, strict=False).returncode == 0


@pytest.mark.parametrize("processes", [(), ("-n", "2")], ids=["one process", "two"])
def test_a_file_that_is_skipped_whole_fails_too(tmp_path, processes):
    (tmp_path / "test_whole.py").write_text(
        "import pytest\npytest.skip('onnx is not installed', allow_module_level=True)"
    )
    done = run(tmp_path, "def test_one(): pass\n", "test_whole.py", *processes, strict=True)
    assert done.returncode == 1, done.stdout
    assert "onnx is not installed" in done.stdout
