"""The language between cells and engines: its alphabet, its grammar, how it is traced, printed and differentiated.

To add an op, add its row to carousel/program/ops.py: the tests of the alphabet find it there.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, replace

import pytest
import torch
from torch.nn import functional as F

import carousel
from carousel import cells
from carousel.cells import Cell, Vector
from carousel.engines import ENGINES
from carousel.errors import DataError, ProgramError
from carousel.program import Node, Program, differentiate, ops, trace, untraced, verify


def cell_of(function, **declared):
    """A cell of one gate whose step is a function of its pre-activation (and of whatever else it names)."""
    return type("Example", (Cell,), {"gates": ("n",), "step": staticmethod(function), **declared})()


# Functions of one row, safe for autograd where the rows below fall; one per row of the alphabet that authors can write,
# and the expansions.
WRITABLE = {
    "add": lambda n: n + 0.3 * n,
    "sub": lambda n: 1 - n,
    "mul": lambda n: n * n,
    "div": lambda n: n / (2 + n * n),
    "neg": lambda n: -n,
    "abs": lambda n: abs(n),
    "sign": lambda n: n + torch.sign(n),
    "maximum": lambda n: torch.maximum(n, 0.5 * n),
    "minimum": lambda n: torch.minimum(n, torch.tanh(n) + 0.1),
    "exp": lambda n: torch.exp(-n),
    "log": lambda n: torch.log(1.5 + n * n),
    "sqrt": lambda n: torch.sqrt(1.5 + n * n),
    "rsqrt": lambda n: torch.rsqrt(1.5 + n * n),
    "log1p": lambda n: torch.log1p(n * n),
    "expm1": lambda n: torch.expm1(n),
    "erf": lambda n: torch.erf(n),
    "atan": lambda n: torch.atan(n),
    "floor": lambda n: n - 0.5 * torch.floor(3 * n),
    "remainder": lambda n: torch.remainder(n, 0.7) + (3 * n) % (0.2 + n * n),
    "detach": lambda n: n + torch.tanh(n).detach(),
    "sin": lambda n: torch.sin(n),
    "cos": lambda n: n.cos(),
    "sigmoid": lambda n: n.sigmoid(),
    "tanh": lambda n: torch.tanh(n),
    "relu": lambda n: torch.relu(n),
    "softplus": lambda n: F.softplus(n),
    "logsigmoid": lambda n: F.logsigmoid(n),
    "gt": lambda n: torch.where(n > 0.1, n, 2 * n),
    "ge": lambda n: torch.where(n >= 0.1, n, 0.0),
    "lt": lambda n: torch.where(n < 0.1, torch.tanh(n), n),
    "le": lambda n: torch.where(torch.le(n, 0.1), n * n, n),
    "eq": lambda n: torch.where(torch.eq(n, 0.0), n, 2 * n),
    "ne": lambda n: torch.where(torch.ne(n, 0.0), n, 2 * n),
    "where": lambda n: torch.where(n > 0, torch.exp(n), 1 + n),
    "sum": lambda n: n * n.sum(-1, keepdim=True),
    "highest": lambda n: n - torch.amax(n, -1, keepdim=True),
    "broadcast": lambda n: n + n.mean(dim=-1, keepdim=True),
}
EXPANDED = {
    "power": lambda n: n**3 + 0.5 * n**2,
    "negative power": lambda n: (2 + n * n) ** -2,
    "power of a number": lambda n: 2**n,
    "square root": lambda n: (2 + n * n) ** 0.5,
    "square": lambda n: torch.square(n),
    "reciprocal": lambda n: torch.reciprocal(2 + n * n),
    "clamp": lambda n: torch.clamp(n, -1, 1) + n.clamp(min=0.2),
    "hardtanh": lambda n: F.hardtanh(n),
    "silu": lambda n: F.silu(n),
    "softsign": lambda n: F.softsign(n),
    "relu": lambda n: F.relu(n),
    "leaky relu": lambda n: F.leaky_relu(n, 0.2),
    "elu": lambda n: F.elu(n),
    "lerp": lambda n: torch.lerp(n, torch.tanh(n), torch.sigmoid(n)),
    "addcmul": lambda n: torch.addcmul(n, n, n, value=0.5),
    "rsub": lambda n: torch.rsub(n, 1),
    "add alpha": lambda n: torch.add(n, n, alpha=2),
}
# Written by derivatives alone, or by declarations.
# Those of a node's children are tried in test_members.
MEMBERS = {name for name, op in ops.TABLE.items() if op.kind == "members"}
UNWRITABLE = {"sigmoid_grad", "tanh_grad", "relu_grad", "product", "product_transposed", *MEMBERS}


def test_every_op_of_the_alphabet_is_tried():
    assert set(WRITABLE) | UNWRITABLE == set(ops.TABLE)


@pytest.mark.parametrize("function", [*WRITABLE.values(), *EXPANDED.values()], ids=[*WRITABLE, *EXPANDED])
def test_traced_means_what_was_written(function):
    """A traced step gives the numbers and gradients of the same Python run as it stands."""
    cell = cell_of(function)
    torch.manual_seed(0)
    x = torch.randn(4, 3, 2, dtype=torch.float64, requires_grad=True)
    traced = carousel.Recurrent(cell, 2, 5, dtype=torch.float64, engine="reference")
    plain = carousel.Recurrent(cell, 2, 5, dtype=torch.float64, engine="reference")
    plain.load_state_dict(traced.state_dict())
    plain.program = untraced(cell)
    assert isinstance(traced.program, Program)
    results = [(layer(x)[0], layer) for layer in (traced, plain)]
    (ours, _), (expected, _) = results
    torch.testing.assert_close(ours, expected)
    gradients = [torch.autograd.grad(y.square().sum(), [x, *layer.parameters()]) for y, layer in results]
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("function", [*WRITABLE.values(), *EXPANDED.values()], ids=[*WRITABLE, *EXPANDED])
def test_every_op_has_its_derivative_in_the_alphabet(function):
    derivative = differentiate(trace(cell_of(function)))
    verify(derivative.program)
    assert {("state", "h"), ("input", "n")} <= set(derivative.program.outputs)


@pytest.mark.parametrize("name", cells.catalogue())
@pytest.mark.parametrize("bias", [True, False])
def test_every_cell_is_a_program_with_a_derivative(name, bias):
    program = trace(cells.find(name), bias)
    verify(program)
    verify(differentiate(program).program)
    assert trace(cells.find(name), bias) is program, "equal cells share one program"


def test_tracing_leaves_the_callers_random_generator_and_modes_alone():
    before = torch.get_rng_state()
    with torch.no_grad(), torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        differentiate(trace(cell_of(lambda h, n: torch.tanh(n) * h)))
    assert torch.equal(torch.get_rng_state(), before)


class TestPrinting:
    def test_peephole_lstm(self):
        assert str(trace(cells.find("peephole-lstm"))) == (
            "LSTM: states h, c; gates i, f, g, o\n"
            "  f  = σ(W_f x + b_f + U_f h + c_f + p_f ⊙ c)\n"
            "  i  = σ(W_i x + b_i + U_i h + c_i + p_i ⊙ c)\n"
            "  g  = tanh(W_g x + b_g + U_g h + c_g)\n"
            "  c' = f ⊙ c + i ⊙ g\n"
            "  o  = σ(W_o x + b_o + U_o h + c_o + p_o ⊙ c')\n"
            "  h' = o ⊙ tanh(c')"
        )

    def test_gru_without_bias(self):
        assert str(trace(cells.find("gru-reset-before"), bias=False)) == (
            "GRU: states h; gates r, z, n\n"
            "  r  = σ(W_r x + U_r h)\n"
            "  z  = σ(W_z x + U_z h)\n"
            "  n  = tanh(W_n x + U_n (r ⊙ h))\n"
            "  h' = (1 - z) ⊙ n + z ⊙ h"
        )

    def test_brackets_only_where_they_are_needed(self):
        def step(h, n):
            return (h - (n - h)) * (1 - h) / (n / (2 - h)) - (-(n * h))

        assert str(trace(cell_of(step))).splitlines()[1:] == [
            "  t1 = W_n x + b_n + U_n h + c_n",
            "  h' = (h - (t1 - h)) ⊙ (1 - h) / (t1 / (2 - h)) - -(t1 ⊙ h)",
        ]

    def test_means_and_unnamed_values(self):
        cell = cell_of(lambda n: n / (1 + n.mean(-1, keepdim=True)))
        assert str(trace(cell)).splitlines()[2] == "  h' = t1 / (1 + mean(t1))"

    def test_derivative(self):
        text = str(differentiate(trace(cells.find("rnn"))).program)
        assert text == "RNN: gates n\n  ∂x_n = tanh'(∂h'; h)\n  ∂h   = U_nᵀ ∂x_n\n  ∂y2  = ∂x_n"


class TestFacts:
    def test_products_of_one_row_are_one_product(self):
        program = trace(cells.find("peephole-lstm"))
        (product,) = program.products
        assert product.gates == (0, 1, 2, 3)
        assert [program.nodes[n].attr for n in product.nodes] == ["U_i", "U_f", "U_g", "U_o"]

    @pytest.mark.parametrize(
        ("name", "in_sequence"), [("lstm", 1), ("gru", 1), ("gru-reset-before", 2), ("projected-lstm", 2)]
    )
    def test_products_that_wait_for_one_another(self, name, in_sequence):
        assert trace(cells.find(name)).sequential_products == in_sequence

    def test_what_does_not_depend_on_the_state(self):
        program = trace(cells.find("layer-norm-lstm"))
        ahead = [n for i, n in enumerate(program.nodes) if n.op == "rsqrt" and i not in program.depends_on_state]
        assert len(ahead) == 1, "the normalization of W x can be done for all steps at once"

    def test_derivatives_save_only_what_they_read(self):
        """An LSTM's backward needs its four gates and tanh(c'), and no value before an activation."""
        program = trace(cells.find("lstm"))
        saved = [program.nodes[i] for i in differentiate(program).saved]
        assert sorted(n.op for n in saved) == ["sigmoid", "sigmoid", "sigmoid", "tanh", "tanh"]

    def test_absent_vectors_cost_nothing(self):
        assert trace(cells.find("lstm")).count("pointwise") < trace(cells.find("peephole-lstm")).count("pointwise")
        assert "p_f" not in str(trace(carousel.cells.lstm.LSTM(peepholes=("input",))))


@dataclass(frozen=True)
class Threefold(Cell):
    """A helper function, a loop and an option: ordinary Python that tracing sees through."""

    times: int = 3
    gates = ("a", "b")
    vectors = {"v": Vector(0.5)}

    def step(self, h, a, b, v):
        for _ in range(self.times):
            a = _squash(a) + v * b
        return a + h


def _squash(value):
    squashed = torch.tanh(value)
    return squashed * squashed


def test_python_that_does_not_look_at_values_is_free():
    assert trace(Threefold(2)).count() < trace(Threefold(5)).count()
    assert "squashed" in str(trace(Threefold()))


class TestOutsideTheAlphabet:
    def refuse(self, function, match, **declared):
        cell = cell_of(function, **declared)
        with pytest.raises(ProgramError, match=match) as refused:
            carousel.Recurrent(cell, 3, 4)
        return cell, str(refused.value)

    def test_says_the_op_the_line_and_the_way_out(self):
        def step(h, n):
            wide = torch.tanh(n)
            return torch.cumsum(wide, -1) + h

        _, message = self.refuse(step, "cumsum is outside the alphabet of programs")
        assert "tracing Example.step" in message
        assert f"{__file__}:" in message
        assert "return torch.cumsum(wide, -1) + h" in message
        assert 'engine="reference"' in message

    def test_runs_on_the_reference_engine_when_asked(self):
        cell = cell_of(lambda h, n: torch.cumsum(torch.tanh(n), -1) * 0.1 + h)
        layer = carousel.Recurrent(cell, 3, 4, num_layers=2, engine="reference", dtype=torch.float64)
        x = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
        output, _ = layer(x)
        assert torch.autograd.gradcheck(lambda x: layer(x)[0], x)
        assert output.shape == (5, 2, 4)
        assert "the step runs as plain Python: tracing Example.step" in layer.explain()
        with pytest.raises(ValueError, match="recording reads a cell's program, and this cell's step runs as plain"):
            layer(x, return_states=True)

    def test_a_decision_on_values(self):
        def step(h, n):
            return n if (h > 0).any() else h

        self.refuse(step, "outside the alphabet")

    def test_sums_that_are_not_over_units(self):
        self.refuse(lambda n: n - n.mean(), "not over the units")
        self.refuse(lambda n: n - n.sum(0, keepdim=True), "not over the units")

    def test_tensors_made_inside_step(self):
        half = torch.tensor(0.5)
        program = carousel.Recurrent(cell_of(lambda h, n: half * torch.tanh(n) + h), 3, 4).program
        assert "0.5 ⊙ tanh(" in str(program), "a tensor of no dimensions is the number it holds"
        for made in (torch.ones(4), torch.nn.Parameter(torch.ones(4))):
            _, message = self.refuse(
                lambda n, made=made: torch.tanh(n) * made, r"a tensor of shape \(4,\) that is no gate"
            )
            assert "torch.tanh(n) * made" in message

    def test_what_python_cannot_do_with_a_symbol(self):
        import math

        import numpy as np

        for step, refused in (
            (lambda n: np.tanh(n), r"numpy.tanh of a row is outside[\s\S]*Write torch.tanh\."),
            (lambda n: math.tanh(n), r"a Python number made of a row[\s\S]*the module math take numbers only"),
            (lambda n: n + not_there, "what raised NameError"),  # type: ignore[name-defined]  # noqa: F821
        ):
            _, message = self.refuse(step, refused)
            assert f"test_program.py:{step.__code__.co_firstlineno}" in message

    def test_shapes(self):
        self.refuse(lambda n: n if n.shape[-1] > 3 else -n, "a decision on the shape of a row")
        self.refuse(lambda n: n if len(n) > 3 else -n, "a decision on the shape of a row")
        self.refuse(lambda n: F.layer_norm(n, n.shape), "a decision on the shape of a row")

    def test_powers(self):
        self.refuse(lambda n: n**1.5, "a power of 1.5")
        self.refuse(lambda n: n * torch.pow(n, n), "a power whose exponent is a row")
        self.refuse(lambda n: (-2) ** n, "a power whose exponent is a row")

    def test_relations_as_numbers(self):
        self.refuse(lambda n: (n > 0) * n, r"only the first argument of where may: torch.where\(condition, a, b\)")

    def test_rows_of_different_sizes(self):
        from carousel.cells.lstm import LSTM

        class Wrong(LSTM):
            def step(self, h, c, i, f, g, o, W_hr):  # type: ignore[override]
                return W_hr(o) + c, c + i + f + g + h

        with pytest.raises(ProgramError, match="rows of different sizes, hidden and projection"):
            trace(Wrong(projection=True))


KINKED = ["abs", "maximum", "minimum", "clamp", "hardtanh", "relu", "leaky relu", "elu", "softsign", "sign"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", KINKED)
def test_gradients_at_kinks_are_torchs(name, engine):
    """And NaN goes through: a comparison with it is false, and must not choose a bound."""
    function = (WRITABLE | EXPANDED)[name]
    layer = carousel.Recurrent(cell_of(function), 1, 1, bias=False, engine=engine, dtype=torch.float64)
    kinks = torch.tensor([-1.0, 0.0, 0.2, 1.0, torch.nan], dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ih_l0.fill_(1)
        layer.weight_hh_l0.fill_(0)
    x, y = kinks.clone().requires_grad_(), kinks.clone().requires_grad_()
    ours, theirs = layer(x.view(1, -1, 1))[0].flatten(), function(y)
    torch.testing.assert_close(ours, theirs, equal_nan=True)
    ours[:-1].sum().backward()
    theirs[:-1].sum().backward()
    torch.testing.assert_close(x.grad[:-1], y.grad[:-1])


def test_a_cell_whose_options_change_is_another_cell():
    class Leaky(Cell):
        states = "h"
        gates = "n"

        def __init__(self, keep):
            self.keep = keep

        def step(self, h, n):
            return self.keep * h + n

    cell = Leaky(0.5)
    before = trace(cell)
    assert trace(cell) is before
    cell.keep = 0.25
    assert "0.25" in str(trace(cell))
    assert "0.5" in str(before)


def test_a_step_may_return_its_states_as_a_list():
    class Two(Cell):
        states = ("h", "c")
        gates = "n"

        def step(self, h, c, n):
            return [torch.tanh(c), n + h]

    assert trace(Two()).states == {"h": "hidden", "c": "hidden"}


class TestCellsInFiles:
    def write(self, tmp_path, text):
        path = tmp_path / "mine.py"
        path.write_text(text, encoding="utf-8")
        return f"{path}:Mine"

    def test_dataclasses_as_in_the_catalogue(self, tmp_path):
        text = """
            from __future__ import annotations
            from dataclasses import dataclass
            from carousel import Cell

            @dataclass(frozen=True)
            class Mine(Cell):
                keep: float = 0.5
                states = "h"
                gates = "n"

                def step(self, h, n):
                    return self.keep * h + n
        """
        assert "0.5" in str(trace(cells.find(self.write(tmp_path, textwrap.dedent(text)))))

    @pytest.mark.parametrize(
        ("text", "match"),
        [
            ("x = 1\ndef f(:\n", r"mine.py, line 2, raised SyntaxError"),
            ("x = 1\nimport not_there\n", r"mine.py, line 2, raised ModuleNotFoundError: No module named 'not_there'"),
            ("import carousel\nclass Mine(carousel.Cell):\n  def __init__(self, k): pass", "missing 1 required .*'k'"),
            ("class Mine: pass", "defines no cell Mine; the cells it defines: none"),
        ],
    )
    def test_files_that_give_no_cell(self, tmp_path, text, match):
        with pytest.raises(DataError, match=match):
            cells.find(self.write(tmp_path, text))

    def test_names_in_capitals_are_close(self):
        with pytest.raises(DataError, match="Did you mean 'lstm'"):
            cells.find("LSTM")


class TestDeclarations:
    def refuse(self, match, step=lambda h, n: h + n, **declared):
        with pytest.raises(ProgramError, match=match):
            trace(cell_of(step, **declared))
        with pytest.raises(ProgramError, match=match):
            carousel.Recurrent(cell_of(step, **declared), 3, 4)

    def test_a_step_without_self(self):
        class Forgot(Cell):
            states = "h"
            gates = "n"

            def step(h, n):
                return h + n

        with pytest.raises(ProgramError, match=r"write def step\(self, h, \.\.\.\)"):
            trace(Forgot())

    def test_asking_for_what_is_not_declared(self):
        self.refuse(
            "Example.step asks for 'q', which Example does not declare. Declared: states h; gates n", lambda h, q: h
        )

    def test_a_gate_that_is_never_used(self):
        self.refuse("declares the gate 'm', but step never uses its x_m; leave the gate out", gates=("n", "m"))

    def test_a_gate_of_which_one_side_is_never_used(self):
        """The line of the equation, and where such a gate is declared."""
        self.refuse(
            r"(?s)'n' in gates, but step never uses its U_n; a gate of the input alone is declared in inputs: "
            r"inputs = 'n',.*test_program.py:\d+\n.*torch.tanh\(x_n\)",
            lambda x_n: torch.tanh(x_n),
        )
        self.refuse(
            r"(?s)'m' in gates, but step never uses its x_m; a gate of the state h alone is declared in recurrents: "
            r"recurrents = 'm',.*test_program.py:\d+\n",
            lambda h, n, U_m: torch.tanh(n + U_m(h)),
            gates=("n", "m"),
        )

    def test_a_side_that_a_gate_does_not_have(self):
        self.refuse(
            r"asks for 'U_n', but Example declares the gate 'n' in inputs, so that it does not read the state; declare "
            "it in gates to have both",
            lambda h, U_n: U_n(h),
            gates=(),
            inputs="n",
        )
        self.refuse(
            "declares the gate 'u' in recurrents, so that it does not read the input",
            lambda n, x_u: n + x_u,
            recurrents="u",
        )

    def test_a_matrix_that_is_used_only_transposed(self):
        self.refuse(
            r"uses U_n only as U_n.T, so that nothing reads its bias; write U_n\(v\)",
            lambda h, x_n, U_n: x_n + U_n.T(h),
        )

    def test_a_transposed_matrix_of_a_row_that_does_not_fit(self):
        self.refuse(
            r"W_ab.T\(...\) of a row of size 'hidden', where the matrix takes 'projection'",
            lambda n, W_ab: n + W_ab.T(n),
            matrices={"W_ab": ("projection", "hidden")},
        )

    def test_no_gate_of_the_input(self):
        self.refuse("declares no gate that reads the input, only u of the state", lambda u: u, gates=(), recurrents="u")

    def test_a_vector_that_is_never_used(self):
        self.refuse("declares 'p', but step never uses it", vectors=("p",))

    def test_the_same_name_twice(self):
        self.refuse("its own name; 'h' is declared twice", gates=("h",))
        self.refuse("'x' stands for all input parts or maps", gates=("x",))

    def test_the_wrong_number_of_states(self):
        self.refuse("must return its states h, one row each and in this order, but returned 2", lambda h, n: (h, n))
        self.refuse("but returned a dict", lambda h, n: {"h": h + n})
        self.refuse("must return a row for the state h, but returned 3", lambda h, n: 3)

    def test_a_size_that_is_none(self):
        self.refuse("uses the size 'any'", sizes={"h": "any"})

    def test_arguments_must_have_names(self):
        self.refuse(r"must name its arguments one by one, but has \*rest", lambda *rest: rest)

    def test_no_gates(self):
        with pytest.raises(NotImplementedError, match="must declare its gates"):
            trace(type("Bare", (Cell,), {"step": lambda self, h: h})())
        with pytest.raises(NotImplementedError, match="Bare must define step, the equations of one time step"):
            trace(type("Bare", (Cell,), {"gates": ("n",)})())


class TestVerify:
    """Each law of the grammar refuses the program that breaks it."""

    @pytest.fixture
    def program(self):
        return trace(cells.find("gru"))

    @pytest.mark.parametrize(
        ("change", "match"),
        [
            ({"op": "cosh"}, "there is no such op"),
            ({"args": (0,)}, "it takes 2 arguments and has 1"),
            ({"args": (0, 99)}, "reads a node that does not come before it"),
            ({"size": "wide"}, "'wide' is not a size"),
            ({"size": "projection"}, "do not make a row of size 'projection'"),
            ({"op": "gt"}, "reads a relation"),
        ],
    )
    def test_refuses(self, program, change, match):
        index = next(i for i, n in enumerate(program.nodes) if n.op == "mul")
        nodes = list(program.nodes)
        nodes[index] = replace(nodes[index], **change)
        with pytest.raises(ProgramError, match=match):
            verify(replace(program, nodes=tuple(nodes)))

    def test_nothing_is_computed_for_nobody(self, program):
        with pytest.raises(ProgramError, match="nothing reads node"):
            verify(replace(program, nodes=(*program.nodes, Node("tanh", (0,)))))

    def test_weights_that_do_not_exist(self, program):
        nodes = tuple(replace(n, attr="U_q") if n.op == "product" else n for n in program.nodes)
        with pytest.raises(ProgramError, match="there is no weight 'U_q'"):
            verify(replace(program, nodes=nodes))


class TestFinding:
    def test_the_catalogue_holds_what_the_files_declare(self):
        assert {"lstm", "gru", "gru-reset-before", "rnn", "peephole-lstm", "layer-norm-gru"} <= set(cells.catalogue())

    def test_suggests_the_near_name(self):
        with pytest.raises(DataError, match="there is no cell 'ltsm'. Did you mean 'lstm'?"):
            cells.find("ltsm")

    def test_a_cell_of_ones_own(self, tmp_path):
        file = tmp_path / "mine.py"
        file.write_text(
            "import carousel\nclass Mine(carousel.Cell):\n    gates = 'n'\n    def step(self, h, n): return h + n\n"
        )
        assert trace(cells.find(f"{file}:Mine")).cell == "Mine"
        with pytest.raises(DataError, match="defines no cell Yours; the cells it defines: Mine"):
            cells.find(f"{file}:Yours")
        with pytest.raises(DataError, match="there is no file"):
            cells.find(f"{tmp_path}/none.py:Mine")

    def test_layers_take_names_and_classes(self):
        assert carousel.Recurrent("gru", 2, 3).program is carousel.GRU(2, 3).program
        assert carousel.Recurrent(Threefold, 2, 3).cell == Threefold()
        with pytest.raises(TypeError, match="cell must be a carousel.Cell, a class of one, or a name, got int"):
            carousel.Recurrent(3, 2, 3)  # type: ignore[arg-type]

    def test_options_are_checked(self):
        with pytest.raises(ValueError, match="Unknown nonlinearity 'x'. Select from 'tanh', 'relu', 'sigmoid'."):
            carousel.RNN(2, 3, nonlinearity="x")
        with pytest.raises(ValueError, match="reset must be 'after' or 'before'"):
            carousel.GRU(2, 3, reset="never")
        with pytest.raises(ValueError, match="coupled gates have no input gate of their own"):
            carousel.LSTM(2, 3, coupled=True, peepholes=("input",))
        with pytest.raises(ValueError, match="peepholes must be among"):
            carousel.LSTM(2, 3, peepholes="cell")
        with pytest.raises(ValueError, match="give the layer a proj_size above zero"):
            carousel.Recurrent("projected-lstm", 2, 3)
        with pytest.raises(ValueError, match="which GRU does not"):
            carousel.Recurrent("gru", 2, 3, proj_size=2)
        with pytest.raises(ValueError, match="layer_norm=True is the LSTM of Ba"):
            carousel.LSTM(2, 3, layer_norm=True, coupled=True)
        with pytest.raises(ValueError, match="layer_norm=True is the GRU of Ba"):
            carousel.GRU(2, 3, layer_norm=True, reset="before")
        with pytest.raises(ValueError, match="engine must be one of 'auto'"):
            carousel.GRU(2, 3, engine="warp")
