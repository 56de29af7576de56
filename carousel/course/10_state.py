"""10. A step looked at closely: what it reads, the state before the first, and where losses are taken

A step reads x_t and h_{t-1}. [W U] is one matrix, and [x_t; h_{t-1}] one longer vector: W x + U h is their product, so
that some notes write one W and say that a layer reads the concatenation of the two.

The first step reads a state, too, h_0. It is zero, or given (what another sequence left behind), or learned: a row of
parameters, one for each state. At any later step the state can be kept, reset or changed from outside:

    reset     a new sequence begins here: the state is again h_0
    keep, add    before each step the state becomes keep * state + add

A network answers at every step, and a loss can be taken at all steps or at some. Losses at every step say at once which
step was wrong; a loss at the last alone must find that out through all steps. Where early steps have an answer, losses
there teach sooner.

Only in part: with a bias a network leaves zeros at its first step, and then learns without a learned h_0 all that it
learns with one. And a loss at every step helps where the answer at a step can be known there; where it cannot,
those losses teach a guess, and cost without a gain.
"""

import statistics

import torch
from torch.nn import functional as F

import carousel
from carousel.course.learning import Network, layer_of, learn
from carousel.course.lesson import LOOKS, Lesson, count_of_seeds, spread, teach
from carousel.insight.figures import draw_unrolled

WAVE = torch.cos(2 * torch.pi * torch.arange(30) / 10)  # what is to be said from silence


def one_matrix(lesson):
    """W x + U h against [W U] [x; h]: sums in another order, and the same gradients."""
    layer = carousel.RNN(3, 8, dtype=torch.float64)
    x, h = torch.randn(40, 3, dtype=torch.float64), torch.randn(40, 8, dtype=torch.float64)
    W, U = layer.weight_ih_l0, layer.weight_hh_l0
    two = F.linear(x, W) + F.linear(h, U)
    one = F.linear(torch.cat([x, h], -1), torch.cat([W, U], -1))
    joined = torch.cat([W, U], -1).detach().requires_grad_()
    F.linear(torch.cat([x, h], -1), joined).square().sum().backward()
    two.square().sum().backward()
    apart = (joined.grad - torch.cat([W.grad, U.grad], -1)).abs().max().item() / joined.grad.abs().max().item()
    lesson.fact(
        f"[W U] [x; h] is W x + U h, to {(one - two).abs().max().item():.1e}, and its gradient is that of W beside "
        f"that "
        f"of U, to {apart:.1e} of its size.",
        torch.allclose(one, two, rtol=0, atol=1e-14) and apart < 1e-13,
    )


def three_beginnings(lesson):
    """Zero, given, and what a reset, keep and add do."""
    layer = carousel.LSTM(3, 8, dtype=torch.float64)
    x = torch.randn(20, 5, 3, dtype=torch.float64)
    zeros = torch.zeros(1, 5, 8, dtype=torch.float64)
    whole, _ = layer(x)
    first, state = layer(x[:12])
    second, _ = layer(x[12:], state)
    apart = (torch.cat([first, second]) - whole).abs().max().item()
    lesson.fact(
        f"No state is a state of zeros, to the bit; with the state of step 12 given, step 13 goes on, {apart:.1e} "
        f"apart.",
        torch.equal(layer(x, (zeros, zeros))[0], whole) and apart < 1e-14,
    )
    reset, keep = torch.zeros(20, 5, dtype=torch.bool), torch.ones(20, 5, dtype=torch.float64)
    reset[12], keep[12] = True, 0
    again, fresh = layer(x, reset=reset)[0], layer(x[12:])[0]
    lesson.fact(
        "A reset at step 13 begins a new sequence there, and so does keep = 0, to the bit.",
        torch.equal(again[12:], fresh) and torch.equal(layer(x, keep=keep)[0][12:], fresh),
    )
    push = torch.zeros(20, 5, 8, dtype=torch.float64)
    push[12] = state[0][0] * 0.5
    keep = torch.ones(20, 5, dtype=torch.float64)
    keep[12] = 0.5
    half = layer(x, keep={"h": keep}, add={"h": push})[0]
    apart = (half - whole).abs().max().item()
    lesson.fact(
        f"keep = 1/2 and add = half of h at step 13 leave all as it was, to {apart:.1e}: the state is keep * state + "
        f"add.",
        apart < 1e-14,
    )


def from_silence(bias, initial_state, seed, steps):
    """The squared error in saying a wave without any input, first step and all, as a share of always saying 0."""
    torch.manual_seed(seed)
    layer = carousel.RNN(1, 16, bias=bias, initial_state=initial_state)
    layer.initialize("orthogonal")
    head = torch.nn.Linear(16, 1, bias=False)
    both = torch.nn.ModuleList([layer, head])
    silence = torch.zeros(len(WAVE), 1, 1)

    def said():
        return head(layer(silence)[0])[:, 0, 0]

    learn(both, lambda: (said() - WAVE).square().mean(), steps, rate=0.01)
    with torch.no_grad():
        error = (said() - WAVE).square()
    return error[0].item(), (error.mean() / WAVE.square().mean()).item()


def learned_beginning(lesson):
    seeds, steps = range(lesson.full(3, quick=1)), 300
    ways = {
        "zero, no bias": (False, "zero"),
        "zero, with bias": (True, "zero"),
        "learned, no bias": (False, "learned"),
        "learned, with bias": (True, "learned"),
    }
    found = {name: [from_silence(*way, seed, steps) for seed in seeds] for name, way in ways.items()}
    lesson.table(
        f"Saying a wave from silence after {steps} steps of training: squared error, median and range of "
        f"{count_of_seeds(len(seeds))}; always saying 0 gives 1",
        ["h_0", "first step", "all steps, relative"],
        [[name, *(spread([one[k] for one in runs], 3) for k in (0, 1))] for name, runs in found.items()],
    )
    lesson.numbers["errors from silence, first step and all"] = found
    whole = {name: [share for _, share in runs] for name, runs in found.items()}
    lesson.fact(
        f"Without input and bias, zeros stay zeros: the error is {spread(whole['zero, no bias'], 3)}, that of saying "
        f"nothing. From a learned h_0 it is {spread(whole['learned, no bias'], 3)}.",
        min(whole["zero, no bias"]) > 0.999 and statistics.median(whole["learned, no bias"]) < 0.5,
    )


def parity(steps, batch):
    """Random bits (T, B, 1), and whether the number of ones up to each step is odd, (T, B)."""
    bits = torch.randint(2, (steps, batch))
    return bits.float().unsqueeze(-1), bits.cumsum(0) % 2


def asked_at_the_end(steps, batch):
    """Two symbols of noise and, at the end, which of the first two steps is asked for; the answer, (B)."""
    x = torch.zeros(steps, batch, 3)
    values = torch.randint(2, (2, batch))
    which = torch.randint(2, (batch,))
    x[:2, :, 0] = 2.0 * values - 1
    x[-1, :, 1] = 2.0 * which - 1
    x[2:-1, :, 2] = torch.rand(steps - 3, batch) - 0.5
    return x, values[which, torch.arange(batch)].expand(steps, -1)


TASKS = {"parity": (parity, 1, 12), "asked at the end": (asked_at_the_end, 3, 12)}


def many_to_one(task, at_all, seed, steps):
    """The accuracy at the last step, of an LSTM that learnt from losses at all steps or at the last."""
    data, inputs, length = TASKS[task]
    torch.manual_seed(seed)
    network = Network(layer_of("LSTM", inputs, 16), 2)

    def loss():
        x, answer = data(length, 64)
        begin = 0 if at_all else length - 1
        return F.cross_entropy(network(x)[0][begin:].flatten(0, 1), answer[begin:].flatten())

    def right():
        with torch.no_grad():
            x, answer = data(length, 500)
            return (network(x)[0][-1].argmax(-1) == answer[-1]).float().mean().item()

    curve = []
    for _ in range(6):
        learn(network, loss, steps // 6, rate=0.01)
        curve.append(right())
    return curve


def where_losses_are_taken(lesson):
    seeds, steps = range(lesson.full(3, quick=1)), 480
    names = {True: "at every step", False: "at the last"}
    found = {
        (task, at_all): [many_to_one(task, at_all, seed, steps) for seed in seeds]
        for task in TASKS
        for at_all in (True, False)
    }
    ends = {key: [curve[-1] for curve in curves] for key, curves in found.items()}
    lesson.table(
        f"The last answer right after {steps} steps of training: median and range of {count_of_seeds(len(seeds))}; "
        f"guessing: 0.5",
        ["task", *names.values()],
        [[task, *(spread(ends[task, at_all]) for at_all in names)] for task in TASKS],
    )
    lesson.numbers["accuracy while learning"] = {f"{task}, {names[a]}": curves for (task, a), curves in found.items()}
    lesson.fact(
        f"Parity of 12 bits: with a loss at every step {spread(ends['parity', True])} of the last answers are right, "
        f"with a "
        f"loss at the last alone {spread(ends['parity', False])}.",
        statistics.median(ends["parity", True]) > 0.95
        and statistics.median(ends["parity", False]) < statistics.median(ends["parity", True]) - 0.2,
    )
    lesson.fact(
        f"Where the question comes last, losses before it gain nothing: at every step "
        f"{spread(ends['asked at the end', True])}, at the last {spread(ends['asked at the end', False])}.",
        statistics.median(ends["asked at the end", False]) > 0.9
        and statistics.median(ends["asked at the end", True])
        < statistics.median(ends["asked at the end", False]) + 0.05,
    )
    return found, steps


def main(lesson: Lesson) -> None:
    one_matrix(lesson)
    three_beginnings(lesson)
    learned_beginning(lesson)
    found, steps = where_losses_are_taken(lesson)

    drawing, *panels = lesson.picture(
        "Left: the loop, a layer with an arrow from itself to itself, and the chain of its copies in time. Middle and "
        "right: accuracy at the last step while an LSTM learns, a line for each seed. Middle, parity: solid lines, a "
        "loss at every step, rise to 1; dashed ones, a loss at the last alone, stay near 1/2. Right, the question "
        "comes last: the dashed lines rise at once, the solid ones later or not yet.",
        panels=3,
    )
    draw_unrolled("rnn", axes=drawing)
    for axes, task in zip(panels, TASKS, strict=True):
        for at_all, look, style in ((True, LOOKS["LSTM"], "-"), (False, LOOKS["RNN"], "--")):
            for k, curve in enumerate(found[task, at_all]):
                label = ("loss at every step" if at_all else "loss at the last step") if k == 0 else None
                at = [steps * (n + 1) // 6 for n in range(6)]
                axes.plot(at, curve, style, label=label, alpha=0.8, **look)
        axes.set(title=f"{task}: last answer right", xlabel="steps of training", ylim=(0.4, 1.03))
        axes.legend(frameon=False, fontsize=8, loc="lower right" if task != "parity" else "center right")


if __name__ == "__main__":
    teach(main)
