"""A language model reading a text: the steps that the page shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from carousel.models import TokenModel
from carousel.page.moments import Steps
from carousel.page.scans import scans
from carousel.tasks.language.vocabulary import Vocabulary

LIKELY = 8  # next symbols shown after each step


@torch.no_grad()
def read_steps(
    network: TokenModel,
    vocabulary: Vocabulary,
    ids: np.ndarray,
    pieces: Sequence[str],
    starts: np.ndarray,
    hx: tuple[Tensor, ...] | None = None,
) -> tuple[Steps, tuple[Tensor, ...]]:
    """What the network does with these symbols, and its states after every step, (T, L, H) each.

    pieces: what each symbol is in the text. hx: the states to go on from.
    """
    layer = network.recurrent
    symbols = torch.from_numpy(ids).to(network.head.weight.device)
    told, output, after = scans(layer, network.embedding(symbols), hx or layer.fresh_states(1), ids)
    logs = network.head(output).log_softmax(-1).float().cpu()
    top = logs.topk(min(LIKELY, logs.shape[1]))
    came = torch.from_numpy(ids[1:]).unsqueeze(1)
    of_next = logs[:-1].gather(1, came)
    surprise = np.append(-of_next[:, 0].numpy(), np.nan)
    rank = np.append((logs[:-1] > of_next).sum(1).numpy() + 1, 0)
    names = _Names()
    read = np.array([names.place(piece) for piece in pieces])
    likely = np.array([[names.place(symbol_text(vocabulary, i)) for i in row] for row in top.indices.tolist()])
    steps = Steps(names.texts, read, starts, likely, top.values.exp().numpy(), surprise, rank, told)
    return steps, after


def pieces_of(vocabulary: Vocabulary, text: str) -> tuple[np.ndarray, list[str], np.ndarray]:
    """The symbols of a text, what each is in it, and the place of each one's first character.

    A byte that only goes on with a character another byte began is shown by its number, at that character's place.
    """
    ids, lengths = vocabulary.encode(text)
    starts = np.cumsum(lengths) - lengths
    if vocabulary.level == "byte":
        starts = np.maximum(np.cumsum(lengths) - 1, 0)
        return ids, [symbol_text(vocabulary, i) for i in ids.tolist()], starts
    ends = starts + lengths
    return ids, [text[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)], starts


def symbol_text(vocabulary: Vocabulary, symbol: int) -> str:
    """A symbol by itself, as text; half characters and the unknown by a name in brackets."""
    if symbol == vocabulary.unknown:
        return "⟨unknown⟩"
    if vocabulary.level == "byte" and symbol > 127:
        return f"⟨{symbol:02x}⟩"
    return vocabulary.decode([symbol])


class _Names:
    """Texts, each once."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        if text not in self._places:
            self._places[text] = len(self.texts)
            self.texts.append(text)
        return self._places[text]


def states_of(hx: Any) -> tuple[Tensor, ...]:
    """The layer's hx as a tuple, whether the cell has one state or several."""
    return hx if isinstance(hx, tuple) else (hx,)
