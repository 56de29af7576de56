"""The log of a run, log.jsonl: one JSON object a line, appended to while it trains and read with care afterwards."""

import math
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Protocol

try:
    import fcntl
except ImportError:  # Windows, where a run is not guarded against being trained twice at a time
    fcntl = None  # type: ignore[assignment]

from carousel import files
from carousel.errors import RunError
from carousel.files import OWN
from carousel.training import run_faults as faults
from carousel.training.checksums import open_line, seal_line

LOG = "log.jsonl"
MOST = 1 << 28  # bytes that are read of a log: far more than training writes
NUMBERS = ("step", "tokens", "epoch", "train", "validation", "seconds")  # of a line, where it has them


def read_log(path: Path, *, sealed: bool) -> tuple[list[dict[str, Any]], bool]:
    """The lines of a log, and whether its run has finished. Lines that cannot be read are left out, with a warning."""
    try:
        content = files.read(path, most=MOST)
    except FileNotFoundError:
        return [], False
    except OSError as problem:
        faults.say_once(f"{path} cannot be read ({faults.reason(problem)}): what it says is left out")
        return [], False
    records, broken, finished = records_of(content, sealed=sealed)
    if broken:
        number, reason = next(iter(broken.items()))
        lines = f"line {number}" if len(broken) == 1 else f"{len(broken):,} lines, the first of them line {number}"
        faults.say_once(f"{path} is damaged in {lines} ({reason}): what is written there is left out")
    return records, finished


def records_of(content: bytes, *, sealed: bool) -> tuple[list[dict[str, Any]], dict[int, str], bool]:
    """The lines of a log that can be read; {number of a line: why it cannot}; and whether the run has finished.

    A last line without an end was cut off by a crash, and is left out. sealed: every line must have a checksum.
    """
    records: list[dict[str, Any]] = []
    broken: dict[int, str] = {}
    finished = False
    for number, line in enumerate(content.split(b"\n")[:-1], start=1):
        try:
            record, checked = open_line(line)
            if sealed and not checked:
                raise ValueError("it has no checksum")
            for name in NUMBERS:
                value = record.get(name, 0)
                if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                    raise ValueError(f"its {name} is no number")
        except (ValueError, OverflowError) as problem:
            broken[number] = str(problem).split("\n")[0][:100]
            finished = finished or b'"final"' in line
            continue
        records.append(record)
        finished = finished or "final" in record
    return records, broken, finished


class Owner(Protocol):
    """The run that a log belongs to."""

    path: Path

    @property
    def gone(self) -> bool: ...

    def unwritable(self, name: str, problem: OSError, size: int) -> RunError: ...


class Log:
    """The run's log, open for appending: whatever other programs do to the file, new lines stand at its end.

    A line is written at once and whole. say: called with a sentence where another program has changed the file.
    """

    def __init__(
        self,
        run: Owner,
        length: int | None = 0,
        *,
        steps: float = math.inf,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """length: how many bytes of an earlier log to keep; None for all. Only whole lines are kept.

        `.lost`: how many bytes the file is shorter than that, since a person or a crash of the disk has shortened it.
        Then lines of steps after `steps`, written later, are not kept either.
        Raises RunError where it cannot be opened, is a link, or another process trains the run.
        """
        self._run, self._folder, self._say, self._steps = run, run.path, say, steps
        self.lost = 0
        self._guarded(lambda: self._open(length))

    @property
    def in_place(self) -> bool:
        """Whether the open file is still the one in the folder."""
        try:
            return os.path.samestat(os.fstat(self._file.fileno()), os.lstat(self._folder / LOG))
        except OSError:
            return False

    def write(self, **record: Any) -> None:
        """Appends a line."""
        self._guarded(lambda: self._append(seal_line(record)))

    def sync(self) -> int:
        """Forces the log to disk and returns its length in bytes. A log that was removed is begun again."""

        def flush() -> int:
            if self._run.gone:
                raise FileNotFoundError("the folder is gone")
            if not self.in_place:
                self._file.close()
                self._open(None)
                self._say(f"{self._folder / LOG} was removed or replaced; the log goes on in a new one of that name")
            os.fsync(self._file.fileno())
            return os.fstat(self._file.fileno()).st_size

        return self._guarded(flush)

    def close(self) -> None:
        self._guarded(self._file.close)

    def _open(self, length: int | None) -> None:
        self._file = _appending(self._folder)
        try:
            claim(self._file, self._folder)
            self._cut(length)
        except BaseException:
            self._file.close()
            raise

    def _cut(self, length: int | None) -> None:
        content = self._file.read()
        kept = len(content)
        if length is not None:
            self.lost = max(0, length - kept)
            kept = min(length, kept)
        kept = content.rfind(b"\n", 0, kept) + 1
        if self.lost:
            kept = _length_until(content[:kept], self._steps)
        if kept < len(content):
            self._file.truncate(kept)

    def _append(self, line: bytes) -> None:
        while line:
            line = line[self._file.write(line) :]

    def _guarded(self, action: Callable[[], Any]) -> Any:
        try:
            return action()
        except OSError as problem:
            raise self._run.unwritable(LOG, problem, 0) from None


def _length_until(content: bytes, steps: float) -> int:
    """The bytes before the first line of a step beyond `steps`."""
    length = 0
    for line in content.splitlines(keepends=True):
        records, _, _ = records_of(line, sealed=False)
        if records and records[0].get("step", 0) > steps:
            break
        length += len(line)
    return length


def _appending(folder: Path) -> Any:
    """The log, open to be read and appended to. Raises OSError where it cannot be opened, RunError for a link or a file
    with a second name elsewhere, as that file would change too."""
    path = folder / LOG
    if path.is_symlink():
        raise RunError(f"{path} is a link, and a log must be a file of its own: put a copy of the log in its place.")
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | OWN | getattr(os, "O_NONBLOCK", 0), 0o666)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        os.close(handle)
        what = "a file of other names too (a hard link)" if stat.S_ISREG(found.st_mode) else "a device or a pipe"
        raise RunError(f"{path} is {what}, and is not written to: put a copy of the log in its place.")
    return os.fdopen(handle, "r+b", buffering=0)


def claim(log: BinaryIO, folder: Path) -> None:
    """Locks a log, so that two trainings cannot write to one run. The lock ends when the file is closed or the process
    ends. Raises RunError, and closes the file, where another process holds the lock."""
    if fcntl is None:
        return
    try:
        fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        log.close()
        raise RunError(f"{folder} is being trained by another process: wait for it, or stop it.") from None
