"""Classification of sequences: numbers over time, sounds, texts."""

from carousel.tasks.classification.metrics import Evaluation
from carousel.tasks.classification.sequence_classifier import SequenceClassifier
from carousel.tasks.classification.settings import Settings

__all__ = ["Evaluation", "SequenceClassifier", "Settings"]
