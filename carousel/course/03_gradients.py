"""3. Gradients through time are products: they vanish below 1 and explode above it

The gradient of a loss at step t with respect to the state k steps before is a product of k step Jacobians:

    dL/dh_{t-k} = dL/dh_t  J_t J_{t-1} ... J_{t-k+1},        J_s = dh_s/dh_{s-1} = diag(phi'(a_s)) U

With a factor of 0.9 a step, 100 steps leave 0.9^100 = 0.0000266. Some lecture notes print 0.000017 here; that would
take 104 steps. With 1.1 a step it is 13,780.6 after 100. A vanished gradient teaches nothing about the far past, an
exploded one throws the weights away; clipping bounds the step and so cures the second, not the first.

(Training also changes the size that the gradient has one step back. The right picture divides each curve by that size,
so that all begin at 1, and shows what is left further back.)

Only in part: the factor of a real network is not that of its U. The slopes of tanh make it smaller, the more so the
larger U is, so that |U| = 1.1 does not explode. A U with all eigenvalues at 0.9 may still let gradients grow for some
steps before they shrink. And training moves the factor: for an RNN, to learn a long gap is mostly to bring it near 1,
while an LSTM begins nearer to it. But a small factor does not prove a short memory: one RNN below names every symbol at
0.48, as a latch does, in which small differences die out while the large one stays (Bengio et al., 1994).
"""

import math
import statistics

import torch
from torch.nn import functional as F

import carousel
from carousel.course.learning import Network, layer_of, learn
from carousel.course.lesson import LOOKS, Lesson, spread, teach
from carousel.insight import gradient_flow

STEPS, UNITS = 100, 64


class Linear(carousel.Cell):
    """h' = W x + b + U h + c: the product above with nothing in between."""

    gates = "n"

    def step(self, n):
        return n


def norms_by_lag(cell, U, inputs=0.0):
    """|dL/dh_{T-k}| for k = 0 ... STEPS, with dL/dh_T a random direction of length 1 and random inputs of this size."""
    layer = carousel.Recurrent(cell, UNITS, UNITS, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.eye(UNITS))
        layer.weight_hh_l0.copy_(U)
    x = inputs * torch.randn(STEPS, 1, UNITS, dtype=torch.float64)
    # Zeros added to the state before each step: their gradient is that of the state.
    nothing = torch.zeros(STEPS, 1, UNITS, dtype=torch.float64, requires_grad=True)
    h = layer(x, 0.1 * torch.randn(1, 1, UNITS, dtype=torch.float64), add=nothing)[1]
    direction = F.normalize(torch.randn_like(h), dim=-1)
    (gradient,) = torch.autograd.grad((h * direction).sum(), nothing)
    return torch.cat([torch.ones(1, dtype=torch.float64), gradient[:, 0].norm(dim=-1).flip(0)])


def numbers_of_the_lecture(lesson, Q):
    rows = [(n, f"{0.9**n:.7f}", f"{1.1**n:,.1f}") for n in (1, 10, 50, 100, 104)]
    lesson.table("Factors after n steps", ["n", "0.9^n", "1.1^n"], rows)
    needed = math.log(0.000017) / math.log(0.9)
    lesson.fact(
        f"0.9^100 = {0.9**100:.7f}; 0.000017 takes {needed:.1f} steps.",
        f"{0.9**100:.7f}" == "0.0000266" and round(needed) == 104,
    )
    curves = {f"linear, {g} Q": norms_by_lag(Linear(), g * Q) for g in (0.9, 1.0, 1.1)}
    apart = max(abs(curves[f"linear, {g} Q"][-1].item() / g**100 - 1) for g in (0.9, 1.0, 1.1))
    lesson.fact(
        f"A linear layer with U = g Q, Q orthogonal: the gradient 100 steps back is g^100 of itself for g = 0.9, 1 and "
        f"1.1, to {apart:.1e}.",
        apart < 1e-12,
    )
    return curves


def tanh_in_between(lesson, Q, curves):
    """The factor a step of tanh layers, left alone and with inputs."""
    rows = []
    for g in (0.5, 0.9, 1.1, 1.5, 2.0, 3.0, 5.0):
        alone, driven = (norms_by_lag("rnn", g * Q, size) for size in (0.0, 1.0))
        rows.append([g, *(round((curve[-1].item()) ** (1 / STEPS), 3) for curve in (alone, driven))])
        if g in (0.9, 1.1):
            curves[f"tanh, {g} Q"] = driven
        assert max(alone.max(), driven.max()) <= max(1.0, g**STEPS) * (1 + 1e-9), "tanh's slope is at most 1"
    lesson.table("Factor a step of tanh layers with U = g Q", ["g", "left alone", "with random inputs"], rows)
    factors = {g: driven for g, _, driven in rows}
    lesson.fact(
        f"With inputs, the factor at g = 1.1 is {factors[1.1]}: tanh's slopes turn exploding into vanishing. It is "
        f"never above g.",
        factors[1.1] < 1 and all(driven <= g for g, _, driven in rows),
    )
    U = torch.block_diag(*[torch.tensor([[0.9, 4.0], [0.0, 0.9]], dtype=torch.float64)] * (UNITS // 2))
    curve = curves["linear, 0.9, not normal"] = norms_by_lag(Linear(), U)
    lesson.fact(
        f"A U with every eigenvalue at 0.9, but not normal: the gradient first grows, {curve.max().item():.1f} times "
        f"in {int(curve.argmax())} steps; 100 steps back {curve[-1].item():.4f} of it is left.",
        curve.max() > 5 and curve[-1] < 0.1,
    )


def first_symbol(lag, batch):
    """The first of four symbols, to be named after `lag` steps of noise."""
    label = torch.randint(4, (batch,))
    x = torch.zeros(lag + 1, batch, 5)
    x[0, :, :4] = F.one_hot(label, 4)
    x[1:, :, 4] = torch.rand(lag, batch) - 0.5
    return x, label


def before_and_after(lesson, lag, seeds):
    """The flow of gradients in RNNs and LSTMs before and after they learnt to bridge `lag` steps; one flow of each."""
    factors, right, flows = {}, {}, {}
    for name, state, seed in ((name, state, seed) for name, state in (("RNN", "h"), ("LSTM", "c")) for seed in seeds):
        torch.manual_seed(seed)
        network = Network(carousel.RNN(5, 32) if name == "RNN" else layer_of(name, 5, 32), 4)

        def loss(network=network):
            x, label = first_symbol(lag, 32)
            return F.cross_entropy(network(x)[0][-1], label)

        x, label = first_symbol(lag, 200)
        for when in ("before", "after"):
            if when == "after":
                learn(network, loss, 600, rate=0.003)
            flow = gradient_flow(network.layer, x, at=[lag], lags=lag)
            flows.setdefault((name, when), flow.by_lag(state))
            factors.setdefault((name, when), []).append(flow.decay(state).factor)
            with torch.no_grad():
                correct = network(x)[0][-1].argmax(-1) == label
            right.setdefault((name, when), []).append(correct.float().mean().item())
    lesson.table(
        f"Naming the first of four symbols after {lag} steps: median and range of {len(seeds)} seeds",
        ["network", "training", "factor a step", "accuracy"],
        [[*key, spread(factors[key], 3), spread(right[key])] for key in factors],
    )
    lesson.fact(
        f"Learning to bridge {lag} steps moves the RNN's factor from {spread(factors['RNN', 'before'], 3)} to "
        f"{spread(factors['RNN', 'after'], 3)} a step; then {spread(right['RNN', 'after'])} of the symbols are named.",
        max(factors["RNN", "before"]) < 0.8
        and statistics.median(factors["RNN", "after"]) > 0.85
        and min(right["RNN", "after"]) > 0.9,
    )
    return flows


def with_and_without_clipping(lesson):
    """Plain gradient descent on a relu network whose U begins at 1.05 I: the last loss of each seed."""
    last = {}
    for clip in (math.inf, 1.0):
        last[clip] = []
        for seed in range(lesson.full(20, quick=5)):
            torch.manual_seed(seed)
            layer = carousel.RNN(5, 32, nonlinearity="relu")
            layer.initialize("identity")
            network = Network(layer, 4)
            with torch.no_grad():
                layer.weight_hh_l0.mul_(1.05)
            optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
            for _ in range(200):
                x, label = first_symbol(50, 32)
                loss = F.cross_entropy(network(x)[0][-1], label)
                optimizer.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(network.parameters(), clip)
                optimizer.step()
            last[clip].append(loss.item())
    lost = {clip: sum(not loss < 2 * math.log(4) for loss in losses) for clip, losses in last.items()}
    of = len(last[1.0])
    lesson.fact(
        f"Plain gradient descent, 50 steps, U = 1.05 I: without clipping {lost[math.inf]} of {of} networks are thrown "
        f"away (a loss that is no number, or twice that of guessing); clipped at 1, {lost[1.0]} of {of}.",
        lost[math.inf] >= of / 4 and lost[1.0] == 0,
    )


def main(lesson: Lesson) -> None:
    Q = torch.linalg.qr(torch.randn(UNITS, UNITS, dtype=torch.float64)).Q
    curves = numbers_of_the_lecture(lesson, Q)
    tanh_in_between(lesson, Q, curves)
    flows = before_and_after(lesson, 20, range(lesson.full(5, quick=1)))
    with_and_without_clipping(lesson)

    left, right = lesson.picture(
        "Left: the gradient's norm by lag, logarithmic. Linear layers give straight lines, down to 0.0000266 for 0.9 "
        "and up to 13,781 for 1.1; tanh at 0.9 and 1.1 falls below both; the layer that is not normal rises, then "
        "falls. Right: what is left of the gradient that comes one step back, in an RNN and an LSTM before (dashed) "
        "and after training (solid): the RNN's falls steeply before training and is level after; the LSTM's falls "
        "slowly before and levels off after.",
        panels=2,
        height=4.2,
    )
    styles = ["-", "-", "-", "--", "--", ":"]
    colors = [LOOKS[name]["color"] for name in ("LSTM", "plain", "RNN", "LSTM", "RNN", "peephole LSTM")]
    for (name, curve), style, color in zip(curves.items(), styles, colors, strict=True):
        left.plot(curve, style, color=color, label=name)
    left.set(title="products of Jacobians", xlabel="steps back", ylabel="norm of the gradient")
    left.set(yscale="log", ylim=(1e-12, 1e13))
    for (name, when), curve in flows.items():
        style = "--" if when == "before" else "-"
        right.plot(range(1, len(curve) + 1), curve / curve[0], style, label=f"{name}, {when} training", **LOOKS[name])
    right.set(title="real networks, seed 0", xlabel="steps back", ylabel="part of the gradient one step back")
    right.set(yscale="log")
    left.legend(frameon=False, fontsize=8, loc="upper left")
    right.legend(frameon=False, fontsize=8, loc="lower left")


if __name__ == "__main__":
    teach(main)
