"""How fast layers are on this CPU: Carousel's engines beside torch.nn, a Python loop, and what is installed of others.

The others are ONNX Runtime, OpenVINO and Keras (forward) and JAX.

    python benchmarks/cpu.py                    # the table, some minutes
    python benchmarks/cpu.py --quick            # the smallest sizes
    python benchmarks/cpu.py --cells lstm gru --sizes 32x256 --threads 2 --markdown
    python benchmarks/cpu.py --compiled --steps 16 --cells peephole-lstm --sizes 8x128    # torch.compile of the loop
    python benchmarks/cpu.py --streaming        # one step at a time

Every candidate first has to give the reference engine's values and gradients. Then all of a row take turns, call by
call, so that what else the machine does meets them alike; each is given by its median and its best time. GFLOP/s count
the matrix products alone; "of limit" is the share of what this CPU's multiply-adds reach in the same run.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

import carousel
from carousel import cells
from carousel.engines import native
from carousel.engines.native import prepared

SIZES = ("1x128", "8x128", "32x128", "32x256", "32x512", "64x1024")
CELLS = (
    "lstm",
    "gru",
    "rnn",
    "peephole-lstm",
    "coupled-lstm",
    "gru-reset-before",
    "layer-norm-lstm",
    "light-gru",
    "user-lstm",
)
PEERS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}
STEPS = 128


class LightGRU(carousel.Cell):
    """A cell as a user writes it."""

    gates = "z", "n"

    def step(self, h, z, n):
        z = torch.sigmoid(z)
        return z * h + (1 - z) * torch.relu(n)


class UserLSTM(carousel.Cell):
    """The built-in LSTM, as a user would write it: the same arithmetic should take the same time."""

    states = "h", "c"
    gates = "i", "f", "g", "o"

    def step(self, c, i, f, g, o):
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


USERS = {"light-gru": LightGRU(), "user-lstm": UserLSTM()}


def cell_of(name: str) -> carousel.Cell:
    return USERS[name] if name in USERS else cells.catalogue()[name]


@dataclass
class Candidate:
    """name: as printed. run: the work, once. rounds: by how much of the largest number it may be off, all told."""

    name: str
    run: Callable[[], tuple[torch.Tensor, ...]]
    rounds: float = 1e-5


def fma_limit(threads: int) -> float:
    """GFLOP/s that float32 multiply-adds reach on all threads: the best of many short stretches."""
    library, isa = prepared.library(), prepared.isa()
    best = float("inf")
    for _ in range(200):
        begin = time.perf_counter()
        operations = library.c.carousel_multiply_adds(isa, 50_000) * 50_000
        best = min(best, time.perf_counter() - begin)
    return threads * operations / best / 1e9


def layer_of(name: str, hidden: int, engine: str) -> torch.nn.Module:
    """A layer of a cell, its parameters the same for every engine."""
    torch.manual_seed(0)
    return carousel.Recurrent(cell_of(name), hidden, hidden, engine=engine)


def drawn(steps: int, batch: int, hidden: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The input, and the gradient of the output."""
    random = torch.Generator().manual_seed(1)
    return torch.randn(steps, batch, hidden, generator=random), torch.randn(steps, batch, hidden, generator=random)


def candidates(
    name: str, steps: int, batch: int, hidden: int, train: bool, loop: bool, compiled: bool, bfloat16: bool
) -> list[Candidate]:
    x, upstream = drawn(steps, batch, hidden)
    x.requires_grad_(train)
    ours = layer_of(name, hidden, "native")
    layers = {"native": ours}
    if name in PEERS:
        layers["torch.nn"] = PEERS[name](hidden, hidden)
        layers["torch.nn"].load_state_dict(ours.state_dict())
    if loop or name not in PEERS:
        layers["Python loop"] = layer_of(name, hidden, "reference")
    if name == "user-lstm":
        layers["built-in"] = layer_of("lstm", hidden, "native")
    if compiled:  # every step is compiled: for few steps
        layers["compiled"] = torch.compile(layer_of(name, hidden, "reference"))

    def work(layer: torch.nn.Module, x: torch.Tensor = x) -> Callable[[], tuple[torch.Tensor, ...]]:
        given = upstream.to(x.dtype)
        parameters = list(layer.parameters())

        def run() -> tuple[torch.Tensor, ...]:
            if not train:
                with torch.no_grad():
                    return (layer(x)[0],)
            output = layer(x)[0]
            return (output.detach(), *torch.autograd.grad(output, [x, *parameters], given))

        return run

    found = [Candidate(peer, work(layer)) for peer, layer in layers.items()]
    if bfloat16:
        low = x.detach().bfloat16().requires_grad_(train)
        for peer in ("native", *(["torch.nn"] if name in PEERS else [])):
            run = work(copy.deepcopy(layers[peer]).bfloat16(), low)
            found.append(Candidate(f"{peer} bf16", run, rounds=0.1))
        return found
    if name in PEERS:
        theirs = layers["torch.nn"]
        makers = {"JAX": jax_loop} if train else {
            "ONNX Runtime": onnx_session, "OpenVINO": openvino_model, "Keras": keras_layer, "JAX": jax_loop
        }  # fmt: skip
        for peer, make in makers.items():
            try:
                run = make(theirs, x, upstream)
            except ImportError:
                continue  # it is not installed
            found.append(Candidate(peer, run))
    return found


Run = Callable[[], tuple[torch.Tensor, ...]]


def kind_of(layer: torch.nn.RNNBase) -> str:
    return layer.mode.split("_")[0]


def openvino_model(layer: torch.nn.RNNBase, x: torch.Tensor, _: torch.Tensor) -> Run:
    """The layer in OpenVINO, from the same ONNX model."""
    import openvino

    model = openvino.Core().read_model(onnx_model(layer, x).SerializeToString())
    threads = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "INFERENCE_PRECISION_HINT": "f32"}
    ready = openvino.Core().compile_model(model, "CPU", threads)
    given = x.detach().numpy()
    return lambda: (torch.from_numpy(ready([given])[0].copy()[:, 0]),)


def keras_layer(layer: torch.nn.RNNBase, x: torch.Tensor, _: torch.Tensor) -> Run:
    """The layer in Keras on torch."""
    import os

    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    order = {"LSTM": [0, 1, 2, 3], "GRU": [1, 0, 2], "RNN": [0]}[kind_of(layer)]  # Keras' order of ours

    def ordered(p: torch.Tensor) -> torch.Tensor:
        blocks = p.detach().chunk(len(order))
        return torch.cat([blocks[g] for g in order])

    made = {"LSTM": keras.layers.LSTM, "GRU": keras.layers.GRU, "RNN": keras.layers.SimpleRNN}[kind_of(layer)]
    theirs = made(layer.hidden_size, return_sequences=True)
    given = x.detach().transpose(0, 1).contiguous()
    theirs.build(tuple(given.shape))
    biases = ordered(layer.bias_ih_l0), ordered(layer.bias_hh_l0)
    bias = torch.stack(biases) if kind_of(layer) == "GRU" else sum(biases)
    weights = ordered(layer.weight_ih_l0).t(), ordered(layer.weight_hh_l0).t(), bias
    theirs.set_weights([w.numpy() for w in weights])

    def run() -> tuple[torch.Tensor, ...]:
        with torch.no_grad():
            return (theirs(given).transpose(0, 1),)

    return run


def jax_loop(layer: torch.nn.RNNBase, x: torch.Tensor, upstream: torch.Tensor) -> Run:
    """The layer in JAX: lax.scan over the step, the input products of all steps at once, compiled."""
    import jax
    from jax import lax
    from jax import numpy as jnp

    kind, hidden = kind_of(layer), layer.hidden_size
    sigmoid = jax.nn.sigmoid

    def step(U, b, carry, a):
        h, c = carry
        u = h @ U.T + b
        if kind == "RNN":
            h = jnp.tanh(a + u)
        elif kind == "GRU":
            (xr, xz, xn), (ur, uz, un) = jnp.split(a, 3, -1), jnp.split(u, 3, -1)
            z, n = sigmoid(xz + uz), jnp.tanh(xn + sigmoid(xr + ur) * un)
            h = (1 - z) * n + z * h
        else:
            i, f, g, o = jnp.split(a + u, 4, -1)
            c = sigmoid(f) * c + sigmoid(i) * jnp.tanh(g)
            h = sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def forward(x, W, U, b_W, b_U):
        zero = jnp.zeros((x.shape[1], hidden), x.dtype)
        return lax.scan(lambda carry, a: step(U, b_U, carry, a), (zero, zero), x @ W.T + b_W)[1]

    def train(*arguments):
        output, pull_back = jax.vjp(forward, *arguments)
        return output, *pull_back(g)

    names = "weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0"
    given = [jnp.asarray(t.detach().numpy()) for t in (x, *(getattr(layer, name) for name in names))]
    g = jnp.asarray(upstream.numpy())
    run = jax.jit(train if x.requires_grad else lambda *arguments: (forward(*arguments),))
    # Its numbers are read as they lie: copying them would count against it.
    return lambda: tuple(torch.from_dlpack(t) for t in jax.block_until_ready(run(*given)))


def onnx_model(layer: torch.nn.RNNBase, x: torch.Tensor):
    """The layer as a model of one of ONNX's own recurrent operators."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    gates = {"LSTM": [0, 3, 1, 2], "GRU": [1, 0, 2], "RNN": [0]}[kind_of(layer)]  # ONNX's order of ours

    def ordered(p: torch.Tensor) -> np.ndarray:
        blocks = p.detach().chunk(len(gates))
        return torch.cat([blocks[g] for g in gates]).numpy()[None]

    bias = np.concatenate([ordered(layer.bias_ih_l0), ordered(layer.bias_hh_l0)], -1)
    weights = {"W": ordered(layer.weight_ih_l0), "R": ordered(layer.weight_hh_l0), "B": bias}
    kind = kind_of(layer)
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
    return model


def onnx_session(layer: torch.nn.RNNBase, x: torch.Tensor, _: torch.Tensor) -> Run:
    """The layer in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # or it takes the cores from the others
    session = onnxruntime.InferenceSession(
        onnx_model(layer, x).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    given = {"X": x.detach().numpy()}
    return lambda: (torch.from_numpy(session.run(None, given)[0][:, 0]),)


def verify(found: list[Candidate], name: str, steps: int, batch: int, hidden: int, train: bool) -> None:
    """No time is reported for wrong numbers.

    None may be farther from float64 than a few times the reference in float32: over 128 steps some cells enlarge any
    rounding a thousandfold.
    """
    exact, rounded = (
        expected_of(layer_of(name, hidden, "reference").to(dtype), steps, batch, hidden, train)
        for dtype in (torch.float64, torch.float32)
    )
    for candidate in found:
        for value, wanted, near in zip(candidate.run(), exact, rounded, strict=True):
            allowed = 8 * (near - wanted).abs().max().item() + candidate.rounds * wanted.abs().max().item()
            off = (value - wanted).abs().max().item()
            if not off <= allowed:
                raise SystemExit(f"{candidate.name} is wrong: {name} {batch}x{hidden} is off by {off}, not {allowed}")


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


def table(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    limit = fma_limit(arguments.threads)
    print(f"torch {torch.__version__}, {arguments.threads} threads, {native.status()['instruction set']}")
    print(f"limit of float32 multiply-adds: {limit:.0f} GFLOP/s; {arguments.steps} steps, input size = hidden size\n")
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
                shape = arguments.steps, batch, hidden, train
                found = candidates(name, *shape, arguments.loop, arguments.compiled, arguments.bfloat16)
                if not arguments.unverified:
                    verify(found, name, *shape)
                times = measure(found, arguments.seconds)
                gates = len(layer_of(name, 1, "reference").program.gates)
                flops = (3 if train else 1) * 4 * arguments.steps * batch * gates * hidden * hidden
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


def expected_of(layer: torch.nn.Module, steps: int, batch: int, hidden: int, train: bool) -> tuple[torch.Tensor, ...]:
    """What a layer computes for the inputs that `candidates` draws, in its own dtype."""
    x, upstream = (t.to(layer.weight_ih_l0.dtype) for t in drawn(steps, batch, hidden))
    x.requires_grad_(train)
    output = layer(x)[0]
    if not train:
        return (output.detach(),)
    return (output.detach(), *torch.autograd.grad(output, [x, *layer.parameters()], upstream))


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
def streaming(arguments: argparse.Namespace) -> None:
    """One step at a time beside torch.nn.LSTMCell, and the time it takes to read the weights from cache."""
    torch.set_num_threads(arguments.threads)
    print("LSTM, one row, one step at a time, microseconds, best of many; input size = hidden size\n")
    for row, hidden in enumerate((128, 256, 512)):
        runs = stepping(hidden)
        best = dict.fromkeys(runs, float("inf"))
        end = time.perf_counter() + arguments.seconds
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cells", nargs="+", default=CELLS, help="names in the catalogue")
    parser.add_argument("--sizes", nargs="+", default=SIZES, help="batch x hidden")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=4.0, help="for each row of the table")
    parser.add_argument("--quick", action="store_true", help="three cells, three sizes, one second each")
    parser.add_argument("--loop", action="store_true", help="the Python loop also where torch.nn has the cell")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--compiled", action="store_true", help="torch.compile of the Python loop too: for few steps")
    parser.add_argument("--bfloat16", action="store_true", help="native and torch.nn also in bfloat16, and no others")
    parser.add_argument("--streaming", action="store_true", help="one step at a time, instead of the table")
    parser.add_argument("--unverified", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.cells, arguments.sizes, arguments.seconds = ("lstm", "gru", "peephole-lstm"), SIZES[:3], 1.0
    (streaming if arguments.streaming else table)(arguments)


if __name__ == "__main__":
    main()
