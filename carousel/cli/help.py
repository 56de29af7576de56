"""The help of `carousel train`: a short one with the shared options, and a whole one for each task.

carousel train --help                 short: the shared options, and the names of each task's own
carousel train --help forecasting     the whole help of a task
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cyclopts import App

from carousel.cli.options import flags_of_its_own, options_of, shared_options, with_options
from carousel.cli.train import train
from carousel.tasks import about, task_names


class AppWithTasks(App):
    """An App whose command `train` has a help for each task, which shows if a task's name is among the words typed."""

    def help_print(self, tokens: Any = None, *, console: Any = None) -> None:
        words = [] if tokens is None or isinstance(tokens, str) else list(tokens)
        if words[:1] == ["train"]:
            _help_of_train(words[1:]).help_print([], console=console or self.console)
        else:
            super().help_print(tokens, console=console)


def _help_of_train(words: Sequence[str]) -> App:
    task = next((word for word in words if word in task_names()), None)
    app = App(name="carousel train", help_format="markdown", help_flags=(), version_flags=())
    if task is None:
        app.help_epilogue = _tasks()
        app.default(with_options(train, shared_options()))
    else:
        app.help = f"Train a model of the task {task}. {about(task)}"
        app.default(with_options(train, options_of(task)))
    return app


def _tasks() -> str:
    """The end of the short help: the tasks and the flags of each."""
    lines = [f"- **{task}**: {', '.join(flags_of_its_own(task))}" for task in task_names()]
    return "\n".join(["Each task has more options, which `carousel train --help TASK` explains:", "", *lines])
