"""The settings of a forecaster and its training."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, get_args

from carousel.errors import DataError
from carousel.tasks.table_settings import TableSettings
from carousel.training.settings import DATA, MODEL, TRAINING, changed, explained, setting

Form = Literal["encoder-decoder", "autoregressive"]
STEPS = 600  # of training, where neither minutes nor epochs are given
LISTS = ("time", "target", "id", "known", "past", "static")


@explained
@dataclass(frozen=True)
class Settings(TableSettings):
    """The settings of a forecaster, with their defaults. Columns that are not named are found: see `find_roles`.

    Lists of columns may be given as one text, separated by commas. Raises DataError for a value that means nothing.
    """

    cell: str = changed("cell", default="gru")
    hidden: int = changed("hidden", default=64)
    layers: int = changed("layers", default=1)
    dropout: float | None = changed(
        "dropout",
        help="Share of activations set to zero in training. Without it: by how many values there are to learn from.",
    )
    learning_rate: float = changed("learning_rate", default=2e-3)
    validation_share: float = changed("validation_share", help="Share of the series to validate on: their end.")
    time: tuple[str, ...] = setting(
        (),
        "The column of times, or several that say it together, separated by commas: year,month,day or year,week or "
        "date,hour. Columns that are not named are found, and reported.",
        group=DATA,
    )
    target: tuple[str, ...] = setting(
        (), "The columns to forecast: separated by commas, or named one by one, as all lists here.", group=DATA
    )
    id: tuple[str, ...] = setting((), "The columns that say which series a row belongs to.", group=DATA)
    known: tuple[str, ...] = setting((), "Covariates that are known in advance: prices, holidays.", group=DATA)
    past: tuple[str, ...] = setting(
        (), "Covariates that are known up to now. Without it: the other columns.", group=DATA
    )
    static: tuple[str, ...] = setting((), "Covariates with one value for each series.", group=DATA)
    date_format: str | None = setting(
        None,
        "How the column of times is written: %d/%m/%Y, or s, ms, us, ns for numbers that count since 1970, or steps "
        "for numbers that only count. Without it: the format in which the times are regular.",
        group=DATA,
    )
    horizon: int | None = setting(None, "Steps to forecast. Without it: a season or so.", group=MODEL)
    frequency: str | None = setting(
        None,
        "15min, 1h, d, w, mo, q, y or weekday. Without it: found. With it, a time that is a little off belongs to the "
        "nearest step, and the values of one step are averaged.",
        group=DATA,
    )
    season: tuple[int, ...] | None = setting(
        None,
        "Length of a season in steps; several may be given, and 0 means none. Without it: those of the frequency.",
        group=MODEL,
    )
    allow_negative: bool = setting(
        False, "Allow negative forecasts of a target that has never been negative.", group=MODEL
    )
    log: bool | None = setting(
        None, "Learn the logarithm of the target. Without it: where its spread grows with its level.", group=MODEL
    )
    form: Form = setting(
        "encoder-decoder",
        "encoder-decoder: all steps of the horizon at once. autoregressive: one step, fed back, in many sampled paths.",
        group=MODEL,
    )
    context: int | None = setting(
        None,
        "Steps of truncated backpropagation; the state is carried on. Without it: two seasons or so.",
        group=TRAINING,
    )
    batch: int = setting(32, "Windows of history in each step of training.", group=TRAINING)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in LISTS:
            object.__setattr__(self, name, columns_of(getattr(self, name)))
        if self.season is not None:
            season = tuple(self.season) if isinstance(self.season, Iterable) else (self.season,)
            for length in season:
                if not isinstance(length, Integral) or length < 0:
                    raise DataError(f"A season is a whole number of steps, 2 or more (0: none), not {length!r}.")
            object.__setattr__(self, "season", tuple(sorted({int(length) for length in season} - {0, 1})))
        if self.form not in get_args(Form):
            raise DataError(f"A forecaster's form is {' or '.join(get_args(Form))}, not {self.form!r}.")
        self.require_at_least_one("horizon", "context", "batch")


def require_steps(what: str, steps: Any) -> int:
    """The number of steps as an int. Raises DataError unless it is a whole number, 1 or more. what: "A horizon"."""
    if not isinstance(steps, Integral) or isinstance(steps, bool) or steps < 1:
        raise DataError(f"{what} is a number of steps, 1 or more, not {steps!r}.")
    return int(steps)


def columns_of(names: str | Sequence[str] | None) -> tuple[str, ...]:
    """ "price, holiday" or ["price", "holiday"] -> ("price", "holiday"). A text in a list may hold commas too."""
    given = [names] if isinstance(names, str) else list(names or ())
    return tuple(part.strip() for name in given for part in str(name).split(",") if part.strip())
