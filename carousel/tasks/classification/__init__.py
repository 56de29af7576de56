"""Classification of sequences: numbers over time, sounds, texts."""

from typing import TYPE_CHECKING

from carousel.lazy import importer
from carousel.tasks.classification.settings import Settings

if TYPE_CHECKING:
    from carousel.tasks.classification.sequence_classifier import SequenceClassifier
    from carousel.tasks.sequences.metrics import Evaluation

__all__ = ["Evaluation", "SequenceClassifier", "Settings"]

__getattr__ = importer(
    __name__,
    {
        "Evaluation": "carousel.tasks.sequences.metrics",
        "SequenceClassifier": "carousel.tasks.classification.sequence_classifier",
    },
)
