"""The network that reads a whole sequence and classifies it."""

from collections.abc import Iterable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from carousel.layers import Recurrent
from carousel.models.convolutions import Convolutions
from carousel.models.fixed_convolutions import FixedVote
from carousel.models.pooling import HEADS
from carousel.models.standardizing import mean_and_scale


class LabelModel(nn.Module):
    """Scores every class after reading a sequence.

        e_t = (x_t - mean) / scale, or E[x_t] for symbols     the input of step t,              (B, inputs or embedding)
        h_t = recurrent(e_1 ... e_t)                          any cell, depth and direction,    (B, W)
        p = pooled(h_1 ... h_T)                               see `carousel.models.pooling`,    (B, W)
        q = convolutions(e_1 ... e_T)                         see `carousel.models.convolutions`, (B, 3 convolutions)
        y = V [p ; q] + C                                     scores, softmax(y) probabilities, (B, classes)

    W = hidden, or 2 * hidden if bidirectional. Without convolutions there is no q. The convolutions are causal unless
    the recurrence is bidirectional, so that the network can follow a sequence as it arrives. mean and scale are those
    of the training part (`standardize_on`). In training, dropout zeroes elements of embeddings, of values between
    layers, and of p and q; it never zeroes numeric inputs, of which a step may have only one.

    inputs: the count of numbers at each step. symbols: instead of inputs, the count of different symbols.
    convolutions: channels of each convolution, 0 for none. stride: steps between two of their frames. points: the
    number of steps to which each sequence is stretched before them, 0 for none.
    Raises DataError for an unknown cell, ValueError for an unknown head.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        classes: int,
        *,
        inputs: int | None = None,
        symbols: int | None = None,
        cell: str = "gru",
        hidden: int = 64,
        layers: int = 1,
        bidirectional: bool = False,
        head: str = "attention",
        embedding: int = 64,
        convolutions: int = 0,
        stride: int = 1,
        points: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if (inputs is None) == (symbols is None):
            raise ValueError("a step is either numbers or a symbol: give inputs or symbols")
        if head not in HEADS:
            raise ValueError(f"there is no head {head!r}; there are {', '.join(HEADS)}")
        self.embedding = None
        if symbols is not None:
            self.embedding = nn.Embedding(symbols, embedding)
            # With torch's std of 1, the few examples of a rare word would have no effect.
            nn.init.normal_(self.embedding.weight, std=0.1)
        if inputs is not None:
            # In double precision, because single precision cannot show changes of 1 in numbers near 10⁹.
            self.register_buffer("mean", torch.zeros(inputs, dtype=torch.float64))
            self.register_buffer("scale", torch.ones(inputs, dtype=torch.float64))
        self.recurrent = Recurrent(cell, inputs or embedding, hidden, layers, bidirectional=bidirectional)
        width = hidden * (2 if bidirectional else 1)
        self.pooling = HEADS[head](width)
        self.convolutions = None
        if convolutions:
            size = inputs or embedding
            self.convolutions = Convolutions(size, convolutions, stride=stride, causal=not bidirectional, points=points)
            width += self.convolutions.width
        self.head = nn.Linear(width, classes)
        self.dropout = nn.Dropout()
        self.set_dropout(dropout)

    @torch.no_grad()
    def standardize_on(self, sequences: Iterable[np.ndarray]) -> None:
        """Sets mean and scale from these sequences, (T, inputs) each. A channel that never changes keeps scale 1."""
        mean, scale = mean_and_scale(sequences)
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(scale))

    def read(self, x: Tensor) -> Tensor:
        """The vectors e that the recurrence reads: (..., inputs) or (..., embedding).

        x: numbers (..., inputs), which are standardised, or symbols (...) int64, whose embeddings are taken.
        """
        if self.embedding is not None:
            return self.dropout(self.embedding(x))
        return ((x - self.mean) / self.scale).to(self.head.weight.dtype)

    def score(self, e: Tensor, lengths: Tensor) -> Tensor:
        """The scores of a batch, (B, classes).

        e: what `read` gives, (T, B, inputs or embedding). lengths: (B), the number of real steps of each row.
        """
        outputs, hx = self.recurrent(e, lengths=lengths)
        state = hx if isinstance(hx, Tensor) else hx[0]
        directions = 2 if self.recurrent.bidirectional else 1
        final = state[-directions:].transpose(0, 1).flatten(1)
        present = torch.arange(len(e), device=e.device).unsqueeze(-1) < lengths.to(e.device)
        pooled = self.pooling(outputs, final, present)
        if self.convolutions is not None:
            pooled = torch.cat([pooled, self.convolutions(e, lengths)], 1)
        return self.head(self.dropout(pooled))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The scores of a batch, (B, classes).

        x: numbers (T, B, inputs), or symbols (T, B) int64. lengths: (B), the number of real steps of each row.
        """
        return self.score(self.read(x), lengths)

    def set_dropout(self, probability: float) -> None:
        """Sets the probability of dropout for all later calls. Parameters do not change.

        probability: the share of elements that become zero in training, from 0 to below 1.
        """
        self.dropout.p = probability
        self.recurrent.dropout = probability if self.recurrent.num_layers > 1 else 0.0


class Ensemble(nn.Module):
    """Several networks whose probabilities are averaged: P(class | x) = 1/K Σ_k softmax(y_k).

    members: the K networks. fixed: a vote of fixed convolutions that is added to theirs, for whole sequences of
        numbers; None for none.
    """

    def __init__(self, members: Sequence[LabelModel], fixed: FixedVote | None = None) -> None:
        super().__init__()
        self.networks = nn.ModuleList(members)
        self.fixed = fixed

    @property
    def members(self) -> list[LabelModel]:
        """The K networks, in order."""
        return cast(list[LabelModel], list(self.networks))

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The logarithms of the probabilities of a batch, ln P, (B, classes).

        x: numbers (T, B, inputs), or symbols (T, B) int64. lengths: (B), the number of real steps of each row.
        """
        logs = averaged([member(x, lengths) for member in self.members])
        return logs if self.fixed is None else self.fixed(logs, x, lengths)

    def set_dropout(self, probability: float) -> None:
        """Sets the probability of dropout of every member for all later calls.

        probability: the share of elements that become zero in training, from 0 to below 1.
        """
        for member in self.members:
            member.set_dropout(probability)

    def arriving(self) -> "Arriving":
        """An object that reads one sequence step by step, as it arrives; see `Arriving`.

        Raises ValueError for a bidirectional ensemble and for one with a vote of fixed convolutions.
        """
        return Arriving(self)


class Arriving:
    """Lets an ensemble read one sequence as it arrives, step by step, in constant time and memory per step.

    It copies the weights when it is made. After t steps, `log_probabilities` equals the result of the ensemble for a
    sequence of those t steps. Raises ValueError for a bidirectional ensemble, which needs the end of the sequence, and
    for one with a vote of fixed convolutions, which reads whole sequences.
    """

    def __init__(self, ensemble: Ensemble) -> None:
        if ensemble.fixed is not None:
            raise ValueError("fixed convolutions read whole sequences: this ensemble cannot follow one as it arrives")
        self._readers = [_Reader(member) for member in ensemble.members]

    @torch.inference_mode()
    def push(self, steps: np.ndarray) -> None:
        """Reads n steps: numbers (n, inputs), or symbols (n)."""
        for reader in self._readers:
            reader.push(torch.from_numpy(steps))

    @torch.inference_mode()
    def log_probabilities(self) -> Tensor:
        """ln P of each class for the steps so far, (classes)."""
        return averaged([reader.scores() for reader in self._readers])[0]


class _Reader:
    """Lets one network read a sequence as it arrives."""

    def __init__(self, member: LabelModel) -> None:
        self._member, self._device = member, member.head.weight.device
        self._stepper = member.recurrent.stepper(batch=1)
        self._pooled = member.pooling.running(1, self._device)
        self._shapes = None if member.convolutions is None else member.convolutions.running(self._device)

    def push(self, steps: Tensor) -> None:
        for e in self._member.read(steps.to(self._device)):
            self._pooled.push(self._stepper(e.unsqueeze(0)))
            if self._shapes is not None:
                self._shapes.push(e)

    def scores(self) -> Tensor:
        pooled = self._pooled.value()
        if self._shapes is not None:
            pooled = torch.cat([pooled, self._shapes.value()], 1)
        return self._member.head(pooled)


def averaged(scores: Sequence[Tensor]) -> Tensor:
    """The logarithm of the mean of softmax(scores) over several networks."""
    logs = torch.stack([functional.log_softmax(score.float(), -1) for score in scores])
    return torch.logsumexp(logs, 0) - np.log(len(scores))
