"""How good written texts are: BLEU, chrF, the share that is right as a whole, and how many words are wrong."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from carousel.errors import CarouselError

BLEU_WAS_MADE_FOR = 2  # words of a text on average; of shorter ones it says nothing
LONGEST_COUNTED = 4  # words: BLEU counts groups of up to so many, and is 0 where no text has one


@dataclass(frozen=True)
class TextScores:
    """bleu, chrf: from 0 to 100, by sacrebleu in its default forms (cased, tokenizer 13a; chrF2); None without that
    package, and bleu also for texts of fewer than two words on average, or none of which has four: of those it says
    nothing. exact: the share of texts that are right as a whole. count: of texts. word_errors: the word error rate, the
    words to insert, delete and replace in what was written, per word of the targets; it may be above 1.
    character_errors: the same of characters.
    """

    bleu: float | None
    chrf: float | None
    exact: float
    count: int
    word_errors: float = float("nan")
    character_errors: float = float("nan")

    @property
    def words(self) -> str:
        """In words: "BLEU 25.1, chrF 44.2, 12.0% right as a whole, word error rate 40.0%, character error rate 21%"."""
        both = (("BLEU", self.bleu), ("chrF", self.chrf))
        figures = [f"{name} {figure:.1f}" for name, figure in both if figure is not None]
        errors = f"word error rate {self.word_errors:.1%}, character error rate {self.character_errors:.1%}"
        return ", ".join([*figures, f"{self.exact:.1%} right as a whole", errors])


def scores(written: Sequence[str], targets: Sequence[str]) -> TextScores:
    """Compares written texts with the targets."""
    right = sum(one.split() == other.split() for one, other in zip(written, targets, strict=True))
    exact = right / max(1, len(targets))
    words = error_rate([one.split() for one in written], [one.split() for one in targets])
    wrong = words, error_rate(written, targets)
    package = sacrebleu()
    if package is None or not targets:
        return TextScores(None, None, exact, len(targets), *wrong)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        bleu = package.corpus_bleu(list(written), [list(targets)]).score
        chrf = package.corpus_chrf(list(written), [list(targets)]).score
    lengths = [len(text.split()) for text in targets]
    long_enough = sum(lengths) >= BLEU_WAS_MADE_FOR * len(targets) and max(lengths) >= LONGEST_COUNTED
    return TextScores(float(bleu) if long_enough else None, float(chrf), exact, len(targets), *wrong)


def error_rate(written: Sequence[Sequence[str]], targets: Sequence[Sequence[str]]) -> float:
    """The sum of `edits` over all texts, per symbol of the targets: of words, the word error rate."""
    wrong = sum(edits(one, other) for one, other in zip(written, targets, strict=True))
    return wrong / max(1, sum(map(len, targets)))


def edits(one: Sequence[str], other: Sequence[str]) -> int:
    """The fewest symbols to insert, delete and replace that make one sequence the other (Levenshtein 1966)."""
    numbers = {symbol: number for number, symbol in enumerate(dict.fromkeys([*one, *other]))}
    wanted = np.array([numbers[symbol] for symbol in other], np.int64)
    columns = np.arange(len(other) + 1)
    row = columns
    for n, symbol in enumerate(one, start=1):
        without = np.minimum(row[1:] + 1, row[:-1] + (wanted != numbers[symbol]))
        # Symbols may also be left out of `other`: row[k] is the minimum over j <= k of without[j] + k - j.
        row = np.minimum.accumulate(np.concatenate([[n], without]) - columns) + columns
    return int(row[-1])


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
