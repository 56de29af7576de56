"""Trees: the label of a tree, or of each of its nodes, as the sentiment of a sentence and of its phrases."""

from typing import TYPE_CHECKING

from carousel.lazy import importer
from carousel.tasks.trees.settings import Settings

if TYPE_CHECKING:
    from carousel.tasks.trees.scores import TreeEvaluation
    from carousel.tasks.trees.tree_classifier import TreeClassifier

__all__ = ["Settings", "TreeClassifier", "TreeEvaluation"]

__getattr__ = importer(
    __name__,
    {
        "TreeClassifier": "carousel.tasks.trees.tree_classifier",
        "TreeEvaluation": "carousel.tasks.trees.scores",
    },
)
