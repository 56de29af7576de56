"""The native engine's pointwise ops: the same table as the alphabet's, and exact over the whole range of numbers."""

from __future__ import annotations

import pytest
import torch

from carousel.engines.native import binding as native_binding
from carousel.engines.native import plan as native_plan
from carousel.engines.native import prepared
from carousel.program import ops

if isinstance(missing := native_binding.find(), str):
    pytest.skip(missing, allow_module_level=True)

LIBRARY = prepared.library()
ISAS = LIBRARY.isas_here
DTYPES = {"float32": torch.float32, "float64": torch.float64}
POINTWISE = {name: op for name, op in ops.TABLE.items() if op.kind in ("pointwise", "relation")}


def apply(isa: str, name: str, *arguments: torch.Tensor) -> torch.Tensor:
    """An op of the library, over vectors of any length."""
    dtype, count = arguments[0].dtype, arguments[0].numel()
    which = LIBRARY.isas.index(isa)
    block = LIBRARY.c.carousel_block(which, int(dtype == torch.float64))
    padded = -(-count // block) * block
    rows = [torch.ones(padded, dtype=dtype) for _ in range(4)]
    for row, argument in zip(rows[1:], arguments, strict=False):
        row[:count] = argument
    function = LIBRARY.c.carousel_apply_double if dtype == torch.float64 else LIBRARY.c.carousel_apply_float
    pointers = [row.data_ptr() for row in (*rows[1:], rows[0])]
    function(which, native_plan.NUMBER_OF[name], padded, *pointers)
    return rows[0][:count]


def numbers(dtype: torch.dtype) -> torch.Tensor:
    """Numbers of every magnitude and both signs, the steep places close by, and the special ones."""
    info = torch.finfo(dtype)
    limit = torch.log10(torch.tensor(info.max, dtype=torch.float64)).item() - 0.01
    magnitudes = 10 ** torch.linspace(-limit, limit, 20_001, dtype=torch.float64)
    near = torch.linspace(-30, 30, 20_001, dtype=torch.float64)
    far = torch.linspace(-800, 800, 20_001, dtype=torch.float64)
    tiny = [0.0, -0.0, info.tiny, info.tiny / 4, -info.tiny / 4, info.smallest_normal]
    special = torch.tensor([*tiny, info.max, -info.max, torch.inf, -torch.inf, torch.nan])
    return torch.cat([magnitudes, -magnitudes, near, far, special]).to(dtype)


def test_the_tables_agree():
    for i in range(len(LIBRARY.isas)):
        found: dict = {}
        while name := LIBRARY.c.carousel_op_name(i, len(found)):
            found[name.decode()] = LIBRARY.c.carousel_op_arity(i, len(found))
        expected = {name: op.arity for name, op in POINTWISE.items()} | native_plan.OWN
        assert list(found.items()) == list(expected.items())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    "name",
    [
        "exp",
        "sigmoid",
        "tanh",
        "softplus",
        "logsigmoid",
        "log",
        "log1p",
        "expm1",
        "erf",
        "atan",
        "floor",
        "sqrt",
        "rsqrt",
        "sin",
        "cos",
    ],
)
def test_functions_are_exact_to_4_ulp(name, isa, dtype):
    dtype = DTYPES[dtype]
    a = numbers(dtype)
    actual = apply(isa, name, a)
    # A float32 result against float64; a float64 one against torch's own float64, itself exact to about an ulp.
    expected = POINTWISE[name].meaning(a.double())
    if name in ("log", "sqrt", "rsqrt"):
        actual, expected = actual[a >= 0], expected[a >= 0]
    rounded = expected.to(dtype)
    finite = rounded.isfinite()
    assert torch.equal(actual[~finite].nan_to_num(7), rounded[~finite].nan_to_num(7))
    ulp = rounded[finite].abs().clamp(min=torch.finfo(dtype).tiny) * torch.finfo(dtype).eps
    difference = (actual[finite].double() - expected[finite]).abs()
    if name == "sigmoid":  # below e^-87 (e^-708 in float64) it stays there
        difference -= 2 * torch.finfo(dtype).tiny
    off = (difference / ulp.double()).max().item()
    assert off <= 4, f"{off} ulp"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    "name", [n for n, op in POINTWISE.items() if op.arity > 1 or n in ("neg", "abs", "sign", "relu")]
)
def test_the_other_ops_are_torchs_to_the_last_bits(name, isa, dtype):
    dtype = DTYPES[dtype]
    special = [0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -3.25, torch.inf, -torch.inf, torch.nan]
    special += [1e6 + 0.25, -7.7, 0.1, -0.3] if name == "remainder" else []
    values = torch.tensor(special, dtype=dtype)
    pairs = torch.cartesian_prod(values, values, values)
    a, b, c = (pairs[:, i].contiguous() for i in range(3))
    if name == "where":
        a = (a > 0).to(dtype)
    given = (a, b, c)[: POINTWISE[name].arity]
    expected = POINTWISE[name].meaning(*((a > 0, b, c) if name == "where" else given)).to(dtype)
    torch.testing.assert_close(apply(isa, name, *given), expected, equal_nan=True)
