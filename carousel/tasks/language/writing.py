"""Writing on: a model's own text, symbol by symbol."""

from collections.abc import Iterator
from typing import Any

import torch

from carousel.errors import DataError, option
from carousel.models import TokenModel
from carousel.tasks.language.sampling import Sampling
from carousel.tasks.language.settings import WORDS
from carousel.tasks.vocabulary import Vocabulary


def prompt_ids(prompt: str, vocabulary: Vocabulary) -> list[int]:
    """The symbols of a prompt; of a line break when it is empty, as a text begins after one.

    Raises DataError where the prompt is no text or has a character that the model has never seen. Unknown words are
    let through, as the symbol for unknown words: a model of words has met many of those.
    """
    if not isinstance(prompt, str):
        raise DataError(f"A prompt is a text (empty to begin with nothing), not {type(prompt).__name__}.")
    if vocabulary.level in WORDS:
        prompt = prompt.rstrip(" ")  # the space before a word belongs to the word that will follow
    elif strange := vocabulary.unknown_parts(prompt):
        known = vocabulary.to_json()["characters"]
        raise DataError(
            f"The prompt holds {'a character' if len(strange) == 1 else f'{len(strange)} characters'} that this model "
            f"has never seen: {' '.join(map(repr, strange[:10]))}. It knows {len(known)}: {shortened(known)!r}. "
            f"Leave them out, or train on a text that has them (a model of bytes, {option('level', 'byte')}, knows "
            f"every character)."
        )
    ids = vocabulary.encode(prompt).ids.tolist()
    if ids:
        return ids
    start = vocabulary.encode("\n").ids.tolist()
    return [start[0] if start[0] != vocabulary.unknown else min(1, vocabulary.size - 1)]


def shortened(text: str, limit: int = 120) -> str:
    return text if len(text) <= limit else text[:limit] + "…"


def read(network: TokenModel, ids: list[int]) -> tuple[torch.Tensor, Any]:
    """Scores of what may follow these symbols, (symbols,), and the state after them."""
    device = next(network.parameters()).device
    scores, state = network(torch.tensor(ids, device=device).unsqueeze(1))
    return scores[-1, 0], state


def write(
    network: TokenModel, vocabulary: Vocabulary, prompt: str, *, length: int, sampling: Sampling, seed: int
) -> Iterator[str]:
    """`length` further symbols after a prompt, as pieces of text, each as soon as it is whole.

    The state is carried from symbol to symbol, so each costs the same, however long the text. The symbol for
    the unknown is never written. The network should be in eval mode.
    """
    ids = prompt_ids(prompt, vocabulary)
    generator = torch.Generator(device="cpu").manual_seed(seed)
    decoder = vocabulary.decoder()
    with torch.inference_mode():
        scores, state = read(network, ids)
        step = network.stepper(state)
    for _ in range(length):
        # Inside the loop, not around it: a generator must not leave the mode on in the code that reads from it.
        with torch.inference_mode():
            scores = scores.float().cpu()
            if vocabulary.unknown is not None:
                scores[vocabulary.unknown] = -torch.inf
            symbol = sampling.choose(scores, generator)
            scores = step(symbol)
        if piece := decoder.push(symbol):
            yield piece
    if rest := decoder.flush():
        yield rest
