"""The vectors, matrices and sizes that a cell declares, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from carousel.cells.cell import Cell
from carousel.cells.member_sizes import parted
from carousel.cells.weights import SCHEMES, Initial, Matrix, Vector
from carousel.errors import ProgramError

# Sizes that a layer knows without being told.
KNOWN = ("hidden", "projection", "input")
# Names that stand for something else where sizes stand.
RESERVED = ("any", "gates", "inputs", "recurrents")


def check(cell: Cell, states: Sequence[str], vectors: Mapping[str, Vector], matrices: Mapping[str, Matrix]) -> None:
    """Raises ProgramError for a vector, matrix, size or initial value that is none, or that contradicts another."""
    title = type(cell).__name__
    for name, vector in vectors.items():
        if not isinstance(vector, Vector):
            raise ProgramError(
                f"the cell {title} declares the vector {name!r} as {vector!r}; write it as a carousel.Vector, for "
                f"example vectors = {{{name!r}: carousel.Vector(initial=0.0)}}"
            )
        if vector.per_gate and vector.size != "hidden":
            raise ProgramError(
                f"the cell {title} declares the vector {name!r} per gate and of the size {vector.size!r}; what every "
                "gate has a part of is as long as gates are, 'hidden'"
            )
        _check_initial(title, f"the vector {name!r}", vector.initial, vector.learned)
    for name, matrix in matrices.items():
        if not isinstance(matrix, Matrix):
            raise ProgramError(
                f"the cell {title} declares the matrix {name!r} as {matrix!r}; write its rows and columns, for "
                f"example matrices = {{{name!r}: ('hidden', 'hidden')}}"
            )
        _check_initial(title, f"the matrix {name!r}", matrix.initial, matrix.learned)
    _check_sizes(title, cell, states, vectors, matrices)
    _check_states(title, cell, states)
    structured = cell.heads != 1 or cell.connections is not None
    if structured and (cell.children is not None or cell.size_of(states[0]) != "hidden"):
        raise ProgramError(
            f"the cell {title} has heads or connections, which are for square U of one state; this cell has children, "
            "or an output state of another size than 'hidden'"
        )
    if not isinstance(cell.heads, int) or cell.heads < 1:
        raise ProgramError(f"the cell {title} declares {cell.heads!r} heads; write a whole number above zero")


def check_parts(cell: Cell, parts: Mapping[str, str], reads: str) -> None:
    """Raises ProgramError for parts of the input that no input could have."""
    title = type(cell).__name__
    if reads and reads not in parts:
        raise ProgramError(
            f"the cell {title} lets its gates read the part {reads!r} of the input; its parts are "
            f"{', '.join(parts) or 'none'}"
        )
    if parts and parts[reads] != "input" and "input" in parts.values():
        raise ProgramError(
            f"the cell {title} gives a part of its input the size 'input', which is that of the part that gates read, "
            f"{reads!r}; but that is of size {parts[reads]!r}: give both the same"
        )
    used = {*cell.sizes.values(), *cell.units, *KNOWN, "one"}
    if strange := [size for size in parts.values() if size not in used]:
        raise ProgramError(
            f"the cell {title} gives a part of its input the size {strange[0]!r}; it is 'input', 'one', 'hidden', or "
            "a size of the cell's own"
        )


def as_declared(vector: Vector) -> Vector:
    """A vector as programs know it: an initial value that is no number is the layer's business alone."""
    return vector if isinstance(vector.initial, float | int | None) else replace(vector, initial=None)


def _check_initial(title: str, what: str, initial: Initial | None, learned: bool) -> None:
    if isinstance(initial, str) and initial not in SCHEMES:
        raise ProgramError(
            f"the cell {title} declares {what} with the initial value {initial!r}; there is {', '.join(SCHEMES)}, or "
            "give a number or a function of the shape"
        )
    if initial is None and not learned:
        raise ProgramError(
            f"the cell {title} declares {what} with learned=False, which stays what it begins as; give initial=, a "
            "number or a function of the shape"
        )


def _check_sizes(
    title: str, cell: Cell, states: Sequence[str], vectors: Mapping[str, Vector], matrices: Mapping[str, Matrix]
) -> None:
    # A matrix of one row makes a number.
    of_weights = [size for m in matrices.values() for size in (m.rows, m.columns) if (size, m.rows) != ("one", "one")]
    of_weights += [v.size for v in vectors.values()]
    of_states = [cell.size_of(state) for state in states]
    of_members = {each for size in of_states if "*" in str(size) for each in parted(size)}
    of_states = [of_states[0], *(size for size in of_states[1:] if "*" not in str(size) and size != "one")]
    for size in (*of_states, *of_weights, *cell.context.values()):
        if not isinstance(size, str) or not size.isidentifier() or size in RESERVED:
            raise ProgramError(
                f"the cell {title} uses the size {size!r}; a size is 'hidden', 'projection', or a name of your own, "
                "as in 'order'"
            )
        if size == "one":
            raise ProgramError(
                f"the cell {title} uses the size 'one' for its first state, a vector, a context or the columns of a "
                "matrix. A learned number is an attribute, self.alpha = nn.Parameter(torch.tensor(0.3))"
            )
    for state in states[1:]:
        size = cell.size_of(state)
        if "*" not in size and size not in ("hidden", "one", of_states[0], *of_weights, *of_members):
            raise ProgramError(
                f"the cell {title} gives the state {state!r} the size {size!r}, which no vector or matrix has, so that "
                "nothing could be computed of it; declare one that has it"
            )
    own = {*of_states, *of_weights, *of_members, *cell.context.values()}
    if unknown := [size for size in cell.units if size in KNOWN or size not in own]:
        raise ProgramError(
            f"the cell {title} gives a number to the size {unknown[0]!r} in units; these are for sizes of its own: "
            f"{', '.join(sorted(own - {*KNOWN, 'one'})) or 'it has none'}"
        )


def _check_states(title: str, cell: Cell, states: Sequence[str]) -> None:
    for state, value in cell.initial.items():
        if state not in states:
            raise ProgramError(
                f"the cell {title} gives an initial value to {state!r}; its states are {', '.join(states)}"
            )
        if value != "learned" and not isinstance(value, float | int) and not callable(value):
            raise ProgramError(
                f"the cell {title} declares that the state {state!r} begins at {value!r}; write a number or 'learned', "
                "or a function of the number of units that returns a tensor of them"
            )
