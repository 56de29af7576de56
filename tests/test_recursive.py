"""`Recursive`: the laws of layers over trees, for every cell of the catalogue that has children.

A cell is here by being in the catalogue; its second statement stands in `textbook_trees.py`.
"""

from __future__ import annotations

import copy
import io
import re

import pytest
import textbook_trees
import torch
from helper_of_trees import ENGINES, PARENTS, TREES, H, I, float64, layer_of, rows
from matrix import TREE_CELLS, moved
from torch.autograd import grad, gradcheck, gradgradcheck

import carousel
from carousel import Recurrent, Recursive, Trees
from carousel.cells.facts import Bounded
from carousel.cells.tree import TreeLSTM

EACH = pytest.mark.parametrize("name", TREE_CELLS)
ON_EACH = pytest.mark.parametrize("engine", ENGINES)


def test_every_cell_is_stated_a_second_time():
    assert set(textbook_trees.EQUATIONS) == set(TREE_CELLS), "write its equations in textbook_trees.py"


@ON_EACH
@EACH
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "nobias"])
def test_it_computes_what_its_publication_says(name, bias, engine):
    layer, x = layer_of(name, bias=bias, engine=engine), rows(TREES.nodes, I)
    parameters = {n.removesuffix("_l0"): p.detach().numpy() for n, p in layer.named_parameters()}
    parameters = {
        "bias_ih": 0 * parameters["weight_ih"][:, 0],
        "bias_hh": 0 * parameters["weight_ih"][:, 0],
    } | parameters
    _, _, states = layer(x, TREES, return_states=True)
    at = 0
    for parents in PARENTS:
        wanted = textbook_trees.tree(name, parents, x[at : at + len(parents)].numpy(), parameters)
        for state, right in zip(states.values(), wanted, strict=True):
            torch.testing.assert_close(
                state[0, at : at + len(parents)], torch.from_numpy(right), rtol=1e-12, atol=1e-12
            )
        at += len(parents)


@EACH
def test_first_and_second_derivatives(name):
    """By the input and all weights; over a tree, and over a graph whose nodes have several parents. The order of a scan
    is not that of the nodes."""
    layer = layer_of(name)
    names, parameters = zip(*layer.named_parameters(), strict=True)
    for trees in (Trees([-1, 0, 0, 1, 1]), Trees.from_edges([(3, 1), (2, 1), (2, 0), (1, 0)], shared=True)):

        def function(x, *given, trees=trees):
            return torch.func.functional_call(layer, dict(zip(names, given, strict=True)), (x, trees))[0]

        given = (rows(trees.nodes, I).requires_grad_(), *(p.detach().clone().requires_grad_() for p in parameters))
        assert gradcheck(function, given, fast_mode=True)
        assert gradgradcheck(function, given, fast_mode=True)


@ON_EACH
@EACH
def test_a_tree_of_a_batch_is_what_it_is_alone(name, engine):
    """Values and gradients, to rounding."""
    layer, x = layer_of(name, num_layers=2, engine=engine), rows(TREES.nodes, I).requires_grad_()
    output, _ = layer(x, TREES)
    alone = [layer(part, Trees(p))[0] for part, p in zip(x.split(TREES.sizes), PARENTS, strict=True)]
    torch.testing.assert_close(output, torch.cat(alone), rtol=1e-14, atol=1e-15)
    upstream = torch.randn_like(output)
    found = grad(output, [x, *layer.parameters()], upstream)
    wanted = grad(torch.cat(alone), [x, *layer.parameters()], upstream)
    for mine, right in zip(found, wanted, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-12, atol=1e-12)


@ON_EACH
@EACH
def test_a_shared_node_is_what_copies_of_it_are(name, engine):
    """Values, and gradients, which add up over the copies."""
    layer, x = layer_of(name, engine=engine), rows(5, I).requires_grad_()
    shared = Trees.from_edges([(0, 1), (0, 2), (1, 3), (2, 3), (0, 4), (3, 4)], shared=True)
    of = [0, 0, 0, 1, 2, 3, 4]  # the node that each is a copy of, below them a tree: 4 has 0 and 3, 3 has 1 and 2
    copies = Trees.from_edges([(0, 6), (1, 3), (2, 4), (3, 5), (4, 5), (5, 6)])
    output, wanted = layer(x, shared)[0], layer(x[of], copies)[0]
    torch.testing.assert_close(output[of], wanted, rtol=1e-13, atol=1e-14)
    upstream = rows(H, seed=1)
    mine, right = (grad(o[-1] @ upstream, [x, *layer.parameters()]) for o in (output, wanted))
    for found, expected in zip(mine, right, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-13)


@EACH
def test_nodes_may_be_numbered_in_any_way(name):
    """Where the children of each keep their order."""
    layer, x = layer_of(name), rows(5, I)
    output, _ = layer(x, Trees([4, 3, 3, 4, -1]))
    upside_down = torch.tensor([4, 3, 2, 1, 0])
    edges = [(4 - child, 4 - parent) for child, parent in [(0, 4), (1, 3), (2, 3), (3, 4)]]
    renumbered, _ = layer(x[upside_down], Trees.from_edges(edges))
    torch.testing.assert_close(renumbered[upside_down], output, rtol=1e-14, atol=1e-15)


@ON_EACH
@EACH
def test_inputs_at_some_nodes_are_biases_at_the_others(name, engine):
    layer, leaves = layer_of(name, engine=engine), TREES.leaves
    x = rows(len(leaves), I)
    everywhere = torch.zeros(TREES.nodes, I, dtype=float64).index_copy(0, leaves, x)
    torch.testing.assert_close(layer(x, TREES, at=leaves)[0], layer(everywhere, TREES)[0], rtol=1e-14, atol=1e-15)


@EACH
def test_its_states_stay_within_its_bounds(name):
    facts = [fact for fact in TREE_CELLS[name].facts if isinstance(fact, Bounded)]
    assert facts, "what is true of it whatever the weights are"
    layer = layer_of(name)
    with torch.no_grad():
        for p in layer.parameters():
            p.mul_(8.0)
    _, _, states = layer(3 * rows(TREES.nodes, I), TREES, return_states=True)
    for fact in facts:
        assert states[fact.state].min() >= fact.low
        assert states[fact.state].max() <= fact.high
        assert states[fact.state].abs().max() > 0.5


@ON_EACH
@pytest.mark.parametrize("name", [n for n, cell in TREE_CELLS.items() if cell.children == "any"])
def test_children_have_no_order_in_a_cell_of_any_number(name, engine):
    layer, x = layer_of(name, engine=engine), rows(4, I)
    output, _ = layer(x, Trees([3, 3, 3, -1]))
    others, _ = layer(x[[2, 0, 1, 3]], Trees([3, 3, 3, -1]))
    torch.testing.assert_close(others[3], output[3], rtol=1e-14, atol=1e-15)


@ON_EACH
def test_swapped_children_and_swapped_weights_are_the_same(engine):
    layer, x = layer_of("tree-lstm", engine=engine), rows(3, I)
    swapped = copy.deepcopy(layer)
    with torch.no_grad():
        f0, f1 = slice(H, 2 * H), slice(2 * H, 3 * H)
        for there, here in (("hh0", "hh1"), ("hh1", "hh0")):
            swapped.get_parameter(f"weight_{there}_l0").copy_(layer.get_parameter(f"weight_{here}_l0"))
        for parameter in swapped.parameters():  # each child's forget gate is the other's
            parameter[f0], parameter[f1] = parameter[f1].clone(), parameter[f0].clone()
    trees = Trees([2, 2, -1])
    torch.testing.assert_close(swapped(x[[1, 0, 2]], trees)[0][2], layer(x, trees)[0][2], rtol=1e-14, atol=1e-15)


@ON_EACH
@pytest.mark.parametrize("initial_state", ["zero", "learned"])
@pytest.mark.parametrize("direction", ["up", "down", "both"])
@pytest.mark.parametrize("name", ["lstm", "gru", "peephole-lstm", "projected-lstm"])
def test_over_a_chain_a_cell_of_sequences_is_the_layer_of_sequences(name, direction, initial_state, engine):
    """Values and gradients. Up a chain whose leaf is node 0 is forward in time, down it is the reverse."""
    options = {"proj_size": 2 if "projected" in name else 0, "initial_state": initial_state}
    layer = layer_of(name, num_layers=2, direction=direction, engine=engine, **options)
    both = direction == "both"
    other = Recurrent(name, I, H, 2, bidirectional=both, dtype=float64, engine="reference", **options)
    other.load_state_dict(layer.state_dict())
    x = rows(6, I).requires_grad_()
    chain = Trees([1, 2, 3, 4, 5, -1] if direction != "down" else [-1, 0, 1, 2, 3, 4])
    output, wanted = layer(x, chain)[0], other(x)[0]
    torch.testing.assert_close(output, wanted, rtol=1e-12, atol=1e-12)
    upstream = torch.randn_like(output)
    found, right = (grad(o, [x, *m.parameters()], upstream) for o, m in ((output, layer), (wanted, other)))
    theirs = dict(zip(["x", *(n for n, _ in other.named_parameters())], right, strict=True))
    for (parameter, _), mine in zip([("x", x), *layer.named_parameters()], found, strict=True):
        torch.testing.assert_close(mine, theirs[parameter], rtol=1e-12, atol=1e-12)


def test_a_tree_lstm_of_one_child_is_an_lstm_over_a_chain():
    layer, lstm = layer_of(TreeLSTM(arity=1)), moved(Recurrent("lstm", I, H, dtype=float64, engine="reference"))
    with torch.no_grad():  # torch.nn's order is i, f, g, o, which is the order of i, f0, u, o
        for ours, theirs in (
            ("weight_ih", "weight_ih"),
            ("weight_hh0", "weight_hh"),
            ("bias_ih",) * 2,
            ("bias_hh",) * 2,
        ):
            layer.get_parameter(f"{ours}_l0").copy_(lstm.get_parameter(f"{theirs}_l0"))
    assert layer.program.gates == ("i", "f0", "u", "o")
    x = rows(5, I)
    torch.testing.assert_close(layer(x, Trees([1, 2, 3, 4, -1]))[0], lstm(x)[0], rtol=1e-12, atol=1e-12)


@ON_EACH
def test_down_a_tree_each_node_continues_its_parent(engine):
    layer = layer_of("gru", direction="down", engine=engine)
    step = carousel.RecurrentCell("gru", I, H, dtype=float64, engine="reference")
    step.load_state_dict({n.removesuffix("_l0"): p for n, p in layer.state_dict().items()})
    x, output = rows(5, I), None
    output, hx = layer(x, Trees([4, 3, 3, 4, -1]))
    root = step(x[4:])
    three = step(x[3:4], root)
    wanted = torch.cat([step(x[:1], root), step(x[1:2], three), step(x[2:3], three), three, root])
    torch.testing.assert_close(output, wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(hx, root.unsqueeze(0))


def test_up_and_down_side_by_side():
    layer = layer_of("child-sum-tree-lstm", direction="both", num_layers=2)
    output, (h, c) = layer(rows(TREES.nodes, I), TREES)
    assert output.shape == (TREES.nodes, 2 * H)
    assert h.shape == c.shape == (4, len(TREES.roots), H)
    torch.testing.assert_close(h[2:].transpose(0, 1).flatten(1), output[TREES.roots])
    assert {n for n, _ in layer.named_parameters()} >= {"weight_hh_l0", "weight_hh_l0_reverse", "weight_ih_l1_reverse"}


def test_a_batch_without_nodes_is_legal():
    layer = layer_of("tree-lstm")
    output, (h, _) = layer(rows(0, I), Trees([]))
    assert output.shape == (0, H)
    assert h.shape == (1, 0, H)
    assert all(g.abs().sum() == 0 for g in grad(output.sum(), [*layer.parameters()]))


def test_it_is_copied_saved_and_loaded():
    layer, x = layer_of("tree-gru", direction="both", dropout=0.5, num_layers=2).eval(), rows(TREES.nodes, I)
    wanted = layer(x, TREES)[0]
    file = io.BytesIO()
    torch.save(layer, file)
    file.seek(0)
    fresh = Recursive("tree-gru", I, H, 2, direction="both", dtype=float64)
    fresh.load_state_dict(layer.state_dict())
    for other in (copy.deepcopy(layer), torch.load(file, weights_only=False), fresh):
        assert torch.equal(other(x, TREES)[0], wanted)


def test_dropout_is_between_layers_in_training():
    layer = layer_of("rvnn", num_layers=2, dropout=0.5)
    x = rows(TREES.nodes, I)
    torch.manual_seed(0)
    first = layer(x, TREES)[0]
    assert not torch.equal(first, layer(x, TREES)[0])
    torch.manual_seed(0)
    assert torch.equal(first, layer(x, TREES)[0])
    layer.eval()
    assert torch.equal(layer(x, TREES)[0], layer(x, TREES)[0])


def test_it_says_which_engine_runs_and_why():
    said = Recursive("tree-lstm", I, H, direction="up", engine="reference").explain(plan=True)
    assert said.splitlines()[:2] == [
        "Recursive(TreeLSTM(arity=2), 2, 3, engine=reference)",
        "engine: reference (asked for)",
    ]
    assert "the reference engine runs the program as it stands" in said
    said = Recursive("tree-lstm", I, H, dtype=torch.float16).explain()
    assert "engine: reference\nnot native: it computes in float32, float64 and bfloat16, not in float16" in said
    with pytest.raises(ValueError, match="engine='native' cannot run TreeLSTM on torch.float16 rows on cpu"):
        layer_of("tree-lstm", engine="native").half()(rows(1, I).half(), Trees([-1]))


REFUSED = [
    ({"cell": "tree-lstm", "direction": "down"}, "has weights for 2 children, so that no data would reach the others"),
    ({"cell": "tree-lstm", "direction": "both"}, "give direction='up', or a cell with children = 'any'"),
    ({"cell": "tree-gru", "initial_state": "learned"}, "reads the children that there are; leave it out"),
    ({"cell": "lstm", "direction": "left"}, "direction must be one of 'up', 'down', 'both', not 'left'"),
]


@pytest.mark.parametrize(("options", "says"), REFUSED)
def test_options_that_do_not_fit_are_refused_in_words(options, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        Recursive(input_size=I, hidden_size=H, **options)


CALLS = [
    ("lstm", lambda x: (x[:5], Trees([4, 3, 3, 4, -1])), {}, "node 3 has 2 children, and the cell LSTM continues 1"),
    (
        "tree-lstm",
        lambda x: (x[:4], Trees([3, 3, 3, -1])),
        {},
        "node 3 has 3 children, and the cell TreeLSTM continues 2",
    ),
    ("rvnn", lambda x: (x[:4], Trees([2, 2, -1])), {}, "a row for each of the 3 nodes, but has 4; give at="),
    ("rvnn", lambda x: (x[:1], Trees([2, 2, -1])), {"at": torch.tensor([3])}, "at names a node outside of 0 to 2"),
    ("rvnn", lambda x: (x[:2], Trees([2, 2, -1])), {"at": torch.tensor([1, 1])}, "at names a node twice"),
    ("rvnn", lambda x: (x[:2], Trees([2, 2, -1])), {"at": torch.tensor([1])}, "at names 1 nodes, and the input has 2"),
]


@pytest.mark.parametrize(("cell", "arguments", "options", "says"), CALLS)
def test_calls_that_do_not_fit_are_refused_in_words(cell, arguments, options, says):
    with pytest.raises(ValueError, match=re.escape(says)):
        layer_of(cell)(*arguments(rows(9, I)), **options)


def test_a_layer_of_sequences_refuses_a_cell_of_trees():
    for make in (carousel.Recurrent, carousel.RecurrentCell):
        with pytest.raises(ValueError, match="the cell TreeLSTM continues 2 children of a node, .* carousel.Recursive"):
            make("tree-lstm", I, H)
    with pytest.raises(TypeError, match="there is no option 'engin'"):
        Recursive("tree-lstm", I, H, engin="reference")
    with pytest.raises(TypeError, match="trees must be a carousel.Trees, got list"):
        layer_of("rvnn")(rows(1, I), [-1])
