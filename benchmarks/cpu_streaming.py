"""One step at a time: Carousel's stepper beside torch.nn.LSTMCell and the reading of the weights. Run by `cpu.py`."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable

import torch

import carousel
from carousel.engines.native import prepared


def stepping(hidden: int) -> dict[str, Callable[[], object]]:
    """One step of one row by each way, verified; and no more than a reading of one thread's part of the weights."""
    torch.manual_seed(0)
    cell = torch.nn.LSTMCell(hidden, hidden)
    layer = carousel.LSTM(hidden, hidden)
    layer.load_state_dict({f"{name}_l0": p for name, p in cell.named_parameters()})
    stepper, rounded = layer.stepper(), copy.deepcopy(layer).bfloat16().stepper()
    x = torch.randn(1, hidden)
    x_rounded = x.bfloat16()
    state = cell(x)
    torch.testing.assert_close(stepper(x), state[0], rtol=0, atol=1e-6)
    torch.testing.assert_close(rounded(x_rounded).float(), state[0], rtol=0, atol=2**-6)
    weights = torch.cat([layer.weight_ih_l0, layer.weight_hh_l0]).detach()
    share = weights.numel() // stepper._top.threads  # each thread has its part of them in its own cache
    read, isa = prepared.library().c.carousel_read, prepared.isa()
    y = torch.empty(1, hidden)
    return {
        "read the weights": lambda: read(isa, weights.data_ptr(), share, 1),
        "stepper(x, out=y)": lambda: stepper(x, out=y),
        "stepper(x)": lambda: stepper(x),
        "in bfloat16": lambda: rounded(x_rounded),
        "nn.LSTMCell": lambda: cell(x, state),
    }


@torch.no_grad()
def streaming(threads: int, duration: float) -> None:
    """One step at a time beside torch.nn.LSTMCell, and the time it takes to read the weights from cache."""
    torch.set_num_threads(threads)
    print("LSTM, one row, one step at a time, microseconds, best of many; input size = hidden size\n")
    for row, hidden in enumerate((128, 256, 512)):
        runs = stepping(hidden)
        best = dict.fromkeys(runs, float("inf"))
        end = time.perf_counter() + duration
        while time.perf_counter() < end:
            for name, run in runs.items():
                run()  # which brings its own weights into the cache
                begin = time.perf_counter()
                for _ in range(10):
                    run()
                best[name] = min(best[name], (time.perf_counter() - begin) / 10 * 1e6)
        bound, ours, *_, theirs = best.values()
        if row == 0:
            print("|".join(["", "   H ", *(f" {name} " for name in runs), " of the reading ", " LSTMCell is ", ""]))
            print("|".join(["", "-----", *("-" * (len(name) + 2) for name in runs), "-" * 16, "-" * 13, ""]))
        times = [f" {taken:>{len(name)}.1f} " for name, taken in best.items()]
        print(
            "|".join(["", f"{hidden:>4} ", *times, f" {ours / bound:>13.2f}x ", f" {theirs / ours:>10.2f}x ", ""]),
            flush=True,
        )
