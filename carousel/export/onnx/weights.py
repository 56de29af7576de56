"""The numbers of one scan in a graph: as constants, or as values that the graph has already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from carousel.export.onnx.graph import Graph


class Weights(Protocol):
    """Parameters, by the names that engines know them by, and the rows of streams.

    sizes: of states and units, by name. inputs: how many numbers the inputs' part of all gates has.
    """

    sizes: Mapping[str, int]
    dtype: type[np.floating]

    @property
    def inputs(self) -> int: ...

    def has(self, name: str) -> bool: ...

    def vector(self, name: str, first: int = 0, count: int | None = None) -> str:
        """The name of a vector, or of `count` of its numbers from `first` on."""

    def matrix(self, name: str, first: int = 0, count: int | None = None, *, turned: bool) -> str:
        """The name of a matrix, or of `count` of its rows from `first` on; turned: of its transpose."""


class Constants:
    """Numbers that are stored in the model."""

    def __init__(self, graph: Graph, arrays: Mapping[str, np.ndarray], sizes: Mapping[str, int]):
        self.graph, self.arrays, self.sizes = graph, arrays, sizes
        self.dtype = arrays["weight_ih"].dtype.type

    @property
    def inputs(self) -> int:
        return len(self.arrays["weight_ih"])

    def has(self, name: str) -> bool:
        return name in self.arrays

    def vector(self, name: str, first: int = 0, count: int | None = None) -> str:
        return self._constant(self._rows(name, first, count), name)

    def matrix(self, name: str, first: int = 0, count: int | None = None, *, turned: bool) -> str:
        rows = self._rows(name, first, count)
        return self._constant(rows.T if turned else rows, name)

    def _rows(self, name: str, first: int, count: int | None) -> np.ndarray:
        return self.arrays[name][first : None if count is None else first + count]

    def _constant(self, values: np.ndarray, name: str) -> str:
        return self.graph.constant(np.ascontiguousarray(values), name)


class Values:
    """Values of a graph around the scan, which are cut and transposed there, once.

    names: parameter -> the value's name.
    """

    def __init__(self, graph: Graph, names: Mapping[str, str], sizes: Mapping[str, int], inputs: int, dtype: Any):
        self.graph, self.names, self.sizes, self.inputs, self.dtype = graph, names, sizes, inputs, dtype
        self._known: dict[tuple[str, int, int | None, bool], str] = {}

    def has(self, name: str) -> bool:
        return name in self.names

    def vector(self, name: str, first: int = 0, count: int | None = None) -> str:
        return self._cut(name, first, count, False)

    def matrix(self, name: str, first: int = 0, count: int | None = None, *, turned: bool) -> str:
        return self._cut(name, first, count, turned)

    def _cut(self, name: str, first: int, count: int | None, turned: bool) -> str:
        key = name, first, count, turned
        if key not in self._known:
            value = self.names[name]
            if count is not None:
                value = self.graph.op("Slice", value, *map(self.graph.integers, (first, first + count, 0)), called=name)
            self._known[key] = self.graph.op("Transpose", value, perm=[1, 0], called=name) if turned else value
        return self._known[key]
