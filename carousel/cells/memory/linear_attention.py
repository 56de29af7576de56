from __future__ import annotations

from torch.nn.functional import elu

from carousel.cells.cell import Cell
from carousel.cells.memory.parts import number_of


class LinearAttention(Cell):
    """Linear attention in its recurrent form: attention to all steps so far, whose sums are the state.

        q, k = elu(W x + b) + 1 of each                 query and key,  (batch, hidden)
        v  = W_v x + b_v                                value,          (batch, hidden)
        S' = S + v k^T                                  next memory,    (batch, hidden, hidden)
        z' = z + k                                      next normaliser, (batch, hidden)
        h' = S' q / (z' . q)                            next state,     (batch, hidden)

    Use: streaming of what was trained as linear attention; nothing is ever forgotten.
    Fidelity: as in the paper, equations 16 to 20, one head, without the residual connection and what follows it. The
    chunkwise-parallel form by which it is trained on long sequences is not derived.
    Source: Katharopoulos, Vyas, Pappas & Fleuret, "Transformers are RNNs: fast autoregressive transformers with linear
    attention", ICML (arXiv:2006.16236, 2020), equations 7 and 16 to 20.
    """

    states = ("h", "S", "z")
    inputs = ("q", "k", "v")
    sizes = {"S": ("hidden", "hidden")}

    def step(self, S, z, q, k, v):
        q, k = elu(q) + 1, elu(k) + 1
        S = S + v.mT * k
        z = z + k
        return number_of(S * q).mT / (number_of(z * q) + 1e-6), S, z


CATALOGUE = {"linear-attention": LinearAttention()}
