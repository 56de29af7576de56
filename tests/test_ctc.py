"""Networks that write while they read (CTC): loss, search, alignment and streams, against all paths of short inputs."""

from __future__ import annotations

import itertools
import math
from collections import defaultdict

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from carousel.models.ctc_alignment import aligned
from carousel.models.ctc_model import CTCModel, CTCStream, best_path, steps_needed
from carousel.models.prefix_search import PrefixSearch, _Beam, log_probabilities, prefix_search
from carousel.models.word_list import WordList

V, INPUTS = 4, 3  # symbols with the blank, and numbers of a step of a source
LENGTHS = torch.tensor([7, 2, 5, 4])
TARGETS = [[3, 1, 1], [], [2, 3], [1, 1]]
ENDED = torch.tensor([[3, 0, 2, 1], [1, -100, 3, 1], [1, -100, 0, 0], [0, -100, -100, -100]])
ALL = 4**7  # as many prefixes as there can be


class Pairwise(nn.Module):
    """Makes one step of two in a row, and of a last one alone."""

    stride, width, dropped = 2, 2 * INPUTS, True

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        x = functional.pad(x, (0, 0, 0, 0, 0, len(x) % 2))
        x = x * (torch.arange(len(x)).view(-1, 1, 1) < lengths.view(-1, 1))
        return torch.cat([x[::2], x[1::2]], -1), -(-lengths // 2)


class AsItIs(nn.Module):
    stride, width, dropped = 1, INPUTS, True

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        return x, lengths


def network(reader: nn.Module | None = None, **options) -> CTCModel:
    torch.manual_seed(0)
    return CTCModel(reader or AsItIs(), V, **{"hidden": 5} | options).double().eval()  # type: ignore[arg-type]


def sources() -> Tensor:
    return torch.randn(7, 4, INPUTS, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 3


def collapsed(path) -> tuple[int, ...]:
    return tuple(symbol for symbol, _ in itertools.groupby(path) if symbol)


def all_paths(log_p):
    """ln P of each path, with the text that it collapses to."""
    for path in itertools.product(range(log_p.shape[1]), repeat=len(log_p)):
        yield path, collapsed(path), sum(log_p[s, symbol] for s, symbol in enumerate(path))


def drawn(seed: int, steps: int | None = None, symbols: int | None = None, spread: float = 1.5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    steps, symbols = rng.integers(0, 6) if steps is None else steps, symbols or int(rng.integers(2, 4))
    return torch.from_numpy(rng.normal(size=(steps, symbols)) * spread).log_softmax(-1).numpy()


OPTIONS = [{}, {"layers": 2, "cell": "lstm"}, {"bidirectional": False}]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_the_loss_sums_all_paths_and_so_does_its_gradient(options):
    net = network(**options)
    loss = net.loss(sources(), LENGTHS, ENDED)
    mine = torch.autograd.grad(loss, list(net.parameters()))
    log_p, lengths = net(sources(), LENGTHS)
    nats = []
    for b, target in enumerate(TARGETS):
        logs = log_p[: lengths[b], b]
        fitting = [log for _, text, log in all_paths(logs) if text == tuple(target)]
        nats.append(-torch.logsumexp(torch.stack(fitting), 0))
    expected = torch.stack(nats).sum() / (sum(map(len, TARGETS)) + len(TARGETS))
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    for one, other in zip(mine, torch.autograd.grad(expected, list(net.parameters())), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("reader", [AsItIs, Pairwise])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_source_is_read_the_same_alone_and_beside_longer_ones(reader, options):
    net, x = network(reader(), **options), sources()
    together, _ = net(x, LENGTHS)
    poisoned = x.clone()
    poisoned[torch.arange(7).unsqueeze(1) >= LENGTHS] = 1e3
    for b, length in enumerate(LENGTHS.tolist()):
        alone, (steps,) = net(x[:length, b : b + 1], LENGTHS[b : b + 1])
        torch.testing.assert_close(alone[:, 0], together[: len(alone), b], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(net(poisoned, LENGTHS)[0][:steps, b], together[:steps, b], rtol=0, atol=0)


def test_a_target_that_needs_more_steps_than_there_are_is_refused_with_both_numbers():
    assert [steps_needed(np.array(text)) for text in ([], [1, 2], [1, 1], [2, 2, 2])] == [0, 2, 3, 5]
    short = torch.tensor([7, 2, 5, 2])
    with pytest.raises(ValueError, match="row 3 of the batch has 2 steps, and its target needs 3"):
        network().loss(sources(), short, ENDED)
    assert torch.isfinite(network().loss(sources(), torch.tensor([4, 0, 2, 3]), ENDED)), "a source may have no step"


# -- searches -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_a_beam_as_wide_as_all_prefixes_finds_all_texts_in_their_order(seed):
    log_p = drawn(seed)
    p: dict[tuple[int, ...], float] = defaultdict(float)
    for _, text, log in all_paths(log_p):
        p[text] += math.exp(log)
    found = prefix_search(log_p, PrefixSearch(beam=ALL, best=ALL))
    assert [one.symbols for one in found] == sorted(p, key=lambda text: -p[text])
    assert [one.log_probability for one in found] == pytest.approx([math.log(p[one.symbols]) for one in found])
    np.testing.assert_allclose(log_probabilities(log_p, list(p)), np.log(list(p.values())), rtol=1e-10)
    assert log_probabilities(log_p, [[1] * 9])[0] == -math.inf


def test_a_beam_as_wide_as_all_prefixes_holds_the_probability_of_each():
    for seed in range(12):
        log_p, beam = drawn(seed), _Beam(PrefixSearch(beam=ALL))
        for row in log_p:
            beam.step(row)
        texts = [prefix.symbols() for prefix in beam.prefixes]
        mass = np.logaddexp(beam.blank, beam.symbol)
        assert len(set(texts)) == len(texts)
        np.testing.assert_allclose(mass, log_probabilities(log_p, texts), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("beam", [1, 2, 4, 8])
def test_no_text_is_less_likely_than_that_of_the_best_path_and_none_comes_twice(beam):
    gained = 0
    for seed in range(40):
        log_p = drawn(seed, steps=12, symbols=4, spread=1.0)
        found = prefix_search(log_p, PrefixSearch(beam=beam, best=beam))
        greedy = tuple(one.symbol for one in best_path(log_p))
        logs = [one.log_probability for one in found]
        assert logs == sorted(logs, reverse=True)
        assert len({one.symbols for one in found}) == len(found)
        gained += logs[0] > log_probabilities(log_p, [greedy])[0]
        assert logs[0] >= log_probabilities(log_p, [greedy])[0]
        assert prefix_search(log_p, PrefixSearch(beam=beam)) == found[:1], "how many are asked for changes none"
    assert gained


def test_the_best_path_is_the_likeliest_symbol_of_each_step():
    path = [1, 1, 0, 1, 2, 2, 0, 0, 3]
    found = best_path(np.log(np.eye(4)[path] * 0.6 + 0.1))
    assert [(one.symbol, one.step) for one in found] == [(1, 0), (1, 3), (2, 4), (3, 8)]
    assert best_path(np.zeros((0, 4))) == []


def test_a_beam_of_one_is_the_best_path_where_every_step_is_sure():
    """P > 1/√2 at each step is enough; see the docstring of PrefixSearch. Below it a beam of one sums paths that the
    best path does not: after a blank of P 0.6 the symbol before it may still be the same one."""
    rng = np.random.default_rng(0)
    for _ in range(300):
        steps = int(rng.integers(1, 9))
        p = np.array([np.roll([1 - rest, *(rest * rng.dirichlet([0.3, 0.3]))], rng.integers(3)) for rest in
                      rng.uniform(0, 1 - math.sqrt(0.5), steps)])  # fmt: skip
        (one,) = prefix_search(np.log(p + 1e-30), PrefixSearch(beam=1))
        assert one.symbols == tuple(emission.symbol for emission in best_path(np.log(p + 1e-30)))
    unsure = np.log([[0.4, 0.6], [0.6, 0.4], [0.45, 0.55]])
    assert [one.symbol for one in best_path(unsure)] == [1, 1]
    assert prefix_search(unsure, PrefixSearch(beam=1))[0].symbols == (1,)


def test_symbols_that_may_not_be_written_are_not():
    for seed in range(10):
        log_p = drawn(seed, steps=6, symbols=4)
        found = prefix_search(log_p, PrefixSearch(beam=8, best=8, never=(2,)))
        assert found
        assert not any(2 in one.symbols for one in found)
    assert prefix_search(np.full((3, 2), np.nan), PrefixSearch()) == [], "numbers that are none have no text"
    with pytest.raises(ValueError, match="a beam of 2 gives 1 to 2 texts, not 3"):
        PrefixSearch(beam=2, best=3)


@pytest.mark.parametrize("separator", [3, None])
def test_a_word_list_leaves_the_likeliest_of_its_texts(separator):
    words = [[1, 2], [2], [1, 1]]
    between = [] if separator is None else [separator]

    def spelled(text: tuple[int, ...], first: bool = True) -> bool:
        if not text:
            return first
        ways = [[*([] if first else between), *word] for word in words]
        return any(text[: len(w)] == tuple(w) and (len(w) == len(text) or spelled(text[len(w) :], False)) for w in ways)

    for seed in range(8):
        log_p = drawn(seed, steps=5, symbols=4)
        p: dict[tuple[int, ...], float] = defaultdict(float)
        for _, text, log in all_paths(log_p):
            if spelled(text):
                p[text] += math.exp(log)
        found = prefix_search(log_p, PrefixSearch(beam=ALL, best=ALL, words=WordList(words, separator)))
        assert [one.symbols for one in found] == sorted(p, key=lambda text: -p[text])
        (narrow,) = prefix_search(log_p, PrefixSearch(beam=1, words=WordList(words, separator)))
        assert spelled(narrow.symbols), "a word that is not complete is left away"
    with pytest.raises(ValueError, match="a word of a word list has a symbol or more"):
        WordList([[]], None)


# -- when a symbol was written, and as sound arrives ----------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_an_alignment_is_the_likeliest_path_of_its_text(seed):
    log_p = drawn(seed)
    best: dict[tuple[int, ...], float] = defaultdict(lambda: -math.inf)
    for _, text, log in all_paths(log_p):
        best[text] = max(best[text], log)
    for text, log in best.items():
        spans, path = aligned(log_p, text), np.zeros(len(log_p), np.int64)
        for (first, after), symbol in zip(spans, text, strict=True):
            path[first:after] = symbol
        assert collapsed(path) == text
        assert log_p[np.arange(len(path)), path].sum() == pytest.approx(log, abs=1e-12)
    with pytest.raises(ValueError, match="a text of 2 symbols needs 3 steps, not 2"):
        aligned(drawn(0, steps=2), [1, 1])


@pytest.mark.parametrize("reader", [AsItIs, Pairwise])
@pytest.mark.parametrize("pieces", [[1] * 41, [3, 0, 17, 2, 19], [41]])
def test_a_stream_writes_what_the_whole_source_gives(reader, pieces):
    net = network(reader(), bidirectional=False, layers=2)
    nn.init.normal_(net.head.weight, std=3)
    nn.init.zeros_(net.head.bias)
    x = np.random.default_rng(2).normal(size=(sum(pieces), INPUTS)) * 4
    stream, found = CTCStream(net), []
    for piece in np.split(x, np.cumsum(pieces)[:-1]):
        found += stream.push(piece)
    found += stream.finish()
    with torch.no_grad():
        log_p, _ = net(torch.from_numpy(x).unsqueeze(1), torch.tensor([len(x)]))
    assert found == best_path(log_p[:, 0].numpy())
    assert 1 < len(found) < len(log_p), "the toy writes symbols and blanks"
    assert stream._waiting is None
    with pytest.raises(ValueError, match="needs the end of a sequence before its first step"):
        CTCStream(network())
