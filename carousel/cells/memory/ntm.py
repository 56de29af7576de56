from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import exp, log, maximum, sigmoid, softmax, tanh
from torch.nn.functional import softplus

from carousel.cells.cell import Cell
from carousel.cells.memory.parts import first_slot, length, number_of, with_arguments
from carousel.cells.weights import Matrix

SHIFTS = ("back", "stay", "ahead")
NUMBERS = ("strength", "gate", *SHIFTS, "sharp")


@dataclass(frozen=True)
class NTM(Cell):
    """Neural Turing machine: an LSTM that reads and writes a memory by heads, each with a weighting over its slots.

        i, f, o = sigmoid of, and g = tanh of, W x + b + U h + c + U_r r         (batch, hidden)
        c'  = f * c + i * g                             next cell state of the controller
        h'  = o * tanh(c')                              next state of the controller
        of each head, a0 that reads and b0 that writes:
        k   = W_k h' + b_k                              key, (batch, width)
        w   = softmax over the slots of softplus(beta) * cosine(M, k)     by content
        w   = sigmoid(g) * w + (1 - sigmoid(g)) * a0    or the weighting of the step before
        w   = s0 * (w, one slot ahead) + s1 * w + s2 * (w, one slot back)     shifted; s = softmax of three numbers
        a0' = w^(1 + softplus(gamma)) / its sum         sharpened; b0' likewise
        r0' = the sum over the slots of a0' * M         read, (batch, width)
        M'  = M * (1 - b0' * sigmoid(W_e h' + b_e)) + b0' * (W_v h' + b_v)      written, (batch, slots, width)
        y'  = h' + W_r r0'                              output, (batch, hidden)

    heads_each: how many heads read, and how many write, from 1 on: r0, r1, ...; several erase together, then add.
    Use: algorithms on sequences: copying, sorting, recalling. Call a layer with units={"slots": 128, "width": 20}.
    Reading: all heads address the memory as it was before the step, and read it before it is written. The output is
    the controller's state plus what was read: O y of a linear O after the layer is the paper's output of both. The
    memory begins as 1e-6, as of Collier & Beel (arXiv:1807.08518, 2018), who found that it makes training converge;
    heads begin at the first slot, since of equal slots no head could choose one.
    Fidelity: as described by the paper, which gives no equations of the controller; its addressing is equations 5 to 9
    with shifts by one slot at most, and equations 2 to 4.
    Source: Graves, Wayne & Danihelka, "Neural Turing machines" (arXiv:1410.5401, 2014), equations 2 to 9.
    """

    heads_each: int = 1

    gates = ("i", "f", "g", "o")

    def __post_init__(self) -> None:
        if not isinstance(self.heads_each, int) or self.heads_each < 1:
            raise ValueError(f"heads_each must be a whole number from 1 on, but {self.heads_each!r} was given")

    @property
    def reading(self) -> tuple[str, ...]:
        """The weightings of the heads that read."""
        return tuple(f"a{k}" for k in range(self.heads_each))

    @property
    def writing(self) -> tuple[str, ...]:
        """The weightings of the heads that write."""
        return tuple(f"b{k}" for k in range(self.heads_each))

    @property
    def fed(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("h", *(f"r{k}" for k in range(self.heads_each)))

    @property
    def states(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("y", "h", "c", *self.fed[1:], "M", *self.reading, *self.writing)

    @property
    def sizes(self) -> dict[str, str | tuple[str, str | int]]:
        weightings = dict.fromkeys((*self.reading, *self.writing), ("slots", 1))
        return {"M": ("slots", "width"), **dict.fromkeys(self.fed[1:], "width"), **weightings}

    @property
    def units(self) -> dict[str, int]:
        return {"slots": 32, "width": 16}

    @property
    def initial(self) -> dict[str, Any]:
        return {"M": 1e-6, **dict.fromkeys((*self.reading, *self.writing), first_slot)}

    @property
    def matrices(self) -> dict[str, Matrix | tuple[str, str]]:
        found: dict[str, Matrix | tuple[str, str]] = {}
        for head in (*self.reading, *self.writing):
            found[f"W_key_{head}"] = Matrix("width", "hidden", bias=True)
            found |= {f"W_{number}_{head}": Matrix("one", "hidden", bias=True) for number in NUMBERS}
        for head in self.writing:
            found |= {f"W_{what}_{head}": Matrix("width", "hidden", bias=True) for what in ("erase", "add")}
        return found | {f"W_{read}": ("hidden", "width") for read in self.fed[1:]}

    @property
    def step(self) -> Any:
        def step(c, M, i, f, g, o, **of):
            c = sigmoid(f) * c + sigmoid(i) * tanh(g)
            h = sigmoid(o) * tanh(c)
            weightings = [address(M, of[head], *_interface(of, head, h)) for head in (*self.reading, *self.writing)]
            reads = [(a * M).sum(-2) for a in weightings[: self.heads_each]]
            kept, added = 1.0, 0.0
            for head, b in zip(self.writing, weightings[self.heads_each :], strict=True):
                kept = kept * (1 - b * sigmoid(of[f"W_erase_{head}"](h)))
                added = added + b * of[f"W_add_{head}"](h)
            y = h
            for read, r in zip(self.fed[1:], reads, strict=True):
                y = y + of[f"W_{read}"](r)
            return y, h, c, *reads, M * kept + added, *weightings

        names = ("c", "M", *self.gates, *self.reading, *self.writing, *self.matrices)
        return with_arguments(step, names)


def _interface(of: Mapping[str, Any], head: str, h: Any) -> tuple[Any, ...]:
    """Of one head: its key, strength, gate, shifts and sharpness."""

    def row(name: str) -> Any:
        return of[f"W_{name}_{head}"](h)

    key, strength, gate, sharpness = row("key"), softplus(row("strength")), sigmoid(row("gate")), softplus(row("sharp"))
    return key, strength, gate, _of_three([row(name) for name in SHIFTS]), 1 + sharpness


def _of_three(numbers: list[Any]) -> list[Any]:
    """The softmax of three numbers of a row."""
    most = maximum(maximum(numbers[0], numbers[1]), numbers[2]).detach()
    powers = [exp(number - most) for number in numbers]
    return [power / (powers[0] + powers[1] + powers[2]) for power in powers]


def address(M: Any, w: Any, key: Any, strength: Any, gate: Any, shifts: list[Any], sharpness: Any) -> Any:
    """The next weighting of a head over the slots of the memory M, equations 5 to 9. w: its weighting before."""
    similarity = number_of(M * key) / maximum(length(M) * length(key), torch.full_like(strength, 1e-8))
    content = softmax(strength * similarity, -2)
    w = gate * content + (1 - gate) * w
    back, stay, ahead = shifts
    w = ahead * torch.roll(w, 1, -2) + stay * w + back * torch.roll(w, -1, -2)
    w = exp(sharpness * log(w + 1e-16))
    return w / (w.sum(-2) + 1e-16)


CATALOGUE = {"ntm": NTM()}
