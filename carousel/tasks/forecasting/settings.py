"""What can be chosen about a forecast and its training."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from carousel.errors import DataError
from carousel.tasks.table.numbers import Signs
from carousel.training.settings import TrainingSettings

FORMS = ("encoder-decoder", "autoregressive")
STEPS = 600  # of training, where neither minutes nor epochs are given
LISTS = ("time", "target", "id", "known", "past", "static")


@dataclass(frozen=True)
class Settings(TrainingSettings):
    """The choices, with their defaults. Columns that are not named are found: see `find_roles`.

    Lists of columns may be given as one text, separated by commas. Raises DataError for a value that means nothing.
    """

    cell: str = "gru"
    hidden: int = 64
    learning_rate: float = 2e-3
    time: tuple[str, ...] = ()  # the column, or columns year, month, ... that tell the time
    target: tuple[str, ...] = ()  # what is forecast
    id: tuple[str, ...] = ()  # what tells series apart
    known: tuple[str, ...] = ()  # covariates known in advance
    past: tuple[str, ...] = ()  # covariates known up to now
    static: tuple[str, ...] = ()  # covariates with one value a series
    date_format: str | None = None  # how texts or numbers of time are read: %d/%m/%Y; s, ms, us, ns since 1970; steps
    decimal: str | None = None  # what stands before the decimals of numbers in a text table; None: found
    thousands: str | None = None  # what stands between their thousands; None: found
    horizon: int | None = None  # steps ahead; None: a season or so
    frequency: str | None = None  # 1h, 15min, d, w, mo, q, y, weekday; None: found
    season: tuple[int, ...] | None = None  # lengths of seasons, in steps; None: those of the frequency, () for none
    allow_negative: bool = False  # forecasts of what is never negative may be so
    log: bool | None = None  # learn the logarithm of the target; None: where its spread grows with its level
    form: str = "encoder-decoder"
    context: int | None = None  # steps of history that gradients go back; None: two seasons or so
    batch: int = 32  # stretches of history in a step of training

    def __post_init__(self) -> None:
        super().__post_init__()
        Signs(self.decimal, self.thousands)
        for name in LISTS:
            object.__setattr__(self, name, columns_of(getattr(self, name)))
        if self.season is not None:
            season = tuple(self.season) if isinstance(self.season, Iterable) else (self.season,)
            for length in season:
                if not isinstance(length, Integral) or length < 0:
                    raise DataError(f"A season is a whole number of steps, 2 or more (0: none), not {length!r}.")
            object.__setattr__(self, "season", tuple(sorted({int(length) for length in season} - {0, 1})))
        if self.form not in FORMS:
            raise DataError(f"A forecaster's form is {' or '.join(FORMS)}, not {self.form!r}.")
        self.require_at_least_one("horizon", "context", "batch")


def require_steps(what: str, steps: Any) -> int:
    """A number of steps that somebody gave. Raises DataError for what is no whole number, 1 or more."""
    if not isinstance(steps, Integral) or isinstance(steps, bool) or steps < 1:
        raise DataError(f"{what} is a number of steps, 1 or more, not {steps!r}.")
    return int(steps)


def columns_of(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """ "price, holiday" or ["price", "holiday"] -> ("price", "holiday"). A text in a list may hold commas too."""
    given = [names] if isinstance(names, str) else list(names or ())
    return tuple(part.strip() for name in given for part in str(name).split(",") if part.strip())
