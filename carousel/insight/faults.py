"""The faults that a diagnosis knows, one function each: from evidence to what it finds, nothing where all is well."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from carousel.insight.decay import FEWEST_LAGS
from carousel.insight.evidence import Evidence, Finding, decay_of
from carousel.insight.keeping import keeping_gates
from carousel.insight.observation import places
from carousel.insight.refusal import TooShort
from carousel.layers import Recurrent
from carousel.program import Program
from carousel.program.keeping import keeping

GREW = 100.0  # times, over a window, and a gradient has exploded
CLIPPED = 0.9  # of all steps
MOST = 0.8  # of units and steps; a trained LSTM has half of its candidates there, and learns
DEAD = 0.1  # of units
PASSES = 4  # over the data with the state carried on


def norms_not_finite(e: Evidence) -> Iterator[Finding]:
    """Gradients that were NaN or infinite at some step of a training; anything else not finite ends a diagnosis."""
    if e.gradient_norms is None:
        return
    norms = _norms(e)
    if len(bad := (~norms.isfinite()).nonzero()):
        yield Finding(
            "not-finite",
            "gradients are not finite",
            f"the norm of the gradients is {norms[bad[0]].item():g} at step {int(bad[0])} of the training, and at "
            f"{len(bad)} of {len(norms)} in all; a step that is taken with such a gradient makes every weight NaN",
            "leave out such steps (clip_grad_norm_ with error_if_nonfinite=True names them), see that the loss has no "
            "logarithm of 0 and no division by 0, and lower the learning rate",
            {"share": len(bad) / len(norms), "first": float(bad[0])},
        )


def vanishing(e: Evidence) -> Iterator[Finding]:
    """The gradient of every state is lost before it has come as far back as the data reach."""
    if not e.measurable:
        return
    flow = e.flow
    told = {where: reach for where, reach in e.reaches.items() if reach is not None}
    if not told:
        return  # and cannot_be_told says so
    (state, place), blind = max(told.items(), key=lambda item: item[1])
    if not blind < e.remember:
        return
    decay = decay_of(flow, state, place)
    numbers = {} if decay is None else {"factor": decay.factor, "low": decay.low, "high": decay.high}
    speed = "come to nothing at once" if decay is None else f"shrink by {decay.factor:.2g} a step"
    yield Finding(
        "vanishing",
        "gradients vanish",
        f"gradients by {state} {speed}: beyond {blind:.0f} steps nothing is learned; {e.source}",
        _remember_longer(e.layer, e.remember),
        numbers | {"beyond": blind, "memory": e.remember},
        flow.places[place],
    )


def cannot_be_told(e: Evidence) -> Iterator[Finding]:
    """What a diagnosis looks for and could not see: no sign of health."""
    if e.untold_memory:
        yield Finding(
            "cannot-be-told",
            "how far back the data reach cannot be told",
            "sequences differ in length or begin anew, and padding is no data: whether gradients, gates and the window "
            "reach far enough was not judged",
            "memory=, as many steps as you know the data to reach back",
        )
    if e.measurable and e.gates.hooks and e.gates.keeps:
        yield Finding(
            "cannot-be-told",
            "how long gates hold a state cannot be told",
            f"{' and '.join(e.gates.hooks)} may change it before each step, and whether gates are shut was not judged",
            "a diagnosis without hooks, or with keep= and add=, which are taken into account",
        )
    if e.measurable and not any(reach is not None for reach in e.reaches.values()):
        try:
            e.flow.decay()
            why = "the lags measured are too few"
        except TooShort as refusal:
            why = str(refusal).rstrip(".")
        yield Finding(
            "cannot-be-told",
            "how far back gradients reach cannot be told",
            why,
            "longer sequences, more of them, or a loss that reads the layer at later steps (loss=)",
        )


def exploding(e: Evidence) -> Iterator[Finding]:
    """The gradient grows with the lag, a hundredfold over the window; or the state itself overflows."""
    found = list(_grown(e)) if e.measurable else []
    if e.overflow is None:
        yield from found
        return
    largest = max(found, key=lambda finding: finding.numbers["factor"], default=None)
    also = "" if largest is None else f"; before, {largest.seen}"
    yield Finding(
        "exploding",
        "the state explodes",
        f"it is no longer finite after {e.overflow} of {e.steps} steps{also}",
        _calm(e.layer),
        {"overflow": float(e.overflow)} | ({} if largest is None else largest.numbers),
        "" if largest is None else largest.place,
    )


def _grown(e: Evidence) -> Iterator[Finding]:
    """One finding for each scan along which gradients grow."""
    flow, window = e.flow, e.window or e.steps
    for place, name in enumerate(flow.places):
        for state in flow.states:
            if bool(flow.norms[state][place].isinf().any()):
                yield Finding(
                    "exploding",
                    "gradients explode",
                    f"gradients by {state} overflow within {len(flow.lags)} steps",
                    _calm(e.layer),
                    {"factor": math.inf},
                    name,
                )
                break
            decay = decay_of(flow, state, place)
            if decay is None and flow.read[place]:
                # Too few sequences for an interval; but what has grown a hundredfold before one's eyes has grown.
                seen = flow.by_lag(state, place)
                seen = seen[: int((seen > 0).long().cumprod(0).sum())]
                if len(seen) >= FEWEST_LAGS and seen[-1] > GREW * max(1.0, seen[0].item()):
                    factor = (seen[-1] / seen[0]).item() ** (1 / (len(seen) - 1))
                    yield Finding(
                        "exploding",
                        "gradients explode",
                        f"gradients by {state} grow by {factor:.3g} a step, as seen over {len(seen)} lags",
                        _calm(e.layer),
                        {"factor": factor, "window": window},
                        name,
                    )
                    break
            growth = window * math.log(decay.factor) if decay is not None else 0.0
            # It must have outgrown what arrived: what enters through gates that are nearly shut is small, and rises
            # at first, as in the lower layers of a stack that begins with chrono.
            outgrown = bool(flow.by_lag(state, place).nan_to_num(0.0).max() > 1)
            if decay is not None and decay.kind == "exploding" and growth > math.log(GREW) and outgrown:
                yield Finding(
                    "exploding",
                    "gradients explode",
                    f"gradients by {state} grow by {decay.factor:.3g} a step, 1e{growth / math.log(10):.0f} times over "
                    f"{window} steps",
                    _calm(e.layer),
                    {"factor": decay.factor, "low": decay.low, "high": decay.high, "window": window},
                    name,
                )
                break


def saturated_gates(e: Evidence) -> Iterator[Finding]:
    """A gate or a state that stands at its bounds nearly everywhere, where its slope is next to nothing."""
    if not e.measurable:
        return
    gates = e.gates
    keeps_at = dict.fromkeys(gates.keeps.values(), 1)  # 1: at its upper bound, -1: at its lower one
    if isinstance(e.layer.program, Program):
        keeps_at |= {gate.name: gate.sign for how in keeping(e.layer.program).values() for gate in how.keeps}
    for place, where in enumerate(gates.places):
        for name in (*gates.gates, *gates.states):
            if gates.bounds[name] is None:
                continue
            # Within 1 % of a bound a sigmoid's slope is below 0.01 of a possible 0.25.
            found = gates.saturation(name, place, low=0.01, high=0.99)
            # A gate that stays where it keeps remembers, as it should.
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


def dead_units(e: Evidence) -> Iterator[Finding]:
    """Units that give the same at every step: rectified ones whose input is never above 0."""
    if not e.measurable:
        return
    for place, where in enumerate(e.gates.places):
        dead = e.gates.dead_units(e.gates.states[0], place)
        share = dead.double().mean().item()
        if share > DEAD:
            yield Finding(
                "dead-units",
                "dead units",
                f"{int(dead.sum())} of {len(dead)} units never change, at any of {int(e.seen.timeline.real.sum())} "
                f"steps; no gradient passes through them",
                "begin anew with biases of 0 and a lower learning rate (relu: initialize('identity')), or take tanh",
                {"share": share, "units": float(dead.sum())},
                where,
            )


def forget_gates_shut(e: Evidence) -> Iterator[Finding]:
    """Gates that keep less than 1/e of the state a step, where the data ask for much more."""
    if not e.measurable or e.gates.hooks:
        return  # and cannot_be_told says so of hooks
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
                    _open_gates(e.layer, gate, e.remember),
                    {"typical": typical, "longest": longest, "memory": e.remember},
                    where,
                )


def window_too_short(e: Evidence) -> Iterator[Finding]:
    """Backpropagation, or the data at hand, ends before the data's memory does."""
    window = e.window or e.steps
    cut_off = e.measured is not None and e.measured.cut_off
    if window < e.remember or (cut_off and window <= e.steps):
        needed = 2 * e.remember
        yield Finding(
            "window-too-short",
            "the window is shorter than the data's memory",
            f"a window has {window} steps, and {e.source}",
            f"windows of {needed} steps or more; where memory is short, checkpoint='auto' or "
            f"truncated(layer, ..., every=, over={needed}); for numbers with a trend, their differences",
            {"window": window, "memory": e.remember},
        )


def inputs_unscaled(e: Evidence) -> Iterator[Finding]:
    """What the layer receives is far from the size that weights begin for, or its channels from each other."""
    x = e.input
    size = x.square().mean(0).sqrt()
    largest, smallest = size.max().item(), size[size > 0].min().item() if (size > 0).any() else 0.0
    advice = "subtract each channel's mean and divide by its standard deviation, both of the training part"
    if largest > 10 or largest < 0.01:
        channel = int(size.argmax())
        yield Finding(
            "inputs-unscaled",
            "inputs are not scaled",
            f"the root mean square of channel {channel} is {largest:.3g} (mean {x[:, channel].mean():.3g}), where "
            f"weights begin as if it were about 1",
            advice,
            {"largest": largest, "smallest": smallest},
        )
    elif largest > 100 * smallest:
        yield Finding(
            "inputs-unscaled",
            "inputs are not of one scale",
            f"the root mean squares of the channels differ by {largest / smallest if smallest else math.inf:.3g} "
            f"({smallest:.3g} to {largest:.3g}), so that the small ones are hardly seen",
            advice,
            {"largest": largest, "smallest": smallest},
        )


def state_drift(e: Evidence) -> Iterator[Finding]:
    """A state that is carried on from window to window grows and does not stop."""
    layer = e.layer
    options = {name: value for name, value in e.seen.options.items() if name != "return_states"}
    if layer.bidirectional:
        return  # it begins anew at both ends, always
    sizes = _carried(layer, e.seen.input, e.seen.hx, options)
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


def always_clipped(e: Evidence) -> Iterator[Finding]:
    """Nearly every step of training is clipped, so that the limit is the step size and the loss has no say in it."""
    if e.gradient_norms is None or e.clip is None:
        return
    norms = _norms(e)
    norms = norms[norms.isfinite()]  # of the others norms_not_finite speaks
    share = (norms > e.clip).double().mean().item() if len(norms) else 0.0
    if share > CLIPPED:
        higher = torch.quantile(norms, 0.9).item()
        yield Finding(
            "always-clipped",
            "gradients are always clipped",
            f"{share:.0%} of {len(norms)} steps had a gradient longer than the limit {e.clip:g} "
            f"(median {norms.median():.3g}), so that every step has the same length",
            f"a limit of about {higher:.2g}, which one step in ten exceeds, with a learning rate as much lower",
            {"share": share, "median": norms.median().item(), "limit": higher},
        )


def _norms(e: Evidence) -> Tensor:
    return torch.as_tensor([float(norm) for norm in e.gradient_norms or ()], dtype=torch.float64)


# In the order in which they are reported. Those that read gates are for programs alone.
FAULTS: dict[str, Callable[[Evidence], Iterator[Finding]]] = {
    "not-finite": norms_not_finite,
    "inputs-unscaled": inputs_unscaled,
    "exploding": exploding,
    "vanishing": vanishing,
    "cannot-be-told": cannot_be_told,
    "forget-gates-shut": forget_gates_shut,
    "saturated-gates": saturated_gates,
    "dead-units": dead_units,
    "state-drift": state_drift,
    "window-too-short": window_too_short,
    "always-clipped": always_clipped,
}


def _called(name: str, states: tuple[str, ...]) -> str:
    return f"the {'state' if name in states else 'gate'} {name}"


def _remember_longer(layer: Recurrent, memory: int) -> str:
    """What makes this layer remember longer."""
    keeps = keeping_gates(layer.program) if isinstance(layer.program, Program) else {}
    if keeps:
        return _open_gates(layer, next(reversed(keeps.values())), memory)
    return (
        f"an LSTM with forget bias 2 or more, or one that begins with initialize('chrono', longest={memory}); "
        f"if it must be this cell, initialize('orthogonal')"
    )


def _open_gates(layer: Recurrent, share: str, memory: int) -> str:
    """How to begin with gates that keep: the named schemes know which these are, but need a bias to set."""
    assert isinstance(layer.program, Program)
    gates = next(how.keeps for how in keeping(layer.program).values() if how.name == share)
    bias = "" if layer.bias else "bias=True, and "
    if layer.bias and any(gate.bias is None for gate in gates):
        return f"a bias for what keeps the state, {share}, with which it is {1 - 1 / max(memory, 2):.2g}"
    return (
        f"{bias}initialize('chrono', longest={max(memory, 3)}), which begins with gates that keep that long, or "
        f"'forget-bias' for less"
    )


def _calm(layer: Recurrent) -> str:
    gated = isinstance(layer.program, Program) and keeping_gates(layer.program)
    return "clip gradients to a norm of 1, begin with initialize('orthogonal'), lower the learning rate" + (
        "" if gated else "; or an LSTM or a GRU, whose gates bound what is added"
    )


def _carried(layer: Recurrent, x: object, hx: object, options: dict[str, object]) -> Tensor:
    """(passes, states, P): the root mean square of every state after each pass over the input, the state carried on."""
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
