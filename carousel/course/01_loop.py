"""1. A layer fed back into itself is a loop, and the loop is a chain of copies that share their weights

A recurrent layer is one tanh layer whose output comes back as an input:

    h_t = tanh(W x_t + b + U h_{t-1} + c)

Written out for T steps it is a feed-forward chain of T layers, all with the same W and U. So loop and chain give the
same outputs; the gradient of a shared weight is the sum of the gradients of its copies; and the number of parameters
does not depend on T, where a network that reads a whole window at once needs more for every further step. Sharing is
also knowledge: what was learnt at one time of the sequence is known at every other.

Only in part: loop and chain agree to rounding, not to the bit, as sums are taken in another order. And sharing helps
where the rule is the same at all times; a rule that depends on the time itself must first be learnt as a count.
"""

import torch
from torch import nn
from torch.nn import functional as F

import carousel
from carousel.course.learning import Network, learn, parameters
from carousel.course.lesson import LOOKS, Lesson, spread, teach

LENGTH, SYMBOLS = 24, 4  # of the sequences to be judged; what they are made of


def tanh_step(x, h, weights):
    """The equation above, one step."""
    from_input = F.linear(x, weights["weight_ih_l0"], weights["bias_ih_l0"])
    return torch.tanh(from_input + F.linear(h, weights["weight_hh_l0"], weights["bias_hh_l0"]))


def unrolled(x, weights_of_step):
    """The chain: every step a layer of its own, with the weights it is given."""
    h, outputs = x.new_zeros(x.shape[1], weights_of_step[0]["weight_hh_l0"].shape[1]), []
    for x_t, weights in zip(x, weights_of_step, strict=True):
        h = tanh_step(x_t, h, weights)
        outputs.append(h)
    return torch.stack(outputs)


def same_network_three_ways(lesson):
    """Layer, loop and chain of copies on the same input; the norms of the copies' gradients, step by step."""
    layer = carousel.RNN(3, 8, dtype=torch.float64)
    x = torch.randn(40, 5, 3, dtype=torch.float64)
    shared = dict(layer.named_parameters())
    copies = [{name: p.detach().clone().requires_grad_() for name, p in shared.items()} for _ in x]
    ways = {"layer": layer(x)[0], "loop": unrolled(x, [shared] * len(x)), "chain": unrolled(x, copies)}
    gradients = {}
    for way, outputs in ways.items():
        layer.zero_grad()
        outputs[-1].sum().backward()
        gradients[way] = [p.grad for p in shared.values()]
    gradients["chain"] = [sum(copy[name].grad for copy in copies) for name in shared]

    apart = max((ways["layer"] - ways[way]).abs().max().item() for way in ("loop", "chain"))
    lesson.fact(f"Layer, loop and chain: outputs at most {apart:.1e} apart (float64, 40 steps).", apart < 1e-14)
    apart = max(
        (ours - others).abs().max().item() / ours.abs().max().item()
        for way in ("loop", "chain")
        for ours, others in zip(gradients["layer"], gradients[way], strict=True)
    )
    lesson.fact(
        f"The gradient of each shared weight is the sum over its 40 copies, to {apart:.1e} of its size.", apart < 1e-13
    )
    return [copy["weight_hh_l0"].grad.norm().item() for copy in copies]


def window_reader(length):
    """A feed-forward network on the whole sequence at once: (B, T, symbols) -> (B, T)."""
    return nn.Sequential(nn.Flatten(), nn.Linear(length * SYMBOLS, 32), nn.Tanh(), nn.Linear(32, length))


class LoopReader(Network):
    """The recurrent network, which answers at every step: (B, T, symbols) -> (B, T)."""

    def __init__(self):
        super().__init__(carousel.RNN(SYMBOLS, 32), 1)

    def forward(self, x):
        return super().forward(x.transpose(0, 1))[0][..., 0].T


def sequences(count, places, length=LENGTH):
    """Random symbols, and where a 2 was directly followed by a 3: in three places a row, which are among `places`."""
    x = torch.randint(SYMBOLS, (count, length))
    x[:, 1:][(x[:, :-1] == 2) & (x[:, 1:] == 3)] = 0
    rows = torch.arange(count)
    for _ in range(3):
        at = places[torch.randint(len(places), (count,))]
        x[rows, at], x[rows, at + 1] = 2, 3
    found = torch.zeros(count, length)
    found[:, 1:] = (x[:, :-1] == 2) & (x[:, 1:] == 3)
    return F.one_hot(x, SYMBOLS).float(), found


def hits(network, places, length=LENGTH):
    """The share of patterns that are found, less the share of other steps where one is seen that is not there."""
    with torch.no_grad():
        x, found = sequences(1000, places, length)
        said, there = network(x) > 0, found > 0
        return (said[there].float().mean() - said[~there].float().mean()).item()


def taught_at_one_time(lesson):
    """Both readers learn to find "2, 3" where it stands in the first half, and are asked about the second."""
    first, second, far = torch.arange(LENGTH // 2 - 1), torch.arange(LENGTH // 2, LENGTH - 1), torch.arange(900, 999)
    results, longer = {"RNN": ([], []), "window": ([], [])}, []
    for seed in range(lesson.full(5, quick=2)):
        torch.manual_seed(seed)
        for name, network in (("RNN", LoopReader()), ("window", window_reader(LENGTH))):

            def loss(network=network):
                x, found = sequences(64, first)
                return F.binary_cross_entropy_with_logits(network(x), found)

            learn(network, loss, lesson.full(1500, quick=300), rate=0.01)
            for half, places in zip(results[name], (first, second), strict=True):
                half.append(hits(network, places))
            if name == "RNN":
                longer.append(hits(network, far, length=1000))
    lesson.numbers["found by seed, taught half and other half"] = results
    lesson.numbers["found by the RNN in sequences of 1,000 steps"] = longer
    (taught, elsewhere), (window_taught, window_elsewhere) = (map(spread, results[name]) for name in results)
    lesson.fact(
        f'"2 directly followed by 3" is taught in the first half of {LENGTH} steps only. There the RNN finds {taught} '
        f"of them and the network on the window {window_taught} (median and range of seeds, less false alarms). In "
        f"the second half the RNN finds {elsewhere}, the window {window_elsewhere}.",
        min(results["RNN"][1]) > 0.9 and min(results["window"][0]) > 0.5 and max(results["window"][1]) < 0.1,
    )
    lesson.fact(
        f"After 900 steps, of sequences 40 times as long as any it was taught, the RNN finds {spread(longer)}; a "
        f"window of {LENGTH} cannot read them.",
        min(longer) > 0.9,
    )
    return results


def main(lesson: Lesson) -> None:
    norms = same_network_three_ways(lesson)

    lengths = [10, 30, 100, 300, 1000]
    counts = {
        "RNN": [parameters(LoopReader())] * len(lengths),
        "window": [parameters(window_reader(t)) for t in lengths],
    }
    rows = list(zip(lengths, counts["RNN"], counts["window"], strict=True))
    lesson.table("Parameters, 32 units, 4 symbols", ["steps T", "RNN", "network on the window"], rows)
    grows = (counts["window"][-1] - counts["window"][0]) / (lengths[-1] - lengths[0])
    lesson.fact(
        f"The RNN has {counts['RNN'][0]:,} parameters for any T; the window costs {grows:.0f} for every further step.",
        len({parameters(LoopReader()) for _ in lengths}) == 1 and grows == 32 * SYMBOLS + 33,
    )
    results = taught_at_one_time(lesson)

    copies, size, halves = lesson.picture(
        "Left: the gradient that each of 40 copies of U gets from the last output; late copies get most, early ones "
        "almost nothing. Middle: parameters against the length, level for the RNN, rising for the window. Right: "
        "share of the patterns found: where they were taught both are near 1, at other times only the RNN.",
        panels=3,
    )
    copies.bar(range(1, len(norms) + 1), norms, color=LOOKS["RNN"]["color"])
    copies.set(title="what each copy of U adds to its gradient", xlabel="step of the copy", ylabel="norm", yscale="log")
    for name, look, shift in (("RNN", LOOKS["RNN"], -0.06), ("window", LOOKS["LSTM"], 0.06)):
        size.plot(lengths, counts[name], label=name, **look)
        for half, values in enumerate(results[name]):
            label = None if half else name
            halves.plot([half + shift] * len(values), values, linestyle="none", label=label, alpha=0.7, **look)
    size.set(title="parameters", xlabel="steps T", xscale="log", yscale="log")
    size.legend(frameon=False)
    halves.set(title="patterns found, each mark a seed", xlim=(-0.5, 1.5), ylim=(-0.05, 1.05))
    halves.set_xticks([0, 1], ["first half, taught", "second half, never shown"])
    halves.legend(frameon=False, loc="lower left")


if __name__ == "__main__":
    teach(main)
