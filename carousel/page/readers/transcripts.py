"""The page of a model that writes while it reads (the head ctc): what it says at each step of a sound."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch

from carousel.errors import DataError
from carousel.insight import read_gates
from carousel.insight.times_of_symbols import times_of_symbols_figure
from carousel.models.ctc_model import BLANK
from carousel.page import analysis
from carousel.page.moments import Guesses, Moments, Signals
from carousel.page.moments import Steps as PageSteps
from carousel.page.readers import Drawings, Report
from carousel.page.scans import scans
from carousel.tasks.pairs.trained import TrainedPairs
from carousel.tasks.pairs.written import Written, padded
from carousel.tasks.sequences.front_ends.audio import mel_of

LIKELY = 6  # symbols shown at each step
BOTH_WAYS = "It reads both ways: at each step, the reverse direction has read the steps after it."
IS_BLANK = "The blank (·) writes nothing. A symbol is written where it becomes the likeliest."


def examine(model: Any, name: str, chosen: Any, report: Report = lambda _: None) -> tuple[Moments, Drawings]:
    """All that a page shows of one model and sound, and its pictures. model, chosen: of `page/readers/pairs.py`."""
    trained: TrainedPairs = model.trained
    source: Any = trained.source
    layer = trained.network.recurrent
    if len(chosen.kept) < 2 * source.stride:
        raise DataError("A page shows at least two steps of a sound, and this one is silent or shorter.")
    ((written,),) = trained.write([chosen.kept], trained.head.usual)
    with torch.no_grad():
        x, lengths = padded([source.steps(chosen.kept)], 0)
        e, _ = trained.network.reader(x.to(trained.device), lengths)
        log_p = trained.network(x.to(trained.device), lengths)[0][:, 0].float().cpu().numpy()
    count = min(len(e), chosen.steps)
    e = e[:count]
    report(f"{name}: {count:,} steps of {layer.num_layers} x {layer.hidden_size} units")
    scanned, _, _ = scans(layer, e[:, 0], layer.fresh_states(1), np.arange(count))
    report(f"{name}: gates")
    timescales, too_short = analysis.timescales_of(read_gates(layer, e))
    shown = PageSteps(_reads(source, chosen.kept, count), _guesses(trained, log_p[:count]), scanned)
    moments = Moments(
        name=name,
        subject="sound",
        unit="step",
        summary=(
            f"What the network does at each of {count:,} steps of a sound, {source.stride} frames each, and the symbol "
            f"that it writes there."
        ),
        about=_about(trained, chosen, written),
        steps=shown,
        timescales=timescales,
        notes={
            "expects": [IS_BLANK],
            "units": [*([BOTH_WAYS] if layer.bidirectional else []), *too_short],
        },
    )
    return moments, {"alignment": partial(_figure, trained, chosen.kept, log_p, written)}


def _figure(trained: TrainedPairs, kept: np.ndarray, log_p: np.ndarray, written: Written) -> Any:
    source: Any = trained.source
    names = trained.target.pieces(range(trained.target.size))
    symbols = [names.index(piece) for piece in written.pieces]
    spans = written.times if written.times is not None else np.zeros((0, 2))
    return times_of_symbols_figure(
        (kept - np.array(source.mean)) / np.array(source.scale),
        np.exp(log_p[:, [BLANK, *symbols]]),
        seconds=source.seconds(np.arange(len(log_p) + 1)),
        written=written.pieces,
        spans=spans,
        title=written.text,
    )


def _reads(source: Any, kept: np.ndarray, count: int) -> Signals:
    """The frames at the beginning of each step."""
    front_end = source.front_end
    mel = mel_of(front_end.rate, front_end.bands)
    top = mel.filters.argmax(1).numpy() * front_end.rate / mel.size
    at = source.seconds(np.arange(count))
    bands = [f"{frequency:,.0f} Hz" for frequency in top]
    return Signals(bands, kept[:: source.stride][:count], [f"{t:.2f} s" for t in at], at, alike=True)


def _guesses(trained: TrainedPairs, log_p: np.ndarray) -> Guesses:
    names = trained.target.pieces(range(trained.target.size))
    likely = np.argsort(-log_p, axis=1, kind="stable")[:, :LIKELY]
    unknown = np.full(len(log_p), -1)
    given = np.full(len(log_p), np.nan)
    return Guesses("symbol", names, likely, np.exp(np.take_along_axis(log_p, likely, 1)), unknown, given)


def _about(trained: TrainedPairs, chosen: Any, written: Written) -> list[tuple[str, str]]:
    layer = trained.network.recurrent
    ways = "both ways" if layer.bidirectional else "forward"
    return [
        ("sound", f"{chosen.named} ({chosen.said})"),
        ("written", f"{written.text} (ln P {written.log_probability:.2f})"),
        *([("text", chosen.target)] if chosen.target else []),
        ("network", f"{layer.cell}, {layer.num_layers} x {layer.hidden_size} units, {ways}"),
        ("source's steps", "; ".join(trained.source.said)),
        ("symbols", f"{trained.target.size - 1:,} {trained.target.level}s and the blank"),
    ]
