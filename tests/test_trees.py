"""`Trees`: what they are made of, their order, and what is refused, with the line or the node."""

from __future__ import annotations

import pickle
import re

import pytest
import torch

from carousel import Trees
from carousel.errors import DataError
from carousel.layers.trees import read_brackets

SENTENCES = "(3 (2 It) (4 (2 works) (2 well)))\n\n(1 no)"


def test_brackets_become_nodes_labels_and_words():
    found = read_brackets(SENTENCES)
    assert found.labels == ("2", "2", "2", "4", "3", "1")
    assert found.words == ("It", "works", "well", None, None, "no")
    assert repr(found.trees) == "Trees of 6 nodes in 2"
    assert found.trees.sizes == (5, 1)
    assert found.trees.offsets.tolist() == [0, 5]
    assert found.trees.roots.tolist() == [4, 5]
    assert found.leaves.tolist() == found.trees.leaves.tolist() == [0, 1, 2, 5]
    assert found.trees.height.tolist() == [0, 0, 0, 1, 2, 0]
    assert found.trees.depth.tolist() == [1, 2, 2, 1, 0, 0]


def same(trees: Trees, others: Trees) -> bool:
    def edges(t):
        return t.child.tolist(), t.parent.tolist(), t.sizes

    return edges(trees) == edges(others)


def test_all_ways_to_make_trees_agree():
    parents = [4, 3, 3, 4, -1]
    whole = Trees.from_brackets(SENTENCES.splitlines()[0])
    assert same(whole, Trees(parents))
    assert same(whole, Trees(torch.tensor(parents)))
    assert same(whole, Trees.from_edges([(0, 4), (1, 3), (2, 3), (3, 4)]))
    assert same(Trees.from_brackets(SENTENCES), Trees([parents, [-1]]))
    assert same(Trees.from_brackets(SENTENCES), Trees.batch([whole, Trees([-1])]))
    assert same(whole, pickle.loads(pickle.dumps(whole)))
    assert Trees([]).nodes == Trees.batch([]).nodes == Trees.from_edges([]).nodes == 0


def test_levels_of_a_forest_never_grow():
    """Each node of a level has a child in the one before, and no two the same."""
    random = torch.Generator().manual_seed(0)
    forest = Trees([[int(torch.randint(n + 1, n + 6, (), generator=random)) for n in range(40)] + [-1] * 6])
    levels = forest.order(downwards=False).levels
    assert sorted(levels.sizes, reverse=True) == list(levels.sizes)
    assert sum(levels.sizes) == forest.nodes


def test_a_scan_reaches_every_node_after_all_it_continues():
    graph = Trees.from_edges([(0, 2), (1, 2), (0, 3), (2, 3), (3, 4), (1, 4)], shared=True)
    for downwards, (first, then) in {False: (graph.child, graph.parent), True: (graph.parent, graph.child)}.items():
        order, place, _, levels = graph.order(downwards)
        level = torch.repeat_interleave(torch.arange(len(levels.sizes)), torch.tensor(levels.sizes))[place]
        assert (level[first] < level[then]).all()
        assert torch.equal(order[place], torch.arange(5))


def test_a_batch_keeps_the_heights_of_its_trees():
    made = [Trees.from_brackets(line) for line in (SENTENCES.splitlines()[0], "(1 no)")]
    batch = Trees.batch(made)
    assert False in batch._ranks, "they are not found again in every batch"
    assert torch.equal(batch.height, Trees.from_brackets(SENTENCES).height)


def test_a_chain_of_100_000_nodes_needs_no_recursion():
    long = Trees([-1, *range(99_999)])
    assert int(long.height[0]) == 99_999
    deep = Trees.from_brackets("(a " * 20_000 + "(b c)" + ")" * 20_000)
    assert int(deep.height.max()) == 20_000


BRACKETS = {
    "(3 (2 a)\n": "line 1: the bracket of character 1 is never closed",
    "(3 a)\n(2 b)) (1 c)": "line 2: the tree ends before character 6, ')'; a line has one tree",
    "(3 a)\n\nno": "line 3: a tree begins with '(', but character 1 is 'no'",
    "(3)": "line 1: the bracket of character 1 must be (label word) or (label (...) (...)), but has ')' at character 3",
    "(3 a b)": "but has 'b' at character 6",
    "(3 (2 a) b)": "but has 'b' at character 10",
    "((2 a))": "but has '(' at character 2",
    "(3 a (2 b))": "but has '(' at character 6",
}


@pytest.mark.parametrize("text", BRACKETS)
def test_brackets_that_are_no_tree_are_refused_with_their_line(text):
    with pytest.raises(DataError, match=re.escape(BRACKETS[text])):
        read_brackets(text)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Trees([1, 2, 0, 0]), "there is a cycle through node [012]; going from child to parent"),
        (lambda: Trees([0]), "there is a cycle through node 0"),
        (lambda: Trees.from_edges([(0, 1), (1, 2), (2, 1)], shared=True), "there is a cycle through node [12];"),
        (lambda: Trees([-1, 7]), "the parent of node 1 is 7; it must be one of the 2 nodes"),
        (lambda: Trees([-2]), "the parent of node 0 is -2"),
        (lambda: Trees.from_edges([(0, 1), (0, 2)]), "node 0 has two parents, 1 and 2; .* Give shared=True"),
        (lambda: Trees.from_edges([(0, 5)], nodes=3), r"edge 0, \(0, 5\), must join two of the 3 nodes"),
    ],
)
def test_what_is_no_tree_is_refused_with_its_node(make, says):
    with pytest.raises(DataError, match=says):
        make()


def test_parents_that_are_no_whole_numbers_are_refused():
    with pytest.raises(TypeError, match=r"the parents of nodes must be whole numbers, but they are torch.float32"):
        Trees(torch.tensor([0.5]))
