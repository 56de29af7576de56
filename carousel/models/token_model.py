"""The network that reads symbols and predicts the next one."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from carousel.layers import Recurrent


class TokenModel(nn.Module):
    """Reads a sequence of symbols and computes, after each symbol, scores for the next one.

        e_t = E[x_t]                      embedding of the symbol at step t,        (batch, embedding)
        h_t, s_t = recurrent(e_t, s_t-1)  any cell, any number of layers deep,      (batch, hidden)
        y_t = V h_t + C                   scores of the next symbol (the head),     (batch, symbols)

    softmax(y_t) are the probabilities of the symbols at step t + 1. In training, dropout zeroes elements of e_t, of the
    values between layers, and of h_t before the head. It never changes the state s_t.

    symbols: the number of different symbols. cell: the name of a cell, or `file.py:ClassName`. hidden, layers,
    embedding: sizes. dropout: the probability of zeroing an element. Raises DataError for an unknown cell.
    """

    def __init__(
        self,
        symbols: int,
        *,
        cell: str = "lstm",
        hidden: int = 256,
        layers: int = 1,
        embedding: int = 128,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(symbols, embedding)
        self.recurrent = Recurrent(cell, embedding, hidden, layers)
        self.dropout = nn.Dropout()
        self.head = nn.Linear(hidden, symbols)
        self.set_dropout(dropout)

    def forward(self, symbols: torch.Tensor, state: Any = None) -> tuple[torch.Tensor, Any]:
        """Scores of the next symbol after each symbol, (time, batch, symbols), and the state after the last step.

        symbols: integers, (time, batch). state: the state that an earlier call returned, or None for the initial one.
        """
        outputs, state = self.recurrent(self.dropout(self.embedding(symbols)), state)
        return self.head(self.dropout(outputs)), state

    def stepper(self, state: Any) -> Callable[[int], torch.Tensor]:
        """A function from a symbol to the scores of the next symbol, (symbols,), which starts at a state of one row.

        It holds the state and a copy of the weights, and needs eval mode; see `carousel.layers.Stepper`.
        """
        recurrent = self.recurrent.stepper(batch=1)
        recurrent.state = state

        def step(symbol: int) -> torch.Tensor:
            return self.head(recurrent(self.embedding.weight[symbol : symbol + 1]))[0]

        return step

    def set_dropout(self, probability: float) -> None:
        """Sets the probability of dropout for all later steps. Parameters and state do not change."""
        self.dropout.p = probability
        self.recurrent.dropout = probability if self.recurrent.num_layers > 1 else 0.0
