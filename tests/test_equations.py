"""Law 1: every cell, on every engine, computes its published equations; so do torch.nn's own modules.

The statement it is held to is `textbook.py`: NumPy, float64, written from the publications. A new cell needs its
function there and a line in `matrix.py`'s table; test_every_cell_has_its_equations fails until it has.
"""

from __future__ import annotations

import numpy as np
import pytest
import textbook
import torch
from matrix import ROWS, Row, assert_close, moved, roundings, runs
from torch import nn

T, B, I, H = 5, 3, 3, 5

STRUCTURES = {
    "plain": {},
    "deep": {"num_layers": 2},
    "both-ways": {"bidirectional": True},
    "deep-both-ways": {"num_layers": 2, "bidirectional": True},
}


def by_the_book(row_or_equations, module, x, initial, bias):
    """Output (T, B, D * H) and last states that the textbook gives for a module's parameters, row by row."""
    equations = row_or_equations.equations if isinstance(row_or_equations, Row) else row_or_equations
    parameters = {name: p.detach().double().numpy() for name, p in module.state_dict().items()}
    x, initial = x.double().numpy(), [s.double().numpy() for s in initial]
    done = [
        textbook.layer(equations, x[:, b], tuple(s[:, b] for s in initial), parameters, bias)  # type: ignore[arg-type]
        for b in range(x.shape[1])
    ]
    output = np.stack([output for output, _ in done], axis=1)
    last = [np.stack(rows, axis=1) for rows in zip(*(last for _, last in done), strict=True)]
    return torch.from_numpy(output), [torch.from_numpy(s) for s in last]


def check(module, equations, x, initial, bias):
    """The module's outputs and last states are the textbook's."""
    num_layers = module.num_layers
    wanted, wanted_last = by_the_book(equations, module, x, initial, bias)
    output, last = module(x, initial if len(initial) > 1 else initial[0])
    last = last if isinstance(last, tuple) else (last,)
    terms = roundings(T, I, H, num_layers)
    assert output.dtype == x.dtype
    assert_close(output, wanted, terms=terms, dtype=x.dtype, what="output")
    assert len(last) == len(wanted_last)
    for index, pair in enumerate(zip(last, wanted_last, strict=True)):
        assert_close(*pair, terms=terms, dtype=x.dtype, what=f"state {index}")


@pytest.mark.parametrize(("row", "bias", "engine", "dtype"), runs())
def test_a_layer_computes_its_equations(row, bias, engine, dtype):
    layer = row.layer(I, H, engine, bias=bias, dtype=dtype)
    check(layer, row, torch.randn(T, B, I, dtype=dtype), row.initial(1, B, H, dtype), bias)


@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
@pytest.mark.parametrize(("row", "bias", "engine", "dtype"), runs(biases=(True,)))
def test_layers_and_directions_compose_as_the_textbook_says(row, bias, engine, dtype, structure):
    layer = row.layer(I, H, engine, dtype=dtype, **structure)
    scans = layer.num_layers * (1 + layer.bidirectional)
    check(layer, row, torch.randn(T, B, I, dtype=dtype), row.initial(scans, B, H, dtype), bias)


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_without_initial_states_a_layer_starts_from_zero(row):
    layer = row.layer(I, H, dtype=torch.float64)
    x = torch.randn(T, B, I, dtype=torch.float64)
    zeros = tuple(torch.zeros(1, B, size, dtype=torch.float64) for size in row.state_sizes(H))
    wanted, _ = by_the_book(row, layer, x, zeros, True)
    assert_close(layer(x)[0], wanted, terms=roundings(T, I, H), what="output")


TORCH = {
    "RNN-tanh": (nn.RNN, {"nonlinearity": "tanh"}, textbook.elman(np.tanh), 1),
    "RNN-relu": (nn.RNN, {"nonlinearity": "relu"}, textbook.elman(textbook.relu), 1),
    "LSTM": (nn.LSTM, {}, textbook.lstm(), 2),
    "LSTM-proj": (nn.LSTM, {"proj_size": 2}, textbook.lstm(projected=True), 2),
    "GRU": (nn.GRU, {}, textbook.gru_reset_after, 1),
}


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize("structure", STRUCTURES.values(), ids=STRUCTURES)
@pytest.mark.parametrize(("kind", "options", "equations", "states"), TORCH.values(), ids=TORCH)
def test_torch_computes_the_textbook_too(kind, options, equations, states, structure, bias):
    module = moved(kind(I, H, bias=bias, dtype=torch.float64, **options, **structure))
    scans = module.num_layers * (1 + module.bidirectional)
    sizes = [module.proj_size or H, H][:states]
    initial = tuple(torch.randn(scans, B, size, dtype=torch.float64) for size in sizes)
    check(module, equations, torch.randn(T, B, I, dtype=torch.float64), initial, bias)


def test_every_cell_has_its_equations():
    missing = [row.name for row in ROWS if row.equations is None]
    assert not missing, f"write the equations of {missing} in textbook.py and name them in matrix.py"


@pytest.mark.parametrize("row", ROWS, ids=repr)
def test_gates_stand_in_the_textbooks_order(row):
    assert tuple(row.cell.gates) == tuple(row.equations.gates)
