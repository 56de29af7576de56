"""Which cell for what: every cell of the catalogue, with equally many parameters, on five small problems.

    python benchmarks/guide.py                             # every cell and problem; goes on where it stopped
    python benchmarks/guide.py --cells lstm gru --problems adding copying --steps 400
    python benchmarks/guide.py --markdown                  # the table of what was measured

One layer of at most `--parameters` parameters (its hidden size is chosen so), a linear head, Adam, gradients clipped
at norm 1. For each cell and problem the learning rate is chosen alike: each of `--rates` with a seed of its own, by the
score on held-out data; then `--seeds` runs with that rate. A score of 1 is perfect, and 0 is what the naive answer of
the problem gives: the mean, the most frequent symbol, or the value before. The budget is short: a score says what a
cell learns soon, and not what it can reach. Cells that read parts of their input by name are left out.

    adding      a sum of two marked numbers among 50: memory of numbers
    copying     5 symbols after 20 empty steps: memory of symbols
    flip-flop   which sign three channels had last, at every step: memory that is overwritten
    shakespeare the next character of ../shared/data/tiny-shakespeare: much to store, little of it long
    forecast    the next value of two noisy sines with drifting phases: filtering
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import carousel
from carousel.cells import catalogue

BATCH = 32
TEXT = Path(__file__).parents[2] / "shared" / "data" / "tiny-shakespeare"
Batch = tuple[Tensor, Tensor, Tensor]  # inputs (T, B, I), targets (T, B, ...), and which steps count (T,)


def adding(random: torch.Generator) -> Batch:
    steps = 50
    x = torch.zeros(steps, BATCH, 2)
    x[..., 0] = torch.rand(steps, BATCH, generator=random)
    first = torch.randint(steps // 2, (BATCH,), generator=random)
    second = steps // 2 + torch.randint(steps // 2, (BATCH,), generator=random)
    rows = torch.arange(BATCH)
    x[first, rows, 1] = x[second, rows, 1] = 1.0
    y = torch.zeros(steps, BATCH, 1)
    y[-1, :, 0] = x[first, rows, 0] + x[second, rows, 0]
    return x, y, torch.arange(steps) == steps - 1


def copying(random: torch.Generator) -> Batch:
    symbols, length, blank = 8, 5, 20
    drawn = torch.randint(symbols, (length, BATCH), generator=random)
    given = torch.full((2 * length + blank, BATCH), symbols)
    given[:length] = drawn
    given[length + blank :] = symbols + 1  # the signal to answer
    y = torch.zeros_like(given)
    y[length + blank :] = drawn
    return F.one_hot(given, symbols + 2).float(), y, torch.arange(len(given)) >= length + blank


def flip_flop(random: torch.Generator) -> Batch:
    steps = 60
    pulses = torch.rand(steps, BATCH, 3, generator=random)
    x = (pulses < 0.05).float() - (pulses > 0.95).float()
    last, y = torch.ones(BATCH, 3), []
    for row in x:
        last = torch.where(row == 0, last, row)
        y.append(last)
    return x, torch.stack(y), torch.ones(steps, dtype=torch.bool)


@cache
def characters() -> tuple[Tensor, int]:
    found = sorted(TEXT.rglob("*.txt"))
    if not found:
        raise SystemExit(f"the problem shakespeare reads a text below {TEXT}, and there is none; leave it out")
    text = "".join(file.read_text(encoding="utf-8") for file in found)
    letters = {letter: k for k, letter in enumerate(sorted(set(text)))}
    return torch.tensor([letters[letter] for letter in text]), len(letters)


def shakespeare(random: torch.Generator) -> Batch:
    steps, (text, letters) = 64, characters()
    # Held-out data have seeds of their own, from 10^6 on: they are drawn from the last tenth of the text.
    cut = len(text) * 9 // 10
    low, high = (cut, len(text)) if random.initial_seed() >= 1_000_000 else (0, cut)
    begins = torch.randint(low, high - steps - 1, (BATCH,), generator=random)
    rows = text[begins[None] + torch.arange(steps + 1)[:, None]]
    return F.one_hot(rows[:-1], letters).float(), rows[1:], torch.arange(steps) >= 8


def forecast(random: torch.Generator) -> Batch:
    steps = 60
    t = torch.arange(steps + 1.0)[:, None]

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(BATCH, generator=random)

    drift = 0.1 * torch.randn(steps + 1, BATCH, generator=random).cumsum(0)
    y = torch.sin(2 * math.pi * t / uniform(8, 16) + drift + uniform(0, 6)) + torch.sin(t / uniform(4, 8) + drift)
    y = (y + 0.2 * torch.randn(steps + 1, BATCH, generator=random))[..., None]
    return y[:-1], y[1:], torch.arange(steps) >= 20


PROBLEMS: dict[str, tuple[Callable[[torch.Generator], Batch], int]] = {
    "adding": (adding, 1),
    "copying": (copying, 8),
    "flip-flop": (flip_flop, 3),
    "shakespeare": (shakespeare, 0),  # as many as there are letters
    "forecast": (forecast, 1),
}


def hidden_for(cell: str, inputs: int, parameters: int) -> int:
    """The largest hidden size whose layer has no more parameters."""
    size = 1
    while True:
        projected = {"proj_size": (size + 2) // 2} if cell == "projected-lstm" else {}
        made = carousel.Recurrent(cell, inputs, size + 1, device="meta", **projected)
        if sum(p.numel() for p in made.parameters()) > parameters:
            return size
        size += 1


class Network(nn.Module):
    def __init__(self, cell: str, inputs: int, hidden: int, outputs: int):
        super().__init__()
        projected = {"proj_size": (hidden + 1) // 2} if cell == "projected-lstm" else {}
        self.layer = carousel.Recurrent(cell, inputs, hidden, **projected)
        width = projected.get("proj_size", self.layer.sizes[self.layer.program.states[self.layer.program.output_state]])
        self.head = nn.Linear(width, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.layer(x)[0])


def loss_of(problem: str, output: Tensor, batch: Batch) -> Tensor:
    x, y, counts = batch
    del x
    output, y = output[counts], y[counts]
    if y.dtype == torch.int64:
        return F.cross_entropy(output.flatten(0, 1), y.flatten())
    return (
        F.binary_cross_entropy_with_logits(output, (y > 0).float()) if problem == "flip-flop" else F.mse_loss(output, y)
    )


def score_of(problem: str, network: Network, batches: list[Batch]) -> float:
    """1 for a perfect answer, 0 for the naive one."""
    mine, naive = [], []
    with torch.no_grad():
        for batch in batches:
            x, y, counts = batch
            output, wanted = network(x)[counts], y[counts]
            if wanted.dtype == torch.int64:
                mine.append((output.argmax(-1) != wanted).float().mean().item())
                naive.append((wanted != wanted.flatten().mode().values).float().mean().item())
            elif problem == "flip-flop":
                mine.append(((output > 0) != (wanted > 0)).float().mean().item())
                naive.append(((x[counts] > 0) != (wanted > 0)).float().mean().item())
            else:
                mine.append(F.mse_loss(output, wanted).item())
                guess = x[counts] if problem == "forecast" else wanted.mean()
                naive.append((guess - wanted).square().mean().item())
    return 1.0 - statistics.mean(mine) / statistics.mean(naive)


def train(cell: str, problem: str, rate: float, seed: int, options: argparse.Namespace) -> tuple[float, int]:
    """The score on held-out data, and the hidden size. A run that gives no number scores -1, as none scores less."""
    make, outputs = PROBLEMS[problem]
    held_out = [make(torch.Generator().manual_seed(1_000_000 + k)) for k in range(4)]
    inputs = held_out[0][0].shape[-1]
    hidden = hidden_for(cell, inputs, options.parameters)
    torch.manual_seed(seed)
    network = Network(cell, inputs, hidden, outputs or inputs)
    optimizer = torch.optim.Adam(network.parameters(), rate)
    random = torch.Generator().manual_seed(seed)
    for _ in range(options.steps):
        batch = make(random)
        optimizer.zero_grad()
        loss = loss_of(problem, network(batch[0]), batch)
        if not torch.isfinite(loss):
            return -1.0, hidden
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
    score = score_of(problem, network, held_out)
    return (max(score, -1.0) if math.isfinite(score) else -1.0), hidden


def measure(cell: str, problem: str, options: argparse.Namespace) -> dict:
    begin = time.perf_counter()
    tried = {rate: train(cell, problem, rate, 1000, options)[0] for rate in options.rates}
    rate = max(tried, key=tried.__getitem__)
    runs = [train(cell, problem, rate, seed, options) for seed in range(options.seeds)]
    return {
        "cell": cell,
        "problem": problem,
        "steps": options.steps,
        "parameters": options.parameters,
        "hidden": runs[0][1],
        "rate": rate,
        "scores": [round(score, 4) for score, _ in runs],
        "seconds": round(time.perf_counter() - begin, 1),
    }


def table(found: dict[tuple[str, str], dict], problems: list[str]) -> str:
    """Mean scores, the best cells of each problem first named."""
    cells = list(dict.fromkeys(cell for cell, _ in found))
    lines = [f"| cell | {' | '.join(problems)} |", f"|---|{'--:|' * len(problems)}"]
    for cell in cells:
        rows = [found.get((cell, problem)) for problem in problems]
        means = [f"{statistics.mean(row['scores']):.2f}" if row else "" for row in rows]
        lines.append(f"| {cell} | {' | '.join(means)} |")
    for problem in problems:
        of = {cell: statistics.mean(found[cell, problem]["scores"]) for cell in cells if (cell, problem) in found}
        best = sorted(of, key=of.__getitem__, reverse=True)[:5]
        lines.append(f"\n{problem}: {', '.join(f'{cell} {of[cell]:.2f}' for cell in best)}")
    return "\n".join(lines)


def main() -> None:
    usual = [name for name, cell in catalogue().items() if not cell.part_table()]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=usual)
    parser.add_argument("--problems", nargs="+", default=list(PROBLEMS), choices=PROBLEMS)
    parser.add_argument("--steps", type=int, default=300, help="of training, for each run")
    parser.add_argument("--parameters", type=int, default=10_000, help="of a layer, at most")
    parser.add_argument("--rates", nargs="+", type=float, default=[0.001, 0.003, 0.01])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("guide.jsonl"), help="a line for each cell and problem")
    parser.add_argument("--markdown", action="store_true", help="print the table, and measure nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = options.out.read_text(encoding="utf-8").splitlines() if options.out.exists() else []
    budget = options.steps, options.parameters
    rows = [row for row in map(json.loads, lines) if (row["steps"], row["parameters"]) == budget]
    found = {(row["cell"], row["problem"]): row for row in rows}
    for problem in options.problems if not options.markdown else ():
        for cell in options.cells:
            if (cell, problem) in found:
                continue
            found[cell, problem] = measure(cell, problem, options)
            with options.out.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(found[cell, problem])}\n")
            print(f"{problem}: {cell} {statistics.mean(found[cell, problem]['scores']):.2f}", flush=True)
    print(table(found, options.problems))


if __name__ == "__main__":
    main()
