"""Gates, states and what units follow, against values set by hand and networks built to have them."""

from __future__ import annotations

import math

import matrix
import numpy as np
import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, pad_sequence

import carousel
from carousel.cells import Cell
from carousel.errors import DataError
from carousel.insight import TooShort, properties, read_gates, units_following
from carousel.insight.keeping import keeping_gates
from carousel.program import trace

T, B, I, H = 30, 3, 2, 5


def example(steps: int = T, batch: int = B) -> torch.Tensor:
    return torch.randn(steps, batch, I, generator=torch.Generator().manual_seed(1))


def constant_gates(cell: str, gate: str, values: torch.Tensor) -> carousel.Recurrent:
    """A layer whose gate has these values at every step: no weights, and a bias for each unit."""
    layer = carousel.Recurrent(cell, I, H)
    place = layer.program.gates.index(gate)
    with torch.no_grad():
        for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"):
            layer.get_parameter(name).chunk(len(layer.program.gates))[place].zero_()
        layer.bias_ih_l0.chunk(len(layer.program.gates))[place].copy_(torch.logit(values))
    return layer


@pytest.mark.parametrize(
    ("cell", "gate", "state"),
    [("lstm", "f", "c"), ("coupled-lstm", "f", "c"), ("gru", "z", "h"), ("gru-reset-before", "z", "h")],
)
def test_a_constant_gate_has_its_time_constant(cell, gate, state):
    f = torch.tensor([0.05, 0.5, 0.8, 0.99, 0.999])
    gates = read_gates(constant_gates(cell, gate, f), example())
    assert gates.keeps == {state: gate}
    torch.testing.assert_close(gates.time_constants(), (-1 / f.double().log()), rtol=1e-3, atol=0)
    assert gates.by_timescale().tolist() == [4, 3, 2, 1, 0]
    found = gates.saturation(gate)
    assert found.shut.tolist() == [1, 0, 0, 0, 0]
    assert found.open.tolist() == [0, 0, 0, 1, 1]
    assert gates.saturation(gate, low=0.6).shut.tolist() == [1, 1, 0, 0, 0]


def test_a_varying_gate_keeps_what_the_product_of_its_values_keeps():
    layer = carousel.LSTM(I, H, dtype=torch.float64)
    x = example().double()
    with layer.record("forget") as values:
        layer(x)
    kept = values["forget"][0].prod(0)  # (B, H), of what was there before
    tau = read_gates(layer, x).time_constants()
    torch.testing.assert_close(-T * B / tau, kept.prod(0).log().detach())


KEEPS = {
    "light-gru": {"h": "z"},
    "multiplicative-lstm": {"c": "f"},
    "slstm": {},  # its f is an exponential, not a gate between 0 and 1
    "low-rank-memory": {},
    "competing": {},
    "rnn": {},
    "layer-norm-lstm": {"c": "f"},
    "layer-norm-gru": {"h": "z"},
    "projected-lstm": {"c": "f"},
    "coupled-peephole-lstm": {"c": "f"},
}


@pytest.mark.parametrize("row", [row for row in matrix.KINDS if row.traced], ids=str)
def test_every_cell_can_be_read_and_the_gate_that_keeps_is_found(row):
    if row.name in KEEPS:
        expected = KEEPS[row.name]
        found = keeping_gates(trace(row.cell, True))
        assert found == expected or (row.name == "multiplicative-lstm" and found == {})  # f has no name there
    gates = read_gates(row.layer(I, H, num_layers=2, dtype=torch.float64), example().double())
    for name, values in gates.values.items():
        assert values.shape[:3] == (2, T, B)
        assert values.isfinite().all(), name
        if gates.bounds[name] is not None:
            low, high = gates.bounds[name]  # type: ignore[misc]
            assert low <= values.min()
            assert values.max() <= high
    assert set(gates.states) == set(row.cell.states)
    assert gates.timescales().shape == gates.by_timescale().shape
    alive = ~gates.dead_units()
    assert (gates.autocorrelation_times()[alive] > 0).all()
    assert (gates.autocorrelation_times()[~alive] == 0).all()


class Subtracts(Cell):
    """f keeps r, being multiplied by it in a sum; f takes s away; what keeps t has no name."""

    states = "r", "s", "t"
    gates = "f", "n"

    def step(self, r, s, t, f, n):
        f = torch.sigmoid(f)
        n = torch.tanh(n)
        return f * r - (1 - f) * n, n - f * s, torch.sigmoid(s) * t + n


def test_the_gate_that_keeps_is_one_that_is_added_and_has_a_name():
    assert keeping_gates(trace(Subtracts(), True)) == {"r": "f"}


def test_values_are_those_that_record_reads_and_padding_is_nan():
    layer = carousel.GRU(I, H, bidirectional=True, batch_first=True)
    lengths = [T, 4, 20]
    sequences = [example()[:n, b] for b, n in enumerate(lengths)]
    x = pad_sequence(sequences, batch_first=True)
    with layer.record("update", "h") as recorded:
        layer(x, lengths=lengths)
    gates = read_gates(layer, x, lengths=lengths)
    real = gates.timeline.real
    assert real.sum(0).tolist() == lengths
    expected = recorded["update"].transpose(1, 2).detach()
    assert torch.equal(gates.values["z"][:, real], expected[:, real])
    assert gates.values["h"][:, ~real].isnan().all()
    packed = read_gates(layer, pack_sequence(sequences, enforce_sorted=False))
    torch.testing.assert_close(packed.values["z"], gates.values["z"], equal_nan=True)
    torch.testing.assert_close(packed.time_constants(), gates.time_constants())


def test_autocorrelation_time_of_a_first_order_process():
    """x_t = a x_{t-1} + noise has autocorrelations a^k: 1/e after -1 / ln a steps."""

    class Follows(Cell):
        gates = "n"

        def step(self, n):
            return n

    layer = carousel.Recurrent(Follows, 3, 3, bias=False)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.eye(3))
        layer.weight_hh_l0.copy_(torch.diag(torch.tensor([0.3, 0.5, 0.9])))
    noise = torch.randn(4000, 8, 3, generator=torch.Generator().manual_seed(0))
    times = read_gates(layer, noise).autocorrelation_times()
    expected = [-1 / math.log(a) for a in (0.3, 0.5, 0.9)]
    assert times.tolist() == pytest.approx(expected, rel=0.1)


def test_dead_and_saturated_units():
    layer = carousel.RNN(I, H, nonlinearity="relu")
    with torch.no_grad():
        layer.bias_ih_l0[:2] = -1000
    gates = read_gates(layer, example())
    assert gates.dead_units().tolist() == [True, True, False, False, False]
    layer = carousel.RNN(I, H)
    with torch.no_grad():
        layer.bias_ih_l0[3] = 1000
    gates = read_gates(layer, example())
    assert gates.saturated_units().tolist() == [False, False, False, True, False]
    assert gates.dead_units().tolist() == [False, False, False, True, False]  # at 1, always


def test_a_unit_that_follows_is_found_among_noise():
    random = torch.Generator().manual_seed(0)
    values = torch.randn(400, 2, 20, generator=random)
    # Stretches of random length: what repeats exactly stays true when it is turned by its period.
    flags = (torch.rand(400, 2, generator=random) < 0.15).cumsum(0) % 3 == 0
    values[..., 4] += 1.5 * flags
    values[..., 9] -= 3 * flags
    found = units_following(values, flags)
    assert found.kind == "auc"
    assert [unit for unit, _, _ in found.best(2)] == [9, 4]
    assert found.scores[9] < 0.1
    assert found.scores[4] > 0.8
    assert (found.p[[4, 9]] == 1 / 201).all()
    others = [unit for unit in range(20) if unit not in (4, 9)]
    assert found.p[others].min() > 0.02

    numbers = torch.randint(9, (400, 2), generator=random)
    values[..., 7] += 0.3 * numbers
    found = units_following(values, numbers)
    assert found.kind == "correlation"
    assert found.best(1)[0][0] == 7
    flat = torch.stack([values[..., 7].flatten(), numbers.flatten()])
    assert found.scores[7].item() == pytest.approx(torch.corrcoef(flat)[0, 1].item(), abs=1e-5)


def test_auc_is_the_share_of_pairs_that_are_in_order():
    values = torch.tensor([3.0, 1.0, 2.0, 2.0, 5.0, 2.0]).repeat(4)[:, None]
    flags = torch.tensor([True, False, True, False, True, False]).repeat(4)
    pairs = [(a, b) for a in values[flags, 0].tolist() for b in values[~flags, 0].tolist()]
    expected = sum((a > b) + 0.5 * (a == b) for a, b in pairs) / len(pairs)
    assert units_following(values, flags).scores.item() == pytest.approx(expected)


def test_chance_is_as_frequent_as_it_says():
    """Slow units that have nothing to do with a slow property: p below 0.1 in one of ten texts, not in most."""
    random = torch.Generator().manual_seed(1)
    slow = torch.randn(60, 300, 5, generator=random).cumsum(1) - torch.randn(60, 300, 5, generator=random).cumsum(1)
    low = 0
    for walk in slow:
        flags = torch.sin(torch.arange(300) / 6 + 6.28 * torch.rand((), generator=random)) > 0.3
        low += units_following(walk, flags, draws=99).p.min().item() < 0.1
    assert low <= 14  # of 60, where 6 are expected; the 1e-3 quantile of the binomial


def test_padding_is_no_part_of_what_is_followed():
    values, flags = torch.randn(60, 2, 3), torch.arange(120).view(60, 2) % 5 == 0
    long = torch.cat([values, torch.full((9, 2, 3), math.nan)])
    padded = units_following(long, torch.cat([flags, torch.ones(9, 2, dtype=torch.bool)]))
    assert torch.equal(padded.scores, units_following(values, flags).scores)


def test_properties_of_a_text():
    text = 'a "bc" d\n(e [f]) “g”\n'
    assert "".join("01"[int(v)] for v in properties.inside_quotes(text)) == "001111000" + "000000001110"
    assert properties.position_in_line(text).tolist() == [*range(9), *range(12)]
    assert properties.bracket_depth(text).tolist() == [0] * 9 + [1, 1, 1, 2, 2, 2, 1, 0, 0, 0, 0, 0]
    assert properties.position_in_word("it's two").tolist() == [0, 1, 2, 3, 0, 0, 1, 2]
    assert not properties.inside_quotes('"left open\n\nnext').any(where=np.arange(16) > 10)
    assert properties.bracket_depth(")) (").tolist() == [0, 0, 0, 1]
    for name, of in properties.PROPERTIES.items():
        assert of("").shape == (0,), name


def test_what_is_refused_is_said():
    gates = read_gates(carousel.RNN(I, H), example(8))
    with pytest.raises(TooShort, match="Autocorrelation needs at least 10 steps, but there are 8"):
        gates.timescales()
    with pytest.raises(DataError, match=r"No gate keeps the state h, .* autocorrelation_times\(\) measures"):
        gates.time_constants()
    with pytest.raises(DataError, match=r"There is no 'f' at place -1: there is h at 0 \(layer 0\)"):
        gates.saturation("f")
    with pytest.raises(DataError, match="c has no bounds, and so no saturation; those with bounds: f, i, g, o"):
        read_gates(carousel.LSTM(I, H), example()).saturation("c")
    with pytest.raises(DataError, match="the step of Ordered runs as plain Python"):
        read_gates(carousel.Recurrent(matrix.Ordered, I, H, engine="reference"), example())
    values, flags = torch.randn(50, 4), torch.arange(50) > 20
    with pytest.raises(TooShort, match="The property changes 1 times in 50 steps, and anything that drifts"):
        units_following(values, flags)
    with pytest.raises(DataError, match="The property is the same at every step"):
        units_following(values, flags | True)
    with pytest.raises(DataError, match=r"but they are \(50, 4\) and \(49,\)"):
        units_following(values, flags[1:])
