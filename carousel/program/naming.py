"""Every name that the library gives, and the checks that no name stands for two things. Nothing else makes names.

Authors name states, gates, vectors and matrices. From these follow the names of the arguments that step may ask for, of
a layer's parameters, and of the rows that options of a scan add to a program. Two things of one name would share their
numbers without a word, so a cell that has them is refused.
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


def of_matrix(matrix: str) -> str:
    """The parameter of the matrix W_ab: torch.nn calls W_hr so."""
    return f"weight_{matrix.removeprefix('W_')}"


def initial(state: str) -> str:
    """The parameter that a layer with learned initial states begins a state with."""
    return f"initial_{state}"


def keep(state: str) -> str:
    """The stream that a state is multiplied with before a step."""
    return f"keep_{state}"


def add(state: str) -> str:
    """The stream that is added to a state before a step."""
    return f"add_{state}"


def zone(state: str) -> str:
    """The stream that says where zoneout keeps a state."""
    return f"zone_{state}"


def mask(state: str) -> str:
    """The state that holds recurrent dropout's mask of a state."""
    return f"drop_{state}"


def check(
    title: str,
    states: Sequence[str],
    gates: Sequence[str],
    vectors: Iterable[str],
    matrices: Iterable[str],
    own: Iterable[str],
) -> None:
    """Raises ProgramError for names that step could not ask for, and where one name would stand for two things.

    own: the cell's own parameters, which step reads as attributes of the cell.
    """
    kinds = {"state": states, "gate": gates, "vector": list(vectors), "matrix": list(matrices)}
    declared = [(kind, name) for kind, names in kinds.items() for name in names]
    for kind, name in declared:
        _check_spelling(title, kind, name)

    arguments = _Claims(title, "the argument of step")
    for name in ("x", "U", "self"):
        arguments.keep_back(name, "the cell itself" if name == "self" else "all input parts or maps")
    for gate in gates:
        arguments.keep_back(f"x_{gate}", f"the input part of the gate {gate!r}")
        arguments.keep_back(f"U_{gate}", f"the recurrent map of the gate {gate!r}")
    for kind, name in declared:
        arguments.claim(name, kind, name)

    parameters = _Claims(title, "the parameter")
    for name, what in ((W, "the W of all gates"), (U, "the U of all gates"), (B, "the b of all"), (C, "the c of all")):
        parameters.keep_back(name, what)
    for state in states:
        parameters.keep_back(initial(state), f"the learned initial value of the state {state!r}")
    for matrix in kinds["matrix"]:
        parameters.claim(of_matrix(matrix), "matrix", matrix)
    for vector in kinds["vector"]:
        parameters.claim(vector, "vector", vector)
    for name in own:
        parameters.claim(name, "attribute", name)

    rows = _Claims(title, "a row of the program called")
    rows.keep_back(CANDIDATE_MASK, "the mask of candidate_dropout")
    for state in states:
        rows.keep_back(mask(state), f"the mask of recurrent_dropout for the state {state!r}")
        rows.keep_back(keep(state), f"what keep= gives for the state {state!r}")
        rows.keep_back(add(state), f"what add= gives for the state {state!r}")
        rows.keep_back(zone(state), f"the zoneout of the state {state!r}")
    for kind, name in declared:
        rows.claim(name, kind, name)
    for name in own:
        rows.claim(name, "attribute", name)


def check_free(title: str, layer: type, names: Iterable[str], taken: Mapping[str, Any]) -> None:
    """Raises ProgramError for a parameter that has the name of something else in a layer.

    taken: the layer's own attributes, by name; what its class has counts too.
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
    if kind == "matrix" and not (name.startswith("W_") and len(name) > 2):
        raise ProgramError(f"the cell {title} declares the matrix {name!r}; a matrix is called W_ and two letters")


class _Claims:
    """Who stands under each name of one kind of things."""

    def __init__(self, title: str, kind: str):
        self.title, self.kind = title, kind
        self.kept_back: dict[str, str] = {}
        self.claimed: dict[str, tuple[str, str]] = {}

    def keep_back(self, name: str, what: str) -> None:
        """Keeps a name for something of the library's."""
        self.kept_back[name] = what

    def claim(self, name: str, kind: str, author: str) -> None:
        """Gives a name to what the author declared as `author`. Raises ProgramError where it has one already."""
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
