"""One step at a time, beside torch.nn: cells and layers with T = 1, forward and in training, and steppers.

    python benchmarks/one_step.py            # every size, some minutes
    python benchmarks/one_step.py --quick    # a few sizes
    python benchmarks/one_step.py --kinds LSTM

Everything is compared with torch.nn's results before it is timed. Two sides take turns, in many short loops; a time is
the least of them, in processor time of the thread, so that a busy machine disturbs it little. A stepper is set beside
the time of reading its weights once. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import carousel
from carousel.engines.native.prepared import isa, library

KINDS = ("LSTM", "GRU", "RNN")
SIZES = [(hidden, batch) for hidden in (16, 64, 128, 256, 512, 1024) for batch in (1, 8, 64)]
QUICK = [(16, 1), (128, 1), (128, 8), (256, 1)]
TURNS = 15
SECONDS = 0.01  # of a loop


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def loop(call: Callable[[], Any], count: int) -> float:
    begin = time.thread_time()
    for _ in range(count):
        call()
    return (time.thread_time() - begin) / count


def least(*calls: Callable[[], Any]) -> list[float]:
    """The least time of each, in microseconds; they take turns."""
    counts = [max(1, int(SECONDS / max(min(loop(call, 3) for _ in range(3)), 1e-7))) for call in calls]
    rounds = [[loop(call, count) for call, count in zip(calls, counts, strict=True)] for _ in range(TURNS)]
    return [1e6 * min(times) for times in zip(*rounds, strict=True)]


def pairs(kind: str, hidden: int, batch: int) -> Iterator[tuple[str, Callable[[], Any], Callable[[], Any]]]:
    """(what, ours, torch.nn's) of everything that is compared at one size."""
    x, h = torch.randn(batch, hidden), torch.randn(batch, hidden)
    hx = (h, h.clone()) if kind == "LSTM" else h
    layered = (h[None], h[None].clone()) if kind == "LSTM" else h[None]
    reset = torch.rand(1, batch) < 0.5
    cells = [getattr(of, f"{kind}Cell")(hidden, hidden) for of in (carousel, nn)]
    layers = [getattr(of, kind)(hidden, hidden) for of in (carousel, nn)]
    for ours, theirs in (cells, layers):
        theirs.load_state_dict(ours.state_dict())

    def plain(module: nn.Module, given: torch.Tensor, states: Any, **options: Any) -> Callable[[], Any]:
        def call() -> Any:
            with torch.no_grad():
                return module(given, states, **options)

        return call

    def learning(module: nn.Module, given: torch.Tensor, states: Any) -> Callable[[], Any]:
        def call() -> Any:
            found = module(given, states)
            output = found[0] if isinstance(found, tuple) else found
            return torch.autograd.grad(output.sum(), list(module.parameters()))

        return call

    def chosen() -> Any:
        """What reset= means at one step, for torch.nn."""
        with torch.no_grad():
            states = layered if isinstance(layered, tuple) else (layered,)
            kept = tuple(torch.where(reset[..., None], 0.0, state) for state in states)
            return layers[1](x[None], kept if len(kept) > 1 else kept[0])

    yield "cell", *(plain(cell, x, hx) for cell in cells)
    yield "cell, training", *(learning(cell, x, hx) for cell in cells)
    yield "T = 1", *(plain(layer, x[None], layered) for layer in layers)
    yield "T = 1, training", *(learning(layer, x[None], layered) for layer in layers)
    yield "T = 1, reset", plain(layers[0], x[None], layered, reset=reset), chosen


def beside_torch(kinds: list[str], sizes: list[tuple[int, int]]) -> None:
    print("Times of torch.nn's over Carousel's (Carousel's, in microseconds): above 1 Carousel is faster.\n")
    names: list[str] = []
    for kind in kinds:
        for hidden, batch in sizes:
            row = {}
            for name, ours, theirs in pairs(kind, hidden, batch):
                torch.testing.assert_close(ours(), theirs(), rtol=1e-4, atol=1e-4)
                mine, other = least(ours, theirs)
                row[name] = f"{other / mine:.2f} ({mine:.1f})"
            if not names:
                names = list(row)
                print(f"| | {' | '.join(names)} |\n|---|{'---|' * len(names)}")
            print(f"| {kind}, {batch} x {hidden} | {' | '.join(row.values())} |", flush=True)


def steppers(kinds: list[str], sizes: list[int]) -> None:
    print("\nA stepper, beside one reading of its weights from where they are (microseconds).\n")
    print("| | a step | reading the weights | ratio |\n|---|---|---|---|")
    for kind in kinds:
        for hidden in sizes:
            layer = getattr(carousel, kind)(hidden, hidden)
            stepper, x, out = layer.stepper(), torch.randn(1, hidden), torch.empty(1, hidden)
            torch.testing.assert_close(stepper(x), layer(x[None])[0][0].detach(), rtol=1e-4, atol=1e-4)
            count = sum(p.numel() for n, p in layer.named_parameters() if "weight" in n)
            weights = torch.randn(count)
            given = isa(), weights.data_ptr(), count, 1
            step, reading = least(partial(stepper, x, out=out), partial(library().c.carousel_read, *given))
            print(f"| {kind}, {hidden} | {step:.1f} | {reading:.1f} | {step / reading:.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few sizes")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    given = parser.parse_args()
    quick = given.quick
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{processor()}, {library().isas[isa()]}, one thread, torch {torch.__version__}\n")
    beside_torch(given.kinds, QUICK if quick else SIZES)
    steppers(given.kinds, [128] if quick else [128, 256, 512, 1024])


if __name__ == "__main__":
    main()
