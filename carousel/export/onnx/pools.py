"""What a `LabelModel` has beside its recurrence, in ONNX: poolings and convolutions, as in `carousel.models`."""

from __future__ import annotations

import numpy as np

from carousel.export.onnx.graph import Graph
from carousel.models.convolutions import Convolutions
from carousel.models.pooling import Attention, Last, Max, Mean, Pooling


def present_steps(graph: Graph, x: str, lengths: str) -> str:
    """The name of a value that says which steps are real, t < length: (T, B, 1) bool, for x of (T, B, ...)."""
    steps = graph.op("Squeeze", graph.op("Shape", x, start=0, end=1), graph.integers(0))
    t = graph.op("Unsqueeze", counted(graph, steps), graph.integers(1, 2))
    return graph.op("Less", t, graph.op("Unsqueeze", lengths, graph.integers(0, 2)))


def counted(graph: Graph, steps: str) -> str:
    """The name of a value that counts 0, 1 ... steps - 1."""
    zero, one = (graph.constant(np.array(v, np.int64), "number_of_steps") for v in (0, 1))
    return graph.op("Range", zero, steps, one)


def pooled(graph: Graph, pooling: Pooling, outputs: str, final: str, present: str) -> str:
    """The name of the pooled outputs, (B, W).

    outputs: (T, B, W). final: (B, W). present: (T, B, 1). Raises TypeError for an unknown pooling.
    """
    over_time = graph.integers(0)
    number = _Numbers(graph, pooling)
    mask = graph.op("Cast", present, to=graph.kind(number.dtype))
    some = graph.op("ReduceMax", mask, over_time, keepdims=0)  # (B, 1): 1 where there is a step
    if isinstance(pooling, Last):
        return graph.op("Mul", final, some)
    if isinstance(pooling, Mean):
        total = graph.op("ReduceSum", graph.op("Mul", outputs, mask), over_time, keepdims=0)
        count = graph.op("ReduceSum", mask, over_time, keepdims=0)
        return graph.op("Div", total, graph.op("Max", count, number(1.0)))
    if isinstance(pooling, Max):
        highest = graph.op("ReduceMax", graph.op("Where", present, outputs, number(-np.inf)), over_time, keepdims=0)
        return graph.op("Where", graph.op("Greater", some, number(0.0)), highest, number(0.0))
    if isinstance(pooling, Attention):
        hidden = graph.op("MatMul", outputs, number.array(pooling.hidden.weight.detach().cpu().numpy().T))
        hidden = graph.op("Tanh", graph.op("Add", hidden, number.array(pooling.hidden.bias.detach().cpu().numpy())))
        scores = graph.op("MatMul", hidden, number.array(pooling.context.weight.detach().cpu().numpy().T))
        lowest = float(np.finfo(number.dtype).min)
        weights = graph.op("Softmax", graph.op("Where", present, scores, number(lowest)), axis=0)
        weighed = graph.op("Mul", graph.op("Mul", weights, mask), outputs)
        return graph.op("ReduceSum", weighed, over_time, keepdims=0)
    raise TypeError(f"exporting to ONNX: there is no ONNX form of {type(pooling).__name__}")


def convolved(graph: Graph, convolutions: Convolutions, e: str, lengths: str) -> str:
    """(B, 3 C) of e (T, B, I)."""
    number = _Numbers(graph, convolutions)
    if convolutions.points:
        e, lengths = _stretched(graph, number, e, lengths, convolutions.points)
    present = graph.op("Transpose", present_steps(graph, e, lengths), perm=[1, 2, 0])  # (B, 1, T)
    mask = graph.op("Cast", present, to=graph.kind(number.dtype))
    a = graph.op("Mul", graph.op("Transpose", e, perm=[1, 2, 0]), mask)
    first, last, axis, step = (graph.integers(v) for v in (0, 2**31, 2, convolutions.stride))
    mask = graph.op("Slice", mask, first, last, axis, step)
    for convolution, norm in convolutions.layers():
        kernel = convolution.kernel_size[0]
        left = kernel - 1 if convolutions.causal else (kernel - 1) // 2
        a = graph.op(
            "Conv",
            a,
            number.array(convolution.weight.detach().cpu().numpy()),
            pads=[left, kernel - 1 - left],
            strides=[convolution.stride[0]],
        )
        scale, shift = (number.array(values.cpu().numpy()[:, None]) for values in norm.line())
        a = graph.op("Mul", graph.op("Relu", graph.op("Add", graph.op("Mul", a, scale), shift)), mask)
    count = graph.op("Max", graph.op("ReduceSum", mask, graph.integers(2), keepdims=0), number(1.0))
    on = graph.op("Sigmoid", graph.op("Mul", number(4.0), graph.op("Sub", a, number(0.5))))
    totals = [graph.op("ReduceSum", of, graph.integers(2), keepdims=0) for of in (a, graph.op("Mul", on, mask))]
    mean, share = (graph.op("Div", total, count) for total in totals)
    return graph.op("Concat", mean, graph.op("ReduceMax", a, graph.integers(2), keepdims=0), share, axis=1)


def _stretched(graph: Graph, number: _Numbers, e: str, lengths: str, points: int) -> tuple[str, str]:
    """See `carousel.models.places.stretched`: (points, B, I), and how many of them are real."""
    zero = graph.integers(0)
    last = graph.op("Max", graph.op("Sub", lengths, graph.integers(1)), zero)
    shares = graph.constant(np.linspace(0, 1, points)[:, None], "places")
    place = graph.op("Mul", shares, graph.op("Cast", last, to=graph.kind(np.float64)))
    whole = graph.op("Floor", place)
    most = graph.op("Sub", graph.op("Shape", e, start=0, end=1), graph.integers(1))
    below = graph.op("Min", graph.op("Cast", whole, to=graph.kind(np.int64)), most)
    above = graph.op("Min", graph.op("Add", below, graph.integers(1)), most)
    share = graph.op("Cast", graph.op("Sub", place, whole), to=graph.kind(number.dtype))
    width = graph.op("Shape", e, start=2, end=3)
    shape = graph.op("Concat", graph.op("Shape", place), width, axis=0)

    def at(places: str) -> str:
        index = graph.op("Expand", graph.op("Unsqueeze", places, graph.integers(2)), shape)
        return graph.op("GatherElements", e, index, axis=0)

    low, high = at(below), at(above)
    share = graph.op("Unsqueeze", share, graph.integers(2))
    between = graph.op("Add", low, graph.op("Mul", share, graph.op("Sub", high, low)))
    some = graph.op("Greater", lengths, zero)
    return between, graph.op("Where", some, graph.integers(points), zero)


class _Numbers:
    """Constants of a module's own precision."""

    def __init__(self, graph: Graph, module: Pooling | Convolutions):
        first = next(module.parameters(), None)
        self.graph = graph
        self.dtype = np.dtype(np.float32) if first is None else first.detach().cpu().numpy().dtype

    def __call__(self, value: float) -> str:
        return self.graph.constant(np.array([value], self.dtype), "number")

    def array(self, values: np.ndarray) -> str:
        return self.graph.constant(np.ascontiguousarray(values), "weights")
