"""Causal convolutions beside a recurrence, as a stage: see `carousel.models.convolutions`."""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import indent

import numpy as np

from carousel.export.c.products import Products
from carousel.export.c.stages import Held, Stage, as_array
from carousel.models.convolutions import Convolutions


@dataclass
class BesideConvolutions:
    """y = [x ; q], where q are the convolutions of the steps so far; they read what the stage `reads` gives."""

    name: str
    convolutions: Convolutions
    reads: Stage
    given: int  # numbers in x
    comment: str = (
        "y = [x ; mean, highest and share of units that are on, of the frames of three convolutions so far]\n"
        "a = relu(scale * convolution(e) + shift), the scale within the weights"
    )

    @property
    def width(self) -> int:
        return self.given + self.convolutions.width

    @property
    def channels(self) -> int:
        return self.convolutions.width // 3

    def at(self, name: str) -> str:
        return f"state->{self.name}_{name}"

    def held(self) -> list[Held]:
        windows = [
            Held(f"{self.name}_steps{k}", np.zeros(c.in_channels * c.kernel_size[0]))
            for k, (c, _) in enumerate(self.convolutions.layers())
        ]
        sums = [Held(f"{self.name}_{sum_}", np.zeros(self.channels)) for sum_ in ("mean", "highest", "on")]
        return [*windows, *sums, *(Held(f"{self.name}_{count}", np.zeros(1)) for count in ("phase", "frames"))]

    def lines(self, products: Products) -> list[str]:
        s, n, frame = products.precision.suffix, self.channels, []
        layers = list(self.convolutions.layers())
        for k, (convolution, norm) in enumerate(layers):
            scale, shift = (as_array(values) for values in norm.line())
            # (C, K, I): the steps lie one behind another, the oldest first.
            matrix = (as_array(convolution.weight) * scale[:, None, None]).transpose(0, 2, 1).reshape(n, -1)
            weight = products.add(f"{self.name}_weight{k}", np.ascontiguousarray(matrix))
            bias = products.add(f"{self.name}_shift{k}", shift)
            source = f"state->{self.name}_steps{k}"
            if k:
                frame.append(f"remember({source}, frame{k - 1}, {convolution.kernel_size[0] * n}, {n});")
            frame += [
                products.affine(f"frame{k}", weight, bias, source),
                f"for (unit = 0; unit < {n}; unit++)",
                f"    frame{k}[unit] = larger(frame{k}[unit], 0.0{s});",
            ]
        last = f"frame{len(layers) - 1}[unit]"
        frame += [
            f"for (unit = 0; unit < {n}; unit++) {{",
            f"    {self.at('mean')}[unit] += {last};",
            f"    {self.at('highest')}[unit] = larger({self.at('highest')}[unit], {last});",
            f"    {self.at('on')}[unit] += sigmoid(4.0{s} * ({last} - 0.5{s}));",
            "}",
            f"{self.at('frames')}[0] += 1;",
        ]
        first = layers[0][0]
        phase, frames, stride = self.at("phase"), self.at("frames"), self.convolutions.stride
        return [
            "int unit;",
            *(f"real frame{k}[{n}];" for k in range(len(layers))),
            f"remember({self.at('steps0')}, e, {first.in_channels * first.kernel_size[0]}, {first.in_channels});",
            f"if ({phase}[0] == 0) {{",
            *indent("\n".join(frame), "    ").splitlines(),
            "}",
            f"{phase}[0] = {phase}[0] + 1 == {stride} ? 0 : {phase}[0] + 1;",
            f"for (unit = 0; unit < {self.given}; unit++)",
            "    y[unit] = x[unit];",
            f"for (unit = 0; unit < {n}; unit++) {{",
            f"    y[{self.given} + unit] = {self.at('mean')}[unit] / {frames}[0];",
            f"    y[{self.given + n} + unit] = {self.at('highest')}[unit];",
            f"    y[{self.given + 2 * n} + unit] = {self.at('on')}[unit] / {frames}[0];",
            "}",
        ]
