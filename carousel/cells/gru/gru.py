from __future__ import annotations

from dataclasses import dataclass

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import bounded, keeps


@dataclass(frozen=True)
class GRU(Cell):
    """Gated recurrent unit.

        r  = sigmoid(W_r x + b_r + U_r h + c_r)     reset gate,  (batch, hidden)
        z  = sigmoid(W_z x + b_z + U_z h + c_z)     update gate, (batch, hidden)
        n  = tanh(W_n x + b_n + r * (U_n h + c_n))  candidate,   (batch, hidden)
        h' = (1 - z) * n + z * h                    next state,  (batch, hidden)

    reset: "after" the matrix product, as above (torch.nn.GRU, cuDNN, Keras' default, ONNX `linear_before_reset=1`),
        or "before" it, n = tanh(W_n x + b_n + U_n (r * h) + c_n) (Keras `reset_after=False`, ONNX
        `linear_before_reset=0`).

    Use: the first to try beside the LSTM; one state, three quarters of its weights.
    Reading: cited papers differ in the place of the reset gate and in which of z and 1 - z keeps; torch.nn's letters
    are taken.
    Fidelity: with reset="before" as in the paper, z standing for its z; "after" as in cuDNN.
    Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", EMNLP (2014), which resets before
    the product.
    """

    reset: str = "after"

    gates = ("r", "z", "n")
    facts = (bounded("h"), keeps("h", z=1))

    def __post_init__(self) -> None:
        if self.reset not in ("after", "before"):
            raise ValueError(f"reset must be 'after' or 'before' (the matrix product), but {self.reset!r} was given")

    def step(self, h, r, z, x_n, U_n):
        r = sigmoid(r)
        z = sigmoid(z)
        n = tanh(x_n + (r * U_n(h) if self.reset == "after" else U_n(r * h)))
        return (1 - z) * n + z * h


CATALOGUE = {"gru": GRU(), "gru-reset-before": GRU("before")}
