"""What `cpu.py` times: a cell on Carousel's engines, in torch.nn and elsewhere, all verified before they are timed."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cpu_peers
import torch

import carousel
from carousel import cells
from carousel.engines.native import prepared

PEERS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "rnn": torch.nn.RNN}


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


class UserRNN(carousel.Cell):
    """The built-in RNN, as a user would write it."""

    gates = "n"

    def step(self, n):
        return torch.tanh(n)


# Cells that a user wrote, and the built-in cell with the same equations.
USERS = {"light-gru": LightGRU(), "user-lstm": UserLSTM(), "user-rnn": UserRNN()}
BUILT_IN = {"user-lstm": "lstm", "user-rnn": "rnn"}


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
    name: str,
    steps: int,
    batch: int,
    hidden: int,
    train: bool,
    *,
    others: Sequence[str] = tuple(cpu_peers.FORWARD),
    loop: bool = False,
    compiled: bool = False,
    bfloat16: bool = False,
) -> list[Candidate]:
    """Who computes this row: Carousel and torch.nn, then `others`, those of them that are installed."""
    x, upstream = drawn(steps, batch, hidden)
    x.requires_grad_(train)
    ours = layer_of(name, hidden, "native")
    layers = {"native": ours}
    if name in PEERS:
        layers["torch.nn"] = PEERS[name](hidden, hidden)
        layers["torch.nn"].load_state_dict(ours.state_dict())
    if loop or name not in PEERS:
        layers["Python loop"] = layer_of(name, hidden, "reference")
    if name in BUILT_IN:
        layers["built-in"] = layer_of(BUILT_IN[name], hidden, "native")
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
        for peer, make in (cpu_peers.TRAINING if train else cpu_peers.FORWARD).items():
            if peer not in others:
                continue
            try:
                run = make(theirs, x, upstream)
            except ImportError:
                continue  # it is not installed
            found.append(Candidate(peer, run))
    return found


def verify(found: list[Candidate], name: str, steps: int, batch: int, hidden: int, train: bool) -> dict[str, float]:
    """Refuses wrong numbers: no time is reported for them. By how much each candidate is off, of the largest number.

    None may be farther from float64 than a few times the reference in float32: over 128 steps some cells enlarge any
    rounding a thousandfold.
    """
    exact, rounded = (
        expected_of(layer_of(name, hidden, "reference").to(dtype), steps, batch, hidden, train)
        for dtype in (torch.float64, torch.float32)
    )
    errors = dict.fromkeys((candidate.name for candidate in found), 0.0)
    for candidate in found:
        for value, wanted, near in zip(candidate.run(), exact, rounded, strict=True):
            allowed = 8 * (near - wanted).abs().max().item() + candidate.rounds * wanted.abs().max().item()
            off = (value - wanted).abs().max().item()
            if not off <= allowed:
                raise SystemExit(f"{candidate.name} is wrong: {name} {batch}x{hidden} is off by {off}, not {allowed}")
            errors[candidate.name] = max(errors[candidate.name], off / wanted.abs().max().item())
    return errors


def expected_of(layer: torch.nn.Module, steps: int, batch: int, hidden: int, train: bool) -> tuple[torch.Tensor, ...]:
    """What a layer computes for the inputs that `candidates` draws, in its own dtype."""
    x, upstream = (t.to(layer.weight_ih_l0.dtype) for t in drawn(steps, batch, hidden))
    x.requires_grad_(train)
    output = layer(x)[0]
    if not train:
        return (output.detach(),)
    return (output.detach(), *torch.autograd.grad(output, [x, *layer.parameters()], upstream))
