"""Faults of gradients: they vanish, explode, are not finite, or are clipped at nearly every step of training."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from carousel.insight.decay import FEWEST_LAGS
from carousel.insight.evidence import Evidence, Finding, decay_of
from carousel.insight.faults.remedies import calm, remember_longer

GREW = 100.0  # a gradient that grows by this factor over a window has exploded
CLIPPED = 0.9  # share of training steps


def norms_not_finite(e: Evidence) -> Iterator[Finding]:
    """Gradients were NaN or infinite at some training step."""
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
    """The gradient of every state is lost at a shorter lag than the memory of the data."""
    if not e.measurable:
        return
    flow = e.flow
    known = {where: reach for where, reach in e.reaches.items() if reach is not None}
    if not known:
        return  # `cannot_be_told` reports it
    (state, place), blind = max(known.items(), key=lambda item: item[1])
    if not blind < e.remember:
        return
    decay = decay_of(flow, state, place)
    numbers = {} if decay is None else {"factor": decay.factor, "low": decay.low, "high": decay.high}
    speed = "vanish at once" if decay is None else f"shrink by {decay.factor:.2g} a step"
    yield Finding(
        "vanishing",
        "gradients vanish",
        f"gradients by {state} {speed}: beyond {blind:.0f} steps nothing is learned; {e.source}",
        remember_longer(e.layer, e.remember),
        numbers | {"beyond": blind, "memory": e.remember},
        flow.places[place],
    )


def exploding(e: Evidence) -> Iterator[Finding]:
    """The gradient grows with the lag by a factor of 100 over the window, or the state itself overflows."""
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
        calm(e.layer),
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
                    calm(e.layer),
                    {"factor": math.inf},
                    name,
                )
                break
            decay = decay_of(flow, state, place)
            if decay is None and flow.read[place]:
                # Too few sequences for an interval, but an observed growth by a factor of 100 is enough.
                norms = flow.by_lag(state, place)
                norms = norms[: int((norms > 0).long().cumprod(0).sum())]
                if len(norms) >= FEWEST_LAGS and norms[-1] > GREW * max(1.0, norms[0].item()):
                    factor = (norms[-1] / norms[0]).item() ** (1 / (len(norms) - 1))
                    yield Finding(
                        "exploding",
                        "gradients explode",
                        f"gradients by {state} grow by {factor:.3g} a step, as seen over {len(norms)} lags",
                        calm(e.layer),
                        {"factor": factor, "window": window},
                        name,
                    )
                    break
            growth = window * math.log(decay.factor) if decay is not None else 0.0
            # It must exceed the gradient that arrived: a gradient that enters through nearly closed gates is small and
            # rises at first, as in the lower layers of a stack with the chrono initialisation.
            outgrown = bool(flow.by_lag(state, place).nan_to_num(0.0).max() > 1)
            if decay is not None and decay.kind == "exploding" and growth > math.log(GREW) and outgrown:
                yield Finding(
                    "exploding",
                    "gradients explode",
                    f"gradients by {state} grow by {decay.factor:.3g} a step, 1e{growth / math.log(10):.0f} times over "
                    f"{window} steps",
                    calm(e.layer),
                    {"factor": decay.factor, "low": decay.low, "high": decay.high, "window": window},
                    name,
                )
                break


def always_clipped(e: Evidence) -> Iterator[Finding]:
    """Nearly every training step is clipped, so that the limit and not the loss decides the size of an update."""
    if e.gradient_norms is None or e.clip is None:
        return
    norms = _norms(e)
    norms = norms[norms.isfinite()]  # norms_not_finite reports the others
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
