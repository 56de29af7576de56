"""7. Backpropagation through time, whole and truncated

Whole, the gradient of every step's loss goes back to the first step. Truncated at k, it goes back k steps at most,
while the state goes on for ever:

    for output, target in truncated(layer, x, y, every=k):    # the state is handed on, its gradient is cut
        loss(output, target).backward()

With k >= T it is the same gradient. With smaller k it is another, biased one: what it leaves out is what lies further
back than k. In exchange its memory is that of k steps instead of T, however long the stream.

Only in part: truncation limits what can be learnt, not what can be held. To repeat what was heard d steps ago,
gradients must reach back d steps. To hold a value until the next one comes, it is enough to learn "keep", which is the
same at every step: windows of 10 suffice for hundreds, if the state is carried. And a biased gradient is not a useless
one: at the beginning of training most of the gradient lies in the last few steps anyway.
"""

import statistics

import torch
from torch.nn import functional as F

import carousel
from carousel.course.learning import Network, layer_of, learn
from carousel.course.lesson import LOOKS, Lesson, spread, teach
from carousel.training import Carry, truncated

STEPS = 128


def gradient(network, pieces):
    """The gradient of a mean loss over all steps, as one long vector, from (output, target) piece by piece."""
    network.zero_grad()
    for output, target in pieces:
        ((output - target).square().sum() / STEPS).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters()])


def held_for_backward(pieces):
    """The most bytes that autograd keeps at once while these pieces are made and sent back."""
    held = most = 0

    class Kept:
        def __init__(self, tensor):
            nonlocal held, most
            self.tensor, self.bytes = tensor, tensor.numel() * tensor.element_size()
            held += self.bytes
            most = max(most, held)

        def __del__(self):
            nonlocal held
            held -= self.bytes

    with torch.autograd.graph.saved_tensors_hooks(Kept, lambda kept: kept.tensor):
        for output, target in pieces:
            (output - target).square().sum().backward()
    return most


def bias_and_cost(lesson):
    """The truncated gradient beside the whole one, as k shrinks, before and after training an LSTM to look back."""
    network = Network(layer_of("LSTM", 1, 16), 1).double()
    x = torch.randn(STEPS, 8, 1, dtype=torch.float64)

    def slow(x):
        """A target with a long memory: an average of the past that forgets a twentieth at every step."""
        y, values = torch.zeros_like(x[0]), []
        for value in x:
            y = 0.95 * y + value
            values.append(y / 3)
        return torch.stack(values)

    def loss():
        x = torch.randn(64, 32, 1, dtype=torch.float64)
        return (network(x)[0] - slow(x)).square().mean()

    y, windows = slow(x), [1, 2, 4, 8, 16, 32, 64, 128, 256]
    apart, rows = {}, []
    for when in ("before", "after"):
        if when == "after":
            learn(network, loss, lesson.full(1000, quick=150))
        whole = gradient(network, [(network(x)[0], y)])
        cut = {k: gradient(network, truncated(network, x, y, every=k)) for k in windows}
        apart[when] = [((cut[k] - whole).norm() / whole.norm()).item() for k in windows]
    memory = {k: held_for_backward(truncated(network, x, y, every=k)) for k in windows}
    longer = held_for_backward(truncated(network, x.repeat(4, 1, 1), y.repeat(4, 1, 1), every=16))
    rows = [[k, b, a, memory[k] / 1024] for k, b, a in zip(windows, apart["before"], apart["after"], strict=True)]
    lesson.table(
        f"Truncated at k against whole backpropagation, T = {STEPS}",
        ["k", "bias before training", "bias after training", "kept for backward, KiB"],
        rows,
    )
    often = gradient(network, truncated(network, x, y, every=16, over=STEPS))
    same = max(*apart["before"][-2:], *apart["after"][-2:], ((often - whole).norm() / whole.norm()).item())
    lesson.fact(
        f"With k >= T the gradient is the same, in one piece or gathered 16 steps at a time, to {same:.1e} (float64).",
        same < 1e-12,
    )
    at = windows.index(16)
    lesson.fact(
        f"At k = 16 it is off by {apart['before'][at]:.0%} of its size before training, by {apart['after'][at]:.0%} "
        f"after learning to look further back; it takes {memory[16] / memory[STEPS]:.0%} of the memory.",
        apart["before"][at] > 1e-6 and apart["after"][at] > apart["before"][at] and memory[16] < 0.2 * memory[STEPS],
    )
    lesson.fact(
        f"A stream four times as long takes {longer / memory[16]:.2f} times as much memory at k = 16.",
        longer < 1.1 * memory[16],
    )
    return windows, apart, memory


def echo(steps, batch, delay):
    """Random signs, and what was heard `delay` steps ago: x (T, B, 1), the target (T, B) and which steps have one."""
    x = torch.randint(2, (steps, batch)).float() * 2 - 1
    return x.unsqueeze(-1), x.roll(delay, 0), torch.arange(steps) >= delay


def hold(steps, batch, every=25):
    """Mostly silence; now and then a sign: x (T, B, 1), the last sign heard (T, B), and how long ago (T, B)."""
    sign = (torch.rand(steps, batch) < 1 / every) * (torch.randint(2, (steps, batch)).float() * 2 - 1)
    sign[0] = torch.randint(2, (batch,)).float() * 2 - 1
    last, since, age, values = torch.zeros(batch), torch.zeros(batch), [], []
    for heard in sign:
        last = torch.where(heard != 0, heard, last)
        since = torch.where(heard != 0, 0, since + 1)
        values.append(last)
        age.append(since)
    return sign.unsqueeze(-1), torch.stack(values), torch.stack(age)


DELAY = 5  # of the echo


def learnt_echo(k, seed, updates, delay=DELAY):
    """The share of the echo that is right after so many updates, truncated at k with the state carried."""
    torch.manual_seed(seed)
    network, carry = Network(carousel.LSTM(1, 32), 1), Carry()
    stream = iter(echo(updates * k + delay, 16, delay)[0].split(k))
    past = torch.zeros(delay, 16, 1)

    def loss():
        nonlocal past
        heard = torch.cat([past, next(stream)])
        past = heard[-delay:].clone()
        y, carry.state = network(heard[delay:], carry.state)
        target = heard[: len(heard) - delay]
        return F.binary_cross_entropy_with_logits(y, (target > 0).float())

    learn(network, loss, updates)
    x, target, there = echo(400, 50, delay)
    with torch.no_grad():
        right = (network(x)[0][..., 0] > 0) == (target > 0)
    return right[there].float().mean().item()


def learnt_hold(carried, seed, updates, k=10):
    """Whether the last sign heard is still known, right or wrong and how long ago, of a stream of 2,000 steps."""
    torch.manual_seed(seed)
    network, carry = Network(layer_of("LSTM", 1, 16), 1), Carry()
    x, target, _ = hold(updates * k, 16)
    windows = iter(zip(x.split(k), target.split(k), strict=True))

    def loss():
        heard, last = next(windows)
        y, carry.state = network(heard, carry.state if carried else None)
        return F.binary_cross_entropy_with_logits(y[..., 0], (last > 0).float())

    learn(network, loss, updates)
    x, target, age = hold(2000, 50)
    with torch.no_grad():
        right = (network(x)[0][..., 0] > 0) == (target > 0)
    return right, age


AGES = ((0, 10), (10, 30), (30, 100), (100, 1000))


def main(lesson: Lesson) -> None:
    windows, apart, memory = bias_and_cost(lesson)
    seeds = range(lesson.full(3, quick=1))

    reach = lesson.full([2, 3, 5, 7, 10, 20], quick=[2, 20])
    repeated = {k: [learnt_echo(k, seed, 700) for seed in seeds] for k in reach}
    lesson.table(
        f"Repeating what was heard {DELAY} steps ago, the state carried, truncated at k: rightly repeated",
        [f"k = {k}" for k in reach],
        [[spread(values) for values in repeated.values()]],
    )
    lesson.fact(
        f"Truncated at 2 the echo of {DELAY} steps is not learnt ({spread(repeated[2])}, guessing gives 0.5), at 20 it "
        f"is ({spread(repeated[20])}).",
        max(repeated[2]) < 0.75 and min(repeated[20]) > 0.95,
    )

    held = {}
    for name, carried in (("carried", True), ("fresh", False)):
        found = [learnt_hold(carried, seed, lesson.full(1000, quick=700)) for seed in seeds]
        held[name] = [
            [right[(age >= low) & (age < high)].float().mean().item() for right, age in found] for low, high in AGES
        ]
    lesson.table(
        "Holding the last sign, windows of 10 steps: rightly held, by the steps since it was heard",
        ["state", *(f"{low} to {high - 1}" for low, high in AGES)],
        [[name, *map(spread, values)] for name, values in held.items()],
    )
    lesson.fact(
        f"With the state carried, windows of 10 steps teach to hold a sign for 100 steps and more: right are "
        f"{spread(held['carried'][-1])}; with a fresh state in every window, {spread(held['fresh'][-1])}.",
        min(held["carried"][-1]) > 0.9 and statistics.median(held["fresh"][-1]) < 0.8,
    )

    bias, cost, heard, keeps = lesson.picture(
        "Top left: the bias of the truncated gradient against k: it falls as k grows and is nothing at k = 128, the "
        "length of the sequence; after training it falls later than before. Top right: what is kept for backward, "
        "growing in step with k. Bottom left: the echo is learnt from where k is a little above its 5 steps. Bottom "
        "right: a sign held, by its age: level near 1 with the state carried, falling with fresh states.",
        panels=4,
        rows=2,
    )
    for (when, values), look in zip(apart.items(), (LOOKS["coupled LSTM"], LOOKS["LSTM"]), strict=True):
        bias.plot(windows, [max(v, 1e-16) for v in values], label=f"{when} training", **look)
    cost.plot(windows, [memory[k] / 1024 for k in windows], **LOOKS["LSTM"])
    for k, values in repeated.items():
        heard.plot([k] * len(values), values, linestyle="none", alpha=0.7, **LOOKS["LSTM"])
    for (name, values), look in zip(held.items(), (LOOKS["LSTM"], LOOKS["RNN"]), strict=True):
        for seed in seeds:
            keeps.plot([v[seed] for v in values], alpha=0.7, label=None if seed else f"state {name}", **look)
    bias.set(title="bias of the gradient", xlabel="k", xscale="log", ylabel="share of its norm", ylim=(-0.05, 1.3))
    cost.set(title="kept for backward, KiB", xlabel="k", xscale="log", yscale="log")
    heard.axvline(DELAY, color="#555555", linestyle="--", linewidth=1)
    heard.set(title=f"echo of {DELAY} steps, rightly repeated", xlabel="k", xscale="log", ylim=(0.45, 1.03))
    heard.set_xticks(reach, map(str, reach))
    heard.minorticks_off()
    keeps.set_xticks(range(len(AGES)), [f"{low} to {high - 1}" for low, high in AGES])
    keeps.set(title="a sign rightly held, k = 10", xlabel="steps since it was heard", ylim=(0.3, 1.03))
    bias.legend(frameon=False)
    keeps.legend(frameon=False, loc="lower left")


if __name__ == "__main__":
    teach(main)
