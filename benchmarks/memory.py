"""A step of a memory's training: the engine that runs a layer beside a plain loop in torch.

    python benchmarks/memory.py --cell ntm --steps 20 --batch 16 --threads 1
    python benchmarks/memory.py --cell dnc --slots 64

The loops are written as people write them, that of the DNC with a sort, a cumulative product and batched products.
Both have the same weights, and their outputs and gradients are compared before anything is timed. Rounds alternate
between the two; the figures are the least CPU time of each, and their ratio.
"""

from __future__ import annotations

import argparse
import time

import torch
from torch import Tensor
from torch.nn import functional as F

import carousel

INPUT, HIDDEN, WIDTH = 9, 100, 20


def weights_of(layer: carousel.Recurrent) -> dict[str, Tensor]:
    return {name.removesuffix("_l0"): parameter for name, parameter in layer.named_parameters()}


def controller(w: dict[str, Tensor], step: Tensor, h: Tensor, c: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """The next h and c of an LSTM that also reads what its head has read."""
    gates = F.linear(step, w["weight_ih"], w["bias_ih"]) + F.linear(h, w["weight_hh"], w["bias_hh"])
    i, f, g, o = (gates + F.linear(r, w["weight_r0h"])).chunk(4, 1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


def ntm(layer: carousel.Recurrent, x: Tensor, slots: int) -> Tensor:
    """The outputs of an NTM with one head that reads and one that writes, as a loop over steps."""
    w, batch = weights_of(layer), x.shape[1]
    h, c, r = (x.new_zeros(batch, size) for size in (HIDDEN, HIDDEN, WIDTH))
    memory = x.new_full((batch, slots, WIDTH), 1e-6)
    heads = {name: F.one_hot(torch.zeros(batch, dtype=torch.long), slots).to(x) for name in ("a0", "b0")}

    def affine(name: str) -> Tensor:
        return F.linear(h, w[f"weight_{name}"], w[f"bias_{name}"])

    def address(head: str) -> Tensor:
        key = affine(f"key_{head}")[:, None]
        likeness = F.cosine_similarity(memory, key, dim=-1)
        gate = torch.sigmoid(affine(f"gate_{head}"))
        v = gate * torch.softmax(F.softplus(affine(f"strength_{head}")) * likeness, -1) + (1 - gate) * heads[head]
        back, stay, ahead = torch.softmax(
            torch.cat([affine(f"{s}_{head}") for s in ("back", "stay", "ahead")], 1), 1
        ).split(1, 1)
        v = ahead * v.roll(1, 1) + stay * v + back * v.roll(-1, 1)
        v = (v + 1e-16) ** (1 + F.softplus(affine(f"sharp_{head}")))
        return v / (v.sum(1, keepdim=True) + 1e-16)

    outputs = []
    for step in x:
        h, c = controller(w, step, h, c, r)
        heads = {name: address(name) for name in heads}
        r = torch.bmm(heads["a0"][:, None], memory)[:, 0]
        b = heads["b0"][:, :, None]
        memory = memory * (1 - b * torch.sigmoid(affine("erase_b0"))[:, None]) + b * affine("add_b0")[:, None]
        outputs.append(h + F.linear(r, w["weight_r0"]))
    return torch.stack(outputs)


def dnc(layer: carousel.Recurrent, x: Tensor, slots: int) -> Tensor:
    """The outputs of a DNC with one head that reads, as a loop over steps."""
    w, batch = weights_of(layer), x.shape[1]
    h, c, r = (x.new_zeros(batch, size) for size in (HIDDEN, HIDDEN, WIDTH))
    memory, links = x.new_zeros(batch, slots, WIDTH), x.new_zeros(batch, slots, slots)
    usage, precedence, written, read = (x.new_zeros(batch, slots) for _ in range(4))
    others = 1 - torch.eye(slots)

    def affine(name: str) -> Tensor:
        return F.linear(h, w[f"weight_{name}"], w[f"bias_{name}"])

    def content(name: str) -> Tensor:
        key = affine(f"key_{name}")
        lengths = (memory.norm(dim=-1) + 1e-6) * (key.norm(dim=-1, keepdim=True) + 1e-6) + 1e-6 / WIDTH
        likeness = torch.bmm(memory, key[:, :, None])[:, :, 0] / lengths
        return torch.softmax((1 + F.softplus(affine(f"strength_{name}"))) * likeness, -1)

    def free() -> Tensor:
        used, order = (1e-6 + (1 - 1e-6) * usage).sort(dim=1, stable=True)
        before = torch.cat([torch.ones_like(used[:, :1]), used[:, :-1]], 1).cumprod(1)
        return torch.zeros_like(used).scatter(1, order, (1 - used) * before)

    outputs = []
    for step in x:
        h, c = controller(w, step, h, c, r)
        usage = (usage + written - usage * written) * (1 - torch.sigmoid(affine("free_a0")) * read)
        share = torch.sigmoid(affine("allocation_gate"))
        written = torch.sigmoid(affine("write_gate")) * (share * free() + (1 - share) * content("w"))
        row = written[:, :, None]
        memory = memory * (1 - row * torch.sigmoid(affine("erase"))[:, None]) + row * affine("write")[:, None]
        links = ((1 - row - written[:, None]) * links + row * precedence[:, None]) * others
        precedence = (1 - written.sum(1, keepdim=True)) * precedence + written
        modes = torch.softmax(torch.cat([affine(f"{mode}_a0") for mode in ("backward", "forward", "content")], 1), 1)
        back = torch.bmm(read[:, None], links)[:, 0]
        ahead = torch.bmm(links, read[:, :, None])[:, :, 0]
        read = modes[:, :1] * back + modes[:, 1:2] * ahead + modes[:, 2:] * content("a0")
        r = torch.bmm(read[:, None], memory)[:, 0]
        outputs.append(h + F.linear(r, w["weight_r0"]))
    return torch.stack(outputs)


LOOPS = {"ntm": ntm, "dnc": dnc}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cell", choices=list(LOOPS), default="ntm")
    for name, default in (("steps", 20), ("batch", 16), ("slots", 128), ("rounds", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    layer = carousel.Recurrent(given.cell, INPUT, HIDDEN, units={"slots": given.slots, "width": WIDTH})
    x = torch.randn(given.steps, given.batch, INPUT)
    ways = {"layer": lambda: layer(x)[0], "plain loop": lambda: LOOPS[given.cell](layer, x, given.slots)}
    results = []
    for way in ways.values():
        output = way()
        results.append([output, *torch.autograd.grad(output.square().mean(), list(layer.parameters()))])
    for mine, right in zip(*results, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-3, atol=1e-5)
    least = dict.fromkeys(ways, float("inf"))
    for _ in range(given.rounds):
        for name, way in ways.items():
            begun = time.process_time()
            way().square().mean().backward()
            least[name] = min(least[name], time.process_time() - begun)
    print(next(line for line in layer.explain().splitlines() if line.startswith("engine")))
    for name, seconds in least.items():
        print(f"{name}: {1e3 * seconds / given.steps:.2f} ms of CPU a step, forward and backward, batch {given.batch}")
    print(f"plain loop / layer: {least['plain loop'] / least['layer']:.2f}")


if __name__ == "__main__":
    main()
