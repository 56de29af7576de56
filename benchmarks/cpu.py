"""How fast layers are on this CPU: Carousel's engines beside torch.nn, a plain Python loop and ONNX Runtime.

    python benchmarks/cpu.py                    # the table, some minutes
    python benchmarks/cpu.py --quick            # the smallest sizes
    python benchmarks/cpu.py --cells lstm gru --sizes 32x256 --threads 2 --markdown

Every candidate first has to give the reference engine's values and gradients. Then all of a row take turns, call by
call, so that what else the machine does meets them alike; each is given by its median and its best time. GFLOP/s count
the matrix products alone; "of limit" is the share of what this CPU's multiply-adds reach in the same run.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

import carousel
from carousel import cells
from carousel.engines import native, native_call

SIZES = ("1x128", "8x128", "32x128", "32x256", "32x512", "64x1024")
CELLS = ("lstm", "gru", "rnn", "peephole-lstm", "coupled-lstm", "gru-reset-before", "layer-norm-lstm", "light-gru")
PEERS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
STEPS = 128


class LightGRU(carousel.Cell):
    """A cell as a user writes it."""

    gates = "z", "n"

    def step(self, h, z, n):
        z = torch.sigmoid(z)
        return z * h + (1 - z) * torch.relu(n)


@dataclass
class Candidate:
    """name: as printed. run: the work, once. values: what it computed, to be verified."""

    name: str
    run: Callable[[], tuple[torch.Tensor, ...]]


def fma_limit(threads: int) -> float:
    """GFLOP/s that float32 multiply-adds reach on all threads: the best of many short stretches."""
    library, isa = native_call.library(), native_call.isa()
    best = float("inf")
    for _ in range(200):
        begin = time.perf_counter()
        operations = library.c.carousel_multiply_adds(isa, 50_000) * 50_000
        best = min(best, time.perf_counter() - begin)
    return threads * operations / best / 1e9


def layer_of(name: str, hidden: int, engine: str) -> torch.nn.Module:
    """A layer of a cell, its parameters the same for every engine."""
    torch.manual_seed(0)
    cell = LightGRU() if name == "light-gru" else cells.catalogue()[name]
    return carousel.Recurrent(cell, hidden, hidden, engine=engine)


def candidates(name: str, batch: int, hidden: int, train: bool, loop: bool) -> list[Candidate]:
    torch.manual_seed(1)
    x = torch.randn(STEPS, batch, hidden, requires_grad=train)
    upstream = torch.randn(STEPS, batch, hidden)
    ours = layer_of(name, hidden, "native")
    layers = {"native": ours}
    if name in PEERS:
        layers["torch.nn"] = PEERS[name](hidden, hidden)
        layers["torch.nn"].load_state_dict(ours.state_dict())
    if loop or name not in PEERS:
        layers["Python loop"] = layer_of(name, hidden, "reference")

    def work(layer: torch.nn.Module) -> Callable[[], tuple[torch.Tensor, ...]]:
        parameters = list(layer.parameters())

        def run() -> tuple[torch.Tensor, ...]:
            if not train:
                with torch.no_grad():
                    return (layer(x)[0],)
            output = layer(x)[0]
            return (output.detach(), *torch.autograd.grad(output, [x, *parameters], upstream))

        return run

    found = [Candidate(peer, work(layer)) for peer, layer in layers.items()]
    if not train and name in PEERS and (session := onnx_session(layers["torch.nn"], x)):
        found.append(Candidate("ONNX Runtime", session))
    return found


def onnx_session(layer: torch.nn.RNNBase, x: torch.Tensor) -> Callable[[], tuple[torch.Tensor, ...]] | None:
    """The layer in ONNX Runtime, by ONNX's own recurrent operator; None where it is not installed."""
    try:
        import numpy as np
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        return None
    gates = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}[layer.mode.split("_")[0]]  # ONNX's order of ours

    def ordered(p: torch.Tensor) -> np.ndarray:
        blocks = p.detach().chunk(len(gates))
        return torch.cat([blocks[g] for g in gates]).numpy()[None]

    bias = np.concatenate([ordered(layer.bias_ih_l0), ordered(layer.bias_hh_l0)], -1)
    weights = {"W": ordered(layer.weight_ih_l0), "R": ordered(layer.weight_hh_l0), "B": bias}
    kind = layer.mode.split("_")[0]
    extra = {"linear_before_reset": 1} if kind == "GRU" else {}
    node = helper.make_node(kind, ["X", "W", "R", "B"], ["Y"], hidden_size=layer.hidden_size, **extra)
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, list(x.shape))],
        [helper.make_tensor_value_info("Y", TensorProto.FLOAT, [x.shape[0], 1, x.shape[1], layer.hidden_size])],
        [numpy_helper.from_array(array, key) for key, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # or it takes the cores from the others
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    given = {"X": x.detach().numpy()}
    return lambda: (torch.from_numpy(session.run(None, given)[0][:, 0]),)


def verify(found: list[Candidate], name: str, batch: int, hidden: int, train: bool) -> None:
    """No time is reported for wrong numbers.

    None may be farther from float64 than a few times the reference in float32: over 128 steps some cells enlarge any
    rounding a thousandfold.
    """
    exact, rounded = (
        expected_of(layer_of(name, hidden, "reference").to(dtype), batch, hidden, train, dtype)
        for dtype in (torch.float64, torch.float32)
    )
    for candidate in found:
        for value, wanted, near in zip(candidate.run(), exact, rounded, strict=True):
            allowed = 8 * (near - wanted).abs().max().item() + 1e-5 * wanted.abs().max().item()
            off = (value - wanted).abs().max().item()
            if not off <= allowed:
                raise SystemExit(f"{candidate.name} is wrong: {name} {batch}x{hidden} is off by {off}, not {allowed}")


def measure(found: list[Candidate], seconds: float) -> dict[str, list[float]]:
    """Times of each candidate, in turns, until the time is up."""
    times: dict[str, list[float]] = {candidate.name: [] for candidate in found}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[found[0].name]) < 5:
        for candidate in found:
            begin = time.perf_counter()
            candidate.run()
            times[candidate.name].append(time.perf_counter() - begin)
    return times


def table(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    limit = fma_limit(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads, {native.status()['instruction set']}")
    print(f"limit of float32 multiply-adds: {limit:.0f} GFLOP/s; {STEPS} steps, input size = hidden size\n")
    bar = "|" if arguments.markdown else " "
    heads = ("cell", "work", "B x H", "candidate", "median ms", "best ms", "GFLOP/s", "of limit", "native is")
    widths = (16, 8, 8, 12, 10, 9, 8, 9, 10)
    line = bar.join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True))
    print(f"{bar}{line}{bar}")
    if arguments.markdown:
        print("|" + "|".join("-" * width for width in widths) + "|")
    for name in arguments.cells:
        for size in arguments.sizes:
            batch, hidden = map(int, size.split("x"))
            for train in (True, False):
                found = candidates(name, batch, hidden, train, arguments.loop)
                if not arguments.unverified:
                    verify(found, name, batch, hidden, train)
                times = measure(found, arguments.seconds)
                gates = len((LightGRU() if name == "light-gru" else cells.catalogue()[name]).gates)
                gates = 1 if isinstance(gates, str) else gates
                flops = (3 if train else 1) * 4 * STEPS * batch * gates * hidden * hidden
                base = statistics.median(times["native"]), min(times["native"])
                for peer, taken in times.items():
                    median, best = statistics.median(taken), min(taken)
                    speed = flops / best / 1e9
                    ratio = "" if peer == "native" else f"{median / base[0]:.2f}x"
                    cells_of_row = (
                        name, "training" if train else "forward", size, peer,
                        f"{median * 1e3:.2f}", f"{best * 1e3:.2f}", f"{speed:.0f}", f"{speed / limit:.0%}", ratio,
                    )  # fmt: skip
                    line = bar.join(f"{cell:>{width}}" for cell, width in zip(cells_of_row, widths, strict=True))
                    print(f"{bar}{line}{bar}", flush=True)


def expected_of(
    layer: torch.nn.Module, batch: int, hidden: int, train: bool, dtype: torch.dtype
) -> tuple[torch.Tensor, ...]:
    """What a layer computes for the inputs that `candidates` draws."""
    torch.manual_seed(1)
    x = torch.randn(STEPS, batch, hidden).to(dtype).requires_grad_(train)
    upstream = torch.randn(STEPS, batch, hidden).to(dtype)
    output = layer(x)[0]
    if not train:
        return (output.detach(),)
    return (output.detach(), *torch.autograd.grad(output, [x, *layer.parameters()], upstream))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=CELLS, help="names in the catalogue")
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="batch x hidden")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=4.0, help="for each row of the table")
    parser.add_argument("--quick", action="store_true", help="three cells, three sizes, one second each")
    parser.add_argument("--loop", action="store_true", help="the Python loop also where torch.nn has the cell")
    parser.add_argument("--unverified", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.cells, arguments.sizes, arguments.seconds = ("lstm", "gru", "peephole-lstm"), SIZES[:3], 1.0
    table(arguments)


if __name__ == "__main__":
    main()
