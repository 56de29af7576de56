"""A forward product with a matrix turned round, W'v beside W v: antisymmetric cells have one, h' = f(x + (W - W')h).

Programs are made here by exchanging the op of a product, and judged by torch's own functions.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from matrix import assert_close
from torch import Tensor
from torch.nn import functional as F

from carousel.cells import Cell
from carousel.engines import native, reference
from carousel.program import Program, trace

T, B, I, H = 6, 3, 2, 5
float64 = torch.float64


class Antisymmetric(Cell):
    """The second product reads the state itself; the third one a value that the step has made."""

    gates = "n"

    def step(self, h, x, U):
        a = torch.tanh(x.n + U.n(h) - U.n(2.0 * h))
        return torch.tanh(a + U.n(torch.sin(a)))


def program(bias: bool) -> Program:
    """The cell's program with all but the first of its products turned round, the second of them of the state."""
    found = trace(Antisymmetric(), bias)
    places = [i for i, node in enumerate(found.nodes) if node.op == "product"]
    assert len(places) == 3
    nodes = list(found.nodes)
    of_state, of_value = places[1:]
    nodes[of_state] = replace(nodes[of_state], op="product_transposed", args=nodes[places[0]].args)
    nodes[of_value] = replace(nodes[of_value], op="product_transposed")
    return replace(found, nodes=tuple(nodes))


def by_torch(x: Tensor, h: Tensor, weights: dict[str, Tensor]) -> list[Tensor]:
    u, outputs = weights["weight_hh"], []
    for rows in x.split(B):
        of_x = F.linear(rows, weights["weight_ih"], weights.get("bias_ih"))
        a = torch.tanh(of_x + F.linear(h, u, weights.get("bias_hh")) - h @ u)
        h = torch.tanh(a + torch.sin(a) @ u)
        outputs.append(h)
    return [torch.cat(outputs), h]


def arguments(bias: bool, dtype: torch.dtype) -> dict[str, Tensor]:
    sizes: dict[str, tuple[int, ...]] = {"x": (T * B, I), "h": (B, H), "weight_ih": (H, I), "weight_hh": (H, H)}
    sizes |= {"bias_ih": (H,), "bias_hh": (H,)} if bias else {}
    return {name: (0.4 * torch.randn(size, dtype=float64)).to(dtype).requires_grad_() for name, size in sizes.items()}


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
@pytest.mark.parametrize(
    ("engine", "dtype"),
    [(reference, float64), (native, float64), (native, torch.float32)],
    ids=["reference", "native", "native-float32"],
)
def test_values_and_gradients_are_torchs(engine, dtype, bias):
    if engine is native and "absent" in native.status()["native engine"]:
        pytest.skip("the native engine is absent")
    given = arguments(bias, dtype)
    weights = {name: t for name, t in given.items() if name not in ("x", "h")}
    emitted, last = engine.scan(program(bias), given["x"], [B] * T, (given["h"],), weights)
    wide = {name: t.detach().double().requires_grad_() for name, t in given.items()}
    wanted = by_torch(wide["x"], wide["h"], {name: wide[name] for name in weights})
    upstream = [torch.randn_like(t).to(dtype) for t in wanted]
    found = torch.autograd.grad([*emitted, *last], list(given.values()), upstream)
    right = torch.autograd.grad(wanted, list(wide.values()), [g.double() for g in upstream])
    terms = T * (3 * H + 20)
    for name, mine, theirs in zip(("output", "state"), (*emitted, *last), wanted, strict=True):
        assert_close(mine, theirs, terms=terms, dtype=dtype, what=name)
    for name, mine, theirs in zip(given, found, right, strict=True):
        assert_close(mine, theirs, terms=2 * terms + T * B, dtype=dtype, what=f"the gradient of {name}")
