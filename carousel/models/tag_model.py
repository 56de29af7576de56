"""The network that gives every step of a sequence a tag."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from carousel.layers import Recurrent
from carousel.models.standardizing import mean_and_scale


class Spelled(NamedTuple):
    """F different written forms of words, as a network reads them.

    words: (F,) int64, the number of each one's word, 0 for a word that is not known.
    letters: (L, F) int64, the numbers of its characters from the first to the last, then zeros; 0 also stands for a
        character that is not known. lengths: (F,) int64, how many characters each has.
    """

    words: Tensor
    letters: Tensor
    lengths: Tensor


class TagModel(nn.Module):
    """Scores every tag at every step.

        e_t = (x_t - mean) / scale, or [E[w_t] ; s(w_t)] for words     the input of step t,              (B, inputs)
        h_t = recurrent(e_1 ... e_T)                                   any cell, depth and direction,    (B, W)
        y_t = V h_t + C                                                scores, softmax(y_t) the tags' P, (B, tags)

    W = hidden, or 2 * hidden if bidirectional. E[w] is the vector of a known word; all unknown words share one vector.
    s(w) are the last states, in both directions, of an LSTM that reads the characters of the word, so that an unknown
    word is known by its endings, capitals and digits (Ling et al. 2015; Lample et al. 2016). Each written form in a
    batch is read once, however often it occurs. mean and scale are those of the training part (`standardize_on`).

    In training, dropout zeroes elements of E and s, of the values between layers and of h_t. `forget` makes a known
    word unknown, so that the shared vector and the characters learn to stand for it.

    tags: how many there are. inputs: the count of numbers at each step; or words: the count of known words with the
    unknown one, and characters: the same of characters. cell: the name of a cell, or `file.py:ClassName`. hidden,
    layers: the sizes of the recurrence. bidirectional: whether it also reads from the end. embedding: the size of E[w].
    character_hidden: units of the LSTM over characters in each direction; 0 for no s(w). character_embedding: the size
    of a character's vector. dropout: the probability of zeroing an element. forget: the share of known words that are
    read as unknown ones. Raises DataError for an unknown cell, ValueError unless either inputs or words and characters
    are given.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        tags: int,
        *,
        inputs: int | None = None,
        words: int | None = None,
        characters: int | None = None,
        cell: str = "lstm",
        hidden: int = 128,
        layers: int = 1,
        bidirectional: bool = True,
        embedding: int = 100,
        character_embedding: int = 32,
        character_hidden: int = 48,
        dropout: float = 0.0,
        forget: float = 0.0,
    ) -> None:
        super().__init__()
        if (inputs is None) == (words is None or characters is None):
            raise ValueError("a step is either numbers or a word: give inputs, or words and characters")
        self.embedding: nn.Embedding | None = None
        self.letters: nn.Embedding | None = None
        self.spelling: Recurrent | None = None
        if inputs is not None:
            self.register_buffer("mean", torch.zeros(inputs, dtype=torch.float64))
            self.register_buffer("scale", torch.ones(inputs, dtype=torch.float64))
        else:
            assert words is not None
            assert characters is not None
            inputs = embedding + 2 * character_hidden
            self.embedding = _embedding(words, embedding)
            if character_hidden:
                self.letters = _embedding(characters, character_embedding)
                self.spelling = Recurrent("lstm", character_embedding, character_hidden, bidirectional=True)
        self.recurrent = Recurrent(cell, inputs, hidden, layers, bidirectional=bidirectional)
        self.head = nn.Linear(hidden * (2 if bidirectional else 1), tags)
        self.dropout = nn.Dropout()
        self.forget = forget
        self.set_dropout(dropout)

    @torch.no_grad()
    def standardize_on(self, sequences: Iterable[np.ndarray]) -> None:
        """Sets mean and scale from these sequences, (T, inputs) each; see `mean_and_scale`."""
        mean, scale = mean_and_scale(sequences)
        self.mean.copy_(torch.from_numpy(mean))
        self.scale.copy_(torch.from_numpy(scale))

    def read(self, x: Tensor, spelled: Spelled | None = None) -> Tensor:
        """Returns e, (T, B, inputs). x, spelled: as for `forward`. Raises ValueError for words without `spelled`."""
        if self.embedding is None:
            return ((x - self.mean) / self.scale).to(self.head.weight.dtype)
        if spelled is None:
            raise ValueError("a network of words needs their spelling: spelled=")
        words = spelled.words[x]
        if self.training and self.forget:
            words = words.masked_fill(torch.rand(words.shape, device=words.device) < self.forget, 0)
        parts = [self.embedding(words)]
        if self.spelling is not None and self.letters is not None:
            _, hx = self.spelling(self.letters(spelled.letters), lengths=spelled.lengths)
            forms = hx[0].transpose(0, 1).flatten(1)  # (F, 2 character_hidden)
            parts.append(nn.functional.embedding(x, forms))
        return self.dropout(torch.cat(parts, -1))

    def forward(self, x: Tensor, lengths: Tensor, spelled: Spelled | None = None) -> Tensor:
        """Scores of the tags at every step, (T, B, tags). What stands after the end of a row means nothing.

        x: numbers (T, B, inputs); or, for words, (T, B) int64, the places of their forms in `spelled`.
        lengths: (B,), how many steps each row has; the steps after them are not read.
        spelled: for words, their forms. Raises ValueError for words without them.
        """
        outputs, _ = self.recurrent(self.read(x, spelled), lengths=lengths)
        return self.head(self.dropout(outputs))

    def set_dropout(self, probability: float) -> None:
        """Sets the probability of dropout for all later steps. No parameter changes.

        probability: at least 0 and below 1.
        """
        self.dropout.p = probability
        self.recurrent.dropout = probability if self.recurrent.num_layers > 1 else 0.0


def _embedding(symbols: int, size: int) -> nn.Embedding:
    """Vectors with a deviation of 0.1: with torch's 1, the few examples of a rare word would have no effect."""
    vectors = nn.Embedding(symbols, size)
    nn.init.normal_(vectors.weight, std=0.1)
    return vectors
