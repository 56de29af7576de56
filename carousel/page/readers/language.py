"""The page of a language model that reads a text: its prediction of the next symbol after each symbol."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor
from torch.nn import functional

from carousel.errors import DataError
from carousel.insight import Gates, figures, gradient_flow, read_gates
from carousel.page import analysis, pictures
from carousel.page.moments import Influence, Moments, NextSymbols
from carousel.page.readers import Drawings, Report, language_fill, require_equations
from carousel.page.readers.language_steps import column, measure_of, read_steps
from carousel.page.readers.passage import Passage, passage_for, settings_of
from carousel.page.readers.symbols import pieces_of
from carousel.page.readers.typed import Typing
from carousel.page.readers.typed_language import TypedLanguage
from carousel.tasks.language import LanguageModel
from carousel.training.measure import bits

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Model = LanguageModel
PICTURED = 8  # outputs in the picture of influence
COLOURED = 400  # characters in the picture of the text; more would be too small to read


class Reader:
    """See `carousel.page.readers.Reader`."""

    task = "language"

    def __init__(self, model: LanguageModel) -> None:
        self.model, self.run = model, model.run
        require_equations(model.network.recurrent)

    def choose(self, data: str | Path | None, *, item: str | int | None, steps: int) -> Passage:
        if item is not None:
            raise DataError(
                "A language model reads a text from its beginning; there is no item to choose: leave it out."
            )
        if data is not None and not isinstance(data, str | Path):
            raise DataError(f"A language model reads a text, or a file of it as a Path, not {type(data).__name__}.")
        return passage_for(self.model, data, steps)

    def examine(self, name: str, chosen: Passage, report: Report) -> tuple[Moments, Drawings]:
        if self.model.fills:
            return language_fill.examine(self.model, name, chosen, report)
        return examine(self.model, name, chosen, report)

    def typing(self) -> Typing:
        if self.model.fills:
            raise DataError(
                "--live reads on as one types, and a model that fills in words reads a text from both ends: leave "
                "--live out to write the page as a file, or ask it with carousel fill."
            )
        return TypedLanguage(self.model)


def examine(
    model: LanguageModel, name: str, passage: Passage, report: Report = lambda _: None
) -> tuple[Moments, Drawings]:
    """All that a page shows of one model and text, and its pictures."""
    network = model.reading_on
    layer = network.recurrent
    ids, pieces, starts = pieces_of(model.vocabulary, passage.text)
    report(f"{name}: {len(ids):,} steps of {layer.num_layers} x {layer.hidden_size} units")
    steps, after = read_steps(network, model.vocabulary, ids, pieces, starts)
    report(f"{name}: what moved each prediction, over the last {min(analysis.BACK, len(ids))} steps")
    measure = measure_of(network, ids)
    states = analysis.states_of(layer.fresh_states(1), after)
    shares = analysis.influence(measure, len(ids), states, report=lambda line: report(f"{name}: {line}"))
    report(f"{name}: gates and gradients")
    symbols, loss, lags = column(network, ids), _loss(column(network, ids[1:])), analysis.lags_for(len(ids))
    gates = read_gates(network, symbols)
    flow = gradient_flow(network, symbols[:-1], loss=loss, lags=lags)
    curves, refusals = analysis.curves_of(flow)
    report(f"{name}: timescales, what is wrong with it")
    timescales, too_short = analysis.timescales_of(gates)
    # The same lags as in the curve of the page, because a fit to more lags would be another line.
    findings, too_little = analysis.findings(
        gates.places, network, symbols[:-1],
        loss=loss, target=symbols[1:], window=settings_of(model).get("window"), lags=lags,
    )  # fmt: skip
    report(f"{name}: units that follow the text")
    level = model.vocabulary.level
    assert isinstance(steps.expects, NextSymbols)
    moments = Moments(
        name=name,
        subject="text",
        unit=level,
        summary=f"What the network does at each of {len(ids):,} steps of a text, {level} by {level}.",
        about=_about(model, passage, steps.expects.surprise[:-1].sum(), len(ids)),
        steps=steps,
        influence=Influence(shares, "the prediction"),
        timescales=timescales,
        flow=curves,
        properties=analysis.followers(analysis.properties_of_text(passage.text, starts), gates),
        findings=findings,
        notes={"flow": refusals, "units": too_short, "findings": too_little},
    )
    at_end = analysis.influence_at_end(measure, len(ids), states, outputs=PICTURED)
    labels = pieces[-len(at_end.norms[0]) :]
    drawings = pictures.of_network(gates, flow) | {
        "influence": lambda: figures.influence(at_end, labels=labels),
        "text": partial(_coloured, passage.text[:COLOURED], starts, gates),
    }
    return moments, drawings


def _loss(targets: Tensor) -> Callable[[Tensor], Tensor]:
    def loss(scores: Tensor) -> Tensor:
        return functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="none").view_as(targets)

    return loss


def _about(model: LanguageModel, passage: Passage, nats: float, count: int) -> list[tuple[str, str]]:
    """Facts for the end of the page. It names files without folders, because a page may be sent to others."""
    layer, level = model.network.recurrent, model.vocabulary.level
    strange = sum(passage.text.count(part) for part in model.vocabulary.unknown_parts(passage.text))
    settings = {name: value for name, value in settings_of(model).items() if name != "cell" and value is not None}
    loss, guess = nats / (count - 1), math.log(model.vocabulary.size)
    return [
        ("text", f"{passage.source}; {count:,} {level}s{' of its beginning' if passage.more else ''}"),
        ("network", f"{layer.cell}, {layer.num_layers} x {layer.hidden_size} units, reads {level}s"),
        (
            "loss",
            f"{loss:.3f} nats ({bits(loss):.3f} bits) a {level} on this text; "
            f"guessing among all {model.vocabulary.size:,} symbols would be {guess:.3f}",
        ),
        *([("unknown", f"{strange:,} places that the model has no symbol for")] if strange else []),
        ("trained with", ", ".join(f"{name} {value}" for name, value in settings.items()) or "not recorded"),
    ]


def _coloured(text: str, starts: np.ndarray, gates: Gates) -> Figure:
    """The text, coloured by the unit with the longest time scale."""
    slowest, state = int(gates.by_timescale()[0]), gates.states[0]
    symbol = np.searchsorted(starts, np.arange(len(text)), side="right") - 1
    values = gates.values[state][-1, symbol, 0, slowest]
    return figures.coloured_text(text, values, f"{state} of unit {slowest}, which remembers longest")
