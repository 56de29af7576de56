"""torch.onnx.export of models that hold our layers: any steps and rows, lengths and resets."""

from __future__ import annotations

import warnings

import pytest
import torch
from matrix import TRACED, assert_close, engine_dtypes, moved
from torch import nn

import carousel
from carousel.engines import onnx_table, operator
from carousel.engines.parameters import parameters_of
from carousel.errors import CarouselError
from carousel.export import onnx_translations
from carousel.export.onnx import segments, translations
from carousel.export.onnx.graph import Graph
from carousel.layers import segments as meaning
from carousel.program import rewrite, trace

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
NATIVE = pytest.mark.skipif(("native", torch.float32) not in engine_dtypes(), reason="the native engine is not built")


def run(function, tensors, kinds):
    """The results of one function of a model, of types `kinds`."""
    helper = onnx.helper

    def info(name, kind):
        return helper.make_tensor_value_info(name, kind, None)

    def kind_of(tensor):
        return helper.np_dtype_to_tensor_dtype(tensor.numpy().dtype)

    node = helper.make_node(function.name, list(function.input), list(function.output), domain=function.domain)
    inputs = [info(name, kind_of(tensor)) for name, tensor in zip(function.input, tensors, strict=True)]
    outputs = [info(name, kind) for name, kind in zip(function.output, kinds, strict=True)]
    graph = helper.make_graph([node], "one function", inputs, outputs)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(function.domain, 1)]
    model = helper.make_model(graph, functions=[function], opset_imports=opsets, ir_version=8)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    given = {name: tensor.numpy() for name, tensor in zip(function.input, tensors, strict=True)}
    return [torch.from_numpy(value) for value in session.run(None, given)]


@pytest.mark.parametrize("most", ["row", "step"])
def test_sequences_are_cut_as_the_layers_cut_them(most):
    graph = Graph()
    given = [graph.name("mask"), graph.name("reset")]
    outputs = [graph.name(field) for field in segments.FIELDS]
    for value, output in zip(segments.cut(graph, *given, most), outputs, strict=True):  # type: ignore[call-arg]
        graph.give(value, output)
    function = translations._function_of("cut", graph, given, outputs)
    kinds = [onnx.TensorProto.BOOL if f in ("fresh", "ends_fresh") else onnx.TensorProto.INT64 for f in segments.FIELDS]
    for lengths in ([4, 0, 2, 4], [0, 0], [1], [3, 7, 7, 5, 0, 7]):
        mask = torch.arange(7)[:, None] < torch.tensor(lengths)
        reset = (torch.rand(mask.shape) < 0.3) & (most == "step")
        wanted = meaning._cut_padded(mask, reset, most)
        for field, there, here in zip(segments.FIELDS, run(function, [mask, reset], kinds), wanted, strict=True):
            assert there.tolist() == here.tolist(), field


@NATIVE
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("cell", ["low-rank-memory", "antisymmetric", "slstm", "recorded"])
def test_a_scan_is_what_the_operator_computes(cell, reverse):
    """Packed rows with room to spare behind the rows, the steps and the sequences."""
    program = trace(TRACED["slstm" if cell == "recorded" else cell])
    if cell == "recorded":
        program = rewrite.record(program, ("c", "h"))
    sizes = {"hidden": 5, "projection": 2, "input": 3}
    given = program.parameter_shapes(sizes)
    parameters = [torch.randn(given[name]) for name in parameters_of(program)]
    states = [0.5 + torch.rand(4, sizes[size]) for size in program.states.values()]
    batch_sizes, rows = torch.tensor([3, 3, 1, 0]), torch.randn(9, 3)
    emitted, last, _ = torch.ops.carousel.scan.default(
        rows, states, parameters, [], batch_sizes, operator.key_of(program), reverse, False, False
    )
    named = dict(zip(parameters_of(program), parameters, strict=True))
    function = translations._function(
        "scan",
        program,
        list(named),
        {name: state.shape[1] for name, state in zip(program.states, states, strict=True)},
        {name: tuple(values.shape) for name, values in named.items()},
        rows.numpy().dtype,
        reverse,
    )
    wanted = [*emitted, *last]
    found = run(function, [rows, *states, *parameters, batch_sizes], [onnx.TensorProto.FLOAT] * (len(wanted) + 1))
    # Of the sequence that there is room for, a scan says nothing.
    kept = len(emitted)
    for k, (there, here) in enumerate(zip(found, wanted, strict=False)):
        assert_close(there[:3] if k >= kept else there, here[:3] if k >= kept else here, terms=500)


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = carousel.GRU(4, 6, bidirectional=True)
        self.own = carousel.Recurrent(TRACED["light-gru"], 12, 5)
        self.first, self.head = nn.Linear(3, 4), nn.Linear(5, 2)

    def forward(self, x, lengths, reset):
        y, _ = self.inner(self.first(x), lengths=lengths, reset=reset)
        y, h = self.own(y, lengths=lengths)
        return self.head(y), h


@NATIVE
@pytest.mark.full  # torch's exporter alone takes ten seconds
def test_a_users_model_exports_with_the_table():
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    model = moved(Reader()).eval()
    some = torch.randn(5, 2, 3), torch.tensor([5, 3]), torch.zeros(5, 2, dtype=torch.bool)
    axes = {0: "steps", 1: "batch"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = torch.onnx.export(
            model,
            some,
            dynamo=True,
            dynamic_shapes=(axes, {0: "batch"}, axes),
            custom_translation_table=onnx_translations(),
            verbose=False,
        )
    session = onnxruntime.InferenceSession(made.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    assert [value.name for value in session.get_inputs()] == ["x", "lengths", "reset"]
    for steps, lengths in ((5, [5, 3]), (9, [9, 0, 4]), (3, [0, 0]), (1, [1])):
        given = torch.randn(steps, len(lengths), 3), torch.tensor(lengths), torch.rand(steps, len(lengths)) < 0.4
        found = session.run(None, dict(zip(("x", "lengths", "reset"), (v.numpy() for v in given), strict=True)))
        with torch.no_grad():
            for there, here in zip(found, model(*given), strict=True):
                assert_close(torch.from_numpy(there), here, terms=2000)


def test_bfloat16_is_refused():
    with pytest.raises(CarouselError, match="there is no ONNX form of a scan in bfloat16"):
        translations._scan(None, [], [], [], None, "", False, True, False)


@NATIVE
def test_an_export_without_the_table_says_what_it_needs(monkeypatch):
    """As torch.onnx.export traces a model, without the seconds that the rest of it takes."""
    layer, x = carousel.GRU(2, 3).eval(), torch.randn(4, 2, 2)
    monkeypatch.setattr(torch.onnx, "is_in_onnx_export", lambda: True)
    monkeypatch.setattr(onnx_table, "_was_made", False)
    with pytest.raises(CarouselError, match=r"custom_translation_table=carousel\.export\.onnx_translations"):
        torch.export.export(layer, (x,))
    pytest.importorskip("onnxscript", reason="onnxscript is not installed")
    onnx_translations()
    torch.export.export(layer, (x,))
