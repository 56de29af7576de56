from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps
from carousel.cells.normalization import normalize
from carousel.cells.weights import Vector


class LayerNormLSTM(Cell):
    """LSTM with layer normalization of the input products, the recurrent products and the cell state.

        a  = scale_h * LN(U h) + scale_x * LN(W x) + shift      for i, f, g, o, stacked, (batch, 4 * hidden)
        i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o)      gates,           (batch, hidden)
        g  = tanh(a_g)                                          candidate,       (batch, hidden)
        c' = f * c + i * g                                      next cell state, (batch, hidden)
        h' = o * tanh(scale_c * LN(c') + shift_c)               next state,      (batch, hidden)

    Use: faster and steadier training; each unit's scale is learned apart from its weights.
    Reading: LN normalises all four gates of a product as one vector of 4 * hidden numbers, as the paper does;
    TensorFlow's LayerNormBasicLSTMCell normalises each gate by itself, and is another function. W and U have no bias:
    shift, one number per gate and unit, stands outside the normalization.
    Fidelity: as in the paper; its two further shifts inside equation 20 only add to `shift` and are left out.
    Source: Ba, Kiros & Hinton, "Layer normalization" (arXiv:1607.06450, 2016), equations 20 to 22.
    """

    states = ("h", "c")
    gates = ("i", "f", "g", "o")
    gate_bias = False
    facts = (bounded("h"), keeps("c", f=1, i=0))
    vectors = {
        "scale_x": Vector(1.0, per_gate=True),
        "scale_h": Vector(1.0, per_gate=True),
        "shift": Vector(0.0, per_gate=True, bias=True),
        "scale_c": Vector(1.0),
        "shift_c": Vector(0.0, bias=True),
    }

    def step(self, h, c, x, U, scale_x, scale_h, shift, scale_c, shift_c):
        from_x, from_h = normalize(x), normalize([product(h) for product in U])
        i, f, g, o = (b * u + a * w + s for a, w, b, u, s in zip(scale_x, from_x, scale_h, from_h, shift, strict=True))
        i = sigmoid(i)
        f = sigmoid(f)
        g = tanh(g)
        o = sigmoid(o)
        c = f * c + i * g
        (m,) = normalize([c])
        return o * tanh(scale_c * m + shift_c), c


CATALOGUE = {"layer-norm-lstm": LayerNormLSTM()}
