"""Lessons from shuffled examples: everything once an epoch, in an order that a stop does not change."""

import copy
from itertools import chain

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from carousel.training.batches import ShuffledBatches
from carousel.training.loop import Loop
from carousel.training.schedule import TrainingPlan


class Heard:
    """Examples that say their numbers."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def loss(self, model: nn.Module, chosen: torch.Tensor) -> torch.Tensor:
        assert chosen.dtype == torch.int64
        self.batches.append(chosen.tolist())
        return next(model.parameters()).sum() * 0


def heard(count: int, batch: int, steps: int, *, seed: int = 0, begin: dict | None = None) -> list[list[int]]:
    ear = Heard()
    lessons = ShuffledBatches(count, batch, ear.loss, seed=seed)
    if begin is not None:
        lessons.load_state_dict(begin)
    for _ in range(steps):
        lessons.next_loss(nn.Linear(1, 1))
    return ear.batches


@settings(max_examples=50, deadline=None)
@given(count=st.integers(1, 40), batch=st.integers(1, 50), stop=st.integers(0, 30))
def test_every_example_once_an_epoch_and_a_stop_changes_nothing(count: int, batch: int, stop: int) -> None:
    ear = Heard()
    lessons = ShuffledBatches(count, batch, ear.loss, seed=3)
    epoch = lessons.steps_per_epoch
    for step in range(2 * epoch):
        if step == stop:
            saved = lessons.state_dict()
        lessons.next_loss(nn.Linear(1, 1))
    first, second = ear.batches[:epoch], ear.batches[epoch:]
    assert sorted(chain(*first)) == sorted(chain(*second)) == list(range(count))
    assert lessons.units_read == 2 * lessons.units_per_epoch == 2 * count
    assert all(len(batch) == lessons.batch for batch in first[:-1])
    if stop < 2 * epoch:
        assert heard(count, batch, 2 * epoch - stop, seed=3, begin=saved) == ear.batches[stop:]


def test_epochs_and_seeds_differ_in_their_order() -> None:
    first, second = heard(100, 100, 2)
    assert first != second
    assert heard(100, 100, 2) == [first, second]
    assert heard(100, 100, 1, seed=1) != [first]


def test_a_position_among_other_examples_is_refused() -> None:
    saved = ShuffledBatches(10, 4, Heard().loss, seed=0).state_dict()
    with pytest.raises(ValueError, match="a position among 10 examples in batches of 4, and this run has 11"):
        ShuffledBatches(11, 4, Heard().loss, seed=0).load_state_dict(saved)
    with pytest.raises(ValueError, match="batches need examples: 0"):
        ShuffledBatches(0, 4, Heard().loss, seed=0)


def test_a_loop_over_batches_resumes_to_the_same_bits() -> None:
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    y = x @ torch.tensor([1.0, -2.0, 0.5])

    def fresh() -> Loop:
        torch.manual_seed(0)

        def loss(model: nn.Module, chosen: torch.Tensor) -> torch.Tensor:
            return (model(x[chosen]).squeeze(-1) - y[chosen]).square().mean()

        loop = Loop(
            nn.Sequential(nn.Dropout(0.3), nn.Linear(3, 1)), ShuffledBatches(50, 8, loss, seed=0), peak_rate=0.1
        )
        loop.plan = TrainingPlan.of(40)
        return loop

    whole = fresh()
    for _ in range(40):
        if whole.steps == 17:
            saved = copy.deepcopy(whole.state_dict())
        whole.step()
    resumed = fresh()
    resumed.load_state_dict(saved)
    while not resumed.finished:
        resumed.step()
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert whole.epochs == 5 + 5 * 8 / 50
