"""Hooks: functions of the caller that run before each step of a scan."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from carousel.engines.inside_torch import autocast_is_on
from carousel.layers.add_ins import AddIn, Change, States

Function = Callable[[int, dict[str, Tensor]], Mapping[str, Tensor] | None]


@dataclass(frozen=True)
class StepHook:
    """function: (t, states by name) -> new states by name, or None. at: its scan, such as "l0_reverse"; None: all."""

    function: Function
    at: str | None


class Hooks(AddIn):
    """The hooks of a layer, in their order. names: the states of the layer."""

    def __init__(self, layer: str, hooks: Collection[StepHook], names: tuple[str, ...]):
        self.layer, self.hooks, self.names = layer, hooks, names

    def change(self, at: str) -> Change | None:
        """One function for the hooks of a scan, (t, states) -> states; None if it has no hooks."""
        here = [hook for hook in self.hooks if hook.at in (None, at)]
        names = self.names
        if not here:
            return None

        def changed(t: int, states: States) -> States:
            # Copies, because a hook may write into its argument, and other steps must not see that.
            by_name = {name: state.clone() for name, state in zip(names, states, strict=False)}
            for hook in here:
                found = hook.function(t, by_name)
                called = getattr(hook.function, "__name__", hook.function)
                where = f"{self.layer}: the hook {called} at step {t} of {at}"
                if not (found is None or isinstance(found, Mapping)):
                    raise TypeError(
                        f"{where} must give back new states by name, or None to keep what is in those it was given, "
                        f"but gave a {type(found).__name__}"
                    )
                by_name |= found or {}
                _check(where, by_name, names, states)
            rest = states[len(names) :]  # the states of regularisers
            return (*(by_name[name].to(state.dtype) for name, state in zip(names, states, strict=False)), *rest)

        return changed


def _check(where: str, found: dict[str, Any], names: tuple[str, ...], states: States) -> None:
    if strange := [name for name in found if name not in names]:
        raise ValueError(f"{where} gave a state {strange[0]!r}; the states are {', '.join(names)}")
    for name, state in zip(names, states, strict=False):
        value = found.get(name)
        if not isinstance(value, Tensor):
            raise TypeError(f"{where} must leave a Tensor for the state {name}, but left a {type(value).__name__}")
        casts = autocast_is_on()
        if value.shape != state.shape or value.device != state.device or not (value.dtype == state.dtype or casts):
            raise ValueError(
                f"{where} must leave {name} as {tuple(state.shape)} of {state.dtype} on {state.device}, "
                f"but left {tuple(value.shape)} of {value.dtype} on {value.device}"
            )
