"""Pairs: a text from another text, such as its translation."""

from typing import TYPE_CHECKING

from carousel.lazy import importer
from carousel.tasks.pairs.settings import Settings

if TYPE_CHECKING:
    from carousel.tasks.pairs.evaluation import Evaluation
    from carousel.tasks.pairs.trained import Written
    from carousel.tasks.pairs.translator import Translator

__all__ = ["Evaluation", "Settings", "Translator", "Written"]

__getattr__ = importer(
    __name__,
    {
        "Evaluation": "carousel.tasks.pairs.evaluation",
        "Translator": "carousel.tasks.pairs.translator",
        "Written": "carousel.tasks.pairs.trained",
    },
)
