"""Matrices with biases, constants, sizes of a cell's own, initial values: what a cell declares beside its gates."""

import copy
import io

import pytest
import torch

import carousel
from carousel import Cell, Matrix, ProgramError, Vector
from carousel.program import trace

T, B, X, H, N = 5, 3, 4, 6, 5
float64 = torch.float64


def delay(rows, columns):
    return torch.diag(torch.ones(rows - 1), -1)[:, :columns]


class Delayed(Cell):
    """A memory of a size of its own, which a constant matrix shifts; every kind of weight that can be declared."""

    states, gates = ("h", "m"), "n"
    sizes = {"m": "order"}
    units = {"order": N}
    initial = {"m": 0.5, "h": "learned"}
    matrices = {
        "A": Matrix("order", "order", initial=delay, learned=False),
        "P": Matrix("order", "hidden", bias=True, initial="orthogonal"),
        "R": Matrix("hidden", "order"),
    }
    vectors = {
        "taps": Vector(size="order", initial=lambda n: torch.arange(1.0, n + 1)),
        "scale": Vector(2.0, learned=False),
    }

    def step(self, h, m, n, A, P, R, taps, scale):
        m = A(m) + taps * torch.tanh(P(h))
        return torch.tanh(n + R(m)) / scale, m


def textbook(layer, x):
    """h and m after each step, in plain torch."""
    w = {name.removesuffix("_l0"): value for name, value in layer.state_dict(keep_vars=True).items()}
    h, m = w["initial_h"].expand(B, H), torch.full((B, N), 0.5, dtype=x.dtype)
    outputs = []
    for row in x:
        m = m @ w["weight_A"].T + w["taps"] * torch.tanh(h @ w["weight_P"].T + w["bias_P"])
        n = row @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"] + m @ w["weight_R"].T
        h = torch.tanh(n) / w["scale"]
        outputs.append(h)
    return torch.stack(outputs), m


def layer(engine="auto", **options):
    torch.manual_seed(0)
    made = carousel.Recurrent(Delayed, X, H, dtype=float64, engine=engine, **options)
    with torch.no_grad():
        made.initial_h_l0.normal_()
    return made


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_a_cell_with_every_kind_of_weight_equals_its_equations(engine):
    made, x = layer(engine), torch.randn(T, B, X, dtype=float64)
    output, (_, m) = made(x)
    expected, last = textbook(made, x)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(m[0], last, rtol=0, atol=1e-12)
    parameters = list(made.parameters())
    for found, wanted in zip(
        torch.autograd.grad((output**2).sum(), parameters),
        torch.autograd.grad((expected**2).sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


def test_constants_are_buffers_and_parameters_are_named_after_their_matrices():
    made = layer()
    assert {name for name, _ in made.named_buffers()} == {"weight_A_l0", "scale_l0"}
    assert {name for name, _ in made.named_parameters()} == {
        "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0", "weight_P_l0", "bias_P_l0", "weight_R_l0",
        "taps_l0", "initial_h_l0",
    }  # fmt: skip
    assert made.taps_l0.tolist() == [1, 2, 3, 4, 5]
    assert torch.equal(made.weight_A_l0, delay(N, N).double())
    gram = made.weight_P_l0.T @ made.weight_P_l0 if N > H else made.weight_P_l0 @ made.weight_P_l0.T
    torch.testing.assert_close(gram, torch.eye(N, dtype=float64))


def test_what_is_saved_copied_and_moved_keeps_its_constants():
    made, x = layer(), torch.randn(T, B, X, dtype=float64)
    other = carousel.Recurrent(Delayed(), X, H, dtype=float64)
    other.load_state_dict(made.state_dict())
    memory = io.BytesIO()
    torch.save(made, memory)
    memory.seek(0)
    for again in (other, copy.deepcopy(made), torch.load(memory, weights_only=False)):
        assert torch.equal(again(x)[0], made(x)[0])
    assert made.float().weight_A_l0.dtype == torch.float32


def test_without_biases_a_matrix_has_none():
    assert "bias_P_l0" not in dict(layer(bias=False).named_parameters())


def test_every_row_begins_at_the_initial_values_also_after_a_reset():
    made, x = layer(), torch.randn(T, B, X, dtype=float64)
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[2, 1] = True
    output = made(x, reset=reset)[0]
    torch.testing.assert_close(output[2:, 1], made(x[2:])[0][:, 1])
    stepper = made.stepper(B)
    torch.testing.assert_close(torch.stack([stepper(row) for row in x]), made(x)[0].detach())
    cell = carousel.RecurrentCell(Delayed, X, H, dtype=float64)
    assert cell(x[0])[1].shape == (B, N)
    assert "initial_h" in dict(cell.named_parameters())


def test_the_layer_says_how_long_a_size_is():
    made = carousel.Recurrent(Delayed(), X, H, units={"order": 7}, num_layers=2, bidirectional=True)
    assert made.weight_R_l1_reverse.shape == (H, 7)
    assert "units={'order': 7}" in repr(made)
    with pytest.raises(ValueError, match="units gives a number to the size 'rank', but Delayed has order"):
        carousel.Recurrent(Delayed(), X, H, units={"rank": 7})
    with pytest.raises(ValueError, match="must be a whole one above zero, but is 0"):
        carousel.Recurrent(Delayed(), X, H, units={"order": 0})


class ThreeSizes(Cell):
    states, gates, sizes = ("h", "m", "k"), "n", {"m": "order", "k": "rank"}
    units = {"order": 2, "rank": 3}
    matrices = {"P": ("order", "hidden"), "R": ("hidden", "order"), "S": ("rank", "order")}

    def step(self, h, m, k, n, P, R, S):
        m = torch.tanh(P(h))
        return torch.tanh(n + R(m)), m, k + S(m)


class FourSizes(Cell):
    states, gates, sizes = ("h", "m", "k", "e"), "n", {"m": "order", "k": "rank", "e": "depth"}
    units = {"order": 2, "rank": 3, "depth": 4}
    matrices = ThreeSizes.matrices | {"Q": ("depth", "order")}

    def step(self, h, m, k, e, n, P, R, S, Q):
        m = torch.tanh(P(h))
        return torch.tanh(n + R(m)), m, k + S(m), e - Q(m)


@pytest.mark.parametrize(("cell", "counted"), [(ThreeSizes, "native"), (FourSizes, "reference")])
def test_the_native_engine_has_three_sizes_and_says_so(cell, counted):
    made = carousel.Recurrent(cell(), X, H)
    assert made.explain().splitlines()[1].startswith(f"engine: {counted}")
    if counted == "reference":
        assert "hidden units and of two other sizes, and the cell has order and rank and depth" in made.explain()
    x = torch.randn(T, B, X, requires_grad=True)
    plain = carousel.Recurrent(cell(), X, H, engine="reference")
    plain.load_state_dict(made.state_dict())
    for mine, right in zip((made(x)[0], *made(x)[1]), (plain(x)[0], *plain(x)[1]), strict=True):
        torch.testing.assert_close(mine, right)
        mine_grad, right_grad = (
            torch.autograd.grad(of.square().sum(), x, retain_graph=True)[0] for of in (mine, right)
        )
        torch.testing.assert_close(mine_grad, right_grad)


WRONG = [
    ({"matrices": {"A": Matrix("hidden", "hidden", learned=False)}}, "which stays what it begins as; give initial="),
    ({"matrices": {"A": Matrix("hidden", "one")}}, "uses the size 'one' for its first state, a vector, a context"),
    ({"matrices": {"A": Matrix("gates", "hidden")}}, "uses the size 'gates'"),
    ({"matrices": {"A": Matrix(initial="best")}}, "with the initial value 'best'; there is zeros, ones"),
    ({"vectors": {"v": Vector(size="order", per_gate=True)}}, "is as long as gates are"),
    ({"sizes": {"m": "order"}}, "no vector or matrix has"),
    ({"units": {"order": 3}}, "gives a number to the size 'order' in units"),
    ({"initial": {"c": 1.0}}, "its states are h, m"),
    ({"initial": {"m": "random"}}, "write a number or 'learned'"),
    ({"matrices": {"W_ab": ("hidden", "hidden"), "ab": ("hidden", "hidden")}}, "would both be the parameter"),
]


@pytest.mark.parametrize(("declared", "said"), WRONG, ids=lambda of: of if isinstance(of, str) else "")
def test_what_contradicts_itself_is_refused_with_the_way_out(declared, said):
    kind = type("Wrong", (Cell,), {"states": ("h", "m"), "gates": "n", "step": lambda self, h, m, n: (h + n, m)})
    for name, value in declared.items():
        setattr(kind, name, value)
    with pytest.raises(ProgramError, match=said):
        trace(kind())


def test_a_function_that_gives_another_shape_is_refused():
    class Short(Cell):
        gates, vectors = "n", {"v": Vector(lambda units: torch.zeros(units - 1))}

        def step(self, h, n, v):
            return torch.tanh(n + v * h)

    with pytest.raises(ValueError, match="was called with the shape \\(6,\\), and must return a tensor of it"):
        carousel.Recurrent(Short(), X, H)
