"""A skip is a test that did not run: with CAROUSEL_NO_SKIPS=1, as CI sets it, one that could have run is a failure.

What `.ci/run` can install (a browser, compilers, libraries) is no reason to skip there. These are: they depend on the
machine or on data that no package brings.
"""

from __future__ import annotations

import os
import re

import pytest

REASONS = (
    r"needs \S+ of [\w-]+",  # a data set that lies beside the clone
    r"no CUDA device",
    r"the processor has no ",
)
ALLOWED = re.compile("|".join(REASONS))


class Skips:
    """Collects the skips of a session, those of other processes (pytest-xdist) too."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if not ALLOWED.search(reason):
            self.found.append(f"{report.nodeid}: {reason}")

    @pytest.hookimpl(optionalhook=True)  # of pytest-xdist
    def pytest_testnodedown(self, node: object) -> None:
        self.found += [skip for skip in getattr(node, "workeroutput", {}).get("skips", []) if skip not in self.found]

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["skips"] = self.found
        elif self.found and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if self.found:
            terminalreporter.section("skipped, although CAROUSEL_NO_SKIPS is set", red=True)
            terminalreporter.write_line("\n".join(self.found))


def pytest_configure(config: pytest.Config) -> None:
    if os.environ.get("CAROUSEL_NO_SKIPS") == "1":
        config.pluginmanager.register(Skips(), "carousel-skips")
