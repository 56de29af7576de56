"""Faults of units: saturated or closed gates, dead units, a state that grows without bound."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from carousel.insight.evidence import Evidence, Finding
from carousel.insight.faults.remedies import open_gates
from carousel.insight.observation import places
from carousel.layers import Recurrent
from carousel.program import Program
from carousel.program.keeping import keeping

MOST = 0.8  # share of units and steps; half of the candidates of a trained LSTM are saturated, and it learns
DEAD = 0.1  # share of units
PASSES = 4  # over the data; the state is carried from each pass to the next


def saturated_gates(e: Evidence) -> Iterator[Finding]:
    """A gate or a state is at its bounds nearly everywhere, where its slope is nearly 0."""
    if not e.measurable:
        return
    gates = e.gates
    keeps_at = dict.fromkeys(gates.keeps.values(), 1)  # 1: it keeps at its upper bound, -1: at its lower bound
    if isinstance(e.layer.program, Program):
        keeps_at |= {gate.name: gate.sign for how in keeping(e.layer.program).values() for gate in how.keeps}
    for place, where in enumerate(gates.places):
        for name in (*gates.gates, *gates.states):
            if gates.bounds[name] is None:
                continue
            # Within 1 % of a bound a sigmoid's slope is below 0.01 of a possible 0.25.
            found = gates.saturation(name, place, low=0.01, high=0.99)
            # A gate that stays at the bound where it keeps remembers, as it should.
            stuck = {1: found.shut, -1: found.open}.get(keeps_at.get(name, 0), found.shut + found.open)
            share = stuck.mean().item()
            if share > MOST:
                yield Finding(
                    "saturated-gates",
                    f"{_called(name, gates.states)} is saturated",
                    f"{share:.0%} of its values lie within 1 % of its bounds {gates.bounds[name]}, where its slope, "
                    f"and with it the gradient, is next to 0",
                    "scale the inputs to mean 0 and deviation 1, begin from smaller weights (reset_parameters()), "
                    "lower the learning rate, or take layer_norm=True",
                    {"share": share},
                    where,
                )


def _called(name: str, states: tuple[str, ...]) -> str:
    return f"the {'state' if name in states else 'gate'} {name}"


def dead_units(e: Evidence) -> Iterator[Finding]:
    """Units have the same value at every step, such as rectified units whose input is never above 0."""
    if not e.measurable:
        return
    for place, where in enumerate(e.gates.places):
        dead = e.gates.dead_units(e.gates.states[0], place)
        share = dead.double().mean().item()
        if share > DEAD:
            yield Finding(
                "dead-units",
                "dead units",
                f"{int(dead.sum())} of {len(dead)} units never change, at any of "
                f"{int(e.observation.timeline.real.sum())} steps; no gradient passes through them",
                "begin anew with biases of 0 and a lower learning rate (relu: initialize('identity')), or take tanh",
                {"share": share, "units": float(dead.sum())},
                where,
            )


def forget_gates_shut(e: Evidence) -> Iterator[Finding]:
    """Gates keep less than 1/e of the state per step, but the data need much more."""
    if not e.measurable or e.gates.hooks:
        return  # `cannot_be_told` reports hooks
    for state, gate in e.gates.keeps.items():
        for place, where in enumerate(e.gates.places):
            times = e.gates.time_constants(state, place)
            typical, longest = times.median().item(), times.max().item()
            if typical < 1 and 3 * longest < e.remember:
                yield Finding(
                    "forget-gates-shut",
                    f"the gate {gate} that keeps {state} is shut",
                    f"it lets {math.exp(-1 / typical):.2g} of a typical unit's state through a step, a time constant "
                    f"of {typical:.2g} steps (at most {longest:.2g}); {e.source}",
                    open_gates(e.layer, gate, e.remember),
                    {"typical": typical, "longest": longest, "memory": e.remember},
                    where,
                )


def state_drift(e: Evidence) -> Iterator[Finding]:
    """A state that is carried from window to window grows without end."""
    layer = e.layer
    options = {name: value for name, value in e.observation.options.items() if name != "return_states"}
    if layer.bidirectional:
        return  # each direction always begins from the initial state
    sizes = _carried(layer, e.observation.input, e.observation.hx, options)
    for index, state in enumerate(layer.program.states):
        for place, where in enumerate(places(layer)):
            path = sizes[:, index, place]
            if not bool(path.isfinite().all()):
                grown = math.inf
            elif path[0] > 0 and path[-1] > 1.1 * path[-2]:
                grown = (path[-1] / path[0]).item()
            else:
                continue
            if grown > 2:
                yield Finding(
                    "state-drift",
                    f"the state {state} does not stay bounded",
                    f"carried on for {PASSES} passes over the data, its root mean square goes "
                    + ", ".join(f"{value:.3g}" for value in path.nan_to_num(math.inf).tolist()),
                    "begin anew now and then (reset=), train on windows that carry the state on, keep the forget gate "
                    "below 1 (coupled=True, a GRU), or, for relu, weights whose spectral radius is below 1",
                    {"grown": grown},
                    where,
                )


def _carried(layer: Recurrent, x: object, hx: object, options: dict[str, object]) -> Tensor:
    """The root mean square of every state after each pass over the input, (passes, states, P); the state is carried."""
    was, sizes = layer.training, []
    layer.eval()
    try:
        with torch.no_grad():
            for _ in range(PASSES):
                _, hx = layer(x, hx, **options)
                states = hx if isinstance(hx, tuple) else (hx,)
                sizes.append(torch.stack([s.double().square().flatten(1).mean(1).sqrt().cpu() for s in states]))
    finally:
        layer.train(was)
    return torch.stack(sizes)
