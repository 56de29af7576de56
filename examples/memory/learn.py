"""A cell with a memory learns an algorithm from examples, and its heads are drawn.

    python examples/memory/learn.py copy --cell ntm --sequences 30000 --out copy.png

It prints the loss in bits a sequence, as the paper does: the cross-entropy of all bits that were asked for. For copy it
also prints the share of right bits at lengths that were never trained. Copy takes about a minute of one core on the
native engine; the documentation says what other seeds come to.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

import torch
from tasks import BITS, TASKS
from torch import Tensor, nn
from torch.nn import functional as F

import carousel

UNITS = {"ntm": {"slots": 128, "width": 20}, "dnc": {"slots": 32, "width": 20}}


class Network(nn.Module):
    """A cell over the sequence, and a linear map to the logits of the bits."""

    def __init__(self, cell: str, hidden: int = 100):
        super().__init__()
        self.memory = carousel.Recurrent(cell, BITS + 2, hidden, units=UNITS.get(cell))
        self.head = nn.Linear(hidden, BITS)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.memory(x)[0])


def bits(logits: Tensor, y: Tensor) -> Tensor:
    """The loss in bits a sequence, where something is asked for."""
    asked = ~y.isnan()
    return F.binary_cross_entropy_with_logits(logits[asked], y[asked], reduction="sum") / math.log(2) / y.shape[1]


def right(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """The share of the asked bits that are right."""
    with torch.no_grad():
        asked = ~y.isnan()
        return float(((network(x)[asked] > 0) == (y[asked] > 0.5)).float().mean())


def train(task: str, cell: str, sequences: int, batch: int, seed: int, rate: float, say=print) -> Network:
    """A network that has learned from so many sequences, `batch` at a time. rate: the learning rate of AMSGrad."""
    torch.manual_seed(seed)
    random = torch.Generator().manual_seed(seed)
    network = Network(cell)
    # AMSGrad: once the loss is nearly 0, Adam's steps divide by gradients that are nearly 0, and one jump loses all.
    optimizer = torch.optim.Adam(network.parameters(), lr=rate, amsgrad=True)
    losses: list[float] = []
    begun = time.monotonic()
    for seen in range(batch, sequences + 1, batch):
        x, y = TASKS[task](random, batch)
        loss = bits(network(x), y)
        optimizer.zero_grad()
        (loss / y.shape[0]).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
        losses.append(loss.item())
        if len(losses) % 50 == 0:
            recent = sum(losses[-50:]) / 50
            say(f"{seen} sequences, {time.monotonic() - begun:.0f} s: {recent:.4f} bits a sequence", flush=True)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("task", choices=list(TASKS))
    parser.add_argument("--cell", default="ntm", help="ntm, dnc, or a cell of the catalogue to compare with, lstm")
    parser.add_argument("--sequences", type=int, default=30_000)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rate", type=float, default=3e-3, help="learning rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="where the picture of the heads goes")
    given = parser.parse_args()
    network = train(given.task, given.cell, given.sequences, given.batch, given.seed, given.rate)
    random = torch.Generator().manual_seed(1000)
    if given.task == "copy":
        for length in (10, 20, 40, 80):
            x, y = TASKS["copy"](random, 16, length=length)
            print(f"length {length}: {right(network, x, y):.2%} of the bits are right")
    if given.out is not None and given.cell in UNITS:
        x, _ = TASKS[given.task](random, 1)
        figure = carousel.insight.read_memory(network, x).picture()
        figure.savefig(given.out, dpi=120)
        print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
