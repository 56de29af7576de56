"""9. Depth: layers upon layers lose their gradients as steps do, and one shared matrix makes extremes of both

A deep recurrent layer hands its output to the next step and to the next layer. A gradient for the lowest layer then
goes through every layer above it, a product as in lesson 3, and what it says of the lower weights fades.

A chain of T steps of a recurrent layer uses one U, T times; a deep feed-forward network has a matrix of its own at
every layer. In one dimension the difference is plain: the logarithm of u^T is T log|u|, and its spread over random
draws grows as T. With T numbers of their own it is a sum of T independent terms, and its spread grows as sqrt(T): luck
evens out. With one u, a factor a little below 1 is below 1 at every step.

Only in part: sharing changes the extremes; the middle, the typical factor a step, is the same. Wide layers have
less luck in them: with 64 units both spreads are small, and both gradients vanish at torch's initial weights. And depth
takes from the lower layers what it takes only where each layer shrinks the gradient: tanh takes little in 8 layers, and
gradient descent moves the lowest of them nearly as far as the top one; sigmoid takes all. With Adam, which divides each
gradient by its size, a stack of tanh layers learns at once.
"""

import math
import statistics

import torch
from torch.nn import functional as F

import carousel
from carousel.course.learning import Network, learn
from carousel.course.lesson import LOOKS, Lesson, count_of_seeds, spread, teach

UNITS, SYMBOLS, DELAY = 32, 4, 2


def echo(steps, batch):
    """Symbols (T, B), and the symbol DELAY steps before at every step but the first ones, (T, B)."""
    symbols = torch.randint(SYMBOLS, (steps, batch))
    return F.one_hot(symbols, SYMBOLS).float(), symbols.roll(DELAY, 0)


def echo_loss(network, batch=32):
    x, answer = echo(20, batch)
    return F.cross_entropy(network(x)[0][DELAY:].flatten(0, 1), answer[DELAY:].flatten())


def stack_of(depth, activation="tanh"):
    return Network(carousel.RNN(SYMBOLS, UNITS, num_layers=depth, nonlinearity=activation), SYMBOLS)


def gradients_by_layer(depth, activation, seed):
    """The norm of the gradient of each layer's U at torch's initial weights, as a share of that of the top layer."""
    torch.manual_seed(seed)
    network = stack_of(depth, activation)
    echo_loss(network).backward()
    norms = [getattr(network.layer, f"weight_hh_l{k}").grad.norm().item() for k in range(depth)]
    return [norm / norms[-1] for norm in norms]


def moved_by_layer(depth, activation, seed, steps):
    """How far plain gradient descent moved each layer's U, as a share of its size."""
    torch.manual_seed(seed)
    network = stack_of(depth, activation)
    weights = [getattr(network.layer, f"weight_hh_l{k}") for k in range(depth)]
    before = [weight.detach().clone() for weight in weights]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        echo_loss(network).backward()
        optimizer.step()
    return [((now - then).norm() / then.norm()).item() for now, then in zip(weights, before, strict=True)]


def learnt_with_adam(depth, seed, steps):
    """The share of symbols rightly repeated after training with Adam."""
    torch.manual_seed(seed)
    network = stack_of(depth)
    learn(network, lambda: echo_loss(network), steps, rate=0.003)
    with torch.no_grad():
        x, answer = echo(20, 300)
        return (network(x)[0].argmax(-1) == answer)[DELAY:].float().mean().item()


def deep_stacks(lesson):
    seeds, stacks = range(lesson.full(3, quick=1)), [2, 4, 8, 16]
    flow = {
        (activation, depth): [gradients_by_layer(depth, activation, seed) for seed in seeds]
        for activation in ("tanh", "sigmoid")
        for depth in stacks
    }
    lowest = {key: [one[0] for one in each] for key, each in flow.items()}
    lesson.table(
        f"The gradient of the lowest U, as a share of that of the top one: median of {count_of_seeds(len(seeds))}",
        ["activation", *(f"{depth} layers" for depth in stacks)],
        [[a, *(statistics.median(lowest[a, depth]) for depth in stacks)] for a in ("tanh", "sigmoid")],
    )
    lesson.fact(
        f"The deeper, the less: in 16 layers of tanh the lowest U gets {spread(lowest['tanh', 16], 4)} of the "
        f"gradient of "
        f"the top one, in 8 layers of sigmoid less than {max(lowest['sigmoid', 8]):.0e}.",
        max(lowest["tanh", 16]) < min(lowest["tanh", 4]) / 3 and max(lowest["sigmoid", 8]) < 1e-3,
    )
    steps = lesson.full(300, quick=60)
    moved = {a: [moved_by_layer(8, a, seed, steps) for seed in seeds] for a in ("tanh", "sigmoid")}
    moves = {a: [one[0] / one[-1] for one in each] for a, each in moved.items()}
    lesson.fact(
        f"{steps} steps of plain gradient descent move the lowest of 8 layers {spread(moves['tanh'])} times as far as "
        f"the "
        f"top one with tanh, and less than {max(moves['sigmoid']):.0e} times as far with sigmoid: its weights stay "
        f"those "
        f"it began with.",
        max(moves["tanh"]) < 1 and max(moves["sigmoid"]) < 0.01,
    )
    depths = lesson.full([1, 2, 4, 8], quick=[1, 2])
    right = {depth: [learnt_with_adam(depth, seed, lesson.full(300, quick=150)) for seed in seeds] for depth in depths}
    lesson.table(
        f"Repeating the symbol {DELAY} steps before, with Adam: rightly repeated, median and range of "
        f"{count_of_seeds(len(seeds))}; guessing: 0.25",
        [f"{depth} layers" if depth > 1 else "1 layer" for depth in depths],
        [[spread(values) for values in right.values()]],
    )
    lesson.numbers["gradient by layer, as a share of the top one"] = {
        f"{a}, {d}": each for (a, d), each in flow.items()
    }
    lesson.numbers["how far SGD moved each layer"] = moved
    lesson.fact(
        f"With Adam, 1 layer repeats {spread(right[1])} and 2 layers {spread(right[2])} of the symbols.",
        min(statistics.median(right[1]), statistics.median(right[2])) > 0.9,
    )
    return flow, moved


def logarithms(units, steps, draws, shared):
    """log10 of how much of a vector's length is left after `steps` products with random matrices, for each draw.

    The matrices keep a vector's length on average: their numbers are normal with a deviation of 1 / sqrt(units).
    """
    matrix = torch.randn(draws, units, units, dtype=torch.float64) / math.sqrt(units)
    vector = F.normalize(torch.randn(draws, units, 1, dtype=torch.float64), dim=1)
    total = torch.zeros(draws, dtype=torch.float64)
    for _ in range(steps):
        if not shared:
            matrix = torch.randn(draws, units, units, dtype=torch.float64) / math.sqrt(units)
        vector = matrix @ vector
        length = vector.norm(dim=1, keepdim=True)
        total += length.log10().flatten()
        vector = vector / length
    return total


def shared_against_own(lesson):
    """One matrix at every step against a matrix of its own at every step."""
    draws, lengths = lesson.full(400, quick=200), [5, 10, 20, 50]
    widths, found = [1, 8, 64], {}
    for units in widths:
        for shared in (True, False):
            found[units, shared] = [logarithms(units, steps, draws, shared) for steps in lengths]
    spreads = {key: [values.std().item() for values in each] for key, each in found.items()}
    rows = [
        [units, "shared" if shared else "of its own", *(f"{value:.2f}" for value in spreads[units, shared])]
        for units, shared in found
    ]
    lesson.table(
        f"The gradient after T steps: standard deviation of its log10 over {draws} random draws",
        ["units", "matrix at each step", *(f"T = {steps}" for steps in lengths)],
        rows,
    )
    growth = {key: values[-1] / values[1] for key, values in spreads.items()}
    lesson.fact(
        f"From 10 to 50 steps, five times as many, the spread of one shared number grows {growth[1, True]:.1f} times, "
        f"that "
        f"of numbers of their own {growth[1, False]:.1f} times, where sqrt(5) = 2.2.",
        4 < growth[1, True] < lesson.full(6, quick=8) and 1.8 < growth[1, False] < 2.7,
    )
    ratio = {units: spreads[units, True][-1] / spreads[units, False][-1] for units in widths}
    lesson.fact(
        f"After 50 steps, sharing makes the spread {ratio[1]:.1f} times as wide with 1 unit, {ratio[8]:.1f} times "
        f"with 8, "
        f"{ratio[64]:.1f} times with 64.",
        ratio[1] > 4 and ratio[8] > 1.3 and ratio[1] > ratio[8],
    )
    return lengths, spreads


def main(lesson: Lesson) -> None:
    flow, moved = deep_stacks(lesson)
    lengths, spreads = shared_against_own(lesson)

    layers, weights, luck = lesson.picture(
        "Left: the gradient of each layer's U in a stack of 8, relative to the top layer, one line for each seed: it "
        "falls from layer to layer downwards, with sigmoid far more than with tanh. Middle: how far gradient descent "
        "moved each layer's U: the lower, the "
        "less. Right: the spread of the gradient's logarithm against the number of steps: steep lines where one matrix "
        "is shared, level ones where each step has its own.",
        panels=3,
    )
    by_layer = {a: flow[a, 8] for a in moved}
    for axes, lines in ((layers, by_layer), (weights, moved)):
        for activation, look in (("tanh", LOOKS["LSTM"]), ("sigmoid", LOOKS["GRU"])):
            for seed, line in enumerate(lines[activation]):
                axes.plot(range(1, 9), line, alpha=0.7, label=None if seed else activation, **look)
        axes.legend(frameon=False, fontsize=8)
        axes.set(xlabel="layer, from the lowest", yscale="log")
    layers.set(title="gradient of U, relative to the top layer")
    weights.set(title="how far SGD moved U")
    looks = zip((1, 8, 64), (LOOKS["RNN"], LOOKS["GRU"], LOOKS["LSTM"]), strict=True)
    for units, look in looks:
        for shared, style in ((True, "-"), (False, "--")):
            label = f"{units} units, {'shared' if shared else 'own'}".replace("1 units", "1 unit")
            luck.plot(lengths, spreads[units, shared], style, label=label, **look)
    luck.set(title="spread of log10 of the gradient", xlabel="steps T", yscale="log", ylim=(0.05, 300))
    luck.legend(frameon=False, fontsize=7, loc="upper left", ncols=2)


if __name__ == "__main__":
    teach(main)
