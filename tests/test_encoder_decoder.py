"""The network that reads one sequence and writes another: its equations, padding, and what it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from carousel.models.attention import SCORES, GlobalAttention
from carousel.models.beam_search import Search, search
from carousel.models.encoder_decoder import PADDING, Decoding, EncoderDecoder
from carousel.models.source_readers import SymbolReader

S, B, V, H, E = 5, 4, 7, 6, 3
LENGTHS = torch.tensor([5, 1, 3, 2])


def network(seed: int = 0, **options) -> EncoderDecoder:
    torch.manual_seed(seed)
    return EncoderDecoder(SymbolReader(9, 4), V, **{"hidden": H, "embedding": E} | options).double().eval()


def sources() -> Tensor:
    x = torch.randint(1, 9, (S, B), generator=torch.Generator().manual_seed(1))
    return x


def targets() -> Tensor:
    y = torch.tensor([[3, 1, 0, PADDING], [0, PADDING, PADDING, PADDING], [2, 2, 5, 0], [6, 0, PADDING, PADDING]])
    return y.T.contiguous()


FORMS = [
    *({"form": "attention", "attention_score": score} for score in SCORES),
    {"form": "summary"},
    {"cell": "lstm", "layers": 2, "bidirectional": False},
    {"tied": False, "cell": "rnn"},
]


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_a_source_is_read_the_same_alone_and_beside_longer_ones(options):
    net = network(**options)
    x, y = sources(), targets()
    together = net(x, LENGTHS, torch.cat([torch.zeros(1, B, dtype=torch.int64), y[:-1]]).clamp(min=0))
    poisoned = x.clone()
    poisoned[torch.arange(S).unsqueeze(1) >= LENGTHS] = 8
    assert torch.equal(net.encode(x, LENGTHS).summary, net.encode(poisoned, LENGTHS).summary)
    for b, length in enumerate(LENGTHS.tolist()):
        n = int((y[:, b] != PADDING).sum())
        before = torch.cat([torch.zeros(1, dtype=torch.int64), y[: n - 1, b]]).unsqueeze(1)
        alone = net(x[:length, b : b + 1], LENGTHS[b : b + 1], before)
        torch.testing.assert_close(alone[:, 0], together[:n, b], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_writing_symbol_by_symbol_gives_the_scores_of_one_scan(options):
    net, y = network(**options), targets()
    memory = net.encode(sources(), LENGTHS)
    before = torch.cat([torch.zeros(1, B, dtype=torch.int64), y[:-1]]).clamp(min=0)
    scores, _, weights = net.decode(memory, before, net.first_states(memory))
    decoding = Decoding(net, memory)
    for t in range(len(y)):
        logs, attended = decoding.step(before[t])
        torch.testing.assert_close(logs, scores[t].log_softmax(-1), rtol=1e-12, atol=1e-12)
        assert (attended is None) == (weights is None)
        if attended is not None:
            torch.testing.assert_close(attended, weights[:, t], rtol=1e-12, atol=1e-12)
    decoding.select(torch.tensor([2, 0]))
    assert decoding.step(torch.tensor([1, 1]))[0].shape == (2, V)


@pytest.mark.parametrize("score", SCORES)
def test_attention_computes_what_luong_et_al_wrote(score):
    """Equations 7 and 8, query by query and step by step, in NumPy."""
    torch.manual_seed(0)
    M = H if score == "dot" else 4
    attention = GlobalAttention(H, M, score).double()
    h, memory = torch.randn(2, 3, H).double(), torch.randn(2, S, M).double()
    present = torch.tensor([[True] * S, [True, True, False, False, False]])
    c, a = attention(h, attention.keys(memory), memory, present)
    weights = {name: value.detach().numpy() for name, value in attention.state_dict().items()}

    def scored(query, step):
        if score == "dot":
            return query @ step
        if score == "general":
            return query @ weights["keys.weight"] @ step
        return weights["v.weight"][0] @ np.tanh(weights["keys.weight"] @ step + weights["queries.weight"] @ query)

    for b in range(2):
        real = memory[b, present[b]].numpy()
        for t in range(3):
            powers = np.exp([scored(h[b, t].numpy(), step) for step in real])
            expected = powers / powers.sum()
            np.testing.assert_allclose(a[b, t].detach().numpy()[: len(real)], expected, rtol=1e-12)
            np.testing.assert_allclose(c[b, t].detach().numpy(), expected @ real, rtol=1e-12)
    assert not a[1, :, 2:].any()
    empty, _ = attention(h, attention.keys(memory), memory, torch.zeros(2, S, dtype=torch.bool))
    assert not empty.any()


def test_the_summary_is_the_first_state_and_stands_beside_every_input():
    """Cho et al. 2014: a change of C changes the scores of every step; the steps of the source are not read again."""
    net = network(form="summary")
    memory = net.encode(sources(), LENGTHS)
    assert torch.equal(net.first_states(memory)[0][0], memory.summary)
    before = torch.ones(3, B, dtype=torch.int64)
    memory.steps.data.fill_(float("nan"))
    scores, _, weights = net.decode(memory, before, net.decoder.fresh_states(B))
    assert scores.isfinite().all()
    assert weights is None
    other = net.encode(sources() % 8 + 1, LENGTHS)
    changed, _, _ = net.decode(other, before, net.decoder.fresh_states(B))
    assert ((changed - scores).abs().amax((1, 2)) > 1e-4).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_the_loss_is_the_mean_over_real_symbols(smoothing):
    net, y = network(), targets()
    logs = net(sources(), LENGTHS, torch.cat([torch.zeros(1, B, dtype=torch.int64), y[:-1]]).clamp(min=0))
    logs = logs.log_softmax(-1)
    each = [
        -(1 - smoothing) * logs[t, b, y[t, b]] - smoothing * logs[t, b].mean()
        for t in range(len(y)) for b in range(B) if y[t, b] != PADDING
    ]  # fmt: skip
    loss = net.loss(sources(), LENGTHS, y, label_smoothing=smoothing)
    torch.testing.assert_close(loss, torch.stack(each).mean(), rtol=1e-12, atol=1e-12)


def test_scheduled_sampling_reads_what_the_network_drew():
    """With the probability 1 the true symbols are targets only; with 0 nothing is drawn."""
    net, x, y = network(tied=False), sources(), targets()
    torch.manual_seed(0)
    state = torch.get_rng_state()
    net.loss(x, LENGTHS, y)
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        net.embedding.weight.mul_(10)  # what was read decides what is likely then,
        net.output.mul_(1e6)  # and what is drawn is certain
    before = torch.cat([torch.zeros(1, B, dtype=torch.int64), y[:-1]]).clamp(min=0)
    drawn = net(x, LENGTHS, before).argmax(-1)
    assert len(drawn.unique()) > 2
    scores = net(x, LENGTHS, torch.cat([before[:1], drawn[:-1]]))
    expected = functional.cross_entropy(scores.flatten(0, 1), y.flatten(), ignore_index=PADDING)
    torch.testing.assert_close(net.loss(x, LENGTHS, y, sampling=1.0), expected)


@pytest.mark.parametrize("form", ["attention", "summary"])
def test_it_learns_to_reverse(form):
    torch.manual_seed(0)
    net = EncoderDecoder(SymbolReader(6, 12), 6, hidden=24, embedding=12, form=form)
    x = torch.randint(1, 6, (2, 32))
    y = torch.cat([x.flip(0), torch.zeros(1, 32, dtype=torch.int64)])
    lengths = torch.full((32,), 2)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.03)
    for _ in range(60):
        optimizer.zero_grad()
        net.loss(x, lengths, y).backward()
        optimizer.step()
    net.eval()
    with torch.no_grad():
        found = search(lambda: Decoding(net, net.encode(x, lengths)), 32, Search(beam=2, longest=8))
    right = sum(one[0].symbols == tuple(y[:-1, b].tolist()) for b, one in enumerate(found))
    assert right == 32


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"form": "sum"}, "there is no form 'sum' of an encoder-decoder; there are attention, summary"),
        ({"attention_score": "cosine"}, "there is no attention score 'cosine'; there are general, dot, concat"),
    ],
)
def test_unknown_choices_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        network(**options)
    with pytest.raises(ValueError, match="has 6 units and the steps of the source have 4: choose general"):
        GlobalAttention(6, 4, "dot")
