"""The networks of `carousel.models` as ONNX models, each with an example that the check runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import nn

from carousel.export.answering import Given
from carousel.export.ensembles import members_of
from carousel.export.onnx.graph import Graph, exact
from carousel.export.onnx.interface import OnnxModel, gives_states, numpy_dtype, reads_states, scanned
from carousel.export.onnx.pools import convolved, pooled, present_steps
from carousel.layers import Recurrent
from carousel.models.label_model import Ensemble, LabelModel
from carousel.models.quantile_forecaster import QuantileForecaster
from carousel.models.token_model import TokenModel

STEPS, ROWS = 7, 3  # of the example


@dataclass(frozen=True)
class Exported:
    """A model, not yet checked, and what the check gives it."""

    model: Any
    given: Given


def of_layer(interface: OnnxModel, layer: Recurrent, lengths: bool, states: bool) -> Exported:
    graph, dtype = interface.graph, numpy_dtype(layer)
    axes = ["batch", "steps"] if layer.batch_first else ["steps", "batch"]
    graph.reserve("output", *(f"{state}_n" for state in layer.program.states))
    interface.reads("input", dtype, [*axes, layer.input_size])
    counts = interface.reads("lengths", np.int64, ["batch"]) if lengths else None
    x = graph.op("Transpose", "input", perm=[1, 0, 2]) if layer.batch_first else "input"
    output, last = scanned(graph, layer, x, counts, reads_states(interface, layer) if states else None)
    if layer.batch_first:
        output = graph.op("Transpose", output, perm=[1, 0, 2])
    interface.gives(output, "output", dtype, [*axes, _width(layer)])
    gives_states(interface, layer, last)

    shape = (ROWS, STEPS) if layer.batch_first else (STEPS, ROWS)
    x_drawn, hx = _drawn(layer, *shape, layer.input_size), _drawn_states(layer)
    given = {"input": x_drawn} | ({"lengths": _LENGTHS} if lengths else {}) | (hx if states else {})

    return Exported(interface.model(type(layer).__name__, str(layer.program)), given)


def of_token_model(interface: OnnxModel, model: TokenModel, states: bool) -> Exported:
    graph, layer = interface.graph, model.recurrent
    graph.reserve("probabilities", *(f"{state}_n" for state in layer.program.states))
    symbols = interface.reads("symbols", np.int64, ["steps", "batch"])
    given_states = reads_states(interface, layer) if states else None
    output, last = scanned(graph, layer, _embedded(graph, model.embedding, symbols), None, given_states)
    probabilities = graph.op("Softmax", _affine(graph, model.head, output), axis=-1)
    interface.gives(probabilities, "probabilities", numpy_dtype(layer), ["steps", "batch", model.head.out_features])
    gives_states(interface, layer, last)

    drawn, hx = _drawn_symbols(model.embedding), _drawn_states(layer)

    given = {"symbols": drawn} | (hx if states else {})
    return Exported(interface.model("TokenModel", str(layer.program)), given)


def of_label_model(interface: OnnxModel, module: LabelModel | Ensemble) -> Exported:
    members = members_of(module, to="ONNX")
    graph, first = interface.graph, members[0]
    graph.reserve("probabilities")
    if first.embedding is not None:
        x, drawn = interface.reads("symbols", np.int64, ["steps", "batch"]), _drawn_symbols(first.embedding)
    else:
        dtype = _read_as(members)
        x = interface.reads("input", dtype, ["steps", "batch", len(first.mean)])
        mean, scale = (values.detach().cpu().double().numpy() for values in (first.mean, first.scale))
        # Around the numbers that it was trained on.
        drawn = (mean + scale * _drawn(first.recurrent, STEPS, ROWS, len(mean))).astype(dtype)
    lengths = interface.reads("lengths", np.int64, ["batch"])
    votes = [graph.op("Softmax", _label_scores(graph, member, x, lengths), axis=-1) for member in members]
    total = votes[0] if len(votes) == 1 else graph.op("Mean", *votes)
    interface.gives(total, "probabilities", numpy_dtype(first.recurrent), ["batch", first.head.out_features])

    model = interface.model(type(module).__name__, str(first.recurrent.program))
    return Exported(model, {x: drawn, "lengths": _LENGTHS})


def _read_as(members: Sequence[LabelModel]) -> np.dtype:
    """The type of the numbers that are read: double where single precision would lose what is learnt from, as of
    numbers that stand around 10⁹ and move by 1."""
    for member in members:
        if bool((member.mean.abs() > 1e3 * member.scale).any()):
            return np.dtype(np.float64)
    return numpy_dtype(members[0].recurrent)


def _label_scores(graph: Graph, model: LabelModel, x: str, lengths: str) -> str:
    dtype = numpy_dtype(model.recurrent)
    if model.embedding is not None:
        e = _embedded(graph, model.embedding, x)
    else:
        mean, scale = (
            graph.constant(values.detach().cpu().double().numpy(), name)
            for name, values in (("mean", model.mean), ("scale", model.scale))
        )
        wide = graph.op("Cast", x, to=graph.kind(np.float64))
        e = graph.op("Cast", graph.op("Div", graph.op("Sub", wide, mean), scale), to=graph.kind(dtype))
    outputs, last = scanned(graph, model.recurrent, e, lengths)
    directions = 2 if model.recurrent.bidirectional else 1
    present = present_steps(graph, e, lengths)
    final = graph.op("Slice", last[0], graph.integers(-directions), graph.integers(2**31), graph.integers(0))
    final = graph.op(
        "Reshape", graph.op("Transpose", final, perm=[1, 0, 2]), graph.integers(0, _width(model.recurrent))
    )
    row = pooled(graph, model.pooling, outputs, final, present)
    if model.convolutions is not None:
        row = graph.op("Concat", row, convolved(graph, model.convolutions, e, lengths), axis=1)
    return _affine(graph, model.head, row)


def of_forecaster(interface: OnnxModel, model: QuantileForecaster) -> Exported:
    """Reads the history, features of the origin and of the steps ahead; gives quantiles and the last states."""
    encoder, graph, dtype = model.encoder, interface.graph, numpy_dtype(model.encoder)
    horizon, width = model.anchor.shape
    levels, ahead_width = model.head.out_features, model.ahead
    graph.reserve("quantiles", *(f"{state}_n" for state in encoder.program.states))
    history = interface.reads("history", dtype, ["steps", "batch", encoder.input_size])
    lengths = interface.reads("lengths", np.int64, ["batch"])
    origins = interface.reads("origin", dtype, ["batch", width - ahead_width - 1])
    ahead = interface.reads("ahead", dtype, [horizon, "batch", ahead_width])
    _, last = scanned(graph, encoder, history, lengths, reads_states(interface, encoder))
    anchor = _anchor(graph, model, origins, ahead)
    if model.decoder is None:
        outputs = graph.op("Slice", last[0], graph.integers(-1), graph.integers(2**31), graph.integers(0))
    else:
        outputs, _ = scanned(graph, model.decoder, graph.op("Concat", ahead, anchor, axis=2), None, last)
    spread = model.spread.detach().cpu().numpy()[:, None]
    v = _affine(graph, model.head, outputs)
    gaps = graph.op("Softplus", graph.op("Add", v, graph.constant(spread, "spread")))
    # q = m + v[median] ± the sums of the gaps between, as products with 0, 1 and -1.
    signs = np.zeros((levels, levels), dtype)
    for level in range(levels):
        signs[model.median + 1 : level + 1, level] = 1
        signs[level : model.median, level] = -1
    middle = np.zeros((levels, 1), dtype)
    middle[model.median] = 1
    centre = graph.op("Add", anchor, graph.op("MatMul", v, graph.constant(middle, "median"), name=exact("median")))
    quantiles = graph.op("Add", centre, graph.op("MatMul", gaps, graph.constant(signs, "signs"), name=exact("gaps")))
    interface.gives(quantiles, "quantiles", dtype, [horizon, "batch", levels])
    gives_states(interface, encoder, last)

    given = {
        "history": _drawn(encoder, STEPS, ROWS, encoder.input_size),
        "lengths": _LENGTHS,
        "origin": _drawn(encoder, ROWS, width - ahead_width - 1),
        "ahead": _drawn(encoder, horizon, ROWS, ahead_width),
        **_drawn_states(encoder),
    }

    return Exported(interface.model("QuantileForecaster", str(encoder.program)), given)


def _anchor(graph: Graph, model: QuantileForecaster, origins: str, ahead: str) -> str:
    """m_h = A_h o + B_h u_h + c_h, (H, B, 1). A regression may have large weights that nearly cancel."""
    weights, ahead_width = model.anchor.detach().cpu().numpy(), model.ahead
    of_origin, of_ahead, constant = np.split(weights, [weights.shape[1] - ahead_width - 1, weights.shape[1] - 1], 1)
    matrix = graph.constant(np.ascontiguousarray(of_origin.T), "A")
    from_origin = graph.op("MatMul", origins, matrix, name=exact("origin"))  # (B, H)
    first = graph.op("Unsqueeze", graph.op("Transpose", from_origin, perm=[1, 0]), graph.integers(2))
    matrix = graph.constant(np.ascontiguousarray(of_ahead[:, :, None]), "B")
    second = graph.op("MatMul", ahead, matrix, name=exact("ahead"))
    constants = graph.constant(np.ascontiguousarray(constant[:, :, None]), "c")
    return graph.op("Add", graph.op("Add", first, second), constants)


def exported(module: nn.Module, *, lengths: bool, states: bool, int8: bool) -> Exported | None:
    """The model of a layer or a network; None where there is no ONNX form of its class."""
    interface = OnnxModel(Graph(to_be_rounded=int8))
    if isinstance(module, Recurrent):
        return of_layer(interface, module, lengths, states)
    if isinstance(module, TokenModel):
        return of_token_model(interface, module, states)
    if isinstance(module, LabelModel | Ensemble):
        return of_label_model(interface, module)
    if isinstance(module, QuantileForecaster):
        return of_forecaster(interface, module)
    return None


_LENGTHS = np.array([STEPS, 0, STEPS // 2], np.int64)  # of the example's rows


def _embedded(graph: Graph, table: nn.Embedding, symbols: str) -> str:
    return graph.op("Gather", graph.constant(table.weight.detach().cpu().numpy(), "embedding"), symbols, axis=0)


def _affine(graph: Graph, linear: nn.Linear, x: str) -> str:
    product = graph.op("MatMul", x, graph.constant(np.ascontiguousarray(linear.weight.detach().cpu().numpy().T), "V"))
    if linear.bias is None:
        return product
    return graph.op("Add", product, graph.constant(linear.bias.detach().cpu().numpy(), "C"))


def _width(layer: Recurrent) -> int:
    return layer.sizes[layer.program.states[layer.program.output_state]] * (2 if layer.bidirectional else 1)


# The example.


def _drawn(layer: Recurrent, *shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(numpy_dtype(layer))


def _drawn_symbols(table: nn.Embedding) -> np.ndarray:
    return np.random.default_rng(0).integers(table.num_embeddings, size=(STEPS, ROWS))


def _drawn_states(layer: Recurrent) -> dict[str, np.ndarray]:
    """Positive: the states of some cells are counts or sums of exponentials, and divided by."""
    rng, dtype = np.random.default_rng(1), numpy_dtype(layer)
    shapes = layer.expected_states(ROWS)
    return {
        name: (0.1 + 0.1 * rng.random(shape)).astype(dtype)
        for name, shape in zip(layer.program.states, shapes, strict=True)
    }
