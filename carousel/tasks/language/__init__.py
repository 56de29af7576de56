"""Language: predicting the next character, byte or word of a text."""

from carousel.tasks.language.language_model import Evaluation, LanguageModel
from carousel.tasks.language.settings import Settings

__all__ = ["Evaluation", "LanguageModel", "Settings"]
