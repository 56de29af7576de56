"""A run keeps what is good: it never saves weights or losses that are no numbers, and says only what is so."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from carousel.errors import RunError
from carousel.training.budget import Budget
from carousel.training.loop import Loop, Run
from carousel.training.measure import Measure
from carousel.training.progress import Quiet
from carousel.training.run_folder import RunFolder
from carousel.training.session import carry_out


class Says(Quiet):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


class Counting:
    """Ten lessons an epoch; `spoil(step, loss)` gives the loss of a step from that of a sound one."""

    steps_per_epoch = units_per_epoch = 10

    def __init__(self, spoil=lambda step, loss: loss) -> None:  # noqa: ARG005
        self.units_read, self.spoil = 0, spoil

    def next_loss(self, model: nn.Module) -> torch.Tensor:
        self.units_read += 1
        return self.spoil(self.units_read, model.weight.square().sum())

    def state_dict(self) -> dict[str, Any]:
        return {"read": self.units_read}

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        self.units_read = saved["read"]


def a_run(folder: RunFolder, lessons: Counting, report: Quiet, *, save_every: float = 1e9, epochs: float = 100) -> Run:
    torch.manual_seed(0)
    return Run(
        Loop(nn.Linear(2, 2), lessons, peak_rate=1e-3),
        folder,
        Budget(epochs=epochs),
        validate=lambda: 1.0,
        sample=lambda steps: None,  # noqa: ARG005
        planned=lambda loop: None,  # noqa: ARG005
        measure=Measure("step"),
        validation_measure=Measure("step"),
        report=report,
        save_every=save_every,
    )


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run")


def nothing(step: int, loss: torch.Tensor) -> torch.Tensor:
    return loss * float("nan") if step == 8 else loss


def infinite(step: int, loss: torch.Tensor) -> torch.Tensor:
    return loss / 0 if step == 8 else loss


def steep(step: int, loss: torch.Tensor) -> torch.Tensor:
    """A finite loss whose gradient is no number: the square root of nothing, times nothing."""
    return loss + (0 * loss).sqrt() if step == 8 else loss


@pytest.mark.parametrize("spoil", [nothing, infinite, steep])
def test_what_has_run_away_is_never_saved(folder: RunFolder, spoil) -> None:
    report = Says()
    with pytest.raises(RunError, match=r"has run away: after step 8 .*last good checkpoint.*lower learning rate.*0.001"):
        a_run(folder, Counting(spoil), report, save_every=-1).train()  # each step is saved
    saved = folder.read_state()
    assert saved["loop"]["steps"] == 7
    for tensor in (*saved["loop"]["model"].values(), saved["loop"]["recent_loss"]):
        assert tensor.isfinite().all()
    assert "NaN" not in (folder.path / "log.jsonl").read_text()


def test_a_loss_that_is_no_number_ends_the_run_when_it_is_logged(folder: RunFolder) -> None:
    """Between two checkpoints, where nothing is saved for long."""
    with pytest.raises(RunError, match="has run away: after step 10 the training loss is nan"):
        a_run(folder, Counting(nothing), Quiet()).train()
    assert folder.read_state()["loop"]["steps"] == 0
