"""Writes down what a step does with the symbols that it is run on, and where in the author's code it does so."""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import torch

from carousel.cells.cell import Cell
from carousel.errors import ProgramError
from carousel.program import spellings
from carousel.program.builder import Builder, Ref
from carousel.program.declaration import Declaration, Map, title
from carousel.program.symbols import Shape, Symbol


class Recorder:
    """Makes the symbols that step receives, and writes down each op with its line and the names step gives to values.

    place: where the author's code is, as (file, line): innermost first, step last.
    """

    def __init__(self, cell: Cell, declaration: Declaration):
        self.cell, self.declaration = cell, declaration
        self.builder = Builder(declaration.weights)
        self.place: list[tuple[str, int]] = []
        self.made: list[tuple[Symbol, Ref]] = []
        self.named: dict[tuple[int, Ref], str] = {}
        self.named_by_helpers: dict[tuple[int, Ref], str] = {}
        self.own: dict[int, Symbol] = {}  # what stands for each parameter of the cell's own

    # What step receives.

    def leaf(self, op: str, attr: Any, size: str = "hidden") -> Symbol:
        text = "_".join(attr) if isinstance(attr, tuple) else attr
        return Symbol(self, self.builder.leaf(op, attr, size, name=text))

    def gate(self, gate: str, state: str) -> Symbol:
        """W x + b + U h + c, as one value; what the gate does not have is left out."""
        b = self.builder
        if gate not in self.declaration.recurrents:
            return self.leaf("input", gate)
        fed = b.leaf("state", state, self.declaration.cell.size_of(state), name=state)
        if gate not in self.declaration.inputs:
            return Symbol(self, b.product(f"U_{gate}", fed))
        return Symbol(self, b.op("add", b.leaf("input", gate, name=gate), b.product(f"U_{gate}", fed)))

    def product(self, weight: str) -> Map:
        def product(row: Symbol, transposed: bool) -> Symbol:
            self.look()
            if not isinstance(row, Symbol):
                raise self.refuse(f"{weight}{'.T' * transposed}({row!r}), of something that is not a row,")
            return self._made(lambda: self.builder.product(weight, row.ref, transposed))

        return Map(product)

    def units(self, symbol: Symbol) -> Symbol:
        return Symbol(self, self.builder.units(symbol.ref))

    # What step does.

    def run(self, cell: Cell, arguments: dict[str, Any]) -> Any:
        """What the step of the cell returns, whose own parameters are symbols. Raises ProgramError for whatever it
        raises: of NumPy's or math's, which know no symbols, or of the author's own."""
        step = cell.step
        self.own = {id(value): getattr(cell, name) for name, value in self.declaration.own.items()}
        try:
            # So that what is computed from a parameter that is no symbol can be told from a number.
            with torch.inference_mode(False), torch.enable_grad():
                return step(**arguments)
        except ProgramError:
            raise
        except Exception as error:
            self.place = self._place_of(error.__traceback__)
            raise self.refuse(f"what raised {type(error).__name__} ({error})") from error

    def call(self, called: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Symbol:
        """What an op, a function or a method, given by its name, makes of symbols and numbers."""
        self.look()
        spelling, name = spellings.find(called), spellings.name_of(called)
        if written := spelling is None and name.endswith("_"):  # h.mul_(f), torch.tanh_(n)
            spelling = spellings.TABLE.get(name.rpartition(".")[2][:-1])
        if spelling is None:
            raise self.refuse(name, spellings.HINTS.get(name.rpartition(".")[2], ""))

        def make() -> Ref:
            nonlocal written
            given, inplace = spelling.arguments(name, args, kwargs)
            written = written or inplace
            return spelling.make(self.builder, **{key: self._argument(value) for key, value in given.items()})

        made = self._made(make)
        if written and isinstance(args[0], Symbol):  # as torch has it: every name of this row sees the change
            args[0].ref = made.ref
            return args[0]
        return made

    def _made(self, make: Callable[[], Ref]) -> Symbol:
        try:
            symbol = Symbol(self, make())
        except ProgramError as error:
            raise self.refuse(str(error)) from None
        self.made.append((symbol, symbol.ref))
        return symbol

    def _argument(self, value: Any) -> Any:
        """A symbol as its node; a number of any kind as a float; what else torch takes as it is."""
        if isinstance(value, Symbol):
            return value.ref
        if isinstance(value, Shape):
            raise ProgramError("a decision on the shape of a row")
        if isinstance(value, tuple | list):
            return tuple(map(self._argument, value))
        if id(value) in self.own:
            return self.own[id(value)].ref
        if isinstance(value, torch.Tensor) and value.numel() == 1 and (value.requires_grad or value.ndim > 0):
            what = "is to be learned" if value.requires_grad else "has more dimensions than a number"
            raise ProgramError(
                f"a tensor of shape {tuple(value.shape)} that {what} (write a learned number as an attribute of the "
                "cell, self.alpha = nn.Parameter(torch.tensor(0.3)), and read it from there in step)"
            )
        if isinstance(value, torch.Tensor | np.ndarray | np.generic):
            if value.ndim > 0:
                raise ProgramError(f"a tensor of shape {tuple(value.shape)} that is no gate, state, Vector or matrix")
            value = value.item()
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                raise ProgramError("an op of a number that no float holds") from None
        return value

    # Where the author is, and what things are called there.

    def look(self) -> None:
        """Looks where step is now, and at the names in it and in the functions of the author's that it called."""
        above = _authors(sys._getframe(1))
        if not above:
            return
        self.place = [(frame.f_code.co_filename, frame.f_lineno) for frame in above]
        self.builder.line = above[-1].f_lineno
        _note(above[-1], self.named)
        for helper in above[:-1]:
            if not helper.f_code.co_name.startswith("<"):  # a comprehension's names are nobody's
                _note(helper, self.named_by_helpers)

    def _place_of(self, error: TracebackType | None) -> list[tuple[str, int]]:
        """Where in the author's code an exception came from."""
        place: list[tuple[str, int]] = []
        while error is not None:
            if _is_the_authors(error.tb_frame):
                place.insert(0, (error.tb_frame.f_code.co_filename, error.tb_lineno))
            error = error.tb_next
        return place

    def give_names(self) -> None:
        called: dict[str, Ref] = {}
        for symbol, ref in self.made:
            if name := self.named.get((id(symbol), ref)):
                called[name] = ref
            elif name := self.named_by_helpers.get((id(symbol), ref)):
                self.builder.call(ref, name)
        # A name that step gave twice (f = ...; f = sigmoid(f)) is what it meant in the end.
        for name, ref in called.items():
            self.builder.call(ref, name)

    def refuse_declaration(self, what: str, line: int) -> ProgramError:
        """The error for something declared that the equations do not fit, with the equation if there is one."""
        if not line or not self.place:
            return ProgramError(what)
        file = self.place[-1][0]
        return ProgramError(f"{what}\n  {file}:{line}\n    {linecache.getline(file, line).strip()}")

    def refuse(self, what: str, hint: str = "") -> ProgramError:
        """The error for something outside the alphabet: what, where, and the way out."""
        now = _authors(sys._getframe(1))
        place = [(frame.f_code.co_filename, frame.f_lineno) for frame in now] or self.place or [_first_line(self.cell)]
        where = dict.fromkeys((place[0], place[-1]))  # the helper at work, and the line of step
        lines = [f"  {file}:{number}\n    {linecache.getline(file, number).strip()}\n" for file, number in where]
        way_out = (
            f"{hint}{' ' if hint else ''}Write it with the ops listed in carousel.program.ops, or run this cell as "
            'plain torch, slower, by building the layer with engine="reference".'
        )
        text = f"tracing {title(self.cell)}: {what} is outside the alphabet of programs."
        return ProgramError(f"{text}\n{'called from '.join(lines)}{way_out}")


def _authors(frame: FrameType | None) -> list[FrameType]:
    """The author's frames above this one: from the function at work to step."""
    found = []
    while frame is not None and frame.f_code is not Recorder.run.__code__:
        if _is_the_authors(frame):
            found.append(frame)
        frame = frame.f_back
    return found if frame is not None else []


def _is_the_authors(frame: FrameType) -> bool:
    """Whether its code and its names are the author's: not torch's, NumPy's or ours."""
    module = frame.f_globals.get("__name__", "")
    return not module.startswith(("torch.", "numpy.", "carousel.program."))


def _note(frame: FrameType, named: dict[tuple[int, Ref], str]) -> None:
    for name, value in list(frame.f_locals.items()):
        if isinstance(value, Symbol):
            named.setdefault((id(value), value.ref), name)


def _first_line(cell: Cell) -> tuple[str, int]:
    """Where step begins, for what has no line."""
    code = inspect.unwrap(cell.step).__code__
    return code.co_filename, code.co_firstlineno
