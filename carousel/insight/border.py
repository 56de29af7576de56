"""The checks of the arguments of all measures: for NaN and infinity, and for steps, rows and units out of range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from carousel.errors import DataError


class NotFinite(DataError):
    """A measured tensor contains NaN or infinity, so that every measure would be NaN too.

    what: the tensor, "the input", "the parameter weight_hh_l0", ... seen: the value that it contains, and where.
    """

    def __init__(self, what: str, seen: str, advice: str) -> None:
        super().__init__(f"{what[0].upper()}{what[1:]} {seen}. {advice[0].upper()}{advice[1:]}.")
        self.what, self.seen, self.advice = what, seen, advice


CLEAN = "fill or cut what is missing, and see what in the preparation divides by 0"
RESTORE = "take weights from before they were lost, and train on with a lower learning rate and clipped gradients"


def check_finite(module: nn.Module, x: Tensor, real: Tensor, hx: Any, options: Mapping[str, Any]) -> None:
    """Raises NotFinite if a parameter, a buffer, the input (T, B, I) at a real step, or a state is not finite.

    Parameters are checked first, because a NaN in weights before the layer makes the layer's input NaN too.
    """
    for name, value in module.named_parameters():
        if value.is_floating_point() and (bad := _not_finite(value)) is not None:
            raise NotFinite(f"the parameter {name}", f"{_what(value, bad)} at {_place(bad)}{_of(value, bad)}", RESTORE)
    for name, buffer in module.named_buffers():
        # Infinity is allowed there, because masks consist of it.
        nan = buffer.isnan().nonzero() if buffer.is_floating_point() else torch.empty(0)
        if len(nan):
            raise NotFinite(f"the buffer {name}", f"holds NaN at {_place(nan)}{_of(buffer, nan)}", RESTORE)
    if x.is_floating_point():
        there = real.to(x.device)[..., None]
        if (bad := _not_finite(torch.where(there, x, 0.0))) is not None:
            step, row, channel = bad[0].tolist()
            where = f"at step {step}, row {row}, channel {channel}{_of(x, bad)}"
            raise NotFinite("the input that the layer receives", f"{_what(x, bad)} {where}", CLEAN)
    given = {"the initial state": hx, "keep=": options.get("keep"), "add=": options.get("add")}
    for what, values in given.items():
        for tensor in _tensors(values):
            if (bad := _not_finite(tensor)) is not None:
                raise NotFinite(what, f"{_what(tensor, bad)} at {_place(bad)}{_of(tensor, bad)}", CLEAN)


def check_overflow(layer: str, output: Tensor, real: Tensor) -> None:
    """Raises NotFinite if a layer's output (T, B, H) is not finite at a real step, though its inputs are."""
    if (bad := _not_finite(torch.where(real.to(output.device)[..., None], output, 0.0))) is None:
        return
    step, row, unit = bad[0].tolist()
    raise NotFinite(
        f"the output of the {layer}",
        f"{_what(output, bad)} from step {step} on (row {row}, unit {unit}), though all that goes in is finite: the "
        f"state overflows",
        "measure fewer steps than that, or make the recurrence smaller; diagnose(...) says what explodes",
    )


def check_values(what: str, values: Tensor, real: Tensor) -> None:
    """Raises NotFinite for a NaN in values (T, B) or (B) at a real step."""
    if values.dim() == 2:
        values = torch.where(real.to(values.device), values, 0.0)
    bad = values.isnan().nonzero()
    if len(bad):
        place = bad[0].tolist()
        where = f"step {place[0]}, row {place[1]}" if len(place) == 2 else f"row {place[0]}"
        raise NotFinite(what, f"gives NaN at {where}", "see what in it divides by 0, or takes a logarithm of 0")


def steps_named(name: str, given: Any, steps: int) -> list[int]:
    """The given steps as indices from 0. Raises DataError for anything that is no step of the data."""
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise DataError(f"{name}= must be a list of steps, such as [{steps - 1}], not {given!r}.")
    listed = list(given)
    chosen = [int(t) for t in listed if is_index(t)]
    if len(chosen) < len(listed):
        strange = next(t for t in listed if not is_index(t))
        raise DataError(f"{name}= must name steps by whole numbers, but names {strange!r}.")
    if not chosen or not all(-steps <= t < steps for t in chosen):
        raise DataError(f"{name}= must name steps from 0 to {steps - 1} (or from the end, from -1), but is {chosen}.")
    return [t % steps for t in chosen]


def check_index(what: str, given: Any, count: int) -> int:
    """The index of a row or a unit, from 0. Raises DataError if it is out of range."""
    if not is_index(given) or not -count <= int(given) < count:
        raise DataError(f"There is no {what} {given!r}: there are {count}, from 0 to {count - 1}.")
    return int(given) % count


def is_index(value: Any) -> bool:
    """Whether a value is an integer of Python, numpy or torch."""
    if isinstance(value, Tensor):
        return value.dim() == 0 and not value.is_floating_point() and value.dtype != torch.bool
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _not_finite(value: Tensor) -> Tensor | None:
    """The indices of values that are not finite, (N, dimensions); None if all are finite."""
    bad = (~value.detach().isfinite()).nonzero()
    return bad if len(bad) else None


def _what(value: Tensor, bad: Tensor) -> str:
    return "holds NaN" if bool(value[tuple(bad[0])].isnan()) else "holds infinity"


def _place(bad: Tensor) -> str:
    return str(bad[0].tolist())


def _of(value: Tensor, bad: Tensor) -> str:
    return "" if len(bad) == 1 else f", and at {len(bad) - 1:,} more of {value.numel():,} places"


def _tensors(values: Any) -> list[Tensor]:
    if isinstance(values, Tensor):
        return [values] if values.is_floating_point() else []
    if isinstance(values, Mapping):
        values = values.values()
    return [tensor for part in values for tensor in _tensors(part)] if isinstance(values, Iterable) else []
