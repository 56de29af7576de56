"""Pooling over the steps that were read so far, as stages: see `carousel.models.pooling`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carousel.export.c.products import Products
from carousel.export.c.stages import Held, Stage, as_array
from carousel.models.pooling import Attention, Last, Max, Mean, Pooling


@dataclass
class Pool:
    """What all have in common: rows of `width` numbers in, one row for the steps so far out."""

    name: str
    width: int

    def row(self, name: str, begins: float = 0.0, count: int | None = None) -> Held:
        return Held(f"{self.name}_{name}", np.full(count or self.width, begins))

    def at(self, name: str) -> str:
        return f"state->{self.name}_{name}"


class KeepLast(Pool):
    comment = "y = the last row"

    def held(self) -> list[Held]:
        return []

    def lines(self, products: Products) -> list[str]:
        del products
        return ["int unit;", f"for (unit = 0; unit < {self.width}; unit++)", "    y[unit] = x[unit];"]


class KeepMean(Pool):
    comment = "y = mean of the rows so far"

    def held(self) -> list[Held]:
        return [self.row("sum"), self.row("count", count=1)]

    def lines(self, products: Products) -> list[str]:
        del products
        return [
            "int unit;",
            f"{self.at('count')}[0] += 1;",
            f"for (unit = 0; unit < {self.width}; unit++) {{",
            f"    {self.at('sum')}[unit] += x[unit];",
            f"    y[unit] = {self.at('sum')}[unit] / {self.at('count')}[0];",
            "}",
        ]


class KeepMax(Pool):
    comment = "y = the highest of the rows so far, unit by unit"

    def held(self) -> list[Held]:
        return [self.row("highest", -np.inf)]

    def lines(self, products: Products) -> list[str]:
        del products
        return [
            "int unit;",
            f"for (unit = 0; unit < {self.width}; unit++)",
            f"    y[unit] = {self.at('highest')}[unit] = larger({self.at('highest')}[unit], x[unit]);",
        ]


@dataclass
class KeepAttention(Pool):
    """A mean weighted by exp(a), a = context · tanh(hidden x); both sums are scaled by the highest a so far."""

    attention: Attention
    comment = "y = mean of the rows so far, weighted by exp(a), a = u tanh(W x + b)"

    def held(self) -> list[Held]:
        return [self.row("sum"), self.row("weight", count=1), self.row("most", -np.inf, count=1)]

    def lines(self, products: Products) -> list[str]:
        matrix = products.add(f"{self.name}_hidden_weight", as_array(self.attention.hidden.weight))
        bias = products.add(f"{self.name}_hidden_bias", as_array(self.attention.hidden.bias))
        context = products.add(f"{self.name}_context_weight", as_array(self.attention.context.weight)[0])
        s, n = products.precision.suffix, self.width
        most, weight, total = self.at("most"), self.at("weight"), self.at("sum")
        return [
            "int unit;",
            f"real hidden[{n}], a = 0, before, now, most;",
            products.affine("hidden", matrix, bias, "x"),
            f"for (unit = 0; unit < {n}; unit++)",
            f"    a += {context}[unit] * tanh{s}(hidden[unit]);",
            f"most = larger({most}[0], a);",
            f"before = exp{s}({most}[0] - most);",
            f"now = exp{s}(a - most);",
            f"{most}[0] = most;",
            f"{weight}[0] = before * {weight}[0] + now;",
            f"for (unit = 0; unit < {n}; unit++) {{",
            f"    {total}[unit] = before * {total}[unit] + now * x[unit];",
            f"    y[unit] = {total}[unit] / {weight}[0];",
            "}",
        ]


def pool_of(name: str, pooling: Pooling) -> Stage:
    """The stage of a pooling module. Raises TypeError for one that has none."""
    if isinstance(pooling, Attention):
        return KeepAttention(name, pooling.width, pooling)
    for kind, stage in ((Last, KeepLast), (Mean, KeepMean), (Max, KeepMax)):
        if isinstance(pooling, kind):
            return stage(name, pooling.width)
    raise TypeError(f"exporting to C: there is no C form of {type(pooling).__name__}")
