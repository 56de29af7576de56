"""Each option of `Recurrent` over trees: it does what its source says, or it is refused in words.

The oracle is the layer of sequences, over a chain; `test_recursive_masks.py` has trees of any shape.
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest
import torch
from helper_of_trees import ENGINES, H, I, float64, layer_of, rows, seeded
from torch.autograd import grad

from carousel import Recurrent, Recursive, Trees
from carousel.layers.trees.recursive import REFUSED, REFUSED_IN_CALLS

ON_EACH = pytest.mark.parametrize("engine", ENGINES)


# --- the table: what works, and where the test of it stands


WORKS: dict[str, dict[str, Any]] = {
    "zoneout": {"zoneout": 0.5},
    "recurrent_dropout": {"recurrent_dropout": 0.5},
    "candidate_dropout": {"candidate_dropout": 0.5},
    "input_dropout": {"input_dropout": 0.5},
    "weight_drop": {"weight_drop": 0.5},
    "dropout": {"dropout": 0.5},
    "initial_state": {"initial_state": "learned"},
    "bias": {"bias": False},
}
ELSEWHERE = {  # beside those of `WORKS`: options that all tests use, or that others test
    *("cell", "input_size", "hidden_size", "num_layers", "device", "dtype", "engine"),
    *("proj_size", "units"),  # test_recursive.py
}


def arguments(function) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self"}


def test_every_option_works_or_is_refused():
    assert {*WORKS, *REFUSED, *ELSEWHERE} == arguments(Recurrent)
    assert {*WORKS, *ELSEWHERE} | {"direction", "others"} == arguments(Recursive)


def test_every_argument_of_a_call_works_or_is_refused():
    works = {"input", "hx", "keep", "add", "return_states"}
    assert works | {*REFUSED_IN_CALLS} == arguments(Recurrent.forward)
    assert works | {"trees", "at", "others"} == arguments(Recursive.forward)


@pytest.mark.parametrize("option", REFUSED)
def test_options_without_a_meaning_are_refused_in_words(option):
    with pytest.raises(ValueError, match=re.escape(f"there is no {option} over trees: {REFUSED[option]}")):
        layer_of("lstm", **{option: True})


@pytest.mark.parametrize("argument", REFUSED_IN_CALLS)
def test_arguments_without_a_meaning_are_refused_in_words(argument):
    with pytest.raises(ValueError, match=re.escape(f"there is no {argument} over trees: {REFUSED_IN_CALLS[argument]}")):
        layer_of("lstm")(rows(1, I), Trees([-1]), **{argument: torch.ones(1)})
    with pytest.raises(TypeError, match="there is no argument 'length'"):
        layer_of("lstm")(rows(1, I), Trees([-1]), length=3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"cell": "tree-lstm", "zoneout": 0.1},
            "a node of TreeLSTM goes on from several, of which none is the old one",
        ),
        ({"cell": "rvnn", "candidate_dropout": 0.1}, "RvNN has no such value; use recurrent_dropout"),
        ({"cell": "lstm", "recurrent_dropout": 2.0}, "recurrent_dropout must be a probability, from 0 to 1, but 2.0"),
        ({"cell": "lstm", "weight_drop": True}, "weight_drop must be a probability, from 0 to 1, but True"),
    ],
)
def test_options_that_do_not_fit_a_cell_are_refused_in_words(options, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        layer_of(**options)


# --- over a chain


MEET = [(option, "nothing") for option in WORKS]
MEET += [
    (option, given)
    for option in ("zoneout", "recurrent_dropout", "initial_state")
    for given in ("hx", "keep, add", "hx, keep, add")
]


@ON_EACH
@pytest.mark.parametrize("direction", ["up", "down", "both"])
@pytest.mark.parametrize(("option", "given"), MEET)
def test_over_a_chain_an_option_is_that_of_sequences(option, direction, given, engine):
    """Values, gradients, and what was recorded; masks are drawn in the order of nodes, as there in that of steps."""
    options: dict[str, Any] = {"num_layers": 2, **WORKS[option]}
    layer = layer_of("lstm", direction=direction, engine=engine, **options)
    other = Recurrent("lstm", I, H, bidirectional=direction == "both", dtype=float64, engine="reference", **options)
    other.load_state_dict(layer.state_dict())
    x, scans = rows(6, I).requires_grad_(), 2 * (1 + (direction == "both"))
    hx = tuple(rows(scans, 1, H, seed=k).requires_grad_() for k in (1, 2)) if "hx" in given else None
    keep, add = rows(6, H, seed=3).requires_grad_(), rows(6, 1, seed=4).requires_grad_()
    named: dict[str, Any] = {"keep": keep, "add": {"c": add}} if "keep" in given else {}
    of_sequences: dict[str, Any] = {"keep": keep[:, None], "add": {"c": add[:, None]}} if named else {}
    chain = Trees([1, 2, 3, 4, 5, -1] if direction != "down" else [-1, 0, 1, 2, 3, 4])
    with layer.record("forget", "c") as ours, other.record("forget", "c") as theirs:
        output = seeded(layer, x, chain, hx, **named)[0]
        wanted = seeded(other, x[:, None], hx, **of_sequences)[0][:, 0]
    found = torch.cat([output, *ours["c"], *ours["f"]], 1)
    right = torch.cat([wanted, *theirs["c"][:, :, 0], *theirs["f"][:, :, 0]], 1)
    torch.testing.assert_close(found, right, rtol=1e-12, atol=1e-12)
    upstream = torch.randn_like(found)
    leaves = {str(k): given for k, given in enumerate([x, *(hx or ()), *([keep, add] if named else [])])}
    found_of, right_of = (leaves | dict(module.named_parameters()) for module in (layer, other))
    mine = grad(found, [*found_of.values()], upstream, materialize_grads=True)
    theirs_of = dict(zip(right_of, grad(right, [*right_of.values()], upstream, materialize_grads=True), strict=True))
    for which, each in zip(found_of, mine, strict=True):
        torch.testing.assert_close(each, theirs_of[which], rtol=1e-11, atol=1e-11, msg=which)
