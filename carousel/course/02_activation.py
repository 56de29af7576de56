"""2. The activation decides how long a network remembers

In h_t = phi(U h_{t-1} + ...) a difference between two states is multiplied, at every step, by U and by the slope of
phi:

    sigmoid   slope at most 1/4   the difference is at most (|U| / 4)^t: soon nothing is left of the beginning
    tanh      slope at most 1     at most |U|^t; values stay within -1 and 1
    relu      slope 0 or 1        at most |U|^t, and that much where units are on; nothing bounds the values

    sigmoid(a) = 1 / (1 + e^-a)                       its slope: sigmoid(a) (1 - sigmoid(a))
    tanh(a) = (e^a - e^-a) / (e^a + e^-a)             its slope: 1 - tanh(a)^2
    relu(a) = a where a > 0, else 0                   its slope: 1 where a > 0, else 0

|U| is the largest singular value. A network is called prepared where U and b begin so that a difference is kept as well
as phi can: tanh with an orthogonal U, relu with the identity, sigmoid with U = 4 I and b = -2, where its slope of 1/4
is made up for by the 4. So sigmoid forgets in a few steps, tanh slowly, and relu keeps for ever or blows up.

Only in part: the activation sets the bound, the weights decide within it. With a U and a bias prepared for it, each of
the three learns to bridge gaps that it cannot bridge from torch's initial weights; sigmoid, which is at its steepest in
one point only, gains least. And a relu with a random U of |U| = 1.1 shrinks, as half of its units are off.
"""

import torch
from torch.nn import functional as F

import carousel
from carousel.course.learning import Network, learn
from carousel.course.lesson import LOOKS, Lesson, count_of_seeds, spread, teach

LOOK = {"sigmoid": LOOKS["GRU"], "tanh": LOOKS["LSTM"], "relu": LOOKS["RNN"]}
STEEPEST = {"sigmoid": 0.25, "tanh": 1.0, "relu": 1.0}
STEPS, UNITS = 100, 64
TORCHS = "torch's"  # initial weights


FORMULA = {  # of each activation a, and of its slope
    "sigmoid": (lambda a: 1 / (1 + (-a).exp()), lambda y: y * (1 - y)),
    "tanh": (lambda a: (a.exp() - (-a).exp()) / (a.exp() + (-a).exp()), lambda y: 1 - y**2),
    "relu": (lambda a: a * (a > 0), lambda y: (y > 0).double()),
}


def formulas(lesson):
    """The formulas against torch's functions, and the slopes against autograd's; the curves to be drawn."""
    a = torch.linspace(-4, 4, 161, dtype=torch.float64, requires_grad=True)
    curves, apart = {}, 0.0
    for name, (function, slope) in FORMULA.items():
        y = getattr(torch, name)(a)
        (derivative,) = torch.autograd.grad(y.sum(), a)
        apart = max(apart, *((p - q).abs().max().item() for p, q in ((function(a), y), (slope(y), derivative))))
        curves[name] = (a.detach(), y.detach(), derivative)
    steepest = {name: derivative.max().item() for name, (_, _, derivative) in curves.items()}
    lesson.fact(
        f"The three formulas and their slopes are torch's, to {apart:.1e}; their steepest slopes are "
        f"{steepest['sigmoid']:g}, {steepest['tanh']:g} and {steepest['relu']:g}.",
        apart < 1e-14 and steepest == STEEPEST,
    )
    return curves


def left_to_itself(activation, U, h):
    """The states of h' = phi(U h) for STEPS steps from h, (1, B, H): (STEPS, B, H)."""
    layer = carousel.RNN(1, U.shape[0], nonlinearity=activation, bias=False, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_hh_l0.copy_(U)
        return layer(torch.zeros(STEPS, h.shape[1], 1, dtype=torch.float64), h)[0]


def differences(activation, U):
    """How far apart two states are after each step, as a share of how far apart they began: the median of 50 pairs,
    and the largest ratio of any to the bound of the docstring."""
    start = torch.rand(1, 50, UNITS, dtype=torch.float64)
    other = start + 0.1 * torch.randn_like(start)
    apart = (left_to_itself(activation, U, start) - left_to_itself(activation, U, other)).norm(dim=-1)
    share = apart / (start - other).norm(dim=-1)
    gain = torch.linalg.matrix_norm(U, ord=2) * STEEPEST[activation]
    bound = gain ** torch.arange(1, STEPS + 1, dtype=torch.float64).unsqueeze(1)
    # Below the rounding of the states themselves there is nothing to compare.
    real = apart > 1e-13
    return share.median(1).values, (share / bound)[real].max().item()


def steps_kept(share):
    """Steps until 1 % of a difference is left."""
    gone = (share < 0.01).nonzero()
    return int(gone[0]) + 1 if len(gone) else f"over {STEPS}"


def remembers(activation, start, lag, seed):
    """Accuracy in naming the first of four symbols after `lag` steps of noise, of a network that learnt to."""
    torch.manual_seed(seed)
    layer = carousel.RNN(5, 32, nonlinearity=activation)
    if start == "prepared":
        layer.initialize("orthogonal" if activation == "tanh" else "identity")
    if start == "prepared" and activation == "sigmoid":
        with torch.no_grad():  # at h = 1/2 the sum is 4/2 - 2 = 0, where the slope is 1/4: a factor of 1 a step
            layer.weight_hh_l0.mul_(4)
            layer.bias_hh_l0.fill_(-2)
    network = Network(layer, 4)

    def batch(size):
        label = torch.randint(4, (size,))
        x = torch.zeros(lag + 1, size, 5)
        x[0, :, :4] = F.one_hot(label, 4)
        x[1:, :, 4] = torch.rand(lag, size) - 0.5
        return x, label

    def loss():
        x, label = batch(32)
        return F.cross_entropy(network(x)[0][-1], label)

    learn(network, loss, 400, rate=0.003)
    with torch.no_grad():
        x, label = batch(500)
        return (network(x)[0][-1].argmax(-1) == label).float().mean().item()


def main(lesson: Lesson) -> None:
    curves = formulas(lesson)
    Q = torch.linalg.qr(torch.randn(UNITS, UNITS, dtype=torch.float64)).Q
    identity = torch.eye(UNITS, dtype=torch.float64)
    matrices = {"0.9 Q": 0.9 * Q, "Q": Q, "1.1 Q": 1.1 * Q, "I": identity, "1.1 I": 1.1 * identity, "4 I": 4 * identity}
    shares, worst = {}, 0.0
    for activation in LOOK:
        for name, U in matrices.items():
            shares[activation, name], ratio = differences(activation, U)
            worst = max(worst, ratio)
    lesson.fact(f"No difference ever exceeds its bound: the largest is {worst:.3f} of it.", worst < 1 + 1e-9)
    rows = [[activation, *(steps_kept(shares[activation, name]) for name in matrices)] for activation in LOOK]
    lesson.table("Steps until 1 % of a difference is left (Q is orthogonal, I the identity)", ["", *matrices], rows)
    kept = shares["sigmoid", "Q"][9].item()
    lesson.fact(f"Sigmoid, |U| = 1: after 10 steps {kept:.1e} of a difference is left.", 0 < kept <= 0.25**10)

    positive = torch.rand(1, 1, UNITS, dtype=torch.float64)
    grown = {a: left_to_itself(a, 1.1 * identity, positive).abs().amax((1, 2)) for a in LOOK}
    factor = (grown["relu"][-1] / positive.max()).item()
    lesson.fact(
        f"U = 1.1 I, 100 steps: relu's values grow {factor:,.1f} times, which is 1.1^100; tanh stays at "
        f"{grown['tanh'].max().item():.2f} and sigmoid at {grown['sigmoid'].max().item():.2f} at most.",
        abs(factor / 1.1**100 - 1) < 1e-12 and grown["tanh"].max() < 1 and grown["sigmoid"].max() < 1,
    )
    shrunk = left_to_itself("relu", 1.1 * Q, positive).norm(dim=-1)[19, 0].item() / positive.norm().item()
    lesson.fact(
        f"U = 1.1 Q with a random Q: after 20 steps relu's values are {shrunk:.1e} of what they were.", shrunk < 0.1
    )

    lags = lesson.full([5, 20, 60], quick=[5])
    seeds = lesson.full(5, quick=2)
    learnt = {
        (activation, start, lag): [remembers(activation, start, lag, seed) for seed in range(seeds)]
        for activation in LOOK
        for start in (TORCHS, "prepared")
        for lag in lags
    }
    rows = [[a, start, *(spread(learnt[a, start, lag]) for lag in lags)] for a, start, lag in learnt if lag == lags[0]]
    lesson.table(
        f"Naming the first of four symbols: accuracy, median and range of {count_of_seeds(seeds)}; guessing gives 0.25",
        ["activation", "initial weights", *(f"after {lag} steps" for lag in lags)],
        rows,
    )
    lesson.numbers["accuracy by seed"] = {f"{a}, {start}, {lag}": values for (a, start, lag), values in learnt.items()}
    lesson.fact(
        f"From torch's initial weights sigmoid does not learn to bridge 5 steps "
        f"({spread(learnt['sigmoid', TORCHS, 5])}); tanh and relu do, and so does a prepared sigmoid "
        f"({spread(learnt['sigmoid', 'prepared', 5])}).",
        max(learnt["sigmoid", TORCHS, 5]) < 0.5
        and min(learnt["tanh", TORCHS, 5] + learnt["relu", TORCHS, 5] + learnt["sigmoid", "prepared", 5]) > 0.9,
    )
    if 60 in lags:
        long = {a: learnt[a, "prepared", 60] for a in LOOK}
        lesson.fact(
            f"Prepared, over 60 steps: tanh {spread(long['tanh'])}, relu {spread(long['relu'])}, sigmoid "
            f"{spread(long['sigmoid'])}.",
            min(long["tanh"] + long["relu"]) > 0.9 and max(long["sigmoid"]) < 0.5,
        )

    shape, left, middle, right = lesson.picture(
        "Top left: the three activations and, dotted, their slopes: sigmoid from 0 to 1 with a slope of 1/4 at most, "
        "tanh "
        "from -1 to 1 with a slope of 1 in the middle, relu 0 and then rising. Top right: what is left of a "
        "difference, step by step, on a logarithmic scale: sigmoid falls off a cliff, tanh "
        "slowly, relu with the identity not at all. Bottom left: the largest value with U = 1.1 I: relu rises to "
        "10,000, "
        "the others stay below 1. Bottom right: accuracy in naming the first symbol against the lag, solid with "
        "torch's "
        "initial weights, dashed with prepared ones.",
        panels=4,
        rows=2,
    )
    for activation, look in LOOK.items():
        at, value, derivative = curves[activation]
        shape.plot(at, value, color=look["color"], label=activation)
        shape.plot(at, derivative, ":", color=look["color"])
        for name, style in (("Q", "-"), ("I", ":")):
            left.plot(
                shares[activation, name].clamp(min=1e-12), style, color=look["color"], label=f"{activation}, U = {name}"
            )
        middle.plot(grown[activation], color=look["color"], label=activation)
        for start, style in ((TORCHS, "-"), ("prepared", "--")):
            means = [sum(learnt[activation, start, lag]) / seeds for lag in lags]
            right.plot(lags, means, style, label=activation if start == TORCHS else None, **look)
    shape.set(title="activations, and their slopes (dotted)", xlabel="a", ylim=(-1.3, 2.2))
    left.set(title="left of a difference", xlabel="step", yscale="log", ylim=(1e-10, 3))
    middle.set(title="largest value, U = 1.1 I", xlabel="step", yscale="log")
    right.set(title="first symbol named, mean accuracy", xlabel="steps between", xscale="log", ylim=(0, 1.05))
    right.set_xticks(lags, map(str, lags))
    right.minorticks_off()
    for style, start in (("-", TORCHS), ("--", "prepared")):
        right.plot([], [], style, color=LOOKS["plain"]["color"], label=f"{start} initial weights")
    right.legend(frameon=False, fontsize=8, loc="lower left")
    for axes in (shape, left, middle):
        axes.legend(frameon=False, fontsize=8)


if __name__ == "__main__":
    teach(main)
