"""The text of `layer.explain()`: which engine runs a layer, why, and the cost of a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from carousel import engines
from carousel.engines.engine import Engine
from carousel.layers.layer import Layer
from carousel.program import Interface, Program

if TYPE_CHECKING:
    from carousel.layers.trees import Recursive, Trees


def explain(layer: Layer, steps: int, batch: int, plan: bool) -> str:
    """See `Recurrent.explain`."""
    program = layer.add_ins(layer.training).program
    weight = layer.weight_ih_l0
    chosen, lines = _engine(layer, program, hooked=bool(layer.hooks))
    lines.append(_cost(program, layer.why_untraced))
    if chosen.division is not None and steps > 0 and batch > 0:
        how = chosen.division(program, weight.dtype, layer.sizes, steps, batch)
        lines.append(f"{steps} steps of {batch} rows: {how}")
    if plan:
        lines += _plan(layer, chosen, program, trees=False)
    return "\n".join(lines)


def explain_over_trees(layer: Recursive, trees: Trees | None, plan: bool) -> str:
    """See `Recursive.explain`."""
    program = layer.add_ins(layer.training).program
    chosen, lines = _engine(layer, program, trees=True)
    if trees is not None and trees.nodes and chosen.division_of_trees is not None:
        levels = trees.order(downwards=layer.direction == "down").levels
        how = chosen.division_of_trees(program, layer.weight_ih_l0.dtype, layer.sizes, levels)
        lines.append(f"{trees.nodes} nodes of {len(trees)} trees in {len(levels.sizes)} levels: {how}")
    if plan:
        lines += _plan(layer, chosen, program, trees=True)
    return "\n".join(lines)


def _engine(layer: Layer | Recursive, program: Interface, **how: bool) -> tuple[Engine, list[str]]:
    """The engine that runs a layer, and the lines that name both and give the reasons against other engines."""
    weight = layer.weight_ih_l0
    chosen, reasons = engines.choose(layer.engine, program, weight.dtype, weight.device, **how)
    lines = [f"{layer}", f"engine: {chosen.name}" + (" (asked for)" if layer.engine != "auto" else "")]
    return chosen, lines + [f"not {other}: {why}" for other, why in reasons.items()]


def _cost(program: Interface, why_untraced: str) -> str:
    if not isinstance(program, Program):
        return f"the step runs as plain Python: {why_untraced}"
    products = len(program.products) + sum(node.op == "product_transposed" for node in program.nodes)
    return (
        f"one step: {program.count('pointwise')} pointwise ops, {products} matrix "
        f"product{'s' * (products != 1)}, {program.sequential_products} of them one after another"
    )


def _plan(layer: Layer | Recursive, chosen: Engine, program: Interface, trees: bool) -> Iterator[str]:
    if chosen.listing is None:
        yield f"the {chosen.name} engine runs the program as it stands: print(layer.program)"
        return
    yield ""
    yield chosen.listing(program, layer.weight_ih_l0.dtype, layer.sizes, trees)
