"""The grammar of programs. An engine may assume that each program it receives has passed `verify`."""

from __future__ import annotations

from typing import Any
from weakref import WeakValueDictionary

from carousel.cells.member_sizes import parted
from carousel.errors import ProgramError
from carousel.program import ops
from carousel.program.program import Node, Program
from carousel.program.sharing import LOCK


def verify(program: Program) -> None:
    """Checks that a program is well formed. Raises ProgramError, which names the node that breaks a rule.

    1. A node is a leaf without arguments, or an op of the alphabet with as many arguments as `ops.TABLE` says.
    2. A node reads only nodes before it. A node that no other node reads is a result.
    3. The arguments of an op have one length, apart from single numbers.
    4. Only `where` reads a relation, as its first argument, and its first argument is always a relation.
    5. A product's argument has the length of its weight's columns, its result that of the rows; a transposed product
       the reverse.
    6. A result that is a state has the size of that state.
    7. The program declares what a leaf stands for, and the leaf has the declared size.
    8. A row meets only rows, and members only members of the same kind: `spread` makes members of a row, and `total`
       and `greatest` a row of members; `turn` makes members of units, and the reverse. A literal number meets both.
       States have members in a cell with "any" number of children, and where their size says so; so have contexts.
    9. No parameter has two shapes, and each block of rows of a parameter belongs to a gate.
    """
    if problem := _problem_of_declaration(program):
        raise ProgramError(f"the program of {program.cell} is ill-formed: {problem}")
    for index, node in enumerate(program.nodes):
        problem = problem_of(program, index)
        if problem:
            where = f" (line {node.line} of the cell's file)" if node.line else ""
            raise ProgramError(
                f"the program of {program.cell} is ill-formed at node {index}, {node.op}{where}: {problem}"
            )
    unread = set(range(len(program.nodes))) - {a for n in program.nodes for a in n.args} - set(program.outputs.values())
    if unread:
        raise ProgramError(f"the program of {program.cell} is ill-formed: nothing reads node {min(unread)}")
    for name, size in program.states.items():
        if name in program.outputs and program.nodes[program.outputs[name]].row != size:
            found = program.nodes[program.outputs[name]].row
            raise ProgramError(
                f"{program.cell}.step must return the state {name!r} as a row of size {size!r}, "
                f"but returns one of size {found!r}"
            )


def problem_of(program: Program, index: int) -> str:
    """A phrase that says which rule a node breaks, or "" if it is well formed."""
    node = program.nodes[index]
    if node.size not in program.size_names:
        return f"{node.size!r} is not a size"
    if node.op in ops.LEAVES:
        return "a leaf has no arguments" if node.args else _problem_of_leaf(program, node)
    if node.op not in ops.TABLE:
        return "there is no such op"
    row = ops.TABLE[node.op]
    if len(node.args) != row.arity:
        return f"it takes {row.arity} arguments and has {len(node.args)}"
    if any(not 0 <= a < index for a in node.args):
        return "it reads a node that does not come before it"
    arguments = [program.nodes[a] for a in node.args]
    relations = [a.op in ops.TABLE and ops.TABLE[a.op].kind == "relation" for a in arguments]
    if any(relations[1:] if node.op == "where" else relations):
        return "it reads a relation, which only the first argument of where may: torch.where(condition, a, b)"
    if node.op == "where" and not relations[0]:
        return "its first argument is not a relation"
    return _problem_of_members(node, row, arguments) or _problem_of_sizes(program, node, row, arguments)


def _problem_of_members(node: Node, row: ops.Op, arguments: list[Node]) -> str:
    """A phrase that says why an op does not lead between rows and members as it must, or "" if it does."""
    found = {a.members for a in arguments if a.op not in ("constant", "per_unit")}
    if row.kind == "members":
        return "" if _fits(node, arguments[0]) else "it does not lead between a row and its members as it must"
    if len(found) > 1:
        return "it reads rows and members of rows, which only spread makes of one another"
    return "" if found <= {node.members} else "it gives a row for each member where it reads none, or the reverse"


def _fits(node: Node, argument: Node) -> bool:
    """Whether an op between a row and its members, or among them, gives what it must."""
    match node.op:
        case "spread":
            return argument.members == "" and node.members != ""
        case "total" | "greatest":
            return argument.members != "" and node.members == ""
        case "turn":
            turned = argument.members or "one", "" if argument.size == "one" else argument.size
            return (node.size, node.members) == turned and argument.members not in ops.RAGGED
    return node.members == argument.members not in ("", *ops.RAGGED)


def _problem_of_sizes(program: Program, node: Node, row: ops.Op, arguments: list[Node]) -> str:
    """A phrase that says why an op's arguments and result do not fit each other's sizes, or "" if they do."""
    sizes = {a.size for a in arguments} - {"any"}
    if node.op == "turn":
        return ""  # `_fits` has compared them
    match row.kind:
        case "product":
            if node.attr not in program.weights:
                return f"there is no weight {node.attr!r}"
            weight = program.weights[node.attr]
            shape = (weight.columns, weight.rows)
            if (arguments[0].size, node.size) != (shape if node.op == "product" else shape[::-1]):
                return f"the weight {node.attr} does not fit a row of size {arguments[0].size!r}"
        case "reduction":
            if arguments[0].size == "any":
                return "a literal number has no units to sum over"
            return "" if node.size == "one" else "what is taken over units is a single number"
        case "broadcast":
            return "" if sizes <= {"one"} else "it repeats a single number, and was given a row"
        case _:
            longest = sizes - {"one"} or {"one"}
            if longest != {node.size}:
                return f"rows of sizes {sorted(sizes)} do not make a row of size {node.size!r}"
    return ""


def _problem_of_declaration(program: Program) -> str:
    """A phrase that says what is wrong with the declarations of a program, or "" if all is well."""
    count = len(program.nodes)
    if outside := [key for key, index in program.outputs.items() if not 0 <= index < count]:
        return f"its result {outside[0]!r} is no node"
    if absent := [state for state in program.states if state not in program.outputs]:
        return f"there is no new value of the state {absent[0]!r}"
    of_weights = (size for w in program.weights.values() for size in (w.rows, w.columns))
    numbers = [*list(program.states.values())[1:], *of_weights]  # some of which may be single numbers
    sizes = [*list(program.states.values())[:1], *(size for size in numbers if size != "one")]
    if unknown := [size for size in sizes if size in ("one", "any", *program.blocks)]:
        return f"{unknown[0]!r} is not the size of a state or of a matrix"
    for name, weight in program.weights.items():
        if weight.gate is not None and (weight.rows != "hidden" or weight.gate not in range(len(program.recurrents))):
            return f"the weight {name} is the block of a gate that there is not"
    if program.states:  # a derivative has no states, and the parameters of its forward program
        _ = program.parameters
    return ""


def _problem_of_leaf(program: Program, node: Node) -> str:
    """A phrase that says what is wrong with a leaf, or "" if it is well formed."""
    declared: dict[Any, str]
    match node.op:
        case "input":
            declared = dict.fromkeys(program.inputs, "hidden")
        case "vector":
            declared = {}
            for name, vector in program.vectors.items():
                leaves = [(name, gate) for gate in program.gates] if vector.per_gate else [name]
                declared |= dict.fromkeys(leaves, vector.size)
            declared |= dict.fromkeys(program.own, "hidden")
        case "stream" if node.attr in program.parts:
            declared = dict(program.parts)
        case "context" if program.states:
            declared = dict(program.context)
        case "state" if program.states:
            declared = states_read(program)
        case "per_unit":
            fits = node.attr in program.size_names - {"one", "any"} and node.size == "one"
            return "" if fits else "it is no number of units"
        case "constant":
            return "" if isinstance(node.attr, int | float) and node.size == "any" else "it is no number"
        case _:
            return ""
    if node.attr not in declared:
        return f"the program declares no {node.op} {node.attr!r}"
    members, size = parted(declared[node.attr])
    of_kind = {"context": ops.CONTEXT, "state": ops.CHILDREN if program.children == "any" else members}
    if node.members != of_kind.get(node.op, ""):
        return "it has members that were not declared, or lacks those that were"
    return "" if node.size == size else f"a row of {node.attr!r} has the size {declared[node.attr]!r}"


def states_read(program: Program) -> dict[Any, str]:
    """The states that a step may read, as leaves know them: by name, or by name and child. Their sizes."""
    if not isinstance(program.children, int):
        return dict(program.states)
    return {(name, k): size for name, size in program.states.items() for k in range(program.children)}


# Finished programs by their content, for as long as something refers to them.
_finished: WeakValueDictionary[Any, Program] = WeakValueDictionary()


def finished(program: Program) -> Program:
    """Verifies a program, and returns the one object that stands for all programs with the same content.

    Two programs with the same content may come from a trace, a saved graph or another process; as one object they share
    what engines prepare for them. The facts that scans ask for are derived here, because a compiler that traces a scan
    cannot derive them.
    """
    content = program.content()
    with LOCK:
        found = _finished.get(content)
        if found is None:
            verify(program)
            _ = program.lines, program.products, program.emitted, program.streams
            found = _finished[content] = program
        return found
