"""Records the ops that a step applies to symbols, and the line of the author's code for each."""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Callable, Sequence
from functools import partial, reduce
from types import FrameType, TracebackType
from typing import Any

import numpy as np
import torch

from carousel.cells.cell import Cell
from carousel.cells.member_sizes import parted
from carousel.errors import ProgramError
from carousel.program import ops, spellings
from carousel.program.builder import Builder, Ref
from carousel.program.declaration import Declaration, Map, title
from carousel.program.symbols import Shape, Symbol

Named = dict[tuple[int, Ref], str]  # the name of a symbol with the value that it had then


class Recorder:
    """Makes the symbols that step receives, and records each op with its line and the names that step gives to values.

    place: the current lines of the author's code, as (file, line): the innermost function first, step last.
    """

    def __init__(self, cell: Cell, declaration: Declaration):
        self.cell, self.declaration = cell, declaration
        self.builder = Builder(declaration.weights)
        self.place: list[tuple[str, int]] = []
        self.made: list[tuple[Symbol, Ref]] = []
        self.named: Named = {}
        self.named_by_helpers: Named = {}
        self.helpers: dict[FrameType, Named] = {}  # what each was called with, by its own names for that
        self.own: dict[int, Symbol] = {}  # the symbol for each of the cell's own parameters

    # --- symbols for the arguments of step

    def leaf(self, op: str, attr: Any, size: str = "hidden", members: str = "") -> Symbol:
        text = "_".join(map(str, attr)) if isinstance(attr, tuple) else attr
        return Symbol(self, self.builder.leaf(op, attr, size, members, name=text))

    def state(self, name: str) -> Any:
        """A state; of a cell with so many children a tuple, one of each child."""
        count, size = self.declaration.children, self.declaration.cell.size_of(name)
        if isinstance(count, int):
            return tuple(self.leaf("state", (name, child), size) for child in range(count))
        members, units = parted(size)
        return self.leaf("state", name, units, ops.CHILDREN if count == "any" else members)

    def fed(self) -> tuple[Any, ...]:
        """The rows that gates read: of the first state, of each child of it, or of several states."""
        states = tuple(map(self.state, self.declaration.fed or self.declaration.states[:1]))
        return states if len(states) > 1 else self._each(states[0])

    def gate(self, gate: str) -> Symbol:
        """W x + b + U h + c, as one value; what the gate does not have is left out. Of several children, U of each."""
        b, parts = self.builder, []
        if gate in self.declaration.inputs:
            parts.append(b.leaf("input", gate, name=gate))
        if gate in self.declaration.recurrents:
            for weight, state in zip(self.declaration.maps(gate), self.fed(), strict=True):
                read = b.op("total", state.ref) if b.nodes[state.ref].members else state.ref
                parts.append(b.product(weight, read))
        return Symbol(self, reduce(lambda p, q: b.op("add", p, q), parts))

    def product(self, *weights: str) -> Map:
        """What multiplies with these weights: a row with the one that there is, or rows of all children with theirs."""
        of_children = isinstance(self.declaration.children, int) and weights[0] not in self.declaration.matrices
        several = of_children or len(weights) > 1
        name = weights[0].rpartition("_")[0] if of_children else weights[0]

        def product(row: Any, transposed: bool) -> Any:
            self.look()
            rows = self._each(row) if several and not transposed else (row,)
            if not all(isinstance(each, Symbol) for each in rows):
                raise self.refuse(f"{name}{'.T' * transposed}({row!r}), of something that is not a row,")
            if transposed:
                made = tuple(self._made(partial(self.builder.product, w, row.ref, True)) for w in weights)
                return made if several else made[0]
            if len(rows) != len(weights):
                of = "children" if of_children else f"states that gates read ({', '.join(self.declaration.fed)})"
                raise self.refuse(f"{name} of {len(rows)} rows, where there are {len(weights)} {of},")
            return self._made(lambda: self._sum_of_products(weights, rows))

        return Map(product)

    def _sum_of_products(self, weights: Sequence[str], rows: Sequence[Symbol]) -> Ref:
        products = [self.builder.product(weight, row.ref) for weight, row in zip(weights, rows, strict=True)]
        return reduce(lambda p, q: self.builder.op("add", p, q), products)

    @staticmethod
    def _each(states: Any) -> tuple[Any, ...]:
        return tuple(states) if isinstance(states, tuple | list) else (states,)

    def units(self, symbol: Symbol) -> Symbol:
        return Symbol(self, self.builder.units(symbol.ref))

    # --- running step

    def run(self, cell: Cell, arguments: dict[str, Any]) -> Any:
        """Calls the step of a cell whose own parameters are symbols, and returns its result.

        Raises ProgramError for any exception in it, such as those of NumPy and math, which do not know symbols.
        """
        step = cell.step
        self.own = {id(value): getattr(cell, name) for name, value in self.declaration.own.items()}
        try:
            # requires_grad then tells a value computed from a parameter that is no symbol from a plain number.
            with torch.inference_mode(False), torch.enable_grad():
                return step(**arguments)
        except ProgramError:
            raise
        except Exception as error:
            self.place = self._place_of(error.__traceback__)
            raise self.refuse(f"what raised {type(error).__name__} ({error})") from error

    def call(self, called: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Symbol:
        """Applies an op, a function or a method (given by its name) to symbols and numbers."""
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
        if written and isinstance(args[0], Symbol):  # as in torch, every name of this row sees the change
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
        """The node of a symbol; a number of any kind as a float; any other argument unchanged."""
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

    # --- lines and names in the author's code

    def look(self) -> None:
        """Records the current line of step, and the names of values in step and in the author's functions below it."""
        above = _authors(sys._getframe(1))
        if not above:
            return
        self.place = [(frame.f_code.co_filename, frame.f_lineno) for frame in above]
        self.builder.line = above[-1].f_lineno
        self.named = _named(above[-1]) | self.named
        for helper in above[:-1]:
            if helper.f_code.co_name.startswith("<"):  # names inside a comprehension or a lambda do not count
                continue
            # Its parameters are words for whatever it is called with: only what it assigns has a name there.
            given = self.helpers.setdefault(helper, _named(helper))
            found = {key: name for key, name in _named(helper).items() if key not in given}
            self.named_by_helpers = found | self.named_by_helpers

    def _place_of(self, error: TracebackType | None) -> list[tuple[str, int]]:
        """The lines of the author's code from which an exception came, innermost first."""
        place: list[tuple[str, int]] = []
        while error is not None:
            if _is_the_authors(error.tb_frame):
                place.insert(0, (error.tb_frame.f_code.co_filename, error.tb_lineno))
            error = error.tb_next
        return place

    def give_names(self) -> None:
        self.helpers.clear()
        called: dict[str, Ref] = {}
        for symbol, ref in self.made:
            if name := self.named.get((id(symbol), ref)):
                called[name] = ref
            elif name := self.named_by_helpers.get((id(symbol), ref)):
                self.builder.call(ref, name)
        # If step gives a name twice (f = ...; f = sigmoid(f)), the name belongs to the last value.
        for name, ref in called.items():
            self.builder.call(ref, name)

    def refuse_declaration(self, what: str, line: int) -> ProgramError:
        """The error for a declaration that the equations contradict. It quotes the equation at `line`, if any."""
        if not line or not self.place:
            return ProgramError(what)
        file = self.place[-1][0]
        return ProgramError(f"{what}\n  {file}:{line}\n    {linecache.getline(file, line).strip()}")

    def refuse(self, what: str, hint: str = "") -> ProgramError:
        """The error for something outside the alphabet. It says what and where it is, and gives the hint."""
        now = _authors(sys._getframe(1))
        place = [(frame.f_code.co_filename, frame.f_lineno) for frame in now] or self.place or [_first_line(self.cell)]
        where = dict.fromkeys((place[0], place[-1]))  # the innermost function, and the line of step
        lines = [f"  {file}:{number}\n    {linecache.getline(file, number).strip()}\n" for file, number in where]
        way_out = (
            f"{hint}{' ' if hint else ''}Write it with the ops listed in carousel.program.ops, or run this cell as "
            'plain torch, slower, by building the layer with engine="reference".'
        )
        text = f"tracing {title(self.cell)}: {what} is outside the alphabet of programs."
        return ProgramError(f"{text}\n{'called from '.join(lines)}{way_out}")


def _authors(frame: FrameType | None) -> list[FrameType]:
    """The frames of the author's code above this one, from the innermost function to step."""
    found = []
    while frame is not None and frame.f_code is not Recorder.run.__code__:
        if _is_the_authors(frame):
            found.append(frame)
        frame = frame.f_back
    return found if frame is not None else []


def _is_the_authors(frame: FrameType) -> bool:
    """Whether a frame runs the author's code, and not code of torch, NumPy or this package."""
    module = frame.f_globals.get("__name__", "")
    return not module.startswith(("torch.", "numpy.", "carousel.program."))


def _named(frame: FrameType) -> Named:
    """The names that a function has for symbols now; of several for one symbol the first."""
    named: Named = {}
    for name, value in list(frame.f_locals.items()):
        if isinstance(value, Symbol):
            named.setdefault((id(value), value.ref), name)
        elif isinstance(value, list | tuple):  # f = [f of each child]: f0, f1, ...
            for number, each in enumerate(value):
                if isinstance(each, Symbol):
                    named.setdefault((id(each), each.ref), f"{name}{number}")
    return named


def _first_line(cell: Cell) -> tuple[str, int]:
    """The file and first line of step, for errors that have no line of their own."""
    code = inspect.unwrap(cell.step).__code__
    return code.co_filename, code.co_firstlineno
