"""Pairs: a text from a source: the translation of a text, the caption of an image, the words of a sound."""

from typing import TYPE_CHECKING

from carousel.lazy import importer
from carousel.tasks.pairs.settings import Settings

if TYPE_CHECKING:
    from carousel.tasks.pairs.captioner import Captioner, SeriesCaptioner
    from carousel.tasks.pairs.evaluation import Evaluation
    from carousel.tasks.pairs.transcriber import Spoken, Transcriber, TranscriptStream
    from carousel.tasks.pairs.translator import Translator
    from carousel.tasks.pairs.written import Written

__all__ = [
    "Captioner",
    "Evaluation",
    "SeriesCaptioner",
    "Settings",
    "Spoken",
    "Transcriber",
    "TranscriptStream",
    "Translator",
    "Written",
]

__getattr__ = importer(
    __name__,
    {
        "Captioner": "carousel.tasks.pairs.captioner",
        "Evaluation": "carousel.tasks.pairs.evaluation",
        "SeriesCaptioner": "carousel.tasks.pairs.captioner",
        "Spoken": "carousel.tasks.pairs.transcriber",
        "Transcriber": "carousel.tasks.pairs.transcriber",
        "TranscriptStream": "carousel.tasks.pairs.transcriber",
        "Translator": "carousel.tasks.pairs.translator",
        "Written": "carousel.tasks.pairs.written",
    },
)
