"""The settings that every task shares which reads tables."""

from dataclasses import dataclass

from carousel.training.settings import DATA, TrainingSettings, setting


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
