"""The symbols that step receives in the place of rows. A recorder records each op that is applied to one."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Protocol

import torch

from carousel.errors import ProgramError
from carousel.program.builder import Ref


class OpRecorder(Protocol):
    """Records the ops that are applied to symbols. `recorder.py` has the implementation."""

    def call(self, called: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any: ...

    def refuse(self, what: str, hint: str = "") -> ProgramError: ...

    def units(self, symbol: Symbol) -> Symbol: ...


class NoSuchAttribute(ProgramError, AttributeError):
    """An AttributeError too, so that hasattr and copy see that the attribute is missing."""


class Symbol:
    """A row of a step: a node of the program. It has no numbers, so that Python code cannot branch on them."""

    def __init__(self, recorder: OpRecorder, ref: Ref):
        self.recorder, self.ref = recorder, ref

    __hash__ = object.__hash__

    @classmethod
    def __torch_function__(cls, called: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        given = [*args, *(kwargs or {}).values()]
        symbol = next(a for a in given if isinstance(a, Symbol))
        name = getattr(called, "__name__", "")
        if reversed_ := name.startswith("__r") and OPERATORS.get(f"__{name[3:]}"):
            return symbol.recorder.call(reversed_, args[::-1], {})
        return symbol.recorder.call(OPERATORS.get(name, called), args, kwargs or {})

    def __array_ufunc__(self, ufunc: Any, method: str, *args: Any, **kwargs: Any) -> Any:
        """NumPy calls this for an operator whose left operand is a number of NumPy."""
        called = getattr(operator, UFUNCS.get(ufunc.__name__, ""), None)
        if called is None or method != "__call__" or kwargs:
            own = getattr(torch, ufunc.__name__, None)
            hint = f"Write torch.{ufunc.__name__}." if own is not None else ""
            raise self.recorder.refuse(f"numpy.{ufunc.__name__} of a row", hint)
        return self.recorder.call(called, args, {})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        recorder = self.recorder
        if name == "shape":
            return Shape(self)
        if name == "mT":
            return recorder.call("mT", (self,), {})
        if name in ("size", "dim", "numel", "ndim"):
            return Shape(self).size if name == "size" else _refused(self, f"the {name} of a row")
        if not hasattr(torch.Tensor, name):
            raise NoSuchAttribute(str(recorder.refuse(f"the attribute {name!r}, which no tensor has,")))
        if not callable(getattr(torch.Tensor, name)):
            raise recorder.refuse(f"the attribute {name!r} of a row")
        return lambda *args, **kwargs: recorder.call(name, (self, *args), kwargs)

    def __bool__(self) -> bool:
        raise self._decides()

    def __iter__(self) -> Any:
        raise self.recorder.refuse("a loop over the units of a row")

    def __len__(self) -> int:
        raise self.recorder.refuse("a decision on the shape of a row")

    def __getitem__(self, key: Any) -> Any:
        raise self.recorder.refuse("a part of a row", "Declare a gate for each part: gates = 'a', 'b'.")

    __setitem__ = None

    def __contains__(self, value: Any) -> bool:
        raise self._decides()

    def __float__(self) -> float:
        raise self._as_number()

    def __int__(self) -> int:
        raise self._as_number()

    def __index__(self) -> int:
        raise self._as_number()

    def __complex__(self) -> complex:
        raise self._as_number()

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise self.recorder.refuse("a NumPy array of a row")

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __repr__(self) -> str:
        return "a row"

    def _decides(self) -> ProgramError:
        return self.recorder.refuse(
            "a decision on the values of a row", "Choose with torch.where(condition, a, b), which does both."
        )

    def _as_number(self) -> ProgramError:
        return self.recorder.refuse(
            "a Python number made of a row", "Functions of the module math take numbers only: write torch's."
        )


class Shape:
    """The shape of a row, (batch, units). A program does not know these numbers; a step may only pass them on."""

    def __init__(self, symbol: Symbol):
        self.symbol = symbol

    def __getitem__(self, key: Any) -> Any:
        if key in (-1, 1):
            return Units(self.symbol)
        if isinstance(key, slice) and (key.start, key.stop, key.step) in ((-1, None, None), (1, None, None)):
            return (Units(self.symbol),)
        raise self._refuse()

    def size(self, dim: int | None = None) -> Any:
        return self if dim is None else self[dim]

    def _refuse(self, *_: Any) -> Any:
        raise self.symbol.recorder.refuse("a decision on the shape of a row")

    __iter__ = __len__ = __bool__ = __eq__ = __ne__ = __lt__ = __gt__ = __le__ = __ge__ = _refuse
    __hash__ = object.__hash__


class Units(Symbol):
    """The number of units of a row. A step may compute with it, but not branch on it."""

    def __init__(self, of: Symbol):
        self.of = of
        super().__init__(of.recorder, of.recorder.units(of).ref)

    def __repr__(self) -> str:
        return "the number of units"

    def _decides(self, *_: Any) -> Any:
        raise self.recorder.refuse("a decision on the shape of a row")

    _as_number = __bool__ = _decides
    __hash__ = object.__hash__


def _refused(symbol: Symbol, what: str) -> Any:
    raise symbol.recorder.refuse(what)


def _operator(called: Callable[..., Any], swapped: bool = False) -> Callable[..., Any]:
    def method(self: Symbol, *others: Any) -> Any:
        return self.recorder.call(called, (self, *others)[:: -1 if swapped else 1], {})

    return method


def _written_in_place(called: Callable[..., Any]) -> Callable[[Symbol, Any], Symbol]:
    def method(self: Symbol, other: Any) -> Symbol:
        # As in torch, every name of this row sees the change.
        self.ref = self.recorder.call(called, (self, other), {}).ref
        return self

    return method


BINARY = "add sub mul truediv floordiv mod pow matmul and or xor"
OPERATORS: dict[str, Callable[..., Any]] = {}
for _name in BINARY.split():
    _called = getattr(operator, _name if _name not in ("and", "or") else f"{_name}_")
    OPERATORS[f"__{_name}__"] = _called
    setattr(Symbol, f"__{_name}__", _operator(_called))
    setattr(Symbol, f"__r{_name}__", _operator(_called, swapped=True))
    setattr(Symbol, f"__i{_name}__", _written_in_place(_called))
for _name in ("neg", "pos", "abs", "invert", "lt", "le", "eq", "ne", "gt", "ge"):
    _called = getattr(operator, _name)
    OPERATORS[f"__{_name}__"] = _called
    setattr(Symbol, f"__{_name}__", _operator(_called))
for _name in ("lt", "le", "eq", "ne", "gt", "ge"):
    setattr(Units, f"__{_name}__", Units._decides)

# NumPy's names of operators, for operators whose left operand is a number of NumPy.
UFUNCS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "true_divide": "truediv",
    "power": "pow", "negative": "neg", "positive": "pos", "absolute": "abs", "floor_divide": "floordiv",
    "remainder": "mod", "matmul": "matmul", "less": "lt", "less_equal": "le", "equal": "eq", "not_equal": "ne",
    "greater": "gt", "greater_equal": "ge",
}  # fmt: skip
