"""A step of an NTM's training: the engine that runs a layer beside a plain loop in torch.

    python benchmarks/memory.py --steps 20 --batch 16 --threads 1

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

INPUT, HIDDEN, SLOTS, WIDTH = 9, 100, 128, 20


def plain(layer: carousel.Recurrent, x: Tensor) -> Tensor:
    """The outputs of an NTM with one head that reads and one that writes, as a loop over steps."""
    w = {name.removesuffix("_l0"): p for name, p in layer.named_parameters()}
    batch = x.shape[1]
    h, c, r = (x.new_zeros(batch, size) for size in (HIDDEN, HIDDEN, WIDTH))
    memory = x.new_full((batch, SLOTS, WIDTH), 1e-6)
    heads = {name: F.one_hot(torch.zeros(batch, dtype=torch.long), SLOTS).to(x) for name in ("a0", "b0")}

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
        gates = F.linear(step, w["weight_ih"], w["bias_ih"]) + F.linear(h, w["weight_hh"], w["bias_hh"])
        i, f, g, o = (gates + F.linear(r, w["weight_r0h"])).chunk(4, 1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        heads = {name: address(name) for name in heads}
        r = torch.bmm(heads["a0"][:, None], memory)[:, 0]
        b = heads["b0"][:, :, None]
        memory = memory * (1 - b * torch.sigmoid(affine("erase_b0"))[:, None]) + b * affine("add_b0")[:, None]
        outputs.append(h + F.linear(r, w["weight_r0"]))
    return torch.stack(outputs)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    for name, default in (("steps", 20), ("batch", 16), ("rounds", 5), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    layer = carousel.Recurrent("ntm", INPUT, HIDDEN, units={"slots": SLOTS, "width": WIDTH})
    x = torch.randn(given.steps, given.batch, INPUT)
    ways = {"layer": lambda: layer(x)[0], "plain loop": lambda: plain(layer, x)}
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
