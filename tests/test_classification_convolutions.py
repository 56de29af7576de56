"""Convolutions beside a recurrence, time warping, nearest neighbours: each against an independent statement."""

import math
from itertools import product

import numpy as np
import pytest
import torch

from carousel.models import Ensemble, LabelModel
from carousel.models.convolutions import KERNELS, Convolutions, MaskedNorm
from carousel.models.places import stretched
from carousel.page.readers.label_measures import log_odds, pushed
from carousel.tasks.chance import by_chance
from carousel.tasks.classification import choices, neighbours, verdict
from carousel.tasks.classification.augmentation import Augmentation, warped
from carousel.tasks.classification.settings import Settings
from carousel.tasks.sequences.metrics import evaluate

LENGTHS = torch.tensor([17, 0, 1, 8, 17, 4])
FORMS = [(stride, causal) for stride in (1, 3) for causal in (False, True)]


def begun(stride: int, causal: bool, inputs: int = 2, channels: int = 4) -> Convolutions:
    """With statistics and weights that are none of those it begins with."""
    torch.manual_seed(0)
    made = Convolutions(inputs, channels, stride=stride, causal=causal)
    for norm in made.norms:
        torch.nn.init.normal_(norm.weight, 1.0, 0.2)  # type: ignore[arg-type]
        torch.nn.init.normal_(norm.bias, 0.0, 0.2)  # type: ignore[arg-type]
        norm.running_mean.normal_(0, 0.2)
        norm.running_variance.uniform_(0.5, 2.0)
    return made.eval()


def by_hand(model: Convolutions, e: np.ndarray, stride: int, causal: bool) -> np.ndarray:
    """The docstring of Convolutions, sum by sum, for one sequence (T, I), in float64."""
    a = e.astype(np.float64)
    if not len(a):
        return np.zeros(3 * model.convolutions[0].out_channels)
    for k, (convolution, norm) in enumerate(zip(model.convolutions, model.norms, strict=True)):
        w = convolution.weight.detach().double().numpy()  # (C, I, K)
        size, hop = KERNELS[k] * (stride if k == 0 else 1), stride if k == 0 else 1
        left = size - 1 if causal else (size - 1) // 2
        mean, variance = norm.running_mean.double().numpy(), norm.running_variance.double().numpy()
        weight, bias = norm.weight.detach().double().numpy(), norm.bias.detach().double().numpy()
        frames = []
        for j in range(math.ceil(len(a) / hop)):
            total = np.zeros(len(w))
            for i in range(size):
                if 0 <= j * hop + i - left < len(a):
                    total += w[:, :, i] @ a[j * hop + i - left]
            frames.append(np.maximum(0, weight * (total - mean) / np.sqrt(variance + 1e-5) + bias))
        a = np.array(frames)
    return np.concatenate([a.mean(0), a.max(0), (1 / (1 + np.exp(-4 * (a - 0.5)))).mean(0)])


@pytest.mark.parametrize(("stride", "causal"), FORMS)
def test_convolutions_are_their_formula_for_each_row_of_a_ragged_batch(stride: int, causal: bool) -> None:
    model = begun(stride, causal)
    e = torch.randn(17, len(LENGTHS), 2)  # padding holds what must not be seen
    whole = model(e, LENGTHS).detach().numpy()
    for row, n in enumerate(LENGTHS.tolist()):
        # float32 sums of up to 24 products, three times over.
        np.testing.assert_allclose(whole[row], by_hand(model, e[:n, row].numpy(), stride, causal), atol=2e-6)


@pytest.mark.parametrize("stride", [1, 3])
def test_a_sequence_that_arrives_gets_at_every_step_what_its_beginning_gets(stride: int) -> None:
    model = begun(stride, causal=True)
    e, running = torch.randn(20, 1, 2), model.running()
    for n in range(21):
        np.testing.assert_allclose(running.value(), model(e[:n], torch.tensor([n])).detach(), atol=2e-6)
        if n < 20:
            running.push(e[n, 0])


def test_stretched_sequences_have_their_ends_and_are_read_as_what_they_were_stretched_to() -> None:
    e, lengths = torch.randn(17, len(LENGTHS), 2), LENGTHS
    longer, real = stretched(e, lengths, 12)
    assert real.tolist() == [12, 0, 12, 12, 12, 12]
    for row, n in enumerate(lengths.tolist()):
        if n:
            places = np.linspace(0, n - 1, 12)
            expected = [np.interp(places, np.arange(n), e[:n, row, k]) for k in range(2)]
            np.testing.assert_allclose(longer[:, row].T, expected, atol=1e-5)
    model = begun(3, causal=False)
    model.points = 12
    whole = model(e, lengths).detach()
    for row, n in enumerate(lengths.tolist()):
        alone = model(e[:n, row : row + 1], lengths[row : row + 1]).detach()[0]
        np.testing.assert_allclose(whole[row], alone, atol=2e-6)
    with pytest.raises(ValueError, match="its end is not known"):
        Convolutions(2, 4, causal=True, points=8)


def test_convolutions_that_reach_ahead_follow_nothing_that_arrives() -> None:
    with pytest.raises(ValueError, match="steps that have not arrived"):
        Convolutions(2, 4).running()
    with pytest.raises(ValueError, match="a stride of 1 or more, not 4 and 0"):
        Convolutions(2, 4, stride=0)


def test_the_masked_norm_is_torchs_over_the_steps_that_are_real() -> None:
    ours, theirs = MaskedNorm(3), torch.nn.BatchNorm1d(3, momentum=0.1)
    x = torch.randn(4, 3, 9)
    present = torch.arange(9) < torch.tensor([9, 2, 5, 0]).unsqueeze(1)
    real = x.transpose(1, 2)[present]
    np.testing.assert_allclose(
        ours(x, present.unsqueeze(1)).transpose(1, 2)[present].detach(), theirs(real).detach(), atol=1e-6
    )
    np.testing.assert_allclose(ours.running_mean, real.mean(0), atol=1e-6)
    np.testing.assert_allclose(ours.running_variance, real.var(0, unbiased=False), atol=1e-6)
    before = ours.running_mean.clone()
    ours(x + 1, present.unsqueeze(1))
    np.testing.assert_allclose(ours.running_mean, 0.9 * before + 0.1 * (real.mean(0) + 1), atol=1e-6)
    assert ours(x[:1, :, :1], present[:1, None, :1]).isfinite().all(), "one step is a batch too"


@pytest.mark.parametrize("stride", [1, 3])
def test_networks_with_convolutions_stream_exactly(stride: int) -> None:
    torch.manual_seed(1)
    members = [LabelModel(4, inputs=3, convolutions=5, stride=stride, hidden=6, bidirectional=False) for _ in range(2)]
    network = Ensemble(members).train()
    network(torch.randn(20, 6, 3), torch.tensor([20, 7, 0, 1, 2, 13]))
    network.eval()
    x, arriving = torch.randn(20, 1, 3), network.arriving()
    for n in range(20):
        arriving.push(x[n].numpy())
        whole = network(x[: n + 1], torch.tensor([n + 1]))[0]
        np.testing.assert_allclose(arriving.log_probabilities(), whole.detach(), atol=2e-6)


def test_what_moves_an_answer_goes_through_the_convolutions_too() -> None:
    """Against differences, in float64, of a network whose recurrence does not reach its head."""
    torch.manual_seed(0)
    model = LabelModel(3, inputs=2, convolutions=4, hidden=2).double().eval()
    with torch.no_grad():
        model.head.weight[:, :4] = 0
    x, lengths, classes = torch.randn(6, 1, 2, dtype=torch.float64), torch.tensor([6]), torch.tensor([1])
    expected = np.zeros((6, 2))
    with torch.no_grad():
        for t in range(6):
            for i in range(2):
                push = torch.zeros_like(x)
                push[t, 0, i] = 1e-6
                up, down = (log_odds(model(x + side * push, lengths), classes).item() for side in (1, -1))
                expected[t, i] = (up - down) / 2e-6
    found = pushed(model, x, lengths, classes)[:, 0]
    np.testing.assert_allclose(found, np.linalg.norm(expected, axis=1), atol=1e-7)
    assert found.min() > 0


@pytest.mark.parametrize(
    ("lengths", "kind", "options", "expected"),
    [
        ([24] * 5, "series", {}, {"stride": 1, "points": 0}),
        ([150] * 5, "series", {}, {"stride": 2, "points": 0}),
        ([29, 146, 263], "series", {}, {"stride": 2, "points": 146}),
        ([29, 146, 263], "series", {"bidirectional": False}, {"stride": 2, "points": 0}),
        ([400, 500, 600], "audio", {}, {"stride": 8, "points": 0}),
        ([1], "series", {}, {"stride": 1, "points": 0}),
    ],
)
def test_what_the_convolutions_read_follows_the_lengths(lengths, kind, options, expected) -> None:
    assert choices.frames(Settings(**options), kind, np.array(lengths)) == expected


def test_few_series_are_learnt_in_as_many_updates_whatever_their_number() -> None:
    def epochs(count: int, length: int, kind: str = "series") -> float | None:
        return choices.resolved(Settings(), kind, np.full(count, length), 1).epochs

    assert (epochs(40, 100), epochs(50, 361), epochs(450, 20)) == (80, 42, 30)
    assert epochs(600, 20) == 50
    assert epochs(160, 500, "audio") == 30
    assert choices.resolved(Settings(epochs=3), "series", np.full(40, 100), 1).epochs == 3


# -- time warping ---------------------------------------------------------------------------------------------------


def test_warped_sequences_keep_their_ends_their_order_and_what_is_between() -> None:
    torch.manual_seed(0)
    e = torch.arange(40.0).reshape(-1, 1, 1).expand(40, 5, 2).clone()
    lengths = torch.tensor([40, 1, 0, 2, 25])
    same, unchanged = warped(e, lengths, bend=0.0, pace=0.0)
    assert unchanged.tolist() == lengths.tolist()
    np.testing.assert_allclose(same[:25, 4], e[:25, 4], atol=1e-4)
    for _ in range(20):
        moved, new = warped(e, lengths, bend=0.5, pace=0.3)
        assert new[1:3].tolist() == [1, 0]
        for row in (0, 3, 4):
            one = moved[: new[row], row, 0]
            assert one[0] == 0
            assert abs(one[-1] - (lengths[row] - 1)) < 1e-3
            assert (one.diff() > 0).all()
            assert (moved[new[row] :, row] == 0).all()
    changed, _ = Augmentation(size=0.5).of_steps(e, lengths)
    ratio = changed[1:, 0] / e[1:, 0]
    np.testing.assert_allclose(ratio, ratio[:1].expand_as(ratio), rtol=1e-5)


# -- nearest neighbours ---------------------------------------------------------------------------------------------


def warped_by_hand(x: np.ndarray, y: np.ndarray) -> float:
    s, t = len(x), len(y)
    width = max(neighbours.BAND, 1 / min(s, t)) + 1e-9
    d = np.full((s + 1, t + 1), np.inf)
    d[0, 0] = 0
    for i in range(1, s + 1):
        for j in range(1, t + 1):
            if abs(i / s - j / t) <= width:
                d[i, j] = ((x[i - 1] - y[j - 1]) ** 2).sum() + min(d[i - 1, j], d[i, j - 1], d[i - 1, j - 1])
    return float(d[s, t])


def test_warped_distances_are_the_recursion(monkeypatch) -> None:
    monkeypatch.setattr(neighbours, "PAIRS", 7)
    chance = np.random.default_rng(0)
    first = [chance.normal(size=(n, 2)) for n in (1, 5, 12, 30)]
    second = [chance.normal(size=(n, 2)) for n in (1, 2, 14, 29, 30)]
    expected = [[warped_by_hand(x, y) for y in second] for x in first]
    np.testing.assert_allclose(neighbours.warped(first, second), expected, rtol=1e-9)


def test_a_neighbour_is_sought_among_what_the_network_learns_from() -> None:
    """Each sequence has a twin in its own fold, of another class, and its like in the other fold."""
    chance = np.random.default_rng(0)
    shapes = chance.normal(size=(2, 60, 1))
    sequences = [shapes[k] + 0.01 * chance.normal(size=(60, 1)) for k in (0, 1, 0, 1)]
    sequences = [*sequences, sequences[0], sequences[1]]
    truth, folds = np.array([0, 1, 0, 1, 1, 0]), np.array([0, 0, 1, 1, 0, 0])
    found = neighbours.of_held_out(sequences, truth, folds, symbolic=False, seed=0)
    assert found.judged.tolist() == [0, 1, 2, 3, 4, 5]
    assert found.answers[[0, 1, 4, 5]].tolist() == [0, 1, 0, 1]
    words = [np.array(one) for one in ([1, 2, 0], [3, 4, 0], [2, 1, 1, 0], [4, 0, 0, 3])]
    near = neighbours.of_held_out(words, truth[:4], folds[:4], symbolic=True, seed=0)
    assert near.right(truth[:4]).all()


def test_a_difference_by_chance_is_counted_out() -> None:
    """Against all 2^d ways in which the sequences that one alone has right may fall to either."""
    for d in range(9):
        for theirs in range(d + 1):
            first, second = np.arange(d) >= theirs, np.arange(d) < theirs
            agreed = np.array([True, False, True])
            ways = [sum(way) for way in product((0, 1), repeat=d)]
            as_far = np.mean([abs(2 * of - d) >= abs(2 * theirs - d) for of in ways])
            found = by_chance(np.append(first, agreed), np.append(second, agreed))
            assert found == pytest.approx(as_far, rel=1e-12)
    many = np.arange(4000) < 1900
    assert by_chance(many, ~many) == pytest.approx(math.erfc(99.5 / math.sqrt(2000)), rel=0.01)


@pytest.mark.parametrize(
    ("neighbour", "rocket", "said"),
    [
        # Of 40 sequences, of which the model has 30 right: how many of those and of the other ten a baseline has right.
        ((20, 0), (30, 9), "loses to MiniRocket: it has 9 fewer of 40 sequences right, 22.5 points (p = 0.0039 by"),
        (
            (20, 0),
            (30, 2),
            "is level with MiniRocket: it has 2 fewer of 40 sequences right, which may be chance",
        ),
        (
            (20, 0),
            (25, 5),
            "is level with MiniRocket: both have equally many of 40 sequences right; train",
        ),
        (
            (28, 0),
            (20, 0),
            "is level with 1-nearest neighbour: it has 2 more of 40 sequences right, which may be",
        ),
        (
            (20, 0),
            (10, 0),
            "is better than 1-nearest neighbour: it has 10 more of 40 sequences right, 25.0 points",
        ),
    ],
)
def test_the_verdict_names_the_best(neighbour: tuple[int, int], rocket: tuple[int, int], said: str) -> None:
    truth, right = np.array([0, 1] * 20), np.arange(40) < 30
    logs = np.log(np.where(np.eye(2)[np.where(right, truth, 1 - truth)] > 0, 0.9, 0.1))
    place = np.arange(40)
    result = evaluate(truth, logs, ("a", "b"), 0)
    baselines = [
        verdict.BaselineScore(name, place, (place < here) | ((place >= 30) & (place < 30 + beyond)), "that")
        for name, (here, beyond) in (("1-nearest neighbour", neighbour), ("MiniRocket", rocket))
    ]
    lines = list(verdict.said(result, right, baselines, advice="train for longer"))
    assert lines[:2] == [f"{one.name}: {one.accuracy:.1%} on the same sequences" for one in baselines]
    assert lines[2].startswith(f"the model {said}")
    assert ("may be chance" in lines[2]) == ("may be" in said)
    few = verdict.BaselineScore("MiniRocket", place[25:35], np.full(10, True), "that")  # five more of ten, p = 1/16
    share, found = verdict.said(result, right, [few], advice="train for longer")
    assert share == "MiniRocket: 100.0% on 10 of them"
    assert found.startswith("the model is level with MiniRocket: it has 5 fewer of 10 sequences right, which may be")
