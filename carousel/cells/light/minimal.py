from __future__ import annotations

from torch import sigmoid

from carousel.cells.cell import Cell
from carousel.cells.facts import keeps


class MinGRU(Cell):
    """A GRU whose gate and candidate see the input alone (minGRU).

        z  = sigmoid(W_z x + b_z)           update gate, (batch, hidden)
        n  = W_n x + b_n                    candidate,   (batch, hidden)
        h' = (1 - z) * h + z * n            next state,  (batch, hidden)

    Use: long sequences at little cost: no product waits for the step before. Stack several layers.
    Reading: the sequential form of the paper's section 3.1. Its code computes in log space and there puts a positive
    function g around the candidate, which is another cell.
    Fidelity: as in the paper, section 3.1.
    Source: Feng, Tung, Ahmed, Bengio & Hajimirsadeghi, "Were RNNs all we needed?" (arXiv:2410.01201, 2024),
    section 3.1.
    """

    inputs = ("z", "n")
    facts = (keeps("h", z=0),)

    def step(self, h, z, n):
        z = sigmoid(z)
        return (1 - z) * h + z * n


class MinLSTM(Cell):
    """An LSTM whose gates and candidate see the input alone, and whose gates are scaled to add up to one (minLSTM).

        f  = sigmoid(W_f x + b_f)                   forget gate, (batch, hidden)
        i  = sigmoid(W_i x + b_i)                   input gate,  (batch, hidden)
        g  = W_g x + b_g                            candidate,   (batch, hidden)
        h' = (f * h + i * g) / (f + i)              next state,  (batch, hidden)

    Use: as minGRU.
    Reading: the sequential form of the paper's section 3.2, without log space.
    Fidelity: as in the paper, section 3.2.
    Source: Feng, Tung, Ahmed, Bengio & Hajimirsadeghi, "Were RNNs all we needed?" (arXiv:2410.01201, 2024),
    section 3.2.
    """

    inputs = ("f", "i", "g")
    facts = (keeps("h", i=0),)

    def step(self, h, f, i, g):
        f = sigmoid(f)
        i = sigmoid(i)
        return f / (f + i) * h + i / (f + i) * g


CATALOGUE = {"mingru": MinGRU(), "minlstm": MinLSTM()}
