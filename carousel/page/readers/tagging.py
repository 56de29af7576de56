"""The page of a tagger that reads a sequence (words, numbers over time, sound): the tag of each step."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from carousel.errors import DataError
from carousel.insight import gradient_flow, read_gates
from carousel.page import analysis, pictures
from carousel.page.moments import Guesses, Moments, Signals, Symbols
from carousel.page.moments import Steps as PageSteps
from carousel.page.readers import Drawings, Report, number_of, require_equations
from carousel.page.readers.symbols import Names
from carousel.page.readers.typed import Typing
from carousel.page.scans import scans
from carousel.tasks.sequences.front_ends.audio import AudioFrontEnd, mel_of
from carousel.tasks.tagging import answers, front_ends
from carousel.tasks.tagging.frames import middles_of_frames
from carousel.tasks.tagging.tagged import Tagged
from carousel.tasks.tagging.tagger import Tagger
from carousel.tasks.tagging.tokenizing import words_of
from carousel.tasks.tagging.trained import TrainedTagger
from carousel.tasks.tagging.words import WordFrontEnd

Model = Tagger
LIKELY = 6  # tags shown at each step
SUBJECTS = {"words": "sentence", "series": "series", "audio": "recording"}
BOTH_WAYS = "It reads both ways: at each step, the reverse direction has read the steps after it."
MOST_MARKED = 6  # the largest number of channels whose followers are searched


@dataclass(frozen=True)
class Chosen:
    """One sequence, and where it comes from."""

    data: Tagged
    said: str


class Reader:
    """See `carousel.page.readers.Reader`."""

    task = "tagging"

    def __init__(self, model: Tagger) -> None:
        self.model, self.run = model, model.run
        self.trained: TrainedTagger = model.trained
        require_equations(self.trained.network.recurrent)

    def choose(self, data: Any, *, item: str | int | None, steps: int) -> Chosen:
        trained, front_end = self.trained, self.trained.front_end
        if data is None:
            return self._held_out(item, steps)
        if isinstance(data, str) and isinstance(front_end, WordFrontEnd):
            sentences = [line for line in data.splitlines() if line.strip()]
            words = [words_of(line, front_end.knows) for line in sentences]
            return self._of(Tagged("words", words, sentences), item, steps, "the text that was given")
        if not isinstance(data, str | Path):
            raise DataError(f"A tagger's page is of a text or of a file as a Path, not of {type(data).__name__}.")
        return self._of(answers.read(trained, [Path(data)]), item, steps, Path(data).name)

    def _held_out(self, item: str | int | None, steps: int) -> Chosen:
        """A sequence that the run did not learn from, if its data still exist unchanged."""
        record = self.model.config
        files, held = record.get("sources", []), record.get("held_out", [])
        give = "name data for it to read: carousel inspect RUN DATA (in Python: data=)"
        lost = [file for file in files if not Path(file).exists()]
        if not files or not held or lost:
            why = f"its data are no longer at {lost[0]}" if lost else "the run does not say which files it learnt from"
            raise DataError(f"No data were named, and {why}: {give}.")
        beside = record["settings"].get("validation_file")
        data = answers.read(self.trained, [Path(beside)] if beside else [Path(file) for file in files])
        if any(one["number"] >= len(data) or data.names[one["number"]] != one["name"] for one in held):
            raise DataError(f"The data at {files[0]} are no longer those that this run learnt from: {give}.")
        known = [int(one["number"]) for one in held]
        # The longest of a few says more than the first, which may be a title.
        longest = max(known, key=lambda number: min(len(data.items[number]), 40)) if data.kind == "words" else known[0]
        number = longest if item is None else number_of(item, data.names, "sequence")
        whose = "which the run held out" if number in known else "among the data of the run"
        return self._cut(data.at([number]), steps, f"{data.names[number]}, {whose}")

    def _of(self, data: Tagged, item: str | int | None, steps: int, source: str) -> Chosen:
        number = number_of(item, data.names, "sequence")
        said = source if len(data) == 1 else f"{data.names[number]} of {source}"
        return self._cut(data.at([number]), steps, said)

    def _cut(self, data: Tagged, steps: int, said: str) -> Chosen:
        """The sequence, or its first steps. Raises DataError for a sequence that is too short."""
        if data.kind != "audio":
            whole = len(data.items[0])
            tags = None if data.tags is None else [data.tags[0][:steps]]
            data = Tagged(data.kind, [data.items[0][:steps]], data.names, tags, channels=data.channels)
            if len(data.items[0]) < 2:
                raise DataError(f"A page shows at least two steps, and {data.names[0]} has {whole}.")
        return Chosen(data, said)

    def examine(self, name: str, chosen: Chosen, report: Report) -> tuple[Moments, Drawings]:
        return examine(self.trained, name, chosen, report)

    def typing(self) -> Typing:
        raise DataError(
            "--live is for runs that read on as one types, language models and classifiers of texts. A tagger reads a "
            "sentence from both ends: carousel tag shows its tags. Leave --live out to write the page as a file."
        )


def examine(
    trained: TrainedTagger, name: str, chosen: Chosen, report: Report = lambda _: None
) -> tuple[Moments, Drawings]:
    """All that a page shows of one tagger and sequence, and its pictures."""
    network, layer = trained.network, trained.network.recurrent
    reading = trained.reading(chosen.data)
    x, _, spelled = reading.batch(np.array([0]))
    with torch.no_grad():
        e = network.read(x, spelled)
    count = len(e)
    report(f"{name}: {count:,} steps of {layer.num_layers} x {layer.hidden_size} units")
    (log,) = trained.log_probabilities(chosen.data)
    scanned, _, _ = scans(layer, e[:, 0], layer.fresh_states(1), np.arange(count))
    shown = PageSteps(_reads(trained, chosen.data, count), _guesses(trained, chosen.data, log), scanned)
    report(f"{name}: gates and gradients")
    lags = analysis.lags_for(count)
    gates = read_gates(layer, e)
    wanted = torch.from_numpy(log.argmax(1)).to(e.device)[:, None]

    def loss(outputs: Tensor) -> Tensor:
        scores = network.head(outputs)
        return functional.cross_entropy(scores.flatten(0, 1), wanted.flatten(), reduction="none").view_as(wanted)

    flow = gradient_flow(layer, e, loss=loss, lags=lags)
    curves, refusals = analysis.curves_of(flow)
    timescales, too_short = analysis.timescales_of(gates)
    findings, too_little = analysis.findings(gates.places, layer, e, lags=lags)
    subject, unit = SUBJECTS[trained.front_end.kind], trained.front_end.unit
    moments = Moments(
        name=name,
        subject=subject,
        unit=unit,
        summary=f"What the network does at each of {count:,} steps of a {subject}, and the tag it gives each {unit}.",
        about=_about(trained, chosen, count),
        steps=shown,
        timescales=timescales,
        flow=curves,
        properties=analysis.followers(_marks(shown), gates),
        findings=findings,
        notes={
            "expects": [] if chosen.data.labelled else ["The data do not say which tags are right."],
            "units": [*([BOTH_WAYS] if layer.bidirectional else []), *too_short],
            "flow": ["The loss of the tag that it gives each step, followed back through the recurrence.", *refusals],
            "findings": too_little,
        },
    )
    return moments, dict(pictures.of_network(gates, flow))


def _reads(trained: TrainedTagger, data: Tagged, count: int) -> Symbols | Signals:
    front_end, item = trained.front_end, data.items[0]
    if isinstance(front_end, WordFrontEnd):
        names = Names()
        read = np.array([names.place(f"{word} ") for word in item])
        lengths = np.array([len(word) + 1 for word in item])
        return Symbols(names.texts, read, np.cumsum(lengths) - lengths)
    if isinstance(front_end, AudioFrontEnd):
        mel, at = mel_of(front_end.rate, front_end.bands), middles_of_frames(front_end, count)
        top = mel.filters.argmax(1).numpy() * front_end.rate / mel.size
        bands = [f"{frequency:,.0f} Hz" for frequency in top]
        return Signals(bands, front_end.steps(item), [f"{t:.2f} s" for t in at], at, alike=True)
    times = [f"step {t + 1}" for t in range(count)]
    return Signals(list(front_end.channels), np.asarray(item, np.float32), times, np.arange(count))


def _guesses(trained: TrainedTagger, data: Tagged, log: np.ndarray) -> Guesses:
    names = list(trained.tags)
    likely = np.argsort(-log, axis=1, kind="stable")[:, :LIKELY]
    truth = front_ends.tags_of(trained.front_end, data, [len(log)])
    true = [None] * len(log) if truth is None else list(truth[0])
    names += sorted({tag for tag in true if tag is not None} - set(names))
    actual = np.array([-1 if tag is None else names.index(tag) for tag in true], np.int64)
    given = np.full(len(log), np.nan)
    given[actual >= len(trained.tags)] = 0.0
    known = np.flatnonzero((actual >= 0) & (actual < len(trained.tags)))
    given[known] = np.exp(log[known, actual[known]])
    return Guesses("tag", names, likely, np.exp(np.take_along_axis(log, likely, 1)), actual, given)


def _marks(shown: PageSteps) -> dict[str, np.ndarray]:
    """The properties that units may follow."""
    reads = shown.reads
    if isinstance(reads, Symbols):
        return analysis.properties_of_text("".join(reads.names[k] for k in reads.read), reads.starts)
    values = np.nan_to_num(reads.values.astype(np.float64))
    if len(reads.names) > MOST_MARKED:
        return {"mean of all channels": values.mean(1)}
    return dict(zip(reads.names, values.T, strict=True))


def _about(trained: TrainedTagger, chosen: Chosen, count: int) -> list[tuple[str, str]]:
    layer, front_end = trained.network.recurrent, trained.front_end
    about = [
        (SUBJECTS[front_end.kind], f"{chosen.said}; {count:,} {front_end.unit}s"),
        ("read as", front_end.said),
        (
            "network",
            f"{layer.cell}, {layer.num_layers} x {layer.hidden_size} units{', both ways' * layer.bidirectional}",
        ),
        ("tags", f"{len(trained.tags)}; of {sum(trained.counts):,} {front_end.unit}s in training"),
    ]
    if isinstance(front_end, WordFrontEnd):
        strange = [word for word in chosen.data.items[0] if not front_end.knows(word)]
        if strange:
            about.append(("unknown", f"words that it knows by their characters alone: {', '.join(strange)}"))
    return about
