"""The tasks of examples/memory: what is asked for is what was shown; and a few steps of learning."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "memory"


@pytest.fixture
def tasks(monkeypatch):
    monkeypatch.syspath_prepend(str(EXAMPLES))
    return importlib.import_module("tasks")


def random() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def test_copies_are_what_was_shown(tasks):
    x, y = tasks.copy(random(), 4, length=5)
    assert x.shape == (11, 4, 10)
    assert torch.equal(y[6:], x[:5, :, :8])
    assert y[:6].isnan().all()
    assert (x[5, :, 9] == 1).all()
    x, y = tasks.repeat_copy(random(), 2)
    shown = int((x[..., 9] > 0).float()[:, 0].argmax())
    times = round(10 * x[shown, 0, 9].item())
    assert torch.equal(y[shown + 1 :], x[:shown, :, :8].repeat(times, 1, 1))


def test_what_is_recalled_came_after_what_was_asked(tasks):
    x, y = tasks.associative_recall(random(), 6)
    end = int(x[:, 0, 9].argmax())
    for b in range(6):
        items = x[:end, b].view(-1, 4, 10)
        assert (items[:, 0, 8] == 1).all()
        asked = next(k for k in range(len(items) - 2) if torch.equal(items[k], items[-1]))
        assert torch.equal(items[asked + 1, 1:, :8], y[end + 1 :, b])


def test_rows_are_sorted_by_priority(tasks):
    x, y = tasks.priority_sort(random(), 3)
    for b in range(3):
        order = x[:10, b, 8].argsort(descending=True)
        assert torch.equal(y[11:, b], x[:10, b, :8][order][:8])


@pytest.mark.parametrize("cell", ["ntm", "dnc"])
def test_a_network_learns_a_little_of_copying(tasks, monkeypatch, cell):
    learn = importlib.import_module("learn")
    monkeypatch.setitem(tasks.TASKS, "copy", lambda random, count: tasks.copy(random, count, longest=2))
    said: list[str] = []
    network = learn.train("copy", cell, 100, 1, 0, 1e-2, say=lambda text, **_: said.append(text))
    first, last = (float(text.split()[-4]) for text in said)
    assert last < first
    assert 0.4 < learn.right(network, *tasks.copy(random(), 4, length=2)) <= 1
