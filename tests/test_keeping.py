"""Which gate keeps a state is read off the equations, whatever they are called and however they are written."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

import carousel
from carousel import Cell, Vector
from carousel.engines import ENGINES
from carousel.insight import diagnose, read_gates
from carousel.program import trace
from carousel.program.keeping import candidates, keeping

I, H = 3, 8
sigmoid, tanh = torch.sigmoid, torch.tanh


def cell_of(function, **declared):
    return type("Example", (Cell,), {"gates": ("q", "v"), "step": staticmethod(function), **declared})()


def named(h, q, v):
    stay = 1 - sigmoid(q)
    return stay * h + (1 - stay) * tanh(v)


# h' = share * h + ..., the share's name, and whether the gate q keeps when it is 1. No letter means anything.
SPELLINGS = {
    "1 - z": (lambda h, q, v: (1 - sigmoid(q)) * h + sigmoid(q) * tanh(v), "1 - q", False),
    "z": (lambda h, q, v: sigmoid(q) * h + (1 - sigmoid(q)) * tanh(v), "q", True),
    "residual": (lambda h, q, v: h + sigmoid(q) * (tanh(v) - h), "1 - q", False),
    "lerp to n": (lambda h, q, v: torch.lerp(h, tanh(v), sigmoid(q)), "1 - q", False),
    "lerp to h": (lambda h, q, v: torch.lerp(tanh(v), h, sigmoid(q)), "q", True),
    "subtracted": (lambda h, q, v: h - sigmoid(q) * h + sigmoid(q) * tanh(v), "1 - q", False),
    "added": (lambda h, q, v: sigmoid(q) * h + tanh(v), "q", True),
    "addcmul": (lambda h, q, v: torch.addcmul(tanh(v), sigmoid(q), h - tanh(v)), "q", True),
    "of -z": (lambda h, q, v: sigmoid(-q) * h + sigmoid(q) * tanh(v), None, False),
    "of z + 1": (lambda h, q, v: sigmoid(q + 1) * h + tanh(v), "q", True),
    "of 2 z": (lambda h, q, v: (1 - sigmoid(2 * q)) * h + tanh(v), "1 - q", False),
    "squared": (lambda h, q, v: sigmoid(q) ** 2 * h + tanh(v), "q ⊙ q", True),
    "half": (lambda h, q, v: 0.5 * (1 + sigmoid(q)) * h + tanh(v), "0.5 + 0.5 ⊙ q", True),
    "tanh": (lambda h, q, v: (0.5 + 0.5 * tanh(q)) * h + tanh(v), None, True),
    "where": (lambda h, q, v: torch.where(q > 0.1, h, tanh(v)), None, True),
    "where below": (lambda h, q, v: torch.where(sigmoid(q) < 0.4, h, tanh(v)), None, False),
    "hard sigmoid": (lambda h, q, v: torch.clamp(0.2 * q + 0.5, 0, 1) * h + tanh(v), "q", True),
    "hardtanh": (lambda h, q, v: h + F.hardtanh(0.2 * q + 0.5, 0.0, 1.0) * (tanh(v) - h), "1 - q", False),
    "named": (named, None, False),
}


def layer_of(spelling, **options):
    torch.manual_seed(0)
    return carousel.Recurrent(cell_of(SPELLINGS[spelling][0]), I, H, dtype=torch.float64, **options)


def part(layer, parameter, gate):
    return layer.get_parameter(parameter).chunk(len(layer.program.gates))[layer.program.gates.index(gate)]


@pytest.mark.parametrize("spelling", SPELLINGS)
class TestSpellings:
    def test_the_share_is_the_derivative_by_the_old_state(self, spelling):
        """Where U is 0 the gates know nothing of h, and the whole derivative is the share."""
        _, name, opens = SPELLINGS[spelling]
        layer = layer_of(spelling)
        how = keeping(layer.program)["h"]
        assert name is None or how.name == name
        assert [gate.sign * gate.slope > 0 for gate in how.keeps] == [opens]
        with torch.no_grad():
            layer.weight_hh_l0.zero_()
        x = torch.randn(1, 50, I, dtype=torch.float64)
        h = torch.randn(1, 50, H, dtype=torch.float64, requires_grad=True)
        with layer.record(how.name) as values:
            _, last = layer(x, h)
        (by_h,) = torch.autograd.grad(last.sum(), h)
        torch.testing.assert_close(values[how.name][0, 0], by_h[0])

    @pytest.mark.parametrize("scheme", ["chrono", "forget-bias"])
    def test_a_difference_is_kept_longer(self, spelling, scheme):
        def left(layer):
            h = torch.randn(1, 20, H, dtype=torch.float64)
            x = torch.randn(5, 20, I, dtype=torch.float64)
            return (layer(x, h)[1] - layer(x, h + 1e-6)[1]).abs().mean().item() / 1e-6

        layer = layer_of(spelling)
        with torch.no_grad():
            layer.weight_hh_l0.mul_(0.1)  # what comes back through U is no memory of the gate's
        before = left(layer)
        layer.initialize(scheme, longest=200)
        assert left(layer) > 1.5 * before

    @pytest.mark.parametrize("engine", ENGINES)
    def test_candidate_dropout_drops_what_is_written(self, spelling, engine):
        """Where every candidate is dropped, only the share of the old state is left."""
        layer = layer_of(spelling, candidate_dropout=1.0, engine=engine)
        share = keeping(layer.program)["h"].name
        h = torch.randn(1, 4, H, dtype=torch.float64)
        with layer.record(share) as values:
            _, last = layer(torch.randn(1, 4, I, dtype=torch.float64), h)
        torch.testing.assert_close(last, values[share][0] * h)


PLAIN = [name for name, row in SPELLINGS.items() if row[1] in ("q", "1 - q") and "hard" not in name]


@pytest.mark.parametrize("spelling", PLAIN)
def test_its_time_constants_are_what_chrono_asked_for(spelling):
    layer = layer_of(spelling)
    layer.initialize("chrono", longest=50)
    with torch.no_grad():
        layer.weight_ih_l0.zero_(), layer.weight_hh_l0.zero_()
    gates = read_gates(layer, torch.randn(20, 2, I, dtype=torch.float64))
    # A share of sigmoid(log T) = T / (T + 1) has the time constant 1 / ln(1 + 1 / T), for T of 1 to 49.
    assert gates.keeps == {"h": keeping(layer.program)["h"].name}
    assert gates.time_constants().min() > 1.4
    assert gates.time_constants().max() < 49.6


@pytest.mark.parametrize("spelling", [spelling for spelling in SPELLINGS if spelling != "half"])
def test_a_gate_that_forgets_is_found(spelling):
    layer = layer_of(spelling)
    how = keeping(layer.program)["h"]
    with torch.no_grad():
        part(layer, "bias_ih_l0", "q").fill_(-9 if SPELLINGS[spelling][2] else 9)
    found = diagnose(layer, torch.randn(60, 2, I, dtype=torch.float64), memory=40)
    (shut,) = [finding for finding in found if finding.fault == "forget-gates-shut"]
    assert how.name in shut.what
    assert "initialize('chrono'" in shut.advice


class GatesOfOtherNames(Cell):
    """An LSTM in which i is what f is elsewhere, and f what i is."""

    states = "h", "c"
    gates = "f", "i", "z", "r"

    def step(self, c, f, i, z, r):
        c = sigmoid(i) * c + sigmoid(f) * tanh(r)
        return sigmoid(z) * tanh(c), c


def test_chrono_sets_the_gate_that_writes_the_other_way():
    layer = carousel.Recurrent(GatesOfOtherNames, I, H)
    layer.initialize("chrono", longest=100)
    keeps, writes = part(layer, "bias_ih_l0", "i"), part(layer, "bias_ih_l0", "f")
    assert torch.equal(keeps, -writes)
    assert keeps.min() >= 0

    class Closed(GatesOfOtherNames):  # writes when its gate is 0
        def step(self, c, f, i, z, r):
            c = c - sigmoid(i) * c + (1 - sigmoid(f)) * tanh(r)
            return sigmoid(z) * tanh(c), c

    layer = carousel.Recurrent(Closed, I, H)
    layer.initialize("chrono", longest=100)
    keeps, writes = part(layer, "bias_ih_l0", "i"), part(layer, "bias_ih_l0", "f")
    assert torch.equal(keeps, -writes)
    assert keeps.max() <= 0


def test_a_learned_shift_takes_the_place_of_a_bias():
    class Shifted(Cell):
        gates = "q", "v"
        gate_bias = False
        vectors = {"away": Vector(0.0), "other": Vector(0.0, per_gate=True)}

        def step(self, h, q, v, away, other):
            return h + sigmoid(q - away) * (tanh(v + other.v + other.q) - h)

    layer = carousel.Recurrent(Shifted, I, H)
    layer.initialize("forget-bias")
    assert torch.equal(layer.away_l0, torch.ones(H))  # type: ignore[arg-type]
    assert torch.equal(layer.other_l0, torch.zeros(2 * H))  # type: ignore[arg-type]


NOTHING_KEEPS = {
    "tanh": lambda h, q, v: tanh(h + q + v),
    "a fixed share": lambda h, q, v: 0.9 * h + 0.1 * sigmoid(q) * tanh(v),
    "taken away": lambda h, q, v: tanh(v) - sigmoid(q) * h,
    "without a bound": lambda h, q, v: torch.exp(q) * h + tanh(v),
    "more than all": lambda h, q, v: (1 + sigmoid(q)) * h + tanh(v),
    "of the state alone": lambda h, q, v: sigmoid(h) * h + q + v,
    "squared": lambda h, q, v: sigmoid(q) * h * h + tanh(v),
    "there and back": lambda h, q, v: sigmoid(q) * h - sigmoid(q) * h + sigmoid(q) * tanh(v),
}


@pytest.mark.parametrize("name", NOTHING_KEEPS)
@pytest.mark.parametrize("scheme", ["chrono", "forget-bias"])
def test_where_no_gate_keeps_schemes_refuse(name, scheme):
    layer = carousel.Recurrent(cell_of(NOTHING_KEEPS[name]), I, H)
    assert keeping(layer.program) == {}  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"{scheme} is for cells with a gate that keeps a state, .*Example has none"):
        layer.initialize(scheme, longest=9)


def test_the_refusals_of_a_bias_that_is_not_there_and_of_plain_python():
    layer = carousel.Recurrent(cell_of(SPELLINGS["residual"][0]), I, H, bias=False)
    assert keeping(layer.program)["h"].name == "1 - q"  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has no bias for its gate q"):
        layer.initialize("forget-bias")

    class Plain(Cell):
        gates = "q"

        def step(self, h, q):
            return torch.cumsum(h * sigmoid(q), -1)

    layer = carousel.Recurrent(Plain, I, H, engine="reference")
    with pytest.raises(ValueError, match="the step of Plain runs as plain Python"):
        layer.initialize("chrono", longest=9)


def test_candidates_are_values_that_are_no_gates():
    def called(cell):
        program = trace(cell)
        return [program.nodes[i].name or program.nodes[i].op for i in candidates(program)]

    assert called(carousel.cells.find("lstm")) == ["g"]
    assert called(cell_of(lambda h, q, v: 0.9 * h + 0.1 * sigmoid(q) * tanh(v))) == ["tanh"], "a fixed share is kept"
    assert called(cell_of(lambda h, q, v: sigmoid(q) * h + (1 - sigmoid(q)) * torch.relu(v))) == ["relu"]
    assert called(cell_of(lambda h, q, v: sigmoid(q) * h + tanh(v) + torch.relu(v))) == [], "two things are written"
    assert called(cell_of(lambda h, q, v: tanh(h + q + v))) == []


def test_the_share_is_that_of_the_cell_whatever_the_layer_adds():
    """zoneout and the like write the step otherwise; what is recorded by the share's name is the same."""
    x, h = torch.randn(1, 4, I), torch.randn(1, 4, H)
    found = []
    for options in ({}, {"zoneout": 0.5}, {"candidate_dropout": 0.5}, {"recurrent_dropout": 0.5}):
        torch.manual_seed(0)
        layer = carousel.Recurrent(cell_of(SPELLINGS["residual"][0]), I, H, **options)  # type: ignore[arg-type]
        with torch.no_grad():
            layer.weight_hh_l0.zero_()
        with layer.record("h", "1 - q") as values:
            layer(x, h, keep=torch.full((1, 4), 0.5))
        found.append(values["1 - q"])
    assert all(torch.equal(found[0], other) for other in found[1:])


def test_gates_are_read_by_the_words_that_record_knows():
    layer, x = carousel.LSTM(I, H), torch.randn(30, 2, I)
    gates = read_gates(layer, x)
    with layer.record("forget") as recorded:
        layer(x)
    assert torch.equal(gates.values["forget"], recorded["forget"])
    assert torch.equal(gates.of("forget"), gates.of("f"))
    assert torch.equal(gates.saturation("forget").open, gates.saturation("f").open)
    assert "forget" not in set(gates.values)
    with pytest.raises(KeyError, match="there is no 'update': there is f, i, g, o, h, c"):
        gates.values["update"]
