"""The temporary folder of a forecaster that was fitted without a run folder, and a report that keeps its lines."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any

from carousel.training.progress import Report


class TemporaryHome:
    """A temporary folder, which goes with the last forecaster that holds this."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="carousel-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)

    def __getstate__(self) -> dict[Path, bytes]:
        """The run's files themselves: a copy may outlive this folder, or wake on another machine."""
        return {path.relative_to(self.path): path.read_bytes() for path in self.path.rglob("*") if path.is_file()}

    def __setstate__(self, files: dict[Path, bytes]) -> None:
        self.__init__()  # type: ignore[misc]
        for name, content in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(content)


class Remembering:
    """A report that also keeps what was said."""

    def __init__(self, report: Report, said: list[str]) -> None:
        self._report, self._said = report, said

    def say(self, line: str) -> None:
        self._said.append(line)
        self._report.say(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._report, name)
