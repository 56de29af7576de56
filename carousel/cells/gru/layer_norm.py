from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps
from carousel.cells.normalization import normalize
from carousel.cells.weights import Vector


class LayerNormGRU(Cell):
    """GRU with layer normalization of the input products and the recurrent products; it resets after the product.

        (r, z) = scale_h * LN(U_rz h) + scale_x * LN(W_rz x) + shift          stacked, (batch, 2 * hidden)
        n  = tanh(scale_x * LN(W_n x) + shift + r * (scale_h * LN(U_n h)))    candidate,  (batch, hidden)
        h' = (1 - z) * n + z * h,   r and z after sigmoid                     next state, (batch, hidden)

    Use: faster and steadier training; each unit's scale is learned apart from its weights.
    Reading: LN normalises r and z of a product as one vector of 2 * hidden numbers and n by itself, as the paper does.
    The paper writes h' = (1 - z) * h + z * n: the same functions, with the signs of z's scales and shift flipped;
    here z keeps what it means in torch.nn.GRU. W and U have no bias: shift stands outside the normalization.
    Fidelity: simplified: the shifts inside LN of the candidate's recurrent product are left out.
    Source: Ba, Kiros & Hinton, "Layer normalization" (arXiv:1607.06450, 2016), supplementary material, the GRU's
    equations.
    """

    gates = ("r", "z", "n")
    gate_bias = False
    facts = (bounded("h"), keeps("h", z=1))
    vectors = {
        "scale_x": Vector(1.0, per_gate=True),
        "scale_h": Vector(1.0, per_gate=True),
        "shift": Vector(0.0, per_gate=True, bias=True),
    }

    def step(self, h, x, U, scale_x, scale_h, shift):
        products = [product(h) for product in U]
        from_x, from_h = (normalize(a[:2]) + normalize(a[2:]) for a in (x, products))
        r, z, n = ((b * u, a * w + s) for a, w, b, u, s in zip(scale_x, from_x, scale_h, from_h, shift, strict=True))
        r = sigmoid(r[0] + r[1])
        z = sigmoid(z[0] + z[1])
        n = tanh(n[1] + r * n[0])
        return (1 - z) * n + z * h


CATALOGUE = {"layer-norm-gru": LayerNormGRU()}
