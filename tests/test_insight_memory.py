"""How far back data depend on themselves: on what swings, rises, comes back, counts, and on nothing at all."""

from __future__ import annotations

import math

import pytest
import torch

from carousel.errors import DataError
from carousel.insight import data_memory, diagnose, figures
from carousel.insight.surrogates import shuffled_blocks, strongest_correlations
from carousel.layers import GRU

T = 600


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(steps: int = T, seed: int = 0) -> torch.Tensor:
    return torch.randn(steps, generator=random(seed), dtype=torch.float64)


def first_order(keep: float, steps: int = T, seed: int = 0) -> torch.Tensor:
    x = [noise(steps, seed)[0]]
    for step in noise(steps, seed)[1:]:
        x.append(keep * x[-1] + math.sqrt(1 - keep**2) * step)
    return torch.stack(x)


def season(period: float, steps: int = T) -> torch.Tensor:
    return torch.sin(2 * torch.pi * torch.arange(steps).double() / period)


COUNTS = torch.poisson(torch.exp(2 + 0.8 * season(52)).float(), generator=random()).long()
LASTING = {  # what the last lags measured still depend on: told as "and more"
    "season of weeks": season(52) + 0.15 * noise(),
    "short season": season(7) + 0.5 * noise(),
    "season as long as a block": season(32) + 0.15 * noise(),
    "slow season": season(64) + 0.3 * noise(),
    "trend": torch.arange(T).double() / 100 + 0.3 * noise(),
    "falling trend": -torch.arange(T).double() + 5 * noise(),
    "trend and season": torch.arange(T).double() / 100 + season(52) + 0.3 * noise(),
    "counts with a season": COUNTS,
    "levels of rows": torch.randn(1, 64, generator=random()).double() + 0.1 * noise(40 * 64).view(40, 64),
}


@pytest.mark.parametrize("x", LASTING.values(), ids=LASTING)
def test_what_lasts_is_told_to_reach_beyond_what_was_measured(x):
    memory = data_memory(x)
    count = len(memory.dependence)
    assert memory.cut_off
    assert memory.reach > 0.85 * count
    assert ((memory.noise > 0) & (memory.noise < 1)).all()
    assert memory.assumed
    figures.memory_by_lag(memory).canvas.draw()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("keep", "most"), [(0.0, 1), (0.5, 12), (0.9, 40), (0.98, 150)])
def test_slow_swings_that_end_are_not_told_to_last(keep, most, seed):
    """The correlation of a first-order process falls to 0.1 at ln 0.1 / ln keep steps; chance adds a few."""
    memory = data_memory(first_order(keep, seed=seed))
    assert memory.reach <= most
    assert not memory.cut_off
    if keep:
        assert memory.reach >= 0.2 * math.log(0.1) / math.log(keep) - 1


def test_long_memory_is_found_far_back():
    """Fractional noise, d = 0.4: correlations that fall as lag^-0.2."""
    steps = 4000
    weights = (
        torch.cat([torch.ones(1), (torch.arange(1, steps) - 1 + 0.4) / torch.arange(1, steps)]).double().cumprod(0)
    )
    whole = torch.fft.rfft(weights, 2 * steps) * torch.fft.rfft(noise(steps, 3), 2 * steps)
    memory = data_memory(torch.fft.irfft(whole, 2 * steps)[:steps], lags=400)
    assert memory.reach > 15


@pytest.mark.parametrize("kind", ["numbers", "symbols", None])
def test_chance_is_seldom_taken_for_memory(kind):
    told = []
    for seed in range(12):
        whole = torch.randint(12, (200, 2), generator=random(seed))
        x = torch.randn(200, 2, 2, generator=random(seed)) if kind == "numbers" else whole
        told.append(data_memory(x, kind=kind).reach)
    assert sum(reach > 1 for reach in told) <= 1


def test_counts_are_not_read_as_names_without_a_word():
    memory, named = data_memory(COUNTS), data_memory(COUNTS, kind="symbols")
    as_numbers = data_memory(COUNTS.double())
    torch.testing.assert_close(memory.dependence, as_numbers.dependence)
    assert memory.reach == as_numbers.reach == data_memory(COUNTS, kind="numbers").reach
    assert memory.reach > named.reach
    assert memory.assumed.startswith(
        "whole numbers whose order tells nearly all that they tell of each other, read as counts"
    )
    assert "symbols" in named.assumed
    symbols = torch.randint(20, (1500,), generator=random())
    symbols[7:] = torch.where(torch.rand(1493, generator=random(1)) < 0.6, symbols[:-7], symbols[7:])
    found = data_memory(symbols, lags=40)
    assert found.reach in (7, 14)
    assert found.assumed.startswith("whole numbers, read as symbols")
    for wrong, words in (
        (torch.randn(50), "symbols must be whole numbers"),
        (torch.ones(9, 9, 9).long(), "of the shape"),
    ):
        with pytest.raises(DataError, match=words):
            data_memory(wrong, kind="symbols")
    with pytest.raises(DataError, match="kind= must be 'numbers' or 'symbols', not 'counts'"):
        data_memory(COUNTS, kind="counts")


def test_whole_numbers_in_channels_are_numbers():
    both = torch.stack([COUNTS, COUNTS.flip(0)], -1)[:, None]
    assert data_memory(both).reach == data_memory(both.double()).reach


def test_a_season_of_data_and_target_alike_is_no_echo():
    """Both swing slowly and have nothing to do with each other."""
    told = [data_memory(first_order(0.95, seed=s), first_order(0.95, seed=s + 50), lags=100).reach for s in range(8)]
    assert sum(reach > 0 for reach in told) <= 2


def test_correlations_are_those_of_the_pairs():
    x, y = noise(60).view(20, 3, 1), noise(120, 1).view(20, 3, 2)
    found, itself = strongest_correlations(x, y, 12), strongest_correlations(y, None, 12)
    for lag in range(1, 13):
        past, now = x[:-lag].flatten(), y[lag:].flatten(0, 1)
        expected = max(abs(torch.corrcoef(torch.stack([past, column]))[0, 1]) for column in now.T)
        torch.testing.assert_close(found[lag - 1], expected)
        own = [torch.corrcoef(torch.stack([y[:-lag, :, c].flatten(), y[lag:, :, c].flatten()]))[0, 1] for c in range(2)]
        torch.testing.assert_close(itself[lag - 1], max(map(abs, own)))


@pytest.mark.parametrize(("steps", "batch", "length"), [(20, 1, 4), (23, 3, 4), (9, 5, 9), (7, 2, 1)])
def test_surrogates_are_the_data_in_another_order_with_blocks_kept(steps, batch, length):
    places = shuffled_blocks(steps, batch, length, random())
    assert places.flatten().sort().values.tolist() == list(range(steps * batch))
    # Read row after row, what goes on from step to step goes on for as many steps as a block has at most.
    there = (places % batch * steps + places // batch).t().flatten()
    goes_on = (there.diff() == 1).tolist()
    longest = max(map(len, "".join("x" if on else " " for on in goes_on).split()), default=0) + 1
    assert longest <= 2 * length  # two blocks may come to stand one behind the other again
    if length > 4:
        assert longest >= length // 2


def test_a_season_is_told_by_a_diagnosis():
    x = (season(52) + 0.15 * noise())[:, None, None].float()
    found = {finding.fault: finding for finding in diagnose(GRU(1, 16), x)}
    assert "steps and more" in found["window-too-short"].seen
    assert "vanishing" in found
