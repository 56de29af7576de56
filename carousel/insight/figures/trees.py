"""Pictures of trees: a number at every node, and gradients over depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from carousel.errors import DataError
from carousel.insight.figures.canvas import COLOURS, DASHES, ONE_WAY, TWO_WAYS, canvas, visible
from carousel.insight.trees import DepthFlow
from carousel.layers.trees import Trees

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_LEAVES = 120  # in a picture; more would be too small to read


def gradient_by_depth(flow: DepthFlow, place: int = -1) -> Figure:
    """|dL / ds_n| over the depth of node n, for each state: the geometric mean, and each node as a point.

    place: the scan, by its number in flow.places. Raises DataError if no value is above 0.
    """
    lines = {state: flow.by_depth(state, place) for state in flow.states}
    if not any(bool((line > 0).any()) for line in lines.values()):
        raise DataError(f"There is nothing to draw: the gradients of {flow.places[place]} are 0 at every depth.")
    figure, axes = canvas()
    for number, (state, line) in enumerate(lines.items()):
        norms, colour = flow.norms[state][place], COLOURS[number % len(COLOURS)]
        axes.scatter(
            flow.trees.depth.numpy(), torch.where(norms > 0, norms, torch.nan).numpy(), s=8, alpha=0.25, color=colour
        )
        axes.plot(
            range(len(line)), torch.where(line > 0, line, torch.nan).numpy(),
            color=colour, linestyle=DASHES[number % len(DASHES)],
            label=f"{state}: times {flow.factor(state, place):.3g} a level",
        )  # fmt: skip
    axes.set_yscale("log")
    axes.set_xlabel("depth of the node: edges to its root")
    axes.set_ylabel("gradient of the loss at the root")
    axes.legend(title=flow.places[place] if len(flow.places) > 1 else None)
    return figure


def coloured_tree(trees: Trees, values: Tensor | Sequence[float], words: Sequence[str | None] | None = None) -> Figure:
    """One tree, its root at the left and its leaves in rows, each node coloured by its value.

    trees: of one root, in which each node has one parent. values: (N), a number for each node. words: what to write
    beside each leaf. Raises DataError for several roots, and for more leaves than can be read in a picture.
    """
    numbers = np.asarray(torch.as_tensor(values).detach().cpu(), np.float64)
    if len(trees.roots) != 1 or len(trees.child) != trees.nodes - 1:
        raise DataError(f"A picture is of one tree, but there are {len(trees.roots)} roots in {trees!r}.")
    if numbers.shape != (trees.nodes,):
        raise DataError(f"values must hold one number for each of the {trees.nodes} nodes, not {numbers.shape}.")
    if len(trees.leaves) > MOST_LEAVES:
        raise DataError(
            f"A picture has room for {MOST_LEAVES} leaves, and this tree has {len(trees.leaves)}: draw a part of it."
        )
    x, y = positions(trees)
    figure, axes = canvas(8, max(2.0, 0.6 + 0.22 * len(trees.leaves)))
    for child, parent in zip(trees.child.tolist(), trees.parent.tolist(), strict=True):
        axes.plot([x[parent], x[parent], x[child]], [y[parent], y[child], y[child]], color="0.6", lw=1, zorder=1)
    most = float(np.nanmax(np.abs(numbers))) or 1.0
    signed = bool((numbers < 0).any())
    shown = axes.scatter(
        x, y, c=numbers, s=60, zorder=2, edgecolors="0.3", linewidths=0.5,
        cmap=TWO_WAYS if signed else ONE_WAY, vmin=-most if signed else 0.0, vmax=most,
    )  # fmt: skip
    for node in trees.leaves.tolist():
        if words is not None and words[node] is not None:
            axes.annotate(visible(words[node]), (x[node], y[node]), xytext=(8, -3), textcoords="offset points")
    axes.set_xlim(-0.5, float(x.max()) + 2.5)
    axes.invert_yaxis()
    axes.set_axis_off()
    figure.colorbar(shown, ax=axes)
    return figure


def positions(trees: Trees, worded: Sequence[bool] | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Where the nodes of one tree lie, (N) each: x is what the root is higher than a node, and y is the row: leaves in
    the order in which a walk from the root meets them, a node above others in the middle of its children. worded: the
    nodes that have a word to show, (N); one above others then has a row of its own, before theirs."""
    height = trees.height.numpy()
    below: list[list[int]] = [[] for _ in range(trees.nodes)]
    for child, parent in sorted(zip(trees.child.tolist(), trees.parent.tolist(), strict=True)):
        below[parent].append(child)
    y, row = np.zeros(trees.nodes), 0
    waiting = trees.roots.tolist()
    while waiting:
        node = waiting.pop()
        if not below[node] or (worded is not None and worded[node]):
            y[node], row = row, row + 1
        waiting += reversed(below[node])
    for node in np.argsort(height, kind="stable"):
        if below[node] and not (worded is not None and worded[node]):
            y[node] = np.mean([y[child] for child in below[node]])
    return (height.max() - height).astype(np.float64), y
