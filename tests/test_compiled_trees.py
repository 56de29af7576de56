"""Layers over trees in graphs of torch.compile: one operator for a scan, in one graph for trees of any shape."""

from __future__ import annotations

import pytest
import torch
from helper_of_trees import ENGINES, H, I, layer_of, rows
from torch.autograd import grad

from carousel import Trees
from carousel.engines import operator
from carousel.program import Program

FORESTS = [
    [[4, 3, 3, 4, -1], [-1, 0, 0]],
    [[-1, 0, 0], [1, -1], [2, 2, 4, 4, -1]],
    [[-1, 0, 0, 1, 1, 2, 2, 3], [2, 2, -1]],
    [[-1, 0, 0, 1, 1], [-1, 0], [-1, 0], [-1, 0]],
    [[2, 2, -1]],
]


@pytest.fixture(autouse=True)
def _fresh():
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def results(call, layer, x: torch.Tensor, trees: Trees, at: torch.Tensor | None):
    output, hx = call(x, trees, at=at)
    states = hx if isinstance(hx, tuple) else (hx,)
    loss = output.square().sum() + sum(state.sum() for state in states)
    return [output, *states, *grad(loss, [x, *layer.parameters()])]


@pytest.mark.skipif("native" not in ENGINES, reason="there is no native library here")
@pytest.mark.parametrize(
    ("cell", "options"),
    [("tree-lstm", {}), ("child-sum-tree-lstm", {"direction": "both"}), ("gru", {"direction": "down"})],
)
def test_one_graph_runs_trees_of_any_shape(cell, options):
    """Values and gradients are those without a compiler; later forests find a graph that leaves all numbers open."""
    layer, graphs = layer_of(cell, **options), 0

    def count(graph, example):
        nonlocal graphs
        graphs += 1
        return aot_eager(graph, example)

    aot_eager = torch._dynamo.lookup_backend("aot_eager")
    compiled = torch.compile(layer, fullgraph=True, backend=count)
    for parents in FORESTS:
        trees = Trees(parents)
        at = trees.leaves if cell == "tree-lstm" else None
        x = rows(trees.nodes if at is None else len(at), I).requires_grad_()
        for mine, right in zip(*(results(call, layer, x, trees, at) for call in (compiled, layer)), strict=True):
            torch.testing.assert_close(mine, right, rtol=1e-14, atol=1e-14)
    assert graphs <= 3


def test_the_reference_engine_stays_outside_of_graphs_and_says_so():
    layer, trees = layer_of("rvnn", engine="reference"), Trees([2, 2, -1])
    x = rows(3, I)
    compiled = torch.compile(layer, backend="eager")
    with torch.no_grad():
        torch.testing.assert_close(compiled(x, trees)[0], layer(x, trees)[0])
    torch._dynamo.reset()
    with pytest.raises(Exception, match="the reference engine runs trees level by level in Python"):
        torch.compile(layer, backend="eager", fullgraph=True)(x, trees)


def test_torch_export_says_that_it_takes_no_trees():
    with pytest.raises(ValueError, match="Unsupported input type .*Trees"):
        torch.export.export(layer_of("rvnn"), (rows(3, I), Trees([2, 2, -1])), strict=False)


def arguments(trees: Trees):
    """Of the operator, for an Elman network of trees over these nodes."""
    layer = layer_of("rvnn")
    assert isinstance(layer.program, Program)
    levels = trees.order(downwards=False).levels
    order = [levels.counts, levels.sources, levels.first_edge, levels.tree_of]
    parameters = [layer.weight_ih_l0, layer.bias_ih_l0, layer.weight_hh0_l0, layer.bias_hh_l0, layer.weight_hh1_l0]
    x, first = rows(trees.nodes, I), [torch.zeros(1, H, dtype=torch.float64)]
    return [x, first, parameters, [], order, None, operator.key_of(layer.program), True, False, False]


ORDERS = [
    (0, torch.tensor([3]), "each after those that it goes on from"),  # all at once
    (0, torch.tensor([2, 2]), "4 nodes in levels, 3 nodes, 2 edges"),
    (1, torch.tensor([0, 7]), "each after those that it goes on from"),
    (1, torch.tensor([0, -1]), "each after those that it goes on from"),
    (2, torch.tensor([0, 0, 0, 3]), "each after those that it goes on from"),
    (2, torch.tensor([0, 2, 1, 2]), "each after those that it goes on from"),
    (3, torch.tensor([0, 0]), "each after those that it goes on from"),
    (0, torch.tensor([2.0, 1.0]), "takes its order as int64 on the CPU"),
]


@pytest.mark.skipif("native" not in ENGINES, reason="there is no native library here")
@pytest.mark.parametrize(("which", "wrong", "says"), ORDERS)
def test_a_graph_with_an_order_that_is_none_is_refused(which, wrong, says):
    """A graph may come from a file, and the engine writes where its order says."""
    right = arguments(Trees([2, 2, -1]))
    assert len(torch.ops.carousel.scan_levels(*right)) == 2
    right[4][which] = wrong
    with pytest.raises(ValueError, match=says):
        torch.ops.carousel.scan_levels(*right)


@pytest.mark.skipif("native" not in ENGINES, reason="there is no native library here")
def test_a_graph_with_other_tensors_is_refused():
    for change, says in (
        (lambda given: given.__setitem__(0, given[0][:2]), "over 3 nodes takes tensors of the shapes"),
        (lambda given: given.__setitem__(0, given[0].float()), "of one dtype on one device"),
        (lambda given: given[2].__setitem__(2, given[2][2][:, :1]), "takes tensors of the shapes"),
        (lambda given: given.__setitem__(5, torch.tensor([0, 0, 1])), "at must name 3 nodes"),
        (lambda given: given.__setitem__(5, torch.tensor([0, 1, 3])), "at must name 3 nodes"),
    ):
        given = arguments(Trees([2, 2, -1]))
        change(given)
        with pytest.raises(ValueError, match=says):
            torch.ops.carousel.scan_levels(*given)
    with pytest.raises(ValueError, match="a node has 3 nodes that it goes on from, and the cell RvNN continues 2"):
        torch.ops.carousel.scan_levels(*arguments(Trees([3, 3, 3, -1])))
