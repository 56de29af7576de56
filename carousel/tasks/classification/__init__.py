"""Classification of sequences: numbers over time, sounds, texts."""

from typing import TYPE_CHECKING

from carousel.lazy import importer
from carousel.tasks.classification.settings import Settings

if TYPE_CHECKING:
    from carousel.tasks.classification.metrics import Evaluation
    from carousel.tasks.classification.sequence_classifier import SequenceClassifier

__all__ = ["Evaluation", "SequenceClassifier", "Settings"]

__getattr__ = importer(
    __name__,
    {
        "Evaluation": "carousel.tasks.classification.metrics",
        "SequenceClassifier": "carousel.tasks.classification.sequence_classifier",
    },
)
