"""Tagging: a tag at every step of a sequence, as the part of speech of each word of a sentence."""

from typing import TYPE_CHECKING

from carousel.lazy import importer
from carousel.tasks.tagging.settings import Settings

if TYPE_CHECKING:
    from carousel.tasks.tagging.scoring import Evaluation
    from carousel.tasks.tagging.tagger import Tagger

__all__ = ["Evaluation", "Settings", "Tagger"]

__getattr__ = importer(
    __name__,
    {
        "Evaluation": "carousel.tasks.tagging.scoring",
        "Tagger": "carousel.tasks.tagging.tagger",
    },
)
