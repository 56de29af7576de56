"""The page of a classifier that reads a sequence (numbers over time, sound, text): its prediction after each step.

The prediction after t steps is that for the sequence of these t steps: see `carousel.tasks.classification.early`. A
bidirectional network reads each prefix separately, and so does the measure of influence. For a long sequence only some
prefixes are read: see `ends_of_prefixes`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from carousel.errors import DataError
from carousel.insight import GradientFlow, read_gates
from carousel.models.label_model import LabelModel
from carousel.page import analysis, pictures
from carousel.page.moments import Classes, Influence, Moments, Signals, Symbols
from carousel.page.moments import Steps as PageSteps
from carousel.page.readers import Drawings, Report, number_of, require_equations
from carousel.page.readers.label_measures import (
    ends_of_prefixes,
    flow_of,
    influence,
    received,
)
from carousel.page.readers.label_steps import begun_steps, marks_of, read_steps, symbols_of
from carousel.page.readers.typed import Typing
from carousel.page.readers.typed_classification import TypedText
from carousel.tasks.classification import sources
from carousel.tasks.classification.sequence_classifier import SequenceClassifier
from carousel.tasks.classification.trained import TrainedClassifier
from carousel.tasks.sequences.examples import Examples
from carousel.tasks.sequences.front_ends.text import TextFrontEnd

Model = SequenceClassifier
PICTURED = 8  # outputs in the picture of influence
SUBJECTS = {"series": "series", "audio": "recording", "text": "text"}


@dataclass(frozen=True)
class Chosen:
    """One sequence. begun: the largest number of its steps to read. text: the text itself, if it is one.

    files, number: for a sequence of the run's own data, its files and its number among their sequences.
    """

    example: Examples
    said: str
    begun: int
    text: str = ""
    files: tuple[str, ...] = ()
    number: int | None = None


class Reader:
    """See `carousel.page.readers.Reader`."""

    task = "classification"

    def __init__(self, model: SequenceClassifier) -> None:
        self.model, self.run = model, model.run
        self.trained: TrainedClassifier = model.trained
        require_equations(self.trained.network.members[0].recurrent)

    def choose(self, data: Any, *, item: str | int | None, steps: int) -> Chosen:
        if data is None:
            return self._held_out(item, steps)
        if self.trained.front_end.kind == "text" and isinstance(data, str):
            data = [data]
        examples = self.model.examples(data)
        self.trained.require_kind(examples)
        number = number_of(item, examples.names, "sequence")
        example = examples.at([number])
        begun_steps(self.trained, example, steps)
        where = Path(data).name if isinstance(data, str | Path) else "the data that were given"
        said = where if len(examples) == 1 else f"{example.names[0]} of {where}"
        return Chosen(example, said, steps, self._text(example, steps))

    def _text(self, example: Examples, steps: int) -> str:
        front_end = self.trained.front_end
        if not isinstance(front_end, TextFrontEnd):
            return ""
        shown = symbols_of(front_end, example.items[0], min(steps, len(front_end.steps(example.items[0]))))
        return "".join(shown.names[k] for k in shown.read)

    def _held_out(self, item: str | int | None, steps: int) -> Chosen:
        """A sequence that one network of the run has not learnt from, if the data still exist unchanged."""
        record = self.model.config
        files, held = record.get("sources", []), record.get("held_out", [])
        give = "name data for it to read: carousel inspect RUN DATA (in Python: data=)"
        if not files or not held:
            raise DataError(f"This run does not say which files it learnt from: {give}.")
        lost = [file for file in files if not Path(file).exists()]
        if lost:
            raise DataError(f"The data of this run are no longer at {lost[0]}: {give}.")
        channels = getattr(self.trained.front_end, "channels", ())
        examples = sources.read_examples(files, self.trained.columns, channels=channels, asked=True)
        if any(one["number"] >= len(examples) or examples.names[one["number"]] != one["name"] for one in held):
            raise DataError(f"The data at {files[0]} are no longer those that this run learnt from: {give}.")
        number = held[0]["number"] if item is None else number_of(item, examples.names, "sequence")
        unseen = number in {one["number"] for one in held}
        whose = "which the run held out" if unseen else "among the data of the run, which may have learnt from it"
        example = examples.at([number])
        said = f"{example.names[0]}, {whose}"
        return Chosen(example, said, steps, self._text(example, steps), tuple(files), number)

    def examine(self, name: str, chosen: Chosen, report: Report) -> tuple[Moments, Drawings]:
        return examine(self.trained, name, chosen, report, network=self._network_for(chosen))

    def _network_for(self, chosen: Chosen) -> int:
        """The index of the network that has not learnt from the sequence, if the run knows it; else 0."""
        record = self.model.config
        if chosen.files and tuple(record.get("sources", ())) == chosen.files:
            for one in record["held_out"]:
                if one["number"] == chosen.number:
                    return int(one["network"])
        return 0

    def typing(self) -> Typing:
        if self.trained.front_end.kind != "text":
            raise DataError(
                f"Nothing can be typed for a classifier of {self.trained.front_end.kind}: --live is for runs that read "
                f"text, language models and classifiers of texts. Leave it out to write the page as a file."
            )
        return TypedText(self.trained)


def examine(
    trained: TrainedClassifier, name: str, chosen: Chosen, report: Report = lambda _: None, *, network: int = 0
) -> tuple[Moments, Drawings]:
    """All that a page shows of one classifier and sequence, and its pictures.

    network: the index of the network whose units are shown, if several vote.
    """
    front_end, member = trained.front_end, trained.network.members[network]
    steps, length = begun_steps(trained, chosen.example, chosen.begun)
    layer, subject = member.recurrent, SUBJECTS[front_end.kind]
    report(f"{name}: {len(steps):,} steps of {layer.num_layers} x {layer.hidden_size} units")
    shown, answer, truth = read_steps(trained, chosen.example, steps, network)
    assert isinstance(shown.expects, Classes)
    report(f"{name}: which {front_end.unit}s moved the answer")
    at = ends_of_prefixes(len(steps))
    norms = influence(member, steps, answer[at], lambda line: report(f"{name}: {line}"), at=at)
    report(f"{name}: gates and gradients")
    with torch.no_grad():
        e = received(member, steps)
    gates = read_gates(layer, e)
    flow = flow_of(member, steps, int(answer[-1]) if truth is None else truth)
    curves, refusals = analysis.curves_of(flow)
    timescales, too_short = analysis.timescales_of(gates)
    report(f"{name}: what is wrong with it, units that follow the {subject}")
    findings, too_little = analysis.findings(gates.places, layer, e, lags=analysis.lags_for(len(steps)))
    both_ways = (
        "It reads both ways: what is shown here is its reading of the whole, in which the reverse direction begins at "
        "the end and each step finds the state that the step after it left."
    )
    moments = Moments(
        name=name,
        subject=subject,
        unit=front_end.unit,
        summary=(
            f"What the network does at each of {len(steps):,} steps of a {subject}, {front_end.unit} by "
            f"{front_end.unit}, and to which class it holds it to belong as far as it has read."
        ),
        about=_about(trained, chosen, network, steps, length),
        steps=shown,
        influence=Influence(analysis.shares(norms), "the answer", None if len(at) == len(steps) else at),
        timescales=timescales,
        flow=curves,
        properties=analysis.followers(marks_of(shown), gates),
        findings=findings,
        notes={
            "expects": _said_so_far(trained, chosen, network, truth, shown.expects),
            "influence": [
                "What moves the answer: the gradient of the log-odds of its class, as this network gives them, by what "
                "was read at each step.",
                *_said_of_influence(front_end.unit, len(at), len(steps)),
            ],
            "units": [*([both_ways] if layer.bidirectional else []), *_said_of_convolutions(member), *too_short],
            "flow": [_said_of_flow(member, truth is not None), *_said_of_convolutions(member), *refusals],
            "findings": too_little,
        },
    )
    return moments, _drawings(shown, gates, flow, norms, at)


# -- in words ---------------------------------------------------------------------------------------------------


def _said_of_influence(unit: str, measured: int, steps: int) -> list[str]:
    """The notes on a sequence so long that influence was measured after some of its steps only."""
    if measured == steps:
        return []
    return [
        f"An answer is followed back to the first {unit}, which is much for a long sequence: this was done after "
        f"{measured:,} of the {steps:,} steps. At the others the page shows the last one before that was followed."
    ]


def _said_so_far(
    trained: TrainedClassifier, chosen: Chosen, network: int, truth: int | None, shown: Classes
) -> list[str]:
    members, unit = trained.network.members, trained.front_end.unit
    said = [f"After each {unit}: what is said of a sequence that ends there, as by `carousel predict --every 1`."]
    if members[0].recurrent.bidirectional:
        said.append("The networks read in both directions: each prefix of the sequence is read anew, from its end too.")
    if shown.at is not None:
        said.append(
            f"That is much for a long sequence: {len(shown.at):,} prefixes were read of the "
            f"{len(shown.probability):,} that there are. Between two of them stands what was said after the first."
        )
    if len(members) > 1:
        said.append(f"{len(members)} networks vote; units and gradients are those of one, number {network + 1}.")
    fixed = trained.network.fixed
    if fixed is not None and float(fixed.share) > 0:
        said.append(
            f"This page shows the networks alone: {float(fixed.share):.0%} of the classifier's answer are of fixed "
            f"convolutions, which are not in these probabilities."
        )
    labels = chosen.example.labels
    if labels is None:
        said.append("The data do not say which class it is.")
    elif truth is None:
        said.append(f"The data say that it is {labels[0]!r}, a class that was never met in training.")
    return said


def _said_of_flow(member: LabelModel, known: bool) -> str:
    of = "the class that it is" if known else "the answer"
    head = "" if type(member.pooling).__name__ == "Last" else ", which its head reads directly"
    return (
        f"The loss of {of}: what of it arrives at a step's output{head}, followed back through the recurrence to the "
        f"steps before."
    )


def _beside(member: LabelModel) -> str:
    beside = member.convolutions
    return "" if beside is None else f", beside it three convolutions of {beside.width // 3} channels"


def _said_of_convolutions(member: LabelModel) -> list[str]:
    if member.convolutions is None:
        return []
    return [
        "This is the recurrence alone. The convolutions beside it read the same steps and carry nothing from step to "
        "step: what they find moves the answer, and is in what moves it, but has no gates and no state to show."
    ]


def _about(
    trained: TrainedClassifier, chosen: Chosen, network: int, steps: np.ndarray, length: int
) -> list[tuple[str, str]]:
    member, front_end = trained.network.members[network], trained.front_end
    layer, several = member.recurrent, len(trained.network.members)
    cut = f", of which the first {len(steps):,}" if len(steps) < length else ""
    about = [
        (SUBJECTS[front_end.kind], f"{chosen.said}; {length:,} {front_end.unit}s{cut}"),
        ("read as", front_end.said),
        (
            "network",
            f"{layer.cell}, {layer.num_layers} x {layer.hidden_size} units{', both ways' * layer.bidirectional}, head "
            f"{type(member.pooling).__name__.lower()}{_beside(member)}"
            f"{f'; number {network + 1} of {several}' if several > 1 else ''}",
        ),
        ("classes", f"{len(trained.classes)}; of {sum(trained.counts):,} sequences in training"),
    ]
    if front_end.symbolic and (strange := int((steps == 0).sum())):
        about.append(("unknown", f"{strange:,} {front_end.unit}s that the model has no symbol for"))
    return about


def _drawings(shown: PageSteps, gates: Any, flow: GradientFlow, norms: np.ndarray, at: np.ndarray) -> Drawings:
    reads, expects = shown.reads, shown.expects
    assert isinstance(expects, Classes)
    if isinstance(reads, Symbols):
        labels = [reads.names[k].strip() for k in reads.read]
    else:
        labels = reads.times
    drawings = pictures.of_network(gates, flow) | {
        "influence": partial(pictures.influence_at_end, norms, labels, PICTURED, at),
        "classes": partial(pictures.classes_over_time, expects.names, expects.probability, expects.truth, labels),
    }
    if isinstance(reads, Signals):
        drawings["signals"] = partial(pictures.signals_over_time, reads)
    return drawings
