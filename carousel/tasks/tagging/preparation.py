"""Everything that is decided before a tagger is trained."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from carousel.errors import DataError, option
from carousel.models.tag_model import TagModel
from carousel.tasks.sequences.steps import StoredSteps, said_lengths
from carousel.tasks.table import listed
from carousel.tasks.tagging import baselines, front_ends
from carousel.tasks.tagging.settings import Settings
from carousel.tasks.tagging.spans import are_spans
from carousel.tasks.tagging.store import TEST, TRAINING, UNTAGGED, VALIDATION, Store
from carousel.tasks.tagging.tagged import Tagged
from carousel.tasks.tagging.trained import network_of, places_of, stored
from carousel.tasks.tagging.words import WordFrontEnd
from carousel.training.building import parameter_count
from carousel.training.progress import Report
from carousel.training.run_cell import absolute_cell
from carousel.training.threads import choose_threads

READ = 2_000_000  # words or steps that a training reads in all, where nothing else is asked for
FEWEST_EPOCHS, MOST_EPOCHS = 4.0, 100.0
DROPOUT = {"words": 0.4, "series": 0.3, "audio": 0.3}
MOST_SOURCES = 1000  # files: of more, the run records none
MOST_NAMED = 50  # sequences held out whose names the run records


@dataclass(frozen=True)
class Prepared:
    """Everything that is decided before a training (a `Preparation`): sequences, their tags, and the network.

    settings: every choice is made, except the steps of a training by the clock. tags: those that training knows.
    strange: tags that only the validation or test data have; their numbers follow those of `tags`. counts: how many
    training steps have each tag. names: of all sequences. columns: where the files have what. sources: the files.
    """

    TASK: ClassVar[str] = "tagging"
    DATA: ClassVar[str] = StoredSteps.FILE

    settings: Settings
    tags: tuple[str, ...]
    strange: tuple[str, ...]
    counts: tuple[int, ...]
    front_end: front_ends.FrontEnd
    baseline: baselines.Baseline
    store: Store
    names: Sequence[str]
    columns: dict[str, str | None]
    sources: Sequence[Path]

    @property
    def steps_per_epoch(self) -> int:
        learnt = len(self.store.of_part(TRAINING))
        assert self.settings.batch is not None
        return -(-learnt // min(self.settings.batch, learnt))

    @property
    def model(self) -> dict[str, Any]:
        """The arguments of the network."""
        names = ("cell", "hidden", "layers", "bidirectional", "embedding", "character_hidden")
        return {name: getattr(self.settings, name) for name in names}

    def network(self) -> TagModel:
        return network_of(self.front_end, len(self.tags), self.model)

    def write(self, folder: Path) -> dict[str, Any]:
        """Writes the steps of all sequences, their tags and their parts."""
        self.store.save(folder)
        held = self.store.of_part(VALIDATION)[:MOST_NAMED]
        return {
            "tags": list(self.tags),
            "strange": list(self.strange),
            "counts": list(self.counts),
            "columns": self.columns,
            "front_end": self.front_end.to_json(),
            "model": self.model,
            "baseline": self.baseline.to_json(),
            "sources": [str(path.absolute()) for path in self.sources] if len(self.sources) <= MOST_SOURCES else [],
            "held_out": [{"number": int(number), "name": self.names[number]} for number in held],
        }


def prepare(
    data: Tagged,
    settings: Settings,
    report: Report,
    *,
    validation: Tagged | None = None,
    test: Tagged | None = None,
    sources: Sequence[Path] = (),
) -> Prepared:
    """Decides and reports what the sequences and their tags are, which are held out, and which network learns.

    validation, test: sequences to validate on, without which a share of the data is held out, and to judge the best
    model on at the end. sources: the files of `data`. The front end and the baseline are fitted to the sequences that
    are learnt from. Sequences without a step are left out. Trains and writes nothing.
    Raises DataError where the sequences or a setting cannot be used."""
    for line in data.said:
        report.say(line)
    for what, beside in (("validation", validation), ("test", test)):
        for line in beside.said if beside is not None else ():
            report.say(f"{what}: {line}")
    data = _with_steps(data.require_tags("Training"), report)
    parts = _parts(len(data), settings, validated_apart=validation is not None)
    every, learnt = data, np.flatnonzero(parts == TRAINING)
    for part, beside in ((VALIDATION, validation), (TEST, test)):
        if beside is not None:
            beside = _with_steps(beside.require_tags("Judging"), report)
            every, parts = _after(every, beside), np.append(parts, np.full(len(beside), part))
    front_end = front_ends.fit(data.at(learnt))
    report.say(front_end.said)
    steps, forms = _steps(front_end, every)
    truth = front_ends.tags_of(front_end, every, steps.lengths.tolist())
    assert truth is not None
    tags, strange = _tags(truth[: len(data)], truth)
    _require_several(tags, data)
    numbers = {tag: number for number, tag in enumerate((*tags, *strange))}
    flat = np.array([UNTAGGED if tag is None else numbers[tag] for one in truth for tag in one], np.int64)
    store = Store(steps, flat, parts, tuple(forms))
    own = np.concatenate([store.tags_of(int(number)) for number in learnt])
    counts = np.bincount(own[own >= 0], minlength=len(tags))
    settings = _resolved(settings, choose_threads(settings, report.say), store, data.kind)
    prepared = Prepared(
        settings,
        tags,
        strange,
        tuple(counts.tolist()),
        front_end,
        _baseline(front_end, store, learnt, len(tags)),
        store,
        every.names,
        data.columns,
        sources,
    )
    _announce(prepared, report)
    return prepared


def _with_steps(data: Tagged, report: Report) -> Tagged:
    """The sequences that have a step. Raises DataError where there is none."""
    full = [number for number, item in enumerate(data.items) if len(getattr(item, "samples", item))]
    if not full:
        raise DataError("There is no sequence with a step to learn from or to judge on.")
    if len(full) < len(data):
        empty = sorted(set(range(len(data))) - set(full))
        report.say(f"left out, as they have no step: {listed([data.names[number] for number in empty], 5)}")
        return data.at(full)
    return data


def _after(data: Tagged, beside: Tagged) -> Tagged:
    """The sequences of two data sets, one after the other. Raises DataError where they are not of one kind."""
    if beside.kind != data.kind or beside.channels != data.channels:
        raise DataError(
            f"Data to judge on must be of the kind that is learnt, {data.kind}"
            f"{f' of {listed(data.channels)}' if data.channels else ''}; {beside.names[0]} is {beside.kind}"
            f"{f' of {listed(beside.channels)}' if beside.channels else ''}."
        )

    def both(name: str) -> Any:
        first, second = getattr(data, name), getattr(beside, name)
        return None if first is None else [*first, *second]

    return replace(data, **{name: both(name) for name in ("items", "names", "tags", "intervals")})


def _parts(count: int, settings: Settings, *, validated_apart: bool) -> np.ndarray:
    """The part of each sequence to learn from, (N,). Raises DataError where none can be held out."""
    parts = np.full(count, TRAINING)
    if validated_apart:
        return parts
    if count < 2:
        raise DataError(
            f"There is one sequence, so none can be held out to validate on. Give more of them, or name a file to "
            f"validate on ({option('validation_file')})."
        )
    held = min(count - 1, max(1, round(count * settings.validation_share)))
    parts[np.random.default_rng(settings.seed).permutation(count)[:held]] = VALIDATION
    return parts


def _steps(front_end: front_ends.FrontEnd, data: Tagged) -> tuple[StoredSteps, Sequence[str]]:
    if isinstance(front_end, WordFrontEnd):
        return places_of(data.items)
    return stored(front_ends.numbers(front_end, data), front_end.size), ()


def _tags(
    learnt: Sequence[Sequence[str | None]], every: Sequence[Sequence[str | None]]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tags of the data to learn from, and those that only other data have, by alphabet."""
    known = {tag for sequence in learnt for tag in sequence if tag is not None}
    others = {tag for sequence in every for tag in sequence if tag is not None} - known
    return tuple(sorted(known)), tuple(sorted(others))


def _require_several(tags: tuple[str, ...], data: Tagged) -> None:
    if len(tags) < 2:
        what = f"all steps have the tag {tags[0]!r}" if tags else "no step has a tag"
        raise DataError(
            f"A tagger learns to tell tags apart, and {what}. Is this the right column ({option('label')})?"
        )
    steps = sum(len(one) for one in data.tags or ())
    if data.kind == "words" and steps >= 10 and len(tags) > steps / 2:
        raise DataError(
            f"The {steps:,} words have {len(tags):,} different tags ({listed(tags, 4)}), so most tags occur once. Is "
            f"this the right column ({option('label')})?"
        )


def _baseline(front_end: front_ends.FrontEnd, store: Store, learnt: np.ndarray, tags: int) -> baselines.Baseline:
    """The baseline, fitted to the training sequences. No tag of theirs is strange."""
    own = [store.tags_of(int(number)) for number in learnt]
    if isinstance(front_end, WordFrontEnd):
        return baselines.TagCounts.count([store.words_of(number) for number in learnt], own, tags)
    steps = np.concatenate([store.steps[number] for number in learnt])
    return baselines.NearestMean.fit(steps, np.concatenate(own), tags)


def _resolved(settings: Settings, threads: int, store: Store, kind: str) -> Settings:
    """The settings with nothing left open, so that a resumed run computes the same."""
    learnt = store.of_part(TRAINING)
    epochs = settings.epochs
    if epochs is None and settings.minutes is None:
        epochs = float(round(min(MOST_EPOCHS, max(FEWEST_EPOCHS, READ / int(store.steps.lengths[learnt].sum())))))
    return replace(
        settings,
        cell=absolute_cell(settings.cell),
        batch=settings.batch or (8 if len(learnt) < 200 else 16 if len(learnt) < 2000 else 32),
        dropout=DROPOUT[kind] if settings.dropout is None else settings.dropout,
        epochs=epochs,
        device=str(settings.torch_device),
        threads=threads,
    )


def _announce(prepared: Prepared, report: Report) -> None:
    settings, store, front_end = prepared.settings, prepared.store, prepared.front_end
    frequent = [tag for tag, _ in Counter(dict(zip(prepared.tags, prepared.counts, strict=True))).most_common()]
    report.say(f"{len(prepared.tags)} tags: {listed(frequent, 12)}")
    if are_spans(prepared.tags):
        report.say("the tags mark spans (O, and letters such as B and I with a type): spans are scored, too")
    if prepared.strange:
        report.say(
            f"only the data to judge on have the tags {listed(prepared.strange)}: they are never the answer, and count "
            f"as errors"
        )
    sizes = {part: len(store.of_part(part)) for part in (TRAINING, VALIDATION, TEST)}
    lengths, unit = store.steps.lengths, front_end.unit
    report.say(
        f"{sizes[TRAINING]:,} sequences to learn from, {sizes[VALIDATION]:,} to validate on"
        f"{f', {sizes[TEST]:,} to judge the best model on' if sizes[TEST] else ''}; "
        f"{said_lengths(lengths, unit)}"
    )
    torch.manual_seed(settings.seed)
    network = prepared.network()
    spelling = ""
    if isinstance(front_end, WordFrontEnd) and settings.character_hidden:
        spelling = f"; characters by an LSTM of 2 x {settings.character_hidden} units"
    report.say(
        f"model: {settings.cell}, {settings.layers} x {settings.hidden} units, "
        f"{'both directions' if settings.bidirectional else 'forward'}{spelling}; {parameter_count(network):,} "
        f"parameters; dropout {settings.dropout:g}; {settings.device}, {settings.threads} threads"
    )
