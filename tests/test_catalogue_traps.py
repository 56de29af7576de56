"""Where libraries and ports have gone wrong, or papers and code part: each reading that Carousel takes, by itself.

Each test computes the step by hand, in the reading that was taken and in the other; the cell is the first, and the
second is another number by far.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import relu, sigmoid, tanh

import carousel
from carousel.cells import find
from carousel.cells.continuous.cornn import CoRNN
from carousel.cells.continuous.lmu import legendre
from carousel.cells.gru.simple_gate import DSGU, SGU
from carousel.cells.gru.ugrnn import UGRNN
from carousel.cells.lstm.nas import NAS

I, H, B = 3, 4, 5
float64 = torch.float64


class Step:
    """One step of a layer with weights of size 1, and its gates by hand."""

    def __init__(self, cell, width=I):
        torch.manual_seed(3)
        self.layer = carousel.Recurrent(cell, width, H, dtype=float64, engine="reference")
        with torch.no_grad():
            for p in self.layer.parameters():
                p.normal_()
        program = self.layer.program
        p = {name.removesuffix("_l0"): value.detach() for name, value in self.layer.named_parameters()}
        self.p = p
        self.W = dict(zip(program.inputs, p["weight_ih"].split(H), strict=True))
        self.b = dict(zip(program.inputs, p["bias_ih"].split(H), strict=True))
        self.U = dict(zip(program.recurrents, p["weight_hh"].split(H), strict=True)) if program.recurrents else {}
        self.c = dict(zip(program.recurrents, p["bias_hh"].split(H), strict=True)) if program.recurrents else {}
        self.x = torch.randn(B, width, dtype=float64)
        sizes = self.layer.sizes
        self.states = tuple(torch.randn(B, sizes[size], dtype=float64) for size in program.states.values())

    def part(self, gate):
        return self.x @ self.W[gate].T + self.b[gate]

    def map(self, gate, row):
        return row @ self.U[gate].T + self.c[gate]

    def gate(self, gate, h=None):
        return self.part(gate) + self.map(gate, self.states[0] if h is None else h)

    def times(self, matrix, row):
        return row @ self.p[f"weight_{matrix}"].T

    def new_state(self):
        hx = tuple(s[None] for s in self.states)
        return self.layer(self.x[None], hx if len(hx) > 1 else hx[0])[0][0].detach()

    def is_this_and_not(self, taken, other):
        found = self.new_state()
        torch.testing.assert_close(found, taken, rtol=1e-12, atol=1e-12)
        assert (found - other).abs().max() > 0.01


def test_lem_feeds_its_new_memory_to_its_output():
    s = Step("lem")
    h, z = s.states
    a, b = sigmoid(s.gate("a")), sigmoid(s.gate("b"))
    new = (1 - b) * z + b * tanh(s.gate("g"))

    def out(memory):
        return (1 - a) * h + a * tanh(s.part("n") + s.times("zn", memory) + s.p["d"])

    s.is_this_and_not(out(new), out(z))


@pytest.mark.parametrize("product", [True, False])
def test_nas_multiplies_in_its_fourth_relu_or_adds_where_asked(product):
    s = Step(NAS(product))
    g, c = s.gate, s.states[1]

    def out(fourth):
        m = tanh(tanh(sigmoid(g("a")) * relu(g("p"))) + c)
        new = m * tanh(sigmoid(g("c")) + fourth)
        return tanh(new * tanh(tanh(tanh(g("e")) * sigmoid(g("f"))) + sigmoid(tanh(g("g")) + sigmoid(g("k")))))

    multiplied, added = relu(s.part("q") * s.map("q", s.states[0])), relu(g("q"))
    s.is_this_and_not(out(multiplied if product else added), out(added if product else multiplied))


def test_scrn_feeds_back_its_hidden_layer():
    """Over two steps: what U multiplies in the second is the hidden layer of the first."""
    s = Step("scrn")
    first, (h, context) = s.layer(s.x[None], tuple(state[None] for state in s.states))
    assert torch.equal(first, h)
    context = 0.95 * context[0] + 0.05 * s.part("k")
    second = sigmoid(s.gate("n", h[0]) + s.times("sn", context))
    s.states = h[0].detach(), s.layer(s.x[None], tuple(state[None] for state in s.states))[1][1][0].detach()
    s.is_this_and_not(second.detach(), sigmoid(s.gate("n", tanh(h[0])) + s.times("sn", context)).detach())


@pytest.mark.parametrize("cell", ["peephole-lstm", "working-memory-lstm"])
def test_output_gates_look_at_the_new_cell_state(cell):
    s = Step(cell)
    c = s.states[1]

    def look(gate, state):
        return s.p[f"p_{gate}"] * state if cell == "peephole-lstm" else tanh(s.times(f"c{gate}", state))

    f, i = sigmoid(s.gate("f") + look("f", c)), sigmoid(s.gate("i") + look("i", c))
    new = f * c + i * tanh(s.gate("g"))
    now, before = (sigmoid(s.gate("o") + look("o", state)) * tanh(new) for state in (new, c))
    s.is_this_and_not(now, before)


@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_ugrnn_adds_one_to_its_gate_where_asked_alone(bias):
    s = Step(UGRNN(bias))

    def out(more):
        g = sigmoid(s.gate("g") + more)
        return g * s.states[0] + (1 - g) * tanh(s.gate("n"))

    s.is_this_and_not(out(bias), out(1.0 - bias))


@pytest.mark.parametrize("kind", [SGU, DSGU])
@pytest.mark.parametrize(("hard", "slope", "other"), [("keras", 1 / 5, 1 / 6), ("torch", 1 / 6, 1 / 5)])
def test_hard_sigmoids_have_two_slopes(kind, hard, slope, other):
    s = Step(kind(hard))
    h = s.states[0]
    scaled = tanh(s.map("g", s.part("g") * h)) * h
    n = torch.log1p(torch.exp(scaled)) if kind is SGU else sigmoid(s.times("kn", scaled))

    def out(slope):
        z = (slope * s.gate("z") + 0.5).clip(0, 1)
        return (1 - z) * h + z * n

    s.is_this_and_not(out(slope), out(other))


def test_a_hard_sigmoid_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="hard must be among 'keras', 'torch', but 'relu' was given"):
        SGU("relu")


def test_cornn_damps_its_old_velocity():
    dt, gamma, epsilon = 0.3, 2.7, 4.7
    s = Step(CoRNN(dt, gamma, epsilon))
    y, v = s.states
    push = v + dt * (tanh(s.gate("n") + s.times("zn", v)) - gamma * y)
    explicit, implicit = push - dt * epsilon * v, push / (1 + dt * epsilon)
    s.is_this_and_not(y + dt * explicit, y + dt * implicit)


def test_mut3_looks_at_its_state_through_a_tanh():
    s = Step("mut3")
    h = s.states[0]
    n = tanh(s.part("n") + s.map("n", sigmoid(s.gate("r")) * h))
    taken, other = (z * n + (1 - z) * h for z in (sigmoid(s.gate("z", tanh(h))), sigmoid(s.gate("z"))))
    s.is_this_and_not(taken, other)


def test_nbrc_multiplies_its_state_by_matrices():
    s = Step("nbrc")
    h = s.states[0]

    def out(of_a, of_c):
        a, c = 1 + tanh(s.part("a") + of_a + s.c["a"]), sigmoid(s.part("c") + of_c + s.c["c"])
        return c * h + (1 - c) * tanh(s.part("n") + a * h)

    matrices = [h @ s.U[gate].T for gate in "ac"]
    s.is_this_and_not(out(*matrices), out(*(s.U[gate].diagonal() * h for gate in "ac")))


# --- sLSTM: whether anything was written yet is a question for each row


def test_slstm_begins_each_row_by_itself():
    """A row that is reset in mid-batch is what it is alone, though the others have written long ago."""
    torch.manual_seed(0)
    layer = carousel.Recurrent("slstm", I, H, dtype=float64)
    x = torch.randn(6, 2, I, dtype=float64)
    reset = torch.zeros(6, 2, dtype=torch.bool)
    reset[3, 1] = True
    together, _ = layer(x, reset=reset)
    torch.testing.assert_close(together[3:, 1], layer(x[3:, 1])[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, float64], ids=["float32", "float64"])
def test_slstm_divides_nothing_by_nothing(dtype):
    """Input gates of exp(-2000) at the first step: what is written is small, and their quotient is the candidate."""
    layer = carousel.Recurrent("slstm", I, H, dtype=dtype)
    gates = list(find("slstm").gates)
    with torch.no_grad():
        layer.bias_ih_l0[gates.index("i") * H : (gates.index("i") + 1) * H] = -2000.0
    x = torch.randn(4, 2, I, dtype=dtype, requires_grad=True)
    output, _ = layer(x)
    output.sum().backward()
    assert torch.isfinite(output).all()
    assert output.abs().min() > 0
    assert torch.isfinite(x.grad).all()  # type: ignore[arg-type]


def test_gru_d_keeps_the_last_value_that_was_seen_and_not_what_stood_for_it():
    """Some ports decay from what was filled in a step ago; the paper's x' is the last measurement itself."""
    layer = carousel.Recurrent("gru-d", 3, H, dtype=float64)
    with torch.no_grad():
        layer.d_k_l0.fill_(1.0)
        layer.mean_l0.fill_(10.0)
    seen, missing = [2.0, 1.0, 0.0], [99.0, 0.0, 1.0]
    x = torch.tensor([seen, missing, missing], dtype=float64)[:, None]
    _, (_, last) = layer(x)
    assert last.item() == 2.0
    other = x.clone()
    other[1:, :, 0] = -7.0  # what stands where nothing was measured does not matter
    assert torch.equal(layer(x)[0], layer(other)[0])


def test_phased_lstm_is_open_for_a_twentieth_of_a_period_at_first_and_continuous():
    layer = carousel.Recurrent("phased-lstm", 2, H, dtype=float64)
    assert torch.equal(layer.r_l0, torch.full((H,), 0.05, dtype=float64))  # type: ignore[arg-type]
    with torch.no_grad():
        layer.s_l0.zero_()
        layer.tau_l0.fill_(8.0)

    def openness(time):
        x = torch.tensor([[[0.3, time]]], dtype=float64)
        with layer.record("k") as values:
            layer(x)
        return values["k"][0, 0, 0, 0].item()

    for turns in (0.0, 1.0, -1.0, 3.0):
        assert openness(8.0 * (turns + 0.025)) == pytest.approx(1.0)
        assert openness(8.0 * (turns + 0.0125)) == pytest.approx(0.5)
        assert openness(8.0 * (turns + 0.5)) == pytest.approx(0.0005)
    below, above = openness(8.0 * 0.05 - 1e-9), openness(8.0 * 0.05)
    assert abs(below - above) < 1e-3, "it closes to the leak"


def test_lmu_reads_its_new_memory_and_that_holds_a_window():
    s = Step("lmu")
    h, m = s.states
    a, b = s.layer.weight_A_l0, s.layer.B_l0
    u = (s.p["e_x"] * s.x).sum(-1, True) + (s.p["e_h"] * h).sum(-1, True) + (s.p["e_m"] * m).sum(-1, True)
    s.is_this_and_not(tanh(s.gate("n") + s.times("M", m @ a.T + b * u)), tanh(s.gate("n") + s.times("M", m)))


@pytest.mark.parametrize("delay", [0.0, 0.5, 1.0])
def test_legendre_memories_hold_what_was_written_up_to_a_window_ago(delay):
    """The shifted Legendre polynomials, weighed with the memory, give what was written `delay` windows before."""
    theta, order, steps = 40.0, 8, 200
    a, b = legendre(theta, order)

    def written(t):
        return math.sin(2 * math.pi * t / 60.0)

    m = torch.zeros(order, dtype=float64)
    for t in range(steps):
        m = a @ m + b * written(t)
    polynomials = [np.polynomial.legendre.Legendre.basis(k)(2 * delay - 1) for k in range(order)]
    expected = written(steps - 0.5 - delay * theta)
    assert float(m @ torch.tensor(polynomials)) == pytest.approx(expected, abs=0.05)
