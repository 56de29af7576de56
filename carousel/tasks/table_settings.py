"""The settings that every task shares which reads tables."""

from dataclasses import dataclass
from typing import Any

from carousel.training.settings import DATA, TrainingSettings, setting


def id_setting() -> Any:
    """The setting `id` of a task whose tables have a sequence in several rows."""
    return setting(
        None,
        "The column that says which sequence a row belongs to, or several, separated by commas. Columns that are not "
        "named are found by their usual names, and reported.",
        group=DATA,
    )


def time_setting() -> Any:
    """The setting `time` of a task whose tables have a sequence in several rows."""
    return setting(
        None,
        "The column of times, by which the rows of a sequence are sorted; or several, separated by commas: "
        "year,month,day.",
        group=DATA,
    )


@dataclass(frozen=True)
class TableSettings(TrainingSettings):
    """The settings of a task that reads tables: the signs in their numbers. Raises DataError for impossible signs."""

    decimal: str | None = setting(
        None, 'The decimal sign of numbers in a text table: "." or ",". Without it: found.', group=DATA
    )
    thousands: str | None = setting(
        None, """The sign between thousands: ",", ".", " " or "'". Without it: found.""", group=DATA
    )

    def __post_init__(self) -> None:
        # Not above: the help of the command line reads this file, and does not wait for polars.
        from carousel.tasks.table.numbers import Signs

        super().__post_init__()
        Signs(self.decimal, self.thousands)

    def _join(self, *names: str) -> None:
        """Writes each of these settings that lists columns as one text, with commas between them."""
        for name in names:
            if isinstance(given := getattr(self, name), list | tuple):
                object.__setattr__(self, name, ",".join(map(str, given)))
