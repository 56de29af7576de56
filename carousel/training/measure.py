"""Losses in units that can be compared."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """Turns a mean loss per token into nats per unit (per character, say).

        nats per unit = nats per token · tokens per unit + extra

    so that models that cut the same data into different tokens can be compared. `extra` is what a unit costs
    besides its tokens, in nats: the spelling of words outside the vocabulary.
    """

    unit: str = "token"
    tokens_per_unit: float = 1.0
    extra: float = 0.0

    def nats(self, per_token: float) -> float:
        return per_token * self.tokens_per_unit + self.extra


def bits(nats: float) -> float:
    """One nat is 1 / ln 2, about 1.4427, bits."""
    return nats / math.log(2)
