"""The evidence of a diagnosis, which is measured when it is first used, and its findings."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from carousel.errors import DataError
from carousel.insight.decay import FEWEST_LAGS, Decay
from carousel.insight.gates import Gates, read_gates
from carousel.insight.gradient_flow import GradientFlow, gradient_flow
from carousel.insight.memory import Memory, data_memory
from carousel.insight.observation import Observation, observe
from carousel.insight.refusal import TooShort
from carousel.insight.unrolling import padded_input
from carousel.layers import Recurrent

LOST = 1e-6  # a gradient this much smaller than another is lost when float32 adds the two


@dataclass(frozen=True)
class Finding:
    """One fault: what is wrong, the evidence, and what to try.

    fault: its name, for programs. what: the same in words. seen: the evidence, as a sentence with the measured values.
    advice: what to try against it.
    numbers: the measured values, by name. place: the scan, "" for the whole layer.
    """

    fault: str
    what: str
    seen: str
    advice: str
    numbers: dict[str, float] = field(default_factory=dict)
    place: str = ""

    def __str__(self) -> str:
        where = f" ({self.place})" if self.place else ""
        return f"{self.what}{where}: {self.seen}. Try: {self.advice}."

    def _repr_html_(self) -> str:
        where = f" ({self.place})" if self.place else ""
        head, seen, advice = (html.escape(text) for text in (f"{self.what}{where}", self.seen, self.advice))
        return f"<p><b>{head}</b><br>{seen}<br><i>Try:</i> {advice}</p>"


class Diagnosis(list[Finding]):
    """The findings in the order in which they are reported. A notebook shows them as text."""

    def _repr_html_(self) -> str:
        return "".join(finding._repr_html_() for finding in self) or "<p>Nothing was found, and all was judged.</p>"


@dataclass(frozen=True)
class Evidence:
    """A module, the arguments of its call, and what is known about its training."""

    module: Callable[..., Any]
    inputs: tuple[Any, ...]
    call: Mapping[str, Any]
    loss: Callable[[Tensor], Tensor] | None = None
    target: Any = None
    memory: int | None = None  # memory of the data in steps, if the caller knows it
    window: int | None = None
    lags: int | None = None
    gradient_norms: Sequence[float] | None = None
    clip: float | None = None
    chosen: Recurrent | str | None = None

    @cached_property
    def observation(self) -> Observation:
        with torch.no_grad():
            return observe(self.module, self.inputs, self.call, self.chosen, overflow=True)

    @property
    def layer(self) -> Recurrent:
        return self.observation.layer

    @property
    def steps(self) -> int:
        return self.observation.timeline.steps

    @cached_property
    def overflow(self) -> int | None:
        """The number of steps before a state of a scan is no longer finite; None if all states are finite."""
        output = self.observation.time_first(self.observation.output[None])[0]
        bad = ~output.isfinite() & self.observation.timeline.real.to(output.device)[..., None]
        scans = bad.chunk(2, -1) if self.layer.bidirectional else (bad,)
        there = [scan.flatten(1).any(1) for scan in scans]
        in_order = [there[0], *(scan.flip(0) for scan in there[1:])]
        first = [int(scan.long().argmax()) for scan in in_order if scan.any()]
        return min(first, default=None)

    @property
    def measurable(self) -> bool:
        """Whether there are enough steps before an overflow of the state to measure gates and gradients."""
        return self.overflow is None or self.overflow >= 2 * FEWEST_LAGS

    @cached_property
    def flow(self) -> GradientFlow:
        """The gradient flow of the module; if the state overflows, that of the layer alone in the steps before."""
        if self.overflow is None:
            whole = self.module, *self.inputs
            return gradient_flow(*whole, loss=self.loss, lags=self.lags, layer=self.chosen, **self.call)
        x, options = beginning(self.observation, self.overflow)
        return gradient_flow(self.layer, x, self.observation.hx, **options)

    @cached_property
    def gates(self) -> Gates:
        if self.overflow is None:
            return read_gates(self.module, *self.inputs, layer=self.chosen, **self.call)
        x, options = beginning(self.observation, self.overflow)
        return read_gates(self.layer, x, self.observation.hx, **options)

    @cached_property
    def reaches(self) -> dict[tuple[str, int], float | None]:
        """By state and place: the lag beyond which the gradient is lost; None if it cannot be measured."""
        places = range(len(self.flow.places))
        return {(s, p): blind_after(self.flow, s, p, self.remember) for p in places for s in self.flow.states}

    @cached_property
    def input(self) -> Tensor:
        """The layer's input without padding, (real steps, I)."""
        return padded_input(self.observation)[self.observation.timeline.real].double().cpu()

    @cached_property
    def measured(self) -> Memory | None:
        """The dependence in the data. None if it cannot be measured, or if the caller gave memory=."""
        if self.memory is not None or self._ragged:
            return None
        x = self.inputs[0] if self.inputs else None
        # Symbols are taken from the module's input, numbers from the layer's input, time first.
        values, received, kind = padded_input(self.observation), self.observation.input, None
        if isinstance(x, Tensor) and isinstance(received, Tensor) and x.shape == received.shape[:-1]:
            values = self.observation.time_first(x[None, ..., None])[0, ..., 0]
            kind = None if x.is_floating_point() or self.target is not None else "symbols"
        if torch.all(values == values.flatten()[0]):
            return None
        return data_memory(values, self.target, kind=kind)

    @property
    def memory_is_unknown(self) -> bool:
        """Whether the memory of the data is unknown, because it was neither given nor could be measured."""
        return self.memory is None and self._ragged

    @property
    def _ragged(self) -> bool:
        # Sequences with padding cannot be measured here; for these the caller must give memory=.
        return not bool(self.observation.timeline.real.all()) or bool(self.observation.timeline.starts.any())

    @cached_property
    def remember(self) -> int:
        """The memory of the data in steps, given or measured; 0 if it is unknown."""
        if self.memory is not None:
            return self.memory
        return self.measured.reach if self.measured is not None else 0

    @property
    def source(self) -> str:
        """A phrase that says where the number of `remember` comes from."""
        if self.memory is not None:
            return f"the data's memory, as given, is {self.memory} steps"
        whose = "the data's autocorrelation reaches" if self.target is None else "the target depends on inputs back to"
        more = " and more" if self.measured and self.measured.cut_off else ""
        assumed = self.measured.assumed if self.measured else ""
        return f"{whose} {self.remember} steps{more}" + (f" ({assumed})" if assumed.startswith("whole") else "")

    def check(self) -> None:
        """Raises DataError for arguments that cannot be judged."""
        if isinstance(self.observation.input, PackedSequence) and self.target is not None:
            raise DataError("A target beside a PackedSequence has no place: pad the sequences and give lengths=.")
        for name in ("memory", "window", "lags"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise DataError(f"{name}= must be 1 step or more, not {value}.")
        if (self.gradient_norms is None) != (self.clip is None):
            raise DataError("gradient_norms= and clip= belong together: the norms before clipping, and the limit.")
        if self.clip is not None and not self.clip > 0:
            raise DataError(f"clip= must be above 0, not {self.clip}.")


def decay_of(flow: GradientFlow, state: str, place: int) -> Decay | None:
    """The decay of one state's gradients; None if they are 0 after too few lags for a line."""
    try:
        return flow.decay(state, place)
    except TooShort:
        return None


def blind_after(flow: GradientFlow, state: str, place: int, wanted: float) -> float | None:
    """The lag, in steps, at which the gradient has fallen to a millionth: observed, or extrapolated from the decay.

    Infinite if that lag is beyond `wanted` or never comes; None if it cannot be measured.
    """
    if not flow.read[place]:
        return None
    ratio = flow.by_lag(state, place)
    lost = (ratio < LOST).nonzero()
    if len(lost):
        return float(lost[0]) + 1
    decay = decay_of(flow, state, place)
    measured = int((~ratio.isnan()).long().cumprod(0).sum())
    if decay is None:
        return math.inf if measured >= wanted > 0 else None
    if decay.kind != "vanishing":
        return math.inf
    return max(float(measured), (math.log(LOST) - math.log(decay.start)) / math.log(decay.factor))


def beginning(observation: Observation, steps: int) -> tuple[Tensor, dict[str, Any]]:
    """The first steps of a layer's input and of its options, padded and in the same layout."""
    layer, unbatched = observation.layer, isinstance(observation.input, Tensor) and observation.input.dim() == 2
    transposed = layer.batch_first and not unbatched
    keep_batch = not unbatched

    def laid_out(values: Tensor) -> Tensor:
        values = values[:steps]
        values = values if keep_batch else values[:, 0]
        return values.transpose(0, 1) if transposed else values

    options: dict[str, Any] = {}
    for name, values, nothing in (
        ("mask", observation.timeline.real, True),
        ("reset", observation.timeline.starts, False),
    ):
        if not bool((values == nothing).all()):
            options[name] = laid_out(values).to(layer.weight_ih_l0.device)
    for name in ("keep", "add"):
        given = observation.options.get(name)
        cut = {s: _first(v, steps, transposed) for s, v in given.items()} if isinstance(given, Mapping) else given
        if given is not None:
            options[name] = _first(cut, steps, transposed) if isinstance(cut, Tensor) else cut
    return laid_out(padded_input(observation)), options


def _first(values: Tensor, steps: int, transposed: bool) -> Tensor:
    return values[:, :steps] if transposed else values[:steps]
