from __future__ import annotations

from torch import relu, sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps


class IntersectionRNN(Cell):
    """Intersection RNN, +RNN: one gate over time for its state, and one over depth from the input to the output.

        a  = relu(W_a x + b_a + U_a h + c_a)        what the output adds,       (batch, hidden)
        n  = tanh(W_n x + b_n + U_n h + c_n)        candidate of the state,     (batch, hidden)
        p  = sigmoid(W_p x + b_p + U_p h + c_p)     depth gate,                 (batch, hidden)
        z  = sigmoid(W_z x + b_z + U_z h + c_z)     update gate,                (batch, hidden)
        y' = p * x + (1 - p) * a                    output, which is no state that a step reads, (batch, hidden)
        h' = z * h + (1 - z) * n                    next state,                 (batch, hidden)

    Its input is as long as its state: input_size = hidden_size.
    Use: stacks of many layers, through which the input passes where p is near 1.
    Reading: TensorFlow's IntersectionRNNCell adds 1 to p and z before the sigmoid at the start; here that is a bias,
    `layer.initialize("forget-bias")`.
    Fidelity: as in the documentation of TensorFlow's IntersectionRNNCell and from memory of the paper, which was not
    opened.
    Source: Collins, Sohl-Dickstein & Sussillo, "Capacity and trainability in recurrent neural networks", ICLR
    (arXiv:1611.09913, 2017).
    """

    states = ("y", "h")
    gates = ("a", "n", "p", "z")
    parts = {"input": "hidden"}
    facts = (bounded("h"), keeps("h", z=1))

    def step(self, h, x, U, input):
        a = relu(x.a + U.a(h))
        n = tanh(x.n + U.n(h))
        p = sigmoid(x.p + U.p(h))
        z = sigmoid(x.z + U.z(h))
        y = p * input + (1 - p) * a
        h = z * h + (1 - z) * n
        return y, h


CATALOGUE = {"intersection-rnn": IntersectionRNN()}
