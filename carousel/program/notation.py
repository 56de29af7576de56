"""A program as a line of text, and back: how a saved graph takes its programs along to another process."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import Any

from carousel.cells.cell import Vector
from carousel.errors import ProgramError
from carousel.program.program import Node, Program, Weight
from carousel.program.verify import finished


def write(program: Program) -> str:
    """The program in JSON: what is computed, not what the author called it or where it stands in a file."""
    return json.dumps(
        {
            "cell": program.cell,
            "gates": program.gates,
            "states": program.states,
            "vectors": {name: astuple(vector) for name, vector in program.vectors.items()},
            "weights": {name: astuple(weight) for name, weight in program.weights.items()},
            "gate_bias": program.gate_bias,
            # A program without any of them is written as it always was, so that its fingerprint stays what it was.
            **({} if program.inputs == program.recurrents else {"inputs": program.inputs}),
            **({} if program.inputs == program.recurrents else {"recurrents": program.recurrents}),
            "own": program.own,
            "nodes": [(node.op, node.args, node.size, node.attr) for node in program.nodes],
            "outputs": list(program.outputs.items()),
        },
        separators=(",", ":"),
    )


def read(text: str) -> Program:
    """The program that was written. Raises ProgramError for anything else: nothing of the text is run."""
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
            nodes=tuple(Node(op, tuple(args), size, _hashable(attr)) for op, args, size, attr in found["nodes"]),
            outputs={_hashable(key): int(node) for key, node in found["outputs"]},
        )
        return finished(program)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ProgramError(
            f"this is no program as carousel.program.notation writes it: {text[:80]!r} ({error})"
        ) from None


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
