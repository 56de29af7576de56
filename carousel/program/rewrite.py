"""Options of a scan as rewritings of its program. They add equations, so every engine can run them.

Each function takes a program and returns another. A program never changes. The same rewriting of the same program
returns the same object.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from typing import Any

from carousel.cells.member_sizes import joined, parted
from carousel.program import naming, ops, polynomial
from carousel.program.builder import Builder, Ref, prune
from carousel.program.keeping import candidates, keeping
from carousel.program.program import Node, Program
from carousel.program.sharing import made_once
from carousel.program.verify import finished

# The field's words for gates that cells name by letters.
WORDS = {
    "input": ("i",),
    "forget": ("f",),
    "candidate": ("g", "n"),
    "output": ("o",),
    "reset": ("r",),
    "update": ("z",),
}


def recordable(program: Program) -> dict[str, int]:
    """{name: node} of the values that can be recorded: the new states, and the values that the author named."""
    named = {node.name: index for index, node in enumerate(program.nodes) if node.name and node.op in ops.TABLE}
    numbers = "one", joined((ops.CHILDREN, "one"))
    whole_rows = {name: index for name, index in named.items() if program.nodes[index].row not in numbers}
    return whole_rows | {state: program.outputs[state] for state in program.states}


def spelling(possible: Collection[str], name: str) -> str:
    """The possible name that `name` means: itself, the letter of a gate for its word, or the word for its letter."""
    words = (word for word, letters in WORDS.items() if name in letters)
    return next((other for other in (name, *WORDS.get(name, ()), *words) if other in possible), name)


def stands_for(program: Program, name: str) -> int | None:
    """The node that a name means, or None: a state, a value that the author named, or the field's word for a gate."""
    possible = recordable(program)
    return possible.get(spelling(possible, name))


def names_of(program: Program) -> tuple[str, ...]:
    """The names of all values that can be recorded: those of `recordable`, and shares that gates keep ("1 - z")."""
    return tuple(dict.fromkeys([*recordable(program), *(how.name for how in keeping(program).values())]))


def is_recordable(program: Program, name: str) -> bool:
    return stands_for(program, name) is not None or name in names_of(program)


@made_once(256)
def record(program: Program, names: tuple[str, ...]) -> Program:
    """The program with these recorded values as further results, in this order.

    A share that no node computes is added to the program. It must be recorded before other rewritings, because some of
    them change its form. After them it may be recorded again.
    """
    b = Builder(program.weights, program.nodes)
    outputs = dict(program.outputs)
    for name in names:
        found: int | None = outputs.pop(("record", name), None)
        found = stands_for(program, name) if found is None else found
        if found is None:
            how = next((how for how in keeping(program).values() if how.name == name), None)
            assert how is not None, f"nothing is called {name}"  # checked at the border
            found = polynomial.build(b, program, how.share)
        outputs[("record", name)] = found
    return _finished(program, b, outputs)


@made_once(256)
def modify(program: Program, states: tuple[str, ...]) -> Program:
    """The program with keep_c * c + add_c in the place of the state c that it reads, for each of these states.

    keep_c and add_c are streams, rows that a caller gives for every step. keep = 0 forgets the state; keep = 1 with
    add = 0 changes nothing. Over trees a step changes the states of all children that it reads in the same way.
    """

    def changed(b: Builder, node: Node, leaf: Ref) -> Ref:
        members = "" if node.members == ops.CHILDREN else node.members
        keep, add = (b.leaf("stream", of(node.state), node.size, members) for of in (naming.keep, naming.add))
        return b.op("add", b.op("mul", keep, leaf), add)

    return _with_states(program, states, changed)


@made_once(256)
def push(program: Program, states: tuple[str, ...]) -> Program:
    """The program with c' + push_c in the place of each new state c', for each of these states.

    push_c is a stream. Other new states are computed of c' as it was.
    """
    b = Builder(program.weights, program.nodes)
    outputs = dict(program.outputs)
    for state in states:
        members, size = parted(program.states[state])
        outputs[state] = b.op("add", Ref(outputs[state]), b.leaf("stream", naming.push(state), size, members))
    return _finished(program, b, outputs)


@made_once(256)
def zoneout(program: Program, states: tuple[str, ...]) -> Program:
    """The program with zone_c * c + (1 - zone_c) * c' in the place of each new state c'.

    zone_c is a stream. In training it is 1 where a unit keeps its old value for a step, else 0; in evaluation it is the
    probability of keeping.
    Source: Krueger et al., "Zoneout" (arXiv:1606.01305, 2017), equation 2.
    """
    b = Builder(program.weights, program.nodes)
    outputs = dict(program.outputs)
    for state in states:
        members, size = parted(program.states[state])
        old, new = b.leaf("state", state, size, members), Ref(outputs[state])
        zone = b.leaf("stream", naming.zone(state), size, members)
        outputs[state] = b.op("add", new, b.op("mul", zone, b.op("sub", old, new)))
    return _finished(program, b, outputs)


@made_once(256)
def recurrent_dropout(program: Program) -> Program:
    """The program with drop_h * v in the place of every row v that a recurrent matrix U multiplies.

    drop_h is the last of the states. No step changes it, so that one mask serves a whole sequence.
    Source: Gal & Ghahramani, "A theoretically grounded application of dropout in recurrent neural networks"
    (arXiv:1512.05287, 2016), equation 7.
    """
    outputs, b, mask = _masked(program, "state")
    name = naming.mask(program.output_state)
    with_mask = replace(program, states=program.states | {name: program.states[program.output_state]})
    return _finished(with_mask, b, outputs | {name: mask})


@made_once(256)
def recurrent_dropout_over_trees(program: Program) -> Program:
    """The same, where drop_h is a stream: a state of a node's children is no place for the mask of a tree."""
    outputs, b, _ = _masked(program, "stream")
    return _finished(program, b, outputs)


def _masked(program: Program, kind: str) -> tuple[dict[Any, int], Builder, Ref]:
    """The results of the program with drop_h * v, their builder, and drop_h, a leaf of this kind."""
    state = program.output_state
    size = program.states[state]
    b = Builder(program.weights)
    mask = b.leaf(kind, naming.mask(state), size)
    new: dict[int, Ref] = {}
    for index, node in enumerate(program.nodes):
        args = [new[a] for a in node.args]
        of_state = node.op in ops.PRODUCTS and b.nodes[args[0]].size == size
        if of_state and program.weights[node.attr].gate is not None:
            args = [b.op("mul", args[0], mask)]
        new[index] = b.copy(node, args)
    return {key: new[index] for key, index in program.outputs.items()}, b, mask


@made_once(256)
def candidate_dropout(program: Program) -> Program:
    """The program with drop_candidate * g in the place of the candidate g, the value that a step writes into a state.

    drop_candidate is a stream. The old value of the state is never dropped. `keeping.candidates` finds g in the
    equations.
    Source: Semeniuta, Severyn & Barth, "Recurrent dropout without memory loss" (arXiv:1603.05118, 2016).
    """
    dropped = candidates(program)
    assert dropped, "there is no candidate"  # the caller has checked it
    b = Builder(program.weights)
    new: dict[int, Ref] = {}
    for index, node in enumerate(program.nodes):
        new[index] = b.copy(node, [new[a] for a in node.args])
        if index in dropped:
            new[index] = b.op("mul", b.leaf("stream", naming.CANDIDATE_MASK, node.size), new[index])
    return _finished(program, b, {key: new[index] for key, index in program.outputs.items()})


def _with_states(program: Program, states: tuple[str, ...], changed: Callable[[Builder, Node, Ref], Ref]) -> Program:
    """The program that reads changed(...) in the place of each of these states."""
    b = Builder(program.weights)
    new: dict[int, Ref] = {}
    for index, node in enumerate(program.nodes):
        new[index] = b.copy(node, [new[a] for a in node.args])
        if node.state in states:
            new[index] = changed(b, node, new[index])
    return _finished(program, b, {key: new[index] for key, index in program.outputs.items()})


def _finished(program: Program, b: Builder, outputs: dict[Any, int]) -> Program:
    nodes, results = prune(b.nodes, outputs)
    return finished(replace(program, nodes=nodes, outputs=results))
