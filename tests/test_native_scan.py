"""The native engine against the reference engine in float64: every cell, odd sizes, ragged rows, all gradients.

Its memory is filled with NaN before every call, so that whatever it reads without having written shows.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod

import pytest
import torch
from matrix import FIRST, MEMORY_CELLS, TRACED, assert_close, possible
from torch import Tensor

import carousel
from carousel.cells import Cell
from carousel.engines import native, operator, reference
from carousel.engines.native import binding as native_binding
from carousel.engines.native import call as native_call
from carousel.engines.native import prepared
from carousel.engines.parameters import parameters_of
from carousel.program import Program, rewrite, trace
from carousel.program.verify import finished

if isinstance(missing := native_binding.find(), str):
    assert "CAROUSEL_REQUIRE_NATIVE" not in os.environ, missing
    pytest.skip(missing, allow_module_level=True)

ISAS = prepared.library().isas_here
DTYPES = {"float32": torch.float32, "float64": torch.float64}
CELLS = FIRST | TRACED | MEMORY_CELLS


@pytest.fixture(autouse=True)
def _poisoned_and_two_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared.settings, "poison", True)
    torch.set_num_threads(2)  # conftest sets it back


@pytest.fixture
def split(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Sets how threads divide the work: 0 by the shape, 1 by rows, 2 by units."""
    return lambda how: monkeypatch.setattr(prepared.settings, "split", how)


@dataclass(frozen=True)
class Shape:
    batch_sizes: tuple[int, ...]
    input: int
    hidden: int
    projection: int
    reverse: bool = False
    split: int = 0

    def size(self, name: str) -> int:
        return prod(self.sizes[each] for each in name.split("*"))

    @property
    def sizes(self) -> dict[str, int]:
        slots = min(self.projection, SLOTS)
        sizes = {"hidden": self.hidden, "projection": self.projection, "input": self.input, "one": 1}
        return sizes | {"slots": slots, "width": self.projection}

    @property
    def rows(self) -> int:
        return sum(self.batch_sizes)


# Of slots that are used nearly equally, a DNC may write another one after a rounding: so few are not.
SLOTS = 5

# Blocks of units are 8 to 64 wide: sizes just beside them, 1, and several blocks.
SHAPES = [
    Shape((1,), 1, 1, 1),
    Shape((2,) * 5, 3, 7, 65, split=1),
    Shape((9,) * 4, 5, 63, 2, reverse=True, split=2),
    Shape((5, 4, 4, 2, 1), 2, 65, 7, split=1),
    Shape((8, 8, 3, 3, 1, 1), 17, 100, 5, reverse=True, split=1),
    Shape((6, 6, 2), 65, 130, 70, split=2),
    Shape((7, 5, 5, 1), 7, 64, 64, reverse=True, split=2),
    Shape((1,) * 30, 4, 32, 3),
]
FEW = SHAPES[3:6]


class Scan:
    """A scan's arguments in float64, the same for the same program and shape."""

    def __init__(self, program: Program, shape: Shape):
        random = torch.Generator().manual_seed(shape.rows * 1000 + shape.hidden)

        def draw(*size: int) -> Tensor:
            return torch.randn(*size, generator=random, dtype=torch.float64)

        counts = {size: shape.size(size) for size in program.counts}
        program = finished(replace(program, counts=counts)) if counts else program
        self.program, self.shape = program, shape
        batch = shape.batch_sizes[0] if shape.batch_sizes else 3
        shapes = program.parameter_shapes(shape.sizes)
        weights = {name: draw(*size) for name, size in shapes.items()}
        # Gentle weights: a chaotic network would make any rounding as large as one likes.
        self.weights = {name: w * (0.5 / w.shape[-1] ** 0.5 if w.dim() == 2 else 0.3) for name, w in weights.items()}
        self.x = draw(shape.rows, shape.input)
        self.states = {
            name: possible(program.cell, name, size, draw(batch, shape.size(size)))
            for name, size in program.states.items()
        }
        self.streams = {name: draw(shape.rows, shape.size(size)) for name, size in program.streams.items()}
        self.gradients = [draw(shape.rows, shape.size(program.nodes[i].row)) for i in program.emitted]
        self.gradients += [draw(*s.shape) for s in self.states.values()]

    def run(self, scan, dtype: torch.dtype, wanted=lambda name: True) -> dict[str, Tensor | None]:
        """Everything that a scan gives, by name: emitted rows, last states, gradients."""
        inputs = {"x": self.x, **{f"state {n}": s for n, s in self.states.items()}, **self.weights}
        inputs |= {f"stream {n}": s for n, s in self.streams.items()}
        given = {name: t.to(dtype).requires_grad_(wanted(name)) for name, t in inputs.items()}
        states = tuple(given[f"state {name}"] for name in self.states)
        weights = {name: given[name] for name in self.weights}
        streams = {name: given[f"stream {name}"] for name in self.streams}
        sizes = list(self.shape.batch_sizes)
        emitted, last = scan(self.program, given["x"], sizes, states, weights, self.shape.reverse, streams)
        asked = {name: t for name, t in given.items() if t.requires_grad and self.shape.rows}
        results = {f"emitted {i}": t for i, t in enumerate(emitted)}
        results |= {f"last {name}": t for name, t in zip(self.states, last, strict=True)}
        if asked:
            gradients = [g.to(dtype) for g in self.gradients]
            found = torch.autograd.grad((*emitted, *last), list(asked.values()), gradients, allow_unused=True)
            results |= {f"gradient of {name}": g for name, g in zip(asked, found, strict=True)}
        return results

    def compare(self, dtype: torch.dtype, wanted=lambda name: True) -> None:
        expected = self.run(reference.scan, torch.float64, wanted)
        actual = self.run(native.scan, dtype, wanted)
        steps, widest = len(self.shape.batch_sizes), max(self.shape.hidden, self.shape.projection, self.shape.input)
        for name, value in expected.items():
            rows = self.shape.rows if name.startswith("gradient") else 0  # a weight's gradient is a sum over all rows
            terms = 2 * steps * (widest + 32) + rows
            if value is None:
                assert actual[name] is None or not actual[name].any(), name
                continue
            assert actual[name].dtype == dtype
            assert_close(actual[name], value, terms=terms, dtype=dtype, what=f"{name}, {self.shape}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("cell", CELLS)
def test_values_and_gradients_are_the_references(cell, dtype, split):
    for i, shape in enumerate(SHAPES):
        split(shape.split)
        Scan(trace(CELLS[cell], bias=i % 3 != 1), shape).compare(DTYPES[dtype])


@pytest.mark.parametrize("isa", ISAS[1:])
@pytest.mark.parametrize("cell", CELLS)
def test_every_instruction_set_means_the_same(cell, isa, split):
    torch.set_num_threads(1)
    with native.use_isa(isa):
        for shape in FEW:
            split(shape.split)
            for dtype in DTYPES.values():
                Scan(trace(CELLS[cell]), shape).compare(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_options_are_rewritings_and_run_too(dtype):
    lstm, gru = trace(CELLS["lstm"]), trace(CELLS["gru"])
    programs = [
        rewrite.record(lstm, ("i", "c", "f")),
        rewrite.modify(lstm, ("h", "c")),
        rewrite.zoneout(lstm, ("h", "c")),
        rewrite.recurrent_dropout(gru),
        rewrite.record(rewrite.zoneout(rewrite.modify(gru, ("h",)), ("h",)), ("h", "n")),
        rewrite.modify(trace(CELLS["projected-lstm"]), ("h", "c")),
        rewrite.recurrent_dropout(trace(CELLS["gru-reset-before"])),
    ]
    for program in programs:
        for shape in (SHAPES[1], SHAPES[4], SHAPES[6]):
            Scan(program, shape).compare(DTYPES[dtype])


@pytest.mark.parametrize(("cell", "apart"), [("layer-norm-lstm", True), ("layer-norm-gru", True), ("lstm", False)])
def test_sums_that_need_no_state_are_made_once_a_chunk(cell, apart):
    program = trace(CELLS[cell])
    forward = prepared.forward_plan(program, True, frozenset(), False).c
    backward = prepared.backward_plan(program, frozenset(), False, False).c
    assert (forward.before > 0, forward.after, backward.before, backward.after > 0) == (apart, 0, 0, apart)


class Ahead(Cell):
    """A product and a number per row that need no state, and, in backward, are read by none."""

    states = "h"
    gates = "z", "n"
    matrices = {"W_hh2": ("hidden", "hidden")}

    def step(self, h, x, U, z, W_hh2):
        share = torch.sigmoid(x.n).mean(-1, keepdim=True)
        fed = W_hh2(torch.tanh(x.n)) + U.n(h)
        return torch.sigmoid(z) * h + (1 - torch.sigmoid(z)) * torch.tanh(fed * share)


@pytest.mark.parametrize("dtype", DTYPES)
def test_parts_of_a_step_done_ahead_and_later(dtype, split):
    program = trace(Ahead())
    assert prepared.forward_plan(program, True, frozenset(), False).c.before > 0
    assert prepared.backward_plan(program, frozenset(), True, False).c.after > 0
    for shape in (SHAPES[0], *SHAPES[3:7], Shape((40,) * 20, 3, 70, 1, split=1)):
        split(shape.split)
        Scan(program, shape).compare(DTYPES[dtype])


@pytest.mark.parametrize("cell", ["lstm", "gru", "layer-norm-lstm"])
def test_long_sequences(cell):
    torch.set_num_threads(1)
    for steps in (100, 1000):
        Scan(trace(CELLS[cell]), Shape((2,) * steps, 3, 10, 1)).compare(torch.float32)


@pytest.mark.parametrize("batch", range(1, 10))
def test_every_small_batch(batch, split):
    for how in (1, 2):
        split(how)
        Scan(trace(CELLS["gru"]), Shape((batch,) * 3, 5, 70, 1)).compare(torch.float32)


def test_more_threads_than_rows_or_units():
    before = torch.get_num_threads()
    try:
        for threads in (1, 3, 5):
            torch.set_num_threads(threads)
            for how in (0, 1, 2):
                prepared.settings.split = how
                Scan(trace(CELLS["peephole-lstm"]), Shape((4, 2, 2), 3, 130, 1)).compare(torch.float32)
                Scan(trace(CELLS["layer-norm-gru"]), Shape((4, 2, 2), 3, 70, 1)).compare(torch.float32)
    finally:
        torch.set_num_threads(before)
        prepared.settings.split = 0


def test_no_steps_and_no_rows():
    for sizes in ((), (0, 0)):
        scan = Scan(trace(CELLS["lstm"]), Shape(sizes, 3, 4, 1))
        expected, actual = scan.run(reference.scan, torch.float32), scan.run(native.scan, torch.float32)
        for name, value in expected.items():
            assert actual[name].shape == value.shape, name


@pytest.mark.parametrize("wanted", ["x", "state h", "weight_hh", "bias_ih", "p_f", "nothing"])
def test_any_one_gradient_alone(wanted):
    Scan(trace(CELLS["peephole-lstm"]), SHAPES[3]).compare(torch.float32, lambda name: name == wanted)


def test_rows_that_are_not_contiguous():
    scan = Scan(trace(CELLS["lstm"]), SHAPES[4])
    expected = scan.run(native.scan, torch.float32)
    scan.x = scan.x.t().contiguous().t()
    scan.weights = {name: torch.stack([w, w], -1)[..., 0] for name, w in scan.weights.items()}
    scan.states = {name: torch.cat([s, s], -1)[:, : s.shape[1]] for name, s in scan.states.items()}
    scan.gradients = [g.t().contiguous().t() for g in scan.gradients]
    actual = scan.run(native.scan, torch.float32)
    for name, value in expected.items():
        assert torch.equal(actual[name], value), name  # type: ignore[arg-type]


def test_a_gradient_of_the_last_states_only():
    scan = Scan(trace(CELLS["lstm"]), SHAPES[3])

    def gradient(engine, dtype):
        states = tuple(s.to(dtype) for s in scan.states.values())
        weights = {name: w.to(dtype).requires_grad_() for name, w in scan.weights.items()}
        _, last = engine.scan(scan.program, scan.x.to(dtype), list(scan.shape.batch_sizes), states, weights)
        return torch.autograd.grad(last[1].sum(), weights["weight_hh"])[0]

    assert_close(gradient(native, torch.float32), gradient(reference, torch.float64), terms=300, dtype=torch.float32)


def test_nothing_is_kept_without_a_gradient_to_come():
    scan = Scan(trace(CELLS["lstm"]), SHAPES[1])
    native.scan(scan.program, scan.x, list(scan.shape.batch_sizes), tuple(scan.states.values()), scan.weights)
    key = operator.key_of(scan.program)
    parameters = [scan.weights[name] for name in parameters_of(scan.program)]
    sizes = torch.tensor(scan.shape.batch_sizes)
    arguments: tuple = (scan.x, list(scan.states.values()), parameters, [], sizes, key, False, False)
    assert torch.ops.carousel.scan(*arguments, False)[2].numel() == 0
    # Four gates, tanh(c) and c itself, in whole blocks; h is the result.
    block = prepared.library().c.carousel_block(prepared.isa(), 1)
    padded = -(-scan.shape.hidden // block) * block
    assert torch.ops.carousel.scan(*arguments, True)[2].numel() == scan.shape.rows * 6 * padded


def test_what_a_call_in_inference_mode_leaves_behind_serves_others(monkeypatch):
    """Memory is kept from call to call, and an inference tensor may neither be written to nor saved for backward."""
    monkeypatch.setattr(native_call, "_local", type(native_call._local)())
    layer = carousel.LSTM(5, 33, num_layers=2, bidirectional=True, zoneout=0.1, engine="native")
    x, lengths = torch.randn(9, 4, 5), torch.tensor([9, 0, 3, 7])
    with torch.inference_mode():
        layer(x, lengths=lengths)
    assert not native_call._local.workspace.is_inference()
    layer(x, lengths=lengths)[0].sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())


@pytest.mark.parametrize("what", ["x", "states", "weights", "rows"])
def test_what_would_be_read_past_its_end_is_refused(what):
    scan = Scan(trace(CELLS["lstm"]), SHAPES[1])
    x, states, weights = scan.x, list(scan.states.values()), dict(scan.weights)
    sizes = list(scan.shape.batch_sizes)
    match what:
        case "x":
            x = x[:-1]
        case "states":
            states[1] = states[1][:, :-1]
        case "weights":
            weights["weight_hh"] = weights["weight_hh"][:-4]
        case "rows":
            sizes = [1, 2, 2, 2, 3]
    with pytest.raises(ValueError, match="must"):
        native.scan(scan.program, x, sizes, tuple(states), weights)
