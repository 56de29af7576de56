"""The plan of a run: its number of steps, when it logs and validates, and its learning rate at each step."""

import math
from dataclasses import dataclass

WARM_UP = 100  # steps; Adam's second moments settle within about 1 / (1 - 0.99) steps
VALIDATIONS = 20  # in a run, usually
APART = 10  # steps between two validations at least, or a tenth of a shorter run: one costs as much as some steps


@dataclass(frozen=True)
class TrainingPlan:
    """Everything that follows from the number of steps. A plan never changes, so that the number of a step alone says
    what happens at it, and a resumed run does what the uninterrupted one would have done."""

    steps: int  # in the whole run
    log_every: int  # steps between two lines of the log
    validate_every: int  # steps between two validations

    @classmethod
    def of(cls, steps: int, validations: int = VALIDATIONS) -> "TrainingPlan":
        """A plan with so many validations, evenly spread; with more where they would be over 2000 steps apart, and with
        fewer where they would be less than `APART` steps apart. A run of up to 100 steps has ten of them at most."""
        steps = max(1, steps)
        apart = min(APART, math.ceil(steps / 10))
        return cls(
            steps=steps,
            log_every=min(max(1, steps // 200), 200),
            validate_every=min(max(apart, steps // validations), 2000),
        )

    def validates_at(self, step: int) -> bool:
        """Whether to validate after this many steps: always after the last, and then not shortly before it."""
        left = self.steps - step
        return left <= 0 or (step % self.validate_every == 0 and left >= self.validate_every // 2)


def learning_rate(step: int, peak: float, plan: TrainingPlan | None) -> float:
    """The learning rate at a step, counted from 0: linear warm-up to `peak`, then half a cosine down to 1 % of it.

    Warm-up takes `WARM_UP` steps, or a tenth of a shorter run. Without a plan yet, the rate stays at its peak after it.
    """
    warm_up = WARM_UP if plan is None else max(1, min(WARM_UP, plan.steps // 10))
    if step < warm_up:
        return peak * (step + 1) / warm_up
    if plan is None:
        return peak
    progress = min(1.0, (step - warm_up) / max(1, plan.steps - warm_up))
    return peak * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * progress)))
