"""The names that the library makes from those of a cell, and the checks that no name means two things.

An author names states, gates, vectors and matrices. From these the library makes the names of step's arguments, of a
layer's parameters, and of the rows that options of a scan add to a program. No other module makes names. Two things
with one name would silently share their numbers, so a cell that has them is refused.
"""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from carousel.errors import ProgramError

# torch.nn's names for the parameters of all gates.
W, U, B, C = "weight_ih", "weight_hh", "bias_ih", "bias_hh"

CANDIDATE_MASK = "drop_candidate"


def recurrent(children: int | str | None, fed: Sequence[str] = ()) -> tuple[str, ...]:
    """The parameters that hold the U of all gates: one for each child of a node, where a cell has so many; one for each
    of several states that gates read."""
    if isinstance(children, int):
        return tuple(f"{U}{child}" for child in range(children))
    return (U, *(f"weight_{state}h" for state in fed[1:]))


def maps_of(gate: str, children: int | str | None, fed: Sequence[str] = ()) -> tuple[str, ...]:
    """The weights that a gate multiplies states with, in the order of `recurrent`."""
    if isinstance(children, int):
        return tuple(f"U_{gate}_{child}" for child in range(children))
    return (f"U_{gate}", *(f"U_{gate}_{state}" for state in fed[1:]))


def of_matrix(matrix: str) -> str:
    """The parameter of the matrix W_ab: weight_ab, as torch.nn calls the parameter of W_hr weight_hr."""
    return f"weight_{matrix.removeprefix('W_')}"


def of_bias(matrix: str) -> str:
    """The parameter of the bias of the matrix W_ab."""
    return f"bias_{matrix.removeprefix('W_')}"


def initial(state: str) -> str:
    """The parameter that holds the learned initial value of a state."""
    return f"initial_{state}"


def keep(state: str) -> str:
    """The stream that a state is multiplied by before each step."""
    return f"keep_{state}"


def add(state: str) -> str:
    """The stream that is added to a state before each step."""
    return f"add_{state}"


def push(state: str) -> str:
    """The stream that is added to a new state."""
    return f"push_{state}"


def zone(state: str) -> str:
    """The stream that is 1 where zoneout keeps the old value of a state."""
    return f"zone_{state}"


def mask(state: str) -> str:
    """The state that carries the mask of recurrent dropout for a state; over trees the stream."""
    return f"drop_{state}"


def check(
    title: str,
    states: Sequence[str],
    gates: Sequence[str],
    vectors: Iterable[str],
    matrices: Iterable[str],
    own: Iterable[str],
    children: int | str | None = None,
    parts: Iterable[str] = (),
    fed: Sequence[str] = (),
    context: Iterable[str] = (),
) -> None:
    """Raises ProgramError for a name that no argument of step can have, and for one name that two things would have.

    title: what messages call the cell. own: the names of the cell's own parameters, which step reads as attributes.
    children: how many children of a node it goes on from, as the cell declares. fed: the states that gates read.
    """
    kinds = {"state": states, "gate": gates, "vector": list(vectors), "matrix": list(matrices), "part": list(parts)}
    kinds["context"] = list(context)
    declared = [(kind, name) for kind, names in kinds.items() for name in names]
    for kind, name in declared:
        _check_spelling(title, kind, name)
    attributes = [("attribute", name) for name in own]
    _check_arguments(title, gates, declared)
    _check_parameters(title, states, kinds, attributes, recurrent(children, fed))
    _check_rows(title, states, [*declared, *attributes])


Declared = Sequence[tuple[str, str]]  # the kind of each thing that the author declared, and its name


def _check_arguments(title: str, gates: Sequence[str], declared: Declared) -> None:
    """No two arguments of step have one name."""
    arguments = _Claims(title, "the argument of step")
    for name in ("x", "U", "self"):
        arguments.keep_back(name, "the cell itself" if name == "self" else "all input parts or maps")
    for gate in gates:
        arguments.keep_back(f"x_{gate}", f"the input part of the gate {gate!r}")
        arguments.keep_back(f"U_{gate}", f"the recurrent map of the gate {gate!r}")
    for kind, name in declared:
        arguments.claim(name, kind, name)


def _check_parameters(
    title: str, states: Sequence[str], kinds: Mapping[str, Sequence[str]], attributes: Declared, of_gates: Sequence[str]
) -> None:
    """No two parameters of a layer have one name."""
    parameters = _Claims(title, "the parameter")
    for name, what in ((W, "the W of all gates"), (B, "the b of all"), (C, "the c of all")):
        parameters.keep_back(name, what)
    for name in (U, *of_gates):
        parameters.keep_back(name, "the U of all gates")
    for state in states:
        parameters.keep_back(initial(state), f"the learned initial value of the state {state!r}")
    for matrix in kinds["matrix"]:
        parameters.claim(of_matrix(matrix), "matrix", matrix)
        parameters.claim(of_bias(matrix), "matrix", matrix)
    for vector in kinds["vector"]:
        parameters.claim(vector, "vector", vector)
    for kind, name in attributes:
        parameters.claim(name, kind, name)


def _check_rows(title: str, states: Sequence[str], declared: Declared) -> None:
    """No two rows that a program reads have one name."""
    rows = _Claims(title, "a row of the program called")
    rows.keep_back(CANDIDATE_MASK, "the mask of candidate_dropout")
    for state in states:
        rows.keep_back(mask(state), f"the mask of recurrent_dropout for the state {state!r}")
        rows.keep_back(keep(state), f"what keep= gives for the state {state!r}")
        rows.keep_back(add(state), f"what add= gives for the state {state!r}")
        rows.keep_back(push(state), f"what a tap adds to the state {state!r}")
        rows.keep_back(zone(state), f"the zoneout of the state {state!r}")
    for kind, name in declared:
        rows.claim(name, kind, name)


def check_free(title: str, layer: type, names: Iterable[str], taken: Mapping[str, Any]) -> None:
    """Raises ProgramError for a parameter whose name an attribute of the layer, or of its class, has already.

    taken: the attributes of the layer by name.
    """
    for name in names:
        if name in taken or hasattr(layer, name):
            raise ProgramError(
                f"the cell {title} must give its weights names that {layer.__name__} does not have itself: the "
                f"parameter {name!r} would stand in the place of {layer.__name__}.{name}; call it otherwise, for "
                f"example {name + '_own'!r}"
            )


def _check_spelling(title: str, kind: str, name: Any) -> None:
    plain = isinstance(name, str) and name.isidentifier() and unicodedata.normalize("NFKC", name) == name
    hidden = plain and name.startswith("_" if kind == "gate" else "__")  # x.f of a tuple of gates; Python mangles __p
    if not plain or keyword.iskeyword(name) or hidden:
        raise ProgramError(
            f"the cell {title} declares the {kind} {name!r}, which no argument of step can be called: a name begins "
            "with a letter, goes on with letters, digits and _, and is no word of Python's own"
        )
    if kind == "matrix" and name == "W_":
        raise ProgramError(f"the cell {title} declares the matrix {name!r}; write letters after W_, as in W_ab")


class _Claims:
    """The names of one kind of thing, such as the arguments of step, and who has each of them."""

    def __init__(self, title: str, kind: str):
        self.title, self.kind = title, kind
        self.kept_back: dict[str, str] = {}
        self.claimed: dict[str, tuple[str, str]] = {}

    def keep_back(self, name: str, what: str) -> None:
        """Reserves a name for `what`, which belongs to the library."""
        self.kept_back[name] = what

    def claim(self, name: str, kind: str, author: str) -> None:
        """Gives `name` to what the author declared as `author`. Raises ProgramError if it has an owner."""
        if name in self.kept_back:
            is_own = name == author and self.kind == "the argument of step"
            would = "" if is_own else f" would be {self.kind} {name!r}, which"
            raise self._refusal(
                f"{author!r}{would} stands for {self.kept_back[name]}; call the {kind} otherwise, for example "
                f"{author + '_own'!r}"
            )
        if name in self.claimed:
            other_kind, other = self.claimed[name]
            if other == author:
                raise self._refusal(f"{author!r} is declared twice, as a {other_kind} and as a {kind}")
            raise self._refusal(
                f"the {kind} {author!r} and the {other_kind} {other!r} would both be {self.kind} {name!r}; call one "
                f"of them otherwise, for example {author + '_own'!r}"
            )
        self.claimed[name] = kind, author

    def _refusal(self, why: str) -> ProgramError:
        return ProgramError(f"the cell {self.title} must give every state, gate and weight its own name; {why}")
