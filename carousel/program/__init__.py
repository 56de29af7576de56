"""The small language between a cell's equations and the engines that run them."""

from carousel.program import naming, notation, rewrite
from carousel.program.derivative import Derivative, differentiate
from carousel.program.evaluate import evaluate
from carousel.program.program import Interface, Node, Product, Program, Weight
from carousel.program.trace import trace
from carousel.program.untraced import Untraced, untraced
from carousel.program.verify import verify

__all__ = [
    "Derivative",
    "Interface",
    "Node",
    "Product",
    "Program",
    "Untraced",
    "Weight",
    "differentiate",
    "evaluate",
    "naming",
    "notation",
    "rewrite",
    "trace",
    "untraced",
    "verify",
]
