"""The stages of a network that reads one step after another: each prints one C function, from an array to an array."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate
from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn

from carousel.errors import ProgramError
from carousel.export.c.products import Products
from carousel.export.c.scan_step import ArrayNames, ScanStep
from carousel.layers import Recurrent, parts
from carousel.layers.stack import stream_rows
from carousel.program import Program, naming


@dataclass(frozen=True)
class Held:
    """An array of the state struct: its name, and the values that a sequence begins with."""

    name: str
    begins: np.ndarray


class Stage(Protocol):
    """One function of the file. width: how many numbers it gives. comment: what it computes, for the reader."""

    @property
    def name(self) -> str: ...

    @property
    def width(self) -> int: ...

    @property
    def comment(self) -> str: ...

    def held(self) -> list[Held]:
        """What it carries from step to step."""

    def lines(self, products: Products) -> list[str]:
        """The statements from the array `x` to the array `y`; its constants go into `products`."""


@dataclass
class LayerScan:
    """One layer of a `Recurrent` in one direction, forward in time.

    Where layers above it read other parts of the input than its output, those stand behind its output in `y`.
    """

    name: str
    layer: Recurrent
    suffix: str
    k: int
    comment: str = field(init=False)
    width: int = field(init=False)

    def __post_init__(self) -> None:
        program = self.layer.program
        if self.layer.bidirectional:
            raise ProgramError(
                f"exporting to C: {self.name} is bidirectional, and its reverse direction begins at the end of a "
                "sequence, while the C code reads one step after another; train with one direction"
            )
        if not isinstance(program, Program):
            raise ProgramError(
                f"exporting to C: the step of {program.cell} is not a program: {self.layer.why_untraced}"
            )
        rewritten = self.layer.add_ins(training=False).program
        assert isinstance(rewritten, Program)
        self.program = rewritten
        self.comment = str(self.program)
        given = tuple(self.layer.weights_of(self.suffix)[naming.W].shape)[1]
        self.sizes = self.layer.sizes | {"input": given}
        others = {part: n for part, n in parts.widths(program, self.layer.sizes).items() if part != program.reads}
        # The columns of x where each part begins: as the cell declares them, or behind the output of the layer below.
        order = parts.widths(program, self.layer.sizes) if self.k == 0 else {program.reads: given} | others
        self.begins = dict(zip(order, accumulate(order.values(), initial=0), strict=False))
        self.passes = others if self.k < self.layer.num_layers - 1 else {}
        self.width = self.layer.sizes[program.states[program.output_state]] + sum(self.passes.values())

    def held(self) -> list[Held]:
        with torch.no_grad():
            fresh = self.layer.fresh_states(1)
        return [
            Held(f"{self.name}_{state}", as_array(values[self.k, 0]))
            for state, values in zip(self.program.states, fresh, strict=True)
        ]

    def lines(self, products: Products) -> list[str]:
        weights = {n: as_array(w) for n, w in self.layer.weights_of(self.suffix).items()}
        parameters = {n: products.add(f"{self.name}_{n}", values) for n, values in weights.items()}
        like = self.layer.weight_ih_l0.detach().new_empty(1, 1)
        constant = self.layer.add_ins(training=False).streams(stream_rows(self.layer, like))
        streams = {n: products.add(f"{self.name}_{n}", as_array(rows[0])) for n, rows in constant.items()}
        states = {state: f"state->{self.name}_{state}" for state in self.program.states}
        names = ArrayNames(parameters, streams, states, self.begins, self.begins.get(self.program.reads, 0))
        return ["int unit;", *ScanStep(self.program, self.sizes, names, products).lines("y"), *self._passed_on()]

    def _passed_on(self) -> list[str]:
        lines, at = [], self.width - sum(self.passes.values())
        for part, count in self.passes.items():
            lines += [
                f"for (unit = 0; unit < {count}; unit++)",
                f"    y[{at} + unit] = x[{self.begins[part]} + unit];",
            ]
            at += count
        return lines


@dataclass
class Affine:
    """y = V x + C"""

    name: str
    linear: nn.Linear
    comment: str = "y = V x + C"

    @property
    def width(self) -> int:
        return self.linear.out_features

    def held(self) -> list[Held]:
        return []

    def lines(self, products: Products) -> list[str]:
        weight = products.add(f"{self.name}_weight", as_array(self.linear.weight))
        bias = None
        if self.linear.bias is not None:
            bias = products.add(f"{self.name}_bias", as_array(self.linear.bias))
        return [products.affine("y", weight, bias, "x")]


@dataclass
class Lookup:
    """y = E[symbol], a row of a table; the first stage of a network that reads symbols."""

    name: str
    table: nn.Embedding
    comment: str = "y = E[symbol]"

    @property
    def width(self) -> int:
        return self.table.embedding_dim

    def held(self) -> list[Held]:
        return []

    def lines(self, products: Products) -> list[str]:
        name = products.add(f"{self.name}_weight", as_array(self.table.weight))
        scale = f" * {name}_scale[symbol]" if products.int8 else ""
        value = f"(real){name}" if products.int8 else name
        return [
            "int unit;",
            f"for (unit = 0; unit < {self.width}; unit++)",
            f"    y[unit] = {value}[symbol * {self.width} + unit]{scale};",
        ]


@dataclass
class Standardize:
    """y = (x - mean) / scale"""

    name: str
    mean: Tensor
    scale: Tensor
    comment: str = "y = (x - mean) / scale"

    @property
    def width(self) -> int:
        return len(self.mean)

    def held(self) -> list[Held]:
        return []

    def lines(self, products: Products) -> list[str]:
        mean = products.add(f"{self.name}_mean", as_array(self.mean))
        scale = products.add(f"{self.name}_scale", as_array(self.scale))
        return [
            "int unit;",
            f"for (unit = 0; unit < {self.width}; unit++)",
            f"    y[unit] = (x[unit] - {mean}[unit]) / {scale}[unit];",
        ]


@dataclass
class Softmax:
    """y = exp(x) / Σ exp(x)"""

    name: str
    width: int
    comment: str = "y = exp(x) / sum of exp(x)"

    def held(self) -> list[Held]:
        return []

    def lines(self, products: Products) -> list[str]:
        s = products.precision.suffix
        return [
            "int unit;",
            f"const real most = highest(x, {self.width});",
            f"for (unit = 0; unit < {self.width}; unit++)",
            f"    y[unit] = exp{s}(x[unit] - most);",
            f"const real total = sum(y, {self.width});",
            f"for (unit = 0; unit < {self.width}; unit++)",
            "    y[unit] /= total;",
        ]


def layers_of(name: str, layer: Recurrent) -> list[Stage]:
    """A stack as stages, the lowest layer first."""
    return [LayerScan(f"{name}{suffix}".lstrip("_"), layer, suffix, k) for k, suffix in enumerate(layer.suffixes())]


def as_array(values: Tensor) -> np.ndarray:
    """The numbers of a tensor, in double precision, which holds those of all others."""
    return values.detach().to("cpu", torch.float64).numpy()


__all__ = ["Affine", "Held", "LayerScan", "Lookup", "Softmax", "Stage", "Standardize", "as_array", "layers_of"]
