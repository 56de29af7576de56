"""Plans, rates and budgets: what is decided by a step's number."""

from itertools import pairwise

import pytest

from carousel.training.budget import Budget
from carousel.training.schedule import WARM_UP, TrainingPlan, learning_rate


def test_the_rate_climbs_then_falls_to_a_hundredth() -> None:
    plan = TrainingPlan.of(2000)
    rates = [learning_rate(step, 1.0, plan) for step in range(2000)]
    assert rates[0] == pytest.approx(1 / WARM_UP)
    assert max(rates) == rates[WARM_UP - 1] == 1.0
    assert rates[WARM_UP - 1 :] == sorted(rates[WARM_UP - 1 :], reverse=True)
    assert rates[-1] == pytest.approx(0.01, abs=1e-4)


def test_fixing_the_plan_changes_no_rate_that_has_been_used() -> None:
    for step in range(WARM_UP):
        assert learning_rate(step, 3e-3, None) == learning_rate(step, 3e-3, TrainingPlan.of(5000))


@pytest.mark.parametrize("steps", [1, 2, 3, 19, 20, 45, 1000, 100_001])
def test_every_plan_validates_after_its_last_step_and_not_just_before(steps: int) -> None:
    plan = TrainingPlan.of(steps)
    at = [step for step in range(1, steps + 1) if plan.validates_at(step)]
    assert at[-1] == steps
    assert len(at) <= max(40, steps / 1000)
    assert all(later - earlier >= plan.validate_every / 2 for earlier, later in pairwise(at))


@pytest.mark.parametrize(("steps", "most"), [(7, 7), (26, 10), (45, 10), (100, 10), (150, 15), (199, 20), (600, 20)])
def test_a_short_run_validates_no_more_often_than_a_long_one(steps: int, most: int) -> None:
    plan = TrainingPlan.of(steps)
    assert most - 3 <= sum(plan.validates_at(step) for step in range(1, steps + 1)) <= most


def test_minutes_become_the_steps_that_fit_with_their_validations() -> None:
    plan = Budget(minutes=1).plan_for_minutes(steps=50, elapsed=10.0, step_seconds=0.1, validation_seconds=0.05)
    assert plan.steps == 50 + 490
    assert plan.validate_every == 540 // 20


def test_slow_validations_are_fewer_rather_than_the_training_shorter() -> None:
    plan = Budget(minutes=1).plan_for_minutes(steps=50, elapsed=10.0, step_seconds=0.1, validation_seconds=1.0)
    assert plan.steps == 50 + 450
    assert plan.validate_every == 100


def test_a_machine_too_slow_for_its_budget_stops_at_once() -> None:
    plan = Budget(minutes=0.01).plan_for_minutes(steps=6, elapsed=60.0, step_seconds=10.0, validation_seconds=5.0)
    assert plan.steps == 6


def test_epochs_become_steps() -> None:
    plan = Budget(epochs=2.5).plan_for_epochs(steps_per_epoch=100)
    assert plan is not None
    assert plan.steps == 250
    assert Budget(minutes=1).plan_for_epochs(100) is None


@pytest.mark.parametrize("wrong", [{}, {"minutes": 1, "epochs": 1}, {"minutes": 0}, {"epochs": -1}])
def test_a_budget_is_minutes_or_epochs(wrong: dict) -> None:
    with pytest.raises(ValueError, match="budget"):
        Budget(**wrong)
