"""Compiled in one graph, a layer gives what it gives uncompiled, on its very first call and for any lengths.

`aot_eager` traces the backward pass too. Each case is a fresh layer: nothing was prepared by an earlier call.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from matrix import FULL, engine_dtypes
from torch._dynamo.testing import CompileCounter
from torch.nn.utils.rnn import pack_padded_sequence

import carousel

T, B, I, H = 2, 3, 2, 4  # two steps: the reference engine writes every one into the graph
ENGINES = [engine for engine in ("native", "reference") if (engine, torch.float64) in engine_dtypes()]


def by_turns(*cases) -> list:
    """(engine, *case) for every case on every engine. Compiling takes seconds: each runs on one of them by turns, and
    with `-m full` on the others too."""
    return [
        pytest.param(engine, *case, marks=() if (number + 1) % len(ENGINES) == place else FULL)
        for number, case in enumerate(cases)
        for place, engine in enumerate(ENGINES)
    ]


def recorded(layer, x):
    with layer.record("forget", "c") as values:
        layer(x)
    return values["forget"] * values["c"]


class Hooked(carousel.LSTM):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.hook(lambda t, states: {"c": t * states["c"] + 1})


KEEP = {"c": torch.tensor([[0.5, 0.0, 1.0]] * T, dtype=torch.float64)}
RESET = torch.tensor([[0, 0, 1], [1, 0, 0]], dtype=torch.bool)
HOLES = torch.tensor([[0, 1, 0], [1, 1, 0]], dtype=torch.bool)
BOTH_WAYS = {"num_layers": 2, "bidirectional": True}

# name -> the layer's options, and what is called
CASES = {
    "keep": ({}, lambda layer, x: layer(x, keep=KEEP)[0]),
    "return_states": ({}, lambda layer, x: layer(x, return_states=True)[2]["c"]),
    "record": ({}, recorded),
    "zoneout": ({"zoneout": 0.3, "recurrent_dropout": 0.3, "input_dropout": 0.2}, lambda layer, x: layer(x)[0]),
    "checkpoint": ({"checkpoint": 1}, lambda layer, x: layer(x)[0]),
    "checkpoint auto": ({"checkpoint": "auto"}, lambda layer, x: layer(x)[0]),
    "lengths": (BOTH_WAYS, lambda layer, x: torch.cat([*layer(x, lengths=[2, 0, 1])[1]])),
    "mask and reset": (
        {"bidirectional": True, "initial_state": "learned"},
        lambda layer, x: torch.cat(
            [layer(x, mask=HOLES, reset=RESET)[0].flatten(), layer(x, reset=RESET)[1][1].flatten()]
        ),
    ),
    "hook": ({"engine": "auto"}, lambda layer, x: layer(x)[0]),
}


@pytest.mark.parametrize(("engine", "case"), by_turns(*((case,) for case in CASES)))
def test_compiled_is_eager(engine, case):
    options, call = CASES[case]
    torch._dynamo.reset()
    found = []
    for compiled in (True, False):
        torch.manual_seed(0)
        make = Hooked if case == "hook" else carousel.LSTM
        layer = make(I, H, dtype=torch.float64, **{"engine": engine} | options)
        x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)

        def run(x, layer=layer):
            return call(layer, x)

        torch.manual_seed(1)
        value = torch.compile(run, fullgraph=True, backend="aot_eager")(x) if compiled else run(x)
        gradients = torch.autograd.grad(value.square().sum(), [x, *layer.parameters()], allow_unused=True)
        found.append([value, *(torch.zeros(()) if g is None or not g.any() else g for g in gradients)])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("engine", ENGINES)
def test_one_graph_for_all_lengths(engine):
    torch._dynamo.reset()
    layer = carousel.GRU(I, H, engine=engine)
    graphs = []

    def count(graph, _):
        graphs.append(graph)
        return graph

    run = torch.compile(lambda x, lengths: layer(x, lengths=lengths), fullgraph=True, backend=count)
    x = torch.randn(T, B, I)
    for lengths in ([2, 2, 1], [0, 2, 1], [0, 0, 0], [1, 1, 1]):
        for ours, theirs in zip(run(x, torch.tensor(lengths)), layer(x, lengths=lengths), strict=True):
            torch.testing.assert_close(ours, theirs)
    assert len(graphs) == 1
    with pytest.raises(
        ValueError, match="GRU: lengths must lie between 0 and the 2 steps of the input, but row 1 has 4"
    ):
        run(x, torch.tensor([1, 4, 1]))


def test_the_operators_for_lengths_are_as_torch_wants_them():
    torch.library.opcheck(torch.ops.carousel.within.default, (torch.tensor([1, 2]), torch.ones(3, 2), "GRU"))
    torch.library.opcheck(torch.ops.carousel.cut.default, (HOLES, RESET, "step"))


def test_says_what_does_not_go_together():
    layer = carousel.GRU(I, H, checkpoint=2)
    run = torch.compile(lambda x: layer(x, lengths=[1, 2, 0])[0], fullgraph=True, backend="eager")
    with pytest.raises(torch._dynamo.exc.Unsupported, match="checkpoint=2 does not go together with lengths, mask"):
        run(torch.randn(T, B, I))


EMPTY = {
    "plain": ({}, lambda layer, x: layer(x)),
    "keep": ({"zoneout": 0.1}, lambda layer, x: layer(x, keep=torch.ones(x.shape[:2]))),
    "lengths": (BOTH_WAYS, lambda layer, x: layer(x, lengths=[0] * x.shape[1])),
    "reset": ({}, lambda layer, x: layer(x, reset=torch.zeros(x.shape[:2], dtype=torch.bool))),
}


# Each case on either engine: without rows on one, and on the other without steps.
NOTHING = [(case, steps) for n, case in enumerate(EMPTY) for steps in ((T, 0) if n % 2 else (0, T))]


@pytest.mark.parametrize(("engine", "case", "steps"), by_turns(*NOTHING))
def test_compiled_without_a_row(engine, case, steps):
    """An empty batch, or no steps: as eager, with gradients of zero."""
    options, call = EMPTY[case]
    torch._dynamo.reset()
    layer = carousel.Recurrent("lstm", I, H, engine=engine, **options)  # type: ignore[arg-type]
    x = torch.randn(steps, B if steps == 0 else 0, I, requires_grad=True)
    hx = tuple(torch.randn(layer.fresh_states(x.shape[1])[0].shape) for _ in range(2))
    compiled = torch.compile(lambda x: call(layer, x), fullgraph=True, backend="aot_eager")
    for run in (compiled, lambda x: call(layer, x)):
        output, last = run(x)
        assert output.shape == (steps, x.shape[1], H * (1 + layer.bidirectional))
        assert [state.shape for state in last] == [state.shape for state in hx]
        assert not any(state.any() for state in last)
        gradients = torch.autograd.grad(output.sum() + last[0].sum(), [x, *layer.parameters()])
        assert not any(g.any() for g in gradients)


# The compiler looks at `grad` of what one block gives the next.
OF_NON_LEAVES = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


@OF_NON_LEAVES
@pytest.mark.parametrize("options", [{}, {"zoneout": 0.1}, {"recurrent_dropout": 0.2}], ids=repr)
def test_fresh_layers_of_one_kind_share_one_graph(options):
    """Regional compilation: one graph for the first block, whose input has no gradient, and one for all the others."""
    torch._dynamo.reset()
    count = CompileCounter()
    blocks = [Block(carousel.GRU(H, H, **options)) for _ in range(12)]
    for block in blocks:
        block.compile(backend=count, fullgraph=True)
    torch.nn.Sequential(*blocks)(torch.randn(T, B, H))
    assert count.frame_count <= 2
    torch.nn.Sequential(*blocks)(torch.randn(T, B, H))
    assert count.frame_count <= 2


@OF_NON_LEAVES
def test_a_layer_of_another_kind_gets_a_graph_of_its_own():
    """What compiled layers share is what is equal: the cell, and which options change its program."""
    torch._dynamo.reset()
    count = CompileCounter()
    options: list[dict[str, Any]] = [{}, {"reset": "before"}, {"layer_norm": True}, {"zoneout": 0.5}]
    blocks = [Block(carousel.GRU(H, H, **options)).eval() for options in options]
    for block in blocks:
        block.compile(backend=count, fullgraph=True)
    x = torch.randn(T, B, H)
    for block in blocks:
        torch.testing.assert_close(block(x), block.forward(x))
    assert count.frame_count == len(blocks)
    blocks[0].rnn.zoneout = 0.5  # and a change of options is noticed
    torch.testing.assert_close(blocks[0](x), blocks[0].forward(x))
    torch.testing.assert_close(blocks[0].rnn(x)[0], blocks[0].forward(x) - x)


class Block(torch.nn.Module):
    def __init__(self, rnn):
        super().__init__()
        self.rnn = rnn

    def forward(self, x):
        return x + self.rnn(x)[0]


@pytest.mark.skipif("native" not in ENGINES, reason="the native engine is not there")
@pytest.mark.parametrize("in_order", [True, False])
def test_one_graph_for_a_packed_sequence_of_any_lengths(in_order):
    torch._dynamo.reset()
    layer = carousel.GRU(I, H, 2, bidirectional=True, engine="native")
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for lengths in ([3, 2, 1], [2, 2, 1], [3, 3, 3, 1]):
        x = torch.randn(3, len(lengths), I)
        packed = pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=in_order)
        (found, found_hx), (wanted, wanted_hx) = compiled(packed), layer(packed)
        torch.testing.assert_close(found.data, wanted.data)
        torch.testing.assert_close(found_hx, wanted_hx)
        by = [torch.autograd.grad(out.data.square().sum(), list(layer.parameters())) for out in (found, wanted)]
        for ours, theirs in zip(*by, strict=True):
            torch.testing.assert_close(ours, theirs)
