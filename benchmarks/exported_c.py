"""What layers cost as plain C: bytes of weights, state and stack, and microseconds a step.

    python benchmarks/exported_c.py

Each layer reads 40 numbers a step. It is compiled by gcc -O2, for any processor of the kind (no -march), and its last
output is compared with the layer's before it is timed: the best of 7 rounds of some 20 ms.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import torch

import carousel
from carousel.export import to_c
from carousel.export.c import rounded

INPUTS, STEPS, ROUNDS = 40, 50, 7
LAYERS = [("gru", 32), ("gru", 64), ("lstm", 64), ("layer-norm-lstm", 64), ("fastgrnn", 64), ("gru", 128)]

MAIN = r"""
#include "model.h"
#include <stdio.h>
#include <time.h>
static float x[STEPS][MODEL_INPUT], y[MODEL_OUTPUT];
int main(void)
{
    model_state state;
    double best = 1e9;
    int round, t, k, calls = 1 + 2000000 / MODEL_OUTPUT / MODEL_OUTPUT;
    for (t = 0; t < STEPS; t++)
        for (k = 0; k < MODEL_INPUT; k++)
            x[t][k] = (float)((7 * t + 3 * k) % 11 - 5) / 5.0f;
    model_reset(&state);
    for (t = 0; t < STEPS; t++)
        model_step(&state, x[t], y);
    for (k = 0; k < MODEL_OUTPUT; k++)
        printf("%.9g ", y[k]);
    for (round = 0; round < ROUNDS; round++) {
        clock_t start = clock();
        double took;
        for (t = 0; t < calls; t++)
            model_step(&state, x[t % STEPS], y);
        took = 1e6 * (double)(clock() - start) / CLOCKS_PER_SEC / calls;
        best = took < best ? took : best;
    }
    printf("\n%.3f\n", best);
    return 0;
}
"""


def measured(layer: carousel.Recurrent, folder: Path, int8: bool) -> tuple[list[int], float]:
    """Bytes of weights, state and stack as the header says, and microseconds a step. Checks the last output."""
    header, source = to_c(layer, folder, int8=int8)
    (folder / "main.c").write_text(MAIN)
    names = [f"-DSTEPS={STEPS}", f"-DROUNDS={ROUNDS}"]
    command = ["gcc", "-std=c99", "-O2", *names, str(folder / "main.c"), str(source), "-lm", "-o", str(folder / "main")]
    subprocess.run(command, check=True)
    output, took = subprocess.run(
        [str(folder / "main")], check=True, capture_output=True, text=True
    ).stdout.splitlines()
    t, k = torch.arange(STEPS)[:, None], torch.arange(INPUTS)
    with torch.no_grad():
        network = rounded(layer) if int8 else layer
        wanted = network((((7 * t + 3 * k) % 11 - 5) / 5.0).unsqueeze(1))[0][-1, 0].numpy()
    apart = float(np.abs(np.array(output.split(), np.float32) - wanted).max())
    assert apart < 1e-3, f"the code differs from the layer by {apart:.2g}"
    numbers = re.search(r"weights: (\d+) bytes. State: (\d+) bytes. Stack: about (\d+)", header.read_text())
    assert numbers is not None
    return [int(n) for n in numbers.groups()], float(took)


def main() -> None:
    print("| cell | units | numbers | weights | state | stack | µs a step |")
    print("|---|---:|---|---:|---:|---:|---:|")
    for cell, hidden in LAYERS:
        torch.manual_seed(0)
        layer = carousel.Recurrent(cell, INPUTS, hidden).eval()
        for int8 in (False, True):
            with tempfile.TemporaryDirectory() as folder:
                (weights, state, stack), took = measured(layer, Path(folder), int8)
            kind = "int8" if int8 else "float"
            print(f"| {cell} | {hidden} | {kind} | {weights:,} | {state:,} | {stack:,} | {took:.1f} |", flush=True)


if __name__ == "__main__":
    main()
