"""Step Jacobians and Lyapunov exponents, against finite differences and maps whose exponents are known."""

from __future__ import annotations

import math
from typing import Any

import matrix
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, pad_sequence

import carousel
from carousel.cells import Cell
from carousel.errors import DataError
from carousel.insight import TooShort, lyapunov, step_jacobians
from carousel.insight.observation import observe
from carousel.insight.unrolling import unroll

T, B, I, H = 7, 3, 2, 4


def example(steps: int = T, batch: int = B) -> torch.Tensor:
    return torch.randn(steps, batch, I, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("row", matrix.KINDS, ids=str)
def test_jacobians_of_every_cell_by_finite_differences(row):
    layer, x = row.layer(I, H, dtype=torch.float64), example()
    first = row.initial(1, B, H, torch.float64)
    hx = first if len(first) > 1 else first[0]
    found = step_jacobians(layer, x, hx, steps=[4])
    assert found.matrices.shape[:2] == (1, B)
    _, before = layer(x[:4], hx)
    states = torch.cat([s[0] for s in (before if isinstance(before, tuple) else (before,))], -1).detach()
    sizes = row.state_sizes(H)

    def step(whole):
        parts = tuple(s[None] for s in whole.split(sizes, -1))
        _, after = layer(x[4:5], parts if len(parts) > 1 else parts[0])
        return torch.cat([s[0] for s in (after if isinstance(after, tuple) else (after,))], -1).detach()

    columns = []
    for unit in range(states.shape[1]):
        moved = torch.zeros_like(states)
        moved[:, unit] = 1e-6
        columns.append((step(states + moved) - step(states - moved)) / 2e-6)
    torch.testing.assert_close(found.matrices[0], torch.stack(columns, -1), rtol=1e-5, atol=1e-7)
    for state, part in found.parts.items():
        assert torch.equal(found.of(state), found.matrices[:, :, part, part])


def test_the_spectrum_of_a_linear_step_is_that_of_its_matrix():
    class Linear(Cell):
        gates = "n"

        def step(self, n):
            return n

    layer = carousel.Recurrent(Linear, I, H, dtype=torch.float64)
    found = step_jacobians(layer, example())
    assert found.steps.tolist() == list(range(T))
    u = layer.weight_hh_l0.detach()
    torch.testing.assert_close(found.matrices, u.expand(T, B, H, H))
    radius = torch.linalg.eigvals(u).abs().max()
    torch.testing.assert_close(found.spectral_radius(), radius.expand(T, B))
    torch.testing.assert_close(found.singular_values(), torch.linalg.svdvals(u).expand(T, B, H))


def test_without_looking_back_the_block_of_c_is_the_forget_gate():
    layer = carousel.LSTM(I, H, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_hh_l0.zero_()
    with layer.record("forget") as values:
        layer(example())
    found = step_jacobians(layer, example())
    torch.testing.assert_close(found.of("c"), torch.diag_embed(values["forget"][0]).detach())
    assert (found.of("h") == 0).all()


@pytest.mark.parametrize("cut", ["lengths", "reset", "packed", "zoneout"])
def test_the_trajectory_is_the_layers_own(cut):
    options: dict[str, Any] = {"zoneout": 0.3} if cut == "zoneout" else {}
    layer = carousel.LSTM(I, H, num_layers=2, bidirectional=True, dtype=torch.float64, **options).eval()
    x, call = example(), dict[str, Any]()
    hx = tuple(torch.randn(4, B, H, dtype=torch.float64) for _ in range(2))
    if cut == "lengths":
        call = {"lengths": [3, T, 5]}
    if cut == "reset":
        reset = torch.zeros(T, B, dtype=torch.bool)
        reset[3, 0] = reset[5, 0] = reset[6, 1] = reset[0, 2] = True
        call = {"reset": reset}
    _, _, states = layer(x, hx, return_states=True, **(call or ({"lengths": [3, T, 5]} if cut == "packed" else {})))
    given = x
    if cut == "packed":
        given = pack_sequence([x[:n, b] for b, n in enumerate([3, T, 5])], enforce_sorted=False)
        assert torch.equal(pad_sequence([x[:3, 0], x[:, 1], x[:5, 2]])[:3], x[:3])
    seen = observe(layer, (given, hx), call)
    for place in range(4):
        scan = unroll(seen, place)
        for t in range(T):
            after = scan.step(t, scan.before[t])
            for state, part in scan.parts.items():
                real = seen.timeline.real[t]
                torch.testing.assert_close(after[real][:, part], states[state][place, t][real].detach())


def noisy(t, states):
    """A hook that depends on the step, on the row and on every unit of a state, and writes into what it is given."""
    states["h"][1] = 0.5 * states["h"][1]
    return {"c": states["c"] * (1 + 0.1 * t) + states["h"].flip(-1).sin()}


JOINED: dict[str, dict[str, Any]] = {
    "hook": {"hook": noisy},
    "zoneout": {"zoneout": {"c": 0.4, "h": 0.2}},
    "keep": {"keep": True},
    "add": {"add": True},
    "dropout": {"recurrent_dropout": 0.5, "input_dropout": 0.5, "weight_drop": 0.5, "candidate_dropout": 0.5},
    "all": {"hook": noisy, "zoneout": 0.3, "keep": True, "add": True, "recurrent_dropout": 0.5},
}


MODES = torch.enable_grad, torch.no_grad, torch.inference_mode
# Each of what joins a step in one mode, and all together in each.
OF_MODES = [
    pytest.param(mode, name, marks=() if name == "all" or number % 3 == place else matrix.FULL)
    for number, name in enumerate(JOINED)
    for place, mode in enumerate(MODES)
]


@pytest.mark.parametrize(("under", "name"), OF_MODES)
def test_whatever_joins_a_step_is_in_its_jacobian_and_in_the_exponents(under, name):
    """Against the layer itself, run one step on from the state it has then, and moved a little in every direction."""
    joined, random = dict(JOINED[name]), torch.Generator().manual_seed(0)
    hook, call = joined.pop("hook", None), {}
    steps, options = 20, {k: v for k, v in joined.items() if k not in ("keep", "add")}
    x = torch.randn(steps, B, I, dtype=torch.float64, generator=random)
    for name in ("keep", "add"):
        if joined.get(name):
            call[name] = {"c": torch.rand(steps, B, H, dtype=torch.float64, generator=random)}
    layer = carousel.LSTM(I, H, dtype=torch.float64, **options).eval()
    if hook is not None:
        layer.hook(hook)
    with under():
        found = step_jacobians(layer, x, steps=range(steps), **call)  # type: ignore[arg-type]
        exponents = lyapunov(layer, x, count=3, discard=0, **call).running[-1]  # type: ignore[arg-type]

    def after(t, whole):
        """The state after step t of every row, from the one before it, both (B, 2 H)."""
        given = {name: {"c": of["c"][: t + 1]} for name, of in call.items()}
        seen = []

        def put(step, states):
            if step == t:
                seen.append(1)
                states |= zip(("h", "c"), (part.clone() for part in whole.chunk(2, -1)), strict=True)

        layer._hooks.clear()
        layer.hook(put)  # before the hook under test: it stands for what the step before left
        if hook is not None:
            layer.hook(hook)
        _, states = layer(x[: t + 1], **given)
        assert seen
        return torch.cat([s[0] for s in states], -1)

    state, q = torch.zeros(B, 2 * H, dtype=torch.float64), None
    for t in range(steps):
        whole = torch.autograd.functional.jacobian(lambda s, t=t: after(t, s), state)  # (B, 2H, B, 2H)
        expected = torch.stack([whole[b, :, b] for b in range(B)])
        torch.testing.assert_close(found.matrices[t], expected, rtol=1e-9, atol=1e-12)
        state = after(t, state).detach()
    q = torch.linalg.qr(torch.randn(B, 2 * H, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).Q
    total = torch.zeros(3, dtype=torch.float64)
    for t in range(steps):
        q, r = torch.linalg.qr(found.matrices[t] @ q)
        total += r.diagonal(dim1=-2, dim2=-1).abs().log().mean(0)
    torch.testing.assert_close(exponents, (total / steps).sort(descending=True).values, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("name", ["identity", "orthogonal"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("units", "steps"), [(4, 40), (48, 200), pytest.param(16, 600, marks=matrix.FULL)])
def test_what_neither_grows_nor_shrinks_is_undecided(name, dtype, units, steps):
    class Linear(Cell):
        gates = ("n",)

        def step(self, n):
            return n

    torch.manual_seed(0)
    layer = carousel.Recurrent(Linear, 1, units, bias=False).to(dtype)
    layer.initialize(name)
    h = 0.1 * torch.randn(1, 2, units, dtype=dtype)
    found = lyapunov(layer, torch.zeros(steps, 2, 1, dtype=dtype), h)
    assert found.kind == "undecided"
    # A thousand times what rounding does is told.
    for factor, kind in ((1 + 1e3 * found.tolerance, "chaotic"), (1 - 1e3 * found.tolerance, "contracting")):
        moved = carousel.Recurrent(Linear, 1, units, bias=False).to(dtype)
        moved.load_state_dict({n: factor * w if n == "weight_hh_l0" else w for n, w in layer.state_dict().items()})
        assert lyapunov(moved, torch.zeros(steps, 2, 1, dtype=dtype), h).kind == kind


class Henon(Cell):
    """h' = 1 - 1.4 h^2 + y, y' = 0.3 h: Henon's map."""

    states = "h", "y"
    gates = "n"

    def step(self, h, y, n):
        return 1 - 1.4 * h * h + y + n, 0.3 * h


class Logistic(Cell):
    gates = "n"

    def step(self, h, n):
        return 4 * h * (1 - h) + n


def undriven(cell) -> carousel.Recurrent:
    layer = carousel.Recurrent(cell, 1, 1, dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    return layer


def test_exponents_of_chaotic_maps():
    """Logistic at 4: ln 2 exactly. Henon: 0.4192 and -1.6232 (Sprott 2003), their sum ln 0.3 exactly, at every step."""
    start = torch.tensor([[[0.1], [0.2], [0.3], [0.4]]], dtype=torch.float64)
    nothing = torch.zeros(600, 4, 1, dtype=torch.float64)
    found = lyapunov(undriven(Logistic), nothing, start)
    assert found.exponents.item() == pytest.approx(math.log(2), abs=0.02)
    assert found.low < math.log(2) < found.high
    assert found.kind == "chaotic"
    found = lyapunov(undriven(Henon), nothing, (start, torch.zeros_like(start)))
    assert found.exponents[0].item() == pytest.approx(0.4192, abs=0.02)
    assert found.exponents.sum().item() == pytest.approx(math.log(0.3), rel=1e-9)
    assert found.running.shape == (540, 2)


def test_exponents_of_a_linear_map_are_those_of_its_eigenvalues():
    class Linear(Cell):
        gates = "n"

        def step(self, n):
            return n

    layer = carousel.Recurrent(Linear, I, 3, bias=False, dtype=torch.float64)
    values = torch.tensor([1.05, -0.8, 0.0], dtype=torch.float64)
    basis = torch.linalg.qr(torch.randn(3, 3, dtype=torch.float64)).Q
    with torch.no_grad():
        layer.weight_hh_l0.copy_(basis @ torch.diag(values) @ basis.T)
    found = lyapunov(layer, example(400, 2))
    assert found.exponents[0].item() == pytest.approx(math.log(1.05), abs=1e-3)
    assert found.exponents[1].item() == pytest.approx(math.log(0.8), abs=1e-3)
    assert found.exponents[2] < -30  # lost, but for rounding
    assert lyapunov(layer, example(400, 2), count=1).exponents.shape == (1,)


def test_the_first_exponent_is_the_growth_of_a_pushed_direction():
    layer, x = carousel.LSTM(I, H, dtype=torch.float64), example(30, 1)
    jacobians = step_jacobians(layer, x, steps=range(30)).matrices[:, 0]
    first = torch.randn(1, 2 * H, 1, generator=torch.Generator().manual_seed(5), dtype=torch.float64)[0, :, 0]
    pushed = first / torch.linalg.vector_norm(first)
    for jacobian in jacobians:
        pushed = jacobian @ pushed
    found = lyapunov(layer, x, count=1, discard=0, seed=5)
    assert found.exponents.item() == pytest.approx(torch.linalg.vector_norm(pushed).log().item() / 30)


def test_a_direction_that_is_lost_altogether_is_minus_infinity():
    layer = carousel.RNN(I, H, nonlinearity="relu", dtype=torch.float64)
    with torch.no_grad():
        layer.bias_ih_l0.fill_(-1000)
    found = lyapunov(layer, example(60))
    assert (found.exponents == -torch.inf).all()
    assert found.kind == "contracting"


def test_padding_takes_no_step():
    layer = carousel.GRU(I, H, dtype=torch.float64)
    x = example(80, 2)
    ragged = lyapunov(layer, x, lengths=[80, 60], discard=0)
    assert ragged.kind == "contracting"
    jacobians = step_jacobians(layer, x, lengths=[80, 60], steps=[70])
    assert jacobians.matrices[0, 1].isnan().all()
    assert jacobians.spectral_radius()[0, 0] > 0
    assert jacobians.spectral_radius()[0, 1].isnan()


def test_what_is_refused_is_said():
    layer, x = carousel.GRU(I, H, dtype=torch.float64), example(20)
    with pytest.raises(TooShort, match="at least 20 steps after the first 2, but there are 18. Give sequences of 22"):
        lyapunov(layer, x)
    with pytest.raises(DataError, match="Lyapunov exponents follow one trajectory, and reset= ends it"):
        lyapunov(layer, x, reset=torch.ones(20, B, dtype=torch.bool))
    with pytest.raises(DataError, match="count must lie between 1 and the 4 units of the state, but is 5"):
        lyapunov(layer, example(40), count=5)
    with pytest.raises(DataError, match=r"There is no place 1: there is 0 \(layer 0\)"):
        step_jacobians(layer, x, place=1)
    with pytest.raises(DataError, match=r"steps= must name steps from 0 to 19 .*, but is \[20\]"):
        step_jacobians(layer, x, steps=[20])
    with pytest.raises(DataError, match=r"steps= must be a list of steps, such as \[19\], not 5"):
        step_jacobians(layer, x, steps=5)  # type: ignore[arg-type]
    with pytest.raises(DataError, match="There is no state 'c': there is h"):
        step_jacobians(layer, x).of("c")
