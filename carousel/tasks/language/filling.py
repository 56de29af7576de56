"""Missing words: the likeliest words for each blank of a text."""

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from carousel.errors import DataError
from carousel.models import FillModel
from carousel.tasks.language.completing import Completion
from carousel.tasks.language.sampling import check_scores
from carousel.tasks.vocabulary import Vocabulary

BLANK = re.compile(r"__+")
SWEEPS = 20  # over several blanks, at most


@dataclass(frozen=True)
class Filled:
    """A text with blanks, and what may stand there.

    text: the text with the likeliest word in each blank. blanks: for each blank the likeliest words with their
    probabilities, likeliest first. unknown: words of the text that the model does not know; it reads each as "some
    word".
    """

    text: str
    blanks: tuple[tuple[Completion, ...], ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class _Parsed:
    """symbols: those of a text, 0 for now in each blank. at: the places of the blanks. spaced: of each blank, whether a
    space stands before it; None at the beginning of the text, where a word may be known with and without one."""

    symbols: list[int]
    at: list[int]
    spaced: list[bool | None]
    unknown: list[str]


@torch.inference_mode()
def fill(network: FillModel, vocabulary: Vocabulary, text: str, *, count: int) -> Filled:
    """The `count` likeliest words for each blank of a text, which is two underscores or more: "He is ___ today."

    The probabilities of a blank are those of the words that can stand there, by the spaces around it; words beyond the
    vocabulary are left out. Of several blanks each is judged with the likeliest words in the others: all begin as
    unknown words, and the likeliest word is put into one after the other, again and again, until none changes.

    Raises DataError for a text without a blank. The network should be in eval mode.
    """
    parsed = _parse(text, vocabulary)
    device = next(network.parameters()).device
    symbols = torch.tensor(parsed.symbols, device=device).unsqueeze(1)
    allowed = [_allowed(vocabulary, spaced).to(device) for spaced in parsed.spaced]
    for _ in range(SWEEPS if len(parsed.at) > 1 else 1):
        before = symbols.clone()
        for at, candidates in zip(parsed.at, allowed, strict=True):
            symbols[at, 0] = _logs(network, symbols, at, candidates).argmax()
        if torch.equal(before, symbols):
            break
    blanks = tuple(
        _likeliest(_logs(network, symbols, at, candidates), vocabulary, count)
        for at, candidates in zip(parsed.at, allowed, strict=True)
    )
    words = iter(blank[0].text for blank in blanks)
    return Filled(BLANK.sub(lambda _: next(words), text), blanks, tuple(parsed.unknown))


def _parse(text: str, vocabulary: Vocabulary) -> _Parsed:
    if not isinstance(text, str):
        raise DataError(f"A text with blanks is a str, not {type(text).__name__}.")
    parts = BLANK.split(text)
    if len(parts) < 2:
        raise DataError(
            f"There is no blank in {text!r:.60}: write two underscores or more where a word is missing, as in "
            f'"He is ___ because he wins".'
        )
    parsed = _Parsed([], [], [], [])
    for number, part in enumerate(parts):
        if number:
            begins = not parsed.symbols and not parts[0].strip()
            parsed.at.append(len(parsed.symbols))
            parsed.spaced.append(None if begins else parts[number - 1].endswith(" "))
            parsed.symbols.append(vocabulary.unknown or 0)
        if number < len(parts) - 1 and part.endswith(" "):
            part = part[:-1]  # the space belongs to the word in the blank
        if not parsed.symbols:
            part = _begun(part, vocabulary)
        parsed.symbols.extend(vocabulary.encode(part).ids.tolist())
        parsed.unknown.extend(one.strip() for one in vocabulary.unknown_parts(part) if one.strip())
    return parsed


def _begun(part: str, vocabulary: Vocabulary) -> str:
    """The beginning of a text. Where its first word is known only with a space before it, it is read so."""
    bare, spaced = vocabulary.encode(part).ids, vocabulary.encode(" " + part).ids
    unknown = len(bare) == len(spaced) > 0 and bare[0] == vocabulary.unknown
    return " " + part if unknown and spaced[0] != vocabulary.unknown else part


def _allowed(vocabulary: Vocabulary, spaced: bool | None) -> Tensor:
    """Which symbols may stand in a blank, (symbols,) bool: words with or without a space before them."""
    texts = [vocabulary.decode([symbol]) for symbol in range(vocabulary.size)]
    allowed = [bool(text.strip()) and (spaced is None or text.startswith(" ") == spaced) for text in texts]
    if vocabulary.unknown is not None:
        allowed[vocabulary.unknown] = False
    if not any(allowed):  # as in a text whose every token has a space before it
        return _allowed(vocabulary, None)
    return torch.tensor(allowed)


def _logs(network: FillModel, symbols: Tensor, at: int, allowed: Tensor) -> Tensor:
    """ln P of each symbol at a at, (symbols,), among those that are allowed."""
    scores = network.scores(network.places(symbols)[at, 0]).double()
    check_scores(scores)
    return scores.masked_fill(~allowed, -torch.inf).log_softmax(0)


def _likeliest(logs: Tensor, vocabulary: Vocabulary, count: int) -> tuple[Completion, ...]:
    """The likeliest words. A word that is known with and without a space before it has the sum of both."""
    together: dict[str, float] = {}
    top = logs.topk(min(2 * count, len(logs)))
    for symbol, p in zip(top.indices.tolist(), top.values.exp().tolist(), strict=True):
        if p > 0:
            word = vocabulary.decode([symbol]).strip()
            together[word] = together.get(word, 0.0) + p
    return tuple(Completion(word, p) for word, p in sorted(together.items(), key=lambda pair: -pair[1])[:count])
