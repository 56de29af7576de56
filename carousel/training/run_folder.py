"""A run: the folder that training writes.

    config.json         the task, its settings, what was decided about the data; written once
    model.safetensors   the weights that did best in validation
    train_state.pt      everything needed to go on: current weights, optimizer, positions, carried state, ...
    log.jsonl           one JSON object per line: losses, validations, samples

Killed at any moment, a run loses at most the steps after its last checkpoint, and never becomes unreadable:

* Each file is written beside its name, forced to disk, and then renamed over it, so a reader finds the old
  file or the new one, whole.
* `train_state.pt` alone decides what a resumed run computes; it holds its own copy of the weights. A crash
  between the replacement of model.safetensors and that of train_state.pt therefore mixes nothing: the run goes
  on from the older train_state.pt, computes the same steps again to the same bits, comes to the same best
  weights and writes the same model.safetensors. (In the other order the best weights could be lost.)
* The log is only appended to. train_state.pt records how long it was, and resuming cuts off the lines after that.

Each file carries its checksum (see `carousel.training.checksums`), compared when it is read. A run may come from
a stranger: nothing in it is executed, and its content is checked before it is used. docs/runs.md is for users.
"""

import contextlib
import errno
import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from carousel import files
from carousel.errors import CarouselError, RunError, option
from carousel.training import checksums
from carousel.training import run_faults as faults
from carousel.training.fitting import misfit_of
from carousel.training.run_cell import cell_of, in_file, strange_cell
from carousel.training.run_faults import RunGone
from carousel.training.run_location import free_name, require_space
from carousel.training.run_log import LOG, Log, claim, read_log

__all__ = ["CONFIG", "FORMAT", "LOG", "MODEL", "STATE", "Log", "RunFolder", "RunGone", "free_name", "require_space"]

FORMAT = 1
CONFIG, MODEL, STATE = "config.json", "model.safetensors", "train_state.pt"
MOST = 1 << 28  # bytes of a config.json that are read at most: far more than training writes
HEADER = 100_000_000  # bytes of a safetensors header at most, as the format has it

# The exceptions that a config raises which is not as training wrote it.
UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError)
DATA = "files"  # of a config: checksums of other files


class RunFolder:
    """Reads and writes the files of one run. `create` starts a new one, `open` finds one that exists.

    kept: whether the folder stays after its training; False for a temporary folder, which nothing can resume.
    cell, trust_cell: how its user vouches for a cell in a file; see `carousel.training.run_cell`.
    """

    def __init__(self, path: Path, *, kept: bool = True, cell: Any = None, trust_cell: bool = False) -> None:
        self.path = path
        self.kept = kept
        self.cell, self.trust_cell = cell, trust_cell
        self._config: dict[str, Any] | None = None  # as last written or read
        self._sealed: bool | None = None  # whether its files have checksums; earlier runs have none
        self._held: tuple[int, int] | None = None  # device and inode of the folder, since `hold`

    @classmethod
    def create(cls, path: Path, *, kept: bool = True, cell: Any = None) -> "RunFolder":
        """Makes the folder of a new run. Raises RunError unless `path` does not exist yet or is an empty folder.

        It becomes a run once `write_config` has been called. cell: the cell that it trains, as its user named it."""
        cls.require_unused(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise RunError(
                f"The run folder {path} cannot be made: {problem.strerror}. Choose another ({option('out')})."
            ) from None
        return cls(path, kept=kept, cell=cell)

    def discard(self, *names: str) -> None:
        """Undoes `create` for a run that could not begin: removes these files, and the folder if it is empty then."""
        files.remove_unfinished(self.path)
        for name in names:
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.path.rmdir()

    @staticmethod
    def require_unused(path: Path) -> None:
        """Raises RunError unless `path` does not exist yet or is an empty folder."""
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
                claim(file, self.path)

    def hold(self) -> None:
        """From now on, writing raises RunGone where another folder stands under this path."""
        try:
            found = self.path.stat()
        except OSError as problem:
            raise self.unwritable(LOG, problem, 0) from None
        self._held = found.st_dev, found.st_ino

    def tidy(self) -> None:
        """Removes files that a crash left half written. Only for the process that holds the lock of the log."""
        files.remove_unfinished(self.path)

    def begin_again(self) -> "RunFolder":
        """Makes a run with the same config beside this one, which is gone. Raises RunError where that fails."""
        if self._config is None:
            raise RunError(f"the {CONFIG} is lost too")
        beside = self.create(free_name(self.path.parent, f"{self.path.name}-rescued"), kept=self.kept)
        beside.write_config({name: value for name, value in self._config.items() if name != DATA})
        return beside

    @property
    def gone(self) -> bool:
        """Whether there is no folder under this path any more, or another one than at `hold`."""
        try:
            found = self.path.stat()
        except OSError:
            return True
        return self._held not in (None, (found.st_dev, found.st_ino))

    @property
    def finished(self) -> bool:
        """Whether the training has ended."""
        return self._read_log()[1]

    @classmethod
    def open(
        cls, path: str | Path, *, task: str | None = None, cell: Any = None, trust_cell: bool = False
    ) -> "RunFolder":
        """Opens a run. Raises RunError where there is none, where it is of another task, and where it is too new."""
        path = Path(path)
        if not (path / CONFIG).is_file():
            raise RunError(
                f"{path} is not a run: a run is a folder that `carousel train` wrote, with a {CONFIG} in it"
                + (", and this folder has none." if path.is_dir() else ", and there is no such folder.")
            )
        run = cls(path, cell=cell, trust_cell=trust_cell)
        found = run.config().get("task")
        if task is not None and found != task:
            raise RunError(f"{path} is a run of the task {found!r}, and this needs one of the task {task!r}.")
        return run

    # -- config.json ----------------------------------------------------------------------------------------

    def write_config(self, config: dict[str, Any], *, data: Sequence[str] = ()) -> None:
        """Writes the config. data: files in the folder that do not change; the config records their checksums."""
        if data:
            config = {**config, DATA: {name: self._identity(name) for name in data}}
        record = json.loads(checksums.json_bytes({"format": FORMAT, **config}))
        self._replace(CONFIG, checksums.json_bytes(checksums.seal_record(record), indent=1))
        self._config, self._sealed = record, True

    def config(self) -> dict[str, Any]:
        """Reads the config. Raises RunError where it is damaged, has been changed, or is of a newer Carousel."""
        try:
            found = json.loads(files.read(self.path / CONFIG, most=MOST).decode("utf-8"))
            version = found["format"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
            raise self.damaged_config(problem) from None
        if not isinstance(version, int) or version > FORMAT:
            raise RunError(
                f"{self.path} was written by a newer Carousel (format {version}; this one reads up to {FORMAT}): "
                f"upgrade with pip install -U carousel-rnn"
            )
        try:
            self._config, self._sealed = checksums.open_record(found)
        except ValueError as problem:
            raise faults.damaged(self.path / CONFIG, problem, f"{faults.CHANGED}{strange_cell(found)}") from None
        return dict(self._config)

    def model(self, config: dict[str, Any]) -> dict[str, Any]:
        """The arguments of the network that a config describes, with its cell loaded; see `carousel.training.run_cell`.
        Raises RunError for a cell in a file that the user has not vouched for."""
        return {**config["model"], "cell": cell_of(self, config)}

    @property
    def has_own_cell(self) -> bool:
        """Whether it was trained with a cell in a file."""
        model = self.config().get("model")
        return isinstance(model, dict) and in_file(model.get("cell")) is not None

    @property
    def sealed(self) -> bool:
        """Whether every file of the run has a checksum. The files of earlier runs have none."""
        if self._sealed is None and (self.path / CONFIG).exists():
            self.config()
        return bool(self._sealed)

    def require_checksum(self, found: bool) -> None:
        """Raises ValueError where a file has no checksum although the files of its run have them."""
        if not found and self.sealed:
            raise ValueError("it carries no checksum, and its run's files do")

    @contextlib.contextmanager
    def reading_config(self) -> Iterator[None]:
        """Around code that uses the config. Exceptions for missing or wrong entries become a RunError that says so.
        Carousel's own errors pass unchanged."""
        try:
            yield
        except CarouselError:
            raise
        except UNFIT as problem:
            raise self.damaged_config(problem) from None

    # -- files of data --------------------------------------------------------------------------------------

    def data(self, name: str, what: str) -> Path:
        """The path of a file of data, after its checksum was compared. what: the file holds, for messages.

        Raises RunError where it is missing or has changed. Earlier runs have no checksums of such files."""
        recorded = self.config().get(DATA)
        try:
            if recorded is not None and self._identity(name) != recorded[name]:
                raise ValueError("it is another file than training wrote")
            files.require_regular((self.path / name).stat().st_mode, self.path / name)
        except FileNotFoundError:
            raise self.lost_data(name, what, "is missing") from None
        except (OSError, ValueError, LookupError, TypeError) as problem:
            raise self.lost_data(name, what, f"cannot be read ({faults.reason(problem)})") from None
        return self.path / name

    def _identity(self, name: str) -> dict[str, Any]:
        with files.open_to_read(self.path / name) as handle:
            digest = hashlib.file_digest(handle, "sha256")
            return {"bytes": handle.tell(), checksums.KEY: digest.hexdigest()}

    # -- model.safetensors ----------------------------------------------------------------------------------

    def write_model(self, weights: Mapping[str, Tensor]) -> None:
        """Writes the best weights. The same weights make the same bytes."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        self._replace(MODEL, checksums.seal_tensors(safetensors.torch.save(tensors, metadata={"format": "pt"})))

    def read_model(self, expected: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """Reads the best weights. expected: tensors that they must fit by name, shape and type.

        Raises RunError where they do not, and where the file is missing or damaged."""
        most = None if expected is None else HEADER + sum(tensor.nbytes for tensor in expected.values())
        try:
            content = files.read(self.path / MODEL, most=most)
            self.require_checksum(checksums.check_tensors(content))
            weights = safetensors.torch.load(content)
        except CarouselError:
            raise
        except FileNotFoundError:
            raise self._without_model() from None
        except Exception as problem:
            raise faults.damaged(self.path / MODEL, problem, self._model_again()) from None
        if expected is not None and (misfit := misfit_of(weights, expected)):
            raise RunError(
                f"The weights in {self.path} do not fit its {CONFIG}: {misfit}. "
                f"One of the two files is not of this run."
            )
        return weights

    def load_into(self, network: nn.Module) -> None:
        """Loads the best weights into a network built from the run's config. Raises RunError where they do not fit."""
        network.load_state_dict(self.read_model(network.state_dict()))

    # -- train_state.pt -------------------------------------------------------------------------------------

    def write_state(self, state: dict[str, Any]) -> None:
        """Writes a checkpoint."""
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, **state}, buffer)
        self._replace(STATE, checksums.seal_archive(buffer.getvalue()))

    def read_state(self) -> dict[str, Any] | None:
        """Reads the last checkpoint; None where there is none. Nothing in the file is executed, and it cannot unpack to
        more than its own size. Raises RunError where it is damaged."""
        file = self.path / STATE
        try:
            content = files.read(file)
        except FileNotFoundError:
            return None
        except OSError as problem:
            raise faults.damaged(file, problem, faults.NO_STATE) from None
        try:
            self.require_checksum(checksums.check_archive(content))
            checksums.require_plain_archive(content)
            state: dict[str, Any] = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
            newer = state["format"] > FORMAT
        except CarouselError:
            raise
        except Exception as problem:
            raise faults.damaged(file, problem, faults.NO_STATE) from None
        if newer:
            raise RunError(f"{file} was written by a newer Carousel: upgrade with pip install -U carousel-rnn")
        return state

    # -- log.jsonl ------------------------------------------------------------------------------------------

    def log_lines(self) -> list[dict[str, Any]]:
        """The lines of the log, without those that cannot be read, of which a warning says how many."""
        return self._read_log()[0]

    def _read_log(self) -> tuple[list[dict[str, Any]], bool]:
        """The lines, and whether the run has finished."""
        return read_log(self.path / LOG, sealed=self.sealed)

    # -- writing --------------------------------------------------------------------------------------------

    def _replace(self, name: str, content: bytes) -> None:
        """Writes new content under a name. A reader, even after a crash, finds the old content or the new, whole."""
        try:
            if self.gone:
                raise FileNotFoundError(errno.ENOENT, "the folder is gone")
            files.write_atomically(self.path / name, content)
        except OSError as problem:
            raise self.unwritable(name, problem, len(content)) from None

    def unwritable(self, name: str, problem: OSError, size: int) -> RunError:
        """The error for a file that cannot be written."""
        return faults.unwritable(self.path, name, problem, size, gone=self.gone, kept=self.kept)

    def damaged_config(self, problem: Exception) -> RunError:
        """The error for a config that lacks an entry, or has one of another kind."""
        return faults.damaged_config(self.path / CONFIG, problem)

    def lost_data(self, name: str, what: str, found: str) -> RunError:
        """The error for a file of training data. what: it should hold; found: what is wrong with it."""
        return faults.lost_data(self.path / name, what, found)

    def _without_model(self) -> RunError:
        if self.gone:
            return RunGone(faults.removed(self.path))
        started = (self.path / STATE).exists()
        return faults.without_model(self.path / MODEL, finished=self.finished, started=started)

    def _model_again(self) -> str:
        return faults.model_again(self.path, finished=self.finished, started=(self.path / STATE).exists())
