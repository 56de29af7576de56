"""The page of a model of pairs: what it writes for one source, symbol by symbol, and what each attended to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from carousel.errors import DataError
from carousel.insight import read_gates
from carousel.models.encoder_decoder import BOUNDARY, EncoderDecoder
from carousel.page import analysis
from carousel.page.moments import Moments, NextSymbols, Symbols
from carousel.page.moments import Steps as PageSteps
from carousel.page.readers import Drawings, Report, require_equations, transcripts
from carousel.page.readers.symbols import Names
from carousel.page.readers.typed import Typing
from carousel.page.scans import scans
from carousel.tasks.pairs import sources
from carousel.tasks.pairs.pairs_model import PairsModel
from carousel.tasks.pairs.trained import TrainedPairs
from carousel.tasks.pairs.written import Written, padded

Model = PairsModel
LIKELY = 8  # next symbols shown after each step


@dataclass(frozen=True)
class Chosen:
    """One source. kept: as the run keeps it; named: in words. target: the text that its pair has, "" where none is
    known. steps: the most that are shown."""

    kept: Any
    named: str
    target: str
    said: str
    steps: int


class Reader:
    """See `carousel.page.readers.Reader`."""

    task = "pairs"

    def __init__(self, model: PairsModel) -> None:
        self.model, self.run = model, model.run
        require_equations(model.network.recurrent)

    def choose(self, data: str | Path | None, *, item: str | int | None, steps: int) -> Chosen:
        source = self.model.trained.source
        if data is None:
            kept, targets = self.model.held_out()
            number = 0 if item is None else _number(item, len(kept))
            named = source.named(kept[number], number)
            return Chosen(kept[number], named, targets[number], f"pair {number} of those held out", steps)
        if source.symbolic and isinstance(data, str) and not Path(data).exists():
            return Chosen(source.keep(data), data, "", "the text that was given", steps)
        pairs = self.model.read([Path(data)], asked=True)
        number = 0 if item is None else _number(item, len(pairs))
        target = "" if pairs.targets is None else pairs.targets[number]
        (kept,) = sources.kept(source, pairs.at([number]))
        named = source.named(pairs.sources[number], number)
        return Chosen(kept, named, target, f"{pairs.unit} {pairs.numbers[number]} of {Path(data).name}", steps)

    def examine(self, name: str, chosen: Chosen, report: Report) -> tuple[Moments, Drawings]:
        of_head = {"decoder": examine, "ctc": transcripts.examine}[self.model.trained.head.name]
        return of_head(self.model, name, chosen, report)

    def typing(self) -> Typing:
        raise DataError(
            "Nothing can be typed for a model of pairs: --live is for runs that read text as it comes. Leave it out to "
            "write the page as a file."
        )


def examine(model: PairsModel, name: str, chosen: Chosen, report: Report = lambda _: None) -> tuple[Moments, Drawings]:
    """All that a page shows of one model and source, and its pictures."""
    trained, network = model.trained, model.network
    if not len(trained.source.steps(chosen.kept)):
        raise DataError("A page shows what is written for a source, and this one is empty.")
    ((written,),) = trained.write([chosen.kept], trained.head.usual)
    symbols = [BOUNDARY, *trained.target.encode(written.text).tolist()][: chosen.steps]
    report(f"{name}: {len(symbols):,} steps of {network.decoder.num_layers} x {network.decoder.hidden_size} units")
    steps, weights, inputs = _steps(trained, network, chosen.kept, symbols)
    report(f"{name}: gates")
    timescales, too_short = analysis.timescales_of(read_gates(network.decoder, inputs))
    level = trained.target.level
    moments = Moments(
        name=name,
        subject="text that it writes",
        unit=level,
        summary=(
            f"What the decoder does at each of the {len(symbols):,} steps in which it writes a text for one source, "
            f"{level} by {level}. The first step reads the boundary (·)."
        ),
        about=_about(trained, network, chosen, written),
        steps=steps,
        timescales=timescales,
        notes={"units": too_short},
    )
    if weights is None:
        return moments, {}
    pieces = [*trained.target.pieces(symbols[1:]), "·"]
    drawn = trained.source.alignment_figure(weights, chosen.kept, pieces, written.text)
    return moments, {"alignment": drawn}


@torch.no_grad()
def _steps(
    trained: TrainedPairs, network: EncoderDecoder, kept: Any, symbols: list[int]
) -> tuple[PageSteps, np.ndarray | None, torch.Tensor]:
    """The steps of the decoder that reads these symbols, (T); what each attended to, (T, S); and what the decoder's
    layer reads, (T, 1, inputs)."""
    x, lengths = padded([trained.source.steps(kept)], 0)
    memory = network.encode(x.to(trained.device), lengths)
    before, first = torch.tensor(symbols, device=trained.device).unsqueeze(1), network.first_states(memory)
    scores, _, weights = network.decode(memory, before, first)
    inputs = network.embedding(before)
    if network.form == "summary":
        inputs = torch.cat([inputs, memory.summary.expand(len(inputs), -1, -1)], -1)
    scanned, _, _ = scans(network.decoder, inputs[:, 0], first, np.array(symbols))
    logs = scores[:, 0].log_softmax(-1).float().cpu()
    top = logs.topk(min(LIKELY, logs.shape[1]))
    of_next = logs[:-1].gather(1, torch.tensor(symbols[1:], dtype=torch.int64).unsqueeze(1))
    pieces = trained.target.pieces(symbols)
    names, expected = Names(), Names()
    read = np.array([names.place(piece) for piece in pieces])
    likely = np.array([[expected.place(piece) for piece in trained.target.pieces(row)] for row in top.indices.tolist()])
    starts = np.cumsum([0, *(len(piece) for piece in pieces[:-1])])
    surprise = np.append(-of_next[:, 0].numpy(), np.nan)
    rank = np.append((logs[:-1] > of_next).sum(1).numpy() + 1, 0)
    expects = NextSymbols(expected.texts, likely, top.values.exp().numpy(), surprise, rank)
    attention = None if weights is None else weights[0].cpu().numpy()
    return PageSteps(Symbols(names.texts, read, starts), expects, scanned), attention, inputs


def _about(trained: TrainedPairs, network: EncoderDecoder, chosen: Chosen, written: Written) -> list[tuple[str, str]]:
    decoder = network.decoder
    attention = f"attention ({network.attention.score})" if network.attention is not None else "a summary vector"
    return [
        ("source", f"{chosen.named} ({chosen.said})"),
        ("written", f"{written.text} (ln P {written.log_probability:.2f})"),
        *([("target", chosen.target)] if chosen.target else []),
        ("network", f"{decoder.cell}, {decoder.num_layers} x {decoder.hidden_size} units, {attention}"),
        ("source's steps", "; ".join(trained.source.said)),
        ("symbols", f"{trained.target.size - 1:,} {trained.target.level}s of the target"),
    ]


def _number(item: Any, count: int) -> int:
    if str(item).isdecimal() and int(item) < count:
        return int(item)
    raise DataError(
        f"There is no pair {str(item)!r} (--item) among the {count:,}: give a number from 0 to {count - 1}."
    )
