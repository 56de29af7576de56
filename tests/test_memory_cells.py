"""Cells with a memory against the formulas of other projects, over long sequences, and what only they can do."""

from __future__ import annotations

import pytest
import torch
from matrix import CATALOGUE, moved
from torch import Tensor
from torch.nn import functional as F

import carousel
from carousel.cells.memory.dnc import DNC
from carousel.cells.memory.mlstm import MLSTM
from carousel.cells.memory.ntm import NTM, address
from carousel.errors import DataError, ProgramError
from carousel.export import to_c, to_onnx
from carousel.training.building import naming_cell

float64 = torch.float64
B, N, W = 3, 6, 4
MEMORY = [row for row in CATALOGUE if type(row.cell).__module__.startswith("carousel.cells.memory")]


def weightings(*shape: int, seed: int = 0) -> Tensor:
    return torch.softmax(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), -1)


def test_a_head_of_ntm_is_that_of_pytorch_ntm():
    """Its addressing in float32: cosine of torch, a convolution over a ring, a power, divided by the sum."""
    torch.manual_seed(0)
    memory, key, before = torch.randn(B, N, W), torch.randn(B, W), weightings(B, N)
    strength, sharpness = F.softplus(torch.randn(B, 1)), 1 + F.softplus(torch.randn(B, 1))
    gate, shifts = torch.sigmoid(torch.randn(B, 1)), weightings(B, 3, seed=1)
    likeness = F.cosine_similarity(memory + 1e-16, key[:, None] + 1e-16, dim=-1)
    w = gate * torch.softmax(strength * likeness, -1) + (1 - gate) * before
    ring = torch.cat([w[:, -1:], w, w[:, :1]], 1)
    w = F.conv1d(ring[None], shifts[:, None], groups=B)[0] ** sharpness
    wanted = w / (w.sum(1, keepdim=True) + 1e-16)
    # Its three shifts are those of a correlation: the first weighs the slot before.
    three = [shifts[:, k : k + 1, None] for k in (2, 1, 0)]
    rows = (a[:, None] for a in (key, strength, gate))
    key, strength, gate = rows
    found = _keeping_axes(memory, before[..., None], key, strength, gate, three, sharpness[:, None])
    torch.testing.assert_close(found[..., 0], wanted, rtol=1e-6, atol=1e-6)


def _keeping_axes(M, w, key, strength, gate, shifts, sharpness):
    """`address` on tensors of torch, where a sum over members keeps their axis only if it is told to."""
    return address(M, _Members(w), key, strength, gate, shifts, sharpness)


class _Members(torch.Tensor):
    """A tensor whose sum over members keeps the axis, as a step's values do."""

    def __new__(cls, data):
        return torch.Tensor._make_subclass(cls, data)

    def sum(self, *dims, **kwargs):
        return super().sum(*dims, **({"keepdim": True} | kwargs))


@pytest.mark.parametrize("readers", [1, 2])
def test_a_step_of_dnc_is_that_of_pytorch_dnc(readers):
    """With equal interface vectors: sorted, with a product over the sorted usages; values and gradients, float64."""
    torch.manual_seed(0)
    H = 5
    layer = moved(carousel.Recurrent(DNC(readers), 2, H, units={"slots": N, "width": W}, dtype=float64))
    states = dict(zip(layer.cell.states, layer.fresh_states(B), strict=True))
    for name in ("u", "p", "w", "L", *layer.cell.reading):
        states[name] = 0.9 * weightings(*states[name].shape).double().roll(len(name), -1)
    states["u"] = torch.rand(1, B, N, dtype=float64)
    states["M"] = torch.randn(1, B, N * W, dtype=float64)
    given = [state.requires_grad_() for state in states.values()]
    x = torch.randn(1, B, 2, dtype=float64)
    _, last = layer(x, tuple(given))
    new = dict(zip(states, last, strict=True))
    wanted = _pytorch_dnc(layer, new["h"][0], {name: s[0] for name, s in states.items()}, readers)
    names = ["M", "u", "p", "L", "w", *layer.cell.reading]
    upstream = [torch.randn_like(new[name]) for name in names]
    old = [states[name] for name in names]
    mine = torch.autograd.grad([new[name] for name in names], old, upstream, retain_graph=True)
    theirs = torch.autograd.grad([wanted[name][None] for name in names], old, upstream)
    for name, gradient, right in zip(names, mine, theirs, strict=True):
        torch.testing.assert_close(new[name][0], wanted[name], rtol=1e-10, atol=1e-10, msg=name)
        torch.testing.assert_close(gradient, right, rtol=1e-10, atol=1e-10, msg=f"the gradient of {name}")


def _pytorch_dnc(layer, h: Tensor, old: dict[str, Tensor], readers: int) -> dict[str, Tensor]:
    """A step of the memory as that project computes it: `topk`, `cumprod` and `gather`, batched products, norms."""
    delta = 1e-6

    def affine(name: str) -> Tensor:
        return F.linear(h, getattr(layer, f"weight_{name}_l0"), getattr(layer, f"bias_{name}_l0"))

    def look(memory: Tensor, key: Tensor, strength: Tensor) -> Tensor:
        lengths = (memory.norm(dim=2) + delta) * (key.norm(dim=1, keepdim=True) + delta) * W + delta
        return torch.softmax(W * strength * torch.bmm(memory, key[..., None])[..., 0] / lengths, 1)

    memory, link = old["M"].view(B, N, W), old["L"].view(B, N, N)
    reads = [old[f"a{k}"] for k in range(readers)]
    usage = old["u"] + (1 - old["u"]) * old["w"]
    for k, read in enumerate(reads):
        usage = usage * (1 - torch.sigmoid(affine(f"free_a{k}")) * read)
    moved_usage = delta + (1 - delta) * usage
    ordered, order = torch.topk(moved_usage, N, dim=1, largest=False)
    product = torch.cumprod(torch.cat([torch.ones(B, 1, dtype=float64), ordered], 1), 1)[:, :-1]
    allocation = ((1 - ordered) * product).gather(1, order.argsort(1))
    by_content = look(memory, affine("key_w"), 1 + F.softplus(affine("strength_w")))
    share = torch.sigmoid(affine("allocation_gate"))
    write = torch.sigmoid(affine("write_gate")) * (share * allocation + (1 - share) * by_content)
    memory = memory * (1 - write[..., None] * torch.sigmoid(affine("erase"))[:, None])
    memory = memory + write[..., None] * affine("write")[:, None]
    link = (1 - write[..., None] - write[:, None]) * link + write[..., None] * old["p"][:, None]
    link = link * (1 - torch.eye(N, dtype=float64))
    found = {"M": memory.flatten(1), "u": usage, "L": link.flatten(1), "w": write}
    found["p"] = (1 - write.sum(1, keepdim=True)) * old["p"] + write
    for k, read in enumerate(reads):
        modes = torch.softmax(torch.cat([affine(f"{m}_a{k}") for m in ("backward", "forward", "content")], 1), 1)
        by = look(memory, affine(f"key_a{k}"), 1 + F.softplus(affine(f"strength_a{k}")))
        ahead, back = torch.bmm(link, read[..., None])[..., 0], torch.bmm(read[:, None], link)[:, 0]
        found[f"a{k}"] = modes[:, :1] * back + modes[:, 1:2] * ahead + modes[:, 2:] * by
    return found


def test_equal_usages_are_allocated_in_order():
    """Of slots that are used equally, the first is the freest, as a stable sort has it; the textbook says the same."""
    layer = carousel.Recurrent(DNC(), 2, 3, units={"slots": N, "width": W}, dtype=float64)
    with layer.record("w") as values:
        layer(torch.zeros(1, 1, 2, dtype=float64))
    first = values["w"][0, 0, 0, :, 0]
    assert first.argmax() == 0


def test_mlstm_is_what_it_would_be_without_its_stabiliser():
    """Equations 19 to 27 with plain exponentials, where these do not overflow."""
    layer = moved(carousel.Recurrent(MLSTM(), 3, 4, dtype=float64))
    x = torch.randn(6, B, 3, dtype=float64)
    w = {name.removesuffix("_l0"): p.detach() for name, p in layer.named_parameters()}
    C, n = torch.zeros(B, 4, 4, dtype=float64), torch.zeros(B, 4, dtype=float64)
    found, _ = layer(x)
    for t, step in enumerate(x):
        q, k, v, o = F.linear(step, w["weight_ih"], w["bias_ih"]).chunk(4, -1)
        k = k / 2.0
        i, f = (
            torch.exp(F.linear(step, w["weight_i"], w["bias_i"])),
            torch.sigmoid(F.linear(step, w["weight_f"], w["bias_f"])),
        )
        C = f[..., None] * C + i[..., None] * v[:, :, None] * k[:, None]
        n = f * n + i * k
        below = (n * q).sum(-1, keepdim=True).abs().clamp(min=1.0)
        h = torch.sigmoid(o) * torch.bmm(C, q[..., None])[..., 0] / below
        torch.testing.assert_close(found[t], h, rtol=1e-11, atol=1e-11)


def test_keys_of_delta_net_are_recalled_and_corrected():
    """Of one key, what was stored last is read, where b = 1; linear attention reads the sum of all."""
    cell = carousel.cells.find("delta-net")
    layer = carousel.Recurrent(cell, 2, 2, dtype=float64)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.weight_ih_l0[4:] = torch.eye(2)  # v = x; q = k, of the biases alone
        layer.bias_ih_l0[:4] = 3.0
        layer.bias_b_l0.fill_(50.0)
    x = torch.tensor([[1.0, 2.0], [-3.0, 0.5]], dtype=float64)
    torch.testing.assert_close(layer(x)[0], x, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("row", MEMORY, ids=repr)
@pytest.mark.parametrize("steps", [300, pytest.param(100_000, marks=pytest.mark.full)], ids=["300", "100000"])
@torch.no_grad()
def test_many_steps_of_random_input_stay_finite(row, steps):
    """Of large numbers, with weights that saturate."""
    layer = row.layer(2, 4, dtype=torch.float32)
    for parameter in layer.parameters():
        parameter.mul_(3)
    stepper, random = layer.stepper(2), torch.Generator().manual_seed(0)
    for _ in range(steps):
        y = stepper(10 * torch.randn(2, layer.input_size, generator=random))
    states = stepper.state
    if type(row.cell).__name__ != "LinearAttention":  # it never forgets: its sums grow with the number of steps
        assert all(torch.isfinite(state).all() for state in states)
    assert torch.isfinite(y).all()


@pytest.mark.parametrize(("write", "form"), [(to_onnx, "ONNX"), (to_c, "C")], ids=["onnx", "c"])
def test_a_memory_is_not_exported_yet(write, form, tmp_path):
    layer = MEMORY[0].layer(2, 4)
    with pytest.raises(
        ProgramError, match=f"exporting to {form} needs an? {form} form of every op .* run this cell in Py"
    ):
        write(layer, tmp_path / "memory")
    assert not list(tmp_path.iterdir())


def test_a_context_is_refused_where_no_task_has_one():
    with (
        pytest.raises(
            DataError, match="'bahdanau-gru' cannot be that of the classifier: .* a context, m, .*task pairs"
        ),
        naming_cell("bahdanau-gru", "classifier"),
    ):
        pass


@pytest.mark.parametrize("row", MEMORY, ids=repr)
def test_gradients_of_a_memory_that_nothing_was_written_to_are_finite(row):
    layer = row.layer(2, 4)
    layer(torch.zeros(3, 2, layer.input_size))[0].sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in layer.parameters())


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: NTM(0), "heads_each must be a whole number from 1 on, but 0 was given"),
        (lambda: DNC(0), "readers must be a whole number from 1 on, but 0 was given"),
    ],
)
def test_no_heads_are_refused(make, says):
    with pytest.raises(ValueError, match=says):
        make()
