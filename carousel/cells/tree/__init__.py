"""Cells of trees: a step is that of one node and goes on from its children, over trees of any shape."""

from carousel.cells.tree.child_sum import ChildSumTreeLSTM
from carousel.cells.tree.tree_lstm import TreeLSTM

__all__ = ["ChildSumTreeLSTM", "TreeLSTM"]
