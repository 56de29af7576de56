"""What PyTorch can do to a module, it can do to a layer on the reference engine: transform, compile, export, copy.

Every test compares the transformed layer with the same computed plainly. To add a transform, add a test over `ROWS`
here: one row for each way a program can differ (`matrix.KINDS` has them all).
"""

from __future__ import annotations

import copy
import io
import pickle

import pytest
import torch
from matrix import FULL, KINDS, assert_close, engine_dtypes, moved, roundings
from torch import nn
from torch.func import functional_call, grad, jacrev, jvp, stack_module_state, vmap
from torch.nn.utils import parametrizations, parametrize
from torch.nn.utils._per_sample_grad import call_for_per_sample_grads

import carousel

T, B, I, H = 4, 2, 3, 5
ROWS = pytest.mark.parametrize("row", KINDS, ids=repr)
# Compiling takes seconds a row: those that differ most.
TO_COMPILE = ("layer-norm-gru", "low-rank-memory", "ordered")
COMPILED = pytest.mark.parametrize(
    "row", [pytest.param(row, marks=() if row.name in TO_COMPILE else FULL) for row in KINDS], ids=repr
)
# torch's own rules of forward-mode differentiation are still written for its older compiler.
FORWARD_MODE = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated:DeprecationWarning")
TERMS = roundings(T, I, H, num_layers=2)
float64 = torch.float64


def make(row, **options):
    return row.layer(I, H, dtype=float64, bidirectional=True, **options)


def some_input(*batch):
    return torch.randn(T, *batch, I, dtype=float64)


def parameters_of(layer):
    return {name: p.detach() for name, p in layer.named_parameters()}


def output_of(layer, parameters, x):
    return functional_call(layer, parameters, (x,))[0]


# --- torch.func


@ROWS
def test_vmap_over_inputs(row):
    """Over single sequences, and over whole batches."""
    layer, x = make(row), some_input(B)
    assert_close(vmap(lambda a: layer(a)[0], 1, 1)(x), layer(x)[0], terms=TERMS)
    many = torch.stack([x, some_input(B)])
    wanted = torch.stack([layer(a)[0] for a in many])
    assert_close(vmap(lambda a: layer(a)[0])(many), wanted, terms=TERMS)


@ROWS
def test_vmap_over_an_ensemble(row):
    layers = [make(row, seed=seed) for seed in range(3)]
    x = some_input(B)
    stacked, buffers = stack_module_state(layers)
    found = vmap(lambda p, b: functional_call(layers[0], (p, b), (x,))[0])(stacked, buffers)
    assert_close(found, torch.stack([layer(x)[0] for layer in layers]), terms=TERMS)


@ROWS
def test_grad_and_per_sample_grad(row):
    layer, x = make(row), some_input(B)
    parameters = parameters_of(layer)

    def loss(parameters, x):
        return output_of(layer, parameters, x).square().sum()

    found = grad(loss)(parameters, x)
    layer(x)[0].square().sum().backward()
    for name, p in layer.named_parameters():
        assert_close(found[name], torch.zeros_like(p) if p.grad is None else p.grad, terms=3 * TERMS, what=name)
    per_sample = vmap(grad(loss), (None, 1))(parameters, x)
    for name in parameters:
        assert_close(per_sample[name].sum(0), found[name], terms=3 * TERMS, what=f"{name} by samples")


@FORWARD_MODE
@ROWS
def test_jvp_and_jacrev_agree(row):
    """Forward mode along a tangent is the Jacobian, from reverse mode, times the tangent."""
    layer, x = make(row), some_input()
    tangent = some_input()
    value, along = jvp(lambda a: layer(a)[0], (x,), (tangent,))  # type: ignore[misc]
    jacobian = jacrev(lambda a: layer(a)[0])(x)
    assert_close(value, layer(x)[0], terms=TERMS)
    assert_close(along, torch.tensordot(jacobian, tangent, 2), terms=3 * TERMS)


@FORWARD_MODE
@ROWS
def test_double_backward(row):
    """The gradient of the gradient's norm, against its forward-over-reverse twin."""
    layer, x = make(row), some_input(B).requires_grad_()
    direction = some_input(B)

    def gradient(a):
        return grad(lambda b: layer(b)[0].square().sum())(a)

    (first,) = torch.autograd.grad(layer(x)[0].square().sum(), x, create_graph=True)
    (second,) = torch.autograd.grad((first * direction).sum(), x)
    assert_close(first, gradient(x.detach()), terms=3 * TERMS)
    assert_close(second, jvp(gradient, (x.detach(),), (direction,))[1], terms=9 * TERMS)


# --- compilation and export


@COMPILED
def test_compile_in_one_graph(row):
    """fullgraph: nothing falls back to Python; aot_eager: the backward pass is traced too."""
    torch._dynamo.reset()
    layer, x = row.layer(I, H, dtype=float64), torch.randn(2, B, I, dtype=float64, requires_grad=True)
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    wanted, last = layer(x)
    found, found_last = compiled(x)
    assert_close(found, wanted, terms=TERMS)
    both = ((last, found_last),) if isinstance(last, torch.Tensor) else zip(last, found_last, strict=True)
    for state, found_state in both:
        assert_close(found_state, state, terms=TERMS)
    (of_input,) = torch.autograd.grad(wanted.square().sum(), x)
    assert_close(torch.autograd.grad(found.square().sum(), x)[0], of_input, terms=3 * TERMS)


@ROWS
def test_export(row):
    layer, x = row.layer(I, H, dtype=float64), torch.randn(2, B, I, dtype=float64)
    program = torch.export.export(layer, (x,))
    assert_close(program.module()(x)[0], layer(x)[0], terms=TERMS)
    assert set(program.state_dict) == set(layer.state_dict())


# --- copies


def through_pickle(layer):
    return pickle.loads(pickle.dumps(layer))


def through_save(layer):
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("copied", [copy.deepcopy, through_pickle, through_save], ids=lambda f: f.__name__)
@ROWS
def test_copies_are_equal_and_apart(row, copied):
    layer, x = make(row, num_layers=2), some_input(B)
    twin = copied(layer)
    wanted = layer(x)[0]
    assert torch.equal(twin(x)[0], wanted)
    assert repr(twin) == repr(layer)
    with torch.no_grad():
        for p in layer.parameters():
            p.zero_()
    assert torch.equal(twin(x)[0], wanted), "the copy shares its parameters"


@ROWS
def test_a_state_dict_is_the_whole_layer(row):
    layer, x = make(row), some_input(B)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    other = make(row, seed=5)
    assert not torch.equal(other(x)[0], layer(x)[0])
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(other(x)[0], layer(x)[0])


# --- dtypes and devices


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@ROWS
def test_to_another_dtype(row, dtype):
    layer, x = make(row), some_input(B)
    lower = copy.deepcopy(layer).to(dtype)
    exact = copy.deepcopy(lower).double()  # the same numbers, computed in float64
    output, last = lower(x.to(dtype))
    wanted, wanted_last = exact(x.to(dtype).double())
    assert output.dtype == dtype
    assert_close(output, wanted, terms=TERMS, dtype=dtype)
    both = ((last, wanted_last),) if isinstance(last, torch.Tensor) else zip(last, wanted_last, strict=True)
    for state, expected in both:
        assert state.dtype == dtype
        assert_close(state, expected, terms=TERMS, dtype=dtype)


@ROWS
def test_meta_device(row):
    """Built without memory, shapes only; then given memory, drawn, and run."""
    layer = carousel.Recurrent(
        row.cell, I, H, 2, proj_size=row.proj_size, device="meta", dtype=float64, engine="reference"
    )
    output, _ = layer(torch.empty(T, B, I, device="meta", dtype=float64))
    assert output.is_meta
    real = layer.to_empty(device="cpu")
    real.reset_parameters()
    found, _ = real(some_input(B))
    assert found.shape == output.shape
    assert found.isfinite().all()


# --- parametrizations: what stands where a parameter stood need not be one


@pytest.mark.parametrize("name", ["weight_hh_l0", "weight_ih_l0"])
@ROWS
def test_weight_norm(row, name):
    layer, x = make(row), some_input(B)
    if name not in layer.shapes():
        assert not layer.program.recurrents  # a cell whose gates read the input alone has no weight_hh
        return
    wanted = layer(x)[0]
    parametrizations.weight_norm(layer, name)
    assert_close(layer(x)[0], wanted, terms=2 * TERMS)
    layer(x)[0].square().sum().backward()
    assert layer.parametrizations[name].original0.grad.any()
    with torch.no_grad():
        layer.parametrizations[name].original0.mul_(2.0)
        assert not torch.allclose(layer(x)[0], wanted)
    parametrize.remove_parametrizations(layer, name)
    assert name in dict(layer.named_parameters())


class Halved(nn.Module):
    def forward(self, weight):
        return 0.5 * weight


def test_any_parameter_may_be_parametrized():
    layer = moved(carousel.LSTM(I, H, peepholes="all", dtype=float64, engine="reference"))
    plain = copy.deepcopy(layer)
    for name, p in list(layer.named_parameters()):
        with torch.no_grad():
            plain.get_parameter(name).copy_(0.5 * p)
        parametrize.register_parametrization(layer, name, Halved())
    x = some_input(B)
    assert_close(layer(x)[0], plain(x)[0], terms=TERMS)
    assert "reference" in layer.explain()


def test_autocast_runs_and_gives_what_the_products_give():
    layer, x = moved(carousel.LSTM(I, H, engine="reference")), torch.randn(T, B, I)
    with torch.autocast("cpu", torch.bfloat16):
        output, _ = layer(x)
    assert_close(output, layer(x)[0], terms=TERMS, dtype=torch.bfloat16)


# --- flags of steps: given by value, but a transform has several at once, and the meta device has none

FLAGS = {
    "lengths": lambda: {"lengths": torch.tensor([[4, 2, 0], [1, 3, 4]])},
    "mask": lambda: {"mask": torch.rand(2, T, 3) < 0.6},
    "reset": lambda: {"reset": torch.rand(2, T, 3) < 0.4},
    "both": lambda: {"mask": torch.rand(2, T, 3) < 0.7, "reset": torch.rand(2, T, 3) < 0.4},
}
ANY_ENGINE = pytest.mark.parametrize("engine", [engine for engine, dtype in engine_dtypes() if dtype is float64])
ANY_FLAGS = pytest.mark.parametrize("flags", FLAGS.values(), ids=FLAGS.keys())


@ANY_ENGINE
@ANY_FLAGS
def test_vmap_over_flags_of_steps(flags, engine):
    """Over inputs and their flags, over flags alone, and over gradients of both."""
    layer = moved(carousel.GRU(I, H, 2, bidirectional=True, dtype=float64, engine=engine))
    given, x = flags(), torch.randn(2, T, 3, I, dtype=float64)

    def call(x, given):
        output, hx = layer(x, **given)
        return torch.cat([output.flatten(), hx.flatten()])

    def each(x):
        return torch.stack([call(x[k] if x.dim() == 4 else x, {n: f[k] for n, f in given.items()}) for k in range(2)])

    assert_close(vmap(call)(x, given), each(x), terms=TERMS)
    assert_close(vmap(call, (None, 0))(x[0], given), each(x[0]), terms=TERMS)
    by = vmap(grad(lambda x, given: call(x, given).square().sum()))(x, given)
    leaf = x.clone().requires_grad_()
    assert_close(by, torch.autograd.grad(each(leaf).square().sum(), leaf)[0], terms=3 * TERMS)


def test_vmap_refuses_lengths_that_the_input_does_not_have():
    layer = carousel.GRU(I, H)
    with pytest.raises(
        ValueError, match="GRU: lengths must lie between 0 and the 4 steps of the input, but row 1 has 5"
    ):
        vmap(lambda n: layer(torch.zeros(T, 3, I), lengths=n)[0])(torch.tensor([[1, 2, 3], [0, 5, 1]]))


@pytest.mark.parametrize("where", ["meta", "cpu"])
@ANY_FLAGS
def test_flags_of_steps_on_the_meta_device(flags, where):
    """Shapes only, for flags that have values and for those that have none."""
    layer = carousel.GRU(I, H, 2, bidirectional=True, device="meta")
    given = {name: flag[0].to(where) for name, flag in flags().items()}
    output, hx = layer(torch.empty(T, 3, I, device="meta"), **given)
    assert output.is_meta
    assert hx.is_meta
    assert output.shape == (T, 3, 2 * H)
    assert hx.shape == (4, 3, H)


# --- torch.fx


class Classifier(nn.Module):
    def __init__(self, layer, cell):
        super().__init__()
        self.embed, self.layer, self.cell, self.head = nn.Linear(I, I), layer, cell, nn.Linear(H, 2)

    def forward(self, x, lengths):
        output, _ = self.layer(self.embed(x), lengths=lengths)
        return self.head(self.cell(output[-1])) + output.sum()


@ANY_ENGINE
def test_a_layer_is_one_node_of_an_fx_graph(engine):
    """As torch.nn's are. So is a cell; what stands around them is traced."""
    model = Classifier(carousel.GRU(I, H, engine=engine), carousel.GRUCell(H, H, engine=engine))
    graph = torch.fx.symbolic_trace(model)
    modules = [node.target for node in graph.graph.nodes if node.op == "call_module"]
    assert modules == ["embed", "layer", "cell", "head"]
    for steps in (T, T + 3):
        x, lengths = torch.randn(steps, B, I), torch.randint(1, steps, (B,))
        torch.testing.assert_close(graph(x, lengths), model(x, lengths))
    for alone in (model.layer, model.cell):
        with pytest.raises(RuntimeError, match=f"{type(alone).__name__}: torch.fx traces what stands around a layer"):
            torch.fx.symbolic_trace(alone)


# --- per-sample gradients


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@ANY_ENGINE
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"])
def test_gradients_of_each_sample(kind, engine):
    """Those that torch keeps beside the parameters, against one sample after another."""
    options = {} if kind.endswith("Cell") else {"num_layers": 2, "batch_first": True}
    layer = moved(getattr(carousel, kind)(I, H, engine=engine, dtype=float64, **options))
    x = torch.randn(B, I, dtype=float64) if kind.endswith("Cell") else torch.randn(B, T, I, dtype=float64)

    def loss(x):
        found = layer(x) if isinstance(x, torch.Tensor) else call_for_per_sample_grads(layer, batch_size=B)(*x)
        return (found[0] if isinstance(found, tuple) else found).square().sum()

    loss((x,)).backward()
    for k in range(B):
        alone = torch.autograd.grad(loss(x[k : k + 1]), list(layer.parameters()))
        for p, wanted in zip(layer.parameters(), alone, strict=True):
            assert_close(p.grad_sample[k], wanted, terms=3 * TERMS)
