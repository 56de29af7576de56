"""Choosing the next symbol from the scores a model gives."""

import numbers
from dataclasses import dataclass

import torch

from carousel.errors import DataError


@dataclass(frozen=True)
class Sampling:
    """How adventurous the choice is.

    `temperature`: scores are divided by it. Below 1 the likely becomes likelier; 0 always takes the likeliest.
    `top_k`: only the k likeliest symbols take part. `top_p`: only the fewest symbols that together have at
    least this probability, after temperature. Raises DataError outside these meanings.
    """

    temperature: float = 0.8
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("temperature", self.temperature), ("top_p", self.top_p)):
            given = value is not None or name == "temperature"
            if given and (isinstance(value, bool) or not isinstance(value, numbers.Real)):
                raise DataError(f"{name} must be a number, not {value!r}.")
        if isinstance(self.top_k, bool) or not isinstance(self.top_k, numbers.Integral | None):
            raise DataError(f"top_k must be a whole number of symbols, not {self.top_k!r}.")
        if not 0 <= self.temperature < float("inf"):
            raise DataError(f"The temperature must be 0 or more, not {self.temperature}. Usual: 0.5 to 1.2.")
        if self.top_k is not None and self.top_k < 1:
            raise DataError(f"top-k must be at least 1 symbol, not {self.top_k}.")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise DataError(f"top-p is a probability above 0 and at most 1, not {self.top_p}.")

    def choose(self, scores: torch.Tensor, generator: torch.Generator) -> int:
        """Draws the index of one symbol from scores, (symbols,). -inf excludes a symbol. Raises DataError for NaN and
        infinity."""
        check_scores(scores)
        if self.temperature == 0:
            return int(scores.argmax())
        scores = (scores.double() - scores.max()) / self.temperature  # at most 0: a tiny temperature cannot overflow it
        if self.top_k is not None and self.top_k < len(scores):
            scores = scores.masked_fill(scores < scores.topk(self.top_k).values[-1], -torch.inf)
        probabilities = scores.softmax(0)
        if self.top_p is not None:
            ordered, order = probabilities.sort(descending=True, stable=True)
            beyond = ordered.cumsum(0) - ordered >= self.top_p  # never the first
            probabilities[order[beyond]] = 0
        return int(torch.multinomial(probabilities, 1, generator=generator))


def check_scores(scores: torch.Tensor) -> None:
    """Raises DataError for scores from which no symbol can be drawn: NaN, or no finite one. -inf excludes a symbol."""
    if bool(scores.isnan().any()) or bool((scores == torch.inf).any()) or bool((scores == -torch.inf).all(-1).any()):
        found = "NaN" if bool(scores.isnan().any()) else "infinity"
        raise DataError(
            f"The model's scores of the next symbol hold {found}, so nothing can be told from them: its weights have "
            f"diverged. Go on from a run saved before, or train again with a lower learning rate."
        )
