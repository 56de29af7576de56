from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import keeps


class TRNN(Cell):
    """Strongly typed RNN: state and input are never mixed by a product (T-RNN).

        f  = sigmoid(W_f x + b_f)                   forget gate, (batch, hidden)
        n  = W_n x + b_n                            candidate,   (batch, hidden)
        h' = f * h + (1 - f) * n                    next state,  (batch, hidden)

    Use: comparing: what a U is worth. The same cell as minGRU, f standing for 1 - z.
    Fidelity: as in the paper, with a bias b_n, which the paper has not.
    Source: Balduzzi & Ghifary, "Strongly-typed recurrent neural networks", ICML (arXiv:1602.02218, 2016), section 4.
    """

    inputs = ("n", "f")
    facts = (keeps("h", f=1),)

    def step(self, h, n, f):
        f = sigmoid(f)
        return f * h + (1 - f) * n


class TGRU(Cell):
    """Strongly typed GRU: gates see this input and the one before (T-GRU).

        z  = W_z x + b_z + v_z                      candidate,   (batch, hidden)
        f  = sigmoid(W_f x + b_f + v_f)             forget gate, (batch, hidden)
        o  = tanh(W_o x + b_o + v_o)                output gate, (batch, hidden)
        h' = f * h + z * o                          next state,  (batch, hidden)
        v_z' = V_z x, v_f' = V_f x, v_o' = V_o x    what this input says to the next step, (batch, hidden)

    The states v hold V x + b of the last step's input; they are 0 before the first.
    Use: as T-RNN, with gates that see two inputs.
    Reading: torchrecurrent 0.2.5 keeps the last input as a state of its own; here its products are kept, which are
    the same numbers, in as many multiplications.
    Fidelity: as in the paper, with biases of V x too; they are not there at the first step.
    Source: Balduzzi & Ghifary, "Strongly-typed recurrent neural networks", ICML (arXiv:1602.02218, 2016), section 4.
    """

    states = ("h", "v_z", "v_f", "v_o")
    inputs = ("z", "f", "o", "V_z", "V_f", "V_o")
    facts = (keeps("h", f=1, z=0),)

    def step(self, h, v_z, v_f, v_o, z, f, o, V_z, V_f, V_o):
        z = z + v_z
        f = sigmoid(f + v_f)
        o = tanh(o + v_o)
        return f * h + z * o, V_z, V_f, V_o


class TLSTM(Cell):
    """Strongly typed LSTM: gates see this input and the one before (T-LSTM).

        z  = W_z x + b_z + v_z                      candidate,       (batch, hidden)
        f  = sigmoid(W_f x + b_f + v_f)             forget gate,     (batch, hidden)
        o  = tanh(W_o x + b_o + v_o)                output gate,     (batch, hidden)
        c' = f * c + (1 - f) * z                    next cell state, (batch, hidden)
        h' = c' * o                                 next state,      (batch, hidden)
        v_z' = V_z x, v_f' = V_f x, v_o' = V_o x    what this input says to the next step, (batch, hidden)

    The states v hold V x + b of the last step's input; they are 0 before the first.
    Use: as T-RNN, with gates that see two inputs and an output gate.
    Fidelity: as in the paper, with biases of V x too; they are not there at the first step.
    Source: Balduzzi & Ghifary, "Strongly-typed recurrent neural networks", ICML (arXiv:1602.02218, 2016), section 4.
    """

    states = ("h", "c", "v_z", "v_f", "v_o")
    inputs = ("z", "f", "o", "V_z", "V_f", "V_o")
    facts = (keeps("c", f=1),)

    def step(self, c, v_z, v_f, v_o, z, f, o, V_z, V_f, V_o):
        z = z + v_z
        f = sigmoid(f + v_f)
        o = tanh(o + v_o)
        c = f * c + (1 - f) * z
        return c * o, c, V_z, V_f, V_o


CATALOGUE = {"t-rnn": TRNN(), "t-gru": TGRU(), "t-lstm": TLSTM()}
