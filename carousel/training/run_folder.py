"""A run: the folder that training writes.

    config.json         what was asked for, written once; with the format's version
    model.safetensors   the weights that did best in validation
    train_state.pt      everything needed to go on: current weights, optimizer, positions, carried state, ...
    log.jsonl           one JSON object per line: losses, validations, samples

Killed at any moment, a run loses at most what came after its last checkpoint, and never becomes unreadable:

* Each file is written beside its name, forced to disk, and then renamed over it, so a reader finds the old
  file or the new one, whole.
* `train_state.pt` alone decides what a resumed run computes; it holds its own copy of the weights. A crash
  between the replacement of model.safetensors and that of train_state.pt therefore mixes nothing: the run goes
  on from the older train_state.pt, computes the same steps again to the same bits, comes to the same best
  weights and writes the same model.safetensors. (In the other order the best weights could be lost.)
* The log is only appended to. train_state.pt remembers how long it was, and resuming cuts off what came later.
"""

import contextlib
import errno
import io
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import safetensors.torch
import torch

try:
    import fcntl
except ImportError:  # Windows, where a run is not guarded against being trained twice at a time
    fcntl = None  # type: ignore[assignment]

from carousel.errors import CarouselError, RunError

FORMAT = 1
CONFIG, MODEL, STATE, LOG = "config.json", "model.safetensors", "train_state.pt", "log.jsonl"


def free_name(parent: Path, name: str) -> Path:
    """`parent/name`, or the first of `parent/name-2`, `parent/name-3`, ... that does not exist yet."""
    path, number = parent / name, 1
    while path.exists():
        number += 1
        path = parent / f"{name}-{number}"
    return path


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Raises RunError when the disk under `folder` has fewer than `needed` bytes left."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise RunError(
            f"{purpose} needs {needed / 1e6:,.1f} MB in {folder}, and the disk has {free / 1e6:,.1f} MB left. "
            f"Free some space, or put the run elsewhere with --out."
        )


class RunFolder:
    """Reads and writes the files of one run. `create` starts a new one, `open` finds one that exists.

    kept: whether it outlives its training; False for a run in a temporary folder, with which nobody can go on.
    """

    def __init__(self, path: Path, *, kept: bool = True) -> None:
        self.path = path
        self.kept = kept

    @classmethod
    def create(cls, path: Path, *, kept: bool = True) -> "RunFolder":
        """A new run in `path`, which must not exist yet or be an empty folder. Raises RunError otherwise.

        It becomes a run once `write_config` has been called."""
        cls.require_unused(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise RunError(f"The run folder {path} cannot be made: {problem.strerror}. Choose another --out.") from None
        return cls(path, kept=kept)

    def discard(self, *names: str) -> None:
        """Undo `create`, for a run that came to nothing: remove these files, and the folder if that leaves it empty."""
        for name in names:
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    @staticmethod
    def require_unused(path: Path) -> None:
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            return
        if (path / CONFIG).is_file():
            found = "already holds a run. Choose another, or resume that one if it was stopped"
        else:
            found = f"{'already holds something else' if path.is_dir() else 'is a file'}. Choose another"
        raise RunError(f"A new run needs a folder of its own, and {path} {found}.")

    def require_idle(self) -> None:
        """Raises RunError while another process trains this run."""
        if (self.path / LOG).is_file():
            with open(self.path / LOG, "rb") as file:
                _claim(file, self)

    @property
    def finished(self) -> bool:
        """Has its training come to its end?"""
        return any("final" in line for line in self.log_lines())

    @classmethod
    def open(cls, path: str | Path, *, task: str | None = None) -> "RunFolder":
        """An existing run (of that task). Raises RunError when there is none, or a newer Carousel wrote it."""
        path = Path(path)
        if not (path / CONFIG).is_file():
            raise RunError(
                f"{path} is not a run: a run is a folder that `carousel train` wrote, with a {CONFIG} in it"
                + (", and this folder has none." if path.is_dir() else ", and there is no such folder.")
            )
        run = cls(path)
        found = run.config().get("task")
        if task is not None and found != task:
            raise RunError(f"{path} is a run of the task {found!r}, and this needs one of the task {task!r}.")
        return run

    # -- config.json ----------------------------------------------------------------------------------------

    def write_config(self, config: dict[str, Any]) -> None:
        text = json.dumps({"format": FORMAT, **config}, ensure_ascii=False, indent=1)
        self._replace(CONFIG, text.encode("utf-8"))

    def config(self) -> dict[str, Any]:
        file = self.path / CONFIG
        try:
            config = json.loads(file.read_text("utf-8"))
            version = config["format"]
        except (OSError, ValueError, KeyError, TypeError) as problem:
            raise self.damaged_config(problem) from None
        if not isinstance(version, int) or version > FORMAT:
            raise RunError(
                f"{self.path} was written by a newer Carousel (format {version}; this one reads up to {FORMAT}): "
                f"upgrade with pip install -U carousel-rnn"
            )
        return config

    @contextlib.contextmanager
    def reading_config(self) -> Iterator[None]:
        """Around what makes something of `config`. What is missing there, or is something else than it should be,
        becomes a RunError that says so; errors that Carousel raises on purpose know better, and pass."""
        try:
            yield
        except CarouselError:
            raise
        except (LookupError, TypeError, ValueError) as problem:
            raise self.damaged_config(problem) from None

    def damaged_config(self, problem: Exception) -> RunError:
        """For a config that lacks something, or holds something else than it should."""
        if isinstance(problem, LookupError | TypeError):  # whose messages say little without their names
            problem = RunError(f"{type(problem).__name__}: {problem}")
        return self._damaged(CONFIG, problem, "The run cannot be read without it: train again.")

    # -- model.safetensors ----------------------------------------------------------------------------------

    def write_model(self, weights: dict[str, torch.Tensor]) -> None:
        """The same weights make the same file: of several metadata entries, safetensors would vary the order."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        self._replace(MODEL, safetensors.torch.save(tensors, metadata={"format": "pt"}))

    def read_model(self) -> dict[str, torch.Tensor]:
        try:
            return safetensors.torch.load_file(self.path / MODEL)
        except FileNotFoundError:
            if self.finished or (self.path / STATE).exists():
                raise RunError(f"{self.path} has lost its {MODEL}. {self._model_again()}") from None
            raise RunError(
                f"{self.path} has no {MODEL} yet: training stopped before its first checkpoint. "
                f"Continue it with: carousel train --resume {self.path}"
            ) from None
        except Exception as problem:
            raise self._damaged(MODEL, problem, self._model_again()) from None

    def load_into(self, network: torch.nn.Module) -> None:
        """The best weights, into a network built from the run's config. Raises RunError where they do not fit."""
        try:
            network.load_state_dict(self.read_model())
        except RuntimeError as problem:
            raise RunError(
                f"The weights in {self.path} do not fit its {CONFIG}: "
                f"{str(problem).splitlines()[-1].strip()} One of the two files is not of this run."
            ) from None

    # -- train_state.pt -------------------------------------------------------------------------------------

    def write_state(self, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, **state}, buffer)
        self._replace(STATE, buffer.getbuffer())

    def read_state(self) -> dict[str, Any] | None:
        """What the last checkpoint saved, or None when there has been none. Nothing in the file is executed."""
        file = self.path / STATE
        if not file.exists():
            return None
        try:
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
            version = state["format"]
        except Exception as problem:
            raise self._damaged(
                STATE, problem, f"The run cannot be continued; {MODEL} still holds its best weights, if it is there."
            ) from None
        if version > FORMAT:
            raise RunError(f"{file} was written by a newer Carousel: upgrade with pip install -U carousel-rnn")
        return state

    # -- log.jsonl ------------------------------------------------------------------------------------------

    def log_lines(self) -> list[dict[str, Any]]:
        """The log, line by line; a last line that was cut off by a crash is left out."""
        try:
            lines = (self.path / LOG).read_text("utf-8").split("\n")
        except FileNotFoundError:
            return []
        records = []
        for number, line in enumerate(lines[:-1], start=1):
            try:
                records.append(json.loads(line))
            except ValueError as problem:
                raise self._damaged(f"{LOG}, line {number}", problem, "Delete that line to go on.") from None
        return records

    # -- writing --------------------------------------------------------------------------------------------

    def _replace(self, name: str, content: bytes | memoryview) -> None:
        """Put new content under a name so that a reader, or a crash, sees the old content or the new, whole."""
        temporary = self.path / f"{name}.tmp"
        try:
            with open(temporary, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path / name)
            self._sync_folder()
        except OSError as problem:
            temporary.unlink(missing_ok=True)
            raise self._unwritable(name, problem, len(content)) from None

    def _sync_folder(self) -> None:
        if os.name != "posix":  # Windows has no way to force a folder's entry to disk, and does not open folders
            return
        folder = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def _unwritable(self, name: str, problem: OSError, size: int) -> RunError:
        full = problem.errno == errno.ENOSPC
        reason = "the disk is full" if full else str(problem.strerror or problem)
        mend = "Make room" if full else "Put that right"
        remedy = f"{mend}, and train again."
        if self.kept:
            remedy = (
                f"What the run had saved before is untouched. {mend}, then continue with: "
                f"carousel train --resume {self.path}"
            )
        return RunError(f"{self.path / name} ({size / 1e6:,.1f} MB) could not be written: {reason}. {remedy}")

    def _damaged(self, name: str, problem: Exception, remedy: str) -> RunError:
        reason = str(problem).strip().split("\n")[0][:200] or type(problem).__name__
        return RunError(f"{self.path / name} is damaged ({reason}). {remedy}")

    def _model_again(self) -> str:
        """How to come by the best weights where they are lost."""
        if self.finished:
            return "The run has finished, so nothing writes it again: put a copy of it back, or train a new run."
        if (self.path / STATE).exists():
            return (
                f"Training had not finished: `carousel train --resume {self.path}` goes on, and writes it again at the "
                f"next improvement, if there is one. Or put a copy of it back."
            )
        return "Put a copy of it back, or train a new run."


class Log:
    """The run's log, open for appending. Each line is one JSON object."""

    def __init__(self, run: RunFolder, length: int | None = 0) -> None:
        """`length`: how many bytes of an earlier log to keep; None for all of it. Only whole lines are kept.

        `.lost` is how many bytes it lacks of that length: someone, or a crash of the disk, has shortened it.
        """
        self._run = run
        self.lost = 0
        file = run.path / LOG
        try:
            file.touch()
            self._file = open(file, "r+b")  # noqa: SIM115 (closed by close)
            _claim(self._file, run)
            self._cut(length)
        except OSError as problem:
            raise run._unwritable(LOG, problem, 0) from None

    def _cut(self, length: int | None) -> None:
        found = self._file.seek(0, os.SEEK_END)
        if length is not None:
            self.lost = max(0, length - found)
            found = min(length, found)  # `truncate` beyond the end would fill up with zeros
        while found and self._byte_before(found) != b"\n":
            found -= 1
        self._file.truncate(found)
        self._file.seek(found)

    def _byte_before(self, position: int) -> bytes:
        self._file.seek(position - 1)
        return self._file.read(1)

    def write(self, **record: Any) -> None:
        self._guarded(lambda: self._file.write(json.dumps(record, ensure_ascii=False).encode() + b"\n"))

    def sync(self) -> int:
        """Force the log to disk. Returns its length in bytes."""

        def flush() -> None:
            self._file.flush()
            os.fsync(self._file.fileno())

        self._guarded(flush)
        return self._file.tell()

    def close(self) -> None:
        self._guarded(self._file.close)

    def _guarded(self, action: Any) -> None:
        try:
            action()
        except OSError as problem:
            raise self._run._unwritable(LOG, problem, 0) from None


def _claim(log: BinaryIO, run: RunFolder) -> None:
    """Two trainings must not write to one run. The lock ends with the file, and so with the process, however it ends.
    Raises RunError, the file closed, where another holds it."""
    if fcntl is None:
        return
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.close()
        raise RunError(f"{run.path} is being trained by another process: wait for it, or stop it.") from None
