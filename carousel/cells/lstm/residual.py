from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import keeps


class ResidualLSTM(Cell):
    """LSTM with a shortcut from the layer below into the output gate.

        i  = sigmoid(W_i x + b_i + U_i h + c_i + p_i * c)       input gate,      (batch, hidden)
        f  = sigmoid(W_f x + b_f + U_f h + c_f + p_f * c)       forget gate,     (batch, hidden)
        g  = tanh(W_g x + b_g + U_g h + c_g)                    candidate,       (batch, hidden)
        c' = f * c + i * g                                      next cell state, (batch, hidden)
        o  = sigmoid(W_o x + b_o + U_o h + c_o + p_o * c')      output gate,     (batch, hidden)
        h' = o * (W_hm tanh(c') + W_r x + b_r)                  next state,      (batch, hidden)

    Use: stacks of ten layers in speech recognition.
    Reading: W_r x + b_r, as the paper has it where sizes differ; where they do not, it adds x itself.
    Fidelity: as in the paper, with a bias b_r, which the paper has not.
    Source: Kim, El-Khamy & Lee, "Residual LSTM: design of a deep recurrent architecture for distant speech
    recognition", Interspeech (arXiv:1701.03360, 2017), section 3.
    """

    states = ("h", "c")
    gates = ("i", "f", "g", "o")
    inputs = ("r",)
    vectors = ("p_i", "p_f", "p_o")
    matrices = {"W_hm": ("hidden", "hidden")}
    facts = (keeps("c", f=1, i=0),)

    def step(self, c, i, f, g, o, r, p_i, p_f, p_o, W_hm):
        i = sigmoid(i + p_i * c)
        f = sigmoid(f + p_f * c)
        g = tanh(g)
        c = f * c + i * g
        o = sigmoid(o + p_o * c)
        return o * (W_hm(tanh(c)) + r), c


CATALOGUE = {"residual-lstm": ResidualLSTM()}
