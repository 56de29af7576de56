"""Members: what a step says of a node's children, the three letters that lead there and back, and their derivatives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from carousel import Cell
from carousel.engines.levels import Levels
from carousel.engines.over_levels import scan_levels
from carousel.errors import ProgramError
from carousel.program import Node, Program, differentiate, evaluate, notation, ops, trace, untraced, verify
from carousel.program.builder import Builder, Ref, prune
from carousel.program.ops import Members

float64 = torch.float64
# Rows with two members, none, three and one; two of them equal, so that the greatest is shared.
OF = Members(torch.tensor([0, 0, 2, 2, 2, 3]), 4)
HIDDEN = 3
DECLARED: dict[str, Any] = {
    "cell": "One",
    "gates": (),
    "inputs": (),
    "recurrents": (),
    "vectors": {},
    "gate_bias": False,
    "own": {},
}
DECLARED |= {"weights": {}, "children": "any"}


def values(program: Program, leaves: dict[tuple[str, object], Tensor]) -> dict[object, Tensor]:
    """What a program gives, computed by torch from these leaves by (op, attr)."""

    def leaf(node: Node) -> Tensor | None:
        if node.op == "constant":
            return torch.tensor(node.attr, dtype=float64)
        return leaves[node.op, node.attr] if node.op in ops.LEAVES else None

    def special(index: int, row: Tensor) -> Tensor:
        return ops.TABLE[program.nodes[index].op].meaning(row, OF)

    done = evaluate(program, [leaf(node) for node in program.nodes], special)
    return {key: done[index] for key, index in program.outputs.items()} | dict(enumerate(done))


def program_of(letter: str, twice: bool = False) -> Program:
    """Σ q ⊙ spread p, Σ q or the greatest q, of the row p and the members q; or Σ r ⊙ the letter's derivative."""
    b = Builder({})
    q, r = (b.leaf("state", name, members="children") for name in "qr")
    p, g = (b.leaf("stream", name) for name in "pg")
    y = b.op("total", b.op("mul", q, p)) if letter == "spread" else b.op(letter, q)
    if twice:
        of = b.spread(p, "children") if letter == "spread" else b.op(letter, q)
        upstream = b.op("mul", r, g) if letter == "spread" else g
        (by,) = ops.TABLE[letter].derivative(b, upstream, of, p if letter == "spread" else q)
        y = b.op("mul", g, b.value(by)) if letter == "spread" else b.op("total", b.op("mul", r, b.value(by)))
    read = [name for name, ref in zip("qr", (q, r), strict=True) if any(ref in node.args for node in b.nodes)]
    nodes, outputs = prune(b.nodes, dict.fromkeys(read, y))
    states = dict.fromkeys(read, "hidden")
    return Program(**DECLARED, states=states, nodes=nodes, outputs=outputs)


@pytest.mark.parametrize("twice", [False, True], ids=["first", "second"])
@pytest.mark.parametrize("letter", ["spread", "total", "greatest"])
def test_every_letter_has_torchs_derivatives(letter, twice):
    """Its derivative program against torch's vjp; and of that program, again: ties and rows without members too."""
    program = program_of(letter, twice)
    verify(program)
    random = torch.Generator().manual_seed(0)
    q = torch.randn(6, HIDDEN, dtype=float64, generator=random)
    q[1] = q[0]
    rows = {"p": torch.randn(4, HIDDEN, dtype=float64, generator=random), "g": torch.randn(4, HIDDEN, dtype=float64)}
    leaves = {("state", "q"): q, ("state", "r"): torch.randn(6, HIDDEN, dtype=float64, generator=random)}
    leaves |= {("stream", name): row for name, row in rows.items()}
    leaves = {key: value.requires_grad_() for key, value in leaves.items()}
    forward = values(program, leaves)  # type: ignore[arg-type]
    derivative = differentiate(program)
    upstream = torch.randn(4, HIDDEN, dtype=float64)
    given = {("saved", i): forward[i] for i in derivative.saved}
    given |= {("gradient", key): upstream / len(program.states) for key in program.outputs}
    found = values(derivative.program, leaves | given)
    (y,) = {forward[name] for name in program.states}
    expected = dict(zip(leaves, torch.autograd.grad(y, [*leaves.values()], upstream, allow_unused=True), strict=True))
    compared = 0
    for key, gradient in expected.items():
        if gradient is not None:
            torch.testing.assert_close(found[key].expand_as(gradient), gradient, rtol=1e-12, atol=1e-12)
            compared += 1
    assert compared > 0


# --- what authors write

LAST = Levels(torch.tensor([3, 1]), torch.tensor([0, 1, 2]), torch.tensor([0, 0, 0, 0, 3]))  # a root of three leaves


def of(write, arity: int | str = "any") -> Cell:
    class One(Cell):
        gates, children = "n", arity

        def step(self, h, n):
            return n + write(h)

    return One()


def root(write) -> tuple[Tensor, Tensor]:
    """What a step's function makes of the states of three children, and these states."""
    program = trace(of(write))
    random = torch.Generator().manual_seed(0)
    shapes = program.parameter_shapes({"input": 2, "hidden": 2})
    weights = {name: torch.randn(shape, generator=random, dtype=float64) for name, shape in shapes.items()}
    weights["weight_hh"].zero_()
    x = torch.randn(4, 2, generator=random, dtype=float64)
    (h,), _ = scan_levels(program, x, LAST, (torch.zeros(1, 2, dtype=float64),), weights)
    own = x[3] @ weights["weight_ih"].T + weights["bias_ih"] + weights["bias_hh"]
    return h[3] - own, h[:3]


WRITTEN = {
    "sum": lambda h: h.sum(-2),
    "sum, kept": lambda h: h.sum(dim=-2, keepdim=True),
    "mean": lambda h: h.mean(-2),
    "amax": lambda h: torch.amax(h, -2),
    "amin": lambda h: h.amin(-2),
    "softmax": lambda h: (torch.softmax(2 * h, -2) * h).sum(-2),
    "softmin": lambda h: (torch.nn.functional.softmin(h, -2) * h).sum(-2),
    "log_softmax": lambda h: (torch.log_softmax(h, dim=-2) * h).sum(-2),
    "logsumexp": lambda h: torch.tanh(torch.logsumexp(h, -2)),
    "of a row and members": lambda h: ((h - h.mean(-2)) ** 2).sum(-2),
    "of units and members": lambda h: (torch.softmax(h.sum(-1, keepdim=True), -2) * h).sum(-2),
}


@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)
def test_what_a_step_writes_means_what_torch_means(write):
    found, children = root(write)
    torch.testing.assert_close(found, write(children).reshape(-1), rtol=1e-12, atol=1e-12)


def test_a_node_without_children_has_zero_of_everything_but_logsumexp():
    for name, write in WRITTEN.items():
        program = trace(of(write))
        weights = {
            name: torch.zeros(shape, dtype=float64)
            for name, shape in program.parameter_shapes({"input": 2, "hidden": 2}).items()
        }
        alone = Levels(torch.tensor([1]), torch.empty(0, dtype=torch.int64), torch.tensor([0, 0]))
        first = (torch.zeros(1, 2, dtype=float64),)
        (h,), _ = scan_levels(program, torch.ones(1, 2, dtype=float64), alone, first, weights)
        assert h.tolist() == [[-1.0 if name == "logsumexp" else 0.0] * 2], name


def test_a_row_that_meets_members_is_the_same_for_each():
    program = trace(of(lambda h: (h * h.sum(-2)).sum(-2)))
    assert [node.op for node in program.nodes].count("spread") == 1
    assert str(program).splitlines()[1:] == ["  t1 = Σ(h)", "  h' = W_n x + b_n + U_n t1 + c_n + Σ(h ⊙ t1)"]


def test_states_of_two_children_are_two_rows():
    program = trace(of(lambda h: torch.tanh(h[0]) - h[1], arity=2))
    assert str(program).splitlines()[1:] == ["  h' = W_n x + b_n + U_n_0 h_0 + c_n + U_n_1 h_1 + tanh(h_0) - h_1"]
    assert list(program.parameters) == ["weight_ih", "weight_hh0", "weight_hh1", "bias_ih", "bias_hh"]


def test_a_map_of_two_children_takes_a_row_for_each():
    class Reset(Cell):
        gates, children = ("r", "n"), 2

        def step(self, h, r, x_n, U_n):
            return torch.tanh(x_n + U_n([torch.sigmoid(r) * each for each in h]))

    assert (
        str(trace(Reset())).splitlines()[-1] == "  h' = tanh(W_n x + b_n + U_n_0 (t1 ⊙ h_0) + c_n + U_n_1 (t1 ⊙ h_1))"
    )


@pytest.mark.parametrize(
    ("write", "arity", "says"),
    [
        (lambda h: h, "any", "must return a row for the state h, but returned one for each child"),
        (lambda h: h.sum(-2), None, "a row that has no members"),
        (lambda h: h.sum(-2).sum(-2), "any", "a row that has no members"),
        (lambda h: h.sum(-2), 0, "declares children = 0; write how many children a node has at most"),
        (lambda h: h[0], True, "declares children = True"),
        (lambda h: h[0], "two", "declares children = 'two'"),
        (lambda h: h[2], 2, "IndexError"),
        (lambda h: h.sum(0), "any", "over the children of a node, dim=-2"),
    ],
)
def test_what_a_step_cannot_say_is_refused_in_words(write, arity, says):
    with pytest.raises(ProgramError, match=says):
        trace(of(write, arity))


def test_plain_python_over_trees_is_refused():
    with pytest.raises(ProgramError, match="One has children, and a step over many nodes at once is run as a program"):
        untraced(of(lambda h: h.sum(-2)))


def test_a_program_with_members_is_written_and_read():
    for arity in ("any", 2):
        program = trace(of(lambda h: h[0] if isinstance(h, tuple) else h.amax(-2), arity))
        assert notation.read(notation.write(program)).content()[:4] == program.content()[:4]


def test_a_program_that_mixes_rows_and_members_is_ill_formed():
    b = Builder({})
    members, row = b.leaf("state", "q", members="children"), b.leaf("stream", "p")
    nodes = [*b.nodes, Node("add", (members, row), members="children"), Node("total", (Ref(2),))]
    program = Program(**DECLARED, states={"q": "hidden"}, nodes=tuple(nodes), outputs={"q": 3})
    with pytest.raises(ProgramError, match="ill-formed at node 2, add: it reads rows and members of rows"):
        verify(program)
    nodes[2] = Node("total", (row,))
    with pytest.raises(ProgramError, match="at node 2, total: it does not lead between a row and its members"):
        verify(Program(**DECLARED, states={"q": "hidden"}, nodes=tuple(nodes), outputs={"q": 3}))
