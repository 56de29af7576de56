"""Networks as plain C: every cell, compiled by the strictest settings, gives what the layer gives."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from matrix import CATALOGUE, KINDS, USERS, assert_close, moved, name_of
from torch import nn

import carousel
from carousel.errors import DataError, ProgramError
from carousel.export import to_c
from carousel.export.c import c_sources
from carousel.export.c.operations import EXPRESSIONS, HELPERS
from carousel.export.c.products import quantized
from carousel.export.c.scan_step import REDUCTIONS
from carousel.models.label_model import Ensemble, LabelModel
from carousel.models.token_model import TokenModel
from carousel.program import ops

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wdouble-promotion", "-Wconversion"]
# Every cell in double precision; in single, one of each kind.
RUNS = [(row, torch.float64) for row in (*CATALOGUE, *USERS) if row.traced]
RUNS += [(row, torch.float32) for row in KINDS if row.traced]
T = 30


def compiler() -> str:
    found = shutil.which("gcc") or shutil.which("cc")
    if found is None:
        pytest.skip("there is no C compiler on the PATH")
    return found


class Built:
    """A C file as a library; a state of its own for each sequence."""

    def __init__(self, module: nn.Module, folder: Path, **options):
        to_c(module, folder, **options)
        command = [compiler(), *STRICT, "-O1", "-shared", "-fPIC", str(folder / "model.c"), "-lm"]
        subprocess.run([*command, "-o", str(folder / "model.so")], check=True)
        self.library = ctypes.CDLL(str(folder / "model.so"))
        self.dtype = np.float64 if next(module.parameters()).dtype == torch.float64 else np.float32

    def state(self) -> ctypes.Array:
        state = ctypes.create_string_buffer(1 << 16)
        self.library.model_reset(state)
        return state

    def step(self, state: ctypes.Array, x: np.ndarray | int, width: int) -> np.ndarray:
        output = np.full(width, np.nan, self.dtype)
        if not isinstance(x, int):
            x = np.ascontiguousarray(x, self.dtype).ctypes.data_as(ctypes.c_void_p)
        self.library.model_step(state, x, output.ctypes.data_as(ctypes.c_void_p))
        return output

    def run(self, xs: np.ndarray | list[int], width: int) -> np.ndarray:
        state = self.state()
        return np.stack([self.step(state, x, width) for x in xs]) if len(xs) else np.zeros((0, width), self.dtype)


def test_every_op_has_a_c_form():
    products = {name for name, row in ops.TABLE.items() if row.kind == "product"}
    assert set(ops.TABLE) <= set(EXPRESSIONS) | set(REDUCTIONS) | products


@pytest.mark.parametrize("name", [n for n, row in ops.TABLE.items() if row.kind in ("pointwise", "relation")])
def test_an_op_in_c_is_the_op(name, tmp_path):
    row = ops.TABLE[name]
    values = torch.tensor([-30.0, -2.5, -1.0, -0.5, 0.0, 0.25, 1.0, 2.5, 19.0, 30.0], dtype=torch.float64)
    rows = torch.stack([values.roll(3 * k) for k in range(row.arity)])
    if name in ("log", "log1p", "sqrt", "rsqrt", "div", "remainder"):
        rows = rows.abs() + 0.5
    if name == "where":
        rows[0] = (rows[0] > 0).double()
    arguments = [f"a{k}" for k in range(row.arity)]
    text = EXPRESSIONS[name].format(*arguments, s="")
    declared = ", ".join(f"real {a}" for a in arguments)
    helper = "\n".join(h.format(s="") for h in HELPERS.values())
    source = f"#include <math.h>\ntypedef double real;\n{helper}\nreal f({declared}) {{ return (real)({text}); }}\n"
    (tmp_path / "f.c").write_text(source)
    command = [
        compiler(),
        "-std=c99",
        "-O1",
        "-shared",
        "-fPIC",
        str(tmp_path / "f.c"),
        "-o",
        str(tmp_path / "f.so"),
        "-lm",
    ]
    subprocess.run(command, check=True)
    function = ctypes.CDLL(str(tmp_path / "f.so")).f
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * row.arity
    found = torch.tensor([function(*column) for column in rows.T.tolist()], dtype=torch.float64)
    given = [r.bool() if name == "where" and k == 0 else r for k, r in enumerate(rows)]
    torch.testing.assert_close(found, row.meaning(*given).double(), rtol=1e-14, atol=1e-15)


@pytest.mark.parametrize(("row", "dtype"), RUNS, ids=[f"{row}-{name_of(dtype)}" for row, dtype in RUNS])
def test_a_layer_in_c_gives_what_the_layer_gives(row, dtype, tmp_path):
    layer = row.layer(3, 5).to(dtype)
    x = torch.randn(T, 2, 3, dtype=dtype, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        wanted, _ = layer(x)
    built = Built(layer, tmp_path)
    width = wanted.shape[-1]
    # Two sequences in turns: a step knows the state that it is given, and nothing else.
    states = [built.state(), built.state()]
    found = np.stack([[built.step(s, x[t, b].numpy(), width) for b, s in enumerate(states)] for t in range(T)])
    exact = row.layer(3, 5, engine="reference").double()
    with torch.no_grad():
        truth, _ = exact(x.double())
    # The layer's own distance to double precision says what rounding does to this cell.
    own = float((wanted.double() - truth).abs().max())
    allowed = max(8 * own, 64 * T * torch.finfo(dtype).eps)
    assert np.abs(found - truth.numpy()).max() <= allowed
    built.library.model_reset(states[0])
    assert (built.step(states[0], x[0, 0].numpy(), width) == found[0, 0]).all()


@pytest.mark.parametrize("steps", [0, 1, 1000])
def test_lengths(steps, tmp_path):
    layer = carousel.LSTM(3, 8, 2, proj_size=4, peepholes="all", dtype=torch.float64)
    x = torch.randn(steps, 3, dtype=torch.float64)
    found = Built(layer, tmp_path).run(x.numpy(), 4)
    if steps:
        with torch.no_grad():
            assert_close(found, layer(x)[0], terms=100 + steps)


@pytest.mark.parametrize(
    "options",
    [
        {"zoneout": 0.2, "initial_state": "learned"},
        {"recurrent_dropout": 0.3, "candidate_dropout": 0.2, "input_dropout": 0.1, "dropout": 0.1, "num_layers": 2},
        {"weight_drop": 0.4},
        {"bias": False},
    ],
    ids=lambda options: "-".join(options),
)
def test_options_of_layers_as_in_evaluation(options, tmp_path):
    layer = moved(carousel.GRU(3, 6, dtype=torch.float64, **options)).eval()
    x = torch.randn(T, 3, dtype=torch.float64)
    with torch.no_grad():
        assert_close(Built(layer, tmp_path).run(x.numpy(), 6), layer(x)[0], terms=1000)


class ShiftRegister(carousel.Cell):
    """The new state of one is the old state of another, and its states change places."""

    states = "h", "a", "b"
    gates = "n"

    def step(self, h, a, b, n):
        return torch.tanh(n + a), b, h


def test_a_step_reads_the_old_states_only(tmp_path):
    layer = carousel.Recurrent(ShiftRegister(), 2, 3, dtype=torch.float64)
    x = torch.randn(T, 2, dtype=torch.float64)
    with torch.no_grad():
        assert_close(Built(layer, tmp_path).run(x.numpy(), 3), layer(x)[0], terms=1000)


@pytest.mark.parametrize("cell", ["lstm", "gru-reset-before", "layer-norm-gru"])
def test_int8_is_the_layer_with_rounded_matrices(cell, tmp_path):
    layer = carousel.Recurrent(cell, 7, 12, dtype=torch.float64)
    x = torch.randn(T, 7, dtype=torch.float64)
    built = Built(layer, tmp_path, int8=True)
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.dim() == 2:
                whole, scale = quantized(parameter.numpy())
                assert np.abs(whole).max() == 127
                parameter.copy_(torch.from_numpy(whole * scale[:, None]))
        assert_close(built.run(x.numpy(), 12), layer(x)[0], terms=2000)


def test_a_language_model_gives_the_probabilities_of_the_next_symbol(tmp_path):
    model = TokenModel(11, hidden=8, layers=2, embedding=5, dropout=0.2).double().eval()
    symbols = torch.randint(11, (T, 1))
    with torch.no_grad():
        wanted = torch.softmax(model(symbols)[0][:, 0], -1)
    assert_close(Built(model, tmp_path).run(symbols[:, 0].tolist(), 11), wanted, terms=1000)


@pytest.mark.parametrize("head", ["last", "mean", "max", "attention"])
def test_a_classifier_gives_its_classes_after_the_steps_so_far(head, tmp_path):
    members = [LabelModel(4, inputs=3, hidden=6, head=head) for _ in range(2)]
    for member in members:
        member.standardize_on([np.random.default_rng(0).normal(5, 3, (20, 3))])
    ensemble = moved(Ensemble(members)).double().eval()
    x = 5 + 3 * torch.randn(T, 1, 3, dtype=torch.float64)
    with torch.no_grad():
        wanted = [torch.exp(ensemble(x[: t + 1], torch.tensor([t + 1])))[0] for t in range(T)]
    found = Built(ensemble, tmp_path).run(x[:, 0].numpy(), 4)
    # The ensemble averages in single precision.
    assert_close(found, torch.stack(wanted).double(), terms=1000, dtype=torch.float32)


def test_the_code_is_clean_under_sanitizers(tmp_path):
    layer = carousel.LSTM(3, 17, 2, peepholes="all", proj_size=5)
    to_c(layer, tmp_path, int8=True)
    (tmp_path / "main.c").write_text(
        '#include "model.h"\nint main(void)\n{\n    model_state state;\n'
        "    float x[MODEL_INPUT] = {0}, y[MODEL_OUTPUT];\n"
        "    int t;\n    model_reset(&state);\n    for (t = 0; t < 100; t++) {\n        x[t % 3] += 0.1f;\n"
        "        model_step(&state, x, y);\n    }\n    return y[0] == y[0] ? 0 : 1;\n}\n"
    )
    command = [compiler(), *STRICT, "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    sources = [str(tmp_path / "model.c"), str(tmp_path / "main.c")]
    subprocess.run([*command, *sources, "-o", str(tmp_path / "main"), "-lm"], check=True)
    subprocess.run([str(tmp_path / "main")], check=True)


def test_the_header_may_be_used_from_cplusplus_and_counts_its_memory(tmp_path):
    texts, products = c_sources(carousel.GRU(3, 8))
    assert "Read-only memory of the weights: 1248 bytes. State: 32 bytes." in texts["model.h"]
    assert products.arrays["l0_weight_ih"].shape == (24, 3)
    if (cpp := shutil.which("g++")) is None:
        pytest.skip("there is no C++ compiler on the PATH")
    (tmp_path / "model.h").write_text(texts["model.h"])
    (tmp_path / "use.cpp").write_text('#include "model.h"\nmodel_state state;\n')
    subprocess.run(
        [cpp, "-Wall", "-Werror", "-pedantic", "-c", str(tmp_path / "use.cpp"), "-o", str(tmp_path / "o")], check=True
    )


class Ordered(carousel.Cell):
    gates = "n"

    def step(self, n):
        return torch.cumsum(torch.tanh(n), -1)


@pytest.mark.parametrize(
    ("module", "error", "words"),
    [
        (lambda: carousel.GRU(2, 3, bidirectional=True), ProgramError, "train with one direction"),
        (lambda: carousel.Recurrent(Ordered(), 2, 3, engine="reference"), ProgramError, "is not a program"),
        (lambda: LabelModel(2, inputs=3, convolutions=4), ProgramError, "has convolutions beside its recurrence"),
        (lambda: nn.Linear(2, 3), TypeError, "Linear has no C form"),
        (lambda: nn.LSTM(2, 3), TypeError, "carousel.export|carousel.Recurrent"),
    ],
)
def test_refusals(module, error, words, tmp_path):
    with pytest.raises(error, match=words):
        to_c(module(), tmp_path / "folder")
    assert not (tmp_path / "folder").exists()


def test_weights_that_are_not_finite_and_names_that_c_does_not_know(tmp_path):
    layer = carousel.GRU(2, 3)
    for name in ("a-b", "1a", "", "int", "sum"):
        with pytest.raises(DataError, match="must be a free C identifier"):
            to_c(layer, tmp_path, name=name)
    with torch.no_grad():
        layer.weight_hh_l0[0, 0] = torch.nan
    with pytest.raises(ProgramError, match="every weight must be a finite number, but l0_weight_hh has 1"):
        to_c(layer, tmp_path)
    assert not list(tmp_path.iterdir())
