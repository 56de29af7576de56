"""Recurrent matrices of blocks, one for each head, and of chosen connections."""

import copy

import pytest
import torch

import carousel
from carousel import Cell, ProgramError
from carousel.cells.lstm.slstm import SLSTM
from carousel.cells.rnn.clockwork import ClockworkRNN
from carousel.program import trace
from carousel.program.cost import parameters

T, B, X, H = 4, 3, 2, 6
float64 = torch.float64


def layer(cell, **options):
    torch.manual_seed(0)
    return carousel.Recurrent(cell, X, H, dtype=float64, **options)


def test_a_layer_stores_the_blocks_alone():
    made = layer(SLSTM(heads=3), num_layers=2, bidirectional=True)
    assert made.weight_hh_l1_reverse.shape == (4 * H, H // 3)
    assert str(parameters(trace(SLSTM(heads=1)))) == "4 I + 4 H + 8"
    made.initialize("orthogonal")
    for block in made.weight_hh_l0.chunk(4 * 3):
        torch.testing.assert_close(block @ block.T, torch.eye(2, dtype=float64))


def test_heads_never_read_one_another():
    made, x = layer(SLSTM(heads=3)), torch.randn(T, B, X, dtype=float64)
    states = [torch.rand(1, B, H, dtype=float64, requires_grad=True) for _ in range(4)]
    output, _ = made(x, tuple(states))
    (by_state,) = torch.autograd.grad(output[..., 2:4].sum(), states[0])
    assert (by_state[..., 2:4] != 0).all()
    assert not by_state[..., :2].any()
    assert not by_state[..., 4:].any()


@pytest.mark.parametrize("cell", [SLSTM(heads=3), ClockworkRNN(3)], ids=["heads", "connections"])
def test_engines_steps_copies_and_calls_again_agree(cell):
    made, x = layer(cell), torch.randn(T, B, X, dtype=float64)
    wanted = layer(cell, engine="reference")(x)[0]
    for again in (made, made, made, copy.deepcopy(made)):  # a call of a kind is quick from the third on
        torch.testing.assert_close(again(x)[0], wanted)
    stepper = made.stepper(B)
    torch.testing.assert_close(torch.stack([stepper(row) for row in x]), wanted.detach())
    one = carousel.RecurrentCell(cell, X, H, dtype=float64)
    one.load_state_dict({name.removesuffix("_l0"): value for name, value in made.state_dict().items()})
    hx = None
    for _ in range(3):
        torch.testing.assert_close(one(x[0])[0], wanted[0])
    for row, expected in zip(x, wanted, strict=True):
        hx = one(row, hx)
        torch.testing.assert_close(hx[0], expected)


def test_connections_that_are_absent_count_for_nothing():
    made, x = layer(ClockworkRNN(3)), torch.randn(T, B, X, dtype=float64)
    before = made(x)[0]
    absent = ~ClockworkRNN(3).connections(H, H)
    assert absent.sum() == 3 * 4
    with torch.no_grad():
        made.weight_hh_l0[absent] = 1e3
    assert torch.equal(made(x)[0], before)
    made(x)[0].sum().backward()
    assert not made.weight_hh_l0.grad[absent].any()
    assert made.float().connected.dtype == torch.float32
    assert "connected" not in made.state_dict()


def test_clockwork_units_step_when_they_are_due():
    output = layer(ClockworkRNN(3))(torch.randn(9, 1, X, dtype=float64))[0][:, 0]
    for group, period in enumerate((1, 2, 4)):
        moved = (output[1:] != output[:-1])[:, 2 * group]
        assert moved.tolist() == [t % period == 0 for t in range(1, 9)]


def test_what_cannot_have_heads_is_refused():
    with pytest.raises(ValueError, match="hidden_size must be a multiple of 4, but is 6"):
        layer(SLSTM(heads=4))

    class Wide(Cell):
        gates, heads, sizes, matrices = "n", 2, {"h": "projection"}, {"P": ("projection", "hidden")}

        def step(self, n, P):
            return P(torch.tanh(n))

    with pytest.raises(ProgramError, match="heads or connections, which are for square U"):
        trace(Wide())

    class Float(Cell):
        gates = "n"

        def step(self, n):
            return torch.tanh(n)

        def connections(self, rows, columns):
            return torch.ones(rows, columns)

    with pytest.raises(ProgramError, match="must return a bool tensor of that shape, but returned torch.float32"):
        layer(Float())
