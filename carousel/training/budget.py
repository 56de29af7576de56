"""How many training steps a run takes, from the minutes or epochs that it is given."""

from dataclasses import dataclass

from carousel.training.schedule import VALIDATIONS, TrainingPlan


@dataclass(frozen=True)
class Budget:
    """How long to train: `epochs` over the training data, or `minutes` by the clock. Raises ValueError unless exactly
    one of them is given, and is positive.

    Epochs fix the number of steps at once. For minutes the first few seconds of training are timed, and their speed
    fixes the number of steps once and for all. A machine that gets busier afterwards makes such a run last longer; it
    does not change what it computes.
    """

    minutes: float | None = None
    epochs: float | None = None

    def __post_init__(self) -> None:
        if (self.minutes is None) == (self.epochs is None):
            raise ValueError("a budget is either minutes or epochs")
        if (self.minutes or self.epochs or 0) <= 0:
            raise ValueError(f"a budget must be positive, not {self.minutes or self.epochs}")

    def plan_for_epochs(self, steps_per_epoch: int) -> TrainingPlan | None:
        """The plan of a budget in epochs; None for one in minutes."""
        if self.epochs is None:
            return None
        return TrainingPlan.of(round(self.epochs * steps_per_epoch))

    @property
    def trial_seconds(self) -> float:
        """For how many seconds the training is timed before the number of steps is fixed."""
        return min(15.0, 0.06 * 60 * (self.minutes or 0))

    def plan_for_minutes(
        self, *, steps: int, elapsed: float, step_seconds: float, validation_seconds: float
    ) -> TrainingPlan:
        """The plan that ends on time, made after the first `steps` steps.

        elapsed: seconds since training began. step_seconds, validation_seconds: how long one of each takes.
        There are twenty validations, or fewer where twenty would take over a tenth of the time left.
        """
        assert self.minutes is not None
        left = max(0.0, 60 * self.minutes - elapsed)
        validations = VALIDATIONS
        if validation_seconds * validations > 0.1 * left:
            validations = max(2, int(0.1 * left / validation_seconds))
        return TrainingPlan.of(
            steps + max(0, int((left - validations * validation_seconds) / step_seconds)), validations
        )
