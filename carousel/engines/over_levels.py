"""The reference engine over trees: a program run level by level in torch ops. It is the meaning of such a scan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from carousel.engines.call import Sizes
from carousel.engines.call import sizes_of as sizes_of_parameters
from carousel.engines.engine import Rows
from carousel.engines.inside_torch import never_traced
from carousel.engines.levels import Levels
from carousel.engines.step import prepare_program, sizes_of
from carousel.program import Program
from carousel.program.ops import Members
from carousel.program.sharing import made_once


@made_once(1024)
def results_of(program: Program) -> dict[Any, int]:
    """What a scan over trees returns at every node, in order, result -> node: what it emits, and all other states."""
    recorded = (key for key in program.outputs if isinstance(key, tuple))
    others = (state for state in program.states if state != program.output_state)
    return {key: program.outputs[key] for key in (program.output_state, *recorded, *others)}


class Nodes(NamedTuple):
    """The inputs of a fused engine's scan over trees, as `scan_levels` takes them.

    parameters, streams: in the program's order. at: rising, on the CPU. from_zero: whether the first states are zero
    and have no gradients. bfloat16: as in `call.Inputs`.
    """

    program: Program
    x: Tensor
    levels: Levels
    first: Rows
    parameters: Rows
    streams: Rows
    at: Tensor | None
    from_zero: bool
    bfloat16: bool

    @property
    def tensors(self) -> Rows:
        """The tensors that may have gradients: x, the first states, the parameters and the streams."""
        return (self.x, *self.first, *self.parameters, *self.streams)

    @property
    def sizes(self) -> Sizes:
        return sizes_of_parameters(self.program, self.parameters)

    def at_run_time(self) -> Nodes:
        """The same, checked, with what a compiler cannot know: whether first states are zero, and rows as they lie.

        Raises ValueError for tensors so short that an engine would read past their ends.
        """
        self.levels.check()
        sizes, nodes, at = self.sizes, self.levels.nodes, self.at
        if at is not None and (at.dtype != torch.int64 or len(at) != len(self.x) or not _rise(at, nodes)):
            raise ValueError(
                f"Recursive: at must name {len(self.x)} nodes, one for each row of the input, each once and from 0 to "
                f"{nodes - 1}, but names {at.tolist()[:20]}"
            )
        children = self.program.children
        if children != "any" and self.levels.most_sources > (most := 1 if children is None else int(children)):
            raise ValueError(
                f"Recursive: a node has {self.levels.most_sources} nodes that it goes on from, and the cell "
                f"{self.program.cell} continues {most}"
            )
        shapes: list[tuple[int, ...]] = [
            (nodes if at is None else len(at), sizes.parameters[0][1]),
            *((1, units) for units in sizes.states),
        ]
        shapes += [*sizes.parameters, *((nodes, units) for units in sizes.streams)]
        self._check(shapes, self.tensors)
        from_zero = self.from_zero and not any(bool(state.any()) for state in self.first)
        of = (tuple(t.contiguous() for t in given) for given in (self.first, self.parameters, self.streams))
        first, parameters, streams = of
        whole = self._replace(x=self.x.contiguous(), first=first, parameters=parameters, streams=streams)
        return whole._replace(from_zero=from_zero or self.program.children == "any")

    def check_gradients(self, results: Sequence[Tensor], saved: Tensor, upstream: Sequence[Tensor], kept: int) -> None:
        """As `at_run_time`, for the further inputs of backward. kept: the count of numbers that forward kept."""
        self._check([*self.shapes, (kept,), *self.shapes], (*results, saved, *upstream))

    def _check(self, shapes: Sequence[tuple[int, ...]], tensors: Sequence[Tensor]) -> None:
        found = [(tuple(t.shape), t.dtype, t.device) for t in tensors]
        if found != [(tuple(shape), self.x.dtype, self.x.device) for shape in shapes]:
            raise ValueError(
                f"a scan of {self.program.cell} over {self.levels.nodes} nodes takes tensors of the shapes {shapes}, "
                f"of one dtype on one device, but got {found}"
            )

    @property
    def results(self) -> tuple[Any, ...]:
        return tuple(results_of(self.program))

    @property
    def of_members(self) -> list[bool]:
        """Whether a result has a row for each edge to a child, and not for each node."""
        return [bool(self.program.nodes[index].members) for index in results_of(self.program).values()]

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """The shapes of the results."""
        units, counts = self.sizes.units, (self.levels.nodes, self.levels.edges)
        nodes = (self.program.nodes[index] for index in results_of(self.program).values())
        return [(counts[bool(node.members)], units[node.size]) for node in nodes]


def _rise(at: Tensor, nodes: int) -> bool:
    """Whether these are numbers of nodes, each at most once, rising."""
    return not len(at) or bool((at.diff() > 0).all() and at[0] >= 0 and at[-1] < nodes)


def scan_levels(
    program: Program,
    x: Tensor,
    levels: Levels,
    first: Rows,
    weights: Mapping[str, Tensor],
    at: Tensor | None = None,
    streams: Mapping[str, Tensor] | None = None,
) -> tuple[Rows, Rows]:
    """Runs a step at every node. Any device, dtype and autograd transform of torch's own functions.

    x: (nodes, input), in the order of the scan; with `at`, (rows, input), of these nodes alone: at all others the input
        part of a gate is its bias.
    first: each state, (1, size), of which a node reads a copy for each child that it does not have.
    weights: as `reference.scan` takes them.
    streams: the rows of each of the program's streams, (nodes, size), in the order of the scan.
    Returns what the program emits, and the new states, at every node; (nodes, size) each.
    """
    given = tuple((streams or {})[name] for name in program.streams)
    if levels.nodes == 0:
        return _nothing(program, x, first, weights, given)
    inputs = F.linear(x, weights["weight_ih"], weights.get("bias_ih"))
    if at is not None:
        bias = weights.get("bias_ih")
        nothing = inputs.new_zeros(levels.nodes, inputs.shape[1])
        inputs = (nothing if bias is None else nothing + bias).index_copy(0, at, inputs)
    children = program.children
    slots = None if children == "any" else children if isinstance(children, int) else 1
    step = prepare_program(program, weights, x)
    held = first
    found: list[tuple[Rows, Rows]] = []
    parts = zip(*(rows.split(list(levels.sizes)) for rows in (inputs, *given)), strict=True)
    for visit, rows in zip(levels.visits(slots, x.device), parts, strict=True):
        if slots is None:
            read = tuple(state.index_select(0, visit.reads) for state in held)
            emitted, new = step(rows, read, Members(visit.of, visit.size))
        elif not found:  # nodes of the first level continue none: one row stands for all, and is multiplied once
            made = step(rows, tuple(state for state in held for _ in range(slots)))
            emitted, new = (tuple(row.expand(visit.size, -1) for row in each) for each in made)
        else:  # the rows of all states, child by child
            read = tuple(state.index_select(0, visit.reads) for state in held)
            emitted, new = step(rows, tuple(part for state in read for part in _by_child(state, slots)))
        found.append((emitted, new))
        held = tuple(
            torch.cat((state[:1], state.index_select(0, visit.keeps), made.index_select(0, visit.gives)))
            for state, made in zip(held, new, strict=True)
        )
    emitted_levels, state_levels = zip(*found, strict=True)
    return _together(emitted_levels), _together(state_levels)


scan_outside_graphs = never_traced(
    "the reference engine runs trees level by level in Python; `explain()` of the layer says why it runs them"
)(scan_levels)


def _nothing(
    program: Program, x: Tensor, first: Rows, weights: Mapping[str, Tensor], streams: Rows
) -> tuple[Rows, Rows]:
    """Results with no rows. They depend on all that is given, so that gradients are zero and not None."""
    nothing = x.sum() + sum(given.sum() for given in (*weights.values(), *streams))
    sizes = sizes_of(program, weights) | {"one": 1}
    emitted = tuple(x.new_zeros(0, sizes[program.nodes[index].size]) + nothing for index in program.emitted)
    return emitted, tuple(state[:0] + nothing for state in first)


def _by_child(rows: Tensor, slots: int) -> tuple[Tensor, ...]:
    return (rows,) if slots == 1 else rows.unflatten(0, (-1, slots)).unbind(1)


def _together(levels: tuple[Rows, ...]) -> Rows:
    return tuple(map(torch.cat, zip(*levels, strict=True)))
