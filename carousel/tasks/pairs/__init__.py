"""Pairs: a text from a source: the translation of a text, the caption of an image."""

from typing import TYPE_CHECKING

from carousel.lazy import importer
from carousel.tasks.pairs.settings import Settings

if TYPE_CHECKING:
    from carousel.tasks.pairs.captioner import Captioner
    from carousel.tasks.pairs.evaluation import Evaluation
    from carousel.tasks.pairs.trained import Written
    from carousel.tasks.pairs.translator import Translator

__all__ = ["Captioner", "Evaluation", "Settings", "Translator", "Written"]

__getattr__ = importer(
    __name__,
    {
        "Captioner": "carousel.tasks.pairs.captioner",
        "Evaluation": "carousel.tasks.pairs.evaluation",
        "Translator": "carousel.tasks.pairs.translator",
        "Written": "carousel.tasks.pairs.trained",
    },
)
