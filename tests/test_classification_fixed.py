"""Fixed convolutions and their vote: each against an independent statement."""

from pathlib import Path

import numpy as np
import pytest
import torch

from carousel.errors import DataError, ProgramError
from carousel.export import to_c, to_onnx
from carousel.models import Ensemble, LabelModel
from carousel.models.fixed_convolutions import KERNELS, FixedConvolutions, FixedVote, mixed
from carousel.tasks.classification import choices, fixed_vote
from carousel.tasks.classification.settings import Settings

LENGTHS = torch.tensor([7, 0, 1, 12, 20, 9])


def fitted(channels: int, stride: int) -> tuple[FixedConvolutions, torch.Tensor]:
    torch.manual_seed(0)
    made = FixedConvolutions(channels, dilations=(1, 2), thresholds=2, points=-(-12 // stride), stride=stride)
    x = torch.randn(
        20, len(LENGTHS), channels + 1, dtype=torch.float64
    )  # one more, which is not read; padding is noise
    made.fit(x, LENGTHS, seed=1)
    return made, x


def by_hand(model: FixedConvolutions, x: np.ndarray) -> np.ndarray:
    """The docstring of FixedConvolutions, sum by sum, for one sequence (T, C)."""
    s = model.stride
    z = (x[:, : len(model.mean)] - model.mean.numpy()) / model.scale.numpy()
    frames = max(model.points, -(-len(z) // s))
    z = np.concatenate([z, np.zeros((frames * s - len(z), z.shape[1]))]).reshape(frames, s, -1).mean(1)
    shares = []
    for k, d in enumerate(model.dilations):
        for n, twos in enumerate(KERNELS):
            o = []
            for j in range(8 * d if n % 2 else 0, frames):
                total = 0.0
                for i in range(9):
                    if j - (8 - i) * d >= 0:
                        weight = 2.0 if i in twos else -1.0
                        total += weight * float(model.used[k, n].numpy() @ z[j - (8 - i) * d])
                o.append(total)
            shares += [np.mean(np.array(o) > float(b)) if o else 0.0 for b in model.thresholds[k, n]]
    return np.array(shares)


@pytest.mark.parametrize(("channels", "stride"), [(1, 1), (3, 2)])
def test_shares_are_their_formula_for_each_row_of_a_ragged_batch(channels: int, stride: int) -> None:
    model, x = fitted(channels, stride)
    found = model(x, LENGTHS)
    for row in (0, 1, 4):
        wanted = by_hand(model, x[: LENGTHS[row], row].numpy())
        assert np.mean(np.abs(found[row].numpy() - wanted) > 1e-6) < 0.01  # a value may lie on its threshold
    assert model.width == found.shape[1] == 2 * 84 * 2
    assert ((found.mean(0) > 0) & (found.mean(0) < 1)).double().mean() > 0.7


def test_a_row_alone_has_the_same_shares() -> None:
    model, x = fitted(2, 1)
    alone = torch.cat([model(x[: max(1, n), [row]], LENGTHS[[row]]) for row, n in enumerate(LENGTHS.tolist())])
    torch.testing.assert_close(model(x, LENGTHS), alone, atol=1e-6, rtol=0)


def test_ridge_takes_the_penalty_with_the_least_leave_one_out_error() -> None:
    chance = np.random.default_rng(0)
    truth = np.arange(18) % 3
    f = chance.normal(size=(18, 40)) + 0.7 * np.eye(3)[truth] @ chance.normal(size=(3, 40))
    y = np.where(truth[:, None] == np.arange(3), 1.0, -1.0)
    z = (f - f.mean(0)) / (f.std(0) + fixed_vote.SPREAD)

    def scores(known: np.ndarray, penalty: float) -> np.ndarray:
        a = z[known] - z[known].mean(0)
        w = np.linalg.solve(a.T @ a + penalty * np.eye(40), a.T @ (y[known] - y[known].mean(0)))
        return (z - z[known].mean(0)) @ w + y[known].mean(0)

    every = np.arange(18)
    errors = [
        np.mean([(scores(every != n, penalty)[n] - y[n]) ** 2 for n in every]) for penalty in fixed_vote.PENALTIES
    ]
    best = fixed_vote.PENALTIES[int(np.argmin(errors))]
    assert 0 < np.argmin(errors) < len(errors) - 1
    np.testing.assert_allclose(fixed_vote.Ridge.fit(f, truth, 3).scores(f), scores(every >= 0, best), atol=1e-6)


def test_a_vote_is_mixed_in_and_weighs_what_suits_held_out_sequences() -> None:
    logs = torch.log_softmax(torch.randn(30, 3, dtype=torch.float64), 1)
    truth = np.arange(30) % 3
    good = torch.eye(3, dtype=torch.float64)[truth] * 2 - 1
    wanted = torch.log(0.3 * logs.exp() + 0.7 * torch.softmax(2 * good, 1))
    torch.testing.assert_close(mixed(logs, good, 0.7, 2.0), wanted)
    torch.testing.assert_close(mixed(logs, good, 0.0, 2.0), logs)
    vote = FixedVote(3, channels=1, dilations=(1,), thresholds=1, points=5)
    fixed_vote.weigh(vote, logs.numpy(), good, truth)
    assert vote.share > 0.2
    fixed_vote.weigh(vote, torch.log_softmax(9 * good, 1).numpy(), -good, truth)
    assert vote.share == 0


@pytest.mark.parametrize("noise", [0.2, 3.0])
def test_the_share_of_the_vote_is_the_least_within_one_standard_error_of_the_fewest_errors(noise: float) -> None:
    chance = np.random.default_rng(2)
    truth = np.arange(40) % 3
    good = torch.eye(3, dtype=torch.float64)[truth] * 2 - 1
    logs = torch.log_softmax(good + noise * torch.from_numpy(chance.normal(size=(40, 3))), 1)
    scores = good + 0.5 * torch.from_numpy(chance.normal(size=(40, 3)))
    vote = FixedVote(3, channels=1, dilations=(1,), thresholds=1, points=5)
    answers = fixed_vote.weigh(vote, logs.numpy(), scores, truth)

    def errors(share: float, sharpness: float) -> np.ndarray:
        probabilities = (1 - share) * logs.exp().numpy() + share * torch.softmax(sharpness * scores, 1).numpy()
        return (probabilities.argmax(1) != truth).astype(float)

    every = [(share, sharp) for share in fixed_vote.SHARES for sharp in fixed_vote.SHARPNESS]
    best = errors(*min(every, key=lambda choice: errors(*choice).mean()))
    for share, sharp in every:
        excess = errors(share, sharp) - best
        if share < float(vote.share):
            assert excess.mean() > excess.std() / 40**0.5
    taken = errors(float(vote.share), float(vote.sharpness))
    np.testing.assert_array_equal(answers.argmax(1) != truth, taken)
    assert (taken - best).mean() <= (taken - best).std() / 40**0.5
    assert (float(vote.share) > 0) == (noise > 1)


def test_an_ensemble_adds_the_vote_to_its_networks(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vote = FixedVote(3, channels=1, dilations=(1,), thresholds=1, points=12)
    vote.weight.normal_()
    x, lengths = torch.randn(12, 4, 1), torch.tensor([12, 3, 1, 7])
    vote.convolutions.fit(x, lengths, seed=0)
    members = [LabelModel(3, inputs=1, hidden=4, bidirectional=True) for _ in range(2)]
    plain, both = Ensemble(members).eval(), Ensemble(members, vote).eval()
    torch.testing.assert_close(both(x, lengths), plain(x, lengths))
    vote.share.fill_(0.5)
    scores = vote.convolutions(x, lengths) @ vote.weight.T
    torch.testing.assert_close(both(x, lengths).exp(), plain(x, lengths).exp() / 2 + torch.softmax(scores, 1) / 2)
    with pytest.raises(ValueError, match="whole sequences"):
        both.arriving()
    with pytest.raises(ProgramError, match="fixed convolutions give 50% of its answer.*--fixed-convolutions 0"):
        to_onnx(both, tmp_path / "classifier.onnx")
    with pytest.raises(ProgramError, match="exporting to C: .* have to answer alone"):
        to_c(both, tmp_path / "classifier")


def test_who_has_a_vote() -> None:
    def fixed(kind: str, count: int, **settings: object) -> int | None:
        lengths = np.full(count, 20)
        return choices.resolved(Settings(**settings), kind, lengths, 1).fixed_convolutions  # type: ignore[arg-type]

    assert fixed("series", 50, fixed_convolutions=900) == 900
    assert fixed("series", 50) == choices.FIXED
    assert fixed("series", 50, fixed_convolutions=0) == fixed("series", 3000) == 0
    assert fixed("series", 50, bidirectional=False) == fixed("series", 50, class_weights="balanced") == 0
    assert fixed("text", 50, fixed_convolutions=900) == 0
    with pytest.raises(DataError, match="read whole sequences"):
        Settings(fixed_convolutions=100, bidirectional=False)
    shape = fixed_vote.shape(5000, 1, np.array([100, 1200]))
    assert (shape["stride"], shape["points"], shape["dilations"][0]) == (3, 400, 1)
    assert 8 * shape["dilations"][-1] <= 650 / 3
