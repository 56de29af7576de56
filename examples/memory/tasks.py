"""Four tasks that need a memory, as of the neural Turing machine: copy, repeat copy, associative recall, priority sort.

Each function makes a batch of `count` sequences: inputs (T, count, I), and targets (T, count, O) with NaN at steps of
which nothing is asked. Rows of bits are followed by what marks their end, and the answer is asked for after it.
Source: Graves, Wayne & Danihelka, "Neural Turing machines" (arXiv:1410.5401, 2014), sections 4.1, 4.2, 4.3 and 4.5.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Generator, Tensor

BITS = 8


def copy(random: Generator, count: int, longest: int = 20, length: int | None = None) -> tuple[Tensor, Tensor]:
    """1 to `longest` rows of bits, all of which are to be written again. length: how many, if it is not drawn."""
    length = length or int(torch.randint(1, longest + 1, (), generator=random))
    rows = torch.randint(2, (length, count, BITS), generator=random).float()
    return _asked(rows, torch.ones(1, count, 1), rows)


def repeat_copy(random: Generator, count: int, longest: int = 10) -> tuple[Tensor, Tensor]:
    """Rows of bits, and how often they are to be written: the number stands where the end is marked, divided by 10."""
    length, times = torch.randint(1, longest + 1, (2,), generator=random).tolist()
    rows = torch.randint(2, (length, count, BITS), generator=random).float()
    return _asked(rows, torch.full((1, count, 1), times / 10), rows.repeat(times, 1, 1))


def associative_recall(random: Generator, count: int, most: int = 6) -> tuple[Tensor, Tensor]:
    """Items of three rows, each after a mark; then one of them again, and the item that came after it is asked for."""
    items = int(torch.randint(2, most + 1, (), generator=random))
    rows = torch.randint(2, (items, 3, count, BITS), generator=random).float()
    which = torch.randint(items - 1, (count,), generator=random)
    each = torch.arange(count)
    shown = torch.cat([rows, rows[which, :, each].transpose(0, 1)[None]])
    marked = torch.zeros(items + 1, 4, count, BITS + 1)
    marked[:, 0, :, BITS] = 1.0
    marked[:, 1:, :, :BITS] = shown
    flat = marked.flatten(0, 1)
    return _asked(flat[..., :BITS], torch.ones(1, count, 1), rows[which + 1, :, each].transpose(0, 1), flat[..., BITS:])


def priority_sort(random: Generator, count: int, rows: int = 10, asked: int = 8) -> tuple[Tensor, Tensor]:
    """Rows of bits, each with a priority from -1 to 1; those of the highest are asked for, in their order."""
    bits = torch.randint(2, (rows, count, BITS), generator=random).float()
    priority = 2 * torch.rand(rows, count, 1, generator=random) - 1
    order = priority.expand_as(bits).argsort(0, descending=True)
    return _asked(bits, torch.ones(1, count, 1), bits.gather(0, order)[:asked], priority)


def _asked(rows: Tensor, mark: Tensor, answer: Tensor, beside: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Inputs and targets: rows, with a column beside them; a step that marks their end; then answers are due."""
    shown, asked = len(rows), len(answer)
    x = torch.zeros(shown + 1 + asked, rows.shape[1], BITS + 2)
    x[:shown, :, :BITS] = rows
    if beside is not None:
        x[:shown, :, BITS : BITS + 1] = beside
    x[shown, :, BITS + 1 :] = mark
    y = torch.full((len(x), rows.shape[1], BITS), torch.nan)
    y[shown + 1 :] = answer
    return x, y


TASKS: dict[str, Callable[..., tuple[Tensor, Tensor]]] = {
    "copy": copy,
    "repeat-copy": repeat_copy,
    "recall": associative_recall,
    "sort": priority_sort,
}
