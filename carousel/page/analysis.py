"""The measures of `carousel.insight` on a language model and a text, as the page shows them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from carousel.insight import (
    Gates,
    GradientFlow,
    InputInfluence,
    TooShort,
    diagnose,
    gradient_flow,
    input_influence,
    properties,
    read_gates,
    units_following,
)
from carousel.models import TokenModel
from carousel.page.moments import Curve, Follower, Property

BACK = 64  # steps back that influence and gradients are followed
ROWS = 64  # windows whose influence is measured at once
FOLLOWERS = 5
PROPERTIES = properties.PROPERTIES | {
    "capital letters": lambda text: np.array([character.isupper() for character in text]),
    "digits": lambda text: np.array([character.isdigit() for character in text]),
}


def influence(network: TokenModel, ids: np.ndarray, after: tuple[Tensor, ...], back: int = BACK) -> np.ndarray:
    """(T, lags): the share that the symbol read k steps before has in what moves the prediction after step t.

    The measure is |d max score_t / d e_{t-k}| (Madsen, Distill 2019), e being a symbol's embedding, divided by its sum
    over the last `back` steps. after: the states after each step, (T, L, H) each; every window starts from its own.
    """
    symbols = _column(network, ids)
    back = min(back, len(ids))
    shares = np.zeros((len(ids), back), np.float32)
    # The first steps have fewer before them: one window holds them all.
    first = input_influence(network, symbols[:back], at=range(back - 1), of="top") if back > 1 else None
    for t in range(back - 1):
        assert first is not None
        shares[t, : t + 1] = first.norms[t, : t + 1, 0].flip(0).numpy()
    for begin in range(back - 1, len(ids), ROWS):
        ends = np.arange(begin, min(begin + ROWS, len(ids)))
        windows = torch.cat([symbols[end - back + 1 : end + 1] for end in ends.tolist()], 1)
        found = input_influence(network, windows, _carried(after, ends - back), at=[back - 1], of="top")
        shares[ends] = found.norms[0].flip(0).T.numpy()
    return shares / np.maximum(shares.sum(1, keepdims=True), np.finfo(np.float32).tiny)


def influence_at_end(
    network: TokenModel, ids: np.ndarray, after: tuple[Tensor, ...], outputs: int = 1, back: int = BACK
) -> InputInfluence:
    """The same measure for the last `outputs` steps, by each of the last `back`. after: as above."""
    symbols = _column(network, ids[-back:])
    steps = len(symbols)
    state = _carried(after, np.array([len(ids) - steps - 1]))
    return input_influence(network, symbols, state, at=range(max(0, steps - outputs), steps), of="top")


def _carried(after: tuple[Tensor, ...], steps: np.ndarray) -> Any:
    """The states after these steps as hx, (L, rows, H) each; fresh ones, None, where that is before the first."""
    if steps[0] < 0 and len(steps) == 1:
        return None
    states = []
    for values in after:
        chosen = values[torch.from_numpy(np.maximum(steps, 0))]
        chosen[torch.from_numpy(steps < 0)] = 0.0
        states.append(chosen.transpose(0, 1).contiguous())
    return states[0] if len(states) == 1 else tuple(states)


def followers(text: str, starts: np.ndarray, shown: Iterable[tuple[int, str, np.ndarray]]) -> list[Property]:
    """For each property of the text, which units follow it best. shown: layer, value's name, its numbers (T, H).

    A symbol has the property of its first character. A property that is the same all over the text is left out; one
    that is too rare to tell anything has no followers.
    """
    marks = {name: np.asarray(measure(text))[starts] for name, measure in PROPERTIES.items()}
    marks = {name: of_steps for name, of_steps in marks.items() if (of_steps != of_steps[0]).any()}
    found: dict[str, list[tuple[float, Follower]]] = {name: [] for name in marks}
    for layer, value, numbers in shown:
        for name, of_steps in marks.items():
            with contextlib.suppress(TooShort):
                following = units_following(numbers, of_steps)
                for unit, score, p in following.best(FOLLOWERS):
                    strength = following.strength[unit].item()
                    found[name].append((strength, Follower(layer, value, unit, score, p)))
    best = {name: sorted(those, key=lambda f: (f[1].p, -f[0]))[:FOLLOWERS] for name, those in found.items()}
    kinds = {name: "auc" if of_steps.dtype == bool else "correlation" for name, of_steps in marks.items()}
    return [Property(name, kinds[name], marks[name], [follower for _, follower in best[name]]) for name in marks]


def gates_of(network: TokenModel, ids: np.ndarray) -> Gates:
    return read_gates(network, _column(network, ids))


def flow_of(network: TokenModel, ids: np.ndarray, back: int = BACK) -> GradientFlow:
    """How the gradients of the losses of these symbols' predictions reach back."""
    symbols = _column(network, ids)
    return gradient_flow(network, symbols[:-1], loss=_loss(symbols[1:]), lags=_lags(ids, back))


def curves_of(flow: GradientFlow) -> tuple[list[Curve], list[str]]:
    """A curve for each layer and state; and where the text is too short to tell a horizon, why."""
    curves, refusals = [], []
    for place in range(len(flow.places)):
        for state in flow.states:
            norms, steps = flow.by_lag(state, place).numpy(), None
            try:
                words = str(flow.decay(state, place))
                horizon = flow.horizon(state, place)
                words += f"; memory horizon {horizon}"
                steps = horizon.steps if np.isfinite(horizon.steps) else None
            except TooShort as refusal:
                refusals.append(str(refusal))
                words = "no horizon can be told, see above"
            name = f"{state} of {flow.places[place]}" if len(flow.places) > 1 else state
            curves.append(Curve(name, flow.lags.numpy(), norms, words, steps))
    return curves, refusals


def timescales_of(gates: Gates) -> tuple[list[np.ndarray], list[str]]:
    """For each layer, how many steps each unit remembers; none, and why, where the text is too short to tell."""
    try:
        return [gates.timescales(place).float().numpy() for place in range(len(gates.places))], []
    except TooShort as refusal:
        return [], [str(refusal)]


def findings(network: TokenModel, ids: np.ndarray, window: int | None) -> tuple[list[tuple[str, str, str]], list[str]]:
    """What is wrong, how it was seen, what to try; and why nothing can be said, where the text is too short."""
    symbols = _column(network, ids)
    try:
        # The lags of the curve beside it: a line through more of them is another line.
        found = diagnose(
            network, symbols[:-1], loss=_loss(symbols[1:]), target=symbols[1:], window=window, lags=_lags(ids)
        )
    except TooShort as refusal:
        return [], [str(refusal)]
    where = {f.place: f" ({f.place})" if f.place and network.recurrent.num_layers > 1 else "" for f in found}
    return [(f"{f.what}{where[f.place]}", f.seen, f.advice) for f in found], []


def _lags(ids: np.ndarray, back: int = BACK) -> int:
    return min(back, max(1, (len(ids) - 1) // 2))


def _column(network: TokenModel, ids: np.ndarray) -> Tensor:
    """The symbols as a batch of one sequence, (T, 1)."""
    return torch.from_numpy(ids)[:, None].to(network.head.weight.device)


def _loss(targets: Tensor) -> Callable[[Tensor], Tensor]:
    def loss(scores: Tensor) -> Tensor:
        return functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)

    return loss
