"""The network that reads trees of words and scores classes at every node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from carousel.layers.trees import Recursive, Trees
from carousel.models.label_model import averaged


class TreeModel(nn.Module):
    """Scores every class at every node of a tree.

        e_n = E[x_n]                          the vector of the word at node n, where there is one,  (rows, embedding)
        h_n = recursive(e_n, h of children)   any cell, any number of layers deep,                   (nodes, hidden)
        y_n = V h_n + C                       scores; softmax(y_n) are probabilities,                (nodes, classes)

    The scores of a tree are those of its root. In training, dropout zeroes elements of e_n, of values between layers,
    and of h_n before the scores.

    words: the number of different words. classes: that of classes. cell: the name of a cell, or a `Cell`. hidden,
    layers, embedding: sizes. dropout: the probability of zeroing an element. Raises DataError for an unknown cell.
    """

    def __init__(
        self,
        words: int,
        classes: int,
        *,
        cell: str = "tree-lstm",
        hidden: int = 100,
        layers: int = 1,
        embedding: int = 100,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(words, embedding)
        nn.init.normal_(
            self.embedding.weight, std=0.1
        )  # with torch's 1, the few examples of a rare word have no effect
        self.recurrent = Recursive(cell, embedding, hidden, layers)
        self.head = nn.Linear(hidden, classes)
        self.dropout = nn.Dropout()
        self.set_dropout(dropout)

    def forward(self, words: Tensor, trees: Trees, at: Tensor) -> Tensor:
        """Scores, (nodes, classes). words: (rows) int64, those of the nodes `at`, (rows)."""
        return self.head(self.dropout(self.states(words, trees, at)))

    def states(self, words: Tensor, trees: Trees, at: Tensor) -> Tensor:
        """h at every node, (nodes, hidden). Arguments as of `forward`."""
        output, _ = self.recurrent(self.dropout(self.embedding(words)), trees, at=at)
        return cast(Tensor, output)

    def set_dropout(self, probability: float) -> None:
        """Sets the probability of dropout for all later steps."""
        self.dropout.p = probability
        self.recurrent.dropout = probability if self.recurrent.num_layers > 1 else 0.0


class TreeEnsemble(nn.Module):
    """Several networks whose probabilities are averaged at every node: P(class) = 1/K Σ_k softmax(y_k)."""

    def __init__(self, members: Iterable[TreeModel]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(members)

    @property
    def members(self) -> list[TreeModel]:
        return cast(list[TreeModel], list(self.networks))

    def forward(self, words: Tensor, trees: Trees, at: Tensor) -> Tensor:
        """ln P at every node, (nodes, classes). Arguments as of `TreeModel`."""
        return averaged([member(words, trees, at) for member in self.members])

    def set_dropout(self, probability: float) -> None:
        for member in self.members:
            member.set_dropout(probability)


def mean_loss(ensemble: TreeEnsemble, words: Tensor, trees: Trees, at: Tensor, labels: Tensor) -> Tensor:
    """The mean over the networks of the mean loss at the nodes that have a label, -1 for none; (nodes) int64."""
    losses = [
        nn.functional.cross_entropy(member(words, trees, at), labels, ignore_index=-1) for member in ensemble.members
    ]
    return torch.stack(losses).mean()
