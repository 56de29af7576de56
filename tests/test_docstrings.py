"""The docstring of a public name explains each of its parameters and fields, and names the errors that it raises.

A parameter is explained where its name stands in the docstring; whether the words are right, no test can say.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import pytest
from test_public_names import LISTED

# {name: errors that are in its reach and cannot come out of it}
NEVER = {
    "Trees.order": {"DataError"},  # of a cycle, which the constructor has refused
}


def names(text: str, name: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", text) is not None


def docstring(thing: Any) -> str:
    return inspect.getdoc(thing) or ""


def of_class(kind: type) -> str:
    """The docstring of a class, and those of the bases that it names."""
    own = docstring(kind)
    return "\n".join([own, *(docstring(base) for base in kind.__mro__[1:] if names(own, base.__name__))])


def is_ours(function: Callable[..., Any]) -> bool:
    return function.__module__.startswith(("carousel.", __name__))


def parameters(function: Callable[..., Any]) -> set[str]:
    """The names of all parameters, of those with stars too: the docstring says what they are or where they go."""
    return {*inspect.signature(function).parameters} - {"self", "cls"}


def raised(function: Callable[..., Any], kind: type | None = None) -> set[str]:
    """The errors that a function raises itself, or by a function of its own module or class that it calls."""
    module, seen, found = sys.modules[function.__module__], set[str](), set[str]()

    def walk(one: Callable[..., Any]) -> None:
        for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(one)))):
            if isinstance(node, ast.Raise) and node.exc is not None:
                error = ast.unparse(node.exc.func if isinstance(node.exc, ast.Call) else node.exc)
                found.add(error.rpartition(".")[2])
            if isinstance(node, ast.Call) and (called := callee(node)) is not None and called.__name__ not in seen:
                seen.add(called.__name__)
                walk(called)

    def callee(node: ast.Call) -> Callable[..., Any] | None:
        there: Any = None
        if isinstance(node.func, ast.Name):
            there = getattr(module, node.func.id, None)
        elif isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) == "self":
            there = getattr(kind, node.func.attr, None)
        return there if inspect.isfunction(there) and there.__module__ == module.__name__ else None

    walk(inspect.unwrap(function))
    return {name for name in found if name[0].isupper() and name not in ("NotImplementedError", "AssertionError")}


def methods(kind: type) -> Iterator[tuple[str, Any, Callable[..., Any]]]:
    """(name, what `help` looks at, the function) of each public method and property that Carousel defines."""
    for name in dir(kind):
        static = inspect.getattr_static(kind, name)
        function = getattr(static, "fget", None) or getattr(static, "func", None) or getattr(static, "__func__", static)
        public = not name.startswith("_") or name == "__call__"
        if public and inspect.isfunction(function) and is_ours(function):
            yield name, getattr(kind, name), function


def missing_of_function(function: Callable[..., Any], text: str, kind: type | None = None) -> list[str]:
    """What is missing in a docstring; `text` is all that stands beside it in help."""
    errors = sorted(e for e in raised(function, kind) - NEVER.get(function.__qualname__, set()) if not names(text, e))
    return [f"parameter {p}" for p in sorted(parameters(function)) if not names(text, p)] + [
        f"error {e}" for e in errors
    ]


def missing_of_class(kind: type) -> list[str]:
    about = of_class(kind)
    found = []
    if dataclasses.is_dataclass(kind):
        found += [f"field {field.name}" for field in dataclasses.fields(kind) if not names(about, field.name)]
    elif inspect.isfunction(make := inspect.getattr_static(kind, "__init__")) and is_ours(make):
        found += missing_of_function(make, about + docstring(make), kind)
    for name, shown, function in methods(kind):
        text = docstring(shown)
        if not text and not names(about, name):
            found.append(f"{name}: docstring")
        elif not isinstance(inspect.getattr_static(kind, name), property):
            found += [f"{name}: {what}" for what in missing_of_function(function, f"{text}\n{about}", kind)]
    return found


PUBLIC = {
    id(value): pytest.param(value, id=f"{package}.{name}")
    for package, listed in LISTED.items()
    for name in listed
    if not inspect.ismodule(value := getattr(import_module(package), name))
}


@pytest.mark.parametrize("value", PUBLIC.values())
def test_a_public_name_explains_its_parameters_and_names_its_errors(value):
    if inspect.isclass(value):
        assert missing_of_class(value) == []
    else:
        function = inspect.unwrap(value)
        assert docstring(function)
        assert missing_of_function(function, docstring(function)) == []


def test_what_is_missing_is_found():
    def bare(steps: int, batch: int) -> None:
        """Runs `steps` steps."""
        raise ValueError(steps, batch)

    @dataclasses.dataclass
    class Bare:
        """A size. rows: how many."""

        rows: int
        columns: int

        def area(self) -> int:
            return self.rows * self.columns

    assert missing_of_function(bare, docstring(bare)) == ["parameter batch", "error ValueError"]
    assert missing_of_class(Bare) == ["field columns", "area: docstring"]
