from __future__ import annotations

from torch import sigmoid, softmax, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded


class BahdanauGRU(Cell):
    """Decoder with additive attention: a GRU that, before each step, looks at the context by its state.

        e_j = v . tanh(W_a h + W_m m_j)                 score of position j of the context m, one number
        attention = softmax over the positions of e     (batch, positions)
        s  = the sum over the positions of attention_j * m_j      summary, (batch, context)
        r  = sigmoid(W_r x + b_r + U_r h + c_r + W_sr s)          reset gate,  (batch, hidden)
        z  = sigmoid(W_z x + b_z + U_z h + c_z + W_sz s)          update gate, (batch, hidden)
        n  = tanh(W_n x + b_n + U_n (r * h) + c_n + W_sn s)       candidate,   (batch, hidden)
        h' = (1 - z) * h + z * n                        next state,  (batch, hidden)

    Use: translation, captions, transcription: many-to-many of differing lengths. context: m, of `context` units.
    Fidelity: as in the paper, appendix A.2.2, with biases; the output's maxout layer belongs to a model.
    Source: Bahdanau, Cho & Bengio, "Neural machine translation by jointly learning to align and translate", ICLR
    (arXiv:1409.0473, 2015), appendix A.2.2.
    """

    gates = ("r", "z", "n")
    context = {"m": "source"}
    vectors = ("v",)
    units = {"source": 16}
    matrices = {
        "W_a": ("hidden", "hidden"),
        "W_m": ("hidden", "source"),
        "W_sr": ("hidden", "source"),
        "W_sz": ("hidden", "source"),
        "W_sn": ("hidden", "source"),
    }
    facts = (bounded("h"),)

    def step(self, h, m, r, z, x_n, U_n, v, W_a, W_m, W_sr, W_sz, W_sn):
        scores = (v * tanh(W_a(h) + W_m(m))).sum(-1, keepdim=True)
        attention = softmax(scores, -2)
        s = (attention * m).sum(-2)
        r = sigmoid(r + W_sr(s))
        z = sigmoid(z + W_sz(s))
        n = tanh(x_n + U_n(r * h) + W_sn(s))
        return (1 - z) * h + z * n


CATALOGUE = {"bahdanau-gru": BahdanauGRU()}
