"""How fast a few layers are beside torch.nn, kept from version to version, and drawn.

    python benchmarks/history.py                # measures, appends a line to history.jsonl, draws history.png: a minute
    python benchmarks/history.py --draw         # draws what is there

A figure is the time of torch.nn divided by that of Carousel, on one thread, so that lines of different machines can
stand in one picture. Each layer first has to give torch.nn's output and gradients. Then the two take turns in short
loops, and each is given by the least of its times, in processor time of the thread.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch
from one_step import processor
from torch import nn

import carousel
from carousel.engines.native.prepared import isa, library

HERE = Path(__file__).resolve().parent
HISTORY, PICTURE = HERE / "history.jsonl", HERE / "history.png"
STEPS, TURNS = 64, 9
SIZES = [(8, 128), (32, 256)]  # batch, hidden


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draw", action="store_true", help="draw what was measured before")
    if not parser.parse_args().draw:
        line = measured()
        with HISTORY.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        print(json.dumps(line, indent=1))
    draw([json.loads(line) for line in HISTORY.read_text(encoding="utf-8").splitlines()])


def measured() -> dict[str, Any]:
    """One line of the history: where and when it was measured, and the ratio of each layer, size and kind of work."""
    torch.set_num_threads(1)
    ratios = {}
    for kind in ("RNN", "LSTM", "GRU"):
        for batch, hidden in SIZES:
            ours, theirs = getattr(carousel, kind)(hidden, hidden), getattr(nn, kind)(hidden, hidden)
            ours.load_state_dict(theirs.state_dict())
            x = torch.randn(STEPS, batch, hidden)
            verify(ours, theirs, x)
            for work, run in (("forward", forward), ("training", training)):
                ratios[f"{kind} {batch}x{hidden} {work}"] = round(ratio(run, ours, theirs, x), 3)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=HERE)
    where = {"processor": processor(), "isa": library().isas[isa()], "torch": torch.__version__}
    return {
        "date": date.today().isoformat(),
        "version": carousel.__version__,
        "commit": commit.stdout.strip(),
        **where,
        "ratios": ratios,
    }


def forward(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return layer(x)[0]


def training(layer: nn.Module, x: torch.Tensor) -> torch.Tensor:
    layer.zero_grad()
    output = layer(x)[0]
    output.sum().backward()
    return output


def verify(ours: nn.Module, theirs: nn.Module, x: torch.Tensor) -> None:
    """Raises AssertionError unless outputs and gradients agree to what float32 sums of this length explain."""
    torch.testing.assert_close(training(ours, x), training(theirs, x), rtol=1e-4, atol=1e-5)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-3, atol=1e-4 * float(other.grad.abs().max()))


def ratio(run: Callable[..., torch.Tensor], ours: nn.Module, theirs: nn.Module, x: torch.Tensor) -> float:
    """torch.nn's least time divided by Carousel's; the two take turns."""
    least = {id(ours): float("inf"), id(theirs): float("inf")}
    for turn in range(TURNS + 1):
        for layer in (ours, theirs):
            begin = time.thread_time()
            run(layer, x)
            if turn:  # the first prepares
                least[id(layer)] = min(least[id(layer)], time.thread_time() - begin)
    return least[id(theirs)] / least[id(ours)]


def draw(lines: list[dict[str, Any]]) -> None:
    """A curve for each layer and size, training alone, over the lines of the history."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    names = [name for name in lines[-1]["ratios"] if name.endswith("training")]
    for name in names:
        axes.plot(range(len(lines)), [line["ratios"].get(name) for line in lines], marker="o", label=name)
    axes.axhline(1, color="#777777", linewidth=1)
    axes.set_xticks(range(len(lines)), [f"{line['version']}\n{line['date']}\n{line['isa']}" for line in lines])
    axes.set_ylabel("times as fast as torch.nn")
    axes.set_ylim(bottom=0)
    axes.set_title("Training on one thread, beside torch.nn on the same machine")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(PICTURE, dpi=100)


if __name__ == "__main__":
    main()
