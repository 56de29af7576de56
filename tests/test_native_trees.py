"""The native engine over trees against the reference engine in float64: values and all gradients, of every tree cell.

Its memory is filled with NaN before every call, as in `test_native_scan.py`, and levels are cut into small pieces.
"""

from __future__ import annotations

import os

import pytest
import torch
from matrix import TREE_CELLS, assert_close, moved
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

import carousel
from carousel import Recursive, Trees
from carousel.cells import Cell
from carousel.engines.native import binding, over_trees, prepared
from carousel.engines.native.leaves import idle
from carousel.program import Program, differentiate

if isinstance(missing := binding.find(), str):
    assert "CAROUSEL_REQUIRE_NATIVE" not in os.environ, missing
    pytest.skip(missing, allow_module_level=True)

I = 5
FOREST = [[-1, 0, 0, 1, 1, 2, 2, 3, 3], [-1], [-1, 0], [-1, 0, 0, 2, 2, 1, 1, 5]]
GRAPH = [(1, 0), (2, 0), (3, 1), (3, 2), (4, 3), (5, 3), (4, 2), (6, 5)]
WIDE = [-1, *[0] * 9, 3, 3, 3]


class Shares(Cell):
    """One number for each child: a sum over its units, and the greatest and the total of such numbers."""

    gates, children = "n", "any"

    def step(self, h, x, U):
        share = torch.softmax(U.n(h).sum(-1, keepdim=True), -2)
        return torch.tanh(x.n + (share * h).sum(-2))


CELLS = TREE_CELLS | {"shares": Shares()}


@pytest.fixture(autouse=True)
def _poisoned_in_small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prepared.settings, "poison", True)
    monkeypatch.setattr(over_trees, "PIECE", 3)


def layer_of(cell, hidden: int = 19, engine: str = "native", dtype=torch.float64, **options) -> Recursive:
    torch.manual_seed(0)
    return moved(Recursive(cell, I, hidden, engine=engine, dtype=torch.float64, **options), 0).to(dtype)


def results(layer: Recursive, trees: Trees, at: Tensor | None, upstream: int = 1) -> dict[str, Tensor]:
    """All that a layer gives, by name: states at every node, and gradients of the input and of the parameters."""
    random = torch.Generator().manual_seed(7)
    dtype = layer.weight_ih_l0.dtype
    x = torch.randn(trees.nodes if at is None else len(at), I, generator=random, dtype=torch.float64).to(dtype)
    x.requires_grad_()
    _, _, states = layer(x, trees, at=at, return_states=True)
    used = list(states.values())[:upstream]
    loss = sum((s.double() * torch.randn(s.shape, generator=random, dtype=torch.float64)).sum() for s in used)
    names, parameters = zip(*layer.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, [x, *parameters])
    return states | dict(zip(("x", *names), found, strict=True))


def compare(
    cell, trees: Trees, dtype, at: Tensor | None = None, hidden: int = 19, upstream: int = 2, **options
) -> None:
    wanted = results(layer_of(cell, hidden, "reference", **options), trees, at, upstream)
    found = results(layer_of(cell, hidden, "native", dtype, **options), trees, at, upstream)
    depth = int(trees.height.max()) + 1
    for name, value in wanted.items():
        terms = 4 * depth * (hidden + 32) + (trees.nodes if name not in ("h", "c") else 0)
        assert_close(found[name], value, terms=terms, dtype=dtype, what=f"{name} of {cell}")


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
@pytest.mark.parametrize("some", [False, True], ids=["at all nodes", "at the leaves"])
@pytest.mark.parametrize("name", CELLS)
def test_up_a_forest(name, some, dtype):
    trees = Trees(FOREST if TREE_CELLS.get(name, Shares()).children == 2 else [*FOREST, WIDE])
    compare(CELLS[name], trees, dtype, trees.leaves if some else None)


@pytest.mark.parametrize("name", [n for n, cell in CELLS.items() if cell.children == "any"])
def test_both_ways_over_a_graph_whose_nodes_have_several_parents(name):
    trees = Trees.from_edges(GRAPH, shared=True)
    compare(CELLS[name], trees, torch.float64, torch.tensor([6, 0, 3]), hidden=32, direction="both")


@pytest.mark.parametrize("name", ["lstm", "gru-reset-before", "layer-norm-lstm"])
def test_cells_of_sequences_run_down(name):
    compare(name, Trees([*FOREST, WIDE]), torch.float64, direction="down", num_layers=2)


def test_a_learned_first_state_is_read_and_has_gradients():
    compare("tree-lstm", Trees(FOREST), torch.float64, initial_state="learned")
    compare("gru", Trees(FOREST), torch.float64, direction="down", initial_state="learned")


@pytest.mark.parametrize("name", TREE_CELLS)
def test_a_result_that_nobody_uses_has_no_gradient(name):
    compare(name, Trees(FOREST), torch.float64, upstream=1)


@pytest.mark.parametrize("name", TREE_CELLS)
def test_in_bfloat16(name):
    trees = Trees(FOREST)
    compare(name, trees, torch.bfloat16, trees.leaves)


@pytest.mark.parametrize("name", TREE_CELLS)
def test_a_tree_of_a_batch_has_the_bits_that_it_has_alone(name):
    layer = layer_of(name, dtype=torch.float32)
    x = torch.randn(sum(map(len, FOREST)), I)
    alone = [layer(part, Trees(p))[0] for part, p in zip(x.split([*map(len, FOREST)]), FOREST, strict=True)]
    assert torch.equal(layer(x, Trees(FOREST))[0], torch.cat(alone))


@pytest.mark.parametrize("name", TREE_CELLS)
def test_pieces_of_levels_change_no_bit(name, monkeypatch):
    layer = layer_of(name, dtype=torch.float32)
    small = results(layer, Trees(FOREST), None)
    monkeypatch.setattr(over_trees, "PIECE", 256)
    large = results(layer, Trees(FOREST), None)
    for state in layer.program.states:
        assert torch.equal(small[state], large[state])
    assert torch.equal(small["x"], large["x"])


def test_a_chain_is_what_the_engine_computes_over_a_sequence():
    sequence = moved(carousel.Recurrent("lstm", I, 19, dtype=torch.float64, engine="native"), 0)
    layer = layer_of("lstm")
    layer.load_state_dict(sequence.state_dict())
    x = torch.randn(12, I, dtype=torch.float64)
    upwards, _ = layer(x, Trees([*range(1, 12), -1]))
    torch.testing.assert_close(upwards, sequence(x[:, None])[0][:, 0], rtol=1e-14, atol=1e-14)


def test_what_leaves_do_not_need_is_left_out():
    wanted = {"tree-lstm": {"f0", "f1"}, "child-sum-tree-lstm": {"f"}, "rvnn": set(), "tree-gru": {"r", "z"}}
    for name, gates in wanted.items():
        program = layer_of(name).program
        assert isinstance(program, Program)
        assert idle(program, differentiate(program)).inputs == gates


@pytest.mark.parametrize("name", TREE_CELLS)
def test_threads_have_whole_trees(name, monkeypatch):
    """Values have the same bits, sums over all nodes round otherwise; and the same threads give the same bits."""
    monkeypatch.setattr(over_trees, "WORTH_A_TEAM", 1)
    layer, trees = layer_of(name, dtype=torch.float32), Trees(FOREST)
    alone = results(layer, trees, trees.leaves)
    torch.set_num_threads(3)  # conftest sets it back
    together, again = results(layer, trees, trees.leaves), results(layer, trees, trees.leaves)
    assert all(torch.equal(together[key], again[key]) for key in alone)
    for key, value in alone.items():
        if key in (*layer.program.states, "x"):
            assert torch.equal(together[key], value)
        else:
            assert_close(together[key], value, terms=2 * trees.nodes, dtype=torch.float32, what=key)


def test_parts_are_balanced_by_nodes():
    trees = Trees([[-1] * 10, [-1], [-1], [-1], [-1] * 7])
    levels = trees.order(downwards=False).levels
    assert [len(part.nodes) for part in levels.parts(2)] == [10, 10]
    assert [len(part.nodes) for part in levels.parts(9)] == [10, 1, 2, 7]
    assert torch.cat([part.nodes for part in levels.parts(3)]).sort()[0].tolist() == list(range(20))


def test_a_layer_says_how_threads_divide_trees(monkeypatch):
    layer, trees = Recursive("tree-lstm", I, 8), Trees(FOREST)
    said = layer.explain(trees=trees)
    assert "20 nodes of 4 trees in 4 levels: one thread, 8 pieces of at most 3 nodes" in said
    monkeypatch.setattr(over_trees, "WORTH_A_TEAM", 1)
    torch.set_num_threads(2)  # conftest sets it back
    said = layer.explain(trees=trees)
    assert "2 threads, each its own trees: 10 nodes in 5, 10 nodes in 5 pieces of at most 3" in said
    assert " levels: " not in Recursive("tree-lstm", I, 8, engine="reference").explain(trees=trees)


def test_second_derivatives_are_those_of_the_reference():
    found = []
    for engine in ("native", "reference"):
        layer, x = layer_of("child-sum-tree-lstm", 4, engine), torch.linspace(-1, 1, 9 * I, dtype=torch.float64)
        x = x.reshape(9, I).requires_grad_()
        (gradient,) = torch.autograd.grad(layer(x, Trees(FOREST[0]))[0].sum(), x, create_graph=True)
        found.append(torch.autograd.grad(gradient.square().sum(), [x, *layer.parameters()]))
    for mine, right in zip(*found, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-12, atol=1e-12)


def test_who_watches_operators_sees_those_of_torch():
    layer = layer_of("tree-lstm")
    with FlopCounterMode(display=False) as counted:
        layer(torch.randn(9, I, dtype=torch.float64), Trees(FOREST[0]))
    assert counted.get_total_flops() > 2 * 9 * layer.weight_ih_l0.numel()
