"""A classifier as it is exported."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from carousel.export.answering import Answer
from carousel.models.log_mel import FLOOR, LOWEST
from carousel.tasks.classification import answers
from carousel.tasks.classification.trained import TrainedClassifier
from carousel.tasks.portable import Figures, Portable, require_data
from carousel.tasks.sequences.front_ends.audio import AudioFrontEnd, mel_of
from carousel.tasks.sequences.metrics import evaluate
from carousel.tasks.sequences.steps import StoredSteps
from carousel.training.run_folder import RunFolder


def portable(folder: RunFolder) -> Portable:
    trained = TrainedClassifier.of(folder)
    name = "symbols" if trained.front_end.symbolic else "input"

    def judge(answer: Answer, data: Sequence[Path]) -> Figures:
        require_data(data, folder.path)
        examples = answers.read(trained, data)
        truth, classes = trained.numbers_of(examples.require_labels("Measuring what int8 costs"))
        steps = StoredSteps.of(trained.steps_of(examples))
        logs = np.empty((len(steps), len(trained.classes)))
        for numbers in steps.batches(np.arange(len(steps))):
            x, lengths = (values.numpy() for values in steps.batch(numbers))
            if not len(x):  # a model reads one step at least, real or not
                x = np.zeros((1, *x.shape[1:]), x.dtype)
            probabilities = answer({name: x, "lengths": lengths})[0]
            logs[numbers] = np.log(np.maximum(probabilities, np.finfo(probabilities.dtype).tiny))
        result = evaluate(truth, logs, classes, trained.commonest)
        return {"accuracy": result.accuracy, "nats per sequence": result.nats}

    preprocessing: dict[str, Any] = {
        "front_end": trained.front_end.to_json(),
        "classes": list(trained.classes),
        "columns": asdict(trained.columns),
        "meaning": f"each step: {trained.front_end.unit}; probabilities stand in the order of the classes",
    }
    if isinstance(trained.front_end, AudioFrontEnd):
        mel = mel_of(trained.front_end.rate, trained.front_end.bands)
        preprocessing["log_mel"] = {
            "rate": mel.rate,
            "bands": mel.bands,
            "window": mel.window,
            "hop": mel.hop,
            "size": mel.size,
            "lowest_frequency": LOWEST,
            "floor": FLOOR,
        }
    return Portable(trained.network, preprocessing, judge)
