"""Options of layers over trees of any shape, against the equations of `textbook_trees.py`, node by node.

Masks are drawn a second time from the same seed.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import textbook_trees
import torch
from helper_of_trees import ENGINES, PARENTS, TREES, H, I, float64, layer_of, mask, rows, seeded
from matrix import TREE_CELLS
from torch.autograd import grad, gradcheck
from torch.nn import functional as F

import carousel
from carousel import Recursive, Trees

N = TREES.nodes
EACH = pytest.mark.parametrize("name", TREE_CELLS)
ON_EACH = pytest.mark.parametrize("engine", ENGINES)


def numbers(layer: Recursive) -> dict[str, np.ndarray]:
    return {n.removesuffix("_l0"): p.detach().numpy().copy() for n, p in layer.named_parameters()}


def agree(found: dict[str, torch.Tensor], name: str, x: torch.Tensor, parameters, each=lambda tree, nodes: {}) -> None:
    """The states of a layer are those of the textbook. each: (number of a tree, its nodes) -> what `tree` is given."""
    at = 0
    for number, parents in enumerate(PARENTS):
        nodes = slice(at, at + len(parents))
        own = each(number, nodes)
        wanted = textbook_trees.tree(name, parents, x[nodes].numpy(), own.pop("parameters", parameters), **own)
        for state, right in zip(found.values(), wanted, strict=True):
            torch.testing.assert_close(state[0, nodes], torch.from_numpy(right), rtol=1e-12, atol=1e-12)
        at += len(parents)


@ON_EACH
@EACH
class TestOverTrees:
    def test_recurrent_dropout_has_one_mask_a_tree(self, name, engine):
        """U (m * h) is (U diag(m)) h."""
        layer, x = layer_of(name, recurrent_dropout=0.5, engine=engine), rows(N, I)
        states, masks = seeded(layer, x, TREES, return_states=True)[2], mask(len(TREES), H).numpy()

        def masked(tree, _nodes):
            return {"parameters": {k: p * masks[tree] if "hh" in k and p.ndim == 2 else p for k, p in plain.items()}}

        plain = numbers(layer)
        agree(states, name, x, plain, masked)
        agree(layer.eval()(x, TREES, return_states=True)[2], name, x, plain)

    def test_input_dropout_has_one_mask_a_tree(self, name, engine):
        layer, x = layer_of(name, input_dropout=0.5, engine=engine), rows(N, I)
        states = seeded(layer, x, TREES, return_states=True)[2]
        agree(states, name, x * mask(len(TREES), I)[TREES.tree_of], numbers(layer))
        leaves = TREES.leaves
        at_leaves = seeded(layer, x[leaves], TREES, at=leaves)[0]
        some = torch.zeros_like(x).index_copy(0, leaves, x[leaves])
        torch.testing.assert_close(at_leaves, seeded(layer, some, TREES)[0], rtol=1e-12, atol=1e-12)

    def test_weight_drop_drops_elements_of_every_u(self, name, engine):
        layer, x = layer_of(name, weight_drop=0.5, engine=engine), rows(N, I)
        states = seeded(layer, x, TREES, return_states=True)[2]
        parameters = numbers(layer)

        def dropped():
            for key in parameters:
                if key.startswith("weight_hh"):
                    parameters[key] = F.dropout(torch.from_numpy(parameters[key]), 0.5).numpy()

        seeded(dropped)
        agree(states, name, x, parameters)

    def test_candidate_dropout_drops_what_a_node_writes(self, name, engine):
        if name == "rvnn":
            return  # it keeps no state, and refuses the option
        layer, x = layer_of(name, candidate_dropout=0.5, engine=engine), rows(N, I)
        states, masks = seeded(layer, x, TREES, return_states=True)[2], mask(N, H).numpy()
        agree(states, name, x, numbers(layer), lambda _, nodes: {"drop": masks[nodes]})

    def test_dropout_is_of_what_layers_give_one_another(self, name, engine):
        layer, x = layer_of(name, dropout=0.5, num_layers=2, engine=engine), rows(N, I)
        output, lower = seeded(layer, x, TREES)[0], layer_of(name, engine=engine)
        upper = Recursive(name, H, H, dtype=float64, engine=engine)
        for alone, suffix in ((lower, "_l0"), (upper, "_l1")):
            mine = {n.replace(suffix, "_l0"): p for n, p in layer.state_dict().items() if n.endswith(suffix)}
            alone.load_state_dict(mine)
        wanted = upper(lower(x, TREES)[0] * mask(N, H), TREES)[0]
        torch.testing.assert_close(output, wanted, rtol=1e-12, atol=1e-12)

    def test_keep_and_add_change_what_a_node_goes_on_from(self, name, engine):
        layer, x = layer_of(name, engine=engine), rows(N, I)
        keep, add = rows(N, 1, seed=1), {"h": rows(N, H, seed=2)}
        states = layer(x, TREES, keep=keep, add=add, return_states=True)[2]

        def changed(_tree, nodes):
            k, a = keep[nodes].numpy(), add["h"][nodes].numpy()
            slots = layer.program.children

            def read(node, children):
                children = [*children]
                if isinstance(slots, int):  # of a child that there is not it reads zeros
                    children += [tuple(np.zeros(H) for _ in states)] * (slots - len(children))
                return [(k[node] * h + a[node], *(k[node] * c for c in rest)) for h, *rest in children]

            return {"read": read}

        agree(states, name, x, numbers(layer), changed)

    def test_leaves_go_on_from_hx(self, name, engine):
        layer, x = layer_of(name, engine=engine), rows(N, I)
        leaves = TREES.leaves
        hx = tuple(rows(1, len(leaves), H, seed=k) for k, _ in enumerate(layer.program.states, start=1))
        given = hx if len(hx) > 1 else hx[0]
        if layer.program.children == "any":
            with pytest.raises(ValueError, match="reads the children that there are; give such a state as a part"):
                layer(x, TREES, given)
            return
        states = layer(x, TREES, given, return_states=True)[2]

        def begun(_tree, nodes):
            def read(node, children):
                place = (leaves == node + nodes.start).nonzero()
                return children or [tuple(h[0, int(place)].numpy() for h in hx)] * 2

            return {"read": read}

        agree(states, name, x, numbers(layer), begun)

    def test_what_a_tap_and_options_add_has_gradients(self, name, engine):
        """Of keep, add, and of the states that nodes give, by differences."""
        layer, trees = layer_of(name, recurrent_dropout=0.5, engine=engine), Trees(PARENTS[0])
        x, keep, add = (rows(5, size, seed=k).requires_grad_() for k, size in enumerate((I, 1, H)))

        def function(x, keep, add):
            return seeded(layer, x, trees, keep=keep, add=add)[0]

        assert gradcheck(function, (x, keep, add), fast_mode=True)
        with layer.tap() as tap:
            output = function(x, keep, add)
        loss = output.square().sum()
        of_states = tap.gradients(loss)["h"]
        assert of_states.shape == (1, 5, H)
        torch.testing.assert_close(of_states[0, 4], 2 * output[4].detach())  # of a root, what the loss sends


@ON_EACH
@pytest.mark.parametrize("name", ["gru", "lstm"])
def test_roots_go_on_from_hx(name, engine):
    layer = layer_of(name, direction="down", engine=engine, initial_state="learned")
    step = carousel.RecurrentCell(name, I, H, dtype=float64, engine="reference")
    weights = {n.removesuffix("_l0"): p for n, p in layer.state_dict().items() if not n.startswith("initial")}
    step.load_state_dict(weights)
    x, trees = rows(6, I), Trees([4, 3, 3, 4, -1, -1])
    hx = tuple(rows(1, 2, H, seed=k).requires_grad_() for k, _ in enumerate(layer.program.states, start=1))
    output, last = layer(x, trees, hx if len(hx) > 1 else hx[0])

    def of(node: int, before):
        return step(x[node : node + 1], before)

    def first(after):
        return after[0] if isinstance(after, tuple) else after

    roots = [of(4 + k, tuple(h[0, k : k + 1] for h in hx) if len(hx) > 1 else hx[0][0, k : k + 1]) for k in (0, 1)]
    three = of(3, roots[0])
    wanted = torch.cat([first(a) for a in (of(0, roots[0]), of(1, three), of(2, three), three, *roots)])
    torch.testing.assert_close(output, wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(first(last)[0], torch.cat([first(root) for root in roots]), rtol=1e-12, atol=1e-12)
    upstream = torch.randn_like(output)
    for mine, right in zip(grad(output, hx, upstream), grad(wanted, hx, upstream), strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-12, atol=1e-12)
    with pytest.raises(RuntimeError, match=re.escape("size (1, 2, 3), got [1, 3, 3]")):
        layer(x, trees, tuple(rows(1, 3, H) for _ in hx) if len(hx) > 1 else rows(1, 3, H))


def test_hx_and_a_learned_state_do_not_meet_where_a_child_may_be_missing():
    layer = layer_of("rvnn", initial_state="learned")
    with pytest.raises(ValueError, match="may continue fewer than 2, and then begins with the cell's own initial"):
        layer(rows(3, I), Trees([2, 2, -1]), rows(1, 2, H))


@ON_EACH
@pytest.mark.parametrize("direction", ["up", "both"])
def test_gates_of_every_child_are_recorded(direction, engine):
    """c' = i u + the sum over children of f_k c_k, from what was recorded; edges as the trees have them."""
    layer = layer_of("child-sum-tree-lstm", direction=direction, num_layers=2, engine=engine)
    trees = Trees.from_edges([(2, 3), (0, 3), (1, 2), (3, 5), (4, 5), (1, 3)], shared=True)
    with layer.record("i", "u", "f", "c", "h", "output") as v:
        output, _ = layer(rows(6, I), trees)
    assert v["f"].shape == (len(layer.suffixes()), 6, H)
    for place, down in enumerate(layer.runs_down):
        here, there = (trees.parent, trees.child) if not down else (trees.child, trees.parent)
        kept = torch.zeros(6, H, dtype=float64).index_add(0, here, v["f"][place] * v["c"][place][there])
        torch.testing.assert_close(v["c"][place], v["i"][place] * v["u"][place] + kept)
        torch.testing.assert_close(v["h"][place], v["o"][place] * torch.tanh(v["c"][place]))
    torch.testing.assert_close(torch.cat([*v["h"][-layer.directions :]], 1), output)
    layer(rows(6, I), trees)
    assert torch.equal(v["h"][-1], output[:, -H:].detach() if direction == "both" else output.detach())


@ON_EACH
def test_gates_of_two_children_are_recorded(engine):
    layer = layer_of("tree-lstm", engine=engine)
    with layer.record("i", "u", "f0", "f1", "c") as v:
        layer(rows(3, I), Trees([2, 2, -1]))
    c = v["c"][0]
    torch.testing.assert_close(c[2], (v["i"] * v["u"])[0, 2] + v["f0"][0, 2] * c[0] + v["f1"][0, 2] * c[1])
    with pytest.raises(ValueError, match="there is nothing called 'f' to record in TreeLSTM; there is c, f0, f1, h, i"):
        layer.record("f")


@pytest.mark.skipif(len(ENGINES) < 2, reason="there is no native library here")
@pytest.mark.parametrize("threads", [1, 3])
@EACH
def test_the_native_engine_computes_options_as_the_reference_does(name, threads, monkeypatch):
    """All together, with gradients of all that is given and of all parameters, and whole trees to threads."""
    from carousel.engines.native import over_trees

    monkeypatch.setattr(over_trees, "WORTH_A_TEAM", 1)
    torch.set_num_threads(threads)  # conftest sets it back
    options: dict[str, Any] = {"recurrent_dropout": 0.5, "weight_drop": 0.2, "input_dropout": 0.5, "dropout": 0.5}
    options |= {} if name == "rvnn" else {"candidate_dropout": 0.5}
    names = {"rvnn": ("h",), "tree-gru": ("h", "r", "n"), "tree-lstm": ("c", "f1"), "child-sum-tree-lstm": ("c", "f")}
    found = []
    for engine in ("native", "reference"):
        layer = layer_of(name, engine=engine, num_layers=2, **options)
        x, keep, add = (rows(N, size, seed=k).requires_grad_() for k, size in enumerate((I, 1, H)))
        with layer.record(*names[name]) as v:
            output, _ = seeded(layer, x, TREES, keep=keep, add=add)
        loss = sum((values * rows(*values.shape, seed=9)).sum() for values in (output, *v.values()))
        found.append((output, *v.values(), *grad(loss, [x, keep, add, *layer.parameters()])))
    for mine, right in zip(*found, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-11, atol=1e-11)
