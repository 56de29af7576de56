"""Damage to any file of a run ends in the answer that the run gave before, or in a refusal in words.

Never in a traceback, in another answer, or in a crash. The damage is drawn with fixed seeds.
"""

import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from matrix import FULL
from tiny_runs import TASKS, BreaksOff, Interrupted, without_checksums

from carousel.errors import CarouselError
from carousel.training.progress import Quiet
from carousel.training.run_folder import RunFolder

SOME, MANY = (3, 1, 1), (12, 4, 4)  # flips, cuts and holes of each file


@pytest.fixture(scope="module", params=TASKS)
def task(request) -> str:
    return request.param


DAMAGE = pytest.mark.parametrize("counts", [pytest.param(SOME, id="some"), pytest.param(MANY, id="many", marks=FULL)])


@pytest.fixture(scope="module")
def runs(task: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the runs `finished` and `stopped`, the same but for where they stand."""
    folder = tmp_path_factory.mktemp(task)
    TASKS[task].train(folder, folder / "finished")
    with pytest.raises(Interrupted):
        TASKS[task].train(folder, folder / "stopped", report=BreaksOff())
    return folder


def damaged(content: bytes, counts: tuple[int, int, int], dice: random.Random) -> Iterator[bytes]:
    flips, cuts, holes = counts
    for _ in range(flips):
        copy = bytearray(content)
        copy[dice.randrange(len(copy))] ^= 1 << dice.randrange(8)
        yield bytes(copy)
    for _ in range(cuts):
        yield content[: dice.randrange(len(content))]
    for _ in range(holes):
        start = dice.randrange(len(content))
        size = min(dice.randrange(1, 64), len(content) - start)
        yield content[:start] + bytes(size) + content[start + size :]


def cases(run: Path, counts: tuple[int, int, int], place: Path) -> Iterator[tuple[str, Path]]:
    """Copies of the run in which one file is damaged, one at a time."""
    files = sorted(file.name for file in run.iterdir() if file.is_file() and file.suffix != ".png")
    for name in files:
        content = (run / name).read_bytes()
        for number, other in enumerate(damaged(content, counts, random.Random(f"{run.parent.name} {name}"))):
            shutil.copytree(run, place)
            (place / name).write_bytes(other)
            yield f"{name}, damage {number}", place
            shutil.rmtree(place)


@DAMAGE
def test_a_finished_run_answers_as_before_or_refuses(
    task: str, runs: Path, counts: tuple[int, int, int], tmp_path: Path
) -> None:
    kind = TASKS[task]
    before = kind.answer(kind.model.load(runs / "finished"))
    answered = 0
    for what, run in cases(runs / "finished", counts, tmp_path / "run"):
        try:
            after = kind.answer(kind.model.load(run))
        except CarouselError:
            continue
        assert after == before, what
        answered += 1
    assert answered, "damage to the log and to the checkpoint stands in no answer's way"


@DAMAGE
def test_a_stopped_run_goes_on_as_before_or_refuses(
    task: str, runs: Path, counts: tuple[int, int, int], tmp_path: Path
) -> None:
    kind = TASKS[task]
    before = (runs / "finished" / "model.safetensors").read_bytes()
    for what, run in cases(runs / "stopped", counts, tmp_path / "run"):
        if what.startswith(("log", "model")) and not what.endswith((" 0", f" {sum(counts) - 1}")):
            continue  # each of these trains to the end
        try:
            kind.model.resume(run, report=Quiet())
        except CarouselError:
            continue
        assert (run / "model.safetensors").read_bytes() == before, what


def test_a_run_without_checksums_opens_and_goes_on_to_the_same_bits(task: str, runs: Path, tmp_path: Path) -> None:
    kind = TASKS[task]
    shutil.copytree(runs / "finished", tmp_path / "finished")
    without_checksums(tmp_path / "finished")
    before = kind.model.load(runs / "finished")
    assert kind.answer(kind.model.load(tmp_path / "finished")) == kind.answer(before)
    shutil.copytree(runs / "stopped", tmp_path / "stopped")
    log, state = tmp_path / "stopped" / "log.jsonl", RunFolder.open(tmp_path / "stopped").read_state()
    assert state is not None
    # The checkpoint counts the bytes of its lines, which are fewer without checksums: those after it would stay.
    log.write_bytes(log.read_bytes()[: state["log_length"]])
    without_checksums(tmp_path / "stopped")
    assert not RunFolder.open(tmp_path / "stopped").sealed
    assert kind.answer(kind.model.resume(tmp_path / "stopped", report=Quiet())) == kind.answer(before)
    assert len(RunFolder.open(tmp_path / "stopped").log_lines()) == len(RunFolder.open(runs / "finished").log_lines())


@DAMAGE
def test_a_run_without_checksums_ends_in_an_answer_or_in_words(
    task: str, runs: Path, counts: tuple[int, int, int], tmp_path: Path
) -> None:
    """Which answer cannot be known; but nothing else may come of it."""
    kind = TASKS[task]
    shutil.copytree(runs / "stopped", tmp_path / "before")
    without_checksums(tmp_path / "before")
    for what, run in cases(tmp_path / "before", counts, tmp_path / "run"):
        for call in (lambda run: kind.answer(kind.model.load(run)), lambda run: read_state(kind, run)):
            try:
                call(run)
            except CarouselError:
                continue
            except Exception as problem:
                raise AssertionError(what) from problem


def read_state(kind: Any, run: Path) -> None:
    """All that going on does before the first step."""
    with pytest.raises((Interrupted, CarouselError)):
        kind.model.resume(run, report=StopsAtOnce())


class StopsAtOnce(Quiet):
    def tick(self, status: object) -> None:  # noqa: ARG002
        raise Interrupted
