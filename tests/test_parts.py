"""Cells that read parts of their input by name: missing values, times, the input itself as a row."""

import copy
import pickle

import pytest
import torch

import carousel
from carousel import Cell, Matrix, ProgramError
from carousel.program import notation, trace

T, B, D, H = 5, 3, 2, 4
float64 = torch.float64


class Masked(Cell):
    """Gates read which values are there; a value that is missing is the last that was seen."""

    states, gates = ("h", "seen"), "n"
    sizes = {"seen": "input"}
    parts, reads = ("value", "mask"), "mask"
    matrices = {"V": Matrix("hidden", "input", bias=True)}

    def step(self, seen, n, value, mask, V):
        seen = mask * value + (1 - mask) * seen
        return torch.tanh(n + V(seen)), seen


class Timed(Cell):
    """The last column of the input is a time, one number a row."""

    gates, parts = "n", {"features": "input", "time": "one"}

    def step(self, h, n, time):
        gate = torch.sigmoid(time)
        return gate * torch.tanh(n) + (1 - gate) * h


class Through(Cell):
    """The input itself, as long as the state."""

    gates, parts = ("g", "n"), {"input": "hidden"}

    def step(self, g, n, input):
        g = torch.sigmoid(g)
        return g * torch.tanh(n) + (1 - g) * input


def masked(w, x, h, seen):
    value, mask = x[:, :D], x[:, D:]
    seen = mask * value + (1 - mask) * seen
    n = mask @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"]
    return torch.tanh(n + seen @ w["weight_V"].T + w["bias_V"]), seen


def timed(w, x, h):
    gate = torch.sigmoid(x[:, -1:])
    n = x[:, :-1] @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"]
    return (gate * torch.tanh(n) + (1 - gate) * h,)


def through(w, x, h):
    g, n = (x @ w["weight_ih"].T + w["bias_ih"] + h @ w["weight_hh"].T + w["bias_hh"]).chunk(2, -1)
    g = torch.sigmoid(g)
    return (g * torch.tanh(n) + (1 - g) * x,)


CELLS = {
    "masked": (Masked(), 2 * D, masked, (H, D)),
    "timed": (Timed(), D + 1, timed, (H,)),
    "through": (Through(), H, through, (H,)),
}


def loop(layer, step, x, sizes):
    w = {name.removesuffix("_l0"): value for name, value in layer.named_parameters()}
    states, outputs = tuple(x.new_zeros(x.shape[1], size) for size in sizes), []
    for row in x:
        states = step(w, row, *states)
        outputs.append(states[0])
    return torch.stack(outputs)


def drawn(name, engine="auto", **options):
    cell, width, step, sizes = CELLS[name]
    torch.manual_seed(0)
    layer = carousel.Recurrent(cell, width, H, dtype=float64, engine=engine, **options)
    return layer, torch.randn(T, B, width, dtype=float64), step, sizes


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_those_of_a_plain_loop(name, engine):
    layer, x, step, sizes = drawn(name, engine)
    x.requires_grad_()
    output, expected = layer(x)[0], loop(layer, step, x, sizes)
    torch.testing.assert_close(output, expected, rtol=0, atol=1e-12)
    asked = [x, *layer.parameters()]
    for found, wanted in zip(
        torch.autograd.grad((output**2).sum(), asked), torch.autograd.grad((expected**2).sum(), asked), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", CELLS)
def test_lengths_resets_streams_and_single_steps_see_the_parts_too(name):
    layer, x, _, _ = drawn(name, input_dropout=0.1)
    layer.eval()
    whole = layer(x)[0].detach()
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[2, 1] = True
    ragged = layer(x, lengths=[5, 0, 3], reset=reset)[0]
    torch.testing.assert_close(ragged[:3, 2], whole[:3, 2])
    torch.testing.assert_close(layer(x, reset=reset)[0][2:, 1], layer(x[2:])[0][:, 1])
    for engine in ("native", "reference"):
        other = copy.deepcopy(layer)
        other.engine = engine
        stepper = other.stepper(B)
        torch.testing.assert_close(torch.stack([stepper(row) for row in x]), whole)
    cell = carousel.RecurrentCell(CELLS[name][0], x.shape[-1], H, dtype=float64)
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    hx = None
    for row, expected in zip(x, whole, strict=True):
        hx = cell(row, hx)
        torch.testing.assert_close(hx[0] if isinstance(hx, tuple) else hx, expected)


def test_layers_above_read_the_outputs_below_and_the_other_parts_of_the_input():
    layer, x, _, _ = drawn("timed", num_layers=2, bidirectional=False)
    below = carousel.Recurrent(Timed(), D + 1, H, dtype=float64)
    above = carousel.Recurrent(Timed(), H + 1, H, dtype=float64)
    for k, one in enumerate((below, above)):
        state = {key: value for key, value in layer.state_dict().items() if key.endswith(f"_l{k}")}
        one.load_state_dict({key.replace(f"_l{k}", "_l0"): value for key, value in state.items()})
    hidden = torch.cat([below(x)[0], x[..., -1:]], -1)
    torch.testing.assert_close(layer(x)[0], above(hidden)[0])
    stepper = layer.stepper(B)
    torch.testing.assert_close(torch.stack([stepper(row) for row in x]), layer(x)[0].detach())
    assert drawn("through", num_layers=3)[0](torch.zeros(T, B, H, dtype=float64))[0].shape == (T, B, H)


@pytest.mark.parametrize("name", CELLS)
def test_a_program_with_parts_is_the_same_after_being_written(name):
    program = trace(CELLS[name][0])
    again = notation.read(notation.write(program))
    assert (again.parts, again.reads, notation.write(again)) == (program.parts, program.reads, notation.write(program))
    assert pickle.loads(pickle.dumps(program)) is program


def test_the_untraced_step_has_the_parts_as_well():
    class Sorted(Timed):
        def step(self, h, n, time):
            return super().step(torch.sort(h, -1).values, n, time)

    layer = carousel.Recurrent(Sorted(), D + 1, H, engine="reference")
    x = torch.randn(T, B, D + 1)
    stepper = layer.stepper(B)
    torch.testing.assert_close(torch.stack([stepper(row) for row in x]), layer(x)[0].detach())


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: carousel.Recurrent(Masked(), 3, H), "input_size must be 0 and a multiple of 2 more, but is 3"),
        (lambda: carousel.Recurrent(Timed(), 1, H), "input_size must be 1 and a multiple of 1 more, but is 1"),
        (
            lambda: carousel.Recurrent(Through(), 3, H),
            r"the parts input \(of 4\), so that input_size must be 4, but is 3",
        ),
        (lambda: carousel.Recurrent(Masked(), 4, H, 2), "which outputs of a layer below do not have"),
        (lambda: carousel.Recurrent(Through(), H, H, 2, bidirectional=True), "leave bidirectional=True out"),
    ],
)
def test_an_input_that_has_no_such_parts_is_refused(make, said):
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"parts": ("a", "b"), "reads": "c"}, "its parts are a, b"),
        ({"parts": {"a": "hidden", "b": "input"}}, "give both the same"),
        ({"parts": {"a": "order"}}, "it is 'input', 'one', 'hidden'"),
        ({"parts": ("h",)}, "is declared twice, as a state and as a part"),
    ],
)
def test_parts_that_contradict_themselves_are_refused(declared, said):
    kind = type("Wrong", (Cell,), {"gates": "n", "step": lambda self, h, n: torch.tanh(h + n)} | declared)
    with pytest.raises(ProgramError, match=said):
        trace(kind())


@pytest.mark.parametrize("name", CELLS)
def test_onnx_gives_what_the_layer_gives(name, tmp_path):
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    carousel.export.to_onnx(drawn(name)[0], tmp_path / "layer.onnx", lengths=True)  # it compares the two
