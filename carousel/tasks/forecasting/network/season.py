"""The season that counted steps show, where no calendar says which there is.

A season of m steps is a pattern that comes again every m steps. For each m that is likely, the values are taken for

    y_t = trend_t + pattern_{t mod m} + e_t,    e_t = φ e_{t-1} + noise

with a trend of a parabola and a pattern of the first K waves of m, 2K numbers, or of m numbers of its own. Of all m and
K that one is chosen whose

    n log(sum of squares of the noise / n) + numbers log(n) n / (n - numbers - 5)

is least (the criterion of Schwarz, Annals of Statistics 6, 1978, as McQuarrie, Statistics & Probability Letters 44,
1999, corrects it for short series): a multiple of the true season fits as well, but takes
more numbers, and a part of it fits worse. Without a season the same is computed with no pattern. φ keeps what only
wanders from being taken for a slow wave; for what wanders more, the same is done with the changes of y, and the less
noise counts. There is a season where it lowers the criterion clearly, and the noise by more than a little.
"""

import numpy as np

LONGEST = 400
CYCLES = 3  # of a season, at least, must be there
MOST_STEPS, MOST_SERIES, MOST_LIKELY = 2_400, 8, 16
WAVES = (1, 2, 4, 8)
CHANCE = 10.0  # so much better a season, or a multiple of one, may fit by chance
TREND = 5  # numbers that every model has: the trend, φ and the noise
LESS_NOISE = 0.95  # of the noise without a season: with more than that left, there is none worth a name


def shown_season(values: np.ndarray) -> tuple[int, ...]:
    """The season m that values (T, N) show, as the tuple (m,); () where they show none."""
    columns = [column for column in map(_whole, values.T[:200]) if column is not None][:MOST_SERIES]
    if not columns:
        return ()
    longest = min(LONGEST, min(len(column) for column in columns) // CYCLES)
    likely = sorted({m for column in columns for m in _likely(column, longest)})
    if not likely:
        return ()
    without = [_noise(column, np.zeros((len(column), 0))) for column in columns]
    gains: dict[int, float] = {}
    enough = -CHANCE - 2 * np.log(longest)  # so many lengths were looked at: one looks like a season by chance
    for m in likely:
        for waves in (*(w for w in WAVES if 2 * w < m), None):
            gain = less = 0.0
            for column, noise in zip(columns, without, strict=True):
                n = len(column) - 1
                numbers, left = _with_season(column, m, waves)
                gain += n * np.log(left / noise) + numbers * np.log(n) * n / max(1, n - numbers - TREND)
                less += np.log(left / noise) / len(columns)
            if gain < enough and less < np.log(LESS_NOISE):
                gains[m] = min(gain, gains.get(m, gain))
    if not gains:
        return ()
    best = min(gains, key=lambda m: gains[m])
    return (next(m for m in sorted(gains) if best % m == 0 and gains[m] <= gains[best] + CHANCE),)


def _whole(column: np.ndarray) -> np.ndarray | None:
    """The end of a series, standardised, its gaps bridged; None of one with too little to see."""
    seen = np.flatnonzero(np.isfinite(column))
    if len(seen) < 4 * CYCLES or len(seen) < 0.5 * (seen[-1] - seen[0] + 1):
        return None
    whole = np.interp(np.arange(seen[0], seen[-1] + 1), seen, column[seen])[-MOST_STEPS:]
    spread = whole.std()
    return None if not spread > 0 else (whole - whole.mean()) / spread


def _likely(column: np.ndarray, longest: int) -> set[int]:
    """Candidates for the length of a season, 2 to `longest` steps.

    Of the values without their trend, and of their changes: the lengths m for which a mean for each phase fits best
    (the least n ln(residual / power) + m ln n), and the periods of the highest peaks of the spectrum, also doubled and
    one step more or less. Besides, a half and a third of each.
    """
    found: set[int] = set()
    flat = column - _trend(len(column)) @ np.linalg.lstsq(_trend(len(column)), column, rcond=None)[0]
    for series in (flat, np.diff(column)):
        n = len(series)
        power = series @ series
        if not power > 0:
            continue
        scores = []
        for m in range(2, longest + 1):
            phase = np.arange(n) % m
            sums = np.bincount(phase, series, m)
            left = max(power - (sums**2 / np.bincount(phase, minlength=m)).sum(), 1e-9 * power)
            scores.append((n * np.log(left / power) + m * np.log(n), m))
        found |= {m for _, m in sorted(scores)[: MOST_LIKELY // 4]}
        waves = np.abs(np.fft.rfft(series, 4 * n)) ** 2
        waves[: 4 * n // (longest + 1)] = 0
        peaks = np.flatnonzero((waves[1:-1] > waves[:-2]) & (waves[1:-1] >= waves[2:])) + 1
        for at in sorted(peaks, key=lambda k: -waves[k])[: MOST_LIKELY // 4]:
            length = 4 * n / at
            found |= {int(length * k + 0.5) + more for k in (1, 2) for more in (-1, 0, 1)}
    found |= {m // part for m in found for part in (2, 3) if m % part == 0}
    return {m for m in found if 2 <= m <= longest}


def _with_season(column: np.ndarray, m: int, waves: int | None) -> tuple[int, float]:
    """How many numbers the pattern takes, and the mean square of the noise beside it."""
    t = np.arange(len(column))
    if waves is not None:
        turn = 2 * np.pi * np.arange(1, waves + 1) * t[:, None] / m
        return 2 * waves, _noise(column, np.concatenate([np.cos(turn), np.sin(turn)], axis=1))
    return m - 1, _noise(column, None, m)


def _noise(column: np.ndarray, pattern: np.ndarray | None, m: int = 1) -> float:
    """The mean square of the noise beside trend and pattern, φ from what these leave."""
    design = _trend(len(column)) if pattern is None else np.concatenate([_trend(len(column)), pattern], axis=1)
    values = _of_noise(column, design, m)
    changes = _of_noise(np.diff(column), np.diff(design, axis=0), m)
    return max(min(values, changes), 1e-20)


def _of_noise(column: np.ndarray, design: np.ndarray, m: int) -> float:
    rest = _left(column, design, m)
    before = rest[:-1] @ rest[:-1]
    phi = float(np.clip(rest[1:] @ rest[:-1] / before, -0.99, 1.0)) if before > 0 else 0.0
    noise = _left(column[1:] - phi * column[:-1], design[1:] - phi * design[:-1], m)
    return float(noise @ noise) / len(noise)


def _left(column: np.ndarray, design: np.ndarray, m: int) -> np.ndarray:
    """The residuals of a series after regression on the columns of a design and on a mean for each phase of m."""
    if m > 1:
        column, design = _less_phases(column[:, None], m)[:, 0], _less_phases(design, m)
    gram = design.T @ design
    weights = np.linalg.solve(gram + 1e-13 * (1e-6 + np.trace(gram)) / len(gram) * np.eye(len(gram)), design.T @ column)
    return column - design @ weights


def _less_phases(columns: np.ndarray, m: int) -> np.ndarray:
    phase = np.arange(len(columns)) % m
    counts = np.bincount(phase, minlength=m)
    means = np.stack([np.bincount(phase, column, m) / counts for column in columns.T], axis=1)
    return columns - means[phase]


def _trend(steps: int) -> np.ndarray:
    x = np.linspace(-1, 1, steps)
    return np.stack([np.ones(steps), x, x * x], axis=1)
