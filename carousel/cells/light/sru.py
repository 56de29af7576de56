from __future__ import annotations

from torch import sigmoid

from carousel.cells.cell import Cell
from carousel.cells.facts import keeps


class SRU(Cell):
    """Simple recurrent unit: gates see the input, and the cell state through one weight per unit.

        f  = sigmoid(W_f x + b_f + v_f * c)         forget gate,     (batch, hidden)
        r  = sigmoid(W_r x + b_r + v_r * c)         reset gate,      (batch, hidden)
        c' = f * c + (1 - f) * (W_g x + b_g)        next cell state, (batch, hidden)
        h' = r * c' + (1 - r) * (W_k x + b_k)       next state,      (batch, hidden)

    Use: deep stacks that train about as fast as convolutions.
    Reading: both gates read the old c, as the paper's equations 1 and 3. The highway part is W_k x + b_k, as the
    authors' code has it where input and state differ in size; where they do not, it passes x itself.
    Fidelity: as in the authors' code, with biases b_g and b_k, and without its scaling of the highway part.
    Source: Lei, Zhang, Wang, Dai & Artzi, "Simple recurrent units for highly parallelizable recurrence", EMNLP
    (arXiv:1709.02755, 2018), equations 1 to 4.
    """

    states = ("h", "c")
    inputs = ("g", "f", "r", "k")
    vectors = ("v_f", "v_r")
    facts = (keeps("c", f=1),)

    def step(self, c, g, f, r, k, v_f, v_r):
        f = sigmoid(f + v_f * c)
        r = sigmoid(r + v_r * c)
        c = f * c + (1 - f) * g
        return r * c + (1 - r) * k, c


CATALOGUE = {"sru": SRU()}
