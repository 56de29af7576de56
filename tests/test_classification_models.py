"""The parts of a classifier against independent statements: log-mel frames, pooling, metrics, splits, front ends."""

import math
from collections import Counter
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.errors import DataError
from carousel.models import Ensemble, LabelModel, LogMel
from carousel.models.pooling import HEADS
from carousel.tasks.classification.arrays import from_python
from carousel.tasks.classification.augmentation import Augmentation
from carousel.tasks.classification.learning import Learning
from carousel.tasks.sequences import front_ends
from carousel.tasks.sequences.metrics import evaluate
from carousel.tasks.sequences.recordings import Sound
from carousel.tasks.sequences.splits import folds, held_out
from carousel.tasks.sequences.steps import StoredSteps

# -- log-mel --------------------------------------------------------------------------------------------------------


def log_mel_by_the_formula(x: np.ndarray, rate: int, bands: int) -> np.ndarray:
    """The docstring of LogMel, sum by sum, in float64."""
    width, hop = round(0.025 * rate), round(0.010 * rate)
    size = 1
    while size < 2 * width:
        size *= 2
    hann = [0.5 - 0.5 * math.cos(2 * math.pi * j / width) for j in range(width)]

    def mel(f: float) -> float:
        return 2595 * math.log10(1 + f / 700)

    def hertz(m: float) -> float:
        return 700 * (10 ** (m / 2595) - 1)

    low, high = mel(20.0), mel(rate / 2)
    point = [hertz(low + (high - low) * b / (bands + 1)) for b in range(bands + 2)]
    x = np.concatenate([x, np.zeros(max(0, width - len(x)))])
    frames = []
    for start in range(0, len(x) - width + 1, hop):
        piece = np.array([hann[j] * x[start + j] for j in range(width)])
        energies = []
        for b in range(bands):
            total = 0.0
            for k in range(size // 2 + 1):
                f = k * rate / size
                rising = (f - point[b]) / (point[b + 1] - point[b])
                falling = (point[b + 2] - f) / (point[b + 2] - point[b + 1])
                if (weight := min(rising, falling)) > 0:
                    angle = -2 * math.pi * k / size * np.arange(width)
                    total += weight * ((piece * np.cos(angle)).sum() ** 2 + (piece * np.sin(angle)).sum() ** 2)
            energies.append(math.log(total + 1e-6))
        frames.append(energies)
    return np.array(frames)


@pytest.mark.parametrize(("rate", "samples"), [(8000, 500), (8000, 150), (11_025, 700)])
def test_log_mel_is_its_formula(rate: int, samples: int) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, samples).astype(np.float32)
    ours = LogMel(rate, bands=12)(torch.from_numpy(x)).numpy()
    # float32 sums of some 200 products; the logarithm turns relative errors into absolute ones.
    np.testing.assert_allclose(ours, log_mel_by_the_formula(x, rate, 12), atol=1e-4)


def test_log_mel_of_silence_nothing_and_too_many_bands() -> None:
    mel = LogMel(8000)
    assert torch.allclose(mel(torch.zeros(400)), torch.full((3, 40), math.log(1e-6)))
    assert mel(torch.zeros(0)).shape == (0, 40)
    with pytest.raises(ValueError, match="400 mel bands are too many for a rate of 8000 Hz"):
        LogMel(8000, bands=400)


# -- pooling and the network ----------------------------------------------------------------------------------------


def pooled_by_hand(name: str, pooling, h: np.ndarray) -> np.ndarray:
    """h: (T, W) of one sequence, float64."""
    if len(h) == 0:
        return np.zeros(h.shape[1])
    if name == "last":
        return h[-1]
    if name == "mean":
        return h.sum(0) / len(h)
    if name == "max":
        return h.max(0)
    w, b = (p.detach().double().numpy() for p in pooling.hidden.parameters())
    u = pooling.context.weight.detach().double().numpy()[0]
    weights = np.exp([u @ np.tanh(w @ step + b) for step in h])
    return (weights[:, None] * h).sum(0) / weights.sum()


@pytest.mark.parametrize("name", HEADS)
def test_pooling_whole_and_running_are_the_formula(name: str) -> None:
    pooling = HEADS[name](3)
    lengths = torch.tensor([5, 0, 2])
    outputs = torch.randn(5, 3, 3)
    present = torch.arange(5).unsqueeze(1) < lengths
    final = torch.stack([outputs[max(0, n - 1), row] for row, n in enumerate(lengths)])
    whole = pooling(outputs, final, present)
    for row, n in enumerate(lengths.tolist()):
        expected = pooled_by_hand(name, pooling, outputs[:n, row].double().numpy())
        np.testing.assert_allclose(whole[row].detach(), expected, atol=1e-6)
        running = pooling.running(1)
        for step in outputs[:n, row : row + 1]:
            running.push(step)
        np.testing.assert_allclose(running.value()[0].detach(), expected, atol=1e-6)


def test_attention_stays_finite_where_weights_are_far_apart() -> None:
    pooling = HEADS["attention"](2)
    torch.nn.init.constant_(pooling.context.weight, 1e4)  # type: ignore[arg-type]
    running = pooling.running(1)
    for step in torch.randn(20, 1, 2):
        running.push(step)
        assert running.value().isfinite().all()


MODELS = [
    {"head": head, "cell": cell, "bidirectional": both, "layers": layers}
    for head, cell, both, layers in [
        ("last", "lstm", True, 2),
        ("mean", "gru", False, 1),
        ("max", "rnn", True, 1),
        ("attention", "gru", True, 2),
        ("last", "gru", False, 2),
    ]
]


@pytest.mark.parametrize("options", MODELS, ids=str)
@settings(max_examples=5)
@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5), padding=st.integers(0, 4), seed=st.integers(0, 99))
def test_a_row_never_sees_another_nor_its_padding(options: dict, lengths: list[int], padding: int, seed: int) -> None:
    torch.manual_seed(seed)
    network = Ensemble([LabelModel(3, inputs=2, hidden=4, **options) for _ in range(2)]).eval()
    steps = max(lengths) + padding
    batch = torch.full((steps, len(lengths), 2), 1e3)  # what stands in the padding must not matter
    alone = []
    for row, length in enumerate(lengths):
        x = torch.randn(length, 1, 2)
        batch[:length, row] = x[:, 0]
        alone.append(network(x, torch.tensor([length]))[0])
    together = network(batch, torch.tensor(lengths))
    torch.testing.assert_close(together, torch.stack(alone), rtol=0, atol=2e-6)
    torch.testing.assert_close(together.exp().sum(1), torch.ones(len(lengths)))


@pytest.mark.parametrize("options", [o for o in MODELS if not o["bidirectional"]] + [{"head": "max"}, {}], ids=str)
@pytest.mark.parametrize("symbolic", [False, True])
def test_arriving_step_by_step_is_reading_the_beginning(options: dict, symbolic: bool) -> None:
    size: dict[str, Any] = {"symbols": 7} if symbolic else {"inputs": 2}
    network = Ensemble([LabelModel(3, hidden=4, **size, **options) for _ in range(2)]).eval()
    x = np.random.default_rng(0).integers(0, 7, 12) if symbolic else np.random.default_rng(0).normal(size=(12, 2))
    x = x if symbolic else x.astype(np.float32)
    reader = network.arriving()
    for t in range(len(x) + 1):
        whole = network(torch.from_numpy(x[:t]).unsqueeze(1), torch.tensor([t]))[0]
        torch.testing.assert_close(reader.log_probabilities(), whole, rtol=0, atol=2e-6)
        if t < len(x):
            reader.push(x[t : t + 1])


def test_the_ensemble_averages_probabilities() -> None:
    network = Ensemble([LabelModel(3, inputs=2, hidden=4) for _ in range(3)]).eval()
    x, lengths = torch.randn(5, 2, 2), torch.tensor([5, 3])
    mean = sum(torch.softmax(member(x, lengths), -1) for member in network.members) / 3
    torch.testing.assert_close(network(x, lengths).exp(), mean)


def test_standardising_leaves_a_constant_channel_alone() -> None:
    model = LabelModel(2, inputs=2)
    model.standardize_on([np.array(a, np.float32) for a in ([[0, 7.3], [2, 7.3]], [[4, 7.3]])])
    e = model.read(torch.tensor([[4.0, 7.3]]))
    np.testing.assert_allclose(e, [[2 / math.sqrt(8 / 3), 0.0]], atol=1e-5)


def test_a_model_reads_numbers_or_symbols_with_a_head_that_there_is() -> None:
    with pytest.raises(ValueError, match="give inputs or symbols"):
        LabelModel(2)
    with pytest.raises(ValueError, match="there is no head 'median'"):
        LabelModel(2, inputs=1, head="median")


# -- metrics --------------------------------------------------------------------------------------------------------


def test_metrics_by_hand() -> None:
    told = np.array([0, 0, 1, 1, 2, 0])
    logs = np.log(np.eye(3)[told] * 0.7 + 0.1)
    result = evaluate([0, 1, 1, 1, 2, 2], logs, ("a", "b", "c"), commonest=1)
    assert result.confusion.tolist() == [[1, 0, 0], [1, 2, 0], [1, 0, 1]]
    assert result.accuracy == pytest.approx(4 / 6)
    assert [(one.precision, one.recall) for one in result.by_class] == [(1 / 3, 1.0), (1.0, 2 / 3), (1.0, 0.5)]
    assert result.macro_f1 == pytest.approx((2 * 1 / 4 + 2 * 2 / 5 + 2 * 1 / 3) / 3)
    assert result.baseline == pytest.approx(3 / 6)
    assert result.nats == pytest.approx(-(4 * math.log(0.8) + 2 * math.log(0.1)) / 6)


def test_a_class_that_the_model_does_not_know_is_always_wrong() -> None:
    result = evaluate([0, 2], np.log([[0.9, 0.1], [0.5, 0.5]]), ("a", "b", "new"), commonest=0)
    assert result.accuracy == 0.5
    assert math.isinf(result.nats)
    assert result.by_class[2].recall == 0.0


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_metrics_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, told = map(list, zip(*pairs, strict=True))
    result = evaluate(truth, np.log(np.eye(4)[told] * 0.6 + 0.1), tuple(range(4)), commonest=0)
    assert result.accuracy == pytest.approx(metrics.accuracy_score(truth, told))
    assert result.macro_f1 == pytest.approx(metrics.f1_score(truth, told, average="macro", zero_division=0))
    assert (result.confusion == metrics.confusion_matrix(truth, told, labels=range(4))).all()


# -- splits ---------------------------------------------------------------------------------------------------------

labelled = st.lists(st.sampled_from("aabbbc"), min_size=2, max_size=60)


@given(labelled, st.integers(2, 6), st.integers(0, 9))
def test_folds_are_alike_in_size_and_classes(labels: list[str], count: int, seed: int) -> None:
    fold = folds(labels, None, count, seed)
    count = min(count, len(labels))
    assert sorted(set(fold.tolist())) == list(range(count))
    sizes = Counter(fold.tolist()).values()
    assert max(sizes) - min(sizes) <= len(set(labels)) + 1
    for label, total in Counter(labels).items():
        held = Counter(fold[[one == label for one in labels]].tolist())
        assert all(abs(held[k] - total / count) <= 1 + 1e-9 for k in range(count)), (label, held)


@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 7)), min_size=2, max_size=60),
    st.integers(2, 5),
    st.integers(0, 9),
)
def test_a_group_is_never_in_two_parts(rows: list[tuple[str, int]], count: int, seed: int) -> None:
    labels, groups = [label for label, _ in rows], [group for _, group in rows]
    if len(set(groups)) == 1:
        with pytest.raises(DataError, match=r"belong to the group .*, so none can be held out"):
            folds(labels, groups, count, seed)
        return
    for part in (folds(labels, groups, count, seed), held_out(labels, groups, 0.2, seed)):
        for group in set(groups):
            assert len({part[k] for k in range(len(rows)) if groups[k] == group}) == 1
        assert len(set(part.tolist())) > 1, "something is held out, and something learnt from"


@given(labelled, st.sampled_from([0.1, 0.2, 0.5]), st.integers(0, 9))
def test_what_is_held_out_is_a_share_of_each_class(labels: list[str], share: float, seed: int) -> None:
    held = held_out(labels, None, share, seed)
    assert 0 < held.sum() < len(labels)
    for label, total in Counter(labels).items():
        mine = held[[one == label for one in labels]].sum()
        assert abs(mine - share * total) <= 1 + 1e-9
        if total == 1 and len(labels) > len(set(labels)):
            assert mine == 0, "the only example of a class is learnt from"
    assert (held == held_out(labels, None, share, seed)).all(), "the same seed gives the same split"


# -- front ends -----------------------------------------------------------------------------------------------------

chance = np.random.default_rng(0)
KINDS = {
    "series": from_python(
        [np.where(chance.random((9, 2)) < 0.3, np.nan, chance.normal(size=(9, 2))) for _ in range(3)]
    ),
    "audio": from_python([Sound(chance.normal(size=900).astype(np.float32), 8000) for _ in range(3)]),
    "text": from_python(["The film is good. Isn't it?", "the film is bad", "is it good, the film? is it?"]),
}
NOTHING = {"level": None, "differences": None}


@pytest.mark.parametrize("kind", KINDS)
def test_a_front_end_survives_json_and_never_looks_ahead(kind: str) -> None:
    """What arrives in any pieces gives the steps of the whole."""
    examples = KINDS[kind]
    front_end = front_ends.fit(examples, **NOTHING)
    assert front_ends.from_json(front_end.to_json()) == front_end
    item = examples.items[0]
    whole = front_end.steps(item)
    assert whole.shape[1:] == (() if front_end.symbolic else (front_end.size,))
    content = item.samples if kind == "audio" else item
    n = len(content)
    for cuts in ([3], [1, 2, 7], [n // 3, n // 2, 3 * n // 4], [n]):
        stream = front_end.stream()
        pieces = [content[start:stop] for start, stop in pairwise([0, *cuts, n])]
        parts = [stream.push(piece) for piece in pieces] + [stream.finish()]
        np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-5)


def test_series_are_filled_marked_and_differenced() -> None:
    examples = from_python([np.array([[np.nan, 1.0], [4.0, 3.0], [np.nan, 3.0]]), np.array([[2.0, 1.0]])])
    front_end = front_ends.fit(examples, **NOTHING)
    # channel 0 misses values, so it has a mark; before its first value stands its mean, 3
    assert front_end.steps(examples.items[0]).tolist() == [
        [3.0, 1.0, 1.0, 0.0, 0.0],
        [4.0, 3.0, 0.0, 1.0, 2.0],
        [4.0, 3.0, 1.0, 0.0, 0.0],
    ]
    plain = front_ends.fit(examples.at([1]), level=None, differences=False)
    assert plain.steps(examples.items[1]).tolist() == [[2.0, 1.0]]


def test_words_or_characters_are_chosen_by_the_texts() -> None:
    words = front_ends.fit(KINDS["text"], **NOTHING)
    assert (words.level, words.known[:3]) == ("word", ("is", "?", "film"))
    assert words.steps("THE film was bad").tolist()[2] == 0, "a word met less than twice is unknown"
    names = from_python(["Anna", "Hannah", "Ananda"])
    assert front_ends.fit(names, **NOTHING).level == "char"


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("series", {"level": "word"}, "A level .* is for text"),
        ("text", {"differences": True}, "Differences are for series"),
        ("audio", {"level": "char"}, "These are sounds"),
    ],
)
def test_options_of_another_kind_are_refused(kind: str, options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        front_ends.fit(KINDS[kind], **(NOTHING | options))


def test_a_channel_without_any_value_is_refused() -> None:
    with pytest.raises(DataError, match="dim_1 has no value at all"):
        front_ends.fit(from_python([np.array([[1.0, np.nan]])]), **NOTHING)


def test_steps_of_another_shape_are_refused() -> None:
    front_end = front_ends.fit(KINDS["series"], **NOTHING)
    with pytest.raises(DataError, match=r"A step has 2 numbers \(dim_0, dim_1\), and these have the shape \(4, 3\)"):
        front_end.steps(np.zeros((4, 3)))
    wide = front_ends.fit(from_python([np.ones((3, 12))]), **NOTHING)
    with pytest.raises(DataError, match=r"dim_7 and 4 more\).*the channels that the model was trained on"):
        wide.steps(np.zeros((4, 3)))


# -- augmentation ---------------------------------------------------------------------------------------------------


def test_loudness_shifts_all_of_a_sequence_alike() -> None:
    e, lengths = torch.zeros(6, 4, 8), torch.full((4,), 6)
    changed, _ = Augmentation(level=1.0).of_steps(e, lengths)
    assert (changed == changed[0, :, :1]).all(), "at every step and in every band"
    assert len(set(changed[0, :, 0].tolist())) == 4, "each sequence in its own way"


def test_augmentation_masks_within_bounds_and_without_it_changes_nothing() -> None:
    e, lengths = torch.ones(20, 300, 10), torch.full((300,), 20)
    assert Augmentation().of_steps(e, lengths)[0] is e
    masked = Augmentation(time_masks=1, time_share=0.25, band_masks=1, band_share=0.3).of_steps(e, lengths)[0] == 0
    assert masked.all(2).sum(0).max() == 5, "up to a quarter of 20 steps"
    assert masked.all(0).sum(1).max() == 3, "up to three of ten channels"
    assert masked.all(2).sum(0).min() == 0
    symbols = torch.ones(100, 100, dtype=torch.long)
    share = (Augmentation(forget=0.2).of_symbols(symbols) == 0).float().mean()
    assert abs(share - 0.2) < 5 * math.sqrt(0.2 * 0.8 / 10_000)


# -- learning -------------------------------------------------------------------------------------------------------


def test_no_network_learns_from_what_it_holds_out_and_each_is_judged_by_the_one_that_does() -> None:
    sequences = [np.float32(np.random.default_rng(k).normal(size=(k % 4 + 1, 2))) for k in range(9)]
    fold = np.arange(9) % 3
    learning = Learning(
        StoredSteps.of(sequences),  # type: ignore[arg-type]
        np.arange(9) % 2,
        fold,
        augmentation=Augmentation(),
        class_weights=None,
        label_smoothing=0.0,
        device=torch.device("cpu"),
    )
    network = Ensemble([LabelModel(2, inputs=2, hidden=3) for _ in range(3)]).eval()
    learning.loss(network, torch.tensor([1, 4, 7])).backward()  # all of fold 1
    moved = [any(p.grad is not None for p in member.parameters()) for member in network.members]
    assert moved == [True, False, True]

    answers = learning.held_out(network)
    for k, one in enumerate(sequences):
        scores = network.members[fold[k]](torch.from_numpy(one).unsqueeze(1), torch.tensor([len(one)]))  # type: ignore[arg-type]
        np.testing.assert_allclose(answers[k], torch.log_softmax(scores, -1)[0].detach(), atol=1e-6)

    by_hand = np.mean([-answers_of(network.members[m], sequences[k])[k % 2] for k in (1, 4, 7) for m in (0, 2)])  # type: ignore[arg-type]
    assert learning.loss(network, torch.tensor([1, 4, 7])).item() == pytest.approx(by_hand, abs=1e-6)


def answers_of(member: LabelModel, sequence: np.ndarray) -> np.ndarray:
    scores = member(torch.from_numpy(sequence).unsqueeze(1), torch.tensor([len(sequence)]))[0].detach().double()
    return (scores - torch.logsumexp(scores, 0)).numpy()
