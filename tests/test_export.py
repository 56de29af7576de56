"""torch.export: the graph means the layer, for any number of steps, rows and lengths, in any process."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings

import pytest
import torch
from matrix import KINDS, engine_dtypes
from torch import nn
from torch.export import Dim, export

import carousel
from carousel.engines import operator
from carousel.errors import ProgramError
from carousel.program import notation, rewrite, trace

T, B, I, H = 4, 3, 2, 5
NATIVE = pytest.mark.skipif(("native", torch.float32) not in engine_dtypes(), reason="the native engine is not built")


class Ragged(nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x, lengths, reset):
        return self.layer(x, lengths=lengths, reset=reset)


@NATIVE
@pytest.mark.parametrize("strict", [False, True])
def test_any_number_of_steps_and_rows(strict):
    layer = carousel.LSTM(I, H, 2, bidirectional=True)
    graph = export(layer, (torch.randn(T, B, I),), dynamic_shapes=({0: Dim("T"), 1: Dim("B")},), strict=strict)
    for steps, batch in ((4, 3), (9, 7), (2, 2)):
        x = torch.randn(steps, batch, I)
        torch.testing.assert_close(graph.module()(x), layer(x))


@NATIVE
def test_any_lengths_and_resets():
    layer = carousel.GRU(I, H, bidirectional=True, initial_state="learned")
    model = Ragged(layer)
    some = torch.randn(T, B, I), torch.tensor([4, 1, 2]), torch.zeros(T, B, dtype=torch.bool)
    steps, batch = Dim("T"), Dim("B")
    shapes = ({0: steps, 1: batch}, {0: batch}, {0: steps, 1: batch})
    graph = export(model, some, dynamic_shapes=shapes).module()
    for lengths in ([4, 0, 2], [7, 7, 7, 7], [0, 0]):
        x = torch.randn(7 if len(lengths) == 4 else 4, len(lengths), I)
        reset = torch.rand(x.shape[:2]) < 0.4
        torch.testing.assert_close(graph(x, torch.tensor(lengths), reset), model(x, torch.tensor(lengths), reset))


@pytest.mark.parametrize("engine", ["auto", "reference"])
def test_a_saved_graph_runs_in_another_process(engine, tmp_path):
    class Light(carousel.Cell):
        gates = "z", "n"

        def step(self, h, z, n):
            z = torch.sigmoid(z)
            return z * h + (1 - z) * torch.relu(n)

    layer, x = carousel.Recurrent(Light, I, H, engine=engine), torch.randn(T, B, I)
    torch.export.save(export(layer, (x,)), tmp_path / "layer.pt2")
    torch.save((x, layer(x)[0].detach()), tmp_path / "result.pt")
    code = """
import sys, torch
import carousel.layers
graph = torch.export.load(sys.argv[1] + "/layer.pt2").module()
x, expected = torch.load(sys.argv[1] + "/result.pt")
torch.testing.assert_close(graph(x)[0], expected)
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(tmp_path)], check=True)


@pytest.mark.parametrize("row", [row for row in KINDS if row.traced], ids=repr)
def test_a_program_is_what_it_says(row):
    for program in (trace(row.cell), rewrite.record(trace(row.cell, False), ("h",))):
        text = notation.write(program)
        again = notation.read(text)
        assert notation.write(again) == text
        assert str(again).splitlines()[0] == str(program).splitlines()[0]
        for fact in ("gates", "states", "vectors", "weights", "gate_bias", "nodes", "outputs", "emitted", "streams"):
            assert getattr(again, fact) == getattr(program, fact), fact


@pytest.mark.parametrize("text", ["", "LSTM-0123", "{}", '{"cell": 3}', "[1, 2]"])
def test_what_is_no_program(text):
    with pytest.raises(ProgramError, match="this is no program as carousel.program.notation writes it"):
        notation.read(text)


def test_a_program_read_is_verified():
    text = notation.write(trace(carousel.cells.find("gru"))).replace('"sigmoid"', '"eval"')
    with pytest.raises(ProgramError, match="there is no such op"):
        notation.read(text)


@NATIVE
def test_shapes_in_a_graph_are_checked():
    program = trace(carousel.cells.find("rnn"))
    weights = [torch.zeros(H, I), torch.zeros(H), torch.zeros(H, H + 1), torch.zeros(H)]
    with pytest.raises(ValueError, match="must be"):
        torch.ops.carousel.scan(
            torch.zeros(2, I), [torch.zeros(1, H)], weights, [], torch.tensor([1, 1]),
            operator.key_of(program), reverse=False, bfloat16=False, keep=False,
        )  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="AOTInductor needs a C++ compiler")
def test_compiled_ahead_of_time(tmp_path):
    """AOTInductor: a file with the compiled model, loaded and run on another number of steps."""
    layer = carousel.GRU(3, 4, engine="native").eval()
    x = torch.randn(5, 2, 3)
    # What is compiled once and runs for a moment needs neither prepared headers nor a fast wrapper: 16 seconds, not 28.
    cheaply = {"aot_inductor.precompile_headers": False, "aot_inductor.compile_wrapper_opt_level": "O0"}
    with torch.no_grad(), warnings.catch_warnings(), torch._inductor.config.patch(cheaply):
        warnings.simplefilter("ignore")
        exported = torch.export.export(layer, (x,), dynamic_shapes=({0: torch.export.Dim("T", min=2)},))
        path = torch._inductor.aoti_compile_and_package(exported, package_path=str(tmp_path / "gru.pt2"))
        run = torch._inductor.aoti_load_package(path)
        for steps in (5, 9):
            x = torch.randn(steps, 2, 3)
            for ours, theirs in zip(run(x), layer(x), strict=True):
                torch.testing.assert_close(ours, theirs)
