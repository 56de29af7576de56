"""What a cell declares beside its gates: learned vectors and matrices, constants, and their values before training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

# A value before training: a number for all, a scheme of torch.nn.init by its name without the underscore, or a
# function of the shape.
Initial = float | str | Callable[..., Tensor]

SCHEMES = ("zeros", "ones", "normal", "eye", "orthogonal", "xavier_uniform", "xavier_normal")


@dataclass(frozen=True)
class Vector:
    """A learned vector of a cell: one number per unit, or one per unit of every gate.

    initial: its value before training: a number; the name of a scheme of torch.nn.init, "zeros", "ones" or "normal"; a
        function that takes the number of units and returns a tensor of them; None draws it as the matrices are drawn,
        uniform in ±1/sqrt(hidden).
    per_gate: shape (gates * hidden) instead of (hidden); step receives a tuple with one vector per gate.
    bias: a layer built with `bias=False` leaves it out, and step sees the number 0 in its place.
    size: the size name of its units.
    learned: False for a constant. A layer holds it as a buffer: it is saved and moved with the layer, and not learned.
    """

    initial: Initial | None = None
    per_gate: bool = False
    bias: bool = False
    size: str = "hidden"
    learned: bool = True


@dataclass(frozen=True)
class Matrix:
    """A matrix of a cell, to be called in step: M(v) is M v, and M v + c with a bias; M.T(v) is its transpose times v.

    rows, columns: size names: how long its results are, and the rows that it multiplies.
    bias: whether it has a bias c of its own, which a layer built with `bias=False` leaves out. A layer names it
        `bias_ab` where it names the matrix `weight_ab`.
    initial: its value before training, as of a `Vector`: a number, a scheme ("eye", "orthogonal", "xavier_uniform",
        "xavier_normal" too), a function that takes (rows, columns), or None for the layer's uniform numbers. A bias
        starts as all biases do.
    learned: False for a constant, which a layer holds as a buffer.
    """

    rows: str = "hidden"
    columns: str = "hidden"
    bias: bool = False
    initial: Initial | None = None
    learned: bool = True
