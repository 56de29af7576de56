"""Attention after a recurrence: what a decoder reads of the steps of an encoder (Luong, Pham and Manning 2015)."""

import torch
from torch import Tensor, nn

SCORES = ("general", "dot", "concat")


class GlobalAttention(nn.Module):
    """Global attention. Each query h_t reads all S steps m_1 ... m_S of one memory:

        score(h_t, m_s) = h_t · W m_s                     "general"
                        = h_t · m_s                       "dot", for queries and steps of the same size
                        = v · tanh(W m_s + U h_t)         "concat"
        a_ts = softmax over the real steps s of score(h_t, m_s)
        c_t = Σ_s a_ts m_s

    Equations 7 and 8 of Luong et al. 2015. The weights of padding are 0, and so are all weights of a memory without
    steps. The queries do not depend on earlier reads, so that all of them are one batched product.

    query, memory: the sizes of h_t and m_s. score: one of `SCORES`. Raises ValueError for another score, and for "dot"
    with two sizes.
    """

    def __init__(self, query: int, memory: int, score: str = "general") -> None:
        super().__init__()
        if score not in SCORES:
            raise ValueError(f"there is no attention score {score!r}; there are {', '.join(SCORES)}")
        if score == "dot" and query != memory:
            raise ValueError(
                f"the attention score dot compares vectors of one size, but the decoder has {query} units and the "
                f"steps of the source have {memory}: choose general"
            )
        self.score = score
        self.keys = nn.Identity() if score == "dot" else nn.Linear(memory, query, bias=False)
        self.queries = nn.Linear(query, query, bias=False) if score == "concat" else nn.Identity()
        self.v = nn.Linear(query, 1, bias=False) if score == "concat" else None

    def forward(self, h: Tensor, keys: Tensor, memory: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """Returns c, (B, T, memory), and a, (B, T, S).

        h: (B, T, query). memory: (B, S, memory). keys: what `self.keys` makes of the memory, once for all queries,
        (B, S, query). present: (B, S) bool, False at padding.
        """
        if self.v is None:
            scores = h @ keys.transpose(1, 2)
        else:
            scores = self.v(torch.tanh(keys.unsqueeze(1) + self.queries(h).unsqueeze(2))).squeeze(-1)
        lowest = torch.finfo(scores.dtype).min
        a = scores.masked_fill(~present.unsqueeze(1), lowest).softmax(-1) * present.unsqueeze(1)
        return a @ memory, a
