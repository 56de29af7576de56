from __future__ import annotations

from torch import exp, relu, sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded
from carousel.cells.weights import Matrix, Vector


class GRUD(Cell):
    """GRU-D: a GRU for series with gaps. What is missing decays from its last value to the mean, and so does the state.

        k  = exp(-relu(d_k * delta + b_k))                  how much of a last value is left,     (batch, input)
        s' = m * v + (1 - m) * s                            last value that was seen,             (batch, input)
        v^ = m * v + (1 - m) * (k * s + (1 - k) * mean)     value, or what stands for it,         (batch, input)
        h^ = exp(-relu(D delta + b_D)) * h                  what time has left of the state,      (batch, hidden)
        z  = sigmoid(R_z v^ + W_z m + b_z + U_z h^ + c_z)   update gate,                          (batch, hidden)
        r  = sigmoid(R_r v^ + W_r m + b_r + U_r h^ + c_r)   reset gate,                           (batch, hidden)
        n  = tanh(R_n v^ + W_n m + b_n + U_n (r * h^) + c_n)    candidate,                        (batch, hidden)
        h' = (1 - z) * h^ + z * n                           next state,                           (batch, hidden)

    The input has three parts, side by side and equally wide, so that input_size is three times the number of values:
    v, the values, with any number where one is missing; m, the mask, 1 where a value is there and 0 where it is not;
    delta, the time since each was last seen. `mean` is a constant of the layer, at first 0, as for values that are
    standardised: `layer.mean_l0.copy_(...)`.
    Use: medical and other series whose values are measured at different times, and whose gaps say something.
    Reading: the decay of values is diagonal, each value's own; s' keeps the value itself and not what stood for it.
    Fidelity: from memory: the paper was not opened.
    Source: Che, Purushotham, Cho, Sontag & Liu, "Recurrent neural networks for multivariate time series with missing
    values", Scientific Reports 8 (arXiv:1606.01865, 2018).
    """

    states = ("h", "s")
    gates = ("z", "r", "n")
    parts = ("v", "m", "delta")
    reads = "m"
    sizes = {"s": "input"}
    vectors = {
        "d_k": Vector(size="input"),
        "b_k": Vector(0.0, bias=True, size="input"),
        "mean": Vector(0.0, size="input", learned=False),
    }
    matrices = {
        "D": Matrix("hidden", "input", bias=True),
        "R_z": Matrix("hidden", "input"),
        "R_r": Matrix("hidden", "input"),
        "R_n": Matrix("hidden", "input"),
    }
    facts = (bounded("h"),)

    def step(self, h, s, v, m, delta, x, U, d_k, b_k, mean, D, R_z, R_r, R_n):
        k = exp(-relu(d_k * delta + b_k))
        seen = m * v
        v = seen + (1 - m) * (k * s + (1 - k) * mean)
        h = exp(-relu(D(delta))) * h
        z = sigmoid(R_z(v) + x.z + U.z(h))
        r = sigmoid(R_r(v) + x.r + U.r(h))
        n = tanh(R_n(v) + x.n + U.n(r * h))
        h = (1 - z) * h + z * n
        return h, seen + (1 - m) * s


CATALOGUE = {"gru-d": GRUD()}
