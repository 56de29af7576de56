"""The network that reads a text from both sides and predicts each symbol from all the others."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from carousel.layers import Recurrent


class FillModel(nn.Module):
    """Computes, for each place of a text, scores of the symbol there from the symbols before it and after it.

        e_t = E[x_t]                               embedding of the symbol at step t,              (batch, embedding)
        f_t = forward(e_1 ... e_t)                 any cell, any number of layers deep,            (batch, hidden)
        b_t = backward(e_t ... e_T)                the same from the other side,                   (batch, hidden)
        u_t = W [f_t-1 ; b_t+1] + c                what both sides say of place t,                 (batch, embedding)
        y_t = E u_t + C                            scores of the symbol at place t,                (batch, symbols)

    Neither f_t-1 nor b_t+1 has read x_t, however deep the layers are: each side is a stack of its own, and the two meet
    only in u_t. So the score of a symbol does not depend on the symbol itself, and all places of a text are predicted
    in one pass. Beyond the ends of a text f_0 = b_T+1 = 0. The embedding is also the head (Press and Wolf 2017).

    In training, dropout zeroes elements of e_t, of the values between layers, and of u_t.

    symbols: the number of different symbols. cell: the name of a cell, or `file.py:ClassName`. hidden, layers,
    embedding: sizes; hidden is that of each side. dropout: the probability of zeroing an element. Raises DataError for
    an unknown cell.
    """

    def __init__(
        self,
        symbols: int,
        *,
        cell: str = "lstm",
        hidden: int = 256,
        layers: int = 1,
        embedding: int = 256,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, embedding)
        nn.init.normal_(self.embedding.weight, std=embedding**-0.5)  # it is the head, too, whose scores begin near 1
        self.forwards = Recurrent(cell, embedding, hidden, layers)
        self.backwards = Recurrent(cell, embedding, hidden, layers)
        self.joined = nn.Linear(2 * hidden, embedding)
        self.bias = nn.Parameter(torch.zeros(symbols))
        self.dropout = nn.Dropout()
        self.set_dropout(dropout)

    @property
    def recurrent(self) -> Recurrent:
        """The layer that reads from the beginning; the other one is of the same kind."""
        return self.forwards

    def places(self, symbols: Tensor) -> Tensor:
        """u of every place, (time, batch, embedding). symbols: integers, (time, batch)."""
        e = self.dropout(self.embedding(symbols))
        before, _ = self.forwards(e)
        after, _ = self.backwards(e.flip(0))
        nothing = before.new_zeros(1, *before.shape[1:])
        left = torch.cat([nothing, before[:-1]])
        right = torch.cat([after[:-1].flip(0), nothing])
        return self.dropout(self.joined(torch.cat([left, right], -1)))

    def scores(self, places: Tensor) -> Tensor:
        """y, (..., symbols), from the u of some places, (..., embedding)."""
        return functional.linear(places, self.embedding.weight, self.bias)

    def forward(self, symbols: Tensor) -> Tensor:
        """Scores of the symbol at every place, (time, batch, symbols). symbols: integers, (time, batch)."""
        return self.scores(self.places(symbols))

    def set_dropout(self, probability: float) -> None:
        """Sets the probability of dropout for all later steps. No parameter changes.

        probability: at least 0 and below 1.
        """
        self.dropout.p = probability
        for layer in (self.forwards, self.backwards):
            layer.dropout = probability if layer.num_layers > 1 else 0.0


def sampled_loss(model: FillModel, symbols: Tensor, frequency: Tensor, sampled: int) -> Tensor:
    """The mean cross-entropy of the symbols at all places, each beside a sample of others instead of beside all.

    Every place has the same K others, drawn without replacement with probability proportional to `frequency`. Each
    score is lessened by ln(1 - (1 - q)^K), with the symbol's share q, which is about how likely the sample has it; so
    the expected gradient is close to that of all symbols (Jean et al. 2015, section 3; Bengio and Senécal 2008). A
    place's own symbol is left out of its others. The loss itself is below that of all symbols.

    frequency: (symbols,), above 0. sampled: K. Draws from torch's global generator.
    """
    share = frequency / frequency.sum()
    others = torch.multinomial(share, sampled)
    chance = torch.log(-torch.expm1(sampled * torch.log1p(-share)))
    places, targets = model.places(symbols).flatten(0, 1), symbols.flatten()
    vectors = model.embedding.weight
    own = (places * vectors[targets]).sum(-1) + model.bias[targets] - chance[targets]
    beside = functional.linear(places, vectors[others], model.bias[others] - chance[others])
    beside = beside.masked_fill(targets[:, None] == others, -torch.inf)
    return (torch.logaddexp(own, beside.logsumexp(-1)) - own).mean()
