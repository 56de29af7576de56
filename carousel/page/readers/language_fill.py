"""The page of a model that fills in missing words: at each word of a text, the word that it expects from all others."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from carousel.insight import gradient_flow, read_gates
from carousel.models import FillModel
from carousel.page import analysis, pictures
from carousel.page.moments import Guesses, Moments, Steps, Symbols
from carousel.page.readers import Drawings, Report
from carousel.page.readers.passage import Passage, settings_of
from carousel.page.readers.symbols import Names, pieces_of, symbol_text
from carousel.page.scans import scans
from carousel.tasks.language import LanguageModel

LIKELY = 8  # words shown for each place
SIDES = (
    "The units are those of the side that reads from the beginning. The other side is a stack of its own, which reads "
    "from the end; what both say of a word meets behind them, and neither has read the word."
)


def examine(
    model: LanguageModel, name: str, passage: Passage, report: Report = lambda _: None
) -> tuple[Moments, Drawings]:
    """All that a page shows of one model and text, and its pictures."""
    network = model.reading_both_ways
    layer = network.forwards
    ids, pieces, starts = pieces_of(model.vocabulary, passage.text)
    symbols = torch.from_numpy(ids)[:, None].to(network.bias.device)
    report(f"{name}: {len(ids):,} steps of {layer.num_layers} x {layer.hidden_size} units on either side")
    with torch.no_grad():
        e = network.embedding(symbols)
        places = network.places(symbols)
    scanned, _, _ = scans(layer, e[:, 0], layer.fresh_states(1), ids)
    shown = Steps(_symbols(pieces, starts), _guesses(model, network, places[:, 0], ids, pieces), scanned)
    report(f"{name}: gates and gradients")
    lags, gates = analysis.lags_for(len(ids)), read_gates(layer, e)

    def loss(outputs: Tensor) -> Tensor:
        """Of each next word, as the outputs of the side that reads from the beginning say it with the other side."""
        nothing = outputs.new_zeros(1, *outputs.shape[1:])
        with torch.no_grad():
            after = network.backwards(e.flip(0))[0].flip(0)
        right = torch.cat([after[2:], nothing, nothing])
        scores = network.scores(network.joined(torch.cat([outputs, right], -1)))
        wanted = torch.cat([symbols[1:], symbols[-1:]])
        return functional.cross_entropy(scores.flatten(0, 1), wanted.flatten(), reduction="none").view_as(wanted)

    flow = gradient_flow(layer, e, loss=loss, lags=lags)
    curves, refusals = analysis.curves_of(flow)
    timescales, too_short = analysis.timescales_of(gates)
    findings, too_little = analysis.findings(gates.places, layer, e, lags=lags)
    level = model.vocabulary.level
    moments = Moments(
        name=name,
        subject="text",
        unit=level,
        summary=f"What the network expects at each of {len(ids):,} {level}s of a text, from all the others.",
        about=_about(model, passage, shown),
        steps=shown,
        timescales=timescales,
        flow=curves,
        properties=analysis.followers(analysis.properties_of_text(passage.text, starts), gates),
        findings=findings,
        notes={"units": [SIDES, *too_short], "flow": refusals, "findings": too_little},
    )
    return moments, dict(pictures.of_network(gates, flow))


def _symbols(pieces: list[str], starts: np.ndarray) -> Symbols:
    names = Names()
    return Symbols(names.texts, np.array([names.place(piece) for piece in pieces]), starts)


@torch.no_grad()
def _guesses(model: LanguageModel, network: FillModel, places: Tensor, ids: np.ndarray, pieces: list[str]) -> Guesses:
    """What is likely at each place. places: u, (T, embedding)."""
    logs = network.scores(places).log_softmax(-1).float().cpu()
    top = logs.topk(min(LIKELY, logs.shape[1]))
    names = Names()
    likely = [[names.place(symbol_text(model.vocabulary, symbol).strip() or "␣") for symbol in row]
              for row in top.indices.tolist()]  # fmt: skip
    actual = [names.place(piece.strip() or "␣") for piece in pieces]
    given = logs.gather(1, torch.from_numpy(ids)[:, None])[:, 0].exp().numpy()
    return Guesses("word", names.texts, np.array(likely), top.values.exp().numpy(), np.array(actual), given)


def _about(model: LanguageModel, passage: Passage, shown: Steps) -> list[tuple[str, str]]:
    layer, level = model.network.recurrent, model.vocabulary.level
    assert isinstance(shown.expects, Guesses)
    nats = float(-np.log(np.maximum(shown.expects.given, 1e-30)).mean())
    settings = {name: value for name, value in settings_of(model).items() if name != "cell" and value is not None}
    return [
        ("text", f"{passage.source}; {len(shown.expects.actual):,} {level}s{' of its beginning' * passage.more}"),
        ("network", f"{layer.cell}, {layer.num_layers} x {layer.hidden_size} units on either side, reads {level}s"),
        ("loss", f"perplexity {math.exp(nats):.1f} of a hidden {level} on this text"),
        ("trained with", ", ".join(f"{name} {value}" for name, value in settings.items()) or "not recorded"),
    ]
