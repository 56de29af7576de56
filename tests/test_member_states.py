"""States with members, contexts and fed states: what a step writes of them, their derivatives, and what layers do."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import Tensor

import carousel
from carousel import Cell
from carousel.cells.memory import NTM
from carousel.engines import of_members
from carousel.errors import ProgramError
from carousel.program import Program, differentiate, evaluate, notation, ops, trace
from carousel.program.latex import latex

float64 = torch.float64
B, N, W, H = 3, 4, 4, 2  # batch, slots, units of a slot, hidden units; as many slots as units: a memory may be turned
SIZES = {"slots": N, "width": W, "hidden": H, "one": 1}


def of(write, **declared) -> Cell:
    """A cell with a square memory M, a weighting w over its slots, and a row k as wide as a slot."""

    class One(Cell):
        inputs, states = "n", ("h", "M", "w", "k")
        sizes = {"M": ("slots", "slots"), "w": ("slots", 1), "k": "slots"}
        units = {"slots": N}

        def step(self, h, M, w, k, n):
            M, w, k = write(M, w, k)
            return h + n, M, w, k

    for name, value in declared.items():
        setattr(One, name, value)
    return One()


# Each as a step writes it: on a torch tensor M (B, N, N), w (B, N, 1) and a row k (B, 1, N), it means the same.
WRITTEN = {
    "total": lambda M, w, k: (M, w, (w * M).sum(-2, keepdim=True)),
    "units": lambda M, w, k: (M, (M * k).sum(-1, keepdim=True), k),
    "turned row": lambda M, w, k: (M + k.mT * k, k.mT, k),
    "turned members": lambda M, w, k: (M * w.mT, w, w.mT * k),
    "transposed": lambda M, w, k: (M.mT * w, w, M.mT.sum(-2, keepdim=True)),
    "transposed by dimensions": lambda M, w, k: (torch.transpose(M, -1, -2) + M.transpose(-2, -1), w, k),
    "rolled": lambda M, w, k: (torch.roll(M, 1, -2), torch.roll(w, -1, -2) * w, k),
    "rolled by two": lambda M, w, k: (M.roll(-2, -2) * M, w.roll(2, -2), k),
    "softmax": lambda M, w, k: (torch.softmax(M, -2), torch.softmax(w, -2), k),
    "greatest": lambda M, w, k: (M - M.amax(-2, keepdim=True), w, M.amax(-2, keepdim=True)),
    "mean": lambda M, w, k: (M - M.mean(-2, keepdim=True), w, w.mean(-2, keepdim=True) * k),
    "below": lambda M, w, k: (torch.where(w.mT < w, torch.log(1 + w.mT * w.mT), 0.0) + M, w, k),
}
EACH = pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN)


def given(seed: int = 0) -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(seed)
    shapes = ((1, B, H), (1, B, N * N), (1, B, N), (1, B, N))
    return tuple(torch.randn(shape, generator=random, dtype=float64).requires_grad_() for shape in shapes)


def in_torch(write, hx: tuple[Tensor, ...]) -> list[Tensor]:
    _, M, w, k = hx
    new = write(M.view(B, N, N), w.view(B, N, 1), k.view(B, 1, N))
    shapes = ((1, B, N * N), (1, B, N), (1, B, N))
    folded = ((N, N), (N, 1), (1, N))
    return [v.expand(B, *like).reshape(shape) for v, like, shape in zip(new, folded, shapes, strict=True)]


@EACH
def test_what_a_step_writes_means_what_torch_means(write):
    """Values, and first and second derivatives, through a layer."""
    layer = carousel.Recurrent(of(write), 1, H, dtype=float64)
    x = torch.zeros(1, B, 1, dtype=float64)
    hx = given()
    results = layer(x, hx)[1][1:], in_torch(write, hx)
    upstream = [torch.randn_like(value) for value in results[1]]
    derivatives = []
    for new in results:
        first = torch.autograd.grad(new, hx[1:], upstream, create_graph=True, materialize_grads=True)
        second = [torch.zeros_like(v) for v in hx[1:]]
        if any(g.requires_grad for g in first):
            total = sum((g * g).sum() for g in first)
            second = list(torch.autograd.grad(total, hx[1:], retain_graph=True, materialize_grads=True))  # type: ignore[arg-type]
        derivatives.append([*new, *first, *second])
    for found, right in zip(*derivatives, strict=True):
        torch.testing.assert_close(found, right, rtol=1e-12, atol=1e-12)


def folded(program: Program, rows: dict[str, Tensor]) -> list[Tensor | None]:
    """The leaves of a forward program, from the row of each state."""
    fold = of_members.folded(program, SIZES)

    def leaf(index: int) -> Tensor | None:
        node = program.nodes[index]
        if node.op == "constant":
            return torch.tensor(node.attr, dtype=float64)
        if node.op == "per_unit":
            return torch.tensor(1 / SIZES[node.attr], dtype=float64)
        if node.op not in ops.LEAVES:
            return None
        return fold[index](rows[node.attr]) if index in fold else rows[node.attr]

    return [leaf(index) for index in range(len(program.nodes))]


def values_of(program: Program, leaves: list[Tensor | None]) -> list[Tensor]:
    axes = of_members.axes(program, SIZES, B, None)
    return evaluate(program, leaves, of_members.with_members(program, SIZES, NO_PRODUCTS, axes, B))


def NO_PRODUCTS(*_: object) -> Tensor:
    raise AssertionError("these programs multiply with no weight")


@EACH
def test_the_derivative_program_is_torchs_vjp(write):
    program = trace(of(write))
    derivative = differentiate(program)
    rows = dict(zip(program.states, (state[0].detach() for state in given(1)), strict=True))
    rows["n"] = torch.randn(B, H, dtype=float64)
    leaves = folded(program, rows)
    wanted = [leaf for leaf, node in zip(leaves, program.nodes, strict=True) if node.op == "state" and leaf is not None]
    for leaf in wanted:
        leaf.requires_grad_()
    values = values_of(program, leaves)
    upstream = {key: torch.randn_like(values[index]) for key, index in program.outputs.items()}
    results = [values[index] for index in program.outputs.values()]
    right = torch.autograd.grad(results, wanted, list(upstream.values()), allow_unused=True, materialize_grads=True)

    def of_derivative(node) -> Tensor | None:
        match node.op:
            case "saved":
                return values[node.attr].detach()
            case "gradient":
                return upstream[node.attr]
            case "constant":
                return torch.tensor(node.attr, dtype=float64)
            case "per_unit":
                return torch.tensor(1 / SIZES[node.attr], dtype=float64)
            case op if op in ops.LEAVES:
                return leaves[program.nodes.index(node)]
        return None

    found = values_of(derivative.program, [of_derivative(node) for node in derivative.program.nodes])
    names = [node.attr for node in program.nodes if node.op == "state"]
    for name, gradient, like in zip(names, right, wanted, strict=True):
        mine = found[derivative.program.outputs["state", name]].expand_as(like)
        torch.testing.assert_close(mine, gradient, rtol=1e-12, atol=1e-12, msg=name)


def test_how_it_is_printed():
    program = trace(of(lambda M, w, k: (M + torch.roll(w, 1, -2) * k, torch.roll(w, -1, -2), (w * M.mT).sum(-2))))
    lines = ["  M' = M + roll(w) ⊙ k", "  w' = roll back(w)", "  k' = Σ(w ⊙ Mᵀ)", "  h' = h + W_n x + b_n"]
    assert str(program).splitlines()[1:] == lines
    assert r"M^{\top}" in latex(program)
    text = notation.write(program)
    assert notation.write(notation.read(text)) == text
    assert pickle.loads(pickle.dumps(program)) is program


def test_a_number_is_the_same_for_all_members():
    layer = carousel.Recurrent(of(lambda M, w, k: (0 * M + 3, torch.ones_like(w), k)), 1, H)
    _, (_, M, w, _) = layer(torch.zeros(2, B, 1))
    assert (M == 3).all()
    assert (w == 1).all()


# --- what a layer does with them


class Attending(Cell):
    """A memory that is written by a key, and a context that is attended to; gates read two states."""

    states, fed, gates = ("h", "r", "M"), ("h", "r"), ("f", "n")
    inputs = "b"
    sizes = {"r": "width", "M": ("slots", "width")}
    units = {"slots": 3, "width": 2, "source": 5}
    initial = {"M": 0.5, "r": "learned"}
    context = {"m": "source"}
    matrices = {
        "W_k": ("width", "hidden"),
        "W_b": carousel.Matrix("one", "hidden", bias=True),
        "W_m": ("hidden", "source"),
        "W_c": ("hidden", "source"),
    }

    def step(self, h, M, m, f, n, b, W_k, W_b, W_m, W_c):
        attention = torch.softmax((W_m(m) * h).sum(-1, keepdim=True), -2)
        h = torch.sigmoid(f) * h + torch.tanh(n + b + W_c((attention * m).sum(-2)))
        w = torch.softmax(torch.sigmoid(W_b(h)) * (M * W_k(h)).sum(-1, keepdim=True), -2)
        M = M + w * torch.tanh(W_k(h))
        return h, (w * M).sum(-2), M


P, T = 4, 5


def layer_of(**options) -> carousel.Recurrent:
    torch.manual_seed(0)
    layer = carousel.Recurrent(Attending(), 2, 3, dtype=float64, **options)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.5)
    return layer


def batch() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    return (torch.randn(size, B, width, generator=random, dtype=float64) for size, width in ((T, 2), (P, 5)))  # type: ignore[return-value]


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True}, {"checkpoint": 2}], ids=str)
def test_a_ragged_batch_with_resets_is_each_sequence_alone(options):
    """Values and the gradient of the context; an empty context among them, and sequences that begin within."""
    layer, (x, m) = layer_of(**options), batch()
    m.requires_grad_()
    lengths, places = [3, T, 4], [P, 2, 0]
    reset = torch.zeros(T, B, dtype=torch.bool)
    reset[2, 1] = True
    output, last = layer(x, lengths=lengths, reset=reset, context=m, context_lengths=places)
    upstream = torch.randn_like(output)
    (found,) = torch.autograd.grad(output, m, upstream)
    for b in range(B):
        begins = [0, 2] if b == 1 else [0]
        alone = m.detach()[: places[b], b : b + 1].requires_grad_()
        total = torch.zeros((), dtype=float64)
        for begin, end in zip(begins, [*begins[1:], lengths[b]], strict=True):
            y, hx = layer(x[begin:end, b : b + 1], context=alone)
            torch.testing.assert_close(y[:, 0], output[begin:end, b], rtol=1e-12, atol=1e-12)
            total = total + (y[:, 0] * upstream[begin:end, b]).sum()
        for state, whole in zip(hx, last, strict=True):
            if not layer.bidirectional or b != 1:
                torch.testing.assert_close(state[:, 0], whole[:, b], rtol=1e-12, atol=1e-12)
        (gradient,) = torch.autograd.grad(total, alone)
        torch.testing.assert_close(gradient[:, 0], found[: places[b], b], rtol=1e-12, atol=1e-12)
        assert (found[places[b] :, b] == 0).all()


def test_layouts_agree_and_steps_are_the_sequence():
    layer, (x, m) = layer_of(), batch()
    places = torch.tensor([2, P, 1])
    output, hx = layer(x, context=m, context_lengths=places)
    stepper = layer.stepper(B, context={"m": m}, context_lengths=places)
    torch.testing.assert_close(torch.stack([stepper(row).clone() for row in x]), output, rtol=1e-12, atol=1e-12)
    for state, last in zip(stepper.state, hx, strict=True):
        torch.testing.assert_close(state, last, rtol=1e-12, atol=1e-12)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, [2, T, 3], enforce_sorted=False)
    y, last = layer(packed, context=m, context_lengths=places)
    wanted, wanted_last = layer(x, lengths=[2, T, 3], context=m, context_lengths=places)
    torch.testing.assert_close(torch.nn.utils.rnn.pad_packed_sequence(y)[0], wanted, rtol=1e-12, atol=1e-12)
    for a, b in zip(last, wanted_last, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    first, then = layer(x[:2], context=m, context_lengths=places)
    rest, end = layer(x[2:], then, context=m, context_lengths=places)
    torch.testing.assert_close(torch.cat([first, rest]), output, rtol=1e-12, atol=1e-12)
    layer.batch_first = True
    swapped, _ = layer(x.transpose(0, 1), context=m.transpose(0, 1), context_lengths=places)
    torch.testing.assert_close(swapped.transpose(0, 1), output, rtol=1e-12, atol=1e-12)
    single, _ = layer(x[:, 0], context=m[: places[0], 0])
    torch.testing.assert_close(single, output[:, 0], rtol=1e-12, atol=1e-12)
    del end


def test_recordings_are_folded_and_states_are_rows():
    layer, (x, m) = layer_of(zoneout=0.2), batch()
    layer.eval()
    with layer.record("M", "w", "attention", "r") as values:
        _, hx, states = layer(x, context=m, context_lengths=[2, P, 0], return_states=True)
    shapes = {name: tuple(value.shape[3:]) for name, value in values.items()}
    assert shapes == {"M": (3, 2), "w": (3, 1), "attention": (P, 1), "r": (2,)}
    assert [tuple(state.shape) for state in hx] == [(1, B, 3), (1, B, 2), (1, B, 6)]
    assert torch.equal(states["M"][0, -1].flatten(1), hx[2][0])
    attention = values["attention"][0, ..., 0]
    torch.testing.assert_close(attention.sum(-1)[:, :2], torch.ones(T, 2, dtype=float64))
    assert (attention[:, 0, 2:] == 0).all()
    assert (attention[:, 2] == 0).all()
    again = pickle.loads(pickle.dumps(copy.deepcopy(layer)))
    assert torch.equal(again(x, context=m)[0], layer(x, context=m)[0])


@pytest.mark.parametrize("batched", [True, False], ids=["batched", "single"])
@torch.no_grad()
def test_states_after_any_step_are_states_to_go_on_from(batched):
    """As they are recorded, M folded into its slots, a layer, a cell and a stepper take them."""
    layer, cell = carousel.Recurrent(NTM(), 2, 3, num_layers=2), carousel.RecurrentCell(NTM(), 2, 3)
    x = torch.randn(5, *[2] * batched, 2)
    one = carousel.Recurrent(NTM(), 2, 3)
    cell.load_state_dict({name.removesuffix("_l0"): value for name, value in one.state_dict().items()})
    output, _, states = layer(x, return_states=True)
    folded = tuple(state[:, 2] for state in states.values())
    for _ in range(3):  # a call that was made before is made again in a shorter way
        torch.testing.assert_close(layer(x[3:], folded)[0], output[3:])
    output, _, states = one(x, return_states=True)
    folded = tuple(state[0, 2] for state in states.values())
    for _ in range(3):
        torch.testing.assert_close(cell(x[3], folded)[0], output[3])
    if batched:
        stepper = one.stepper(2)
        stepper.state = tuple(state[None] for state in folded)
        torch.testing.assert_close(stepper(x[3]), output[3])
        with pytest.raises(RuntimeError, match="should also be 3-D but got"):
            one(x, tuple(state[None, ..., :1] if state.dim() == 3 else state[None] for state in folded))


def test_a_state_of_members_begins_where_its_cell_says_and_is_kept_and_changed_as_any():
    layer, (x, m) = layer_of(), batch()
    fresh = layer.fresh_states(B)
    assert (fresh[2] == 0.5).all()
    assert torch.equal(fresh[1][0, 0], layer.get_parameter("initial_r_l0"))
    forgotten = layer(x, context=m, keep={"M": torch.zeros(T, B, dtype=float64)}, return_states=True)[2]["M"]
    with layer.tap() as tap:
        output, _ = layer(x, context=m)
    assert tap.gradients(output.sum())["M"].shape == (1, T, B, 6)
    layer.hook(lambda t, states: {"M": 0 * states["M"]})
    assert torch.equal(layer(x, context=m, return_states=True)[2]["M"], forgotten)


def test_a_layer_says_how_many_slots_there_are():
    layer = carousel.Recurrent(Attending(), 2, 3, units={"slots": 7})
    assert layer.sizes["slots*width"] == 14
    assert layer.program.counts == {"slots": 7, "width": 2}
    assert trace(Attending()).counts == {"slots": 3, "width": 2}
    assert "not native: it computes with rows and with members that all rows have as many of" in layer.explain()
    with pytest.raises(ValueError, match="uses the size 'slots', whose number must be a whole one above zero"):
        carousel.Recurrent(of(lambda M, w, k: (M, w, k), units={}), 1, 2)
    cell = carousel.RecurrentCell(of(WRITTEN["rolled"]), 1, H)
    assert [tuple(state.shape) for state in cell(torch.zeros(B, 1))] == [(B, H), (B, N * N), (B, N), (B, N)]


@pytest.mark.parametrize(
    ("context", "lengths", "error", "says"),
    [
        (None, None, ValueError, "reads a context that is given once for a sequence: m .of 5 units."),
        (torch.zeros(P, B, 4, dtype=float64), None, ValueError, r"must have the shape \(positions, 3, 5\)"),
        (torch.zeros(P, B, 5), None, ValueError, "context.*dtype"),
        ({"n": torch.zeros(P, B, 5, dtype=float64)}, None, TypeError, "context must be a mapping with m .of 5 units."),
        (torch.zeros(P, B, 5, dtype=float64), [1, 2], ValueError, "3 whole numbers from 0 to 4"),
        (torch.zeros(P, B, 5, dtype=float64), [1, 2, 5], ValueError, "3 whole numbers from 0 to 4"),
    ],
)
def test_a_context_that_does_not_fit_is_refused(context, lengths, error, says):
    layer, (x, _) = layer_of(), batch()
    with pytest.raises(error, match=says):
        layer(x, context=context, context_lengths=lengths)


def test_where_no_context_can_be_given_the_cell_is_refused():
    with pytest.raises(ValueError, match="reads a context, m, which this layer is not given; run it in carousel"):
        carousel.RecurrentCell(Attending(), 2, 3)
    with pytest.raises(ValueError, match="context is for cells that read one, and LSTM does not"):
        carousel.LSTM(2, 3)(torch.zeros(1, 1, 2), context=torch.zeros(1, 1, 2))


def declared(**names) -> Cell:
    return of(lambda M, w, k: (M, w, k), **names)


@pytest.mark.parametrize(
    ("cell", "says"),
    [
        (of(lambda M, w, k: (M, w, M)), "must return a row for the state k, but returned one for each of slots"),
        (of(lambda M, w, k: (k, w, k)), "must return members for the state M, a row for each of its slots"),
        (of(lambda M, w, k: (w, w, k)), r"must return the state 'M' as a row of size 'slots\*slots'"),
        (of(lambda M, w, k: (M, w, torch.roll(k, 1, -2))), "roll of a row that has no members"),
        (of(lambda M, w, k: (torch.roll(M, 1, -1), w, k)), "a roll that is not over members by a whole number"),
        (of(lambda M, w, k: (M.transpose(0, 1), w, k)), "a transpose that does not exchange units and members"),
        (declared(sizes={"h": ("slots", "slots")}), "gives members to its first state 'h', which is its output"),
        (declared(sizes={"M": ("slots", "a b")}), "write names of sizes, as in"),
        (declared(sizes={"M": ("context", "slots")}), "gives the state 'M' the members and units 'context'"),
        (declared(fed=("h", "M")), "declares fed = 'h', 'M', whose states gates multiply as rows, but 'M' has members"),
        (declared(children=2), "has children and states with members"),
    ],
)
def test_what_cannot_be_is_refused_with_words(cell, says):
    with pytest.raises(ProgramError, match=says):
        trace(cell)


def test_contexts_cannot_be_turned_or_rolled():
    class Turning(Attending):
        def step(self, h, M, m):  # type: ignore[override]
            return h, torch.roll(m, 1, -2).sum(-2), M

    with pytest.raises(ProgramError, match="roll of members whose number differs from row to row"):
        trace(Turning())
