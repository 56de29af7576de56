from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import exp, log, sigmoid, softmax, tanh
from torch.nn.functional import softplus

from carousel.cells.cell import Cell
from carousel.cells.memory.ntm import _of_three
from carousel.cells.memory.parts import length, number_of, with_arguments
from carousel.cells.weights import Matrix, Vector

SMALL = 1e-6
MODES = ("backward", "forward", "content")


@dataclass(frozen=True)
class DNC(Cell):
    """Differentiable neural computer: a memory whose slots are allocated, freed, and read in the order of writing.

        i, f, o = sigmoid of, and g = tanh of, W x + b + U h + c + U_r r         (batch, hidden)
        c'  = f * c + i * g                             next cell state of the controller
        h'  = o * tanh(c')                              next state of the controller
        u'  = (u + w - u * w) * the product over the heads of (1 - sigmoid(free) * a0)     usage, (batch, slots)
        e_i = (1 - u'_i) * the product of u'_j over the slots j that are used less than i       free slots
        w'  = sigmoid(write) * (sigmoid(alloc) * e + (1 - sigmoid(alloc)) * content(M, k))      write weighting
        M'  = M * (1 - w' * sigmoid(W_e h' + b_e)) + w' * (W_v h' + b_v)     memory, (batch, slots, width)
        L'_ij = (1 - w'_i - w'_j) * L_ij + w'_i * p_j, and L'_ii = 0         j was written before i
        p'  = (1 - the sum of w') * p + w'              precedence, (batch, slots)
        a0' = m0 * (L' transposed, times a0) + m1 * (L' times a0) + m2 * content(M', k0)     of each head that reads
        r0' = the sum over the slots of a0' * M'        read, (batch, width)
        y'  = h' + W_r r0'                              output, (batch, hidden)
        content(M, k) = softmax over the slots of (1 + softplus(beta)) * cosine(M, k)
        k, beta, free, alloc, write and the modes m (a softmax of three) are affine in h'

    readers: how many heads read, from 1 on: r0, r1, ...; one head writes.
    Use: questions about what was told; graphs, and data structures. units={"slots": 64, "width": 16} of a layer.
    Reading: the product over less used slots is a sum of logarithms over all, without sorting; of slots that are used
    equally the first is freest, as a stable sort has it. Usages are moved from 0 by 1e-6, and lengths in the cosine
    too, as in the code of pytorch-dnc. The output is the controller's state plus what was read: O y of a linear O
    after the layer is the paper's output of both. The gradient of the usage is not cut; DeepMind's code cuts it at w.
    Fidelity: as described by the paper, with these small numbers.
    Source: Graves et al., "Hybrid computing using a neural network with dynamic external memory", Nature 538, 2016,
    Methods.
    """

    readers: int = 1

    gates = ("i", "f", "g", "o")

    def __post_init__(self) -> None:
        if not isinstance(self.readers, int) or self.readers < 1:
            raise ValueError(f"readers must be a whole number from 1 on, but {self.readers!r} was given")

    @property
    def reading(self) -> tuple[str, ...]:
        """The weightings of the heads that read."""
        return tuple(f"a{k}" for k in range(self.readers))

    @property
    def fed(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("h", *(f"r{k}" for k in range(self.readers)))

    @property
    def states(self) -> tuple[str, ...]:  # type: ignore[override]
        return ("y", "h", "c", *self.fed[1:], "M", "u", "p", "L", "w", *self.reading)

    @property
    def sizes(self) -> dict[str, str | tuple[str, str | int]]:
        memory: dict[str, Any] = {"M": ("slots", "width"), "L": ("slots", "slots")}
        return (
            memory | dict.fromkeys(self.fed[1:], "width") | dict.fromkeys(("u", "p", "w", *self.reading), ("slots", 1))
        )

    @property
    def units(self) -> dict[str, int]:
        return {"slots": 16, "width": 16}

    @property
    def vectors(self) -> dict[str, Vector]:
        return {"number": Vector(torch.arange, size="slots", learned=False)}

    @property
    def matrices(self) -> dict[str, Matrix | tuple[str, str]]:
        rows = ["key_w", "erase", "write", *(f"key_{head}" for head in self.reading)]
        numbers = ["strength_w", "write_gate", "allocation_gate"]
        for head in self.reading:
            numbers += [f"{number}_{head}" for number in ("strength", "free", *MODES)]
        found: dict[str, Matrix | tuple[str, str]] = {f"W_{row}": Matrix("width", "hidden", bias=True) for row in rows}
        found |= {f"W_{number}": Matrix("one", "hidden", bias=True) for number in numbers}
        return found | {f"W_{read}": ("hidden", "width") for read in self.fed[1:]}

    @property
    def step(self) -> Any:
        def step(c, M, u, p, L, w, i, f, g, o, number, **of):
            c = sigmoid(f) * c + sigmoid(i) * tanh(g)
            h = sigmoid(o) * tanh(c)
            u = u + w - u * w
            for head in self.reading:
                u = u * (1 - sigmoid(of[f"W_free_{head}"](h)) * of[head])
            key_w = of["W_key_w"](h)
            by_content = content(M, key_w, of["W_strength_w"](h))
            share = sigmoid(of["W_allocation_gate"](h))
            w = sigmoid(of["W_write_gate"](h)) * (share * free(u, number) + (1 - share) * by_content)
            M = M * (1 - w * sigmoid(of["W_erase"](h))) + w * of["W_write"](h)
            L = torch.where(number == number.mT, 0.0, (1 - w - w.mT) * L + w * p.mT)
            p = (1 - w.sum(-2)) * p + w
            weightings, y = [], h
            for head in self.reading:
                backward, forward, by = _of_three([of[f"W_{mode}_{head}"](h) for mode in MODES])
                key = of[f"W_key_{head}"](h)
                found = by * content(M, key, of[f"W_strength_{head}"](h))
                found = found + backward * (of[head] * L).sum(-2).mT + forward * number_of(L * of[head].mT)
                weightings.append(found)
            reads = [(a * M).sum(-2) for a in weightings]
            for read, r in zip(self.fed[1:], reads, strict=True):
                y = y + of[f"W_{read}"](r)
            return y, h, c, *reads, M, u, p, L, w, *weightings

        return with_arguments(step, (*"cMupLw", *self.gates, "number", *self.reading, *self.matrices))


def content(M: Any, key: Any, strength: Any) -> Any:
    """The weighting of the slots by how much they are like a key."""
    lengths = (length(M) + SMALL) * (length(key) + SMALL) + SMALL / key.shape[-1]
    return softmax((1 + softplus(strength)) * number_of(M * key) / lengths, -2)


def free(u: Any, number: Any) -> Any:
    """The allocation weighting: how free each slot is, of the usages u of the slots and their numbers."""
    v = SMALL + (1 - SMALL) * u
    other, mine, before = v.mT, v, (number < number.mT).float()  # other slots are units, each slot a member
    less = torch.where(other < mine, 1.0, torch.where(other == mine, before, 0.0))
    return (1 - v) * exp(number_of(less * log(other)))


CATALOGUE = {"dnc": DNC()}
