"""A trained classifier: front end, networks and the names of the classes, as a run holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from carousel.errors import DataError
from carousel.models.fixed_convolutions import FixedVote
from carousel.models.label_model import Ensemble, LabelModel
from carousel.tasks.sequences import front_ends
from carousel.tasks.sequences.examples import Columns, Examples, Label
from carousel.tasks.sequences.metrics import Evaluation, evaluate
from carousel.tasks.sequences.steps import StoredSteps
from carousel.training.building import build, naming_cell, require_counts
from carousel.training.run_folder import RunFolder


@dataclass
class TrainedClassifier:
    """Answers for examples of the kind that it was trained on.

    counts: how many training sequences were of each class. columns: where a table has what.
    """

    network: Ensemble
    front_end: front_ends.FrontEnd
    classes: tuple[Label, ...]
    counts: tuple[int, ...]
    columns: Columns

    @classmethod
    def described_by(
        cls, folder: RunFolder, config: dict[str, Any], *, trained: bool, device: str
    ) -> "TrainedClassifier":
        """As a run's config.json describes it; `trained`: with the best weights of the run so far."""
        with folder.reading_config():
            model, members = folder.model(config), config["members"]
            require_counts(layers=model["layers"], networks=members)
            front_end = front_ends.from_json(config["front_end"])
            classes, counts = tuple(config["classes"]), tuple(config["counts"])
            _require_classes(classes, counts)
            columns = Columns(**config["columns"])
        network = build(folder, lambda: ensemble(front_end, len(classes), model, members), trained=trained)
        return cls(network.to(device).eval(), front_end, classes, counts, columns)

    @classmethod
    def of(cls, folder: RunFolder, device: str = "cpu") -> "TrainedClassifier":
        """The best model of a run so far. Raises RunError where the folder is damaged."""
        return cls.described_by(folder, folder.config(), trained=True, device=device)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @property
    def commonest(self) -> int:
        return int(np.argmax(self.counts))

    def require_kind(self, examples: Examples) -> None:
        if examples.kind != self.front_end.kind:
            raise DataError(f"This model was trained on {self.front_end.kind}, and these data are {examples.kind}.")

    def steps_of(self, examples: Examples) -> list[np.ndarray]:
        self.require_kind(examples)
        return [steps_of(self.front_end, examples, number) for number in range(len(examples))]

    def log_probabilities(self, examples: Examples) -> np.ndarray:
        """ln P of each class for each sequence, (N, classes) float64."""
        answers = self.of_steps(StoredSteps.of(self.steps_of(examples)))
        if len(lost := np.flatnonzero(~np.isfinite(answers).all(1))):
            raise DataError(
                f"The model has no answer for the sequence {examples.names[lost[0]]}: its values are too far from "
                f"those that it was trained on, and what it computes of them is no number."
            )
        return answers

    @torch.inference_mode()
    def of_steps(self, steps: StoredSteps) -> np.ndarray:
        answers = np.empty((len(steps), len(self.classes)))
        for numbers in steps.batches(np.arange(len(steps))):
            answers[numbers] = self.network(*steps.batch(numbers, self.device)).cpu().numpy()
        return answers

    def numbers_of(self, labels: Sequence[Label]) -> tuple[np.ndarray, tuple[Label, ...]]:
        """The number of each label's class, and all classes: those the model knows, then others that occur."""
        known = {str(label): number for number, label in enumerate(self.classes)}
        classes = list(self.classes)
        for label in labels:
            if str(label) not in known:
                known[str(label)] = len(classes)
                classes.append(label)
        return np.array([known[str(label)] for label in labels], np.int64), tuple(classes)

    def evaluate(self, examples: Examples) -> Evaluation:
        truth, classes = self.numbers_of(examples.require_labels("Evaluating"))
        return evaluate(truth, self.log_probabilities(examples), classes, self.commonest)


def steps_of(front_end: front_ends.FrontEnd, examples: Examples, number: int) -> np.ndarray:
    """The steps of one of the examples; an error says which."""
    try:
        return front_end.steps(examples.items[number])
    except DataError as problem:
        name = examples.names[number]
        raise DataError(str(problem) if name in str(problem) else f"The sequence {name}: {problem}") from None


def ensemble(front_end: front_ends.FrontEnd, classes: int, model: dict[str, Any], members: int) -> Ensemble:
    """The networks for such steps, freshly drawn. Raises DataError for a cell that cannot be theirs."""
    size: dict[str, Any] = {"symbols" if front_end.symbolic else "inputs": front_end.size}
    with naming_cell(model["cell"], "classifier"):
        fixed = None if model.get("fixed") is None else FixedVote(classes, **model["fixed"])
        own = {name: value for name, value in model.items() if name != "fixed"}
        return Ensemble([LabelModel(classes, **size, **own) for _ in range(members)], fixed)


def _require_classes(classes: tuple[Any, ...], counts: tuple[Any, ...]) -> None:
    """Raises ValueError for what are no classes, each once, and how many sequences were of each."""
    if not all(isinstance(label, str | int | float) for label in classes) or len(set(map(str, classes))) < len(classes):
        raise ValueError("classes are texts or numbers, each once")
    if len(counts) != len(classes) or not all(isinstance(count, int) and count >= 0 for count in counts):
        raise ValueError("of each class there is a count of sequences")
