"""Measures over trees: states at every node, gradients by depth against finite differences and a chain."""

import pytest
import torch

import carousel
from carousel import insight
from carousel.errors import DataError
from carousel.insight.figures.trees import positions
from carousel.layers.add_ins import Rewriting
from carousel.layers.recording import _InUse
from carousel.layers.trees import Trees, read_brackets
from carousel.models.tree_model import TreeModel
from carousel.program import naming

BRACKETS = ["(3 (2 It) (4 (2 works) (2 well)))", "(1 no)"]
SHAPES = read_brackets(BRACKETS).trees
CELLS = ["tree-lstm", "rvnn", "child-sum-tree-lstm", "tree-gru"]


def layer_of(cell: str = "tree-lstm", **options) -> carousel.Recursive:
    torch.manual_seed(0)
    return carousel.Recursive(cell, 3, 4, dtype=torch.float64, **options)


def words(count: int = SHAPES.nodes) -> torch.Tensor:
    return torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("direction", ["up", "both"])
def test_states_at_nodes_are_those_of_the_layer(direction: str) -> None:
    layer = layer_of("child-sum-tree-lstm", num_layers=2, direction=direction)
    found = insight.node_states(layer, words(), SHAPES)
    _, _, expected = layer(words(), SHAPES, return_states=True)
    assert found.states == ("h", "c")
    for state in found.states:
        torch.testing.assert_close(found.values[state], expected[state])
    assert found.places[-1] == {"up": "layer 1", "both": "layer 1 reverse"}[direction]
    torch.testing.assert_close(found.of_unit(2, "c", 0), expected["c"][0, :, 2])
    assert not layer._taps


class Pushed(_InUse):
    """Adds a number to one unit of a state that a node gives."""

    def __init__(self, active: list, state: str, node: int, unit: int, push: float):
        self.active, self.state, self.at, self.push = active, state, (node, unit), push

    def rewritings(self):
        return (Rewriting("push", (self.state,)),)

    def streams(self, streams, of):
        pushes = of.rows.new_zeros(len(of.rows), of.states[self.state])
        pushes[self.at] = self.push
        return streams | {naming.push(self.state): pushes}


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_are_the_slopes_of_the_loss(cell: str) -> None:
    """Pushes a state of a node by a little, and finds how the loss of the roots moves."""
    layer = layer_of(cell)
    flow = insight.gradient_by_depth(layer, words(), SHAPES, loss=lambda y: y.square().sum(1))
    for state in flow.states:
        for node in range(SHAPES.nodes):
            slopes = []
            for unit in range(4):
                sides = []
                for push in (1e-6, -1e-6):
                    with torch.no_grad(), Pushed(layer._taps, state, node, unit, push):
                        output, _ = layer(words(), SHAPES)
                    sides.append(output[SHAPES.roots].square().sum())
                slopes.append((sides[0] - sides[1]) / 2e-6)
            torch.testing.assert_close(flow.norms[state][0, node], torch.stack(slopes).norm(), rtol=1e-5, atol=1e-9)


def test_over_a_chain_depth_is_lag() -> None:
    """A chain of 12 nodes is a sequence of 12 steps, whose last is the root."""
    layer, sequence = layer_of("lstm"), carousel.Recurrent("lstm", 3, 4, dtype=torch.float64)
    sequence.load_state_dict(layer.state_dict())
    chain = Trees([*range(1, 12), -1])
    ours = insight.gradient_by_depth(layer, words(12), chain, loss=lambda y: y.sum(1))
    theirs = insight.gradient_flow(sequence, words(12)[:, None], loss=lambda y: y.sum(-1), at=[11], lags=8)
    for state in ("h", "c"):
        torch.testing.assert_close(ours.by_depth(state)[1:9], theirs.by_lag(state, relative=False), rtol=1e-9, atol=0)


def test_a_vanishing_gradient_has_its_factor() -> None:
    """h' = tanh(0.5 h) with small h: each level halves the gradient."""
    layer = layer_of("rnn", bias=False)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(0.5 * torch.eye(4))
        layer.weight_ih_l0.zero_()
    flow = insight.gradient_by_depth(layer, words(9), Trees([*range(1, 9), -1]), loss=lambda y: y.sum(1))
    torch.testing.assert_close(flow.by_depth(), 2.0 * 0.5 ** torch.arange(9.0, dtype=torch.float64))
    assert flow.factor() == pytest.approx(0.5)


def test_a_module_is_measured_through_its_layer_in_evaluation_mode() -> None:
    torch.manual_seed(0)
    model = TreeModel(5, 3, hidden=4, embedding=3, dropout=0.5).train()
    inputs = torch.tensor([1, 2, 3, 4]), SHAPES, SHAPES.leaves
    one, two = (insight.gradient_by_depth(model, *inputs) for _ in range(2))
    assert torch.equal(one.norms["h"], two.norms["h"])
    assert model.training
    with torch.inference_mode():
        assert torch.equal(insight.gradient_by_depth(model, *inputs).norms["h"], one.norms["h"])


WRONG = [
    (lambda: insight.node_states(torch.nn.Linear(3, 4), words()), "must have one layer over trees, .* it has none"),
    (lambda: insight.node_states(layer_of(), words(0), Trees([])), "There must be a node to look at"),
    (
        lambda: insight.gradient_by_depth(layer_of(), words(), SHAPES, loss=lambda y: y.sum()),
        "loss must give one number for each of 2 roots",
    ),
    (
        lambda: insight.gradient_by_depth(layer_of(), words(), SHAPES, loss=lambda y: y.detach().sum(1)),
        "loss must depend on the layer",
    ),
    (lambda: insight.node_states(layer_of(), words(), SHAPES).of_unit(4), "There is no unit 4"),
    (lambda: insight.node_states(layer_of(), words(), SHAPES).of_unit(0, "q"), "There is no state 'q'"),
    (lambda: insight.figures.coloured_tree(SHAPES, torch.zeros(6)), "A picture is of one tree"),
]


@pytest.mark.parametrize(("make", "says"), WRONG)
def test_what_cannot_be_measured_is_refused_in_words(make, says: str) -> None:
    with pytest.raises(DataError, match=says):
        make()


def test_leaves_lie_in_the_order_of_the_words() -> None:
    tree = read_brackets(BRACKETS[0])
    x, y = positions(tree.trees)
    assert x.tolist() == [2, 2, 2, 1, 0]
    assert y.tolist() == [0, 1, 2, 1.5, 0.75]
    assert positions(Trees([-1, 0, 0]), [True] * 3)[1].tolist() == [0, 1, 2]


def test_each_result_has_a_picture() -> None:
    layer, tree = layer_of(), read_brackets(BRACKETS[0])
    states = insight.node_states(layer, words(5), tree.trees)
    flow = insight.gradient_by_depth(layer, words(5), tree.trees)
    for shown in (states.picture(), flow.picture(), insight.figures.coloured_tree(tree.trees, states.of_unit(1))):
        assert shown.axes
