"""The faces against torch.nn: same construction, numbers, gradients, random draws, checkpoints and refusals.

To add a case, add a row to STRUCTURES, REFUSED_CONSTRUCTIONS or REFUSED_CALLS; every face runs all of them.
"""

from __future__ import annotations

import copy
import pickle
import warnings
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from matrix import engine_dtypes
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pack_sequence
from torch.utils._pytree import tree_leaves

import carousel

FACES = [(carousel.RNN, nn.RNN), (carousel.LSTM, nn.LSTM), (carousel.GRU, nn.GRU)]
CELLS = [(carousel.RNNCell, nn.RNNCell), (carousel.LSTMCell, nn.LSTMCell), (carousel.GRUCell, nn.GRUCell)]
NAMED: dict[str, Any] = {"ids": lambda pair: pair[1].__name__}

STRUCTURES = [
    {},
    {"bias": False},
    {"batch_first": True},
    {"bidirectional": True},
    {"num_layers": 3},
    {"num_layers": 2, "bidirectional": True, "batch_first": True, "bias": False},
    {"num_layers": 2, "dropout": 0.4},
    {"num_layers": 2, "dropout": 0.4, "bidirectional": True, "batch_first": True},
]
EXTRA = {
    nn.RNN: [{"nonlinearity": "relu"}, {"nonlinearity": "relu", "num_layers": 2}],
    nn.LSTM: [{"proj_size": 3}, {"proj_size": 3, "num_layers": 2, "bidirectional": True}],
    nn.GRU: [],
}
ALL = [(pair, options) for pair in FACES for options in STRUCTURES + EXTRA[pair[1]]]
ids = [f"{pair[1].__name__}-{'-'.join(f'{k}={v}' for k, v in options.items())}" for pair, options in ALL]

I, H, T, B = 5, 8, 7, 3
ENGINES = [engine for engine, dtype in engine_dtypes() if dtype is torch.float64]

# torch's own default implementation of projections warns that oneDNN has none.
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")


def both(pair, *args, seed=0, **options):
    """The same layer twice, built from one seed."""
    torch.manual_seed(seed)
    ours = pair[0](*args, **options)
    torch.manual_seed(seed)
    return ours, pair[1](*args, **options)


def bound(layer, steps=T):
    """How far two float32 evaluations may lie apart: rounding of every sum over units, grown over steps and layers."""
    width = max(p.shape[-1] for p in layer.parameters())
    return 4 * torch.finfo(torch.float32).eps * width**0.5 * steps**0.5 * layer.num_layers


def agree(ours, theirs, tolerance):
    ours, theirs = tree_leaves(ours), tree_leaves(theirs)
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        scale = b.detach().abs().max().clamp(min=1) if b.numel() else 1
        torch.testing.assert_close(a, b, rtol=0, atol=float(tolerance * scale))


def states_of(layer, options, batch=B, dtype=torch.float32):
    scans = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    h = torch.randn(scans, batch, options.get("proj_size") or H, dtype=dtype)
    return (h, torch.randn(scans, batch, H, dtype=dtype)) if isinstance(layer, nn.LSTM) else h


def run(layer, x, hx, seed=7):
    """Output, states and every gradient, with one random draw for dropout."""
    x = PackedSequence(x.data.clone().requires_grad_(), *x[1:]) if isinstance(x, PackedSequence) else x.clone()
    rows = x.data if isinstance(x, PackedSequence) else x.requires_grad_()
    starts = [s.clone().requires_grad_() for s in tree_leaves(hx)] if hx is not None else []
    given = None if hx is None else (tuple(starts) if isinstance(hx, tuple) else starts[0])
    torch.manual_seed(seed)
    output, last = layer(x, given)
    flat = output.data if isinstance(output, PackedSequence) else output
    torch.manual_seed(99)
    loss = sum((leaf * torch.randn_like(leaf)).sum() for leaf in (flat, *tree_leaves(last)))
    gradients = torch.autograd.grad(loss, [rows, *starts, *layer.parameters()])
    return flat, last, gradients


@pytest.mark.parametrize(("pair", "options"), ALL, ids=ids)
class TestSameAsTorch:
    def test_starts_the_same(self, pair, options):
        ours, theirs = both(pair, I, H, **options)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for name, parameter in theirs.named_parameters():
            assert torch.equal(ours.get_parameter(name), parameter), name
        assert repr(ours) == repr(theirs)
        assert [[p.shape for p in ps] for ps in ours.all_weights] == [
            [p.shape for p in ps] for ps in theirs.all_weights
        ]

    @pytest.mark.parametrize("given", [False, True], ids=["zero-states", "given-states"])
    def test_batched(self, pair, options, given):
        ours, theirs = both(pair, I, H, **options)
        x = torch.randn(B, T, I) if options.get("batch_first") else torch.randn(T, B, I)
        hx = states_of(theirs, options) if given else None
        agree(run(ours, x, hx), run(theirs, x, hx), bound(theirs))

    def test_unbatched(self, pair, options):
        if options.get("dropout"):
            options = options | {"dropout": 0.0}  # torch draws another mask for a single sequence
        ours, theirs = both(pair, I, H, **options)
        x = torch.randn(T, I)
        hx = states_of(theirs, options)
        hx = tuple(s[:, 0] for s in hx) if isinstance(hx, tuple) else hx[:, 0]
        agree(run(ours, x, hx), run(theirs, x, hx), bound(theirs))

    @pytest.mark.parametrize("in_order", [True, False], ids=["sorted", "unsorted"])
    def test_packed(self, pair, options, in_order):
        ours, theirs = both(pair, I, H, **options)
        lengths = [T, 4, 1] if in_order else [2, T, 4]
        x = pack_sequence([torch.randn(n, I) for n in lengths], enforce_sorted=in_order)
        hx = states_of(theirs, options)
        agree(run(ours, x, hx), run(theirs, x, hx), bound(theirs))
        packed, _ = ours(x)
        expected, _ = theirs(x)
        for a, b in zip(packed[1:], expected[1:], strict=True):
            assert (a is None and b is None) or torch.equal(a, b)

    def test_checkpoints_travel_both_ways(self, pair, options):
        ours, theirs = pair[0](I, H, **options).eval(), pair[1](I, H, **options).eval()
        x = torch.randn(B, T, I)
        ours.load_state_dict(theirs.state_dict())
        with torch.no_grad():
            torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=0, atol=1e-6)
        fresh = pair[1](I, H, **options).eval()
        fresh.load_state_dict(pair[0](I, H, **options).state_dict())

    def test_copies(self, pair, options):
        ours = pair[0](I, H, **options).eval()
        x = torch.randn(B, T, I)
        for twin in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
            assert torch.equal(twin(x)[0], ours(x)[0])
            assert repr(twin) == repr(ours)


@settings(max_examples=25, deadline=None)
@given(
    pair=st.sampled_from(FACES),
    sizes=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6), st.integers(0, 4)),
    layers=st.integers(1, 3),
    both_ways=st.booleans(),
    bias=st.booleans(),
)
def test_any_shape(pair, sizes, layers, both_ways, bias):
    width, hidden, steps, batch = sizes
    ours, theirs = both(pair, width, hidden, layers, bias=bias, bidirectional=both_ways)
    x = torch.randn(steps, batch, width)
    agree(ours(x), theirs(x), bound(theirs, steps))


def test_float64_agrees_to_its_own_precision():
    for pair in FACES:
        ours, theirs = both(pair, I, H, 2, dtype=torch.float64)
        x = torch.randn(T, B, I, dtype=torch.float64)
        agree(ours(x), theirs(x), bound(theirs) * torch.finfo(torch.float64).eps / torch.finfo(torch.float32).eps)


@pytest.mark.parametrize("pair", CELLS, **NAMED)
class TestCells:
    @pytest.mark.parametrize("bias", [True, False])
    @pytest.mark.parametrize("batched", [True, False])
    def test_same_numbers(self, pair, bias, batched):
        ours, theirs = both(pair, I, H, bias)
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        x = torch.randn(B, I) if batched else torch.randn(I)
        hx = torch.randn(B, H) if batched else torch.randn(H)
        hx = (hx, torch.randn_like(hx)) if isinstance(theirs, nn.LSTMCell) else hx
        tolerance = 4 * torch.finfo(torch.float32).eps * H**0.5
        agree(ours(x), theirs(x), tolerance)
        agree(ours(x, hx), theirs(x, hx), tolerance)

    @pytest.mark.parametrize(
        ("x", "hx"),
        [
            (torch.zeros(2, 2, I), None),
            (torch.zeros(B, I + 1), None),
            (torch.zeros(B, I), torch.zeros(B + 1, H)),
            (torch.zeros(B, I), torch.zeros(B, H + 1)),
            (torch.zeros(B, I), torch.zeros(1, B, H)),
            (torch.zeros(B, I).double(), None),
            (torch.zeros(B, I).long(), None),
            (torch.zeros(B, I + 1).double(), None),
            (torch.zeros(B, I), torch.zeros(B, H).double()),
            (torch.zeros(B, I), torch.zeros(B, H + 1).double()),
            (torch.zeros(B, I + 1), torch.zeros(B, H + 1)),
            (torch.zeros(B, I), torch.zeros(H)),
            (torch.zeros(I), torch.zeros(1, H)),
        ],
        ids=[
            "3-d",
            "input-size",
            "batch",
            "hidden-size",
            "3-d-state",
            "float64",
            "integers",
            "float64-of-another-size",
            "float64-state",
            "float64-state-of-another-size",
            "both-sizes",
            "one-state",
            "one-input",
        ],
    )
    def test_same_refusals(self, pair, x, hx):
        ours, theirs = both(pair, I, H)
        if hx is not None and isinstance(theirs, nn.LSTMCell):
            hx = (hx, hx)
        with pytest.raises((ValueError, RuntimeError)) as expected:
            theirs(x, hx)
        with pytest.raises(expected.type) as found:
            ours(x, hx)
        assert str(found.value) == str(expected.value)


REFUSED_CONSTRUCTIONS = [
    {"dropout": 2.0},
    {"dropout": True},
    {"bias": 1},
    {"batch_first": 1},
    {"num_layers": 0},
    {"input_size": 0},
    {"input_size": 3.5},
    {"hidden_size": 0},
    {"hidden_size": 2.0},
    {"proj_size": -1},
    {"proj_size": H},
    {"nonlinearity": "softsign"},
    {"unheard_of": 1},
]


@pytest.mark.parametrize("pair", FACES, **NAMED)
@pytest.mark.parametrize("options", REFUSED_CONSTRUCTIONS, ids=str)
def test_refuses_to_build_what_torch_refuses(pair, options):
    arguments = {"input_size": I, "hidden_size": H} | options
    with pytest.raises((TypeError, ValueError)) as expected:
        pair[1](**arguments)
    with pytest.raises((TypeError, ValueError)) as found:
        pair[0](**arguments)
    if not {"unheard_of", "nonlinearity"} & set(options):
        assert found.type is expected.type
        assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("pair", FACES + CELLS, **NAMED)
def test_a_weight_of_another_shape_is_named(pair, engine):
    suffix = "_l0" if pair in FACES else ""
    x = torch.zeros(T, B, I) if pair in FACES else torch.zeros(B, I)
    for name, message in {
        "weight_ih": r"weight_ih\w* first dim must be \d \* hidden_size = \d+, but got 7",
        "weight_hh": r"weight_hh\w* first dim must be \d \* hidden_size = \d+, but got 7",
        "bias_ih": r"bias_ih\w* must be of shape \(\d+,\), but is \(7, 7\)",
    }.items():
        layer = pair[0](I, H, engine=engine)
        setattr(layer, name + suffix, nn.Parameter(torch.zeros(7, 7)))
        with pytest.raises(RuntimeError, match=message):
            layer(x)
    layer = pair[0](I, H, engine=engine)
    setattr(
        layer, f"weight_hh{suffix}", nn.Parameter(torch.zeros(layer.get_parameter(f"weight_hh{suffix}").shape[0], 7))
    )
    with pytest.raises(RuntimeError, match=r"weight_hh\w* must be of shape \(\d+, 8\), but is \(\d+, 7\)"):
        layer(x)


def test_dropout_on_one_layer_warns_as_torch_does():
    messages = []
    for layer in (carousel.LSTM, nn.LSTM):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            layer(I, H, dropout=0.5)
        messages.append([(str(w.message), w.category) for w in caught])
    assert messages[0] == messages[1]


REFUSED_CALLS = {
    "no-steps": lambda m: (torch.zeros(0, B, I), None),
    "4-d": lambda m: (torch.zeros(1, 1, B, I), None),
    "input-size": lambda m: (torch.zeros(T, B, I + 1), None),
    "float64": lambda m: (torch.zeros(T, B, I, dtype=torch.float64), None),
    "integers": lambda m: (torch.zeros(T, B, I, dtype=torch.long), None),
    "batch-of-states": lambda m: (torch.zeros(T, B, I), states_of(m, {}, batch=B + 1)),
    "2-d-states": lambda m: (torch.zeros(T, B, I), _without_batch(states_of(m, {}))),
    "3-d-states": lambda m: (torch.zeros(T, I), states_of(m, {})),
}


def _without_batch(hx):
    return tuple(s[:, 0] for s in hx) if isinstance(hx, tuple) else hx[:, 0]


@pytest.mark.parametrize("pair", FACES, **NAMED)
@pytest.mark.parametrize("call", REFUSED_CALLS.values(), ids=REFUSED_CALLS.keys())
def test_refuses_to_run_what_torch_refuses(pair, call):
    ours, theirs = both(pair, I, H)
    x, hx = call(theirs)
    with pytest.raises((ValueError, RuntimeError)) as expected:
        theirs(x, hx)
    with pytest.raises(expected.type) as found:
        ours(x, hx)
    ours_says, torch_says = (str(e.value).replace("D tensor instead", "D instead") for e in (found, expected))
    # torch's RNN and GRU say "hidden" where LSTM numbers its two.
    assert ours_says == torch_says


@pytest.mark.parametrize("face", [carousel.LSTM, carousel.GRU])
def test_says_what_a_state_must_be(face):
    layer = face(I, H)
    wrong = torch.zeros(1, B, H) if face is carousel.LSTM else (torch.zeros(1, B, H),) * 2
    with pytest.raises(TypeError, match=f"{face.__name__}: hx must be a (tuple|Tensor)"):
        layer(torch.zeros(T, B, I), wrong)
    with pytest.raises(TypeError, match="input must be a Tensor or a PackedSequence, got list"):
        layer([1, 2])


def test_packing_pads_and_unpads_like_torch():
    """The whole way that users go: pad, pack, run, unpack."""
    ours, theirs = both(FACES[1], I, H, batch_first=True)
    lengths = torch.tensor([3, 7, 5])
    packed = pack_padded_sequence(torch.randn(3, 7, I), lengths, batch_first=True, enforce_sorted=False)
    results = []
    for layer in (ours, theirs):
        output, (h, _) = layer(packed)
        results.append([*torch.nn.utils.rnn.pad_packed_sequence(output, batch_first=True), h])
    agree(*results, bound(theirs))  # type: ignore[call-arg]


def test_training_scripts_may_call_flatten_parameters():
    carousel.GRU(I, H).flatten_parameters()


WRITES = {
    "whole": lambda output, hx: output.mul_(2),
    "a step": lambda output, hx: output[0].add_(1),
    "masked": lambda output, hx: output.masked_fill_(output > 0, 0.5),
    "relu": lambda output, hx: torch.relu_(output),
    "detached": lambda output, hx: output.detach().zero_(),
    "states": lambda output, hx: [state.mul_(3) for state in tree_leaves(hx)],
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
@pytest.mark.parametrize("pair", FACES, **NAMED)
def test_what_a_call_gave_may_be_written_into(pair, write, engine):
    """As into what torch.nn's GRU gives: the gradients are those of what the call gave, not of what was written."""
    layer = pair[0](I, H, 2, engine=engine, dtype=torch.float64)
    x = torch.randn(T, B, I, dtype=torch.float64, requires_grad=True)
    found = []
    for written in (True, False):
        output, hx = layer(x)
        # The other way is to write into copies. What is detached from the graph is not differentiated either way.
        given = (output, hx) if written else (output.clone(), [state.clone() for state in tree_leaves(hx)])
        write(*given)
        values = [value.square().sum() for value in tree_leaves(given)]
        found.append([*values, *torch.autograd.grad(sum(values), [x, *layer.parameters()])])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_graph_written_into_may_be_differentiated_twice(engine):
    layer = carousel.GRU(2, 3, engine=engine, dtype=torch.float64)

    def written(x):
        return layer(x)[0].mul_(2)

    x = torch.randn(3, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(written, x)
    assert torch.autograd.gradgradcheck(written, x)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("pair", CELLS, **NAMED)
def test_a_loop_over_a_cell_under_autocast_keeps_the_state_in_the_weights_dtype(pair, dtype):
    """As the layer does: a state rounded at every step loses what it sums, beyond 1.0 at increments below its eps."""
    torch.manual_seed(0)
    cell = pair[0](I, H, dtype=torch.float32)
    layer = getattr(carousel, pair[1].__name__.removesuffix("Cell"))(I, H)
    layer.load_state_dict({f"{name}_l0": p for name, p in cell.state_dict().items()})
    x = torch.randn(40, B, I)
    with torch.autocast("cpu", dtype=dtype):
        given = (x @ torch.eye(I)).to(dtype)  # what a layer before it gives
        hx = None
        for step in given:
            hx = cell(step, hx)
        _, wanted = layer(given)
    for ours, theirs in zip(tree_leaves(hx), tree_leaves(wanted), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs[0], rtol=0, atol=40 * torch.finfo(dtype).eps)


def test_a_sum_of_small_steps_does_not_stop_under_autocast():
    cell = carousel.LSTMCell(1, 1)
    with torch.no_grad():
        for p in cell.parameters():
            p.zero_()
        cell.bias_ih.copy_(torch.tensor([-6.0, 20.0, 20.0, 0.0]))  # c grows by sigmoid(-6), 0.0025, a step
    hx = None
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.no_grad():
        for _ in range(1000):
            hx = cell(torch.zeros(1, 1, dtype=torch.bfloat16), hx)
    torch.testing.assert_close(hx[1].item(), 1000 * torch.tensor(-6.0).sigmoid().item(), rtol=0.01, atol=0)


@pytest.mark.parametrize("name", ["keep", "add"])
@pytest.mark.parametrize("engine", ENGINES)
def test_keep_and_add_may_come_from_autocast(engine, name):
    layer = carousel.GRU(I, H, engine=engine)
    x, given = torch.randn(T, B, I), torch.rand(T, B).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(x, **{name: given})[0]
        wanted = layer(x, **{name: given.float()})[0]
    assert torch.equal(found, wanted)
    with pytest.raises(ValueError, match=f"{name}_h must be a Tensor of torch.float32, got torch.bfloat16"):
        layer(x, **{name: given})
