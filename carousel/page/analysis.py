"""The measures of `carousel.insight`, as the page shows them: whatever the network reads, and whatever it answers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from carousel.insight import Gates, GradientFlow, InputInfluence, TooShort, diagnose, properties, units_following
from carousel.page.moments import Curve, Follower, Property
from carousel.page.telling import Telling

BACK = 64  # steps back that influence and gradients are followed
ROWS = 64  # windows whose influence is measured at once
FIRST = 8  # steps of the first window that are measured at once
FOLLOWERS = 5
TEXT_PROPERTIES = properties.PROPERTIES | {
    "capital letters": lambda text: np.array([character.isupper() for character in text]),
    "digits": lambda text: np.array([character.isdigit() for character in text]),
}

# (steps (W, B), the states before them, which of the W steps to look at) -> norms of the influence, (A, W, B)
Measure = Callable[[Tensor, Any, Sequence[int]], Tensor]


def influence(
    measure: Measure,
    steps: int,
    states: tuple[Tensor, ...],
    back: int = BACK,
    report: Callable[[str], None] = lambda _: None,
) -> np.ndarray:
    """(T, lags): the share that what was read k steps before has in what moves the output after step t.

    Shares are those of the last `back` steps. measure: how much each of some steps moves the output after the chosen
    of them. states: those before the first step and after each, (T + 1, L, H) each; every window of `back` steps
    starts from its own. report: told every few seconds how far it is.
    """
    back = min(back, steps)
    norms, telling = np.zeros((steps, back), np.float32), Telling(report, steps, "steps")
    # The first steps have fewer before them: windows from the beginning hold several each.
    for begin in range(0, back - 1, FIRST):
        end = min(begin + FIRST, back - 1)
        found = measure(torch.arange(end)[:, None], _carried(states, np.array([0])), range(begin, end))
        for t in range(begin, end):
            norms[t, : t + 1] = found[t - begin, : t + 1, 0].flip(0).numpy()
        telling.done(end)
    for begin in range(back - 1, steps, ROWS):
        ends = np.arange(begin, min(begin + ROWS, steps))
        windows = torch.from_numpy(ends - back + 1) + torch.arange(back)[:, None]
        norms[ends] = measure(windows, _carried(states, ends - back + 1), [back - 1])[0].flip(0).T.numpy()
        telling.done(int(ends[-1]) + 1)
    return shares(norms)


def influence_at_end(
    measure: Measure, steps: int, states: tuple[Tensor, ...], outputs: int = 1, back: int = BACK
) -> InputInfluence:
    """The same measure for the last `outputs` steps, by each of the last `back`. states: as above."""
    begin = max(0, steps - back)
    at = range(max(0, steps - begin - outputs), steps - begin)
    norms = measure(torch.arange(begin, steps)[:, None], _carried(states, np.array([begin])), at)
    return InputInfluence(torch.tensor(at), norms)


def shares(norms: np.ndarray) -> np.ndarray:
    """(T, lags), each row divided by its sum."""
    return norms / np.maximum(norms.sum(1, keepdims=True), np.finfo(np.float32).tiny)


def states_of(before: tuple[Tensor, ...], after: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The states before the first step, (L, 1, H) each, and those after each, (T, L, H): (T + 1, L, H)."""
    return tuple(torch.cat([first.transpose(0, 1), rest]) for first, rest in zip(before, after, strict=True))


def _carried(states: tuple[Tensor, ...], steps: np.ndarray) -> Any:
    """The states that these steps find, as hx, (L, rows, H) each."""
    found = tuple(values[torch.from_numpy(steps)].transpose(0, 1).contiguous() for values in states)
    return found[0] if len(found) == 1 else found


def properties_of_text(text: str, starts: np.ndarray) -> dict[str, np.ndarray]:
    """Of each symbol: those of its first character."""
    return {name: np.asarray(measure(text))[starts] for name, measure in TEXT_PROPERTIES.items()}


def followers(marks: Mapping[str, np.ndarray], gates: Gates) -> list[Property]:
    """For each property, (T) numbers or yes and no, which units' states follow it best.

    A property that is the same all over is left out; one that is too rare to tell anything has no followers.
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
    """Scan, name, numbers (T, H), named as the equations call them: c' is what a step makes of c."""
    for name in gates.states:
        for k in range(len(gates.places)):
            numbers = gates.values[name][k, :, 0].numpy()
            if np.isfinite(numbers).all():
                yield k, f"{name}'", numbers


def curves_of(flow: GradientFlow) -> tuple[list[Curve], list[str]]:
    """A curve for each layer and state, and the reasons where the sequence is too short for a memory length."""
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
    """For each scan, how many steps each unit remembers; none, and why, where the sequence is too short to tell."""
    try:
        return [gates.timescales(place).float().numpy() for place in range(len(gates.places))], []
    except TooShort as refusal:
        return [], [str(refusal)]


def findings(
    places: Sequence[str], module: Any, *inputs: Any, **known: Any
) -> tuple[list[tuple[str, str, str]], list[str]]:
    """What is wrong, how it was seen, what to try; and why nothing can be said, where the sequence is too short.

    places: the layer's scans; of several, a finding says which. The other arguments are those of `diagnose`.
    """
    try:
        found = diagnose(module, *inputs, **known)
    except TooShort as refusal:
        return [], [str(refusal)]
    where = {f.place: f" ({f.place})" if f.place and len(places) > 1 else "" for f in found}
    return [(f"{f.what}{where[f.place]}", f.seen, f.advice) for f in found], []


def lags_for(steps: int, back: int = BACK) -> int:
    return min(back, max(1, (steps - 1) // 2))
