"""The measures of `carousel.insight` in the form in which the page shows them, for networks of all tasks."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from carousel.insight import Gates, GradientFlow, InputInfluence, TooShort, diagnose, properties, units_following
from carousel.page.moments import Curve, Follower, Property
from carousel.page.progress_lines import ProgressLines

BACK = 64  # the number of steps over which influence and gradients are followed back
ROWS = 64  # windows whose influence is measured together
FIRST = 8  # steps of the first window that are measured together
FOLLOWERS = 5
TEXT_PROPERTIES = properties.PROPERTIES | {
    "capital letters": lambda text: np.array([character.isupper() for character in text]),
    "digits": lambda text: np.array([character.isdigit() for character in text]),
}

# (steps (W, B), the states before them, the A steps whose outputs to measure) -> norms of the influence, (A, W, B)
Measure = Callable[[Tensor, Any, Sequence[int]], Tensor]


def influence(
    measure: Measure,
    steps: int,
    states: tuple[Tensor, ...],
    back: int = BACK,
    report: Callable[[str], None] = lambda _: None,
) -> np.ndarray:
    """The influence of the input k steps before step t on the output after step t, as shares of the last `back` steps.

    Returns (T, lags). measure: the norms of the influence of a window of steps. states: those before the first step and
    after each step, (T + 1, L, H) each, from which each window of `back` steps starts. report: called every few seconds
    with the progress.
    """
    back = min(back, steps)
    norms, progress = np.zeros((steps, back), np.float32), ProgressLines(report, steps, "steps")
    # The first steps have fewer steps before them, so that one window from the beginning serves several of them.
    for begin in range(0, back - 1, FIRST):
        end = min(begin + FIRST, back - 1)
        found = measure(torch.arange(end)[:, None], _carried(states, np.array([0])), range(begin, end))
        for t in range(begin, end):
            norms[t, : t + 1] = found[t - begin, : t + 1, 0].flip(0).numpy()
        progress.done(end)
    for begin in range(back - 1, steps, ROWS):
        ends = np.arange(begin, min(begin + ROWS, steps))
        windows = torch.from_numpy(ends - back + 1) + torch.arange(back)[:, None]
        norms[ends] = measure(windows, _carried(states, ends - back + 1), [back - 1])[0].flip(0).T.numpy()
        progress.done(int(ends[-1]) + 1)
    return shares(norms)


def influence_at_end(
    measure: Measure, steps: int, states: tuple[Tensor, ...], outputs: int = 1, back: int = BACK
) -> InputInfluence:
    """The influence of each of the last `back` steps on the last `outputs` outputs. states: as in `influence`."""
    begin = max(0, steps - back)
    at = range(max(0, steps - begin - outputs), steps - begin)
    norms = measure(torch.arange(begin, steps)[:, None], _carried(states, np.array([begin])), at)
    return InputInfluence(torch.tensor(at), norms)


def shares(norms: np.ndarray) -> np.ndarray:
    """The norms, (T, lags), with each row divided by its sum."""
    return norms / np.maximum(norms.sum(1, keepdims=True), np.finfo(np.float32).tiny)


def states_of(before: tuple[Tensor, ...], after: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """Joins the states before the first step, (L, 1, H) each, and those after each step, (T, L, H): (T + 1, L, H)."""
    return tuple(torch.cat([first.transpose(0, 1), rest]) for first, rest in zip(before, after, strict=True))


def _carried(states: tuple[Tensor, ...], steps: np.ndarray) -> Any:
    """The states before these steps, in the form of hx, (L, rows, H) each."""
    found = tuple(values[torch.from_numpy(steps)].transpose(0, 1).contiguous() for values in states)
    return found[0] if len(found) == 1 else found


def properties_of_text(text: str, starts: np.ndarray) -> dict[str, np.ndarray]:
    """The properties of each symbol, which are those of its first character."""
    return {name: np.asarray(measure(text))[starts] for name, measure in TEXT_PROPERTIES.items()}


def followers(marks: Mapping[str, np.ndarray], gates: Gates) -> list[Property]:
    """For each property, (T) numbers or booleans, the units whose states follow it best.

    A property that never changes is left out; one that is too rare to measure has no followers.
    """
    marks = {name: of_steps for name, of_steps in marks.items() if (of_steps != of_steps[0]).any()}
    found: dict[str, list[tuple[float, Follower]]] = {name: [] for name in marks}
    for layer, value, numbers in _states(gates):
        for name, of_steps in marks.items():
            with contextlib.suppress(TooShort):
                following = units_following(numbers, of_steps)
                for unit, score, p in following.best(FOLLOWERS):
                    strength = following.strength[unit].item()
                    found[name].append((strength, Follower(layer, value, unit, score, p)))
    best = {name: sorted(those, key=lambda f: (f[1].p, -f[0]))[:FOLLOWERS] for name, those in found.items()}
    kinds = {name: "auc" if of_steps.dtype == bool else "correlation" for name, of_steps in marks.items()}
    return [Property(name, kinds[name], marks[name], [follower for _, follower in best[name]]) for name in marks]


def _states(gates: Gates) -> Iterable[tuple[int, str, np.ndarray]]:
    """(scan, name, values (T, H)) of each state that is a row. Its name in the equations: c' is c after a step."""
    for name in gates.states:
        if gates.values[name].dim() > 4:  # a memory, whose slots are no units
            continue
        for k in range(len(gates.places)):
            numbers = gates.values[name][k, :, 0].numpy()
            if np.isfinite(numbers).all():
                yield k, f"{name}'", numbers


def curves_of(flow: GradientFlow) -> tuple[list[Curve], list[str]]:
    """A curve for each layer and state; and the reasons, if the sequence is too short for a memory length."""
    curves, refusals = [], []
    for place in range(len(flow.places)):
        for state in flow.states:
            norms, steps = flow.by_lag(state, place).numpy(), None
            try:
                words = str(flow.decay(state, place))
                length = flow.memory_length(state, place)
                words += f"; memory length {length}"
                steps = length.steps if np.isfinite(length.steps) else None
            except TooShort as refusal:
                refusals.append(str(refusal))
                words = "no memory length could be measured, see above"
            name = f"{state} of {flow.places[place]}" if len(flow.places) > 1 else state
            curves.append(Curve(name, flow.lags.numpy(), norms, words, steps))
    return curves, refusals


def timescales_of(gates: Gates) -> tuple[list[np.ndarray], list[str]]:
    """The time scale of each unit in steps, for each scan; none, and the reasons, if the sequence is too short."""
    try:
        return [gates.timescales(place).float().numpy() for place in range(len(gates.places))], []
    except TooShort as refusal:
        return [], [str(refusal)]


def findings(
    places: Sequence[str], module: Any, *inputs: Any, **known: Any
) -> tuple[list[tuple[str, str, str]], list[str]]:
    """Findings as (what is wrong, the evidence, what to try); and the reasons, if the sequence is too short for any.

    places: the layer's scans; a finding names its scan if there are several. Other arguments: those of `diagnose`.
    """
    try:
        found = diagnose(module, *inputs, **known)
    except TooShort as refusal:
        return [], [str(refusal)]
    where = {f.place: f" ({f.place})" if f.place and len(places) > 1 else "" for f in found}
    return [(f"{f.what}{where[f.place]}", f.seen, f.advice) for f in found], []


def lags_for(steps: int, back: int = BACK) -> int:
    return min(back, max(1, (steps - 1) // 2))
