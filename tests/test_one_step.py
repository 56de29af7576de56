"""A cell or layer called again goes a direct way: the same bits, the same refusals, after any change."""

from __future__ import annotations

import copy
import pickle
import threading

import pytest
import torch
from torch import nn

import carousel
from carousel.engines.native import binding
from carousel.engines.native.ready import ReadyNativeScan

pytestmark = pytest.mark.skipif(isinstance(binding.find(), str), reason="the native engine is not here")
I, H, B = 3, 5, 2
KINDS = ["lstm", "gru", "gru-reset-before", "rnn", "peephole-lstm", "layer-norm-lstm"]


def ready(kind, dtype=torch.float32, **options):
    """A cell that has been called twice, with an input and states of those calls."""
    torch.manual_seed(0)
    cell = carousel.RecurrentCell(kind, I, H, dtype=dtype, **options)
    x = torch.randn(B, I, dtype=dtype)
    states = tuple(torch.randn(B, H, dtype=dtype) for _ in cell.program.states)
    hx = states if len(states) > 1 else states[0]
    with torch.no_grad():
        for _ in range(2):
            cell(x, hx)
    return cell, x, hx


@pytest.fixture
def steps(monkeypatch):
    """How often the direct way was gone to its end."""
    calls, own = [], ReadyNativeScan.__call__

    def counted(self, *given):
        found = own(self, *given)
        calls.append(found is not None)
        return found

    monkeypatch.setattr(ReadyNativeScan, "__call__", counted)
    return calls


def by_the_general_way(cell, x, hx):
    fresh = copy.deepcopy(cell)  # of which nothing is ready
    with torch.no_grad():
        return fresh(x, hx)


def check(cell, x, hx):
    with torch.no_grad():
        found = cell(x, hx)
    torch.testing.assert_close(found, by_the_general_way(cell, x, hx), rtol=0, atol=0)
    return found


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_bits(kind, dtype, steps):
    cell, x, hx = ready(kind, dtype)
    check(cell, x, hx)
    check(cell, x * 2, hx)
    assert steps == [True, True]


@pytest.mark.parametrize("kind", ["lstm", "gru", "rnn"])
def test_weights_may_change_in_every_manner(kind, steps):
    cell, x, hx = ready(kind)
    with torch.no_grad():
        cell.weight_hh.mul_(2)
    check(cell, x, hx)
    cell.weight_ih.data = torch.randn(cell.weight_ih.shape)
    check(cell, x, hx)
    cell.bias_ih = nn.Parameter(torch.randn(cell.bias_ih.shape))
    check(cell, x, hx)
    cell.load_state_dict({name: 3 * p for name, p in cell.state_dict().items()})
    check(cell, x, hx)
    assert steps == [True] * 4
    cell.weight_ih.data = torch.randn(I, len(cell.weight_ih)).t()  # not contiguous
    check(cell, x, hx)
    assert steps[-1] is False


def test_other_inputs_go_the_general_way_and_are_refused_there(steps):
    cell, x, hx = ready("gru")
    check(cell, x.t().contiguous().t(), hx)
    check(cell, x, hx.repeat(1, 2)[:, ::2])
    assert steps == [False, False]
    del steps[:]
    check(cell, x.expand(3, B, I)[0, :1], hx[:1])
    check(cell, x[0], hx[0])
    assert not steps
    check(cell, x, None)
    assert steps == [True]
    with torch.no_grad():
        for given, message in (
            ((x[:, :2], hx), "input has inconsistent input_size: got 2 expected 3"),
            ((x, hx[:, :2]), "hidden0 has inconsistent hidden_size: got 2, expected 5"),
            ((x, hx[:1]), "Input batch size 2 doesn't match hidden0 batch size 1"),
            ((x, hx.double()), "must have the same dtype"),
            ((x.to("meta"), hx), "not at the same device"),
        ):
            with pytest.raises((RuntimeError, ValueError), match=message):
                cell(*given)
        with pytest.raises(TypeError, match="hx must be a Tensor"):
            cell(x, (hx, hx))
        with pytest.raises(TypeError, match="input must be a Tensor"):
            cell([1.0], hx)
        cell.weight_hh.data = torch.randn(2, H)
        with pytest.raises(RuntimeError, match="weight_hh first dim must be 3"):
            cell(x, hx)


def test_transforms_and_compilers_take_the_general_way(steps):
    cell, x, hx = ready("gru")
    with torch.no_grad():
        each = torch.func.vmap(lambda x: cell(x[None], hx[:1])[0])(x)
        torch.testing.assert_close(each, torch.stack([cell(row[None], hx[:1])[0] for row in x]))
        weights = {name: 2 * p.detach() for name, p in cell.named_parameters()}
        del steps[:]
        changed = torch.func.functional_call(cell, weights, (x, hx))
        doubled = copy.deepcopy(cell)
        doubled.load_state_dict(weights)
        torch.testing.assert_close(changed, doubled(x, hx))
        compiled = torch.compile(cell, backend="eager", fullgraph=True)
        torch.testing.assert_close(compiled(x, hx), cell(x, hx))
        with torch.autocast("cpu", torch.bfloat16):
            del steps[:]
            cell(x, hx)
        assert not steps
    nn.utils.parametrizations.weight_norm(cell, "weight_hh")
    check(cell, x, hx)
    assert True not in steps


def test_another_engine_another_dtype_another_cell(steps):
    cell, x, hx = ready("rnn")
    cell.engine = "reference"
    with torch.no_grad():
        cell(x, hx)
    assert not steps
    cell.engine = "auto"
    cell.double()
    with torch.no_grad():
        assert cell(x.double(), hx.double()).dtype == torch.float64
    with torch.no_grad(), pytest.raises(RuntimeError, match="must have the same dtype"):
        cell(x, hx)


def test_results_are_the_callers_and_a_cell_with_a_call_ready_is_saved(steps):
    cell, x, hx = ready("gru")
    first = check(cell, x, hx)
    kept = first.clone()
    second = check(cell, -x, hx)
    assert torch.equal(first, kept)
    assert second.data_ptr() != first.data_ptr()
    assert steps == [True, True]
    assert torch.equal(pickle.loads(pickle.dumps(cell))(x, hx), first)


def gradients(module, tensors, *call, **options):
    found = module(*call, **options)
    results = (
        [t for part in found for t in (part if isinstance(part, tuple) else (part,))]
        if isinstance(found, tuple)
        else [found]
    )
    loss = sum((t * torch.linspace(1, 2, t.numel(), dtype=t.dtype).view_as(t)).sum() for t in results)
    return [t.detach() for t in results], torch.autograd.grad(
        loss, [*tensors, *module.parameters()], materialize_grads=True
    )


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_a_cell_have_the_same_bits(kind, steps):
    cell, x, hx = ready(kind)
    states = tuple(s.requires_grad_() for s in (hx if isinstance(hx, tuple) else (hx,)))
    tensors = (x.requires_grad_(), *states)
    assert cell(x, hx)[0].requires_grad
    found = gradients(cell, tensors, x, hx)
    assert steps == [True, True]
    torch.testing.assert_close(found, gradients(copy.deepcopy(cell), tensors, x, hx), rtol=0, atol=0)


LAYERS = [
    ("lstm", {}),
    ("gru", {"batch_first": True, "initial_state": "learned"}),
    ("rnn", {"num_layers": 2, "bidirectional": True}),
    ("layer-norm-lstm", {"num_layers": 2, "dropout": 0.5}),
]


def layer_of(kind, options):
    torch.manual_seed(0)
    layer = carousel.Recurrent(kind, I, H, **options).eval()
    with torch.no_grad():
        for p in layer.parameters():
            p.uniform_(-1, 1)
    return layer


@pytest.mark.parametrize("steps_given", [1, 3])
@pytest.mark.parametrize(("kind", "options"), LAYERS)
def test_a_layer_has_the_same_bits(kind, options, steps_given, steps):
    layer = layer_of(kind, options)
    x = torch.randn((B, steps_given, I) if layer.batch_first else (steps_given, B, I), requires_grad=True)
    hx = tuple(torch.randn(shape, requires_grad=True) for shape in layer.expected_states(B))
    given, scans = hx if len(hx) > 1 else hx[0], len(layer.suffixes())
    for call in ((x, given), (x, None)):
        tensors = (x, *hx) if call[1] is not None else (x,)
        fresh = gradients(copy.deepcopy(layer), tensors, *call)
        for _ in range(3):
            found = gradients(layer, tensors, *call)
        assert steps[-scans:] == [True] * scans
        torch.testing.assert_close(found, fresh, rtol=0, atol=0)
        found[0][0].zero_()


@pytest.mark.parametrize(("kind", "options"), LAYERS)
def test_a_reset_before_a_single_step(kind, options, steps):
    layer = layer_of(kind, options)
    x = torch.randn((B, 1, I) if layer.batch_first else (1, B, I), requires_grad=True)
    hx = tuple(torch.randn(shape) for shape in layer.expected_states(B))
    hx[0][:, 1] = torch.nan  # of a row that is reset
    hx = tuple(s.requires_grad_() for s in hx)
    given = hx if len(hx) > 1 else hx[0]
    reset = torch.tensor([[False, True]]).reshape(x.shape[:2])
    fresh = gradients(copy.deepcopy(layer), (x, *hx), x, given, reset=reset)
    for _ in range(3):
        found = gradients(layer, (x, *hx), x, given, reset=reset)
    assert steps[-1] is True
    torch.testing.assert_close(found, fresh, rtol=0, atol=0)
    assert torch.isfinite(found[0][0]).all()


def test_what_joins_a_layers_scans_takes_the_general_way(steps):
    layer, x = layer_of("lstm", {}), torch.randn(2, B, I)
    layer(x), layer(x), layer(x)
    assert steps == [True]
    del steps[:]
    layer(x, lengths=[1, 2])
    layer(x, reset=torch.zeros(2, B, dtype=torch.bool))
    layer(x, keep=torch.ones(2, B))
    layer(x, return_states=True)
    with layer.record("c"):
        layer(x)
    with layer.tap():
        layer(x)
    layer.zoneout = 0.1
    layer(x)
    layer.zoneout = 0.0
    layer.checkpoint = 1
    layer(x)
    layer.checkpoint = None
    layer.engine = "reference"
    layer(x)
    layer.engine = "auto"
    with layer.hook(lambda t, states: None):
        layer(x)
    assert True not in steps
    with pytest.raises(RuntimeError, match="Expected hidden"):
        layer(x, (torch.zeros(1, B, H + 1), torch.zeros(1, B, H)))
    with pytest.raises(ValueError, match="reset"):
        layer(x[:1], reset=torch.zeros(1, B + 1, dtype=torch.bool))


def test_second_derivatives_and_writes_to_the_output(steps):
    layer = layer_of("gru", {}).double()
    x = torch.randn(2, B, I, dtype=torch.double, requires_grad=True)
    for _ in range(3):
        output, _ = layer(x)
    assert steps == [True]
    assert torch.autograd.gradgradcheck(lambda x: layer(x)[0], x)
    expected = torch.autograd.grad(layer(x)[0].sum(), x)
    output, _ = layer(x)
    loss = output.sum()
    output.detach().zero_()
    torch.testing.assert_close(torch.autograd.grad(loss, x), expected, rtol=0, atol=0)


def test_threads_do_not_share_a_call():
    cell = ready("lstm")[0]
    given = [(torch.randn(B, I), (torch.randn(B, H), torch.randn(B, H))) for _ in range(4)]
    expected = [by_the_general_way(cell, *one) for one in given]
    wrong: list = []

    def work(k):
        with torch.no_grad():
            wrong.extend(k for _ in range(200) if not torch.equal(cell(*given[k])[1], expected[k][1]))

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
