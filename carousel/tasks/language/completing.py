"""The likeliest ways to go on."""

from typing import Any, NamedTuple

import torch
from torch import nn

from carousel.tasks.language.sampling import check_scores
from carousel.tasks.language.settings import WORDS
from carousel.tasks.language.writing import prompt_ids
from carousel.tasks.vocabulary import ByteVocabulary, Vocabulary

BEAM = 48  # prefixes of words followed at once
LONGEST = 24  # symbols in a word


class Completion(NamedTuple):
    text: str
    probability: float


class Prefix(NamedTuple):
    ids: tuple[int, ...]
    log_probability: float
    in_word: bool  # whether a word has begun, as opposed to spaces before it


@torch.inference_mode()
def complete(network: nn.Module, vocabulary: Vocabulary, prompt: str, *, count: int) -> list[Completion]:
    """The `count` likeliest continuations of a prompt, likeliest first: the next word, or the rest of this one.

    At the word level a continuation is one token. At the char and byte levels it is searched for symbol by symbol,
    keeping the likeliest `BEAM` prefixes: spaces, then letters, until the model ends the word. Its probability
    is that of those symbols and of the word ending there; a mark of punctuation is a continuation by itself.
    Whether a prompt that ends in a letter ends a word, or breaks off within one, is what the model finds likelier:
    "in the" asks for the next word, "the clou" for the rest of this one.
    """
    ids = prompt_ids(prompt, vocabulary)
    device = next(network.parameters()).device
    scores, state = network(torch.tensor(ids, device=device).unsqueeze(1))
    logs = _log_probabilities(scores[-1], vocabulary)
    if vocabulary.level in WORDS:
        top = logs[0].topk(min(count, vocabulary.size))
        return [
            Completion(vocabulary.decode([symbol]), probability)
            for symbol, probability in zip(top.indices.tolist(), top.values.exp().tolist(), strict=True)
        ]
    letters, spaces = _kinds(vocabulary)
    if letters[ids[-1]]:
        goes_on = logs[0, letters].exp().sum() > 0.5
        logs[0, ~letters if goes_on else letters] = -torch.inf
    found: list[Completion] = []
    prefixes = [Prefix((), 0.0, in_word=False)]
    for _ in range(LONGEST):
        candidates: list[tuple[float, int, int]] = []  # log probability, row of the prefix, next symbol
        for row, prefix in enumerate(prefixes):
            ends = logs[row, ~letters].exp().sum().item()
            if prefix.in_word:
                text = vocabulary.decode(prefix.ids)
                found.append(Completion(text, ends * torch.tensor(prefix.log_probability).exp().item()))
            for symbol in logs[row].topk(min(BEAM, vocabulary.size)).indices.tolist():
                log = prefix.log_probability + logs[row, symbol].item()
                if log == -torch.inf:
                    continue
                if letters[symbol] or (spaces[symbol] and not prefix.in_word):
                    candidates.append((log, row, symbol))
                elif not prefix.in_word:
                    text = vocabulary.decode((*prefix.ids, symbol))
                    found.append(Completion(text, torch.tensor(log).exp().item()))
        candidates = sorted(candidates, reverse=True)[:BEAM]
        best = sorted((completion.probability for completion in found), reverse=True)[count - 1 : count]
        if not candidates or (best and best[0] > torch.tensor(candidates[0][0]).exp().item()):
            break  # no longer word can be likelier than what has been found
        rows = [row for _, row, _ in candidates]
        state = _take(state, torch.tensor(rows, device=device))
        symbols = torch.tensor([symbol for *_, symbol in candidates], device=device)
        scores, state = network(symbols.unsqueeze(0), state)
        logs = _log_probabilities(scores[0], vocabulary)
        prefixes = [
            Prefix((*prefixes[row].ids, symbol), log, prefixes[row].in_word or bool(letters[symbol]))
            for log, row, symbol in candidates
        ]
    return sorted(found, key=lambda completion: -completion.probability)[:count]


def _log_probabilities(scores: torch.Tensor, vocabulary: Vocabulary) -> torch.Tensor:
    """The logarithms of the probabilities of the next symbol, (rows, symbols), where the unknown symbol has probability
    0.
    """
    scores = scores.double().cpu()
    check_scores(scores)
    if vocabulary.unknown is not None:
        scores[:, vocabulary.unknown] = -torch.inf
    return scores.log_softmax(-1)


def _kinds(vocabulary: Vocabulary) -> tuple[torch.Tensor, torch.Tensor]:
    """Which symbols are letters of a word, and which are white space. Bytes beyond ASCII count as letters."""
    if isinstance(vocabulary, ByteVocabulary):
        texts = [chr(byte) if byte < 128 else "x" for byte in range(256)]
    else:
        texts = [vocabulary.decode([symbol]) for symbol in range(vocabulary.size)]
    letters = [text.isalnum() or text in "'’_" for text in texts]
    return torch.tensor(letters), torch.tensor([text.isspace() for text in texts])


def _take(state: Any, rows: torch.Tensor) -> Any:
    """The state of these rows of the batch; states are (layers, batch, ...)."""
    if isinstance(state, torch.Tensor):
        return state.index_select(1, rows)
    return tuple(_take(part, rows) for part in state)
