"""Pictures of values over the lag: gradients, the influence of inputs, the memory of data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from carousel.errors import DataError
from carousel.insight.border import check_index
from carousel.insight.figures.canvas import COLOURS, DASHES, ONE_WAY, canvas, label_steps, visible
from carousel.insight.gradient_flow import GradientFlow
from carousel.insight.input_influence import InputInfluence
from carousel.insight.memory import MATTERS, Memory
from carousel.insight.refusal import TooShort

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def gradient_by_lag(
    flow: GradientFlow | Mapping[str, GradientFlow], state: str | None = None, place: int | None = None
) -> Figure:
    """|dL_t / ds_{t-k}| over the lag k, relative to |dL_t / dy_t|: the geometric mean, the middle 80 %, the fitted
    decay.

    flow: one flow, for a picture of all its states or of `state`; or several by name, such as before and after
        training, for a picture of one state, by default the output. place: see `GradientFlow.samples`.

    Raises DataError if no value is above 0.
    """
    flows = {"": flow} if isinstance(flow, GradientFlow) else flow
    if not isinstance(flows, Mapping) or not all(isinstance(one, GradientFlow) for one in flows.values()):
        found = type(flow).__name__
        raise DataError(
            f"Give one gradient flow, or several by name, as in {{'before': flow, 'after': flow}}, not a {found}."
        )
    if not flows:
        raise DataError("There is no gradient flow to draw.")
    one = next(iter(flows.values()))
    place = one.default_place if place is None else place
    states = one.states if state is None and len(flows) == 1 else (state or one.states[0],)
    series = [(name, s) for name in flows for s in states]
    lines = torch.cat([flows[name].by_lag(s, place) for name, s in series])
    drawn = lines[(lines > 0) & lines.isfinite()]
    if not len(drawn):
        raise DataError(
            f"There is nothing to draw: the gradients of {one.places[place]} are 0 or overflow at every lag."
        )
    figure, axes = canvas()
    for index, (name, s) in enumerate(series):
        shown, colour = flows[name], COLOURS[index % len(COLOURS)]
        typical, lags = shown.by_lag(s, place), shown.lags
        label = " ".join(part for part in (name, s if len(states) > 1 else "") if part)
        axes.plot(
            lags.numpy(), torch.where(typical > 0, typical, torch.nan).numpy(),
            color=colour, linestyle=DASHES[index % len(DASHES)],
            label=f"{label + ': ' if label else ''}{_in_words(shown, s, place)}",
        )  # fmt: skip
        samples = shown.samples(s, place).flatten(0, 1)
        low, high = torch.nanquantile(samples, torch.tensor([0.1, 0.9], dtype=samples.dtype), dim=0)
        axes.fill_between(
            lags.numpy(), low.clamp(min=1e-300).numpy(), high.numpy(), color=colour, alpha=0.15, linewidth=0
        )
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.1 * drawn.min().item())  # where samples are 0 the band has no lower limit
    axes.set_xlabel("lag k, steps")
    letter = states[0] if len(states) == 1 else "s"
    axes.set_ylabel(rf"$|dL_t / d{letter}_{{t-k}}|$ relative to $|dL_t / dy_t|$")
    axes.set_title(f"How far back gradients reach: {one.places[place]}")
    axes.grid(alpha=0.25)
    axes.legend(frameon=False, fontsize=9)
    return figure


def _in_words(flow: GradientFlow, state: str, place: int) -> str:
    try:
        decay = flow.decay(state, place)
    except TooShort:
        return "too few to fit"
    text = f"×{decay.factor:.3g} a step, {decay.kind}"
    try:
        length = flow.memory_length(state, place)
    except TooShort:
        return f"{text}; memory length beyond the window"
    if math.isinf(length.steps):
        return text
    return f"{text}; memory length {length.steps:.3g} ({length.low:.3g} to {length.high:.3g})"


def influence(found: InputInfluence, row: int = 0, labels: Sequence[object] | None = None) -> Figure:
    """The influence of inputs on outputs of one sequence: a row for each output, and colours for the shares of inputs.

    found: from `input_influence`. row: the index of the sequence in the batch.
    labels: one for each input step, such as its character.
    Raises DataError for an unknown row, or for a wrong number of labels.
    """
    share = found.share(check_index("row", row, found.norms.shape[2]))
    count = share.shape[1]
    if labels is not None and len(labels) != count:
        raise DataError(f"labels must hold one label for each of the {count} steps, but it holds {len(labels)}.")
    figure, axes = canvas(max(6, min(16, count / 6)), max(2.2, 1.6 + 0.3 * len(share)))
    image = axes.imshow(share.numpy(), aspect="auto", cmap=ONE_WAY, vmin=0, interpolation="nearest")
    label_steps(axes, labels, count, name="input step s")
    names = ["whole" if t < 0 else f"{t} {visible(labels[t]) if labels else ''}".strip() for t in found.at.tolist()]
    axes.set_yticks(range(len(share)), names, fontsize=8)
    axes.set_ylabel("output step t")
    axes.set_title("Influence of inputs on outputs, $|dy_t / dx_s|$")
    figure.colorbar(image, ax=axes, label="share of the row")
    return figure


def influence_by_feature(
    found: InputInfluence,
    at: int = -1,
    row: int = 0,
    labels: Sequence[object] | None = None,
    features: Sequence[object] | None = None,
) -> Figure:
    """The influence of each feature of the inputs on one output of one sequence: |dy_t / dx_s[i]|, features by steps.

    found: from `input_influence(..., features=True)`. at: the output, as an index of `found.at`.
    row: the index of the sequence in the batch.
    labels: one for each input step, such as its character. features: the names of the I features.
    Raises DataError unless the influence was measured with features=True, and for indices out of range.
    """
    if found.by_feature is None:
        raise DataError("The influence of features is not there: measure it with input_influence(..., features=True).")
    outputs, count, rows, width = found.by_feature.shape
    values = found.by_feature[check_index("output", at, outputs), :, check_index("row", row, rows)].t()  # (I, T)
    if features is not None and len(features) != width:
        raise DataError(f"features must be one name for each of {width}, but there are {len(features)}.")
    figure, axes = canvas(max(6, min(16, count / 6)), max(2.2, min(10, 1.6 + 0.3 * width)))
    image = axes.imshow(values.numpy(), aspect="auto", cmap=ONE_WAY, vmin=0, interpolation="nearest")
    label_steps(axes, labels, count, name="input step s")
    if width <= 40:
        axes.set_yticks(range(width), [visible(f) for f in features or range(width)], fontsize=8)
    axes.set_ylabel("feature i")
    step = int(found.at[at])
    axes.set_title("Influence on the whole" if step < 0 else f"Influence on the output of step {step}")
    figure.colorbar(image, ax=axes, label="$|dy_t / dx_s[i]|$")
    return figure


def memory_by_lag(memory: Memory) -> Figure:
    """The dependence in data over the lag, the bound of chance, and the reach.

    memory: from `data_memory`.
    """
    figure, axes = canvas()
    lags = memory.lags.numpy()
    axes.plot(lags, memory.dependence.numpy(), color=COLOURS[0], label="dependence")
    axes.plot(lags, memory.noise.numpy(), color=COLOURS[1], linestyle="--", label="chance hardly exceeds this")
    axes.axhline(MATTERS, color="#777777", linewidth=1, linestyle=":", label=f"{MATTERS:g}")
    if memory.reach:
        more = " and more" if memory.cut_off else ""
        axes.axvline(memory.reach, color="#000000", linewidth=1, label=f"reaches {memory.reach} steps{more}")
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("lag k, steps")
    axes.set_ylabel("dependence, as a correlation")
    axes.set_title(f"How far back the data depend on themselves\n{memory.assumed}".strip(), fontsize=10)
    axes.legend(frameon=False)
    return figure
