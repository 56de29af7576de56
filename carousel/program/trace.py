"""Traces a cell's step: `step` runs once on symbols, and its ops become a program."""

from __future__ import annotations

from collections.abc import Hashable

from carousel.cells.cell import Cell, names
from carousel.cells.member_sizes import parted
from carousel.errors import ProgramError
from carousel.program import ops
from carousel.program.builder import Builder, Ref, prune
from carousel.program.declaration import Declaration, title
from carousel.program.program import Program
from carousel.program.reads import Reads
from carousel.program.recorder import Recorder
from carousel.program.sharing import LOCK
from carousel.program.symbols import Symbol, Units
from carousel.program.verify import finished, problem_of


def trace(cell: Cell, bias: bool = True) -> Program:
    """The program of a cell's step.

    cell: the cell. bias: whether the layer has biases.
    Raises ProgramError if the declaration contradicts itself, or if step does something outside the alphabet; the
    message names the op and the line of the equation.
    """
    return trace_and_watch(cell, bias)[0]


def trace_and_watch(cell: Cell, bias: bool) -> tuple[Program, Reads]:
    """(program, reads): the program of a cell, and the objects from which it was traced. The program is valid until one
    of those objects changes.

    cell: the cell. bias: whether the layer has biases.
    Equal cells share one trace. Programs with the same content are one object (see `verify.finished`).
    Raises ProgramError as `trace` does.
    """
    try:
        # 1 and 1.0, and also 0.0 and -0.0, compare as equal but are different numbers.
        options = tuple((n, type(v), v, repr(v) if isinstance(v, float) else "") for n, v in vars(cell).items())
        key = type(cell), cell, options, bias
        hash(key)
    except TypeError:
        return _trace(cell, bias), Reads(cell)
    with LOCK:
        if (found := _traced.get(key)) is not None and not found[1].changed(found[1].cell):
            program, reads = found
            return program, reads if reads.cell is cell else Reads(cell)
        program = _trace(cell, bias)
        found = _traced[key] = program, Reads(cell)
        while len(_traced) > TRACED_AT_MOST:
            del _traced[next(iter(_traced))]
        return found


# Their program for each group of equal cells, and the objects from which the first of them was traced.
_traced: dict[Hashable, tuple[Program, Reads]] = {}
TRACED_AT_MOST = 256


def _trace(cell: Cell, bias: bool) -> Program:
    declaration = Declaration(cell, bias)
    recorder = Recorder(cell, declaration)
    arguments = declaration.arguments(recorder)
    results = recorder.run(declaration.with_symbols(recorder), arguments)
    outputs = {}
    b = recorder.builder
    for state, result in zip(names(cell.states), declaration.returned(results), strict=True):
        if not isinstance(result, Symbol) or isinstance(result, Units):
            raise ProgramError(f"{title(cell)} must return a row for the state {state}, but returned {result!r}")
        if b.is_relation(result.ref):
            raise ProgramError(
                f"{title(cell)} must return a row for the state {state}, but returned a relation: "
                "choose numbers with torch.where(condition, 1.0, 0.0)"
            )
        outputs[state] = _returned(b, cell, state, result.ref)
    recorder.give_names()
    for state, ref in outputs.items():
        b.call(ref, state)
    nodes, kept = prune(b.nodes, outputs)
    program = Program(**declaration.interface(), nodes=nodes, outputs=kept, lengths=b.lengths)
    if (found := declaration.unused(program)) is not None:
        problem, line = found
        raise recorder.refuse_declaration(f"the cell {program.cell} {problem}", line)
    for index, node in enumerate(program.nodes):
        if problem := problem_of(program, index):
            recorder.place = [(recorder.place[-1][0], node.line)] if node.line and recorder.place else recorder.place
            raise recorder.refuse(f"{node.op}, of which {problem},")
    return finished(program)


def _returned(b: Builder, cell: Cell, state: str, ref: Ref) -> Ref:
    """The new value of a state, checked: a row, or a row for each of its members."""
    members, size = parted(cell.size_of(state))
    found = b.nodes[ref]
    if found.op == "constant":  # as from ones_like, which is a row
        return b.spread(b.broadcast(ref, size), members) if members else b.broadcast(ref, size)
    if members and not found.members:
        raise ProgramError(
            f"{title(cell)} must return members for the state {state}, a row for each of its {members}, but returned "
            "one row"
        )
    if found.members != members:
        of = {ops.CHILDREN: "child", ops.CONTEXT: "position of the context"}.get(found.members, found.members)
        raise ProgramError(
            f"{title(cell)} must return {f'its {members}' if members else 'a row'} for the state {state}, but returned "
            f"one for each {'' if found.members in ops.RAGGED else 'of '}{of}: take them together, as in .sum(-2)"
        )
    return ref
