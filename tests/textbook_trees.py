"""What the cells of trees compute, said a second time: from their publications, in NumPy, node by node.

As in `textbook.py`, nothing here knows torch or Carousel. A step takes x, the states of the children that there
are, and the weights; `tree` runs it from the leaves up, by recursion.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from textbook import sigmoid

tanh = np.tanh


class Weights:
    """One scan's parameters: W, b and k by gate; U[child][gate], or U[gate] where all children have one."""

    def __init__(self, gates: tuple[str, ...], parameters: Mapping[str, np.ndarray]):
        def blocks(name: str) -> dict:
            if name not in parameters:
                return dict.fromkeys(gates, 0.0)
            return dict(zip(gates, np.split(parameters[name], len(gates)), strict=True))

        self.W, self.b, self.k = map(blocks, ("weight_ih", "bias_ih", "bias_hh"))
        each = [blocks(name) for name in sorted(parameters) if name.startswith("weight_hh")]
        self.U = each if "weight_hh0" in parameters else each[0]

    def x(self, gate, x):
        return self.W[gate] @ x + self.b[gate]


def _each_child(w, gate, x, children):
    """W x + b, U of every child, and c."""
    return w.x(gate, x) + sum(w.U[k][gate] @ child[0] for k, child in enumerate(children)) + w.k[gate]


def tree_lstm(x, children, w, drop):
    """Tai et al. (2015), equations 9 to 14."""
    c = sigmoid(_each_child(w, "i", x, children)) * drop * tanh(_each_child(w, "u", x, children))
    for k, child in enumerate(children):
        c = c + sigmoid(_each_child(w, f"f{k}", x, children)) * child[1]
    return sigmoid(_each_child(w, "o", x, children)) * tanh(c), c


def child_sum(x, children, w, drop):
    """Tai et al. (2015), equations 2 to 8."""
    h = sum((child[0] for child in children), np.zeros(len(w.b["i"])))
    gate = {g: w.x(g, x) + w.U[g] @ h + w.k[g] for g in "iou"}
    c = sigmoid(gate["i"]) * drop * tanh(gate["u"])
    for child in children:
        c = c + sigmoid(w.x("f", x) + w.U["f"] @ child[0] + w.k["f"]) * child[1]
    return sigmoid(gate["o"]) * tanh(c), c


def rvnn(x, children, w, drop):
    del drop  # it writes no candidate
    return (tanh(_each_child(w, "n", x, children)),)


def tree_gru(x, children, w, drop):
    """tree_gru.py of ofirnachum/tree_rnn: `_softmax` over the children, with add_one for z."""
    zero = np.zeros(len(w.b["n"]))
    r = [np.exp(w.x("r", x) + w.U["r"] @ child[0] + w.k["r"]) for child in children]
    z = [np.exp(w.x("z", x) + w.U["z"] @ child[0] + w.k["z"]) for child in children]
    of_z = 1.0 + sum(z, zero)
    kept = sum((r_k / sum(r) * child[0] for r_k, child in zip(r, children, strict=True)), zero)
    n = drop * tanh(w.x("n", x) + w.U["n"] @ kept + w.k["n"])
    return (
        (1.0 - sum(z, zero) / of_z) * n + sum((z_k * c[0] for z_k, c in zip(z, children, strict=True)), zero) / of_z,
    )


# By name in the catalogue: the gates in the order of their blocks, and the step.
EQUATIONS = {
    "tree-lstm": (("i", "f0", "f1", "u", "o"), tree_lstm),
    "child-sum-tree-lstm": (("i", "f", "u", "o"), child_sum),
    "rvnn": (("n",), rvnn),
    "tree-gru": (("r", "z", "n"), tree_gru),
}


def tree(
    name: str,
    parents: list[int],
    x: np.ndarray,
    parameters: Mapping[str, np.ndarray],
    *,
    read: Callable[[int, list[tuple]], list[tuple]] = lambda node, children: children,
    drop: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Every state at every node.

    read: (node, the states of its children) -> those that it reads in their place. drop: what the candidate of each
    node is multiplied by.
    """
    gates, step = EQUATIONS[name]
    weights = Weights(gates, parameters)
    found: dict[int, tuple] = {}

    def visit(node: int) -> tuple:
        if node not in found:
            children = [visit(child) for child, parent in enumerate(parents) if parent == node]
            found[node] = step(x[node], read(node, children), weights, 1.0 if drop is None else drop[node])
        return found[node]

    rows = [visit(node) for node in range(len(parents))]
    return [np.stack(states) for states in zip(*rows, strict=True)]
