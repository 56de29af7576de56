"""The steps of a sequence that a classifier reads: the input of each, and the prediction after it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from carousel.errors import DataError
from carousel.models.label_model import Ensemble
from carousel.page import analysis
from carousel.page.moments import Classes, Signals, Symbols
from carousel.page.moments import Steps as PageSteps
from carousel.page.readers.label_measures import ends_of_prefixes, moved, received
from carousel.page.readers.symbols import Names
from carousel.page.scans import scans
from carousel.tasks.classification.early import moments_at
from carousel.tasks.classification.trained import TrainedClassifier
from carousel.tasks.sequences.examples import Examples
from carousel.tasks.sequences.front_ends.audio import AudioFrontEnd, mel_of
from carousel.tasks.sequences.front_ends.text import WORD, TextFrontEnd
from carousel.tasks.sequences.steps import StoredSteps

MOST_MARKED = 6  # the largest number of channels whose followers are searched


def begun_steps(trained: TrainedClassifier, example: Examples, most: int) -> tuple[np.ndarray, int]:
    """The first steps of a sequence, and its length. Raises DataError if it is of another kind or too short."""
    (steps,) = trained.steps_of(example)
    if len(steps) < 2:
        unit = trained.front_end.unit
        raise DataError(
            f"A page shows at least two steps, and {example.names[0]} has {len(steps)} {unit}"
            f"{'' if len(steps) == 1 else 's'}."
        )
    return steps[:most], len(steps)


def read_steps(
    trained: TrainedClassifier, example: Examples, steps: np.ndarray, network: int
) -> tuple[PageSteps, np.ndarray, int | None]:
    """The steps with the predictions after each, the predicted class after each, (T), and the true class."""
    member, every = trained.network.members[network], np.arange(len(steps))
    at = ends_of_prefixes(len(steps)) if member.recurrent.bidirectional else every
    each = [
        np.exp(
            [one.log_probabilities for one in moments_at(replace(trained, network=Ensemble([voter])), steps, at + 1)]
        )
        for voter in trained.network.members
    ]
    chances, alone = np.mean(each, axis=0), each[network] if len(each) > 1 else None
    before = np.exp(trained.of_steps(StoredSteps.of([steps[:0]])))
    known = [str(label) for label in trained.classes]
    said = None if example.labels is None else str(example.labels[0])
    truth = known.index(said) if said in known else None
    with torch.no_grad():
        e = received(member, steps)[:, 0]
        layer = member.recurrent
        rows = steps if trained.front_end.symbolic else np.arange(len(steps))
        scanned, _, _ = scans(layer, e, layer.fresh_states(1), rows)
    by = np.full(len(steps), np.nan)
    by[at] = moved(np.concatenate([before, chances]))
    # Between two prefixes the prediction of the first is repeated.
    which = np.searchsorted(at, every, side="right") - 1
    alone = None if alone is None else alone[which]
    expects = Classes(known, chances[which], by, truth, alone, None if len(at) == len(steps) else at)
    return PageSteps(_reads(trained, example, steps), expects, scanned), expects.probability.argmax(1), truth


def _reads(trained: TrainedClassifier, example: Examples, steps: np.ndarray) -> Symbols | Signals:
    front_end, item, count = trained.front_end, example.items[0], len(steps)
    if isinstance(front_end, TextFrontEnd):
        return symbols_of(front_end, item, count)
    if isinstance(front_end, AudioFrontEnd):
        mel = mel_of(front_end.rate, front_end.bands)
        at = np.arange(count) * mel.hop / front_end.rate
        return Signals(_bands(front_end), steps, [f"{t:.2f} s" for t in at], at, alike=True)
    return Signals(list(example.channels), item[:count], [f"step {t + 1}" for t in range(count)], np.arange(count))


def _bands(front_end: AudioFrontEnd) -> list[str]:
    """The name of each band: the frequency at which its filter has its maximum."""
    mel = mel_of(front_end.rate, front_end.bands)
    top = mel.filters.argmax(1).numpy() * front_end.rate / mel.size
    return [f"{frequency:,.0f} Hz" for frequency in top]


def symbols_of(front_end: TextFrontEnd, text: str, count: int) -> Symbols:
    """The words of a text together with the characters between them, so that all of it is shown; or its characters."""
    if front_end.level == "char":
        starts = np.arange(count)
    else:
        lower = text.lower()
        text = text if len(text) == len(lower) else lower  # a few letters become two in lower case
        starts = np.array([match.start() for match in WORD.finditer(lower)][: count + 1])
    ends = [*starts[1:].tolist(), len(text)][:count]
    starts = starts[:count]
    begins = [0, *starts[1:].tolist()]
    names = Names()
    read = np.array([names.place(text[a:b]) for a, b in zip(begins, ends, strict=True)])
    return Symbols(names.texts, read, starts)


def marks_of(shown: PageSteps) -> dict[str, np.ndarray]:
    """The properties that units may follow: those of a text; each channel of numbers, or their mean."""
    reads = shown.reads
    if isinstance(reads, Symbols):
        text = "".join(reads.names[k] for k in reads.read)
        return analysis.properties_of_text(text, reads.starts)
    values = np.nan_to_num(reads.values.astype(np.float64))
    if len(reads.names) > MOST_MARKED:
        return {"mean of all channels": values.mean(1)}
    return dict(zip(reads.names, values.T, strict=True))
