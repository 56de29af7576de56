"""A matrix's transpose in a step, U_n.T(v): traced as run, and differentiated twice.

That it computes its equations, and its gradients, is tried on the cell `Antisymmetric` of `matrix.py`.
"""

from __future__ import annotations

import torch

import carousel
from carousel.program import Program, trace, untraced


class Skew(carousel.Cell):
    gates = "n"

    def step(self, h, x_n, U_n):
        return h + 0.1 * torch.tanh(x_n + U_n(h) - U_n.T(h))


def layer(**options) -> carousel.Recurrent:
    torch.manual_seed(0)
    return carousel.Recurrent(Skew(), 3, 5, dtype=torch.float64, **options)


def test_printed():
    assert "U_n h + c_n - U_nᵀ h" in str(trace(Skew()))


def test_a_traced_step_is_the_step_as_it_stands():
    traced, plain = layer(engine="reference"), layer(engine="reference")
    plain.program = untraced(Skew())
    assert isinstance(traced.program, Program)
    x = torch.randn(4, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(traced(x)[0], plain(x)[0])


def test_gradients_of_both_orders():
    made = layer(engine="reference")
    names = [name for name, _ in made.named_parameters()]

    def run(x, *parameters):
        return torch.func.functional_call(made, dict(zip(names, parameters, strict=True)), (x,))[0]

    given = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True), *made.parameters()
    assert torch.autograd.gradcheck(run, given)
    assert torch.autograd.gradgradcheck(run, given)


def test_a_skew_matrix_moves_no_state_along_itself():
    """h (U - U^T) h = 0: without input and bias, a small step keeps the length of h to second order."""
    made = layer(bias=False)
    h = torch.randn(1, 1, 5, dtype=torch.float64) * 1e-3
    after, _ = made(torch.zeros(1, 1, 3, dtype=torch.float64), h)
    turned = after.norm() / h.norm() - 1
    assert 0 <= turned < 0.5 * (0.1 * torch.linalg.matrix_norm(made.weight_hh_l0 - made.weight_hh_l0.T, 2)) ** 2 + 1e-6


def test_dropout_of_what_u_multiplies_is_of_both():
    made = layer(recurrent_dropout=1.0, bias=False)
    out, _ = made(torch.zeros(4, 2, 3, dtype=torch.float64), torch.ones(1, 2, 5, dtype=torch.float64))
    torch.testing.assert_close(out, torch.ones_like(out))


def test_what_a_step_costs_counts_both_products():
    assert "2 matrix products, 1 of them one after another" in layer().explain()
