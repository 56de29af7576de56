"""The recipes in examples/ run as they stand, and learn what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("script", "library"), [("lightning_truncated", "lightning"), ("accelerate_truncated", "accelerate")]
)
def test_truncated_backpropagation_in(script, library):
    pytest.importorskip(library, reason=f"the recipe needs {library}, which is not installed")
    command = [sys.executable, str(EXAMPLES / f"{script}.py")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=EXAMPLES.parent)
    assert done.returncode == 0, done.stderr[-2000:]
    found = re.search(r"squared error ([\d.]+), predicting the mean ([\d.]+)", done.stdout)
    assert found, done.stdout[-2000:]
    assert float(found[1]) < 0.1 * float(found[2])
