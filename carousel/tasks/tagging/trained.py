"""A trained tagger: front end, network, tags and baseline, as a run holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from carousel.errors import DataError
from carousel.models.tag_model import TagModel
from carousel.tasks.sequences.steps import StoredSteps
from carousel.tasks.tagging import baselines, front_ends
from carousel.tasks.tagging.scoring import Evaluation, evaluate
from carousel.tasks.tagging.store import Reading
from carousel.tasks.tagging.tagged import Tagged
from carousel.tasks.tagging.words import WordFrontEnd
from carousel.training.building import build, naming_cell, require_counts
from carousel.training.run_folder import RunFolder

Arguments = dict[str, Any]


@dataclass
class TrainedTagger:
    """Answers for sequences of the kind that it was trained on.

    tags: the tags that training had. counts: how many training steps had each. columns: where a file has what.
    """

    network: TagModel
    front_end: front_ends.FrontEnd
    tags: tuple[str, ...]
    counts: tuple[int, ...]
    baseline: baselines.Baseline
    columns: dict[str, str | None]

    @classmethod
    def described_by(cls, folder: RunFolder, config: Arguments, *, trained: bool, device: str) -> "TrainedTagger":
        """As a run's config.json describes it; `trained`: with the best weights of the run so far."""
        with folder.reading_config():
            model = folder.model(config)
            require_counts(layers=model["layers"])
            front_end = front_ends.from_json(config["front_end"])
            tags, counts = tuple(config["tags"]), tuple(config["counts"])
            if len(set(tags)) < len(tags) or len(counts) != len(tags) or not all(isinstance(tag, str) for tag in tags):
                raise ValueError("tags are texts, each once, and of each there is a count")
            baseline = baselines.from_json(config["baseline"], len(tags))
            columns = dict(config["columns"])
        network = build(folder, lambda: network_of(front_end, len(tags), model), trained=trained)
        return cls(network.to(device).eval(), front_end, tags, counts, baseline, columns)

    @classmethod
    def of(cls, folder: RunFolder, device: str = "cpu") -> "TrainedTagger":
        """The best model of a run so far. Raises RunError where the folder is damaged."""
        return cls.described_by(folder, folder.config(), trained=True, device=device)

    @property
    def device(self) -> torch.device:
        return self.network.head.weight.device

    def require_kind(self, data: Tagged) -> None:
        if data.kind != self.front_end.kind:
            raise DataError(f"This model tags {self.front_end.kind}, and these data are {data.kind}.")

    def log_probabilities(self, data: Tagged) -> list[np.ndarray]:
        """ln P of each tag at each step of each sequence, (T, tags) float64 each."""
        return answers(self.network, self.reading(data))

    def baseline_log_probabilities(self, data: Tagged) -> list[np.ndarray]:
        """The same by the naive baseline."""
        if isinstance(self.baseline, baselines.TagCounts):
            return of_words(self.baseline, data.items)
        assert not isinstance(self.front_end, WordFrontEnd)
        return [self.baseline.log_probabilities(steps) for steps in front_ends.numbers(self.front_end, data)]

    def evaluate(self, data: Tagged) -> Evaluation:
        """Judges the model on sequences with tags. Raises DataError for data without tags, and without a step."""
        data.require_tags("Evaluating")
        logs = self.log_probabilities(data)
        truth = front_ends.tags_of(self.front_end, data, [len(one) for one in logs])
        assert truth is not None
        if not any(tag is not None for sequence in truth for tag in sequence):
            raise DataError("There is no step with a tag to judge the model on.")
        known = None
        if isinstance(front_end := self.front_end, WordFrontEnd):
            known = [np.array([front_end.knows(form) for form in words], bool) for words in data.items]
        return evaluate(
            truth,
            logs,
            self.baseline_log_probabilities(data),
            self.tags,
            self.counts,
            baseline=self.baseline.name,
            known=known,
        )

    def reading(self, data: Tagged) -> Reading:
        """The sequences as the network reads them. Raises DataError for data of another kind."""
        self.require_kind(data)
        if isinstance(self.front_end, WordFrontEnd):
            steps, forms = places_of(data.items)
            return Reading(steps, self.device, self.front_end, forms)
        return Reading(stored(front_ends.numbers(self.front_end, data), self.front_end.size), self.device)


@torch.inference_mode()
def answers(network: TagModel, reading: Reading, numbers: np.ndarray | None = None) -> list[np.ndarray]:
    """ln P of each tag at each step, (T, tags) float64, for the sequences with these numbers; default: for all.

    Raises DataError where what the network computes is no number.
    """
    numbers = np.arange(len(reading.steps)) if numbers is None else numbers
    found: dict[int, np.ndarray] = {}
    was_training = network.training
    network.eval()
    for some in reading.batches(numbers):
        x, lengths, spelled = reading.batch(some)
        logs = functional.log_softmax(network(x, lengths, spelled).double(), -1).cpu().numpy()
        for row, number in enumerate(some.tolist()):
            found[number] = logs[: int(lengths[row]), row]
    network.train(was_training)
    if not all(np.isfinite(one).all() for one in found.values()):
        raise DataError(
            "The model has no answer for some of these steps: their values are too far from those that it was trained "
            "on, or its weights have diverged, and what it computes of them is no number."
        )
    return [found[number] for number in numbers.tolist()]


def of_words(baseline: baselines.TagCounts, sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """The answers of the counts for each sentence; each different word is looked up once."""
    steps, forms = places_of(sentences)
    of_forms = baseline.log_probabilities(forms) if forms else np.zeros((0, baseline.tags))
    return [of_forms[steps[number]] for number in range(len(steps))]


def places_of(sentences: Sequence[Sequence[str]]) -> tuple[StoredSteps, list[str]]:
    """The different words of some sentences, and each sentence as the places of its words among them."""
    forms: dict[str, int] = {}
    places = [[forms.setdefault(form, len(forms)) for form in sentence] for sentence in sentences]
    return stored([np.array(one, np.int64) for one in places]), list(forms)


def stored(sequences: Sequence[np.ndarray], size: int | None = None) -> StoredSteps:
    """The steps of several sequences, which may be none. size: of a step of numbers; None for words."""
    nothing = np.zeros(0, np.int64) if size is None else np.zeros((0, size), np.float32)
    return StoredSteps(np.concatenate([nothing, *sequences]), np.array([len(one) for one in sequences], np.int64))


def network_of(front_end: front_ends.FrontEnd, tags: int, model: Arguments) -> TagModel:
    """The network for such steps, freshly drawn. Raises DataError for a cell that cannot be its own."""
    with naming_cell(model["cell"], "tagger"):
        return TagModel(tags, **{**front_ends.sizes(front_end), **model})
