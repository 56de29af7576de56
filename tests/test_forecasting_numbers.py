"""The numbers of forecasting, each against a plain computation of its own or a case whose answer is known."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from carousel.models.quantile_forecaster import QuantileForecaster, quantile_loss
from carousel.tasks.forecasting.network import anchor
from carousel.tasks.forecasting.network.predicting import drawn, mixture
from carousel.tasks.forecasting.network.signals import (
    BEFORE,
    FAST,
    LAST,
    LEVEL,
    SCALE,
    SEASONS,
    SMOOTH,
    Recipe,
    Tail,
    follow,
)
from carousel.tasks.forecasting.scoring import conformal
from carousel.tasks.forecasting.scoring.baselines import baselines
from carousel.tasks.forecasting.scoring.metrics import INTERVALS, LEVELS, MEDIAN, naive_error, score

NORMAL = torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(LEVELS)).numpy().astype(np.float64)


# -- metrics --------------------------------------------------------------------------------------------------------


def test_scores_by_hand():
    rng = np.random.default_rng(0)
    told = np.sort(rng.normal(size=(3, 4, len(LEVELS))), axis=-1)
    came = rng.normal(size=(3, 4))
    came[1, 2] = np.nan
    unit = np.array([1.0, 2.0, 0.5, 0.0])
    got = score(told, came, unit)
    errors, scaled, pinball, widths = [], [], dict.fromkeys(range(1, 10), 0.0), []
    inside: dict[int, list] = {80: [], 95: []}
    total = 0.0
    for h in range(3):
        for n in range(4):
            y, q = came[h, n], dict(zip(LEVELS, told[h, n], strict=True))
            if np.isnan(y):
                continue
            errors.append(abs(y - q[0.5]))
            if unit[n]:
                scaled.append(abs(y - q[0.5]) / unit[n])
            total += abs(y)
            for p in pinball:
                level = p / 10
                pinball[p] += (level if y >= q[level] else level - 1) * (y - q[level])
            inside[80].append(q[0.1] <= y <= q[0.9])
            inside[95].append(q[0.025] <= y <= q[0.975])
            widths.append(q[0.9] - q[0.1])
    assert got.mae == pytest.approx(np.mean(errors))
    assert got.rmse == pytest.approx(np.sqrt(np.mean(np.square(errors))))
    assert got.mase == pytest.approx(np.mean(scaled))
    assert got.wql == pytest.approx(np.mean([2 * value / total for value in pinball.values()]))
    assert (got.coverage_80, got.coverage_95) == pytest.approx((np.mean(inside[80]), np.mean(inside[95])))
    assert got.width_80 == pytest.approx(np.mean(widths))


def test_the_unit_of_mase():
    values = np.array([[1.0, 5.0], [3.0, np.nan], [2.0, 5.0], [7.0, 6.0]])
    np.testing.assert_allclose(naive_error(values, 1), [(2 + 1 + 5) / 3, 1.0])
    np.testing.assert_allclose(naive_error(values, 2), [(1 + 4) / 2, 0.0])


def test_naive_rivals_by_hand():
    values = np.array([1.0, 2, 3, 5, np.nan, 8, 9])[:, None]
    by_name = {baseline.name: baseline for baseline in baselines(values, training=values, season=3)}
    rows, columns = np.array([4, 6]), np.array([0, 0])
    np.testing.assert_allclose(by_name["naive"].points(rows, columns, 4), [[5, 9]] * 4)
    # Missing row 4 counts as it was a season ago, 2.
    np.testing.assert_allclose(by_name["seasonal naive"].points(rows, columns, 4), [[3, 2], [5, 8], [2, 9], [3, 2]])
    np.testing.assert_allclose(by_name["drift"].points(rows, columns, 2)[:, 1], [9 + 8 / 6, 9 + 16 / 6])
    told = by_name["naive"].quantiles(rows, columns, 2, np.array(LEVELS))
    assert (np.diff(told, axis=-1) >= 0).all()
    np.testing.assert_allclose(told[..., MEDIAN], [[5, 9]] * 2)
    assert np.allclose(told[..., MEDIAN] - told[..., 0], told[..., -1] - told[..., MEDIAN])


def test_errors_of_rivals_are_those_of_training_and_of_a_series_it_lacks_there_are_none():
    """Training moved by 1 and 3 a step, the new values move by 100."""
    training = np.array([[0.0, np.nan], [1, np.nan], [4, np.nan], [5, np.nan], [8, np.nan]])
    values = np.array([[0.0, 1.0], [100, 2], [200, 3]])
    rows, columns, levels = np.array([1, 1]), np.array([0, 1]), np.array(LEVELS)
    told = baselines(values, training=training, season=1)[0].quantiles(rows, columns, 1, levels)[0]
    np.testing.assert_allclose(told[0], 100 + np.sign(levels - 0.5) * np.quantile([1, 1, 3, 3], np.abs(2 * levels - 1)))
    assert told[1, MEDIAN] == 2
    assert np.isnan(np.delete(told[1], MEDIAN)).all()
    came = np.array([[100.0, 3.0]])
    both, known = score(told[None], came, np.array([1.0, np.nan])), score(told[None, :1], came[:, :1], np.ones(1))
    assert (both.mae, both.mase) == (0.5, 0.0)
    assert (both.wql, both.coverage_80, both.width_95) == (known.wql, known.coverage_80, known.width_95)
    alone = score(told[None, 1:], came[:, 1:], np.array([np.nan])).to_json()
    assert alone["mae"] == 1
    assert {name for name, value in alone.items() if value is None} == set(alone) - {"mae", "rmse"}


# -- signals --------------------------------------------------------------------------------------------------------


def plain_signals(y, span, season):
    """The recurrences of `signals`, for one series, written out."""
    level = scale = fast = last = np.nan
    n, before, smooth, k, out = 0, {}, dict[str, float](), dict[str, float](), []
    for t, value in enumerate(y):
        phase = t % season
        if not np.isnan(value):
            n += 1
            if n == 1:
                level, fast, scale = value, value, 0.0
            else:
                scale += max(1 / (n - 1), 1 / span) * (abs(value - last) - scale)
            last = value
            level += max(1 / n, 1 / span) * (value - level)
            fast += max(1 / n, 0.25) * (value - fast)
            k[phase] = k.get(phase, 0) + 1
            old = smooth.get(phase, 0.0)
            smooth[phase] = old + max(1 / k[phase], 0.25) * (value - level - old)
            before[phase] = value
        out.append((last, level, scale, fast, before.get(phase, np.nan), smooth.get(phase, np.nan)))
    return np.array(out)


def test_signals_are_their_recurrences_and_never_look_ahead():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(60, 3)).cumsum(axis=0)
    values[rng.random(values.shape) < 0.2] = np.nan
    recipe = Recipe(span=20, seasons=(4, 7), lags=3)
    signals = follow(values, recipe)
    for column in range(3):
        began = int(np.isfinite(values[:, column]).argmax())
        for number, season in enumerate(recipe.seasons):
            at = SEASONS + 3 * number
            got = signals[began:, column][:, [LAST, LEVEL, SCALE, FAST, at + BEFORE, at + SMOOTH]]
            np.testing.assert_allclose(got, plain_signals(values[:, column], 20, season)[began:], atol=1e-12)
    changed = values.copy()
    changed[40:] += 100
    np.testing.assert_array_equal(follow(changed, recipe)[:40], signals[:40])


def test_a_tail_goes_on_as_the_whole_does():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(40, 2))
    values[5, 0] = np.nan
    recipe = Recipe(span=10, seasons=(5,), lags=8)
    whole = follow(values, recipe)
    for start in (2, 20):  # within the first steps of all, too
        tail = Tail.before(recipe, follow(values[: start + 1], recipe), np.full(2, start), np.arange(2))
        for t in range(start + 1, 40):
            tail.step(values[t])
            np.testing.assert_array_equal(tail.look(0), whole[t])


# -- conformal intervals --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spread", [0.4, 1.0, 3.0])
def test_corrected_intervals_cover_exchangeable_errors(spread):
    """Whatever the network tells, by a factor wrong: over many fresh samples coverage is that promised, and not more
    than the finite sample explains."""
    rng = np.random.default_rng(3)
    steps, held, fresh, rounds = 2, 200, 400, 40
    covered: dict[int, list] = {80: [], 95: []}
    for _ in range(rounds):
        middle = rng.normal(size=(steps, held + fresh))
        came = middle + rng.standard_t(4, size=middle.shape)
        told = middle[..., None] + spread * NORMAL
        correction = conformal.corrections(told[:, :held], came[:, :held])
        after = conformal.corrected(told[:, held:], correction)
        for name, (low, high) in INTERVALS.items():
            covered[name].append(((came[:, held:] >= after[..., low]) & (came[:, held:] <= after[..., high])).mean())
    for name, parts in covered.items():
        promised = name / 100
        assert promised - 0.01 <= np.mean(parts) <= promised + 0.02, name


def test_forecasts_that_overlap_count_as_the_fewer_that_stand_apart():
    """40 errors of a horizon of 20 stand for 4: the 80 % interval takes the largest; of a horizon of 2, for 40."""
    rng = np.random.default_rng(0)
    for horizon, apart in ((20, 4), (2, 40), (1, 40)):
        told = np.broadcast_to(NORMAL, (horizon, 40, len(LEVELS)))
        came = rng.normal(size=(horizon, 40))
        found = np.sort(conformal.errors(told, came), axis=2)
        rank = min(40, int(np.ceil(40 * (apart + 1) * 0.8 / apart)))
        np.testing.assert_array_equal(conformal.corrections(told, came)[1], found[1, :, rank - 1])


def test_corrections_of_steps_with_few_errors_come_from_their_neighbours():
    rng = np.random.default_rng(0)
    told = np.broadcast_to(NORMAL, (6, 40, len(LEVELS))).copy()
    came = rng.normal(size=(6, 40))
    came[3:] = np.nan
    correction = conformal.corrections(told, came)
    assert np.isfinite(correction).all()
    assert conformal.corrections(told, np.full_like(came, np.nan)).any() == np.False_
    assert (np.diff(conformal.corrected(told, correction), axis=-1) >= 0).all()


@given(arrays(np.float64, (5, 3), elements=st.floats(-3, 5)))
def test_corrected_quantiles_never_cross_or_meet(correction):
    """The wider interval is wider, whatever the corrections: also where the errors do not tell the two apart, or lie
    deep inside; what the network tells as one value stays one."""
    told = np.sort(np.random.default_rng(0).normal(size=(4, 6, len(LEVELS))), axis=-1)
    after = conformal.corrected(told, correction)
    assert (np.diff(after, axis=-1) > 0).all()
    assert (conformal.corrected(np.ones_like(told), correction) == 1).all()
    np.testing.assert_array_equal(after[..., MEDIAN], told[..., MEDIAN])


def test_what_was_held_is_never_judged_by_itself():
    """Each value that came is changed, of however many forecasts: the intervals that judge it, and all that tell of its
    half of time, are the same bits; without it, those of the other half are others."""
    rng, horizon, steps = np.random.default_rng(0), 4, 17
    rows = np.arange(steps)
    told = np.sort(rng.normal(size=(horizon, steps, len(LEVELS))), axis=2)
    series = rng.normal(size=steps + 1) * 2
    later = rows + np.arange(1, horizon + 1)[:, None]

    def came(series):
        return np.where(later <= steps, series[np.minimum(later, steps)], np.nan)

    before = conformal.crossed(told, came(series), rows)
    middle = np.median(later[later <= steps])
    moved = 0
    for step in range(1, steps + 1):
        other = series.copy()
        other[step] += 50
        after = conformal.crossed(told, came(other), rows)
        same_half = (later <= middle) == (step <= middle)
        np.testing.assert_array_equal(after[same_half], before[same_half])
        moved += (after != before).any()
    assert moved == steps
    assert (before != told).any()


def test_a_correction_follows_errors_that_change():
    """Errors half as wide as in training, then three times as wide: what each interval holds in the long run stays
    within the bound of the proposition, and within four points of what it promises; uncorrected, it is far off."""
    rng = np.random.default_rng(0)
    steps, held, after = 2, 300, 8000
    told = np.broadcast_to(NORMAL, (steps, held + after, len(LEVELS)))
    came = rng.normal(size=(steps, held + after))
    came[:, held : held + after // 2] *= 0.5
    came[:, held + after // 2 :] *= 3
    correction = conformal.Correction.fit(told[:, :held], came[:, :held])
    found = conformal.errors(told, came)
    r, used, inside = correction.r[..., None], list[np.ndarray](), []
    for t in range(held, held + after):
        if t - steps >= held:
            r = correction.moved(r, used[t - steps - held], found[:, :, t - steps, None])
        used.append(r)
        inside.append(found[:, :, t] <= r[..., 0])
    halves = np.array(inside).reshape(2, after // 2, len(conformal.PAIRS), steps).mean(axis=1)
    promised = 1 - conformal.ALPHAS[:, None]
    assert np.abs(halves - promised).max() < 0.04
    fixed = (found[:, :, held:] <= correction.r[..., None]).reshape(len(promised), steps, 2, -1).mean(axis=-1)
    assert np.abs(fixed - promised[..., None]).max() > 0.3
    bound = 2 * np.abs(found).max() / correction.gain + steps
    assert (np.abs(np.mean(inside, axis=0) - promised) <= bound / after).all()


def test_one_horizon_of_misses_moves_a_correction_by_a_part_of_the_size_of_errors():
    rng = np.random.default_rng(0)
    told = np.broadcast_to(NORMAL, (4, 60, len(LEVELS)))
    came = rng.normal(size=(4, 60))
    came[2, 5:] = np.nan
    gain = conformal.Correction.fit(told, came).gain
    low, high = INTERVALS[80]
    from_middle = np.abs(came) / ((NORMAL[high] - NORMAL[low]) / 2)  # the interval's middle is 0
    np.testing.assert_allclose(gain[1], 0.3 / 4 * np.nanmean(from_middle, axis=1), rtol=1e-5)


def test_what_was_not_seen_moves_no_correction():
    correction = conformal.Correction(np.zeros((5, 2)), np.ones((5, 2)))
    found = np.full((5, 2, 1), np.nan)
    found[:, 1] = 0.5
    moved = correction.moved(np.zeros((5, 2, 1)), np.zeros((5, 2, 1)), found)
    assert (moved[:, 0] == 0).all()
    np.testing.assert_allclose(moved[:, 1, 0], 1 - conformal.ALPHAS)
    again = conformal.Correction.from_json(correction.to_json())
    np.testing.assert_array_equal(again.gain, correction.gain)


# -- the network ----------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10_000), st.sampled_from(["encoder-decoder", "autoregressive"]), st.sampled_from(["gru", "lstm"]))
def test_quantiles_never_cross_whatever_the_weights(seed, form, cell):
    torch.manual_seed(seed)
    network = QuantileForecaster(step=3, origin=2, ahead=4, horizon=5, levels=LEVELS, form=form, cell=cell, hidden=6)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=3.0)
    steps = torch.randn(7, 2, 3 + (4 if network.autoregressive else 0))
    state = tuple(s[:, -1] for s in network.encode(steps))
    told = network.decode(state, torch.randn(2, 2), torch.randn(network.at_once, 2, 4))
    assert told.shape == (network.at_once, 2, len(LEVELS))
    assert (told.diff(dim=-1) >= 0).all()


def test_before_training_the_network_is_its_anchor():
    network = QuantileForecaster(step=3, origin=2, ahead=1, horizon=4, levels=LEVELS, hidden=5)
    weights, quantiles = torch.randn(4, 4), torch.tensor(NORMAL).float().repeat(4, 1) * torch.arange(1, 5)[:, None]
    network.set_anchor(weights, quantiles)
    origins, ahead = torch.randn(6, 2), torch.randn(4, 6, 1)
    told = network.decode(tuple(s[:, -1] for s in network.encode(torch.randn(3, 6, 3))), origins, ahead)
    expected = torch.stack([origins @ w[:2] + ahead[h] @ w[2:3] + w[3] for h, w in enumerate(weights)])
    torch.testing.assert_close(told, expected[..., None] + quantiles[:, None], rtol=1e-4, atol=1e-4)


def test_the_quantile_loss_is_least_at_the_quantiles():
    y = torch.randn(20_000, generator=torch.Generator().manual_seed(0))
    levels = torch.tensor(LEVELS)
    right = torch.quantile(y, levels)
    loss = quantile_loss(right.expand(len(y), -1), y, levels)
    for shift in (-0.1, 0.1):
        assert quantile_loss((right + shift).expand(len(y), -1), y, levels) > loss
    assert quantile_loss(torch.zeros(3, 1), torch.tensor([1.0, -2.0, torch.nan]), torch.tensor([0.5])) == 1.5


class Made:
    """Origins of the anchor's regression, without a table: x (n, width), y (horizon, n)."""

    def __init__(self, x: np.ndarray, y: np.ndarray, naive: np.ndarray) -> None:
        self.x, self.y, self.naive = x, y, naive
        self.rows, self.horizon = np.arange(len(x)), len(y)

    def of(self, h: int) -> tuple[np.ndarray, np.ndarray]:
        return self.x, self.y[h]


def made(seed: int, weight: float, noise: float, n: int = 300) -> Made:
    """y = the last value + `weight` of another + noise; candidates: the last value, 0."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.normal(size=(n, 3)), np.ones((n, 1))], axis=1)
    y = x[:, 0] + weight * x[:, 1] + noise * rng.normal(size=(2, n))
    y[0, ::17] = np.nan
    return Made(x, y, np.array([np.eye(4)[0], np.zeros(4)]))


@pytest.mark.parametrize("penalty", [10.0, 1e-2, np.inf])
def test_a_penalty_is_ridge_regression_towards_the_naive_forecast(penalty):
    """Against least squares on rows added to the data, √(λ n) I, which draw to 0."""
    of = made(0, weight=0.7, noise=0.3)
    got = anchor.refit(of, anchor.Choice(1, penalty))  # type: ignore[arg-type]
    for h in range(2):
        x, y = of.x[np.isfinite(of.y[h])], of.y[h][np.isfinite(of.y[h])]
        rows = np.sqrt(min(penalty, 1e12) * len(y)) * np.eye(4)
        expected = np.linalg.lstsq(np.concatenate([x, rows]), np.append(y, np.zeros(4)), rcond=None)[0]
        np.testing.assert_allclose(got[h], expected, atol=1e-9)


def test_rolling_origins_find_what_there_is_to_learn_and_nothing_where_there_is_nothing():
    """With a law in the data, weights near it; of noise around the last value, the last value as it is: penalties that
    learn from noise do worse where they were not fitted."""
    levels = np.array(LEVELS)
    learnt = anchor.fit(made(1, weight=0.7, noise=0.1), levels)  # type: ignore[arg-type]
    assert learnt.choice.penalty <= 1e-2
    np.testing.assert_allclose(learnt.weights, [[1, 0.7, 0, 0]] * 2, atol=0.03)
    choices = [anchor.fit(made(seed, weight=0.0, noise=1.0, n=80), levels).choice for seed in range(10)]  # type: ignore[arg-type]
    assert [choice.naive for choice in choices].count(0) >= 9
    assert sum(choice.penalty >= 1 for choice in choices) >= 8


def test_an_anchor_is_judged_by_rolling_origins_that_see_no_outcome_of_later():
    """Choice and spread, by plain loops: up to each border, what had come by then is learnt from, by least squares on
    rows added for the penalty; up to the next one, forecasts are judged."""
    rng = np.random.default_rng(0)
    n, horizon, levels = 150, 12, np.array(LEVELS)
    noise, walk = rng.normal(size=n + horizon), np.zeros(n + horizon)
    for t in range(1, n + horizon):
        walk[t] = 0.8 * walk[t - 1] + noise[t]
    x = np.stack([walk[:n], np.roll(walk, 3)[:n], np.ones(n)], axis=1)
    y = np.stack([walk[h + 1 : h + 1 + n] for h in range(horizon)])
    of = Made(x, y, np.eye(3)[:2])
    borders = np.quantile(np.arange(n), np.linspace(0.4, 1, 9), method="lower")
    errors: dict = {(c, p): [[] for _ in range(horizon)] for p in anchor.PENALTIES for c in range(2)}
    for (c, p), found in errors.items():
        for h in range(horizon):
            left = y[h] - x[:, c]
            for fold in range(8):
                known = np.arange(n) + h + 1 <= borders[fold]
                rows = np.sqrt(min(p, 1e12) * known.sum()) * np.eye(3)
                clipped = left[known].clip(-10, 10)
                w = np.linalg.lstsq(np.concatenate([x[known], rows]), np.append(clipped, np.zeros(3)), rcond=None)[0]
                judged = (np.arange(n) > borders[fold]) & (np.arange(n) <= borders[fold + 1])
                found[h] += list((left - x @ w)[judged])
    best = min(errors, key=lambda key: np.abs(np.concatenate(errors[key])).mean())
    got = anchor.fit(of, levels)  # type: ignore[arg-type]
    assert (got.choice.naive, got.choice.penalty) == best
    assert np.isfinite(best[1])  # else no border would matter
    for h in range(horizon):
        wide = np.quantile(np.abs(errors[best][h]), np.abs(2 * levels - 1))
        np.testing.assert_allclose(got.quantiles[h], np.sign(levels - 0.5) * wide, atol=1e-6)


def test_the_anchors_spread_is_that_of_errors_on_what_it_had_not_seen():
    """With as many weights as it may have, errors where it was fitted would be half of those to come."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.normal(size=(100, 40)), np.ones((100, 1))], axis=1)
    y = 3 * x[:, :40].sum(axis=1) + rng.normal(size=(1, 100))
    found = anchor.fit(Made(x, y, np.zeros((1, 41))), np.array(LEVELS))  # type: ignore[arg-type]
    fresh = np.concatenate([rng.normal(size=(4000, 40)), np.ones((4000, 1))], axis=1)
    errors = 3 * fresh[:, :40].sum(axis=1) + rng.normal(size=4000) - fresh @ found.weights[0]
    told, came = found.quantiles[0, -2] - found.quantiles[0, 1], np.subtract(*np.quantile(errors, [0.9, 0.1]))
    assert 0.9 * came <= told


# -- paths ----------------------------------------------------------------------------------------------------------


def test_draws_have_the_quantiles_they_are_drawn_from():
    told = np.broadcast_to(NORMAL, (1, 20_000, len(LEVELS)))
    values = drawn(told, (np.arange(20_000) + 0.5) / 20_000)[0]
    np.testing.assert_allclose(np.quantile(values, LEVELS), NORMAL, atol=0.02)


def test_a_mixture_of_one_is_itself_and_of_two_lies_between():
    np.testing.assert_allclose(mixture(NORMAL[None, None])[0], NORMAL, atol=0.35)
    rng = np.random.default_rng(0)
    means = rng.normal(size=(400, 1))  # a normal of variance 1 around a normal mean: variance 2
    np.testing.assert_allclose(mixture(means + NORMAL), np.sqrt(2) * NORMAL, atol=0.2)
