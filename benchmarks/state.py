"""What each feature of a layer costs, as a ratio to the plain scan: forward and all gradients, on this CPU.

    python benchmarks/state.py                         # LSTM, 128 steps of 32 rows, 128 units: about a minute
    python benchmarks/state.py --cell gru --batch 8 --hidden 256 --markdown

Every row first has to give the reference engine's values and gradients, with the same seed. Then all rows take turns,
call by call; each ratio is the median over rounds of (its time / the plain scan's in the same round). Lengths are
uniform between 1 and T, so that about half of all steps are real; the same batch run as padding costs what plain costs.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

import carousel
from carousel.layers.penalties import activation_penalty, temporal_penalty

Call = Callable[[carousel.Recurrent, torch.Tensor], torch.Tensor]


@dataclass
class Feature:
    """name: as printed. options: of the layer. call: (layer, x) -> a number to be differentiated."""

    name: str
    options: dict[str, Any] = field(default_factory=dict)
    call: Call = lambda layer, x: layer(x)[0].square().mean()


def features(steps: int, batch: int) -> list[Feature]:
    random = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, steps + 1, (batch,), generator=random)
    left = torch.arange(steps)[:, None] >= steps - lengths
    reset = torch.rand(steps, batch, generator=random) < 0.02
    keep = torch.rand(steps, batch, 1, generator=random)

    def record(layer: carousel.Recurrent, x: torch.Tensor) -> torch.Tensor:
        with layer.record(layer.program.gates[0]) as values:
            output, _ = layer(x)
        return output.square().mean() + values[layer.program.gates[0]].mean()

    def states(layer: carousel.Recurrent, x: torch.Tensor) -> torch.Tensor:
        output, _, found = layer(x, return_states=True)
        return output.square().mean() + sum(found.values()).mean()

    def penalties(layer: carousel.Recurrent, x: torch.Tensor) -> torch.Tensor:
        output, _ = layer(x)
        return output.square().mean() + 2 * activation_penalty(output) + temporal_penalty(output)

    return [
        Feature("plain"),
        Feature("lengths", call=lambda layer, x: layer(x, lengths=lengths)[0].square().mean()),
        Feature("mask, left padding", call=lambda layer, x: layer(x, mask=left)[0].square().mean()),
        Feature("reset, 2 % of steps", call=lambda layer, x: layer(x, reset=reset)[0].square().mean()),
        Feature("return_states", call=states),
        Feature("record a gate", call=record),
        Feature("keep and add", call=lambda layer, x: layer(x, keep=keep, add=0.1 * keep)[0].square().mean()),
        Feature("initial_state, learned", {"initial_state": "learned"}),
        Feature("zoneout", {"zoneout": 0.1}),
        Feature("recurrent_dropout", {"recurrent_dropout": 0.2}),
        Feature("input_dropout", {"input_dropout": 0.2}),
        Feature("weight_drop", {"weight_drop": 0.3}),
        Feature("penalties", call=penalties),
        Feature("checkpoint, every 16", {"checkpoint": 16}),
    ]


def work(feature: Feature, cell: str, hidden: int, x: torch.Tensor, engine: str) -> Callable[[], list[torch.Tensor]]:
    """The forward and backward pass as a function, its weights and seed the same on every engine."""
    torch.manual_seed(0)
    layer = carousel.Recurrent(cell, hidden, hidden, engine=engine, dtype=x.dtype, **feature.options)
    inputs = [x, *layer.parameters()]

    def run() -> list[torch.Tensor]:
        torch.manual_seed(1)
        value = feature.call(layer, x)
        return [value.detach(), *torch.autograd.grad(value, inputs)]

    return run


def verify(feature: Feature, cell: str, hidden: int, x: torch.Tensor) -> None:
    """No time is reported for wrong numbers."""
    ours, theirs = (work(feature, cell, hidden, x, engine)() for engine in ("auto", "reference"))
    for a, b in zip(ours, theirs, strict=True):
        off, size = (a - b).abs().max().item(), b.abs().max().item()
        if not off <= 2e-4 * size + 1e-7:
            raise SystemExit(f"{feature.name}: off by {off:.2g} of {size:.2g} from the reference engine")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--steps", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--markdown", action="store_true")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    torch.manual_seed(0)
    x = torch.randn(chosen.steps, chosen.batch, chosen.hidden, requires_grad=True)
    table = features(chosen.steps, chosen.batch)
    for feature in table:
        verify(feature, chosen.cell, chosen.hidden, x)
    runs = {feature.name: work(feature, chosen.cell, chosen.hidden, x, "auto") for feature in table}
    rounds: list[dict[str, float]] = []
    stop = time.perf_counter() + chosen.seconds
    while time.perf_counter() < stop or len(rounds) < 5:
        rounds.append({})
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            rounds[-1][name] = time.perf_counter() - begin
    engine = carousel.Recurrent(chosen.cell, chosen.hidden, chosen.hidden).explain().splitlines()[1]
    print(
        f"{chosen.cell}, {chosen.steps} steps of {chosen.batch} rows, {chosen.hidden} units, float32, {engine}, "
        f"{torch.get_num_threads()} threads, {len(rounds)} rounds"
    )
    cells = "| {} | {} | {} |" if chosen.markdown else "{:24} {:>10} {:>8}"
    print(cells.format("feature", "median ms", "ratio"))
    if chosen.markdown:
        print("|---|---|---|")
    for name in runs:
        ratio = statistics.median(taken[name] / taken["plain"] for taken in rounds)
        milliseconds = 1000 * statistics.median(taken[name] for taken in rounds)
        print(cells.format(name, f"{milliseconds:.2f}", f"{ratio:.2f}"))


if __name__ == "__main__":
    main()
