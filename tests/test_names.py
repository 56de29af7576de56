"""No name stands for two things: in a cell, in a layer, in a program, or at the border of the native library."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import carousel
from carousel import Cell
from carousel.engines import native
from carousel.engines.call import Inputs
from carousel.engines.native import call as native_call
from carousel.engines.operator import key_of
from carousel.engines.parameters import parameters_of
from carousel.errors import ProgramError
from carousel.program import notation, trace

GIVEN = {"states": ("h",), "gates": ("n",), "vectors": {}, "matrices": {}}


def cell_of(*, states=("h",), gates=("n",), vectors=(), matrices=(), name="Example"):
    """A cell that reads everything it declares, each in a way of its own."""
    square = dict.fromkeys(matrices, ("hidden", "hidden"))
    arguments = ", ".join(dict.fromkeys([*states, *gates, *vectors, *matrices]))
    parts = [f"0.{3 + i} * torch.tanh({gate})" for i, gate in enumerate(gates)]
    parts += [f"0.{2 + i} * {vector} * {states[0]}" for i, vector in enumerate(vectors)]
    parts += [f"0.{1 + i} * {matrix}({states[0]})" for i, matrix in enumerate(matrices)]
    results = ", ".join([" + ".join(parts), *(f"0.5 * {state}" for state in states[1:])])
    namespace = {"torch": torch}
    exec(f"def step(this, {arguments}): return {results}", namespace)
    declared = {"states": states, "gates": gates, "vectors": vectors, "matrices": square, "step": namespace["step"]}
    return type(name, (Cell,), declared)()


# What is declared, the name that would be shared, and who has it already.
CLASHES = [
    ({"matrices": ("W_hh",)}, "weight_hh", "the U of all gates"),
    ({"matrices": ("W_ih",)}, "weight_ih", "the W of all gates"),
    ({"vectors": ("weight_hh",)}, "weight_hh", "the U of all gates"),
    ({"vectors": ("weight_ih",)}, "weight_ih", "the W of all gates"),
    ({"vectors": ("bias_hh",)}, "bias_hh", "the c of all"),
    ({"vectors": ("bias_ih",)}, "bias_ih", "the b of all"),
    ({"vectors": ("initial_h",)}, "initial_h", "the learned initial value of the state 'h'"),
    ({"vectors": ("weight_ab",), "matrices": ("W_ab",)}, "weight_ab", "the matrix 'W_ab'"),
    ({"states": ("h", "x_n")}, "x_n", "the input part of the gate 'n'"),
    ({"gates": ("n", "x_n")}, "x_n", "the input part of the gate 'n'"),
    ({"vectors": ("U_n",)}, "U_n", "the recurrent map of the gate 'n'"),
    ({"gates": ("self",)}, "self", "the cell itself"),
    *(
        ({kind: (*GIVEN[kind], name)}, name, what)
        for kind, (name, what) in product(
            ("states", "gates", "vectors"),
            (
                ("keep_h", "keep="),
                ("add_h", "add="),
                ("zone_h", "zoneout"),
                ("drop_h", "mask of recurrent_dropout"),
                ("drop_candidate", "mask of candidate_dropout"),
            ),
        )
    ),
]


@pytest.mark.parametrize("engine", ["auto", "reference"])
@pytest.mark.parametrize(("declared", "shared", "owner"), CLASHES, ids=lambda v: v if isinstance(v, str) else "")
def test_a_clash_is_refused_and_names_both_sides(declared, shared, owner, engine):
    with pytest.raises(ProgramError, match="must give every state, gate and weight its own name") as refused:
        carousel.Recurrent(cell_of(**declared), 3, 4, engine=engine)
    assert f"'{shared}'" in str(refused.value)
    assert owner in str(refused.value)
    assert "_own'" in str(refused.value), "and what to write"


@pytest.mark.parametrize("kind", ["states", "gates", "vectors", "matrices"])
@pytest.mark.parametrize("name", ["", "a.b", "a b", "1a", "lambda", "None", "\ufb01", "__p", 3, None])
def test_what_step_cannot_ask_for_is_refused(kind, name):
    class Odd(Cell):
        def step(self, h, n):
            return h + n

    value = (*GIVEN[kind], name)
    setattr(Odd, kind, dict.fromkeys(value, ("hidden", "hidden")) if kind == "matrices" else value)
    for name in set(GIVEN) - {kind}:
        setattr(Odd, name, GIVEN[name])
    with pytest.raises(ProgramError, match=r"which no argument of step can be called: a name begins with a letter"):
        carousel.Recurrent(Odd, 3, 4)


def test_a_gate_begins_with_a_letter_and_a_vector_may_begin_with_a_line():
    with pytest.raises(ProgramError, match="the gate '_f', which no argument"):
        trace(cell_of(gates=("_f",)))
    assert "_p_l0" in dict(carousel.Recurrent(cell_of(vectors=("_p",)), 3, 4).named_parameters())


@pytest.mark.parametrize(
    ("declared", "match"),
    [
        ({"vectors": {"p": 1.0}}, r"vector 'p' as 1.0; write it as a carousel.Vector"),
        ({"matrices": {"W_ab": "hidden"}}, r"matrix 'W_ab' as 'hidden'; write its rows and columns"),
        ({"matrices": {"W_ab": ("hidden",)}}, r"matrix 'W_ab' as \('hidden',\)"),
        ({"matrices": {"W_": ("hidden", "hidden")}}, "write letters after W_, as in W_ab"),
    ],
)
def test_a_declaration_that_is_no_vector_or_matrix(declared, match):
    with pytest.raises(ProgramError, match=match):
        trace(type("Odd", (Cell,), {"gates": ("n",), "step": lambda self, h, n: h + n, **declared})())


@pytest.mark.parametrize("name", ["training", "cell", "sizes", "forward", "bias", "weight", "program"])
def test_a_vector_with_the_name_of_an_attribute_of_the_layer(name):
    """In a stack its number comes behind the name; a single step has the name itself."""
    cell = cell_of(vectors=(name,))
    assert f"{name}_l0" in dict(carousel.Recurrent(cell, 3, 4).named_parameters())
    if name != "weight":
        with pytest.raises(ProgramError, match=rf"the parameter '{name}' would stand in the place of RecurrentCell\."):
            carousel.layers.RecurrentCell(cell, 3, 4)


LIBRARYS = [word + state for word in ("initial_", "keep_", "add_", "zone_", "drop_") for state in ("h", "c")]
PARAMETERS = ["W_hh", "W_hr", "W_ih", "W_ab", "weight_ab", "weight_hh", "bias_ih", "p_l0", "weight_hh_l0", "p_reverse"]
NAMES = st.sampled_from([*LIBRARYS, *PARAMETERS, "h", "c", "n", "f", "x_n", "U_n", "p", "drop_candidate", "training"])


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_names_are_refused_or_mean_what_other_names_mean(data):
    """The same equations under plain names give the same numbers: values, gradients, every option, both engines."""
    few = [data.draw(st.lists(NAMES, min_size=least, max_size=2)) for least in (1, 1, 0, 0)]
    states, gates, vectors, matrices = few
    matrices = [m if m.startswith("W_") else f"W_{m}" for m in matrices]
    kinds = {"states": tuple(states), "gates": tuple(gates), "vectors": tuple(vectors), "matrices": tuple(matrices)}
    plain = {"states": ("s0", "s1"), "gates": ("g0", "g1"), "vectors": ("v0", "v1"), "matrices": ("W_m0", "W_m1")}
    plain = {kind: plain[kind][: len(names)] for kind, names in kinds.items()}
    if len(set(vectors)) < len(vectors) or len(set(matrices)) < len(matrices):
        return  # a mapping has a name once
    for engine in ("auto", "reference"):
        options: dict[str, Any] = {
            "initial_state": "learned",
            "zoneout": 0.3,
            "recurrent_dropout": 0.4,
            "engine": engine,
        }
        try:
            layer = carousel.Recurrent(cell_of(**kinds), 3, 4, **options)
        except ProgramError as error:
            if "must give every state, gate and weight its own name" not in str(error):
                raise
            return
        other = carousel.Recurrent(cell_of(**plain), 3, 4, **options)
        assert len(list(layer.parameters())) == len(list(other.parameters()))
        with torch.no_grad():
            for mine, theirs in zip(layer.parameters(), other.parameters(), strict=True):
                mine.copy_(theirs)
        found = []
        for which in (layer, other):
            torch.manual_seed(0)
            output, _, every = which(
                torch.ones(5, 2, 3), keep=torch.full((5, 2), 0.9), add=torch.full((5, 2), 0.1), return_states=True
            )
            found.append(
                [
                    output,
                    *every.values(),
                    *torch.autograd.grad(output.sum(), list(which.parameters()), allow_unused=True),
                ]
            )
        for mine, theirs in zip(*found, strict=True):
            assert (mine is None) == (theirs is None)
            assert mine is None or torch.equal(mine, theirs)


# The border of the native library.

needs_native = pytest.mark.skipif("absent" in native.status()["native engine"], reason="no native library")


def inputs(program, **changed):
    shapes = program.parameter_shapes({"hidden": 4, "input": 3})
    given: dict[str, Any] = {
        "x": torch.zeros(5, 3),
        "states": [torch.zeros(2, 4) for _ in program.states],
        "parameters": [torch.zeros(shapes[name]) for name in parameters_of(program)],
        "streams": [],
        "batch_sizes": torch.tensor([2, 2, 1]),
    } | changed
    return Inputs(program, **given, reverse=False, bfloat16=False)


@needs_native
class TestTheBorder:
    program = trace(cell_of(gates=("n", "m"), vectors=("p",), matrices=("W_ab",)))

    def scan(self, given, **_):
        torch.ops.carousel.scan(
            given.x, given.states, given.parameters, given.streams, given.batch_sizes, key_of(given.program), False,
            False, False,
        )  # fmt: skip

    @pytest.mark.parametrize("place", range(len(parameters_of(program))))
    @pytest.mark.parametrize("spoil", ["short", "long", "flat", "double"])
    def test_every_parameter_is_checked_against_the_plan(self, place, spoil):
        given = inputs(self.program)
        name, whole = parameters_of(self.program)[place], given.parameters[place]
        given.parameters[place] = {
            "short": whole[:-1],
            "long": torch.cat([whole, whole]),
            "flat": whole.reshape(-1, 1, 1),
            "double": whole.double(),
        }[spoil]
        with pytest.raises(ValueError, match=f"^{name} must|^x must hold" if name != "weight_ih" else " must "):
            self.scan(given)

    @pytest.mark.parametrize(
        "changed",
        [
            {"states": []},
            {"parameters": []},
            {"streams": [torch.zeros(5, 4)]},
            {"states": [torch.zeros(1, 4)]},
            {"x": torch.zeros(4, 3)},
            {"x": torch.zeros(5, 2)},
            {"x": torch.zeros(5, 3, dtype=torch.float16)},
            {"batch_sizes": torch.tensor([2, 2, 1], dtype=torch.int32)},
            {"batch_sizes": torch.tensor([1, 2, 2])},
            {"batch_sizes": torch.tensor([2, 2, 2])},
        ],
    )
    def test_what_is_read_at_every_step_is_checked(self, changed):
        with pytest.raises(ValueError, match=r"native scan|must hold the|must be \("):
            self.scan(inputs(self.program, **changed))

    def backward(self, **changed):
        given = inputs(self.program)
        emitted, last, saved = native_call.forward(given, keep=True)
        whole = {
            "grad_emitted": [torch.ones_like(e) for e in emitted],
            "grad_last": [torch.ones_like(s) for s in last],
            "x": given.x,
            "outputs": emitted[0],
            "saved": saved,
            "states": given.states,
            "parameters": given.parameters,
        } | changed
        return torch.ops.carousel.scan_backward(
            **whole, streams=[], batch_sizes=given.batch_sizes, program=key_of(self.program), reverse=False,
            bfloat16=False, wanted=[True] * len(given.tensors),
        )  # fmt: skip

    @pytest.mark.parametrize(
        "changed",
        [
            {"grad_emitted": []},
            {"grad_emitted": [torch.ones(4, 4)]},
            {"grad_emitted": [torch.ones(5, 4, dtype=torch.float64)]},
            {"grad_last": []},
            {"grad_last": [torch.ones(2, 3)]},
            {"outputs": torch.ones(5, 3)},
            {"saved": torch.ones(1)},
            {"saved": torch.ones(0)},
            {"states": [torch.ones(2, 3)]},
            {"x": torch.ones(5, 4)},
        ],
    )
    def test_backward_is_checked_too(self, changed):
        assert all(g.isfinite().all() for g in self.backward())
        with pytest.raises(ValueError, match=r"must be \(|must hold the|backward of a native scan"):
            self.backward(**changed)

    def test_a_program_from_a_text_declares_what_it_reads(self):
        text = notation.write(self.program)
        assert notation.write(notation.read(text)) == text
        for old, new, why in (
            (
                '["weight_hh","hidden","hidden",1,"bias_hh"]',
                '["weight_hh","hidden","hidden",7,"bias_hh"]',
                "a gate that",
            ),
            (
                '["weight_ab","hidden","hidden"',
                '["weight_hh","hidden","hidden"',
                "reads its parameter 'weight_hh' both",
            ),
            ('["input",[],"hidden","m"]', '["input",[],"hidden","q"]', "declares no input 'q'"),
            ('["vector",[],"hidden","p"]', '["vector",[],"one","p"]', "has the size 'hidden'"),
            ('["state",[],"hidden","h"]', '["state",[],"hidden","c"]', "declares no state 'c'"),
            ('"outputs":[["h",', '"outputs":[["h",9', "is no node"),
        ):
            assert old in text
            with pytest.raises(ProgramError, match=why):
                notation.read(text.replace(old, new))
