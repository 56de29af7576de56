"""How often `carousel.insight.diagnose` finds a fault that was planted, and accuses a network that has none.

    python benchmarks/diagnosis.py                # the table of docs/insight.md: about five minutes on one core
    python benchmarks/diagnosis.py --networks 10

Networks are drawn at random: cell, units, layers, directions, layout, what the head reads, steps and sequences. Each is
as its constructor makes it, with inputs of mean 0 and deviation 1 that depend on each other over a few steps; then one
fault is planted. "found" counts the fault by its own name, "other" those told to have another fault alone, "missed"
those told to be healthy. A network without a planted fault is drawn anew where its constructor made dead units, as it
does among small rectified ones.
"""

import argparse
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

import carousel
from carousel.insight import diagnose

HEADS = ("every step", "last step", "last state", "mean", "attention")
CELLS = ("rnn", "relu", "lstm", "gru")


class Network(nn.Module):
    """A recurrent layer under one of the heads that people put on one."""

    def __init__(self, cell: str, head: str, inputs: int, hidden: int, layers: int, both: bool, batch_first: bool):
        super().__init__()
        options = {"bidirectional": both, "batch_first": batch_first}
        face = {"lstm": carousel.LSTM, "gru": carousel.GRU}.get(cell, carousel.RNN)
        if cell == "relu":
            options["nonlinearity"] = "relu"
        self.layer = face(inputs, hidden, layers, **options)
        self.cell, self.head, self.time, self.both = cell, head, int(batch_first), both
        width = hidden * (2 if both else 1)
        self.attention, self.scores = nn.Linear(width, 1), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        y, hx = self.layer(x)
        h = hx[0] if isinstance(hx, tuple) else hx
        if self.head == "every step":
            return self.scores(y)
        if self.head == "last step":
            return self.scores(y.select(self.time, -1))
        if self.head == "last state":
            return self.scores(torch.cat([h[-2], h[-1]], -1) if self.both else h[-1])
        if self.head == "mean":
            return self.scores(y.mean(self.time))
        return self.scores((self.attention(y).softmax(self.time) * y).sum(self.time))

    def recurrent(self, name: str) -> list[Tensor]:
        return [weight for full, weight in self.layer.named_parameters() if full.startswith(name)]


@dataclass(frozen=True)
class Case:
    network: Network
    x: Tensor
    memory: int

    def findings(self) -> list[str]:
        return [finding.fault for finding in diagnose(self.network, self.x, memory=self.memory)]


def healthy(seed: int, cells: tuple[str, ...] = CELLS, *, head: str | None = None) -> Case:
    """A network as its constructor makes it, without units that never change, on data that reach back a few steps."""
    torch.manual_seed(seed)
    draw = random.Random(seed)
    inputs, steps, batch = draw.randint(1, 6), draw.randint(40, 120), draw.randint(2, 10)
    batch_first = draw.random() < 0.5
    network = Network(
        draw.choice(cells), head or draw.choice(HEADS), inputs, draw.choice((8, 12, 16, 24, 32)), draw.randint(1, 2),
        draw.random() < 0.4, batch_first,
    )  # fmt: skip
    x = [torch.randn(batch, inputs)]
    for _ in range(steps - 1):
        x.append(0.6 * x[-1] + 0.8 * torch.randn(batch, inputs))
    case = Case(network, torch.stack(x, int(batch_first)), memory=5)
    with torch.no_grad():
        states = network.layer(case.x, return_states=True)[2]["h"].flatten(1, 2)  # (P, T * B, H)
    return case if (states.std(1) > 0).all() else healthy(seed + 100_000, cells, head=head)


@torch.no_grad()
def vanishing(seed: int) -> Case:
    """Recurrent weights of nearly nothing and gates that keep nearly nothing, on data that reach back 30 steps."""
    case = healthy(seed)
    for weight in case.network.recurrent("weight_hh"):
        weight *= 0.1
    layer = case.network.layer
    if isinstance(layer, carousel.LSTM | carousel.GRU):
        for bias in case.network.recurrent("bias_ih"):
            bias.chunk(4 if isinstance(layer, carousel.LSTM) else 3)[1].fill_(-4.0)
    return Case(case.network, case.x, memory=30)


@torch.no_grad()
def exploding(seed: int) -> Case:
    """Recurrent weights that let every change of the state grow, where nothing holds it back."""
    case = healthy(seed, ("relu", "rnn"))
    relu, draw = case.network.cell == "relu", random.Random(seed)
    factor = draw.uniform(1.3, 3.0) if relu else draw.uniform(1.3, 1.6)
    for weight in case.network.recurrent("weight_hh"):
        nn.init.orthogonal_(weight)
        weight.copy_(factor * (torch.eye(len(weight)) if relu else weight))
    if relu:
        return case
    # tanh is a straight line where what it reads is small: there nothing holds the growth back.
    for bias in case.network.recurrent("bias"):
        bias.zero_()
    return Case(case.network, 1e-30 * case.x, memory=5)


@torch.no_grad()
def dead_units(seed: int) -> Case:
    """A third of the rectified units with a bias far below 0."""
    case = healthy(seed, ("relu",))
    for bias in case.network.recurrent("bias_ih"):
        bias[: math.ceil(len(bias) / 3)] = -1000.0
    return case


@torch.no_grad()
def not_finite(seed: int) -> Case:
    """One NaN or infinity, in a weight or in the data."""
    case, draw = healthy(seed), random.Random(seed)
    target = case.x if draw.random() < 0.5 else draw.choice(list(case.network.parameters()))
    target.view(-1)[draw.randrange(target.numel())] = draw.choice((math.nan, math.inf, -math.inf))
    return case


@torch.no_grad()
def saturated(seed: int) -> Case:
    """Weights of inputs that drive every gate to its bounds."""
    case = healthy(seed, ("rnn", "lstm", "gru"))
    for weight in case.network.recurrent("weight_ih"):
        weight *= 300.0
    return case


PLANTED: dict[str, tuple[Callable[[int], Case], tuple[str, ...]]] = {
    "vanishing": (vanishing, ("vanishing",)),
    "exploding": (exploding, ("exploding",)),
    "dead-units": (dead_units, ("dead-units",)),
    "not-finite": (not_finite, ("not-finite",)),
    "saturated-gates": (saturated, ("saturated-gates",)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=100, help="of each kind")
    count = parser.parse_args().networks
    print("| planted | networks | found | other | missed |\n|---|---|---|---|---|")
    for name, (plant, wanted) in PLANTED.items():
        told = [plant(seed).findings() for seed in range(count)]
        found = sum(any(fault in wanted for fault in faults) for faults in told)
        missed = sum(not faults for faults in told)
        print(f"| {name} | {count} | {found} | {count - found - missed} | {missed} |", flush=True)
    told = [healthy(seed).findings() for seed in range(count)]
    accused = [faults for faults in told if set(faults) - {"cannot-be-told"}]
    untold = sum(faults == ["cannot-be-told"] * len(faults) and bool(faults) for faults in told)
    print(f"| nothing | {count} | - | accused of a fault: {len(accused)} | not all could be told: {untold} |")
    for faults in accused:
        print("   accused of", ", ".join(faults))


if __name__ == "__main__":
    main()
