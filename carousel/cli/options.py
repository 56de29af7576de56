"""The options of `carousel train`, made from the `Settings` of the tasks.

A task's settings have types, and each has a line of help (`carousel.training.settings.setting`). Here they become
parameters of a function, from which cyclopts makes its parser, its errors and its help. None means that an option was
not given; the default of the task's `Settings` then holds.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from functools import cache, wraps
from inspect import Parameter as Argument
from inspect import Signature, signature
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from cyclopts import Group, Parameter

from carousel.errors import SETTING_OF
from carousel.tasks import settings_of, task_names
from carousel.training.settings import DATA, MODEL, RUN, TRAINING, TrainingSettings

GROUPS = {name: Group(name, sort_key=key) for key, name in enumerate((DATA, MODEL, TRAINING, RUN), start=1)}
FLAGS = {setting: flag for flag, setting in SETTING_OF.items()}  # settings whose flags have shorter names


def with_options(command: Callable[..., None], options: Iterable[Argument]) -> Callable[..., None]:
    """A copy of a command that takes **settings, with these options as explicit keywords in their place."""

    @wraps(command)
    def whole(*arguments: Any, **given: Any) -> None:
        command(*arguments, **given)

    *own, _ = signature(command, eval_str=True).parameters.values()
    explained = Signature([*own, *options])
    whole.__signature__ = explained  # type: ignore[attr-defined]
    whole.__annotations__ = {name: one.annotation for name, one in explained.parameters.items()}
    return whole


def all_options() -> list[Argument]:
    """The settings of all tasks, without repetition."""
    owners: dict[str, dict[str, Field[Any]]] = {}
    for task in task_names():
        for one in _fields_of(task):
            owners.setdefault(one.name, {})[task] = one
    return [_option(name, [kind_of(task, name) for task in by], next(iter(by.values()))) for name, by in owners.items()]


def options_of(task: str) -> list[Argument]:
    """The settings of one task, with its defaults."""
    return [_option(one.name, [kind_of(task, one.name)], one, usual=_spelled(one)) for one in _fields_of(task)]


def _fields_of(task: str) -> list[Field[Any]]:
    """The settings of a task in the order of the help: its own and those of all tasks, then those of several tasks."""
    settings, shared = settings_of(task), {one.name for one in fields(TrainingSettings)}
    return sorted(fields(settings), key=lambda one: one.name not in shared and one.name not in vars(settings))


def shared_options() -> list[Argument]:
    """The settings that all tasks share, with the defaults of each task."""
    return [
        _option(one.name, [kind_of(task, one.name) for task in task_names()], one, usual=_usual(one.name))
        for one in fields(TrainingSettings)
    ]


def flags_of_its_own(task: str) -> list[str]:
    """The flags of a task's own settings, without the shared ones."""
    shared = {one.name for one in fields(TrainingSettings)}
    return [flag(one.name) for one in _fields_of(task) if one.name not in shared]


def flag(setting: str) -> str:
    return "--" + FLAGS.get(setting, setting).replace("_", "-")


def kind_of(task: str, setting: str) -> Any:
    """The type of a setting on the command line: int for `int | None`, list[str] for `tuple[str, ...]`."""
    hint = _hints(settings_of(task))[setting]
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = [part for part in get_args(hint) if part is not types.NoneType]
    return list[get_args(hint)[0]] if get_origin(hint) is tuple else hint  # type: ignore[misc]


@cache
def _hints(settings: type) -> dict[str, Any]:
    return get_type_hints(settings)


def joined(setting: str, kinds: Sequence[Any]) -> Any:
    """The common type of an option of several tasks: all choices together, or a list if one task takes a list.

    Raises TypeError if one flag cannot have all the types."""
    if all(get_origin(kind) is Literal for kind in kinds):
        return Literal[tuple(dict.fromkeys(choice for kind in kinds for choice in get_args(kind)))]
    lists = [kind for kind in kinds if get_origin(kind) is list]
    most = (lists or kinds)[0]
    if any(kind not in (most, *get_args(most)) for kind in kinds):
        raise TypeError(f"Tasks give the setting {setting!r} different types: {', '.join(map(str, kinds))}.")
    return most


def _option(setting: str, kinds: Sequence[Any], one: Field[Any], *, usual: str = "") -> Argument:
    kind = joined(setting, kinds)
    # A switch that is off by default has no --no-switch, and a list has no --empty-list.
    negative: Mapping[str, Any] = {"negative": ()} if one.default is False or get_origin(kind) is list else {}
    about = Parameter(
        name=flag(setting), group=GROUPS[one.metadata["group"]], help=f"{one.metadata['help']}{usual}", **negative
    )
    return Argument(setting, Argument.KEYWORD_ONLY, default=None, annotation=Annotated[kind | None, about])


def _usual(setting: str) -> str:
    """The defaults of a shared setting: " Default: 64 for classification and forecasting, 256 for language." """
    tasks: dict[str, list[str]] = {}
    for task in task_names():
        (one,) = (one for one in fields(settings_of(task)) if one.name == setting)
        tasks.setdefault(_value(one), []).append(task)
    named = [
        f"{value} for {' and '.join(names)}" if len(tasks) > 1 else value for value, names in tasks.items() if value
    ]
    return f" Default: {', '.join(named)}." if named else ""


def _spelled(one: Field[Any]) -> str:
    return f" Default: {_value(one)}." if _value(one) else ""


def _value(one: Field[Any]) -> str:
    """A default as text; "" if there is no default, or if the task chooses it."""
    if one.default is MISSING or one.default is None or one.default == ():
        return ""
    if isinstance(one.default, bool):
        return "yes" if one.default else "no"
    return f"{one.default:,}" if isinstance(one.default, int) else str(one.default)
