"""Time and memory against the length of a sequence: plain, checkpointed and truncated backpropagation, on this CPU.

    python benchmarks/long.py                          # up to 100,000 steps, about two minutes
    python benchmarks/long.py --lengths 4096 --batch 8 --hidden 256 --repeats 5 --markdown

Plain, torch.nn's LSTM and checkpointed give the same exact gradient, which is verified before anything is timed;
truncated (windows of 128 steps, an update's gradient each) is another algorithm, for streams. Memory is the process's
highest resident size above what it had before the first step, each case in a process of its own: without the input,
with the output, T * B * H numbers that any layer gives back. It is measured with MALLOC_MMAP_THRESHOLD_=65536, so that
glibc gives large blocks back when they are freed; by default it may keep them (--default-malloc shows that), and then
checkpointing saves much less. Long trainings that need the memory should set it too.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import torch

import carousel
from carousel.training.truncation import truncated

METHODS = {
    "plain": None,
    "torch.nn.LSTM": "torch",
    "checkpoint every sqrt(T)": "square root",
    "truncated, 128 steps": "truncated",
}
WINDOW, VERIFIED = 128, 1000


def layer_of(method: str, steps: int, hidden: int) -> torch.nn.Module:
    """The same seed gives all of them the same weights."""
    torch.manual_seed(0)
    if METHODS[method] == "torch":
        return torch.nn.LSTM(hidden, hidden)
    return carousel.LSTM(hidden, hidden, checkpoint=round(steps**0.5) if METHODS[method] == "square root" else None)


def differentiate(method: str, steps: int, hidden: int, x: torch.Tensor) -> list[torch.Tensor]:
    """The gradients of a loss on the last state; for truncated, of one on every window's output."""
    layer = layer_of(method, steps, hidden)
    if METHODS[method] == "truncated":
        for (output,) in truncated(layer, x, every=WINDOW):
            output.square().mean().backward()
    else:
        _, (_, c) = layer(x)
        c.square().mean().backward()
    return [p.grad for p in layer.parameters()]


def one(method: str, steps: int, batch: int, hidden: int, repeats: int) -> None:
    """Prints one case's seconds, the least of several, and megabytes beyond the input's, as JSON."""
    x = torch.randn(steps, batch, hidden)
    differentiate(method, 64, hidden, x[:64])  # libraries loaded, programs made
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        differentiate(method, steps, hidden, x)
        seconds.append(time.perf_counter() - begin)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes on Linux
    print(json.dumps({"seconds": min(seconds), "megabytes": (after - before) / 1024}))


def verify(steps: int, batch: int, hidden: int) -> None:
    torch.manual_seed(1)
    x = torch.randn(steps, batch, hidden)
    plain, *others = list(METHODS)[:3]
    expected = differentiate(plain, steps, hidden, x)
    for method in others:
        for a, b in zip(differentiate(method, steps, hidden, x), expected, strict=True):
            if not (a - b).abs().max() <= 1e-4 * b.abs().max():
                raise SystemExit(f"the gradient of {method} is not the plain one")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--default-malloc", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "STEPS"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    if chosen.one:
        return one(chosen.one[0], int(chosen.one[1]), chosen.batch, chosen.hidden, chosen.repeats)
    verify(min(VERIFIED, *chosen.lengths), chosen.batch, chosen.hidden)
    print(f"LSTM, {chosen.batch} rows, {chosen.hidden} units, float32, {torch.get_num_threads()} threads")
    cells = "| {} | {} | {} | {} | {} |" if chosen.markdown else "{:26} {:>8} {:>9} {:>10} {:>9}"
    print(cells.format("method", "steps", "seconds", "us / step", "MB"))
    if chosen.markdown:
        print("|---|---|---|---|---|")
    environment = dict(os.environ) | ({} if chosen.default_malloc else {"MALLOC_MMAP_THRESHOLD_": "65536"})
    for method in METHODS:
        for steps in chosen.lengths:
            sizes = ("batch", "hidden", "threads", "repeats")
            options = [text for name in sizes for text in (f"--{name}", str(getattr(chosen, name)))]
            command = [sys.executable, __file__, *options, "--one", method, str(steps)]
            found = json.loads(
                subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
            )
            each = f"{1e6 * found['seconds'] / steps:.1f}"
            print(cells.format(method, steps, f"{found['seconds']:.2f}", each, f"{found['megabytes']:.0f}"), flush=True)


if __name__ == "__main__":
    main()
