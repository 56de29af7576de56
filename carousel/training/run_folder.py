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

Each file carries its checksum (see `carousel.training.checksums`), compared when it is read. A run may come from
a stranger: nothing in it is executed, and what it holds is compared with what it should be before it is used.
docs/runs.md says all this to users.
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
MOST = 1 << 28  # bytes of a config.json that are read: far more than training writes
HEADER = 100_000_000  # bytes of a safetensors header at most, as the format has it

# What may come of a config that holds something else than training wrote.
UNFIT = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RuntimeError, MemoryError)
DATA = "files"  # of a config: checksums of other files


class RunFolder:
    """Reads and writes the files of one run. `create` starts a new one, `open` finds one that exists.

    kept: whether it outlives its training; False for a run in a temporary folder, with which nobody can go on.
    cell, trust_cell: how its user vouches for a cell in a file; see `carousel.training.run_cell`.
    """

    def __init__(self, path: Path, *, kept: bool = True, cell: Any = None, trust_cell: bool = False) -> None:
        self.path = path
        self.kept = kept
        self.cell, self.trust_cell = cell, trust_cell
        self._config: dict[str, Any] | None = None  # as it was written or read last
        self._sealed: bool | None = None  # whether its files have checksums: those of earlier runs have none
        self._place: tuple[int, int] | None = None  # the folder itself, whatever its name

    @classmethod
    def create(cls, path: Path, *, kept: bool = True, cell: Any = None) -> "RunFolder":
        """A new run in `path`, which must not exist yet or be an empty folder. Raises RunError otherwise.

        It becomes a run once `write_config` has been called. cell: the one that it trains, as its user named it."""
        cls.require_unused(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            raise RunError(
                f"The run folder {path} cannot be made: {problem.strerror}. Choose another ({option('out')})."
            ) from None
        return cls(path, kept=kept, cell=cell)

    def discard(self, *names: str) -> None:
        """Undo `create`, for a run that came to nothing: remove these files, and the folder if that leaves it empty."""
        files.remove_unfinished(self.path)
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
                claim(file, self.path)

    def hold(self) -> None:
        """From now on, writing to another folder in the place of this one is refused with RunGone."""
        try:
            found = self.path.stat()
        except OSError as problem:
            raise self.unwritable(LOG, problem, 0) from None
        self._place = found.st_dev, found.st_ino

    def tidy(self) -> None:
        """Removes what a crash has left half written. For who holds the log: nobody else writes here."""
        files.remove_unfinished(self.path)

    def begin_again(self) -> "RunFolder":
        """A new run beside this one, which is gone, of the same config. Raises RunError where it cannot be written."""
        if self._config is None:
            raise RunError(f"the {CONFIG} is lost too")
        beside = self.create(free_name(self.path.parent, f"{self.path.name}-rescued"), kept=self.kept)
        beside.write_config({name: value for name, value in self._config.items() if name != DATA})
        return beside

    @property
    def gone(self) -> bool:
        """Is there no folder of this path any more, or another than at `hold`?"""
        try:
            found = self.path.stat()
        except OSError:
            return True
        return self._place not in (None, (found.st_dev, found.st_ino))

    @property
    def finished(self) -> bool:
        """Has its training come to its end?"""
        return self._read_log()[1]

    @classmethod
    def open(
        cls, path: str | Path, *, task: str | None = None, cell: Any = None, trust_cell: bool = False
    ) -> "RunFolder":
        """An existing run (of that task). Raises RunError when there is none, or a newer Carousel wrote it."""
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
        """data: files that stand in the folder already and stay as they are. The config keeps their checksums."""
        if data:
            config = {**config, DATA: {name: self._identity(name) for name in data}}
        record = json.loads(checksums.json_bytes({"format": FORMAT, **config}))
        self._replace(CONFIG, checksums.json_bytes(checksums.seal_record(record), indent=1))
        self._config, self._sealed = record, True

    def config(self) -> dict[str, Any]:
        """Raises RunError for one that is damaged, that another program has changed, or that a newer Carousel wrote."""
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
        """The arguments of the network that a config describes, with a cell that may be used: see
        `carousel.training.run_cell`. Raises RunError for one in a file that its user has not vouched for."""
        return {**config["model"], "cell": cell_of(self, config)}

    @property
    def has_own_cell(self) -> bool:
        """Was it trained with a cell in a file?"""
        model = self.config().get("model")
        return isinstance(model, dict) and in_file(model.get("cell")) is not None

    @property
    def sealed(self) -> bool:
        """Does every file of the run carry a checksum? Those of earlier runs do not."""
        if self._sealed is None and (self.path / CONFIG).exists():
            self.config()
        return bool(self._sealed)

    def require_checksum(self, found: bool) -> None:
        """Raises ValueError where a file has none although its run has them."""
        if not found and self.sealed:
            raise ValueError("it carries no checksum, and its run's files do")

    @contextlib.contextmanager
    def reading_config(self) -> Iterator[None]:
        """Around what makes something of `config`. What is missing there, or is something else than it should be,
        becomes a RunError that says so; errors that Carousel raises on purpose know better, and pass."""
        try:
            yield
        except CarouselError:
            raise
        except UNFIT as problem:
            raise self.damaged_config(problem) from None

    # -- files of data --------------------------------------------------------------------------------------

    def data(self, name: str, what: str) -> Path:
        """The path of a file that `write_config` was told of, found to be what it was. what: it holds.

        Raises RunError where it is missing or is another. Earlier runs did not keep checksums of such files."""
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
        """The same weights make the same file."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        self._replace(MODEL, checksums.seal_tensors(safetensors.torch.save(tensors, metadata={"format": "pt"})))

    def read_model(self, expected: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The best weights. expected: tensors that theirs must fit, by name, shape and type. Raises RunError."""
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
        """The best weights, into a network built from the run's config. Raises RunError where they do not fit."""
        network.load_state_dict(self.read_model(network.state_dict()))

    # -- train_state.pt -------------------------------------------------------------------------------------

    def write_state(self, state: dict[str, Any]) -> None:
        buffer = io.BytesIO()
        torch.save({"format": FORMAT, **state}, buffer)
        self._replace(STATE, checksums.seal_archive(buffer.getvalue()))

    def read_state(self) -> dict[str, Any] | None:
        """What the last checkpoint saved, or None when there has been none. Nothing in the file is executed, and
        nothing that it holds is larger than the file."""
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
        """The log, line by line. What cannot be read of it is left out, and said; a last line that was cut off by a
        crash is left out without a word."""
        return self._read_log()[0]

    def _read_log(self) -> tuple[list[dict[str, Any]], bool]:
        """The lines, and whether the run has finished."""
        return read_log(self.path / LOG, sealed=self.sealed)

    # -- writing --------------------------------------------------------------------------------------------

    def _replace(self, name: str, content: bytes) -> None:
        """Put new content under a name so that a reader, or a crash, sees the old content or the new, whole."""
        try:
            if self.gone:
                raise FileNotFoundError(errno.ENOENT, "the folder is gone")
            files.write_atomically(self.path / name, content)
        except OSError as problem:
            raise self.unwritable(name, problem, len(content)) from None

    def unwritable(self, name: str, problem: OSError, size: int) -> RunError:
        """What to say where one of the files cannot be written."""
        return faults.unwritable(self.path, name, problem, size, gone=self.gone, kept=self.kept)

    def damaged_config(self, problem: Exception) -> RunError:
        """For a config that lacks something, or holds something else than it should."""
        return faults.damaged_config(self.path / CONFIG, problem)

    def lost_data(self, name: str, what: str, found: str) -> RunError:
        """For a file of data that should hold `what`."""
        return faults.lost_data(self.path / name, what, found)

    def _without_model(self) -> RunError:
        if self.gone:
            return RunGone(faults.removed(self.path))
        started = (self.path / STATE).exists()
        return faults.without_model(self.path / MODEL, finished=self.finished, started=started)

    def _model_again(self) -> str:
        return faults.model_again(self.path, finished=self.finished, started=(self.path / STATE).exists())
