"""The small language between a cell's equations and the engines that run them."""

from carousel.program import naming, notation, rewrite
from carousel.program.derivative import Derivative, differentiate
from carousel.program.evaluate import evaluate
from carousel.program.program import Interface, Node, Product, Program, Weight
from carousel.program.reads import Reads
from carousel.program.trace import trace, trace_and_watch
from carousel.program.untraced import Untraced, untraced
from carousel.program.verify import verify

__all__ = [
    "Derivative",
    "Interface",
    "Node",
    "Product",
    "Program",
    "Reads",
    "Untraced",
    "Weight",
    "differentiate",
    "evaluate",
    "naming",
    "notation",
    "rewrite",
    "trace",
    "trace_and_watch",
    "untraced",
    "verify",
]
