"""Writes ONNX nodes one after another: every op gives the name of its value, every constant becomes an initializer."""

from __future__ import annotations

from itertools import chain, count
from typing import TYPE_CHECKING, Any

import numpy as np

from carousel.errors import CarouselError

if TYPE_CHECKING:
    import onnx

OPSET = 18
IR_VERSION = 8  # the oldest of this opset: more runtimes read it


def onnx_package() -> Any:
    """The package onnx. Raises CarouselError where it is not installed, with what to type."""
    try:
        import onnx
    except ImportError:
        raise CarouselError(
            "exporting to ONNX needs the package onnx, and onnxruntime to check the file: "
            "pip install 'carousel-rnn[onnx]'"
        ) from None
    return onnx


EXACT = "exact_"


def exact(what: str) -> str:
    """The name of a node whose numbers stay as they are where others become int8."""
    return EXACT + what


class Graph:
    """A graph, or the body of a Scan that also reads the names of the graph around it.

    outer: the graph around it; constants go there, since they need be stored once.
    to_be_rounded: whether the weights will become int8, for which ONNX Runtime has not all operators.
    """

    def __init__(self, outer: Graph | None = None, to_be_rounded: bool = False):
        self.outer, self.to_be_rounded = outer, to_be_rounded
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._taken: set[str] = outer._taken if outer else set()
        self._known: dict[bytes, str] = {}
        self.helper = onnx_package().helper

    def name(self, what: str) -> str:
        """A name that nothing else in the model has."""
        found = next(n for n in chain([what], (f"{what}_{k}" for k in count(2))) if n not in self._taken)
        self._taken.add(found)
        return found

    def reserve(self, *names: str) -> None:
        """Keeps these names for results of the model."""
        self._taken.update(names)

    def give(self, value: str, name: str) -> None:
        """Makes a value a result of the model under a name that was reserved."""
        self.nodes.append(self.helper.make_node("Identity", [value], [name]))

    def op(self, op: str, *inputs: str, called: str = "", **attributes: Any) -> str:
        """The value of an op of one result."""
        return self.ops(op, inputs, (called or op.lower(),), **attributes)[0]

    def ops(self, op: str, inputs: tuple[str, ...], called: tuple[str, ...], **attributes: Any) -> tuple[str, ...]:
        """The values of an op of several results; "" leaves one out."""
        results = tuple(self.name(c) if c else "" for c in called)
        self.nodes.append(self.helper.make_node(op, list(inputs), list(results), **attributes))
        return results

    def constant(self, values: np.ndarray, called: str = "constant") -> str:
        """An initializer; the same numbers are stored once."""
        if self.outer is not None:
            return self.outer.constant(values, called)
        key = repr((values.dtype, values.shape)).encode() + values.tobytes()
        if key not in self._known:
            self._known[key] = self.name(called)
            self.constants.append(onnx_package().numpy_helper.from_array(values, self._known[key]))
        return self._known[key]

    def kind(self, dtype: Any) -> int:
        """ONNX's number for a type of NumPy's, as Cast takes it."""
        return int(self.helper.np_dtype_to_tensor_dtype(np.dtype(dtype)))

    def integers(self, *values: int) -> str:
        return self.constant(np.array(values, np.int64), "axes")
