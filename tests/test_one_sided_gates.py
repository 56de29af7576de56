"""Gates of the input alone and of the state alone: no rows for what they do not read, and every option of a layer.

That they compute their equations, and their gradients, is tried on the cells `OneSided` and `ScanAlone` of `matrix.py`.
"""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from matrix import OneSided, ScanAlone

import carousel
from carousel.program import notation, trace
from carousel.program.rewrite import recordable


def shapes(cell, **options):
    return {name: tuple(p.shape) for name, p in carousel.Recurrent(cell, 3, 5, **options).named_parameters()}


def test_parameters_have_rows_for_what_gates_read_and_no_others():
    assert shapes(OneSided()) == {
        "weight_ih_l0": (10, 3),
        "weight_hh_l0": (10, 5),
        "bias_ih_l0": (10,),
        "bias_hh_l0": (10,),
    }
    assert shapes(ScanAlone()) == {"weight_ih_l0": (10, 3), "bias_ih_l0": (10,)}
    assert shapes(ScanAlone(), bias=False) == {"weight_ih_l0": (10, 3)}


@pytest.mark.parametrize("cell", [OneSided(), ScanAlone()], ids=repr)
def test_the_program_is_itself_after_it_was_written_and_pickled(cell):
    program = trace(cell)
    assert notation.write(notation.read(notation.write(program))) == notation.write(program)
    assert pickle.loads(pickle.dumps(program)) is program


def test_printed():
    assert str(trace(ScanAlone())) == (
        "ScanAlone: states h; gates z, n\n  z  = σ(W_z x + b_z)\n  h' = (1 - z) ⊙ h + z ⊙ (W_n x + b_n)"
    )
    assert "tanh(W_n x + b_n + U_u t1 + c_u)" in str(trace(OneSided()))
    assert {"f", "h"} <= set(recordable(trace(OneSided())))


def test_the_state_keeps_its_memory_by_the_gates_that_read_the_input():
    layer = carousel.Recurrent(ScanAlone(), 3, 5)
    layer.initialize("chrono", longest=100)
    assert layer.bias_ih_l0[:5].max() < 0, "z keeps when it is shut"


@pytest.mark.parametrize("option", ["recurrent_dropout", "weight_drop"])
def test_a_dropout_of_what_u_multiplies_needs_a_u(option):
    carousel.Recurrent(OneSided(), 3, 5, **dict[str, Any]({option: 0.5}))
    with pytest.raises(ValueError, match=f"{option} is for cells whose gates multiply the state by U.*use zoneout"):
        carousel.Recurrent(ScanAlone(), 3, 5, **dict[str, Any]({option: 0.5}))


@pytest.mark.parametrize("scheme", ["orthogonal", "identity"])
def test_a_scheme_for_u_needs_a_u(scheme):
    carousel.Recurrent(OneSided(), 3, 5).initialize(scheme)
    with pytest.raises(ValueError, match=f"{scheme} draws the matrices U that multiply the state, and no gate of Scan"):
        carousel.Recurrent(ScanAlone(), 3, 5).initialize(scheme)


def test_a_weight_of_another_shape_is_refused_with_its_own_number_of_gates():
    layer = carousel.Recurrent(OneSided(), 3, 5)
    layer.weight_hh_l0 = torch.nn.Parameter(torch.zeros(15, 5))
    with pytest.raises(RuntimeError, match=r"weight_hh_l0 first dim must be 2 \* hidden_size = 10, but got 15"):
        layer(torch.zeros(2, 1, 3))
