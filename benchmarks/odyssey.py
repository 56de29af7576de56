"""Greff et al., "LSTM: a search space odyssey" (arXiv:1503.04069, 2017), once more: the LSTM and its eight variants.

    python benchmarks/odyssey.py                           # goes on where it stopped
    python benchmarks/odyssey.py --trials 20 --epochs 30
    python benchmarks/odyssey.py --markdown --picture odyssey.png

JSB Chorales (../shared/data/jsb-chorales, quarter notes): which of 88 notes sound next, the negative log-likelihood of
a step, in nats. Random search, each trial the same for all variants: hidden units from 20 to 200, learning rate from
1e-6 to 1e-2 (both uniform in their logarithm), momentum 1 minus 0.01 to 1 (likewise), noise on the input of deviation
0 to 1. Each trial keeps the epoch with the best validation loss, and reports the test loss there.
As far as the paper is remembered; it was not opened. Unlike in it, 8 chorales make a step of training and not one, the
search is far smaller, and a trial stops after 5 epochs without a better validation loss.

    V     the LSTM with peepholes                  NIAF  no activation of the input (of the candidate)
    NIG   no input gate, i = 1                     NOAF  no activation of the output
    NFG   no forget gate, f = 1                    CIFG  coupled gates, f = 1 - i
    NOG   no output gate, o = 1                    NP    no peepholes
    FGR   full gate recurrence: each gate reads all gates of the step before
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn, sigmoid, tanh
from torch.nn import functional as F

import carousel
from carousel.cells import Cell, Vector

DATA = Path(__file__).parents[2] / "shared" / "data" / "jsb-chorales" / "jsb-chorales-quarter.json"
LOWEST, NOTES, BATCH = 21, 88, 8
VARIANTS = ("V", "NIG", "NFG", "NOG", "NIAF", "NOAF", "CIFG", "NP", "FGR")
Chorales = list[Tensor]


@dataclass(frozen=True)
class Variant(Cell):
    """The LSTM with peepholes, without what its name says; the gates that are left are those that a layer has."""

    name: str = "V"

    @property
    def states(self) -> tuple[str, ...]:
        return ("h", "c", "i_", "f_", "o_") if self.name == "FGR" else ("h", "c")

    @property
    def gates(self) -> tuple[str, ...]:
        absent = {"NIG": "i", "NFG": "f", "NOG": "o", "CIFG": "f"}.get(self.name, "")
        return tuple(gate for gate in "ifgo" if gate != absent)

    @property
    def vectors(self) -> dict[str, Vector]:
        return {} if self.name == "NP" else {f"p_{gate}": Vector() for gate in self.gates if gate != "g"}

    @property
    def matrices(self) -> dict[str, tuple[str, str]]:
        pairs = [(a, b) for a in "ifo" for b in "ifo"] if self.name == "FGR" else []
        return {f"R_{a}{b}": ("hidden", "hidden") for a, b in pairs}

    @property
    def step(self) -> Callable[..., tuple]:
        from inspect import Parameter, Signature

        def step(h, c, **given):
            before = {gate: given.get(f"{gate}_") for gate in "ifo"}

            def gate(name, cell_state):
                if name not in self.gates:
                    return 1.0
                total = given[name] + (given[f"p_{name}"] * cell_state if self.vectors else 0.0)
                for other in "ifo" if self.matrices else ():
                    total = total + given[f"R_{other}{name}"](before[other])
                return sigmoid(total)

            i = gate("i", c)
            f = 1 - i if self.name == "CIFG" else gate("f", c)
            c = f * c + i * (given["g"] if self.name == "NIAF" else tanh(given["g"]))
            o = gate("o", c)
            h = o * (c if self.name == "NOAF" else tanh(c))
            return (h, c, i, f, o) if self.name == "FGR" else (h, c)

        names = (*self.states, *self.gates, *self.vectors, *self.matrices)
        step.__signature__ = Signature([Parameter(name, Parameter.KEYWORD_ONLY) for name in names])
        return step


def chorales() -> dict[str, Chorales]:
    """Each chorale as (T, 88), 1 where a note sounds."""
    if not DATA.exists():
        raise SystemExit(f"the chorales are read from {DATA}, and it is not there")
    found: dict[str, Chorales] = {}
    for part, pieces in json.loads(DATA.read_text(encoding="utf-8")).items():
        found[part] = []
        for chords in pieces:
            rolls = torch.zeros(len(chords), NOTES)
            for t, chord in enumerate(chords):
                rolls[t, [int(note) - LOWEST for note in chord]] = 1.0
            found[part].append(rolls)
    return found


class Network(nn.Module):
    def __init__(self, variant: str, hidden: int):
        super().__init__()
        self.layer = carousel.Recurrent(Variant(variant), NOTES, hidden)
        self.head = nn.Linear(hidden, NOTES)

    def loss(self, pieces: Chorales, noise: float, random: torch.Generator | None = None) -> tuple[Tensor, int]:
        """The sum over all steps, and how many there are."""
        lengths = torch.tensor([len(piece) - 1 for piece in pieces])
        whole = nn.utils.rnn.pad_sequence(pieces)
        x, y = whole[:-1], whole[1:]
        if noise:
            x = x + noise * torch.randn(x.shape, generator=random)
        output = self.head(self.layer(x, lengths=lengths)[0])
        real = torch.arange(len(x))[:, None] < lengths
        return F.binary_cross_entropy_with_logits(output[real], y[real], reduction="sum"), int(lengths.sum())


def evaluate(network: Network, pieces: Chorales) -> float:
    with torch.no_grad():
        total, steps = network.loss(pieces, 0.0)
    return total.item() / steps


def drawn(trial: int) -> dict[str, float]:
    """The settings of a trial."""
    random = torch.Generator().manual_seed(trial)
    a, b, c, d = torch.rand(4, generator=random).tolist()
    return {
        "hidden": round(20 * 10**a),
        "rate": 10 ** (-6 + 4 * b),
        "momentum": 1 - 10 ** (-2 + 2 * c),
        "noise": d,
    }


def run(variant: str, trial: int, epochs: int, data: dict[str, Chorales]) -> dict:
    settings = drawn(trial)
    torch.manual_seed(trial)
    random = torch.Generator().manual_seed(trial)
    network = Network(variant, int(settings["hidden"]))
    momentum = settings["momentum"]
    optimizer = torch.optim.SGD(network.parameters(), settings["rate"], momentum, nesterov=momentum > 0)
    best, test, since = math.inf, math.inf, 0
    for _ in range(epochs):
        order = torch.randperm(len(data["train"]), generator=random).tolist()
        for begin in range(0, len(order), BATCH):
            pieces = [data["train"][k] for k in order[begin : begin + BATCH]]
            optimizer.zero_grad()
            total, _ = network.loss(pieces, settings["noise"], random)
            (total / len(pieces)).backward()
            optimizer.step()
        loss = evaluate(network, data["valid"])
        if not math.isfinite(loss):
            break
        since += 1
        if loss < best:
            best, test, since = loss, evaluate(network, data["test"]), 0
        if since == 5:
            break
    return {"variant": variant, "trial": trial, "epochs": epochs, **settings, "valid": best, "test": test}


def table(rows: list[dict]) -> str:
    lines = ["| variant | trials | best | median | worst quarter | best tenth |", "|---|--:|--:|--:|--:|--:|"]
    for variant in VARIANTS:
        of = [row for row in rows if row["variant"] == variant]
        losses = sorted(row["test"] for row in of)
        if len(losses) < 2:
            continue
        by_validation = sorted(of, key=lambda row: row["valid"])
        tenth = statistics.mean(row["test"] for row in by_validation[: max(1, len(of) // 10)])
        quarter = losses[3 * len(losses) // 4]
        lines.append(
            f"| {variant} | {len(losses)} | {losses[0]:.2f} | {statistics.median(losses):.2f} | {quarter:.2f} "
            f"| {tenth:.2f} |"
        )
    return "\n".join(lines)


def picture(rows: list[dict], file: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    each = [[row["test"] for row in rows if row["variant"] == v and math.isfinite(row["test"])] for v in VARIANTS]
    figure, axes = pyplot.subplots(figsize=(7, 4))
    axes.boxplot(each, tick_labels=list(VARIANTS))
    axes.set_ylabel("negative log-likelihood of a step (nats)")
    figure.savefig(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--trials", type=int, default=20, help="settings drawn, the same for each variant")
    parser.add_argument("--epochs", type=int, default=30, help="of a trial, at most")
    parser.add_argument("--out", type=Path, default=Path("odyssey.jsonl"), help="a line for each trial")
    parser.add_argument("--markdown", action="store_true", help="print the table, and measure nothing")
    parser.add_argument("--picture", type=Path, help="a box plot of the test losses")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lines = options.out.read_text(encoding="utf-8").splitlines() if options.out.exists() else []
    rows = [row for row in map(json.loads, lines) if row["epochs"] == options.epochs]
    done = {(row["variant"], row["trial"]) for row in rows}
    data = chorales()
    for trial in range(options.trials) if not options.markdown else ():
        for variant in options.variants:
            if (variant, trial) in done:
                continue
            rows.append(run(variant, trial, options.epochs, data))
            with options.out.open("a", encoding="utf-8") as file:
                file.write(f"{json.dumps(rows[-1])}\n")
            print(f"trial {trial}, {variant}: {rows[-1]['test']:.2f}", flush=True)
    print(table(rows))
    if options.picture:
        picture(rows, options.picture)


if __name__ == "__main__":
    main()
