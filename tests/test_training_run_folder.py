"""A run folder is whole at every moment, and says what is wrong when it is not."""

import errno
import os
from pathlib import Path

import pytest
import torch

from carousel.errors import RunError
from carousel.training.run_folder import Log, RunFolder, free_name, require_space


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config({"task": "language"})
    folder.write_state({"steps": 1})
    folder.write_model({"w": torch.ones(3)})
    return folder


def test_every_file_of_a_run_stands_in_its_documentation() -> None:
    from carousel.tasks.forecasting.network.trained import SERIES
    from carousel.tasks.language.corpus import TOKENS
    from carousel.tasks.sequences.steps import StoredSteps
    from carousel.training import run_folder

    text = (Path(__file__).parent.parent / "docs" / "runs.md").read_text("utf-8")
    files = (run_folder.CONFIG, run_folder.MODEL, run_folder.STATE, run_folder.LOG, TOKENS, StoredSteps.FILE, SERIES)
    assert all(f"`{name}`" in text for name in files)
    assert f'"format": {run_folder.FORMAT}`' in text


def test_what_is_written_is_read_again(run: RunFolder) -> None:
    again = RunFolder.open(run.path)
    assert again.config() == {"format": 1, "task": "language"}
    assert again.read_state() == {"format": 1, "steps": 1}
    assert torch.equal(again.read_model()["w"], torch.ones(3))


def test_a_folder_with_something_in_it_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("do not touch")
    with pytest.raises(RunError, match=r"already holds something else. Choose another.$"):
        RunFolder.create(tmp_path)
    with pytest.raises(RunError, match=r"thesis.txt is a file. Choose another.$"):
        RunFolder.create(tmp_path / "thesis.txt")
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.txt"]


def test_an_empty_folder_may_be_used_and_names_are_counted_on(tmp_path: Path) -> None:
    assert free_name(tmp_path, "run") == tmp_path / "run"
    (tmp_path / "run").mkdir()
    (tmp_path / "run-2").mkdir()
    assert free_name(tmp_path, "run") == tmp_path / "run-3"
    assert RunFolder.create(tmp_path / "run").path == tmp_path / "run"


@pytest.mark.parametrize(("call", "moment"), [("replace", "renaming"), ("fsync", "forcing to disk")])
def test_a_full_disk_leaves_the_previous_checkpoint(run: RunFolder, monkeypatch, call: str, moment: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(RunError, match=r"the disk is full.*untouched.*carousel train --resume"):
            run.write_state({"steps": 2})
    assert run.read_state() == {"format": 1, "steps": 1}, moment
    assert sorted(file.name for file in run.path.iterdir()) == ["config.json", "model.safetensors", "train_state.pt"]


def test_room_is_asked_for_only_where_a_disk_is_full(run: RunFolder, monkeypatch) -> None:
    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "replace", forbidden)
    with pytest.raises(RunError, match=r"Permission denied\. What .* untouched\. Put that right, then continue"):
        run.write_state({"steps": 2})


def test_a_disk_without_room_is_noticed_before_anything_is_written(tmp_path: Path) -> None:
    require_space(tmp_path / "not" / "there" / "yet", 1, "A test")
    with pytest.raises(RunError, match=r"The training text needs [\d,.]+ MB.*the disk has.*--out"):
        require_space(tmp_path / "not" / "there" / "yet", 10**18, "The training text")


def test_a_newer_format_is_refused_with_the_way_out(run: RunFolder) -> None:
    (run.path / "config.json").write_text('{"format": 2}')
    message = r"newer Carousel \(format 2; this one reads up to 1\): upgrade with pip install -U carousel-rnn"
    with pytest.raises(RunError, match=message):
        RunFolder.open(run.path)


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("config.json", lambda run: RunFolder.open(run.path)),
        ("model.safetensors", RunFolder.read_model),
        ("train_state.pt", RunFolder.read_state),
    ],
)
@pytest.mark.parametrize("damage", ["cut", "noise", "empty"])
def test_damage_is_named_by_file(run: RunFolder, name: str, read, damage: str) -> None:
    file = run.path / name
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[: len(whole) // 2], "noise": b"\x80noise" * 40, "empty": b""}[damage])
    with pytest.raises(RunError, match=rf"{name} is damaged \(.+\)\. \w+"):
        read(run)


def test_a_state_that_would_run_code_is_not_run(run: RunFolder, tmp_path: Path) -> None:
    class Attack:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "attacked",))

    torch.save({"format": 1, "evil": Attack()}, run.path / "train_state.pt")
    with pytest.raises(RunError, match="damaged"):
        run.read_state()
    assert not (tmp_path / "attacked").exists()


def test_what_is_no_run_is_said_to_be_none(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"is not a run.*there is no such folder"):
        RunFolder.open(tmp_path / "nothing")
    with pytest.raises(RunError, match=r"is not a run.*this folder has none"):
        RunFolder.open(tmp_path)


def test_the_log_goes_back_to_the_checkpoint(run: RunFolder) -> None:
    log = Log(run)
    log.write(step=1)
    length = log.sync()
    log.write(step=2)
    log.close()
    assert [line["step"] for line in run.log_lines()] == [1, 2]
    log = Log(run, length)
    log.write(step=3)
    log.close()
    assert [line["step"] for line in run.log_lines()] == [1, 3]
    with open(run.path / "log.jsonl", "ab") as file:
        file.write(b'{"step": 4')  # a crash in the middle of a line
    assert [line["step"] for line in run.log_lines()] == [1, 3]


@pytest.mark.skipif(os.name != "posix", reason="file locks are used where POSIX has them")
def test_one_run_is_trained_by_one_process_at_a_time(run: RunFolder) -> None:
    log = Log(run)
    log.write(step=1)
    with pytest.raises(RunError, match="is being trained by another process"):
        Log(run)
    log.close()
    assert len(run.log_lines()) == 1
    Log(run, None).close()


@pytest.mark.parametrize("damage", ["cut off", "removed"])
@pytest.mark.parametrize(
    ("log", "state", "advice"),
    [
        ("final", True, "finished, so nothing writes it again"),
        ("final", False, "finished, so nothing writes it again"),
        ("train", True, "--resume .* goes on, and writes it again at the next"),
        ("train", False, "Put a copy of it back, or train a new run"),
    ],
)
def test_weights_that_are_lost_come_back_only_from_a_training_that_goes_on(
    run: RunFolder, damage: str, log: str, state: bool, advice: str
) -> None:
    lines = Log(run)
    lines.write(**{log: 1.0})
    lines.close()
    model = run.path / "model.safetensors"
    if damage == "cut off":
        model.write_bytes(model.read_bytes()[:50])
    else:
        model.unlink()
    if not state:
        (run.path / "train_state.pt").unlink()
        if damage == "removed" and log == "train":
            advice = "before its first checkpoint"
    with pytest.raises(RunError, match=advice):
        run.read_model()


def test_a_run_in_training_is_said_to_be_before_anything_else(run: RunFolder) -> None:
    run.require_idle()
    log = Log(run)
    with pytest.raises(RunError, match="being trained by another process"):
        run.require_idle()
    log.close()
    run.require_idle()
