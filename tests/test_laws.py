"""Laws 3, 5 and 6: what holds for any cell, on any engine, whatever the layer around it.

Splitting a sequence, truncating, other rows, ragged batches, nothing at all, the same again, the other direction.
Each law is one test over every cell of `matrix.KINDS`, on one engine by turns and with `-m full` on the others too;
Hypothesis draws the layer, the shapes, and the instruction set of the native engine among those of the machine.
To add a law, write it for a `Setup` and mark it @law.
"""

from __future__ import annotations

import functools
import inspect
from contextlib import nullcontext
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matrix import DTYPES, FULL, KINDS, Row, assert_close, moved, once, roundings, why_not
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import carousel
from carousel.engines import ENGINES, native
from carousel.engines.native import binding
from carousel.training.carry import detach

States = tuple[Tensor, ...]
ISAS = [] if isinstance(library := binding.find(), str) else library.isas_here


@dataclass(frozen=True)
class Setup:
    """A layer and the shape of its input; `Setup.make` gives both, and initial states."""

    row: Row
    engine: str
    dtype: torch.dtype
    layers: int
    bidirectional: bool
    batch_first: bool
    bias: bool
    steps: int
    batch: int
    seed: int
    input_size: int
    hidden_size: int
    isa: str | None

    @property
    def terms(self) -> int:
        return roundings(self.steps, self.input_size, self.hidden_size, self.layers)

    def layer(self, **changes) -> carousel.Recurrent:
        options = {
            "num_layers": self.layers, "bidirectional": self.bidirectional, "batch_first": self.batch_first,
            "bias": self.bias, "dtype": self.dtype,
        }  # fmt: skip
        return self.row.layer(self.input_size, self.hidden_size, self.engine, self.seed, **options | changes)

    def make(self) -> tuple[carousel.Recurrent, Tensor, States]:
        """A layer, an input (T, B, I) and initial states, all that is drawn to be differentiated."""
        random = torch.Generator().manual_seed(self.seed)
        x = torch.randn(self.steps, self.batch, self.input_size, generator=random, dtype=torch.float64).to(self.dtype)
        scans = self.layers * (1 + self.bidirectional)
        hx = self.row.initial(scans, self.batch, self.hidden_size, self.dtype, self.seed)
        return self.layer(), x.requires_grad_(), tuple(state.requires_grad_() for state in hx)


@st.composite
def setups(draw, row: Row, engine: str, **fixed) -> Setup:
    bias = draw(st.booleans())
    dtypes = [dtype for dtype in DTYPES if why_not(row, engine, dtype, bias) is None]
    drawn = {
        "dtype": draw(st.sampled_from(dtypes)),
        "layers": draw(st.integers(1, 3)),
        "bidirectional": draw(st.booleans()),
        "batch_first": draw(st.booleans()),
        "bias": bias,
        "steps": draw(st.integers(1, 7)),
        "batch": draw(st.integers(1, 4)),
        "seed": draw(st.integers(0, 1000)),
        "input_size": draw(st.integers(1, 4)),
        "hidden_size": draw(st.integers(3, 6)),
        "isa": draw(st.sampled_from(ISAS)) if engine == "native" else None,
    }
    return Setup(row=row, engine=engine, **drawn | fixed)


def law(test=None, **fixed):
    """A test of (setup), or of (setup, data) to draw more, for every cell and engine.

    fixed: what is not drawn, as in bidirectional=False.
    """
    if test is None:
        return functools.partial(law, **fixed)
    draws_more = "data" in inspect.signature(test).parameters

    def each(row, engine, data):
        setup = data.draw(setups(row, engine, **fixed), label="setup")
        with native.use_isa(setup.isa) if setup.isa else nullcontext():
            test(setup, data) if draws_more else test(setup)

    each.__name__ = each.__qualname__ = test.__name__
    each.__doc__, each.__module__ = test.__doc__, test.__module__
    cases = []
    for number, row in enumerate(KINDS):
        engines = [engine for engine in ENGINES if _runs(row, engine)]
        # Each cell meets each law on one engine, each law half of the cells on either; all on all where asked for.
        always = once(len(engines), number + len(test.__name__), len(engines))
        for engine, is_always in zip(engines, always, strict=True):
            cases.append(pytest.param(row, engine, id=f"{row}-{engine}", marks=() if is_always else FULL))
    return pytest.mark.parametrize(("row", "engine"), cases)(given(data=st.data())(each))


def _runs(row: Row, engine: str) -> bool:
    return any(why_not(row, engine, dtype, bias) is None for dtype in DTYPES for bias in (True, False))


def run(layer, x: Tensor, hx: States, lengths=None, enforce_sorted=False) -> tuple[Tensor, States]:
    """The layer's output, steps first, and its last states. With lengths, packed; what is past them reads as 0."""
    given = x.transpose(0, 1) if layer.batch_first else x
    hx = hx if len(hx) > 1 else hx[0]
    if lengths is None:
        output, last = layer(given, hx)
        output = output.transpose(0, 1) if layer.batch_first else output
    else:
        packed = pack_padded_sequence(given, torch.tensor(lengths), layer.batch_first, enforce_sorted)
        output, last = layer(packed, hx)
        output, _ = pad_packed_sequence(output, total_length=x.shape[0])
    return output, last if isinstance(last, tuple) else (last,)


def weights_for(results) -> list[Tensor]:
    """Numbers to weigh results with, at random, the same for results of the same shapes."""
    random = torch.Generator().manual_seed(7)
    return [torch.randn(r.shape, generator=random, dtype=torch.float64).to(r.dtype) for r in results]


def gradients(results, at) -> list[Tensor]:
    """Gradients of the weighted sum of results with respect to `at`; zeros for what they do not depend on."""
    found = torch.autograd.grad(results, at, weights_for(results), allow_unused=True)
    return [torch.zeros_like(a) if g is None else g for a, g in zip(at, found, strict=True)]


def assert_all_close(found, wanted, terms: int, what: str) -> None:
    for index, pair in enumerate(zip(found, wanted, strict=True)):
        assert_close(*pair, terms=terms, what=f"{what} {index}")


def assert_same_bits(found, wanted, what: str) -> None:
    for index, (a, b) in enumerate(zip(found, wanted, strict=True)):
        assert torch.equal(a, b), f"{what} {index} differs by {(a - b).abs().max().item():.3g}"


def lengths_of(setup: Setup, data) -> list[int]:
    """A length for every row, in any order; the longest is all steps, so that shapes stay."""
    rest = st.lists(st.integers(1, setup.steps), min_size=setup.batch - 1, max_size=setup.batch - 1)
    drawn = [*data.draw(rest, label="lengths"), setup.steps]
    where = data.draw(st.integers(0, setup.batch - 1), label="where the longest is")
    return drawn[-1:] + drawn[:-1] if where == 0 else [*drawn[:where], drawn[-1], *drawn[where:-1]]


# --- law 3: time


@law(bidirectional=False)
def test_split_anywhere_and_carried_a_sequence_is_the_whole(setup, data):
    layer, x, hx = setup.make()
    k = data.draw(st.integers(0, setup.steps), label="k")
    at = [x, *hx, *layer.parameters()]
    whole, last = run(layer, x, hx)
    first, carried = run(layer, x[:k], hx)
    second, last_of_split = run(layer, x[k:], carried)
    split = torch.cat([first, second])
    assert_all_close([split, *last_of_split], [whole, *last], setup.terms, "result")
    wanted = gradients([whole, *last], at)
    assert_all_close(gradients([split, *last_of_split], at), wanted, 3 * setup.terms, "gradient")


def truncated(layer, x: Tensor, hx: States, k: int) -> Tensor:
    """Truncated backpropagation: windows of k steps, the carry detached, one backward pass each; the outputs."""
    outputs = []
    for start in range(0, len(x), k):
        output, hx = run(layer, x[start : start + k], hx)
        (output * output).sum().backward()
        outputs.append(output)
        hx = detach(hx)
    return torch.cat(outputs)


@law(bidirectional=False)
def test_truncated_backpropagation_is_the_whole_in_values_and_its_windows_in_gradients(setup, data):
    layer, x, hx = setup.make()
    at = [x, *hx, *layer.parameters()]
    k = data.draw(st.integers(1, setup.steps + 2), label="k")
    whole, _ = run(layer, x, hx)
    outputs = truncated(layer, x, hx, k)
    assert_close(outputs, whole, terms=setup.terms, what="output")
    found = [a.grad for a in at]

    if k >= setup.steps:  # one window: backpropagation through all of time
        wanted = torch.autograd.grad((whole * whole).sum(), at, allow_unused=True)
        wanted = [torch.zeros_like(a) if g is None else g for a, g in zip(at, wanted, strict=True)]
    else:  # every window by itself, from where the run without truncation was
        wanted = [torch.zeros_like(a) for a in at]
        for start in range(0, setup.steps, k):
            begin = hx
            if start:
                begin = tuple(s.detach().requires_grad_() for s in run(layer, x[:start], hx)[1])
            window, _ = run(layer, x[start : start + k], begin)
            leaves = [x, *begin, *layer.parameters()]
            of_window = torch.autograd.grad((window * window).sum(), leaves, allow_unused=True)
            for index, g in enumerate(of_window):
                of_the_start = 1 <= index <= len(hx)
                if g is not None and not (start and of_the_start):
                    wanted[index] = wanted[index] + g
    found = [torch.zeros_like(a) if g is None else g for a, g in zip(at, found, strict=True)]
    assert_all_close(found, wanted, 4 * setup.terms * setup.batch, "gradient")


@law(layers=1, bidirectional=False)
def test_a_cell_stepped_by_hand_is_its_layer(setup):
    layer, x, hx = setup.make()
    cell = carousel.RecurrentCell(
        setup.row.cell, setup.input_size, setup.hidden_size, setup.bias, dtype=setup.dtype,
        proj_size=setup.row.proj_size, engine=setup.engine,
    )  # fmt: skip
    cell.load_state_dict({name.removesuffix("_l0"): p for name, p in layer.state_dict().items()})
    states, outputs = tuple(s[0] for s in hx), []
    for step in x:
        states = cell(step, states if len(states) > 1 else states[0])
        states = states if isinstance(states, tuple) else (states,)
        outputs.append(states[0])
    output, last = run(layer, x, hx)
    found = [torch.stack(outputs), *(s.unsqueeze(0) for s in states)]
    assert_all_close(found, [output, *last], setup.terms, "result")
    wanted = gradients([output, *last], [x, *hx])
    assert_all_close(gradients(found, [x, *hx]), wanted, 3 * setup.terms, "gradient")


@law(layers=1, bidirectional=True)
def test_the_reverse_direction_is_the_forward_one_with_time_reversed(setup, data):
    """Ragged: a row's reverse begins at its own last step."""
    layer, x, hx = setup.make()
    lengths = lengths_of(setup, data)
    forward = setup.layer(bidirectional=False)
    mine = {name.removesuffix("_reverse"): p for name, p in layer.state_dict().items() if name.endswith("_reverse")}
    forward.load_state_dict(mine)

    def flipped(a: Tensor) -> Tensor:
        rows = [torch.cat([a[:n, b].flip(0), a[n:, b]]) for b, n in enumerate(lengths)]
        return torch.stack(rows, 1)

    output, last = run(layer, x, hx, lengths)
    wanted, wanted_last = run(forward, flipped(x), tuple(s[1:] for s in hx), lengths)
    found = [output[..., wanted.shape[-1] :], *(s[1:] for s in last)]
    wanted = [flipped(wanted), *wanted_last]
    assert_all_close(found, wanted, setup.terms, "result")
    of = [x, *hx]
    assert_all_close(gradients(found, of), gradients(wanted, of), 3 * setup.terms, "gradient")


# --- law 5: rows


@law
def test_a_row_never_sees_another(setup, data):
    """One row of the input and states replaced, by other numbers or by NaN: the others keep every bit."""
    layer, x, hx = setup.make()
    lengths = lengths_of(setup, data) if data.draw(st.booleans(), label="ragged") else None
    row = data.draw(st.integers(0, setup.batch - 1), label="row")
    other = data.draw(st.sampled_from([float("nan"), float("inf"), -3.0]), label="instead")
    others = [b for b in range(setup.batch) if b != row]

    def replaced(a: Tensor) -> Tensor:
        a = a.detach().clone()
        a[:, row] = other
        return a.requires_grad_()

    def seen(x: Tensor, hx: States) -> list[Tensor]:
        output, last = run(layer, x, hx, lengths)
        results = [output, *last]
        return [a[:, others] for a in (*results, *gradients(results, [x, *hx]))]

    wanted = seen(x, hx)
    assert_same_bits(seen(replaced(x), tuple(map(replaced, hx))), wanted, "result")
    assert all(torch.isfinite(a).all() for a in wanted)


@law
def test_a_ragged_batch_is_each_sequence_alone(setup, data):
    layer, x, hx = setup.make()
    lengths = lengths_of(setup, data)
    in_order = data.draw(st.booleans(), label="sorted")
    if in_order:
        lengths.sort(reverse=True)
    poisoned = x.detach().clone()
    for b, n in enumerate(lengths):
        poisoned[n:, b] = float("nan")  # padding
    poisoned.requires_grad_()
    output, last = run(layer, poisoned, hx, lengths, enforce_sorted=in_order)
    weights = weights_for([output, *last])
    at = [poisoned, *hx]
    found = torch.autograd.grad([output, *last], at, weights)
    for b, n in enumerate(lengths):
        alone_x = x[:n, b].detach().requires_grad_()
        alone_hx = tuple(s[:, b].detach().requires_grad_() for s in hx)
        alone, alone_last = layer(alone_x, alone_hx if len(hx) > 1 else alone_hx[0])
        alone_last = alone_last if isinstance(alone_last, tuple) else (alone_last,)
        assert_close(output[:n, b], alone, terms=setup.terms, what=f"output of row {b}")
        assert not output[n:, b].any()
        assert_all_close([s[:, b] for s in last], alone_last, setup.terms, f"row {b}, state")
        its = [weights[0][:n, b], *(w[:, b] for w in weights[1:])]
        wanted = torch.autograd.grad([alone, *alone_last], [alone_x, *alone_hx], its)
        mine = [found[0][:n, b], *(g[:, b] for g in found[1:])]
        assert_all_close(mine, wanted, 3 * setup.terms, f"row {b}, gradient")
        assert not found[0][n:, b].any()


@law
def test_the_order_of_rows_does_not_matter(setup, data):
    layer, x, hx = setup.make()
    lengths = lengths_of(setup, data)
    order = data.draw(st.permutations(range(setup.batch)), label="order")
    output, last = run(layer, x, hx, lengths)
    found, found_last = run(layer, x[:, order], tuple(s[:, order] for s in hx), [lengths[b] for b in order])
    wanted = [a[:, order] for a in (output, *last)]
    found = [found, *found_last]
    assert_all_close(found, wanted, setup.terms, "result")
    at = [x, *hx, *layer.parameters()]
    assert_all_close(gradients(found, at), gradients(wanted, at), 3 * setup.terms * setup.batch, "gradient")


@law
def test_layouts_of_the_same_numbers_agree(setup):
    """batch_first is a transposition; a single sequence is a batch of one; no hx is hx of zeros; packed is padded."""
    layer, x, _ = setup.make()
    zeros = tuple(torch.zeros_like(s) for s in setup.make()[2])
    output, last = run(layer, x, zeros)
    other = setup.layer(batch_first=not setup.batch_first)
    assert_same_bits(run(other, x, zeros)[0], output, "output with the other layout, step")
    packed = run(layer, x, zeros, [setup.steps] * setup.batch)
    assert_all_close([packed[0], *packed[1]], [output, *last], setup.terms, "packed result")
    alone, alone_last = layer(x[:, 0])
    alone_last = alone_last if isinstance(alone_last, tuple) else (alone_last,)
    found, wanted = [alone, *alone_last], [output[:, 0], *(s[:, 0] for s in last)]
    assert_all_close(found, wanted, setup.terms, "single-sequence result")


@law(steps=0)
def test_no_steps_is_legal_and_leaves_the_states_alone(setup):
    layer, x, hx = setup.make()
    output, last = run(layer, x, hx)
    width = layer.program.states[layer.program.output_state]
    assert output.shape == (0, setup.batch, layer.sizes[width] * (1 + setup.bidirectional))
    assert_same_bits(last, hx, "state")
    assert_same_bits(gradients(last, hx), weights_for(last), "gradient")


@law(batch=0)
def test_no_rows_is_legal_and_teaches_nothing(setup):
    layer, x, hx = setup.make()
    output, last = run(layer, x, hx)
    assert output.shape[:2] == (setup.steps, 0)
    assert [s.shape for s in last] == [s.shape for s in hx]
    (output.sum() + sum(s.sum() for s in last)).backward()
    assert all(p.grad is None or not p.grad.any() for p in layer.parameters())
    assert x.grad.shape == x.shape


@pytest.mark.parametrize("face", [carousel.RNN, carousel.LSTM, carousel.GRU, torch.nn.RNN, torch.nn.LSTM, torch.nn.GRU])
def test_where_torch_refuses_a_sequence_without_steps_so_do_its_faces(face):
    with pytest.raises(RuntimeError, match="Expected sequence length to be larger than 0 in RNN"):
        face(2, 3)(torch.zeros(0, 1, 2))


# --- law 6: bits


@law
def test_the_same_again_is_the_same_bits(setup):
    """Same seed, same input, same number of threads; dropout between layers draws the same, too."""

    def once():
        torch.manual_seed(setup.seed)
        _, x, hx = setup.make()
        with_dropout = setup.layer(dropout=0.4 if setup.layers > 1 else 0.0).train()
        output, last = run(with_dropout, x, hx)
        return [output, *last, *gradients([output, *last], [x, *hx, *with_dropout.parameters()])]

    assert_same_bits(once(), once(), "result")


@pytest.mark.parametrize("row", KINDS, ids=repr)
def test_the_same_seed_draws_the_same_parameters(row):
    def drawn(seed):
        torch.manual_seed(seed)
        options = {"proj_size": row.proj_size, "engine": "reference", "num_layers": 2}
        return list(carousel.Recurrent(row.cell, 3, 4, **options).parameters())

    assert_same_bits(drawn(3), drawn(3), "parameter")
    assert not all(torch.equal(a, b) for a, b in zip(drawn(3), drawn(4), strict=True))


def test_dropout_is_between_layers_in_training_only():
    x = torch.ones(3, 200, 2)
    layer = moved(carousel.LSTM(2, 4, num_layers=2, dropout=0.5))
    same = layer.eval()(x)[0]
    assert torch.equal(layer.eval()(x)[0], same)
    noisy = layer.train()(x)[0]
    assert not torch.equal(noisy, same)
    assert noisy.ne(0).all(), "dropout after the last layer"
