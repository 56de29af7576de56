"""The derivative of a program, as a program: torch's own vjp of the step, traced and rewritten into the alphabet."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, fx

from carousel.errors import ProgramError
from carousel.program import expansions, ops
from carousel.program.builder import Builder, Ref, prune
from carousel.program.evaluate import evaluate
from carousel.program.program import Node, Program
from carousel.program.verify import verify

aten = torch.ops.aten

# Rows for tracing, as short as they can be and all different, so that a mix-up of sizes cannot pass.
BATCH, SIZES = 2, {"hidden": 3, "projection": 5, "one": 1}
SIZE_OF = {units: size for size, units in SIZES.items()}


@dataclass(frozen=True)
class Derivative:
    """One step of backpropagation: from the gradients of the new states to the gradients of everything step read.

    program: its leaves are `gradient` (of each new state and recorded value), `saved` (a value of the forward
        program) and the forward program's own leaves. Its results, per row of the batch, are the gradients of
        ("state", name), ("input", gate), ("stream", name), ("vector", attr), and of what a forward product gave,
        ("product", its node). What step does not read has none.
        The gradient of a weight is the sum over steps and rows of (gradient of its product) x (row it multiplied);
        of its bias, the sum of the gradient of its product: engines do both as one large product over all steps.
    saved: the forward values that it reads, in order.
    """

    program: Program
    saved: tuple[int, ...]


@lru_cache(maxsize=256)
def differentiate(program: Program) -> Derivative:
    """The derivative of a forward program. Raises ProgramError if a derivative leaves the alphabet."""
    graph, inputs, wanted = _vjp_graph(program)
    b = Builder(program.weights, program.nodes)
    sizes = {key: program.nodes[index].size for key, index in program.outputs.items()}
    results = _translate(graph, inputs, wanted, sizes, b)
    return _separate(program, b, results)


def _vjp_graph(program: Program) -> tuple[fx.Graph, list[tuple[str, Any]], list[int]]:
    """torch's vjp of the step as a graph, what each of its inputs stands for, and whose gradients are its results.

    Every row the step reads is an input, each vector repeated for every row of the batch; and a zero is added to the
    result of every product, whose gradient is the gradient of that result.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    leaves = [i for i, node in enumerate(program.nodes) if node.op in ops.LEAVES]
    products = [i for i, node in enumerate(program.nodes) if node.op == "product"]
    wanted = [i for i in leaves if program.nodes[i].op in ("state", "input", "stream", "vector")]
    fixed = [i for i in leaves if i not in wanted]
    weights = sorted({program.nodes[i].attr for i in products})

    # The numbers do not matter. Nothing is drawn: tracing must not move the caller's random generator.
    def example(*sizes: int) -> Tensor:
        return torch.full(sizes, 0.5, dtype=torch.float64, device="cpu")

    def vjp(rows: list[Tensor], rest: list[Tensor], matrices: list[Tensor], gradients: list[Tensor]) -> Any:
        matrix = dict(zip(weights, matrices, strict=True))

        def new_states(*rows: Tensor) -> tuple[Tensor, ...]:
            given = dict(zip([*wanted, *products, *fixed], [*rows, *rest], strict=True))

            def multiply(node: int, row: Tensor) -> Tensor:
                return row @ matrix[program.nodes[node].attr].t() + given[node]

            values = evaluate(program, [given.get(i) for i in range(len(program.nodes))], multiply)
            return tuple(values[i] for i in program.outputs.values())

        pull_back = torch.func.vjp(new_states, *rows)[1]
        return pull_back(tuple(gradients))

    def traced() -> fx.Graph:
        arguments = (
            [example(BATCH, SIZES[program.nodes[i].size]) for i in (*wanted, *products)],
            [example() for _ in fixed],
            [example(SIZES[program.weights[w].rows], SIZES[program.weights[w].columns]) for w in weights],
            [example(BATCH, SIZES[program.nodes[i].size]) for i in program.outputs.values()],
        )
        return make_fx(torch.func.functionalize(vjp))(*arguments).graph

    # The caller may be in any mode: inference, autocast, an exporter's or a compiler's that watches every op. Modes are
    # a thread's own, and the derivative is always the same.
    with ThreadPoolExecutor(1) as thread:
        graph = thread.submit(traced).result()
    inputs: list[tuple[str, Any]] = [
        *(("node", i) for i in wanted),
        *(("zero", i) for i in products),
        *(("node", i) for i in fixed),
        *(("weight", w) for w in weights),
        *(("gradient", key) for key in program.outputs),
    ]
    return graph, inputs, [*wanted, *products]


def _translate(
    graph: fx.Graph, inputs: list[tuple[str, Any]], wanted: list[int], sizes: dict[Any, str], b: Builder
) -> dict[Any, Ref]:
    """Enters the graph into a builder that already holds the forward program: what it repeats is found, not added."""
    waiting = iter(inputs)
    value: dict[fx.Node, Any] = {}

    def of(a: Any) -> Any:
        return value[a] if isinstance(a, fx.Node) else a

    for node in graph.nodes:
        if node.op == "placeholder":
            kind, what = next(waiting)
            match kind:
                case "node":
                    value[node] = Ref(what)
                case "zero":
                    value[node] = 0.0
                case "weight":
                    value[node] = _Matrix(what)
                case "gradient":
                    value[node] = b.leaf("gradient", what, sizes[what])
        elif node.op == "output":
            gradients = [of(a) for a in _leaves(node.args)]
            return {
                _result(b.nodes[i], i): b.value(0.0 if g is None else g) for i, g in zip(wanted, gradients, strict=True)
            }
        else:
            value[node] = _apply(node, [of(a) for a in node.args], {k: of(v) for k, v in node.kwargs.items()}, b)
    raise AssertionError("a graph ends with its output")


def _leaves(tree: Any) -> Iterator[Any]:
    for branch in tree:
        yield from _leaves(branch) if isinstance(branch, tuple | list) else (branch,)


def _result(node: Node, index: int) -> Any:
    return ("product", index) if node.op == "product" else (node.op, node.attr)


@dataclass(frozen=True)
class _Matrix:
    name: str
    transposed: bool = False


def _apply(node: fx.Node, args: list[Any], kwargs: dict[str, Any], b: Builder) -> Any:
    target = node.target
    if target is aten.t.default:
        return replace(args[0], transposed=not args[0].transposed)
    if target is aten.mm.default:
        # A row times the transposed weight is the product; times the weight as it stands, the transposed product.
        return b.product(args[1].name, b.value(args[0]), transposed=not args[1].transposed)
    if target is aten.expand.default:
        return b.broadcast(b.value(args[0]), SIZE_OF[args[1][-1]])
    if isinstance(args[0], _Matrix):
        return args[0]  # detach, alias
    if target in expansions.TABLE and (
        target not in ops.DERIVED or len(args) > ops.TABLE[ops.DERIVED[target]].arity or kwargs
    ):
        return expansions.TABLE[target](b, *args, **kwargs)
    if target in ops.DERIVED and not kwargs:
        return b.op(ops.DERIVED[target], *args[: ops.TABLE[ops.DERIVED[target]].arity])
    raise ProgramError(
        f"the derivative of the cell uses {target}, which is outside the alphabet of programs. "
        'Write the equation without it, or build the layer with engine="reference".'
    )


def _separate(program: Program, b: Builder, results: dict[Any, Ref]) -> Derivative:
    """Cuts the backward half off: forward values that it reads become `saved` leaves."""
    forward = len(program.nodes)
    nodes = list(b.nodes)
    for index in range(forward):
        node = nodes[index]
        # A relation is no row that could be saved: it is made anew from the rows it compares.
        if node.op in ops.TABLE and ops.TABLE[node.op].kind != "relation":
            nodes[index] = Node("saved", (), node.size, index, node.name, node.line)
    kept, outputs = prune(nodes, results)
    derivative = replace(program, nodes=kept, outputs=outputs, states={})
    verify(derivative)
    return Derivative(derivative, tuple(node.attr for node in kept if node.op == "saved"))
