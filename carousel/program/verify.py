"""The grammar of programs. Every engine may assume that a program it is given has passed `verify`."""

from __future__ import annotations

from carousel.errors import ProgramError
from carousel.program import ops
from carousel.program.program import Program

SIZES = ("hidden", "projection", "one", "any")


def verify(program: Program) -> None:
    """Checks that a program is well formed; raises ProgramError naming the node that is not.

    1. A node is a leaf without arguments, or an op of the alphabet with as many arguments as its row says.
    2. It reads only nodes before it; a node that nothing reads is a result.
    3. Rows that meet are equally long, or one of them is a single number.
    4. A relation is read by `where` alone, as its first argument, and `where` takes nothing else there.
    5. A product's row and result are as long as its weight's columns and rows; for a transposed one the reverse.
    6. Results that are states have the state's size.
    """
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
        if name in program.outputs and program.nodes[program.outputs[name]].size != size:
            found = program.nodes[program.outputs[name]].size
            raise ProgramError(
                f"{program.cell}.step must return the state {name!r} as a row of size {size!r}, "
                f"but returns one of size {found!r}"
            )


def problem_of(program: Program, index: int) -> str:
    """What is wrong with a node by itself, as a phrase; nothing if it is well formed."""
    node = program.nodes[index]
    if node.size not in SIZES:
        return f"{node.size!r} is not a size"
    if node.op in ops.LEAVES:
        return "a leaf has no arguments" if node.args else ""
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
    sizes = {a.size for a in arguments} - {"any"}
    match row.kind:
        case "product":
            if node.attr not in program.weights:
                return f"there is no weight {node.attr!r}"
            weight = program.weights[node.attr]
            shape = (weight.columns, weight.rows)
            if (arguments[0].size, node.size) != (shape if node.op == "product" else shape[::-1]):
                return f"the weight {node.attr} does not fit a row of size {arguments[0].size!r}"
        case "reduction":
            return "" if node.size == "one" else "a sum over units is a single number"
        case "broadcast":
            return "" if sizes <= {"one"} else "it repeats a single number, and was given a row"
        case _:
            longest = sizes - {"one"} or {"one"}
            if longest != {node.size}:
                return f"rows of sizes {sorted(sizes)} do not make a row of size {node.size!r}"
    return ""


def finished(program: Program) -> Program:
    """A verified program, with the facts that scans ask for derived now: a compiler that traces a scan cannot."""
    verify(program)
    _ = program.lines, program.products, program.emitted, program.streams
    return program
