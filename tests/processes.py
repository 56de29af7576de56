"""Processes that begin with torch imported, which takes seconds each time: forks of a server that imported it once,
and what its optimisers import (torch._dynamo), and what draws.

The server has imported nothing of the package, so that a process may import another copy of it. What a test says of
imports, of the interpreter's options or of the encoding of its streams needs `subprocess` instead. Where a system
cannot fork, as Windows, every process starts anew and imports torch itself.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from multiprocessing.process import BaseProcess
from pathlib import Path

CAN_FORK = "forkserver" in multiprocessing.get_all_start_methods()


def _fork(*of_code: object) -> BaseProcess:
    server = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload(["torch", "torch._dynamo", "matplotlib.figure"])
    process = server.Process(target=_execute, args=of_code)
    process.start()
    return process


def _start(
    code: str, arguments: list[str], cwd: Path, environment: dict[str, str], out: Path, err: Path
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", code, *arguments]
    environment = {**environment, "PYTHONIOENCODING": "utf-8"}
    with out.open("wb") as stdout, err.open("wb") as stderr:
        return subprocess.Popen(command, cwd=cwd, env=environment, stdout=stdout, stderr=stderr)


def _execute(code: str, arguments: list[str], cwd: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", encoding="utf-8", closefd=False, buffering=1)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", *arguments]
    exec(compile(code, "<code>", "exec"), {"__name__": "__main__"})


class Process:
    """A process that executes Python code, as `python -c code arguments` does. streams: a folder for what it prints."""

    def __init__(self, code: str, *arguments: object, cwd: Path, streams: Path, **environment: str) -> None:
        streams.mkdir(parents=True, exist_ok=True)
        self._out, self._err = streams / "stdout", streams / "stderr"
        of_code = code, [*map(str, arguments)], cwd, {**os.environ, **environment}, self._out, self._err
        self._process = _fork(*of_code) if CAN_FORK else _start(*of_code)

    def poll(self) -> int | None:
        """The exit code, or minus the number of the signal that ended it; None while it runs."""
        if isinstance(self._process, subprocess.Popen):
            return self._process.poll()
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def wait(self) -> subprocess.CompletedProcess[str]:
        """Its exit code and what it printed, once it has ended."""
        if isinstance(self._process, subprocess.Popen):
            code = self._process.wait()
        else:
            self._process.join()
            code = self._process.exitcode or 0
            self._process.close()
        return subprocess.CompletedProcess([], code, self._out.read_text("utf-8"), self._err.read_text("utf-8"))
