"""A run is whole whenever its process dies, says what is so when others touch its files, and writes through no link."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from test_training_loop import Counting, Says, a_run
from tiny_runs import TASKS

from carousel.errors import RunError
from carousel.training.measure import Measure
from carousel.training.progress import Quiet
from carousel.training.run_end import draw_curve, record_final
from carousel.training.run_folder import LOG, Log, RunFolder
from carousel.training.task_run import carry_out

posix = pytest.mark.skipif(os.name != "posix", reason="processes, links and open files as POSIX has them")
CHANGES = {"open", "os.rename", "os.remove", "os.truncate", "os.mkdir", "os.rmdir", "shutil.rmtree"}


class Killed(BaseException):
    pass


class Death:
    """What changes files in a folder ends before its so manyth change, and no later change, as of tidying up, is made.

    As by kill -9, but that this process lives on.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.left = 0
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple) -> None:
        if self.folder is None or event not in CHANGES or not str(arguments[0]).startswith(str(self.folder)):
            return
        if event == "open" and not (arguments[2] & (os.O_WRONLY | os.O_RDWR)):
            return
        self.left -= 1
        if self.left <= 0:
            raise Killed

    def comes(self, count: int, folder: Path, work: Callable[[], object]) -> bool:
        """Whether the work came to its so manyth change."""
        self.folder, self.left = folder, count
        try:
            work()
        except Killed:
            return True
        finally:
            self.folder = None
        return False


DEATH = Death()


@posix
def test_a_training_killed_between_any_two_changes_to_its_files_goes_on_to_the_same_end(tmp_path: Path) -> None:
    def train(path: Path, *, resuming: bool = False) -> None:
        if not resuming:
            RunFolder.create(path).write_config({"task": "test"})
        carry_out(a_run(RunFolder(path), Counting(), Quiet(), epochs=0.6), Quiet(), resuming=resuming)
        record_final(RunFolder(path), final=1.0)

    train(tmp_path / "whole")
    whole = RunFolder(tmp_path / "whole")
    expected = whole.read_state()["loop"]["model"]
    log = [line["step"] for line in whole.log_lines() if "step" in line]
    changes = 0
    while True:
        changes += 1
        path = tmp_path / f"run-{changes}"
        if not DEATH.comes(changes, path, lambda path=path: train(path)):  # type: ignore[misc]
            break
        run = RunFolder(path)
        if not (path / "config.json").exists():
            assert not any(file.suffix in (".pt", ".safetensors", ".jsonl") for file in path.glob("*")), "no run yet"
            continue
        assert RunFolder.open(path).sealed
        lines = run.log_lines()
        if not run.finished:
            train(path, resuming=True)
        assert run.finished
        assert [line["step"] for line in run.log_lines() if "step" in line] == log, f"{changes}, from {lines}"
        for name, tensor in run.read_state()["loop"]["model"].items():
            assert torch.equal(tensor, expected[name]), changes
        run.read_model()
        assert not list(path.glob(".*")), "what was left half written goes when training goes on"
    assert changes > 20


@posix
@pytest.mark.parametrize("task", TASKS)
def test_a_task_killed_while_it_writes_looks_damaged_at_no_moment(task: str, tmp_path: Path) -> None:
    kind = TASKS[task]
    kind.train(tmp_path, tmp_path / "whole")
    expected = (tmp_path / "whole" / "model.safetensors").read_bytes()
    for changes in (1, 2, 3, 4, 6, 10):
        path = tmp_path / f"run-{changes}"
        died = DEATH.comes(changes, path, lambda path=path: kind.train(tmp_path, path))  # type: ignore[misc]
        if not (path / "config.json").exists():
            assert died
            continue
        model = kind.model.resume(path, report=Quiet())
        assert (path / "model.safetensors").read_bytes() == expected
        assert kind.answer(model) == kind.answer(kind.model.load(tmp_path / "whole"))


# -- others touch the files of a training ---------------------------------------------------------------------------


class Does(Says):
    """Something at the tick after a step."""

    def __init__(self, step: int, what: Callable[[], object]) -> None:
        super().__init__()
        self.step, self.what = step, what

    def tick(self, status) -> None:
        if status().step == self.step:
            self.what()


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    run = RunFolder.create(tmp_path / "run")
    run.write_config({"task": "test"})
    return run


@posix
@pytest.mark.parametrize(
    "touch",
    [
        lambda log: log.write_bytes(b""),
        lambda log: log.write_bytes(log.read_bytes() + b"a note\n"),
        lambda log: log.write_bytes(log.read_bytes() + b"half a note"),
        lambda log: os.truncate(log, 70),
        lambda log: log.unlink(),
        lambda log: log.rename(log.with_name("old.jsonl")),
        lambda log: shutil.copy(log, log.with_name("x")) and os.replace(log.with_name("x"), log),  # type: ignore[func-returns-value]
    ],
    ids=["emptied", "written to", "written to in part", "cut within a line", "removed", "renamed", "replaced"],
)
def test_a_training_whose_log_others_touch_goes_on_and_can_be_resumed(folder: RunFolder, touch: Callable) -> None:
    log = folder.path / LOG
    report = Does(7, lambda: touch(log))
    a_run(folder, Counting(), report, epochs=2, save_every=-1).train()
    assert b"\0" not in log.read_bytes()
    steps = [line["step"] for line in folder.log_lines() if "step" in line]
    assert steps[-1] == 20
    assert steps == sorted(steps)
    assert set(range(9, 21)) <= set(steps), "what came after is all there"
    carry_out(a_run(folder, Counting(), report, epochs=2), report, resuming=True)
    draw_curve(folder, Measure("step"), None)
    assert json.loads(log.read_bytes().splitlines()[-1])["step"] == 20


@posix
def test_what_others_have_written_to_a_log_is_left_out_and_said_once(folder: RunFolder, caplog) -> None:
    log = Log(folder)
    log.write(step=1)
    log.close()
    with open(folder.path / LOG, "ab") as file:
        file.write(b'a note\n{"step": "two"}\n\xff\xfe\n[[[[\n{"step": 3}\n' + b"[" * 100_000 + b"\n")
    log = Log(folder, None)
    log.write(step=4)
    log.close()
    for _ in range(3):
        assert [line["step"] for line in folder.log_lines()] == [1, 4], "a line without a checksum is not the run's"
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "log.jsonl is damaged in 6 lines, the first of them line 2" in said[0]
    assert "is left out" in said[0]


@posix
@pytest.mark.parametrize("how", ["removed", "moved", "removed and made again"])
def test_a_training_whose_folder_is_gone_says_so_and_saves_what_it_can(folder: RunFolder, how: str) -> None:
    def take() -> None:
        if how == "moved":
            folder.path.rename(folder.path.with_name("elsewhere"))
            return
        shutil.rmtree(folder.path)
        if "again" in how:
            RunFolder.create(folder.path).write_config({"task": "another"})

    beside = folder.path.with_name("run-rescued")
    message = (
        rf"run was removed or moved, and with it all that the run had saved there\. Training stopped after step 8\. "
        rf"The weights as they were then are in {beside}, and can be used as they are; .* cannot go on from there"
    )
    with pytest.raises(RunError, match=message) as refusal:
        a_run(folder, Counting(), Does(7, take), epochs=2, save_every=-1).train()
    assert "untouched" not in str(refusal.value)
    rescued = RunFolder.open(beside)
    assert rescued.config() == {"format": 1, "task": "test"}
    assert set(rescued.read_model()) == {"weight", "bias"}
    if "again" in how:
        assert [file.name for file in folder.path.iterdir()] == ["config.json"], "another's folder is not written to"
    with pytest.raises(RunError):
        folder.read_model()


@posix
def test_where_nothing_can_be_saved_that_is_said(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    def take() -> None:
        shutil.rmtree(folder.path)
        monkeypatch.setattr(Path, "mkdir", forbidden)

    with pytest.raises(RunError, match=r"stopped after step 8, and its weights could not be saved.*Permission denied"):
        a_run(folder, Counting(), Does(7, take), epochs=2, save_every=-1).train()


# -- links, pipes and folders where files should be -----------------------------------------------------------------


@pytest.fixture
def treasure(tmp_path: Path) -> Path:
    (tmp_path / "treasure").write_bytes(b"line one\nline two\n")
    return tmp_path / "treasure"


@posix
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "train_state.pt"])
@pytest.mark.parametrize("suffix", ["", ".tmp"])
def test_a_link_in_a_run_is_replaced_and_never_written_through(
    folder: RunFolder, treasure: Path, name: str, suffix: str
) -> None:
    (folder.path / f"{name}{suffix}").unlink(missing_ok=True)
    (folder.path / f"{name}{suffix}").symlink_to(treasure)
    folder.write_config({"task": "test"})
    folder.write_model({"w": torch.ones(2)})
    folder.write_state({"steps": 1})
    assert treasure.read_bytes() == b"line one\nline two\n"
    assert not (folder.path / name).is_symlink()


@posix
@pytest.mark.parametrize("kind", ["symbolic", "hard", "dangling"])
@pytest.mark.parametrize("length", [0, None])
def test_a_log_that_is_a_link_is_neither_appended_to_nor_cut(
    folder: RunFolder, treasure: Path, kind: str, length: int | None
) -> None:
    log = folder.path / LOG
    if kind == "hard":
        os.link(treasure, log)
    else:
        log.symlink_to(treasure if kind == "symbolic" else treasure.with_name("nothing"))
    with pytest.raises(RunError, match=r"log\.jsonl is a .*link.*put a copy of the log in its place"):
        Log(folder, length)
    with pytest.raises(RunError, match="link"):
        a_run(folder, Counting(), Quiet(), epochs=1).train()
    assert treasure.read_bytes() == b"line one\nline two\n"
    assert not treasure.with_name("nothing").exists()


@posix
@pytest.mark.parametrize("name", ["model.safetensors", "train_state.pt", "log.jsonl"])
@pytest.mark.parametrize("what", ["folder", "pipe"])
def test_a_folder_or_a_pipe_in_the_place_of_a_file_is_refused_in_words(folder: RunFolder, name: str, what: str) -> None:
    if what == "folder":
        (folder.path / name).mkdir()
    else:
        os.mkfifo(folder.path / name)
    with pytest.raises(RunError, match=rf"{name}.*({what}|directory)"):
        a_run(folder, Counting(), Quiet(), epochs=1).train()
    reads = {"model.safetensors": folder.read_model, "train_state.pt": folder.read_state}
    if name in reads:
        with pytest.raises(RunError, match=rf"{name} is damaged \(.*({what}|directory)"):
            reads[name]()
    else:
        assert folder.log_lines() == []


@posix
def test_a_page_is_not_written_through_a_link_in_the_run(treasure: Path, tmp_path: Path) -> None:
    from carousel.page import inspect

    TASKS["language"].train(tmp_path, tmp_path / "run")
    (tmp_path / "home").mkdir()
    (tmp_path / "run" / "inspect").symlink_to(tmp_path / "home")
    with pytest.raises(RunError, match=r"inspect is a link, .*name a folder with --out"):
        inspect(tmp_path / "run", "The sea", steps=4)
    assert not list((tmp_path / "home").iterdir())
    (tmp_path / "run" / "inspect").unlink()
    (tmp_path / "run" / "inspect").mkdir()
    for name in ("index.html", "curve.png", "h-over-time.png"):
        (tmp_path / "run" / "inspect" / name).symlink_to(treasure)
    inspect(tmp_path / "run", "The sea", steps=4)
    assert treasure.read_bytes() == b"line one\nline two\n"
