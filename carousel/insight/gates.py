"""The gates and states of a layer over time: saturation, time constants, dead units."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from carousel.errors import DataError
from carousel.insight.border import is_index
from carousel.insight.keeping import bounds, gate_names, keeping_gates
from carousel.insight.observation import Observation, find_layer, observe, places
from carousel.insight.refusal import TooShort
from carousel.insight.shown import Shown
from carousel.insight.timeline import Timeline
from carousel.layers import Recurrent
from carousel.layers.regularizers import zoneout_by_state
from carousel.program import Program
from carousel.program.rewrite import spelling

FEWEST_STEPS = 10

V = TypeVar("V")


@dataclass(frozen=True)
class Saturation:
    """For each unit, the share of steps at which its gate is near one of its bounds.

    shut: (H), the share of steps at which the gate is closed, below `low`. open: (H), the share at which it is open,
        above `high`.
    low, high: the two limits, as shares of the range between the bounds.
    """

    shut: Tensor
    open: Tensor
    low: float
    high: float


@dataclass(frozen=True)
class Gates(Shown):
    """The values of a layer's gates and states at every step.

    values: by name, (P, T, B, H), NaN in the padding. places: the P scans, in the order of hx.
    gates, states: their names. bounds: by name, the bounds of a value, None if it has none.
    keeps: by state, the name of the share that gates keep, f in c' = f * c + ...: "f", "1 - z".
    timeline: which steps of which sequence are real, and at which steps a new sequence begins.
    shares: by state of `keeps`, (P, T, B, H), the share that a step keeps in all, by gates, zoneout and keep=.
    hooks: the names of hooks, which change states before a step.

    A gate can also be named by the field's word, "forget" for f, as in `layer.record`. In all methods, `place` is the
    index of a scan in `places`; -1 is the last scan.
    """

    values: dict[str, Tensor]
    places: tuple[str, ...]
    gates: tuple[str, ...]
    states: tuple[str, ...]
    bounds: dict[str, tuple[float, float] | None]
    keeps: dict[str, str]
    timeline: Timeline
    shares: dict[str, Tensor] = field(default_factory=dict)
    hooks: tuple[str, ...] = ()

    def saturation(self, gate: str, place: int = -1, *, low: float = 0.1, high: float = 0.9) -> Saturation:
        """How often each unit's gate is near its bounds.

        gate: the name of a gate or state that has bounds. place: the scan, an index of `places`.
        low, high: the limits as shares of the range between the bounds, which is (0, 1) for a sigmoid.

        Raises DataError for an unknown name or place, and for a value without bounds.
        Source: Karpathy, Johnson & Li, "Visualizing and understanding recurrent networks" (arXiv:1506.02078, 2015).
        """
        values, limits = self.of(gate, place), self.bounds[spelling(self.bounds, gate)]
        if limits is None:
            raise DataError(f"{gate} has no bounds, and so no saturation; those with bounds: {self._bounded()}.")
        share = (values - limits[0]) / (limits[1] - limits[0])
        there = ~share.isnan()
        steps = there.sum((0, 1)).clamp(min=1)
        shut, opened = (((share < low) & there).sum((0, 1)) / steps, ((share > high) & there).sum((0, 1)) / steps)
        return Saturation(shut, opened, low, high)

    def time_constants(self, state: str | None = None, place: int = -1) -> Tensor:
        """The time constant of each unit of a state in steps, (H): tau = -1 / mean(ln a), where a step keeps the share
        a.

            a = |keep| * (z + (1 - z) * f)      f: by the gates, z: by zoneout (0 without), keep: of keep= (1 without)

        After tau steps a unit keeps 1/e of its value, if nothing is added. Over several steps that share is the product
        of a, which is why ln a is averaged. tau is infinite if a is 1.
        state: a state that a gate keeps. Default: the last one. place: the scan, an index of `places`.

        Raises DataError for a state that no gate keeps, for an unknown place, and for a layer with hooks.
        """
        state = next(reversed(self.keeps), None) if state is None else state
        if state not in self.keeps:
            raise DataError(
                f"No gate keeps the state {state or self.states[0]}, so it has no time constant; "
                f"autocorrelation_times() measures how long it holds on."
            )
        if self.hooks:
            raise DataError(
                f"How much of {state} a step keeps cannot be read off the equations, since {' and '.join(self.hooks)} "
                f"may change it before each step: remove the hook, or measure it by autocorrelation_times()."
            )
        self.of(self.keeps[state], place)  # raises an error for an unknown place
        share = self.shares[state][place].double().abs()
        lost = -share.clamp(min=torch.finfo(torch.float32).tiny).log().nanmean((0, 1))
        return torch.where(lost > 0, 1 / lost, torch.inf)

    def autocorrelation_times(self, state: str | None = None, place: int = -1) -> Tensor:
        """The autocorrelation time of each unit in steps, (H), for any cell. It is comparable to a time constant.

        It is the lag at which the autocorrelation has fallen to 1/e, with linear interpolation of its logarithm: for
        x_t = a x_{t-1} + noise it is -1 / ln a. It is infinite if the autocorrelation does not fall that far within
        half of the steps, and 0 for a unit that never changes. Pairs of steps across padding and resets count like
        others.
        state: the name of a state or gate. Default: the first state. place: the scan, an index of `places`.

        Raises TooShort with fewer than 10 steps, and DataError for an unknown state or place.
        """
        values = self.of(state or self.states[0], place).double()
        if len(values) < FEWEST_STEPS:
            raise TooShort(
                f"Autocorrelation needs at least {FEWEST_STEPS} steps, but there are {len(values)}.",
                needed=FEWEST_STEPS,
            )
        return _autocorrelation_times(values)

    def timescales(self, place: int = -1) -> Tensor:
        """The time constants in steps, (H), if a gate keeps a state and the layer has no hooks; else the
        autocorrelation times of the output state.

        place: the scan, an index of `places`.
        Raises DataError and TooShort as `time_constants` and `autocorrelation_times` do.
        """
        known = self.keeps and not self.hooks
        return self.time_constants(None, place) if known else self.autocorrelation_times(None, place)

    def by_timescale(self, place: int = -1) -> Tensor:
        """The indices of the units, (H) int64, slowest first. The time scales and the errors, DataError and TooShort,
        are those of `timescales`.

        place: the scan, an index of `places`.
        """
        return self.timescales(place).argsort(descending=True, stable=True)

    def dead_units(self, state: str | None = None, place: int = -1) -> Tensor:
        """Which units never change at any step of any sequence, (H) bool, such as rectified units that stay at 0.

        state: the name of a state or gate. Default: the first state. place: the scan, an index of `places`.
        Raises DataError for an unknown state or place.
        """
        values = self.of(state or self.states[0], place)
        high = torch.where(values.isnan(), -torch.inf, values).amax((0, 1))
        low = torch.where(values.isnan(), torch.inf, values).amin((0, 1))
        return high <= low

    def saturated_units(self, state: str | None = None, place: int = -1, *, share: float = 0.95) -> Tensor:
        """Which units of a bounded state are nearly always at one of their bounds, (H) bool: a tanh below -0.99 or
        above 0.99.

        A unit is at a bound if it is nearer to it than 0.5 % of the range between the bounds.
        state: the name of a state or gate. Default: the first state. place: the scan, an index of `places`.
        share: a unit must be there at more than this share of the steps.
        Raises DataError for an unknown state or place, and for a state without bounds.
        """
        found = self.saturation(state or self.states[0], place, low=0.005, high=0.995)
        return found.shut + found.open > share

    def _bounded(self) -> str:
        return ", ".join(name for name, limits in self.bounds.items() if limits is not None) or "none"

    def of(self, name: str, place: int = -1) -> Tensor:
        """The values of a gate or state in one scan, (T, B, H). Raises DataError for an unknown name or place."""
        name = spelling(self.values, name)
        if name not in self.values or not is_index(place) or not -len(self.places) <= place < len(self.places):
            raise DataError(
                f"There is no {name!r} at place {place}: there is {', '.join(self.values)} "
                f"at {', '.join(f'{i} ({where})' for i, where in enumerate(self.places))}."
            )
        return self.values[name][place]


def read_gates(module: Callable[..., Any], *inputs: Any, layer: Recurrent | str | None = None, **call: Any) -> Gates:
    """The named gates and the states of a layer, at every step of one call of module(*inputs, **call).

    The call runs in evaluation mode and without gradients. `layer.record` says which values have a name.
    Raises DataError if the module has no such layer, or if the cell's step runs as plain Python.
    """
    chosen = find_layer(module, layer)
    program = chosen.program
    if not isinstance(program, Program):
        raise DataError(
            f"Gates are read out of a cell's program, and the step of {program.cell} runs as plain Python: "
            f"{chosen.why_untraced}"
        )
    gates, states = gate_names(program), tuple(program.states)
    with chosen.record(*gates, *states) as recorded:
        observation = observe(module, inputs, call, chosen)
    padding = ~observation.timeline.real[None, :, :, None]
    values = _ByWord[Tensor](
        (name, observation.time_first(found).detach().cpu().masked_fill(_beside(padding, found), torch.nan))
        for name, found in recorded.items()
    )
    limits = _ByWord[tuple[float, float] | None]((name, bounds(program, name)) for name in values)
    keeps = keeping_gates(program)
    shares = {
        state: _share(observation, state, values[gate]).masked_fill(padding, torch.nan) for state, gate in keeps.items()
    }
    hooks = tuple(f"the hook {getattr(hook.function, '__name__', hook.function)}" for hook in chosen.hooks)
    return Gates(values, places(chosen), gates, states, limits, keeps, observation.timeline, shares, hooks)


def _beside(padding: Tensor, values: Tensor) -> Tensor:
    """Flags (P, T, B, 1) with as many axes as values, which have two more than one for units if they have members."""
    return padding.view(*padding.shape, *(1,) * (values.dim() - padding.dim()))


def _share(observation: Observation, state: str, gates: Tensor) -> Tensor:
    """The share of a state that each step keeps, (P, T, B, H), from the share that its gates keep."""
    zoned = zoneout_by_state(observation.layer.program, observation.layer.zoneout).get(state, 0.0)
    share = zoned + (1 - zoned) * gates
    if isinstance(observation.input, Tensor):
        for by_step in observation.layer.given_by_step(observation.input, observation.options.get("keep")):
            if (keep := by_step.given.get(f"keep_{state}")) is not None:
                share = share * keep.detach().cpu().view(*share.shape[1:3], -1)
    return share


class _ByWord(dict[str, V]):
    """A dict in which the field's word for a gate is a key too."""

    def __missing__(self, name: str) -> V:
        if (found := spelling(self, name)) not in self:
            raise KeyError(f"there is no {name!r}: there is {', '.join(self)}")
        return self[found]


def _autocorrelation_times(values: Tensor) -> Tensor:
    """(T, B, H) -> (H). All sequences have one common mean; their autocovariances are averaged."""
    there = ~values.isnan()
    centred = torch.where(there, values - values.nanmean((0, 1)), 0.0)
    steps = len(values)
    transformed = torch.fft.rfft(centred, n=2 * steps, dim=0)
    covariance = torch.fft.irfft(transformed.abs().square(), n=2 * steps, dim=0)[:steps].sum(1)
    pairs = (steps / torch.arange(steps, 0, -1))[:, None]  # long lags have fewer pairs
    varies = covariance[0] > steps * torch.finfo(values.dtype).eps * values.nan_to_num().square().sum((0, 1))
    correlation = (covariance * pairs / torch.where(varies, covariance[0], 1.0))[: steps // 2 + 1]
    level = math.exp(-1)
    below = correlation < level
    end = below.long().argmax(0, keepdim=True).clamp(min=1)  # the first lag below 1/e
    high, low = correlation.gather(0, end - 1)[0], correlation.gather(0, end)[0]
    logarithmic = (high.clamp(min=level).log() + 1) / (high.clamp(min=level) / low.clamp(min=1e-300)).log()
    part = torch.where(low > 0, logarithmic, (high - level) / (high - low).clamp(min=1e-300))
    times = torch.where(below.any(0), end[0] - 1 + part, torch.inf)
    return torch.where(varies, times, 0.0)
