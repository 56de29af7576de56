"""Language: the next character, byte or word of a text."""

from typing import TYPE_CHECKING

from carousel.lazy import importer
from carousel.tasks.language.settings import Settings

if TYPE_CHECKING:
    from carousel.tasks.language.language_model import Evaluation, LanguageModel

__all__ = ["Evaluation", "LanguageModel", "Settings"]

__getattr__ = importer(
    __name__,
    {
        "Evaluation": "carousel.tasks.language.language_model",
        "LanguageModel": "carousel.tasks.language.language_model",
    },
)
