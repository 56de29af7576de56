"""Networks as plain C: every cell, compiled by the strictest settings, gives what the layer gives."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matrix import KINDS, OF_ROWS, USERS, assert_close, moved, name_of
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
from carousel.tasks.sequences.front_ends.audio import AudioFrontEnd

STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Wdouble-promotion", "-Wconversion"]
# Every cell in double precision; in single, one of each kind.
RUNS = [(row, torch.float64) for row in (*OF_ROWS, *USERS) if row.traced]
RUNS += [(row, torch.float32) for row in KINDS if row.traced]
T = 30


def compiler() -> str:
    found = shutil.which("gcc") or shutil.which("cc")
    if found is None:
        pytest.skip("there is no C compiler on the PATH")
    return found


class Built:
    """A network of a library, with a state of its own for each sequence."""

    def __init__(self, library: ctypes.CDLL, name: str, dtype: torch.dtype):
        self.reset, self.library_step = getattr(library, f"{name}_reset"), getattr(library, f"{name}_step")
        self.dtype = np.float64 if dtype == torch.float64 else np.float32

    def state(self) -> ctypes.Array:
        state = ctypes.create_string_buffer(1 << 16)
        self.reset(state)
        return state

    def step(self, state: ctypes.Array, x: np.ndarray | int, width: int) -> np.ndarray:
        output = np.full(width, np.nan, self.dtype)
        if not isinstance(x, int):
            x = np.ascontiguousarray(x, self.dtype).ctypes.data_as(ctypes.c_void_p)
        self.library_step(state, x, output.ctypes.data_as(ctypes.c_void_p))
        return output

    def run(self, xs: np.ndarray | list[int], width: int) -> np.ndarray:
        state = self.state()
        return np.stack([self.step(state, x, width) for x in xs]) if len(xs) else np.zeros((0, width), self.dtype)


def built(module: nn.Module, folder: Path, **options) -> Built:
    to_c(module, folder, **options)
    return Built(compiled(folder, "model.c"), "model", next(module.parameters()).dtype)


def compiled(folder: Path, *sources: str) -> ctypes.CDLL:
    command = [compiler(), *STRICT, "-O1", "-shared", "-fPIC", *(str(folder / source) for source in sources), "-lm"]
    subprocess.run([*command, "-o", str(folder / "networks.so")], check=True)
    return ctypes.CDLL(str(folder / "networks.so"))


def together(modules: Mapping[str, nn.Module], folder: Path, **options) -> dict[str, Built]:
    """Many networks, {name: module}, compiled as one source: a compiler takes longer to start than to compile one.

    What a file keeps to itself (its static names, and `real`) has the name of the network before it there.
    """
    parts = []
    for name, module in modules.items():
        _, source = to_c(module, folder, name=name, **options)
        own = sorted({"real", *re.findall(r"^static [\w ]+?[ *](\w+)[\[(]", source.read_text(), re.MULTILINE)})
        parts += [f"#define {word} {name}_own_{word}\n" for word in own]
        parts += [f'#include "{source.name}"\n', *(f"#undef {word}\n" for word in own)]
    (folder / "all.c").write_text("".join(parts))
    library = compiled(folder, "all.c")
    return {name: Built(library, name, next(module.parameters()).dtype) for name, module in modules.items()}


def test_every_op_has_a_c_form():
    # Products are written in their own way. Members are of trees, and layers have none.
    products = {name for name, row in ops.TABLE.items() if row.kind in ("product", "members")}
    assert set(ops.TABLE) <= set(EXPRESSIONS) | set(REDUCTIONS) | products


POINTWISE = [name for name, row in ops.TABLE.items() if row.kind in ("pointwise", "relation")]


@pytest.fixture(scope="module")
def ops_in_c(tmp_path_factory) -> ctypes.CDLL:
    """Of each pointwise op, a function f_op of its arguments, double."""
    parts = ["#include <math.h>\ntypedef double real;\n", *(h.format(s="") + "\n" for h in HELPERS.values())]
    for name in POINTWISE:
        arguments = [f"a{k}" for k in range(ops.TABLE[name].arity)]
        text = EXPRESSIONS[name].format(*arguments, s="")
        parts.append(f"real f_{name}({', '.join(f'real {a}' for a in arguments)});\n")
        parts.append(f"real f_{name}({', '.join(f'real {a}' for a in arguments)}) {{ return (real)({text}); }}\n")
    folder = tmp_path_factory.mktemp("ops")
    (folder / "ops.c").write_text("".join(parts))
    return compiled(folder, "ops.c")


@pytest.mark.parametrize("name", POINTWISE)
def test_an_op_in_c_is_the_op(name, ops_in_c):
    row = ops.TABLE[name]
    values = torch.tensor([-30.0, -2.5, -1.0, -0.5, 0.0, 0.25, 1.0, 2.5, 19.0, 30.0], dtype=torch.float64)
    rows = torch.stack([values.roll(3 * k) for k in range(row.arity)])
    if name in ("log", "log1p", "sqrt", "rsqrt", "div", "remainder"):
        rows = rows.abs() + 0.5
    if name == "where":
        rows[0] = (rows[0] > 0).double()
    function = getattr(ops_in_c, f"f_{name}")
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * row.arity
    found = torch.tensor([function(*column) for column in rows.T.tolist()], dtype=torch.float64)
    given = [r.bool() if name == "where" and k == 0 else r for k, r in enumerate(rows)]
    torch.testing.assert_close(found, row.meaning(*given).double(), rtol=1e-14, atol=1e-15)


@pytest.fixture(scope="module")
def cells_in_c(tmp_path_factory) -> dict[str, Built]:
    modules = {f"cell{k}": row.layer(3, 5).to(dtype) for k, (row, dtype) in enumerate(RUNS)}
    return together(modules, tmp_path_factory.mktemp("cells"))


@pytest.mark.parametrize("k", range(len(RUNS)), ids=[f"{row}-{name_of(dtype)}" for row, dtype in RUNS])
def test_a_layer_in_c_gives_what_the_layer_gives(k, cells_in_c):
    row, dtype = RUNS[k]
    layer = row.layer(3, 5).to(dtype)
    x = torch.randn(T, 2, layer.input_size, dtype=dtype, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        wanted, _ = layer(x)
    in_c = cells_in_c[f"cell{k}"]
    width = wanted.shape[-1]
    # Two sequences in turns: a step knows the state that it is given, and nothing else.
    states = [in_c.state(), in_c.state()]
    found = np.stack([[in_c.step(s, x[t, b].numpy(), width) for b, s in enumerate(states)] for t in range(T)])
    truth = wanted
    if dtype == torch.float32:
        with torch.no_grad():
            truth, _ = row.layer(3, 5).double()(x.double())
    # The layer's own distance to double precision says what rounding does to this cell.
    own = float((wanted.double() - truth).abs().max())
    allowed = max(8 * own, 64 * T * torch.finfo(dtype).eps)
    assert np.abs(found - truth.numpy()).max() <= allowed
    in_c.reset(states[0])
    assert (in_c.step(states[0], x[0, 0].numpy(), width) == found[0, 0]).all()


OPTIONS: dict[str, dict[str, Any]] = {
    "zoneout_learned": {"zoneout": 0.2, "initial_state": "learned"},
    "dropouts": {
        "recurrent_dropout": 0.3, "candidate_dropout": 0.2, "input_dropout": 0.1, "dropout": 0.1, "num_layers": 2,
        "initial_state": "learned",
    },
    "weight_drop": {"weight_drop": 0.4},
    "no_bias": {"bias": False},
}  # fmt: skip


@pytest.fixture(scope="module")
def layers_in_c(tmp_path_factory) -> tuple[dict[str, carousel.Recurrent], dict[str, Built]]:
    layers: dict[str, carousel.Recurrent] = {
        name: moved(carousel.GRU(3, 6, dtype=torch.float64, **options)).eval() for name, options in OPTIONS.items()
    }
    layers["shift_register"] = carousel.Recurrent(ShiftRegister(), 3, 6, dtype=torch.float64)
    # Layers above the first read the time that stands behind the features.
    layers["parts"] = moved(carousel.Recurrent("phased-lstm", 4, 6, num_layers=3, dtype=torch.float64))
    # The gates' part does not stand first, and the step reads both.
    layers["masks"] = moved(carousel.Recurrent(Masked(), 6, 5, dtype=torch.float64))
    layers["deep"] = carousel.LSTM(3, 8, 2, proj_size=6, peepholes="all", dtype=torch.float64)
    return layers, together(layers, tmp_path_factory.mktemp("layers"))


@pytest.mark.parametrize("steps", [0, 1, 1000])
def test_lengths(steps, layers_in_c):
    (layers, in_c), x = layers_in_c, torch.randn(steps, 3, dtype=torch.float64)
    found = in_c["deep"].run(x.numpy(), 6)
    if steps:
        with torch.no_grad():
            assert_close(found, layers["deep"](x)[0], terms=100 + steps)


@pytest.mark.parametrize("name", [*OPTIONS, "shift_register", "parts", "masks"])
def test_layers_as_in_evaluation(name, layers_in_c):
    (layers, in_c), x = layers_in_c, torch.randn(T, layers_in_c[0][name].input_size, dtype=torch.float64)
    with torch.no_grad():
        assert_close(in_c[name].run(x.numpy(), layers[name].hidden_size), layers[name](x)[0], terms=1000)


class Masked(carousel.Cell):
    """A value that is missing is the last that was seen; the gates read which values are there."""

    states, gates = ("h", "seen"), "n"
    sizes = {"seen": "input"}
    parts, reads = ("value", "mask"), "mask"
    matrices = {"V": ("hidden", "input")}

    def step(self, seen, n, value, mask, V):
        seen = mask * value + (1 - mask) * seen
        return torch.tanh(n + V(seen) + value.mean(-1, keepdim=True)), seen


class ShiftRegister(carousel.Cell):
    """The new state of one is the old state of another, and its states change places."""

    states = "h", "a", "b"
    gates = "n"

    def step(self, h, a, b, n):
        return torch.tanh(n + a), b, h


@pytest.fixture(scope="module")
def rounded_in_c(tmp_path_factory) -> tuple[dict[str, carousel.Recurrent], dict[str, Built]]:
    layers = {
        cell.replace("-", "_"): carousel.Recurrent(cell, 7, 12, dtype=torch.float64)
        for cell in ("lstm", "gru-reset-before", "layer-norm-gru", "antisymmetric-rnn")
    }
    return layers, together(layers, tmp_path_factory.mktemp("int8"), int8=True)


@pytest.mark.parametrize("cell", ["lstm", "gru_reset_before", "layer_norm_gru", "antisymmetric_rnn"])
def test_int8_is_the_layer_with_rounded_matrices(cell, rounded_in_c):
    layer, in_c = rounded_in_c[0][cell], rounded_in_c[1][cell]
    x = torch.randn(T, 7, dtype=torch.float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            if parameter.dim() == 2:
                whole, scale = quantized(parameter.numpy())
                assert np.abs(whole).max() == 127
                parameter.copy_(torch.from_numpy(whole * scale[:, None]))
        assert_close(in_c.run(x.numpy(), 12), layer(x)[0], terms=2000)


def test_a_language_model_gives_the_probabilities_of_the_next_symbol(tmp_path):
    model = TokenModel(11, hidden=8, layers=2, embedding=5, dropout=0.2).double().eval()
    symbols = torch.randint(11, (T, 1))
    with torch.no_grad():
        wanted = torch.softmax(model(symbols)[0][:, 0], -1)
    assert_close(built(model, tmp_path).run(symbols[:, 0].tolist(), 11), wanted, terms=1000)


# Each head; convolutions of every form that reads one step after another; symbols and numbers; one network and several.
CLASSIFIERS: dict[str, dict[str, Any]] = {
    "last": {"inputs": 3, "head": "last"},
    "mean": {"symbols": 7, "embedding": 3, "head": "mean", "convolutions": 4},
    "max": {"inputs": 3, "head": "max", "convolutions": 5, "stride": 3},
    "attention": {"inputs": 3, "head": "attention", "cell": "layer-norm-lstm", "layers": 2},
}


def classifier(name: str) -> Ensemble:
    members = [LabelModel(4, hidden=6, **CLASSIFIERS[name]) for _ in range(1 + (name in ("mean", "attention")))]
    for number, member in enumerate(members):
        moved(member, number)
        if "inputs" in CLASSIFIERS[name]:
            member.standardize_on([np.random.default_rng(0).normal(5, 3, (20, 3))])
        if member.convolutions is not None:
            for _, norm in member.convolutions.layers():
                norm.running_mean.uniform_(-1, 1)
                norm.running_variance.uniform_(0.5, 2)
    return Ensemble(members).double().eval()


@pytest.fixture(scope="module")
def classifiers_in_c(tmp_path_factory) -> tuple[dict[str, Ensemble], dict[str, Built]]:
    torch.manual_seed(0)
    models = {name: classifier(name) for name in CLASSIFIERS}
    return models, together(models, tmp_path_factory.mktemp("classifiers"))


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_gives_its_classes_after_the_steps_so_far(name, classifiers_in_c):
    ensemble, in_c = classifiers_in_c[0][name], classifiers_in_c[1][name]
    numbers = "inputs" in CLASSIFIERS[name]
    x = 5 + 3 * torch.randn(T, 1, 3, dtype=torch.float64) if numbers else torch.randint(7, (T, 1))
    with torch.no_grad():
        wanted = [torch.exp(ensemble(x[: t + 1], torch.tensor([t + 1])))[0] for t in range(T)]
    found = in_c.run(x[:, 0].numpy() if numbers else x[:, 0].tolist(), 4)
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


@pytest.mark.parametrize("seconds", [0.5, 0.01])
def test_the_example_classifies_a_sound(seconds, tmp_path):
    """The program of examples/sound, beside the front end and the network that it stands for."""
    rate, example = 8000, Path(__file__).parent.parent / "examples" / "sound" / "classify.c"
    assert len(example.read_text().splitlines()) <= 200
    front_end, rng = AudioFrontEnd(rate, bands=12), np.random.default_rng(0)
    model = moved(LabelModel(3, inputs=12, hidden=8, convolutions=4)).eval()
    model.standardize_on([rng.normal(-5, 3, (20, 12))])
    to_c(model, tmp_path)
    command = [compiler(), *STRICT, "-O1", "-g", "-fsanitize=address,undefined", f"-DRATE={rate}", f"-I{tmp_path}"]
    files = [str(example), str(tmp_path / "model.c"), "-lm", "-o", str(tmp_path / "classify")]
    subprocess.run([*command, *files], check=True)
    samples = (20000 * np.sin(np.arange(int(seconds * rate)) ** 1.3 / 40)).astype("<i2")
    both = np.stack([samples, samples // 2], 1)
    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(both.tobytes())
    command = [str(tmp_path / "classify"), str(tmp_path / "sound.wav"), "a", "b"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    steps = torch.from_numpy(front_end.steps(tmp_path / "sound.wav"))[:, None]
    with torch.no_grad():
        wanted = torch.softmax(model(steps, torch.tensor([len(steps)])), -1)[0]
    assert said[::2] == ["a", "b", "class"]
    np.testing.assert_allclose([float(value) for value in said[1::2]], wanted, atol=2e-4)
    (tmp_path / "sound.wav").write_bytes(b"RIFF")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "this is no WAV file" in done.stderr


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
        (lambda: LabelModel(2, inputs=3, bidirectional=True, convolutions=4), ProgramError, "train with one direction"),
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
