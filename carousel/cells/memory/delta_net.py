from __future__ import annotations

from torch import sigmoid
from torch.nn.functional import silu

from carousel.cells.cell import Cell
from carousel.cells.memory.parts import length, number_of
from carousel.cells.weights import Matrix


class DeltaNet(Cell):
    """DeltaNet: a matrix memory that is corrected by how much it errs, the delta rule, at every step.

        q, k = SiLU(W x + b) of each, divided by its length     query and key, (batch, hidden)
        v  = W_v x + b_v                                value,          (batch, hidden)
        b  = sigmoid(w_b . x + b_b)                     how much is corrected, one number
        S' = S + b * (v - S k) k^T                      next memory,    (batch, hidden, hidden)
        h' = S' q                                       next state,     (batch, hidden)

    Use: storing pairs, and storing others under the same keys later; linear in the length of a sequence.
    Reading: keys and queries as of Yang et al., SiLU and Euclidean length; Schlag et al. take other features, and
    divide by their sum.
    Fidelity: as in the paper, the recurrence alone: without the convolutions and norms around it, one head. The
    chunkwise-parallel form by which the paper trains it is not derived.
    Source: Yang, Wang, Zhang, Shen & Kim, "Parallelizing linear transformers with the delta rule over sequence length",
    NeurIPS (arXiv:2406.06484, 2024), section 2.2; the rule is of Schlag, Irie & Schmidhuber (arXiv:2102.11174, 2021).
    """

    states = ("h", "S")
    inputs = ("q", "k", "v")
    sizes = {"S": ("hidden", "hidden")}
    parts = ("given",)
    matrices = {"W_b": Matrix("one", "input", bias=True)}

    def step(self, S, given, q, k, v, W_b):
        q, k = silu(q), silu(k)
        q, k = q / (length(q) + 1e-6), k / (length(k) + 1e-6)
        b = sigmoid(W_b(given))
        S = S + b * (v.mT - number_of(S * k)) * k
        return number_of(S * q).mT, S


CATALOGUE = {"delta-net": DeltaNet()}
