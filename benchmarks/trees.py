"""How fast a binary Tree-LSTM trains over the trees of sentences: our layer beside three ways to write it in torch.

    python benchmarks/trees.py DATA            # DATA: train.txt of the Stanford Sentiment Treebank, in brackets

Forward and backward of all nodes, 300 inputs at the leaves, 150 units, float32, one thread, processor time. The ways:

    recursion    node by node, as each tree is written
    whole frame  level by level, the states of all nodes copied at every level, as DGL's prop_nodes_topo does
    frontier     level by level, holding the states alone that later levels read
    layer        carousel.Recursive("tree-lstm"), on the engine that it chooses
    child-sum    carousel.Recursive("child-sum-tree-lstm"), which computes something else

The first four first have to give the same output and the same gradient of the input. Then all take turns, and the best
of --rounds is shown.

"of LSTM" is the floating-point rate as a share of that of carousel.LSTM with as many units, 37 steps of 25 rows, which
takes turns with them. Only products count: W x of the three gates that a leaf reads, U h of both children for the five
gates of every other node; of the LSTM, W x and U h of four gates at every step. Each product counts three times: in
forward, for the gradient of its rows and for that of its weights.

A call costs something whatever it computes: weights are packed, their gradients made and added up. The layer has
450,000 weights, and the LSTM 270,000 and 1.7 times the products of 25 trees. "without" is the same share where the time
of a call with almost nothing to compute, over a tree of three nodes or two steps of one row, is taken from both.
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

import carousel
from carousel import Recursive, Trees

INPUTS, UNITS = 300, 150
Run = Callable[[Tensor], Tensor]


class Weights:
    """Those of a layer, as the ways in torch read them: leaves have W alone, and all other nodes U alone."""

    def __init__(self, layer: Recursive):
        read = layer.get_parameter
        self.bias = read("bias_ih_l0") + read("bias_hh_l0")
        blocks = list(torch.arange(5 * UNITS).split(UNITS))
        of_leaf = torch.cat([blocks[0], blocks[3], blocks[4]])
        self.leaf = read("weight_ih_l0")[of_leaf], self.bias[of_leaf]
        self.node = torch.cat([read("weight_hh0_l0"), read("weight_hh1_l0")], 1)

    def leaves(self, x: Tensor) -> tuple[Tensor, Tensor]:
        i, u, o = F.linear(x, *self.leaf).chunk(3, -1)
        c = torch.sigmoid(i) * torch.tanh(u)
        return torch.sigmoid(o) * torch.tanh(c), c

    def nodes(self, left: tuple[Tensor, Tensor], right: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        gates = F.linear(torch.cat([left[0], right[0]], -1), self.node, self.bias)
        i, f0, f1, u, o = gates.chunk(5, -1)
        c = torch.sigmoid(i) * torch.tanh(u) + torch.sigmoid(f0) * left[1] + torch.sigmoid(f1) * right[1]
        return torch.sigmoid(o) * torch.tanh(c), c


class Plan:
    """The order of a batch, made before the clock runs for every way."""

    def __init__(self, trees: Trees):
        self.trees = trees
        found = trees.order(downwards=False)
        self.place, levels = found.place, found.levels
        self.sizes = levels.sizes
        self.children = torch.from_numpy(levels.slots(2))
        self.visits = levels.visits(2, torch.device("cpu"))


def whole_frame(plan: Plan, layer: Recursive) -> Run:
    def run(x: Tensor) -> Tensor:
        w, at = Weights(layer), plan.sizes[0]
        h, c = (x.new_zeros(plan.trees.nodes, UNITS).index_copy(0, torch.arange(at), made) for made in w.leaves(x))
        for size in plan.sizes[1:]:
            left, right = plan.children[at : at + size].unbind(1)
            new = w.nodes((h[left], c[left]), (h[right], c[right]))
            rows = torch.arange(at, at + size)
            h, c = h.index_copy(0, rows, new[0]), c.index_copy(0, rows, new[1])
            at += size
        return h[plan.place]

    return run


def frontier(plan: Plan, layer: Recursive) -> Run:
    def run(x: Tensor) -> Tensor:
        w = Weights(layer)
        h, c = w.leaves(x)
        every = [h]
        h, c = (state.index_select(0, plan.visits[0].gives) for state in (h, c))
        for visit in plan.visits[1:]:
            left, right = (visit.reads - 1).unflatten(0, (-1, 2)).unbind(1)  # every node inside has both children
            new = w.nodes((h[left], c[left]), (h[right], c[right]))
            every.append(new[0])
            h, c = (
                torch.cat([state.index_select(0, visit.keeps - 1), made.index_select(0, visit.gives)])
                for state, made in zip((h, c), new, strict=True)
            )
        return torch.cat(every)[plan.place]

    return run


def recursion(plan: Plan, layer: Recursive) -> Run:
    children: list[list[int]] = [[] for _ in range(plan.trees.nodes)]
    for child, parent in zip(plan.trees.child.tolist(), plan.trees.parent.tolist(), strict=True):
        children[parent].append(child)

    def run(x: Tensor) -> Tensor:
        w, rows, found = Weights(layer), iter(x.split(1)), list[tuple[Tensor, Tensor]]()
        for each in children:  # in brackets, children come before their node
            found.append(w.nodes(found[each[0]], found[each[1]]) if each else w.leaves(next(rows)))
        return torch.cat([h for h, _ in found])

    return run


def over_trees(plan: Plan, layer: Recursive) -> Run:
    return lambda x: layer(x, plan.trees, at=plan.trees.leaves)[0]


def gradients(run: Run, x: Tensor, upstream: Tensor) -> tuple[Tensor, Tensor]:
    x = x.detach().requires_grad_()
    output = run(x)
    output.backward(upstream)
    assert x.grad is not None
    return output.detach(), x.grad


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


class Sequences:
    """carousel.LSTM of as many inputs and units, training: the rate that trees are held against."""

    operations = 3 * 2 * 37 * 25 * 4 * UNITS * (INPUTS + UNITS)

    def __init__(self, layer: carousel.LSTM, steps: int, batch: int) -> None:
        self.layer, self.x = layer, torch.randn(steps, batch, INPUTS, requires_grad=True)

    def __call__(self) -> object:
        return self.layer(self.x)[0].sum().backward()


class Shares:
    """The rates of trees as shares of that of sequences, of which all take turns."""

    def __init__(self, layer: Recursive):
        lstm, three = carousel.LSTM(INPUTS, UNITS), Plan(Trees([-1, 0, 0]))
        tiny = partial(gradients, over_trees(three, layer), torch.randn(2, INPUTS), torch.randn(3, UNITS))
        self.work = {"LSTM": Sequences(lstm, 37, 25), "two steps": Sequences(lstm, 2, 1), "three nodes": tiny}
        self.best = dict.fromkeys(self.work, float("inf"))

    def take_a_turn(self) -> None:
        for name, work in self.work.items():
            self.best[name] = min(self.best[name], seconds(work))

    @property
    def rate(self) -> float:
        return Sequences.operations / self.best["LSTM"]

    def of(self, flops: float, took: float) -> str:
        without = Sequences.operations / (self.best["LSTM"] - self.best["two steps"])
        rest = flops / (took - self.best["three nodes"]) / without
        return f"of LSTM {flops / took / self.rate:.2f}, without {rest:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 25, 256])
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    lines = options.data.read_text(encoding="utf-8").splitlines()
    random.Random(0).shuffle(lines)
    layer, child_sum = Recursive("tree-lstm", INPUTS, UNITS), Recursive("child-sum-tree-lstm", INPUTS, UNITS)
    print(layer.explain())
    for batch in options.batches:
        plan = Plan(Trees.from_brackets(lines[:batch]))
        x, upstream = torch.randn(len(plan.trees.leaves), INPUTS), torch.randn(plan.trees.nodes, UNITS)
        ways = {"whole frame": whole_frame(plan, layer), "frontier": frontier(plan, layer)}
        ways |= {"layer": over_trees(plan, layer)}
        if batch <= 25:  # a second and more for each call
            ways |= {"recursion": recursion(plan, layer)}
        wanted = gradients(ways["layer"], x, upstream)
        for name, run in ways.items():
            for mine, right in zip(gradients(run, x, upstream), wanted, strict=True):
                torch.testing.assert_close(mine, right, rtol=1e-3, atol=1e-3, msg=f"{name} computes something else")
        ways |= {"child-sum": over_trees(plan, child_sum)}
        best = dict.fromkeys(ways, float("inf"))
        shares = Shares(layer)
        for _ in range(options.rounds):
            shares.take_a_turn()
            for name, run in ways.items():
                best[name] = min(best[name], seconds(partial(gradients, run, x, upstream)))
        inner = plan.trees.nodes - len(plan.trees.leaves)
        flops = 3 * 2 * UNITS * (3 * INPUTS * len(plan.trees.leaves) + 5 * 2 * UNITS * inner)
        print(
            f"\n{batch} trees, {plan.trees.nodes} nodes, {len(plan.sizes)} levels; "
            f"LSTM {shares.rate / 1e9:.1f} GFLOP/s; least of a call: layer {1e3 * shares.best['three nodes']:.1f} ms, "
            f"LSTM {1e3 * shares.best['two steps']:.1f} ms"
        )
        for name, took in best.items():
            share = "   " + shares.of(flops, took) if name == "layer" else ""
            print(
                f"  {name:<12} {batch / took:7.0f} trees/s {plan.trees.nodes / took:8.0f} nodes/s   "
                f"layer is {took / best['layer']:5.2f} times as fast{share}"
            )


if __name__ == "__main__":
    main()
