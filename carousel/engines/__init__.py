"""Engines run a program over time. All engines give the same results, and the choice of one is always explained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor

from carousel.engines import native, over_levels, reference
from carousel.engines.chunks import chunk_length, scan_in_chunks
from carousel.engines.context import Context
from carousel.engines.engine import Around, Engine, ReadyScan, Stepper
from carousel.engines.levels import Levels
from carousel.engines.step import sizes_of
from carousel.program import Interface, Program

# In order of preference: "auto" chooses the first engine that has no reason not to run.
ENGINES: dict[str, Engine] = {
    "native": Engine(
        "native",
        native.scan,
        native.why_not,
        native.Stepper,
        native.kept,
        division=native.division,
        division_of_trees=native.division_of_trees,
        listing=native.listing,
        ready=native.ReadyNativeScan,
        scan_levels=native.scan_levels,
    ),
    "reference": Engine(
        "reference",
        reference.scan,
        lambda *_: None,
        reference.Stepper,
        reference.kept,
        calls_python=True,
        scan_levels=over_levels.scan_outside_graphs,
    ),
}

NAMES = ("auto", *ENGINES)


def check_name(name: str) -> None:
    """Raises ValueError unless the name is "auto" or that of an engine."""
    if name not in NAMES:
        raise ValueError(f"engine must be one of {', '.join(map(repr, NAMES))}, but {name!r} was given")


def choose(
    name: str, program: Interface, dtype: torch.dtype, device: torch.device, hooked: bool = False, trees: bool = False
) -> tuple[Engine, dict[str, str]]:
    """The engine that runs a program on rows of this dtype and device, and the reasons against the engines before it.

    name: the name of an engine, or "auto", which chooses. hooked: whether Python code must be called at every step.
    trees: whether the scan goes over the levels of trees.
    Raises ValueError with the reason if the engine of that name cannot run the program.
    """
    check_name(name)
    reasons: dict[str, str] = {}
    for engine in ENGINES.values() if name == "auto" else [ENGINES[name]]:
        reason = engine.why_not(program, dtype, device)
        if reason is None and hooked and not engine.calls_python:
            reason = "it calls no Python at its steps, and this layer has a hook"
        if reason is None and trees and engine.scan_levels is None:
            reason = "it does not run over trees yet"
        if reason is None:
            return engine, reasons
        reasons[engine.name] = reason
    raise ValueError(f"engine={name!r} cannot run {program.cell} on {dtype} rows on {device}: {reasons[name]}")


def scan(
    engine: str,
    program: Interface,
    x: Tensor,
    batch_sizes: Sequence[int] | Tensor,
    states: tuple[Tensor, ...],
    weights: Mapping[str, Tensor],
    reverse: bool = False,
    streams: Mapping[str, Tensor] | None = None,
    checkpoint: int | str | None = None,
    around: Around | None = None,
    context: Context | None = None,
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Runs a program over time on the named engine; arguments and results as in `reference.scan`.

    checkpoint: the number of steps that backward recomputes at a time, or "auto"; see `chunks`.
    around, context: see `reference.scan`; with around nothing is recomputed.
    """
    chosen, _ = choose(engine, program, x.dtype, x.device, around is not None)
    run = chosen.scan if context is None else partial(chosen.scan, context=context)
    if around is not None:
        return run(program, x, batch_sizes, states, weights, reverse, streams, around)
    # A compiler that does not know the sizes of steps cannot divide them into chunks: layers then refuse a number, and
    # "auto" keeps everything.
    if checkpoint is not None and torch.is_grad_enabled() and not isinstance(batch_sizes, Tensor):

        def keeps() -> int:
            return x.shape[0] * chosen.kept(program, sizes_of(program, weights), x.dtype)

        every = chunk_length(checkpoint, len(batch_sizes), keeps)
        if every is not None:
            return scan_in_chunks(run, every, program, x, batch_sizes, states, weights, reverse, streams or {})
    return run(program, x, batch_sizes, states, weights, reverse, streams)


def scan_levels(
    engine: str,
    program: Program,
    x: Tensor,
    levels: Levels,
    first: tuple[Tensor, ...],
    weights: Mapping[str, Tensor],
    at: Tensor | None = None,
    streams: Mapping[str, Tensor] | None = None,
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Runs a program over trees on the named engine; arguments and results as in `over_levels.scan_levels`."""
    chosen, _ = choose(engine, program, x.dtype, x.device, trees=True)
    assert chosen.scan_levels is not None
    return chosen.scan_levels(program, x, levels, first, weights, at, streams)


def stepper(
    engine: str,
    program: Interface,
    weights: Mapping[str, Tensor],
    batch: int,
    streams: Mapping[str, Tensor],
    context: Context | None = None,
) -> Stepper:
    """An object that runs a program one step at a time, without gradients. It prepares the weights once."""
    weight = weights["weight_ih"]
    chosen, _ = choose(engine, program, weight.dtype, weight.device)
    more = {} if context is None else {"context": context}
    return chosen.stepper(program, weights, batch, streams, **more)


def ready(
    engine: str,
    program: Program,
    steps: int,
    batch: int,
    weights: Sequence[torch.Size],
    dtype: torch.dtype,
    reverse: bool = False,
) -> ReadyScan | None:
    """A scan of that engine over so many steps of `batch` rows, made ready for calls; None where there is none.

    weights: the shapes of its parameters, on the CPU.
    """
    chosen, _ = choose(engine, program, dtype, torch.device("cpu"))
    if chosen.ready is None or dtype not in (torch.float32, torch.float64):
        return None
    return chosen.ready(program, steps, batch, weights, dtype, reverse)
