"""What stands before an encoder: each reader makes steps from one kind of source."""

from typing import Protocol

from torch import Tensor, nn


class SourceReader(Protocol):
    """A module that turns a batch of sources into steps. width: how many numbers a step has."""

    width: int

    def __call__(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the steps, (S, B, width), and the number of real steps of each source, (B)."""
        ...


class SymbolReader(nn.Module):
    """Reads texts: step s is E[x_s], the embedding of the symbol at s.

    symbols: the number of different symbols. embedding: the size of a step.
    """

    def __init__(self, symbols: int, embedding: int) -> None:
        super().__init__()
        self.width = embedding
        self.embedding = nn.Embedding(symbols, embedding)
        nn.init.normal_(self.embedding.weight, std=embedding**-0.5)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """x: symbols, (S, B); lengths: (B)."""
        return self.embedding(x), lengths
