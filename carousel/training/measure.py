"""Losses in units that can be compared."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """Turns a mean loss per token into the figure that is shown, and into words.

        figure = loss per token · tokens per unit + extra

    With the `quantity` "nats" that is nats per unit (per character, say), so that models that divide the same data
    into different tokens can be compared, and bits stand beside it; `extra` is what a unit costs besides its
    tokens: the spelling of words outside the vocabulary. Any other quantity ("quantile loss") is shown as it is.
    `unit` is also what reading speed counts.
    """

    unit: str = "token"
    tokens_per_unit: float = 1.0
    extra: float = 0.0
    quantity: str = "nats"

    def __call__(self, per_token: float) -> float:
        return per_token * self.tokens_per_unit + self.extra

    @property
    def names(self) -> tuple[str, ...]:
        """The units of `figures`: ("nats/char", "bits/char")."""
        return (f"nats/{self.unit}", f"bits/{self.unit}") if self.quantity == "nats" else (self.quantity,)

    def figures(self, value: float) -> tuple[str, ...]:
        """The value in each of the units `names`: ("1.493", "2.154")."""
        return tuple(f"{number:.3f}" for number in ((value, bits(value)) if self.quantity == "nats" else (value,)))

    def words(self, value: float) -> str:
        """A value with its unit: "1.493 nats/char (2.154 bits)", "0.113 quantile loss"."""
        figures = self.figures(value)
        return f"{figures[0]} {self.names[0]}" + (f" ({figures[1]} bits)" if len(figures) == 2 else "")


def bits(nats: float) -> float:
    """Nats as bits: one nat is 1 / ln 2, about 1.4427, bits."""
    return nats / math.log(2)
