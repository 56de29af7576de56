"""Writes a program as a line of text and reads it again, so that a saved graph can carry its programs along."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import Any

from carousel.cells.weights import Vector
from carousel.errors import ProgramError
from carousel.program import ops
from carousel.program.program import Node, Program, Weight
from carousel.program.verify import finished


def write(program: Program) -> str:
    """The program in JSON, without the author's names and the line numbers."""
    return json.dumps(
        {
            "cell": program.cell,
            "gates": program.gates,
            "states": program.states,
            "vectors": {name: _without_defaults(vector, 3) for name, vector in program.vectors.items()},
            "weights": {name: astuple(weight) for name, weight in program.weights.items()},
            "gate_bias": program.gate_bias,
            # A program without any of them is written as in older versions, so that its fingerprint stays the same.
            **({} if program.inputs == program.recurrents else {"inputs": program.inputs}),
            **({} if program.inputs == program.recurrents else {"recurrents": program.recurrents}),
            "own": program.own,
            **({} if program.children is None else {"children": program.children}),
            **({"parts": list(program.parts.items()), "reads": program.reads} if program.parts else {}),
            **({"heads": program.heads} if program.heads > 1 else {}),
            **({"sparse": True} if program.sparse else {}),
            **({"constants": program.constants} if program.constants else {}),
            **({"fed": program.fed} if program.fed else {}),
            **({"context": list(program.context.items())} if program.context else {}),
            **({"counts": list(program.counts.items())} if program.counts else {}),
            "nodes": [(n.op, n.args, n.size, n.attr, *([_members(n)] if n.members else [])) for n in program.nodes],
            "outputs": list(program.outputs.items()),
        },
        separators=(",", ":"),
    )


def read(text: str) -> Program:
    """Reads a program from JSON. Raises ProgramError for any other text. It executes nothing of the text."""
    try:
        found = json.loads(text)
        program = Program(
            cell=str(found["cell"]),
            gates=tuple(found["gates"]),
            inputs=tuple(found.get("inputs", found["gates"])),
            recurrents=tuple(found.get("recurrents", found["gates"])),
            states=dict(found["states"]),
            vectors={name: Vector(*fields) for name, fields in found["vectors"].items()},
            weights={name: Weight(*fields) for name, fields in found["weights"].items()},
            gate_bias=bool(found["gate_bias"]),
            own=dict(found["own"]),
            children=found.get("children"),
            parts=dict(found.get("parts", ())),
            reads=str(found.get("reads", "")),
            heads=int(found.get("heads", 1)),
            sparse=bool(found.get("sparse", False)),
            constants=tuple(found.get("constants", ())),
            fed=tuple(found.get("fed", ())),
            context=dict(found.get("context", ())),
            counts=dict(found.get("counts", ())),
            nodes=tuple(_node(*written) for written in found["nodes"]),
            outputs={_hashable(key): int(node) for key, node in found["outputs"]},
        )
        return finished(program)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ProgramError(
            f"this is no program as carousel.program.notation writes it: {text[:80]!r} ({error})"
        ) from None


def _without_defaults(vector: Vector, least: int) -> list[Any]:
    """Its fields, those at the end that are as by default left out: so it was written before there were any of them."""
    found, default = list(astuple(vector)), astuple(Vector())
    while len(found) > least and found[-1] == default[len(found) - 1]:
        found.pop()
    return found


def _members(node: Node) -> bool | str:
    """Whose members a node has; True stands for children, as it did when there were no others."""
    return True if node.members == ops.CHILDREN else node.members


def _node(op: str, args: list[int], size: str, attr: Any, members: bool | str = "") -> Node:
    return Node(op, tuple(args), size, _hashable(attr), ops.CHILDREN if members is True else str(members or ""))


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
