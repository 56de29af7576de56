"""The native engine as torch operators: torch's own checks of them, second derivatives, transforms, compile."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
import torch
from matrix import FIRST
from torch.utils.flop_counter import FlopCounterMode

import carousel
from carousel.engines import native, operator, reference
from carousel.engines.native import binding as native_binding
from carousel.program import trace

if isinstance(missing := native_binding.find(), str):
    pytest.skip(missing, allow_module_level=True)


def arguments(dtype: torch.dtype = torch.float64, cell: str = "lstm"):
    program = trace(FIRST[cell])
    random = torch.Generator().manual_seed(0)

    def draw(*size: int) -> torch.Tensor:
        return (torch.randn(*size, generator=random, dtype=dtype) * 0.4).requires_grad_()

    gates, hidden = len(program.gates), 3
    weights = {"weight_ih": draw(gates * hidden, 2), "bias_ih": draw(gates * hidden)}
    weights |= {"weight_hh": draw(gates * hidden, hidden), "bias_hh": draw(gates * hidden)}  # as parameters_of has them
    return program, draw(5, 2), [2, 2, 1], tuple(draw(2, hidden) for _ in program.states), weights


def flat(program, x, sizes, states, weights, keep):
    key = operator.key_of(program)
    return x, list(states), list(weights.values()), [], torch.tensor(sizes), key, False, False, keep


def test_torchs_own_checks_of_the_operator():
    tests = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(torch.ops.carousel.scan.default, flat(*arguments(), True), test_utils=tests)  # type: ignore[call-arg]


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_first_and_second_derivatives(cell):
    program, x, sizes, states, weights = arguments(cell=cell)
    names = list(weights)

    def of(x, *rest):
        states_in, weights_in = rest[: len(states)], dict(zip(names, rest[len(states) :], strict=True))
        emitted, last = native.scan(program, x, sizes, states_in, weights_in)
        return (*emitted, *last)

    inputs = (x, *states, *weights.values())
    assert torch.autograd.gradcheck(of, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(of, inputs, fast_mode=True)


# torch's own derivatives of forward mode use what torch itself has deprecated.
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")
def test_transforms_go_through_the_reference():
    program, x, sizes, states, weights = arguments()

    def total(engine):
        return lambda x: engine.scan(program, x, sizes, states, weights)[0][0].square().sum()

    for transform in (torch.func.grad, lambda f: torch.func.vmap(f), torch.func.hessian):
        given = x.detach()
        if transform not in (torch.func.grad, torch.func.hessian):
            given = torch.stack([given, 2 * given])
        torch.testing.assert_close(transform(total(native))(given), transform(total(reference))(given))
    _, actual = torch.func.jvp(total(native), (x.detach(),), (x.detach(),))  # type: ignore[misc]
    _, expected = torch.func.jvp(total(reference), (x.detach(),), (x.detach(),))  # type: ignore[misc]
    torch.testing.assert_close(actual, expected)


def test_an_operator_that_kept_nothing_says_so():
    emitted, _, _ = torch.ops.carousel.scan(*flat(*arguments(), False))  # type: ignore[call-arg]
    with pytest.raises(RuntimeError, match="kept nothing"):
        emitted[0].sum().backward()


def test_why_not():
    program = trace(FIRST["lstm"])
    cpu = torch.device("cpu")
    assert native.why_not(program, torch.float32, cpu) is None
    assert "not in float16" in str(native.why_not(program, torch.float16, cpu))
    assert "CPU" in str(native.why_not(program, torch.float32, torch.device("meta")))


def test_one_program_has_one_key():
    program = trace(FIRST["lstm"])
    assert operator.key_of(program) == operator.key_of(program)
    assert operator.key_of(program) != operator.key_of(trace(FIRST["gru"]))


@pytest.mark.slow
def test_compiled_it_is_one_operator():
    program, x, sizes, states, weights = arguments(torch.float32)
    graphs = []

    def look(graph, _):
        graphs.append(graph)
        return graph

    @torch.compile(backend=look, fullgraph=True)
    def run(x):
        return native.scan(program, x * 2, sizes, states, weights)[0][0] + 1

    expected = native.scan(program, x * 2, sizes, states, weights)[0][0] + 1
    torch.testing.assert_close(run(x), expected)
    assert "carousel.scan" in graphs[0].print_readable(print_output=False)


def test_several_gradients_at_once():
    """Vectorised Jacobians push batched gradients through backward."""
    native = carousel.LSTM(3, 4, dtype=torch.float64, engine="native")
    x = torch.randn(5, 2, 3, dtype=torch.float64)

    def output(x):
        return native(x)[0]

    at_once = torch.autograd.functional.jacobian(output, x, vectorize=True)
    torch.testing.assert_close(at_once, torch.autograd.functional.jacobian(output, x))


def test_a_torchscript_trace_sees_one_operator():
    layer = carousel.GRU(3, 4).eval().requires_grad_(False)
    x = torch.randn(5, 2, 3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of every Python number; TorchScript is deprecated
        traced = torch.jit.trace(layer, x)
    assert "carousel::scan" in str(traced.inlined_graph)
    torch.testing.assert_close(traced(x)[0], layer(x)[0])


def test_importing_a_layer_imports_no_compiler():
    """torch's compiler takes longer to import than all of Carousel; a layer that is not compiled needs none of it."""
    code = (
        "import sys, torch, carousel\n"
        "carousel.LSTM(3, 4)\n"
        "print('torch._dynamo' in sys.modules, 'torch._inductor' in sys.modules, 'matplotlib' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["False"] * 3, done.stdout + done.stderr


def test_the_mark_for_compilers_is_torchs():
    def anything():
        return 0

    mark = vars(torch.compiler.assume_constant_result(anything))
    assert mark.items() <= vars(native.why_not).items()
    assert mark


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "backward"])
@pytest.mark.parametrize("cell", FIRST)
def test_operations_are_counted_as_torch_counts_them(cell, backward):
    """The counter sees the operator, and every matrix product of the reference engine: both are as many."""
    proj_size = 2 if "proj" in cell else 0
    found = []
    for engine in ("native", "reference"):
        layer = carousel.Recurrent(cell, 3, 4, 2, bidirectional=True, proj_size=proj_size, engine=engine)
        x = torch.randn(5, 2, 3, requires_grad=True)
        hx = tuple(torch.zeros(shape, requires_grad=True) for shape in layer.expected_states(2))
        with FlopCounterMode(display=False) as counter:
            output, _ = layer(x, hx if len(hx) > 1 else hx[0])
            if backward:
                output.sum().backward()
        found.append(counter.get_total_flops())
    assert found[0] == found[1] > 0
