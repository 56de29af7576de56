"""The recipes in examples/ run as they stand, and learn what they say."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

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


@pytest.fixture
def recipe(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("recurrent_policy")


def test_the_update_of_a_recurrent_policy_sees_the_states_of_its_rollout(recipe):
    torch.manual_seed(0)
    world, policy = recipe.Recall(0), recipe.Policy()
    hx = torch.randn(1, recipe.ENVIRONMENTS, recipe.HIDDEN)
    seen, begins, *_, after = recipe.rollout(policy, world, hx)
    assert begins.any(0).all()
    assert not begins.all()
    torch.testing.assert_close(policy.memory(seen, hx, reset=begins)[1], after, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_recurrent_policy_learns_to_remember(recipe):
    assert recipe.main(updates=30) > 0.9
