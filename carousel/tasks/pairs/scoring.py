"""How good written texts are: BLEU, chrF, and the share that is right as a whole."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from carousel.errors import CarouselError

BLEU_WAS_MADE_FOR = 2  # words of a text on average; of shorter ones BLEU says nothing, and counts whole ones


@dataclass(frozen=True)
class TextScores:
    """bleu, chrf: from 0 to 100, by sacrebleu in its default forms (cased, tokenizer 13a; chrF2); None without that
    package. exact: the share of texts that are right as a whole. count: of texts."""

    bleu: float | None
    chrf: float | None
    exact: float
    count: int

    @property
    def words(self) -> str:
        """In words: "BLEU 25.1, chrF 44.2, 12.0 % right as a whole"."""
        figures = [] if self.bleu is None else [f"BLEU {self.bleu:.1f}", f"chrF {self.chrf:.1f}"]
        return ", ".join([*figures, f"{self.exact:.1%} right as a whole"])


def scores(written: Sequence[str], targets: Sequence[str]) -> TextScores:
    """Compares written texts with the targets."""
    right = sum(one.split() == other.split() for one, other in zip(written, targets, strict=True))
    exact = right / max(1, len(targets))
    package = sacrebleu()
    if package is None or not targets:
        return TextScores(None, None, exact, len(targets))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bleu = package.corpus_bleu(list(written), [list(targets)]).score
        chrf = package.corpus_chrf(list(written), [list(targets)]).score
    return TextScores(float(bleu), float(chrf), exact, len(targets))


def sacrebleu() -> Any:
    """The package, or None where it is not installed."""
    try:
        import sacrebleu as package
    except ImportError:
        return None
    return package


def require_sacrebleu() -> None:
    """Raises CarouselError where BLEU cannot be measured."""
    if sacrebleu() is None:
        raise CarouselError(
            "BLEU is measured by the package sacrebleu, which is not installed: pip install 'carousel-rnn[text]'."
        )
