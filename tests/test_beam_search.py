"""Beam search: its laws on toy decoders, whose sequences can all be listed."""

from __future__ import annotations

import itertools
import math
from functools import partial

import pytest
import torch
from torch import Tensor

from carousel.models.beam_search import Search, search

V, STEPS = 4, 3  # symbols, of which 0 ends a sequence, and positions of a source


class Toy:
    """P of each next symbol, and the attention, are drawn for each source and prefix, and depend on nothing else."""

    def __init__(self, seeds: list[int], *, equal: bool = False, attends: bool = True) -> None:
        self.prefixes: list[tuple[int, ...]] = [(seed,) for seed in seeds]
        self.equal, self.attends = equal, attends

    def step(self, symbols: Tensor) -> tuple[Tensor, Tensor | None]:
        self.prefixes = [(*prefix, symbol) for prefix, symbol in zip(self.prefixes, symbols.tolist(), strict=True)]
        logs = torch.stack([drawn(prefix, self.equal)[0] for prefix in self.prefixes])
        return logs, torch.stack([drawn(prefix)[1] for prefix in self.prefixes]) if self.attends else None

    def select(self, rows: Tensor) -> None:
        self.prefixes = [self.prefixes[row] for row in rows.tolist()]


def drawn(prefix: tuple[int, ...], equal: bool = False) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(hash(prefix) % 2**31)
    logs = torch.randn(V, generator=generator, dtype=torch.float64) * (0 if equal else 1.5)
    return logs.log_softmax(-1), torch.randn(STEPS, generator=generator, dtype=torch.float64).softmax(-1)


def score_of(seed: int, symbols: tuple[int, ...], how: Search) -> float:
    """The definition, written down a second time."""
    log_p, covered, prefix = 0.0, torch.zeros(STEPS, dtype=torch.float64), (seed, 0)
    for symbol in (*symbols, 0):
        logs, attention = drawn(prefix)
        log_p, covered, prefix = log_p + float(logs[symbol]), covered + attention, (*prefix, symbol)
    penalty = ((5 + len(symbols) + 1) / 6) ** how.length_penalty
    return log_p / penalty + how.coverage_penalty * sum(math.log(min(1.0, float(c))) for c in covered)


def all_of_them(shortest: int, longest: int) -> list[tuple[int, ...]]:
    return [s for n in range(shortest, longest + 1) for s in itertools.product(range(1, V), repeat=n)]


PENALTIES = [(0.0, 0.0), (0.7, 0.0), (1.0, 0.4)]


@pytest.mark.parametrize(("length_penalty", "coverage_penalty"), PENALTIES)
@pytest.mark.parametrize("shortest", [0, 2])
def test_a_beam_as_wide_as_all_sequences_finds_the_best_of_all(length_penalty, coverage_penalty, shortest):
    how = Search(
        beam=V**4, best=3, length_penalty=length_penalty, coverage_penalty=coverage_penalty,
        shortest=shortest, longest=3,
    )  # fmt: skip
    seeds = list(range(6))
    for seed, found in zip(seeds, search(lambda: Toy(seeds), len(seeds), how), strict=True):
        every = sorted(all_of_them(shortest, 3), key=lambda symbols: -score_of(seed, symbols, how))
        assert [one.symbols for one in found] == every[:3]
        for one in found:
            assert one.score == pytest.approx(score_of(seed, one.symbols, how), abs=1e-12)


@pytest.mark.parametrize("length_penalty", [0.0, 1.0])
def test_a_beam_of_one_is_greedy(length_penalty):
    seeds = list(range(20))
    found = search(lambda: Toy(seeds), len(seeds), Search(beam=1, longest=9, length_penalty=length_penalty))
    for seed, (one,) in zip(seeds, found, strict=True):
        prefix: tuple[int, ...] = (seed, 0)
        while len(prefix) < 11:
            symbol = int(drawn(prefix)[0].argmax())
            if symbol == 0:
                break
            prefix = (*prefix, symbol)
        assert one.symbols == prefix[2:]


@pytest.mark.parametrize("beam", [2, 3, 5])
def test_no_score_is_below_that_of_greedy_search(beam):
    seeds = list(range(60))
    wide = search(lambda: Toy(seeds), len(seeds), Search(beam=beam, longest=8))
    greedy = search(lambda: Toy(seeds), len(seeds), Search(beam=1, longest=8))
    better = [one[0].score - other[0].score for one, other in zip(wide, greedy, strict=True)]
    assert min(better) >= 0
    assert max(better) > 0


@pytest.mark.parametrize("beam", [1, 2, 4])
def test_a_source_has_the_same_sequences_alone_and_in_any_batch_and_for_any_number_of_results(beam):
    seeds = [3, 1, 4, 1, 5, 9, 2, 6]
    longest = [2, 7, 1, 8, 2, 8, 1, 8]
    how = {"beam": beam, "length_penalty": 0.6, "coverage_penalty": 0.1}
    together = search(lambda: Toy(seeds), len(seeds), Search(best=beam, longest=longest, **how))
    for k, seed in enumerate(seeds):
        (alone,) = search(partial(Toy, [seed]), 1, Search(best=beam, longest=longest[k], **how))
        assert [one.symbols for one in alone] == [one.symbols for one in together[k]]
        assert [one.score for one in alone] == pytest.approx([one.score for one in together[k]], abs=1e-12)
        (first,) = search(partial(Toy, [seed]), 1, Search(longest=longest[k], **how))
        assert first[0].symbols == alone[0].symbols
        assert all(len(one.symbols) <= longest[k] for one in alone)


def test_equal_sequences_are_ordered_by_the_index_of_their_symbols():
    """Every symbol has the probability 1/4, and the end is symbol 0. After 1, 2 and 3 the first five of equals are
    the end of 1, then 1 1, 1 2, 1 3, and the end of 2."""
    how = Search(beam=5, best=5, longest=2, shortest=1)
    (found,) = search(lambda: Toy([0], equal=True), 1, how)
    assert [one.symbols for one in found] == [(1,), (2,), (1, 1), (1, 2), (1, 3)]
    assert [round(one.log_probability / math.log(4)) for one in found] == [-2, -2, -3, -3, -3]


class Table:
    """P of each next symbol after a prefix, as written down: {prefix: {symbol: P}}."""

    def __init__(self, table: dict[tuple[int, ...], dict[int, float]]) -> None:
        self.table = table
        self.prefixes: list[tuple[int, ...]] = [()]

    def step(self, symbols: Tensor) -> tuple[Tensor, None]:
        self.prefixes = [(*prefix, symbol) for prefix, symbol in zip(self.prefixes, symbols.tolist(), strict=True)]
        rows = [self.table.get(prefix[1:], {0: 1.0}) for prefix in self.prefixes]
        return torch.tensor([[row.get(v, 0.0) for v in range(V)] for row in rows]).double().log(), None

    def select(self, rows: Tensor) -> None:
        self.prefixes = [self.prefixes[row] for row in rows.tolist()]


def test_the_greedy_sequence_takes_part_where_the_beam_has_lost_it():
    """A beam of 2 leaves 1 for 2 1 and 2 2, each likelier than 1 3 then, and unlikelier at their end."""
    flat = {1: 0.34, 2: 0.33, 3: 0.33}
    table = {(): {1: 0.52, 2: 0.48}, (1,): flat, (2,): {1: 0.5, 2: 0.5}, (2, 1): flat, (2, 2): flat}
    (found,) = search(lambda: Table(table), 1, Search(beam=2, best=2))
    assert found[0].symbols == (1, 1)
    assert math.exp(found[0].log_probability) == pytest.approx(0.52 * 0.34)


def test_a_beam_has_one_place_less_for_each_sequence_that_ended():
    table = {(): {0: 0.5, 1: 0.3, 2: 0.2}, (1,): {1: 0.5, 2: 0.5}, (1, 1): {3: 0.9, 0: 0.1}}
    (found,) = search(lambda: Table(table), 1, Search(beam=2, best=2))
    assert [one.symbols for one in found] == [(), (1, 1, 3)], "1 2 would be likelier, and had no place"


def test_a_symbol_that_may_not_be_written_is_not():
    seeds = list(range(30))
    found = search(lambda: Toy(seeds), len(seeds), Search(beam=3, best=3, longest=6, never=(2,)))
    assert not any(2 in one.symbols for mine in found for one in mine)
    assert any(2 in one.symbols for mine in search(lambda: Toy(seeds), 30, Search(beam=3)) for one in mine)


def test_each_symbol_and_the_end_has_its_attention():
    (found,) = search(lambda: Toy([7]), 1, Search(beam=4, best=2, longest=5, shortest=2))
    for one in found:
        prefixes = [(7, 0, *one.symbols[:k]) for k in range(len(one.symbols) + 1)]
        torch.testing.assert_close(one.attention, torch.stack([drawn(prefix)[1] for prefix in prefixes]))
    ((none,),) = search(lambda: Toy([7], attends=False), 1, Search(beam=1))
    assert none.attention is None


def test_a_batch_without_sources_has_no_sequences():
    assert search(lambda: Toy([]), 0, Search()) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"beam": 2, "best": 3}, "a beam of 2 gives 1 to 2 sequences, not 3"),
        ({"length_penalty": -1.0}, "penalties of a beam search are 0 or more"),
        ({"longest": 2, "shortest": 3}, "the longest sequence must have 1 symbol or more, and the shortest, 3"),
        ({"longest": [4, 0]}, "the longest sequence must have 1 symbol or more"),
    ],
)
def test_values_that_mean_nothing_are_refused(given, said):
    with pytest.raises(ValueError, match=said):
        Search(**given)
