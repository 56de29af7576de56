"""How `carousel.layers.segments` cuts a padded batch into sequences, as an ONNX function."""

from __future__ import annotations

from typing import Any

import numpy as np

from carousel.export.onnx.graph import Graph
from carousel.export.onnx.pools import counted

FIELDS = ("steps", "batch_sizes", "sequence", "row", "fresh", "last", "ends_fresh")


def cut(graph: Graph, mask: str, reset: str, most: str) -> list[str]:
    """The values of `FIELDS` of mask and reset, bool (T, B), with the room that the operator `carousel::cut` leaves.

    The names below are those of `segments._cut`, which says what they are.
    """
    c = _Integers(graph)
    steps, batch = (graph.op("Shape", mask, start=k, end=k + 1) for k in (0, 1))
    started = graph.op("CumSum", c.cast(reset), c.scalar(0))
    row, time = graph.ops(
        "Split",
        (graph.op("NonZero", graph.op("Transpose", mask, perm=[1, 0])),),
        ("row", "time"),
        axis=0,
        num_outputs=2,
    )
    row, time = (graph.op("Squeeze", value, c(0)) for value in (row, time))
    n = graph.op("Shape", row)
    pairs = graph.op("Concat", *(graph.op("Unsqueeze", v, c(1)) for v in (time, row)), axis=1)
    age = graph.op("GatherND", started, pairs)
    changed = (graph.op("Not", graph.op("Equal", v, c.before(v))) for v in (row, age))
    begins = graph.op("Or", *changed)
    sequence = graph.op("Sub", graph.op("CumSum", c.cast(begins), c.scalar(0)), c(1))
    first = graph.op("Squeeze", graph.op("NonZero", begins), c(0))
    count = graph.op("Shape", first)
    length = c.added(count, sequence, c.full(n, 1))
    place = graph.op("Sub", c.range(n), c.at(first, sequence))

    # Longest first, and among equal ones the earlier first: their numbers make all keys different.
    keys = graph.op("Sub", graph.op("Mul", length, graph.op("Add", count, c(1))), c.range(count))
    _, order = graph.ops("TopK", (keys, count), ("keys", "order"), axis=0)
    rank = c.put(c.full(count, 0), order, c.range(count))
    sizes = c.added(steps, place, c.full(n, 1))
    of_step = c.at(rank, sequence)
    where = graph.op("Add", c.at(graph.op("CumSum", sizes, c.scalar(0), exclusive=1), place), of_step)
    packed = c.put(c.full(n, 0), where, graph.op("Add", graph.op("Mul", time, batch), row))
    ranks = c.put(c.full(n, 0), where, of_step)

    ends_row = graph.op("Not", graph.op("Equal", row, c.after(row)))
    rows_ended = graph.op("Compress", row, ends_row, axis=0)
    last, age_of_last = (
        c.put(c.full(batch, nothing), rows_ended, graph.op("Compress", values, ends_row, axis=0))
        for nothing, values in ((-1, of_step), (0, age))
    )
    ends_fresh = graph.op("Greater", graph.op("ReduceSum", c.cast(reset), c(0), keepdims=0), age_of_last)
    padding = graph.op("NonZero", graph.op("Not", graph.op("Reshape", mask, c(-1))))
    places = graph.op("Mul", steps, batch)
    total = batch if most == "row" else places
    fresh = c.longer(c.at(c.at(age, first), order), total)
    return [
        graph.op("Concat", packed, graph.op("Squeeze", padding, c(0)), axis=0),
        sizes,
        c.longer(ranks, places),
        c.longer(c.at(c.at(row, first), order), total),
        graph.op("Greater", fresh, c(0)),
        last,
        ends_fresh,
    ]


class _Integers:
    """Vectors of int64."""

    def __init__(self, graph: Graph):
        self.graph = graph

    def __call__(self, *values: int) -> str:
        return self.graph.integers(*values)

    def scalar(self, value: int) -> str:
        return self.graph.constant(np.array(value, np.int64), "number")

    def cast(self, flags: str) -> str:
        return self.graph.op("Cast", flags, to=self.graph.kind(np.int64))

    def full(self, count: str, value: int) -> str:
        return self.graph.op("Expand", self(value), count)

    def range(self, count: str) -> str:
        return counted(self.graph, self.graph.op("Squeeze", count, self(0)))

    def at(self, values: str, places: str) -> str:
        return self.graph.op("Gather", values, places, axis=0)

    def put(self, values: str, places: str, new: str) -> str:
        return self.graph.op("ScatterElements", values, places, new, axis=0)

    def added(self, count: str, places: str, ones: str) -> str:
        """How often each of 0 ... count - 1 is among the places."""
        return self.graph.op("ScatterElements", self.full(count, 0), places, ones, axis=0, reduction="add")

    def before(self, values: str) -> str:
        """Each number's predecessor; -1 for the first."""
        return self._cut(self.graph.op("Concat", self(-1), values, axis=0), 0, -1)

    def after(self, values: str) -> str:
        """Each number's successor; -1 for the last."""
        return self._cut(self.graph.op("Concat", values, self(-1), axis=0), 1, 2**62)

    def longer(self, values: str, count: str) -> str:
        """With zeros behind, so that there are `count`."""
        rest = self.graph.op("Sub", count, self.graph.op("Shape", values))
        return self.graph.op("Concat", values, self.full(rest, 0), axis=0)

    def _cut(self, values: str, first: int, last: int) -> Any:
        return self.graph.op("Slice", values, self(first), self(last), self(0))
