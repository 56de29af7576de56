"""Checks whether a checkpoint belongs to a training, before any part of it is loaded.

A file `train_state.pt` may come from a stranger, and its numbers reach code that trusts them: the fused AdamW writes to
memory as far as the shapes of its averages say, and a training lasts as long as a count of steps says.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from carousel.training.fitting import misfit, misfit_of
from carousel.training.schedule import TrainingPlan

if TYPE_CHECKING:
    from carousel.training.loop import Loop

PARTS = (
    "model", "optimizer", "lessons", "steps", "plan", "loss_sum", "loss_count", "recent_loss", "random", "random_cuda",
)  # fmt: skip
AVERAGES = ("exp_avg", "exp_avg_sq")


def require_checkpoint_of(loop: "Loop", saved: Any) -> None:
    """Raises ValueError, which names the entry, for a state that this loop's `state_dict` cannot have returned."""
    _require_entries("loop", saved, PARTS)
    if why := misfit_of(saved["model"], loop.model.state_dict(), finite=False):
        raise ValueError(f"model: {why}")
    steps = require_count("steps", saved["steps"])
    _require_optimizer(loop.optimizer, saved["optimizer"], steps)
    _require_plan(saved["plan"], steps)
    require_count("loss_count", saved["loss_count"], most=max(steps, 1))
    for name in ("loss_sum", "recent_loss"):
        require_tensor(name, saved[name], torch.zeros(()))
    _require_rng(saved["random"], torch.Generator())
    if saved["random_cuda"] is not None and loop.device.type == "cuda":
        _require_rng(saved["random_cuda"], torch.Generator(loop.device))
    if check := getattr(loop.batches, "check_state_dict", None):
        check(saved["lessons"], loop.model)


def require_count(name: str, value: Any, *, least: int = 0, most: int = 2**62) -> int:
    """The value, a whole number within these limits. Raises ValueError for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"{name} is {value!r:.40}, and should be a whole number from {least:,} to {most:,}")
    return value


def require_number(name: str, value: Any, *, least: float = -math.inf) -> float:
    """The value as a float. Raises ValueError unless it is a finite number, at least `least`."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value) or value < least:
        raise ValueError(f"{name} is {value!r:.40}, and should be a finite number{'' if least < 0 else ', 0 or more'}")
    return float(value)


def require_tensor(name: str, found: Any, expected: torch.Tensor, *, finite: bool = True) -> None:
    """Raises ValueError unless a tensor has the shape, the type and the layout of the one expected; see `misfit`."""
    if why := misfit(found, expected, finite=finite):
        raise ValueError(f"{name} {why}")


def require_state_like(name: str, found: Any, expected: Any) -> None:
    """Raises ValueError unless a carried state is built as the one expected, of tensors that fit its tensors."""
    if isinstance(expected, torch.Tensor):
        require_tensor(name, found, expected.cpu())
        return
    if not isinstance(found, tuple) or len(found) != len(expected):
        raise ValueError(f"{name} is no {len(expected)} states")
    for number, (part, like) in enumerate(zip(found, expected, strict=True)):
        require_state_like(f"{name}.{number}", part, like)


def _require_entries(name: str, found: Any, entries: tuple[str, ...]) -> None:
    if not isinstance(found, Mapping):
        raise ValueError(f"{name} is {type(found).__name__}, and should hold {', '.join(entries)}")
    if lacking := [entry for entry in entries if entry not in found]:
        raise ValueError(f"{name} lacks {', '.join(lacking)}")
    if strange := [entry for entry in found if entry not in entries]:
        raise ValueError(f"{name} has {strange[0]!r:.40}, which nothing here is called")


def _require_optimizer(optimizer: torch.optim.Optimizer, saved: Any, steps: int) -> None:
    """Raises ValueError unless the state has AdamW's averages of each parameter, of its shape, each in memory of its
    own, and the options of this optimizer."""
    _require_entries("optimizer", saved, ("state", "param_groups"))
    ours = optimizer.state_dict()["param_groups"]
    theirs = saved["param_groups"]
    if not isinstance(theirs, list) or len(theirs) != len(ours):
        raise ValueError(f"optimizer.param_groups should be a list of {len(ours)}")
    for number, (group, own) in enumerate(zip(theirs, ours, strict=True)):
        where = f"optimizer.param_groups.{number}"
        if not isinstance(group, Mapping) or group.get("params") != own["params"]:
            raise ValueError(f"{where}.params should be {own['params']}, the numbers of the model's parameters")
        require_number(f"{where}.lr", group.get("lr"), least=0)
        for name in own.keys() & group.keys() - {"params", "lr"}:
            if type(group[name]) is not type(own[name]) or group[name] != own[name]:
                raise ValueError(f"{where}.{name} is {group[name]!r:.60}, and should be {own[name]!r}")
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state = saved["state"]
    if not isinstance(state, Mapping):
        raise ValueError(f"optimizer.state is {type(state).__name__}")
    memory: set[int] = set()
    for key, averages in state.items():
        require_count("a number of optimizer.state", key, most=len(parameters) - 1)
        where = f"optimizer.state.{key}"
        _require_entries(where, averages, ("step", *AVERAGES))
        require_tensor(f"{where}.step", averages["step"], torch.zeros(()))
        taken = averages["step"].item()
        if not 0 <= taken <= steps or taken != round(taken):
            raise ValueError(f"{where}.step is {taken:g}, and should be a whole number up to the {steps:,} steps taken")
        for name in AVERAGES:
            require_tensor(f"{where}.{name}", averages[name], parameters[key].detach())
            memory.add(averages[name].untyped_storage().data_ptr() if averages[name].numel() else -len(memory) - 1)
        if bool((averages["exp_avg_sq"] < 0).any()):
            raise ValueError(f"{where}.exp_avg_sq is a mean of squares, and below 0 somewhere")
    if len(memory) != len(AVERAGES) * len(state):
        raise ValueError("optimizer.state has averages that share their memory")


def _require_plan(plan: Any, steps: int) -> None:
    if plan is None:
        return
    _require_entries("plan", plan, tuple(TrainingPlan.__dataclass_fields__))
    for name, value in plan.items():
        require_count(f"plan.{name}", value, least=1)
    if plan["steps"] < steps:
        raise ValueError(f"steps is {steps:,}, and should be {plan['steps']:,} at most, as plan.steps says")


def _require_rng(state: Any, generator: torch.Generator) -> None:
    """Raises ValueError unless another generator takes the state, and returns it unchanged."""
    require_tensor("random", state, generator.get_state())
    try:
        generator.set_state(state)
    except RuntimeError as problem:
        raise ValueError(f"random is no state of a random generator ({str(problem).splitlines()[0]})") from None
    if not torch.equal(generator.get_state(), state):
        raise ValueError("random is no state of a random generator")
