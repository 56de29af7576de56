"""A run keeps what is good: it never saves weights or losses that are no numbers, and says only what is so."""

import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from carousel.errors import DataError, RunError
from carousel.training.budget import Budget
from carousel.training.loop import Loop
from carousel.training.measure import Measure
from carousel.training.progress import Quiet
from carousel.training.resuming import may_resume, versions
from carousel.training.run import Run
from carousel.training.run_end import draw_curve
from carousel.training.run_folder import RunFolder
from carousel.training.settings import TrainingSettings
from carousel.training.task_run import carry_out


class Says(Quiet):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)


class Counting:
    """Ten lessons an epoch; `spoil(step, loss)` gives the loss of a step from that of a sound one."""

    steps_per_epoch = units_per_epoch = 10

    def __init__(self, spoil=lambda step, loss: loss) -> None:
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
        sample=lambda steps: None,
        planned=lambda loop: None,
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
    with pytest.raises(
        RunError, match=r"has diverged: after step 8 .*last good checkpoint.*lower learning rate.*0.001"
    ):
        a_run(folder, Counting(spoil), report, save_every=-1).train()  # each step is saved
    saved = folder.read_state()
    assert saved["loop"]["steps"] == 7
    for tensor in (*saved["loop"]["model"].values(), saved["loop"]["recent_loss"]):
        assert tensor.isfinite().all()
    assert "NaN" not in (folder.path / "log.jsonl").read_text()


def test_a_loss_that_is_no_number_ends_the_run_when_it_is_logged(folder: RunFolder) -> None:
    """Between two checkpoints, where nothing is saved for long."""
    with pytest.raises(RunError, match="has diverged: after step 10 the training loss is nan"):
        a_run(folder, Counting(nothing), Quiet()).train()
    assert folder.read_state()["loop"]["steps"] == 0


class Presses(Says):
    """Ctrl-C so often at the tick after `step`."""

    def __init__(self, step: int, times: int) -> None:
        super().__init__()
        self.step, self.times = step, times

    def tick(self, status) -> None:
        if status().step == self.step:
            for _ in range(self.times):
                os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize(
    ("step", "times", "saved", "said"),
    [
        (0, 2, None, r"stopped before its first checkpoint\. Go on with: carousel train --resume "),
        (7, 1, 7, r"stopped at step 7, and saved\. Go on with: carousel train --resume "),
        (7, 2, 0, r"stopped at step 7; the last checkpoint is step 0\. Go on with: carousel train --resume "),
    ],
)
def test_saved_is_said_only_of_what_was_saved(
    folder: RunFolder, step: int, times: int, saved: int | None, said: str
) -> None:
    report = Presses(step, times)
    with pytest.raises(KeyboardInterrupt):
        carry_out(a_run(folder, Counting(), report), report, resuming=False)
    assert re.match(said, report.said[-1])
    state = folder.read_state()
    assert (state and state["loop"]["steps"]) == saved


def test_what_resumes_after_a_second_ctrl_c_is_the_last_checkpoint(folder: RunFolder) -> None:
    report = Presses(7, 2)
    with pytest.raises(KeyboardInterrupt):
        carry_out(a_run(folder, Counting(), report), report, resuming=False)
    again = Presses(3, 2)
    with pytest.raises(KeyboardInterrupt):
        carry_out(a_run(folder, Counting(), again), again, resuming=True)
    assert again.said[0].endswith("from step 0")
    assert "the last checkpoint is step 0" in again.said[-1]


@pytest.mark.parametrize("kept", [0, 100, None], ids=["empty", "cut within a line", "missing"])
def test_a_log_that_was_shortened_is_said_and_spoils_nothing(folder: RunFolder, kept: int | None) -> None:
    log = folder.path / "log.jsonl"
    with pytest.raises(KeyboardInterrupt):
        a_run(folder, Counting(), Presses(7, 1), epochs=2).train()
    whole = log.read_bytes()
    log.unlink() if kept is None else log.write_bytes(whole[:kept])
    report = Says()
    carry_out(a_run(folder, Counting(), report, epochs=2), report, resuming=True)
    assert f"log.jsonl is shorter than at the last checkpoint: {len(whole) - (kept or 0):,} bytes" in " ".join(
        report.said
    )
    assert b"\0" not in log.read_bytes()
    steps = [line["step"] for line in folder.log_lines()]
    assert steps[-1] == 20
    assert steps == sorted(steps)
    assert 8 in steps
    assert 7 not in steps
    draw_curve(folder, Measure("step"), ("rival", 2.0))
    assert (folder.path / "curve.png").stat().st_size > 0


@pytest.mark.parametrize("log", [True, False])
def test_a_run_that_lost_its_checkpoint_is_not_begun_again(folder: RunFolder, log: bool) -> None:
    """The beginning would overwrite what was learnt."""
    with pytest.raises(KeyboardInterrupt):
        a_run(folder, Counting(), Presses(14, 1), epochs=2).train()
    (folder.path / "train_state.pt").unlink()
    if not log:
        (folder.path / "log.jsonl").unlink()
    before = {file.name: file.read_bytes() for file in folder.path.iterdir()}
    trained = r"It was trained for \d+ steps" if log else "It was trained"
    with pytest.raises(RunError, match=f"has no train_state.pt.*{trained}; its best weights remain.*--out"):
        carry_out(a_run(folder, Counting(), Quiet(), epochs=2), Quiet(), resuming=True)
    assert {file.name: file.read_bytes() for file in folder.path.iterdir()} == before


@pytest.mark.parametrize("threads", [0, -1])
def test_resuming_takes_the_numbers_of_threads_that_training_takes(folder: RunFolder, threads: int) -> None:
    with pytest.raises(DataError, match=rf"threads must be 1 or more, not {threads}\."):
        TrainingSettings(threads=threads)
    folder.write_config({"settings": {"threads": 1}, "versions": versions()})
    with pytest.raises(DataError, match=rf"threads must be 1 or more, not {threads}\."):
        may_resume(folder, threads=threads, report=Quiet())
    assert may_resume(folder, threads=None, report=Quiet())
