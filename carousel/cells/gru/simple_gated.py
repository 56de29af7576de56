from __future__ import annotations

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded


class SimpleGatedRNN(Cell):
    """Simple gated recurrent network: one gate, whose input part is the candidate too.

        f  = sigmoid(W_f x + b_f + U_f h + c_f)             forget gate, (batch, hidden)
        h' = tanh((1 - f) * (W_f x + b_f) + f * h)          next state,  (batch, hidden)

    Use: short-term load forecasts; as many weights as a simple network.
    Reading: the candidate is the gate's own input part, with its bias, as torchrecurrent 0.2.5 has it; another port
    leaves the bias out.
    Fidelity: as described by torchrecurrent 0.2.5; the article itself was not at hand.
    Source: "Simple gated recurrent network", IET Generation, Transmission & Distribution
    (doi:10.1049/gtd2.12056, 2021).
    """

    gates = ("f",)
    facts = (bounded("h"),)

    def step(self, h, x_f, U_f):
        f = sigmoid(x_f + U_f(h))
        return tanh((1 - f) * x_f + f * h)


CATALOGUE = {"sgrn": SimpleGatedRNN()}
