"""How fast layers are on this CPU, on each of its instruction sets, beside torch.nn and what is installed of others.

The others are JAX, and, for the forward pass, ONNX Runtime, OpenVINO and Keras.

    python benchmarks/cpu.py                    # all instruction sets, one and two threads: an hour
    python benchmarks/cpu.py --quick            # small sizes, one thread: under three minutes
    python benchmarks/cpu.py --write            # and puts the tables into docs/performance.md
    python benchmarks/cpu.py --rows FILE        # keeps rows, so that a run that was cut off goes on, or in parts
    python benchmarks/cpu.py --isas avx2 --cells lstm gru --sizes 32x256 --threads 2
    python benchmarks/cpu.py --bfloat16 --cells lstm        # native and torch.nn in bfloat16 too
    python benchmarks/cpu.py --compiled --steps 16 --cells peephole-lstm --sizes 8x128    # torch.compile of the loop
    python benchmarks/cpu.py --streaming        # one step at a time

Each instruction set runs in a process of its own. On the processor's best all use what they like; on another, Carousel
is restricted by CAROUSEL_ISA, torch (and Keras on it) by ATEN_CPU_CAPABILITY and the variables of oneDNN and MKL, JAX
by XLA_FLAGS. ONNX Runtime and OpenVINO cannot be restricted: there they are marked with a star, and are information.

Every candidate first has to give the reference engine's values and gradients. Then all of a row take turns, call by
call, so that what else the machine does meets them alike; each is given by its median. GFLOP/s count the matrix
products alone; "of limit" is the share of what float32 multiply-adds of this instruction set reach in the same run;
"off by" is the largest difference from float64, divided by the largest number; "native is" compares medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cpu_peers
import cpu_streaming
import cpu_tables
import torch
from cpu_candidates import Candidate, candidates, fma_limit, layer_of, verify
from cpu_tables import Row

from carousel.engines import native
from carousel.engines.native import prepared

SIZES = ("1x128", "8x128", "32x128", "32x256", "64x1024")
CELLS = ("lstm", "gru", "rnn", "user-lstm", "user-rnn")
STEPS = 128

# What keeps others to an instruction set of ours: ATEN_CPU_CAPABILITY, ONEDNN_MAX_CPU_ISA, MKL_ENABLE_INSTRUCTIONS,
# and XLA's flag.
RESTRICTED = {
    "avx2": ("avx2", "AVX2", "AVX2", "AVX2"),
    "portable": ("default", "SSE41", "SSE4_2", "SSE4_2"),
}


def environment(isa: str, threads: int) -> dict[str, str]:
    """Of a process in which all candidates use one instruction set, and JAX so many threads."""
    given = os.environ | {"CAROUSEL_ISA": isa, "OMP_NUM_THREADS": str(threads)}
    flags = "--xla_cpu_multi_thread_eigen=false " if threads == 1 else ""
    if isa in RESTRICTED and isa != prepared.library().isas_here[0]:
        aten, onednn, mkl, xla = RESTRICTED[isa]
        given |= {"ATEN_CPU_CAPABILITY": aten, "ONEDNN_MAX_CPU_ISA": onednn, "MKL_ENABLE_INSTRUCTIONS": mkl}
        flags += f"--xla_cpu_max_isa={xla}"
    return given | {"XLA_FLAGS": flags}


def measure(found: list[Candidate], seconds: float) -> dict[str, list[float]]:
    """Times of each candidate, in turns, until the time is up.

    Threads of some runtimes spin for milliseconds after their work: each turn begins when they sleep, with a run that
    wakes its own.
    """
    times: dict[str, list[float]] = {candidate.name: [] for candidate in found}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[found[0].name]) < 5:
        for candidate in found:
            time.sleep(0.01)
            candidate.run()
            begin = time.perf_counter()
            candidate.run()
            times[candidate.name].append(time.perf_counter() - begin)
    return times


def measured(arguments: argparse.Namespace, name: str, size: str, train: bool, limit: float) -> Row:
    batch, hidden = map(int, size.split("x"))
    shape = arguments.steps, batch, hidden, train
    options = {"loop": arguments.loop, "compiled": arguments.compiled, "bfloat16": arguments.bfloat16}
    found = candidates(name, *shape, others=arguments.others, **options)
    errors = {} if arguments.unverified else verify(found, name, *shape)
    gates = len(layer_of(name, 1, "reference").program.gates)
    flops = (3 if train else 1) * 4 * arguments.steps * batch * gates * hidden * hidden
    medians = {peer: statistics.median(taken) for peer, taken in measure(found, arguments.seconds).items()}
    isa = prepared.library().isas[prepared.isa()]
    return Row(isa, torch.get_num_threads(), name, size, train, flops / 1e9, limit, medians, errors)


def inside(arguments: argparse.Namespace) -> None:
    """Measures what is missing in a file of rows, in this process, whose instruction set and threads are decided."""
    torch.set_num_threads(arguments.threads[0])
    limit = fma_limit(arguments.threads[0])
    isa, best = native.status()["instruction set"], prepared.library().isas_here[0]
    print(f"\n{cpu_tables.processor()}, {isa}, {arguments.threads[0]} threads, torch {torch.__version__}")
    print(f"limit of float32 multiply-adds: {limit:.0f} GFLOP/s; {arguments.steps} steps, input size = hidden size\n")
    print(cpu_tables.heading(), flush=True)
    known = known_rows(arguments.rows)
    mine = [row for row in known if (row.isa, row.threads) == (isa, arguments.threads[0])]
    for name in arguments.cells:
        for size in arguments.sizes:
            for train in (True, False):
                if any((row.cell, row.size, row.train) == (name, size, train) for row in mine):
                    continue
                known.append(measured(arguments, name, size, train, limit))
                print(cpu_tables.lines(known[-1], isa == best), flush=True)
                arguments.rows.write_text(json.dumps(known))


def known_rows(path: Path) -> list[Row]:
    return [Row(*row) for row in json.loads(path.read_text())] if path.exists() else []


def in_processes(arguments: argparse.Namespace) -> list[Row]:
    """The rows of every instruction set and number of threads, each in its own process."""
    with tempfile.TemporaryDirectory() as folder:
        found = arguments.rows or Path(folder) / "rows.json"
        for isa in arguments.isas:
            for threads in arguments.threads:
                given = [*sys.argv[1:], "--threads", str(threads), "--inside", "--rows", str(found)]
                subprocess.run([sys.executable, __file__, *given], env=environment(isa, threads), check=True)
        return sorted(known_rows(found), key=lambda row: (prepared.library().isas.index(row.isa), row.threads))


def main() -> None:
    here = prepared.library().isas_here
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--isas", nargs="+", choices=here, default=here, help="instruction sets; all of this machine")
    parser.add_argument("--cells", nargs="+", default=CELLS, help="names in the catalogue, or light-gru, user-...")
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="batch x hidden")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--others", nargs="*", choices=tuple(cpu_peers.FORWARD), default=tuple(cpu_peers.FORWARD))
    parser.add_argument("--seconds", type=float, default=3.0, help="for each row of the table")
    parser.add_argument("--quick", action="store_true", help="two cells, two sizes, one thread, half a second each")
    parser.add_argument("--loop", action="store_true", help="the Python loop also where torch.nn has the cell")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--compiled", action="store_true", help="torch.compile of the Python loop too: for few steps")
    parser.add_argument("--bfloat16", action="store_true", help="native and torch.nn also in bfloat16, and no others")
    parser.add_argument("--streaming", action="store_true", help="one step at a time, instead of the table")
    parser.add_argument("--unverified", action="store_true")
    parser.add_argument("--markdown", action="store_true", help="print the tables as the docs have them, at the end")
    parser.add_argument(
        "--write", nargs="?", const="isas", choices=cpu_tables.SECTIONS, help="put them into this part of the docs"
    )
    parser.add_argument("--rows", type=Path, help="keeps what was measured in this file; a later run goes on from it")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)  # this is such a process
    if "--quick" in sys.argv:
        parser.set_defaults(cells=("lstm", "gru"), sizes=("1x128", "8x128"), seconds=0.5, threads=[1])
    arguments = parser.parse_args()
    if arguments.streaming:
        cpu_streaming.streaming(arguments.threads[0], arguments.seconds)
    elif arguments.inside:
        inside(arguments)
    else:
        rows = in_processes(arguments)
        print("\n" + cpu_tables.summary(rows, here[0]))
        if arguments.markdown:
            print("\n" + cpu_tables.markdown(rows, here[0]))
        if arguments.write:
            print(f"written to {cpu_tables.write(arguments.write, rows, here[0], sys.argv[1:])}")


if __name__ == "__main__":
    main()
