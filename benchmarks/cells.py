"""How fast each cell of the catalogue trains: the native engine beside torchrecurrent, or a loop of torch's own ops.

    python benchmarks/cells.py                          # every cell; what is measured already is not measured again
    python benchmarks/cells.py --cells mgu lem nas
    python benchmarks/cells.py --markdown               # the table of what was measured

Forward and backward, (32, 128), 100 steps, 128 inputs, float32, one thread. Each cell first has to give the reference
engine's output and gradients. Then four take turns, call by call, so that what else the machine does meets them alike:
the cell on the native engine, its peer, the native LSTM, and a bare scan: as many products of the input, added up.
torchrecurrent is the peer of the cells that it has (pip install torchrecurrent==0.2.5), and what it computes is not
compared: its readings differ, as the docstrings of the cells say. The peer of others is the reference engine, a loop of
torch's own ops. "of LSTM": time per multiplication of its products, as a share of the LSTM's. "of bare scan", for cells
whose step has no product: time, as a share of the scan's.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

import carousel
from carousel.cells import Cell, catalogue
from carousel.engines import ENGINES
from carousel.program import trace
from carousel.program.cost import multiply_adds

STEPS, BATCH, SIZE = 100, 32, 128
AS_PEERS_CALL_THEM = {
    "antisymmetric-rnn": "AntisymmetricRNN", "atr": "ATR", "brc": "BR", "cfn": "CFN", "cornn": "coRNN", "dsgu": "DSGU",
    "fastgrnn": "FastGRNN",
    "fastrnn": "FastRNN", "gated-antisymmetric-rnn": "GatedAntisymmetricRNN", "indrnn": "IndRNN",
    "intersection-rnn": "IntersectionRNN", "janet": "JANET", "lem": "LEM", "li-gru": "LiGRU", "light-ru": "LightRU",
    "lstm-1997": "OriginalLSTM", "memory-controller-lstm": "MCLSTM", "mgu": "MGU", "minimal-rnn": "MinimalRNN",
    "miru1": "MiRU1", "miru2": "MiRU2", "multiplicative-lstm": "MultiplicativeLSTM", "mut1": "MUT1", "mut2": "MUT2",
    "mut3": "MUT3", "nas": "NAS", "nbrc": "NBR", "peephole-lstm": "PeepholeLSTM", "ran": "RAN",
    "residual-lstm": "ResLSTM", "scrn": "SCRN", "sgrn": "SGRN", "sgu": "SGU", "star": "STAR", "t-gru": "TGRU",
    "t-lstm": "TLSTM", "t-rnn": "TRNN", "tau-gru": "tauGRU", "ugrnn": "UGRNN", "unicornn": "UnICORNN",
    "working-memory-lstm": "WMCLSTM",
}  # fmt: skip
DTYPES = torch.float32, torch.float64
Work = Callable[[], tuple[torch.Tensor, ...]]


def bare_scan(count: int) -> Cell:
    """As many products of the input as a cell has, added up over time: what the reading and the writing alone take."""

    class BareScan(Cell):
        inputs = tuple(f"a{k}" for k in range(count))

        def step(self, h, x):
            total = 0.5 * h
            for part in x:
                total = total + part
            return total

    return BareScan()


def layer_of(cell: str | Cell, engine: str, dtype: torch.dtype = torch.float32) -> torch.nn.Module:
    torch.manual_seed(0)
    size = SIZE // 2 if cell == "projected-lstm" else 0
    return carousel.Recurrent(cell, width_of(cell), SIZE, proj_size=size, engine=engine).to(dtype)


def width_of(cell: str | Cell) -> int:
    """How many columns an input has whose gates read SIZE of them."""
    parts = (catalogue()[cell] if isinstance(cell, str) else cell).part_table().values()
    return sum(1 if size == "one" else SIZE for size in parts) or SIZE


def peer_of(name: str) -> tuple[str, torch.nn.Module]:
    """torchrecurrent's layer where it has one and is installed, else the loop."""
    try:
        import torchrecurrent
    except ImportError:
        return "loop", layer_of(name, "reference")
    if name not in AS_PEERS_CALL_THEM:
        return "loop", layer_of(name, "reference")
    return "torchrecurrent", getattr(torchrecurrent, AS_PEERS_CALL_THEM[name])(SIZE, SIZE)


def training(layer: torch.nn.Module) -> Work:
    """One forward and backward pass, and what it gave."""
    random = torch.Generator().manual_seed(1)
    width = getattr(layer, "input_size", SIZE)
    x = torch.randn(STEPS, BATCH, width, generator=random)
    if width != SIZE:  # masks and times, which lie between 0 and 1
        x = x.sigmoid()
    parameters = list(layer.parameters())
    x = x.to(parameters[0].dtype).requires_grad_()
    upstream = torch.randn(STEPS, BATCH, SIZE, generator=random).to(x.dtype)

    def run() -> tuple[torch.Tensor, ...]:
        output = layer(x)[0]
        given = upstream[..., : output.shape[-1]]
        return (output.detach(), *torch.autograd.grad(output, [x, *parameters], given, allow_unused=True))

    return run


def verify(name: str, ours: Work) -> None:
    """Raises SystemExit where the native engine does not give what the reference engine gives.

    Both round. Where a cell amplifies that (a layer norm of states that are nearly equal), the reference engine in
    float64 says by how much: the native engine may be off by five times what the reference engine is off in float32.
    """
    for found, wanted, exact in zip(ours(), *(training(layer_of(name, "reference", d))() for d in DTYPES), strict=True):
        largest = max(1.0, exact.abs().max().item())
        allowed = max(1e-4 * largest, 5 * (wanted - exact).abs().max().item())
        if (found - exact).abs().max().item() > allowed:
            raise SystemExit(f"{name}: the native engine gives other numbers than the reference engine")


def measure(name: str, seconds: float) -> dict[str, float | str]:
    """Median times in milliseconds, and what follows from them."""
    program = trace(catalogue()[name])
    ours = training(layer_of(name, "native"))
    verify(name, ours)
    peer, theirs = peer_of(name)
    works = {"native": ours, "peer": training(theirs), "lstm": training(layer_of("lstm", "native"))}
    works["bare"] = training(layer_of(bare_scan(len(program.inputs)), "native"))
    times: dict[str, list[float]] = {what: [] for what in works}
    for work in works.values():
        work()
    gc.collect()
    begin = time.perf_counter()
    while time.perf_counter() - begin < seconds or len(times["peer"]) < 3:
        for what, work in works.items():
            before = time.perf_counter()
            work()
            times[what].append(time.perf_counter() - before)
    median = {what: 1000 * statistics.median(found) for what, found in times.items()}
    per_unit, lstm = multiply_adds(program), multiply_adds(trace(catalogue()["lstm"]))
    in_product = lambda cost: SIZE * (cost.input + cost.hidden) + SIZE // 2 * cost.projection  # noqa: E731
    return {
        "cell": name,
        "native": median["native"],
        "peer": peer,
        "peer ms": median["peer"],
        "faster": median["peer"] / median["native"],
        "of LSTM": median["native"] / in_product(per_unit) / (median["lstm"] / in_product(lstm)),
        "of bare scan": median["native"] / median["bare"] if not program.products else 0.0,
    }


def processor() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        found = None
    return found[1] if found else platform.processor()


def table(rows: list[dict]) -> str:
    lines = [f"{processor()}, one thread, torch {torch.__version__}, ({BATCH}, {SIZE}), {STEPS} steps, training", ""]
    lines += [
        "| cell | native ms | peer | peer ms | times as fast | of LSTM | of bare scan |",
        "|---|--:|---|--:|--:|--:|--:|",
    ]
    for row in rows:
        bare = f"{row['of bare scan']:.2f}" if row["of bare scan"] else ""
        lines.append(
            f"| {row['cell']} | {row['native']:.1f} | {row['peer']} | {row['peer ms']:.1f} | {row['faster']:.1f} "
            f"| {row['of LSTM']:.2f} | {bare} |"
        )
    faster = [row["faster"] for row in rows]
    return "\n".join([*lines, "", f"Least {min(faster):.1f}, median {statistics.median(faster):.1f} times as fast."])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--cells", nargs="+", default=[name for name, cell in catalogue().items() if cell.children is None]
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="for each cell")
    parser.add_argument("--out", type=Path, default=Path("cells.jsonl"), help="what was measured, a line for each cell")
    parser.add_argument("--again", action="store_true", help="measure also what was measured before")
    parser.add_argument("--markdown", action="store_true", help="print the table, and measure nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)

    lines = options.out.read_text(encoding="utf-8").splitlines() if options.out.exists() else []
    found = {row["cell"]: row for row in map(json.loads, lines)}
    for name in options.cells if not options.markdown else ():
        if name in found and not options.again:
            continue
        if why := ENGINES["native"].why_not(trace(catalogue()[name]), torch.float32, torch.device("cpu")):
            print(f"{name}: not on the native engine: {why}", flush=True)
            continue
        found[name] = measure(name, options.seconds)
        with options.out.open("a", encoding="utf-8") as file:
            file.write(f"{json.dumps(found[name])}\n")
        print(f"{name}: {found[name]['faster']:.1f} times as fast as the {found[name]['peer']}", flush=True)
    if rows := [found[name] for name in options.cells if name in found]:
        print(table(rows))


if __name__ == "__main__":
    main()
