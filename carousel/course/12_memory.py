"""12. What an RNN remembers of a sentence, and where an LSTM keeps it: c against h

The plain RNN of most notes answers where what matters stands a few words back ("the clouds are in the sky", "the fish
swims in the water") and loses it where more words come between. An LSTM has two states. Notes call c its long-term
memory and h its short-term one: c goes from step to step, h is what a step shows of it, o tanh(c).

Where a number is stored for later, a straight line through a state (a linear regression) finds it if the state holds
it.

Only in part: "short-term" is not what h is by construction. h = o tanh(c) shows less of the memory while a number
waits, and a line finds it there as well as in c; o would have to shut to the last bit to hide it, as the unit of lesson
6 does that was set by hand. And the RNN's limit is one of learning from torch's initial weights, not of the equation:
from an orthogonal U it goes further with some seeds (lesson 4).
"""

import statistics
from importlib import import_module

import torch
from torch.nn import functional as F

import carousel
from carousel.course.learning import Network, layer_of, learn, store, store_network
from carousel.course.lesson import LOOKS, Lesson, count_of_seeds, spread, teach

ENDS = {"clouds": "sky", "fish": "water", "birds": "nest", "bees": "hive", "trains": "station"}
FILLERS = ["which", "we", "saw", "so", "often", "last", "year", "again"]
WORDS = ["the", "are", "in", *ENDS, *FILLERS]


def sentences(between, batch):
    """ "the clouds (so many words) are in the": x (T, B, words), and which word comes next, (B)."""
    subject = torch.randint(len(ENDS), (batch,))
    filler = torch.randint(len(FILLERS), (between, batch)) + WORDS.index(FILLERS[0])
    said = {word: torch.full((1, batch), WORDS.index(word)) for word in ("the", "are", "in")}
    first = (subject + WORDS.index(next(iter(ENDS))))[None]
    text = torch.cat([said["the"], first, filler, said["are"], said["in"], said["the"]])
    return F.one_hot(text, len(WORDS)).float(), subject


def completed(cell, between, seed, steps):
    """The share of sentences that are rightly completed after so many steps of training."""
    torch.manual_seed(seed)
    layer = carousel.RNN(len(WORDS), 32) if cell == "RNN" else layer_of(cell, len(WORDS), 32, longest=2 * between + 8)
    network = Network(layer, len(ENDS))

    def loss():
        x, answer = sentences(between, 32)
        return F.cross_entropy(network(x)[0][-1], answer)

    def right():
        with torch.no_grad():
            x, answer = sentences(between, 500)
            return (network(x)[0][-1].argmax(-1) == answer).float().mean().item()

    learn(network, loss, steps, rate=0.003, enough=lambda: right() > 0.995)
    return right()


def short_and_long(lesson):
    gaps = lesson.full([0, 5, 20, 80], quick=[0, 5, 40])
    seeds, steps = range(lesson.full(3, quick=1)), lesson.full(400, quick=200)
    found = {
        (cell, gap): [completed(cell, gap, seed, steps) for seed in seeds] for cell in ("RNN", "LSTM") for gap in gaps
    }
    lesson.table(
        f"Sentences completed ({', '.join(f'{a} ... {b}' for a, b in list(ENDS.items())[:2])}, ...), by the words "
        f"between: "
        f"median and range of {count_of_seeds(len(seeds))}; guessing: 0.2",
        ["cell", *(f"{gap} words" for gap in gaps)],
        [[cell, *(spread(found[cell, gap]) for gap in gaps)] for cell in ("RNN", "LSTM")],
    )
    lesson.numbers["sentences completed"] = {f"{cell}, {gap}": values for (cell, gap), values in found.items()}
    lesson.fact(
        f"With no words or 5 words between, a plain RNN completes {spread(found['RNN', 0] + found['RNN', 5])} of the "
        f"sentences.",
        min(found["RNN", 0] + found["RNN", 5]) > 0.9,
    )
    lesson.fact(
        f"Over {gaps[-1]} words it guesses, {spread(found['RNN', gaps[-1]])}; an LSTM from chrono completes "
        f"{spread(found['LSTM', gaps[-1]])}.",
        statistics.median(found["RNN", gaps[-1]]) < 0.5 and statistics.median(found["LSTM", gaps[-1]]) > 0.8,
    )
    return found, gaps


def explained(states, target):
    """How much of the variance of `target` (N) a linear regression on `states` (N, H) explains, judged on other "
    "rows."""
    half = len(states) // 2
    ones = torch.cat([states, torch.ones(len(states), 1)], -1).double()
    weights = torch.linalg.lstsq(ones[:half], target[:half, None].double()).solution
    error = (ones[half:] @ weights).flatten() - target[half:]
    return max(0.0, 1 - (error.square().mean() / target[half:].double().var()).item())


def where_it_is_kept(seed, steps):
    """The share explained by c and by h, by the steps since the number was written: where it is shown, and else."""
    network = store_network(seed, steps)
    x, stored, _ = store(40, 2000)
    age, ages = torch.full(x.shape[1:2], -1), []
    for order in x.unbind():
        age = torch.where(order[:, 1] > 0, 0, torch.where((order[:, 2] > 0) | (age < 0), -1, age + 1))
        ages.append(age)
    age = torch.stack(ages)
    with torch.no_grad():
        _, _, states = network.layer(x, return_states=True)
    found = {}
    for name in ("c", "h"):
        for shown in (False, True):
            for low, high in AGES:
                at = (age >= low) & (age <= high) & ((x[..., 3] > 0) == shown)
                found[name, shown, low] = explained(states[name][0][at], stored[at])
    held = age > 0
    c, h = states["c"][0], states["h"][0]
    unit = int(torch.corrcoef(torch.cat([stored[held][None], c[held].T]))[0, 1:].abs().argmax())
    for shown in (False, True):
        at = held & ((x[..., 3] > 0) == shown)
        found["shown of it", shown] = (h[at, unit].abs().mean() / c[at, unit].tanh().abs().mean()).item()
    return found


AGES = ((1, 2), (3, 5), (6, 10), (11, 20))


def memory_and_output(lesson):
    seeds = range(lesson.full(3, quick=1))
    runs = [where_it_is_kept(seed, lesson.full(1500, quick=600)) for seed in seeds]
    found = {key: [run[key] for run in runs] for key in runs[0] if len(key) == 3}
    columns = [f"{low} to {high} steps" for low, high in AGES]
    rows = [
        [name, "is shown" if shown else "waits", *(spread(found[name, shown, low]) for low, _ in AGES)]
        for name in ("c", "h")
        for shown in (False, True)
    ]
    lesson.table(
        f"How much of the stored number a line through the state gives, by the steps since it was written: median and "
        f"range "
        f"of {count_of_seeds(len(seeds))}",
        ["state", "the number", *columns],
        rows,
    )
    lesson.numbers["share explained"] = {f"{n}, {'shown' if s else 'waits'}, {a}": v for (n, s, a), v in found.items()}
    c, h = found["c", False, 6], found["h", False, 6]
    lesson.fact(
        f"6 to 10 steps after it was written, while it waits, c gives {spread(c)} of the stored number, and h "
        f"{spread(h)}: h reaches as far back as c.",
        min(c) > 0.9 and statistics.median(h) > 0.9,
    )
    waits, shown = ([run["shown of it", which] for run in runs] for which in (False, True))
    lesson.fact(
        f"What differs is how much is shown: in the unit that holds the number, h is {spread(waits)} of tanh(c) while "
        f"it "
        f"waits, and {spread(shown)} where it is asked for.",
        all(a < b for a, b in zip(waits, shown, strict=True)),
    )
    hidden = import_module("carousel.course.06_equations").clockwork(50, ())
    lesson.fact(
        f"A gate that is shut hides it: h of the counting unit of lesson 6 stays below 1e-9 while its c runs up to "
        f"{hidden[1].max().item():.0f}.",
        hidden[0].abs().max().item() < 1e-9 and hidden[1].max().item() > 100,
    )
    return found


def main(lesson: Lesson) -> None:
    sentences_, gaps = short_and_long(lesson)
    kept = memory_and_output(lesson)

    left, right = lesson.picture(
        "Left: sentences completed against the words between; the RNN falls to a guess, the LSTM stays at 1. Right: "
        "how much of the stored number a line through the states gives, by the steps since it was written: c and h "
        "both stay at 1, while the number waits and where it is shown.",
        panels=2,
        height=4.0,
    )
    for cell in ("RNN", "LSTM"):
        look = LOOKS[cell]
        for gap in gaps:
            values = sentences_[cell, gap]
            left.plot([gap] * len(values), values, linestyle="none", alpha=0.4, **look)
        left.plot(gaps, [statistics.median(sentences_[cell, gap]) for gap in gaps], label=cell, **look)
    left.axhline(1 / len(ENDS), color="#555555", linestyle="--", linewidth=1)
    left.set(title="sentences completed", xlabel="words between", ylim=(0, 1.05))
    for name, look in (("c", LOOKS["LSTM"]), ("h", LOOKS["RNN"])):
        for shown, style in ((False, "-"), (True, "--")):
            middle = [statistics.median(kept[name, shown, low]) for low, _ in AGES]
            right.plot(range(len(AGES)), middle, style, label=f"{name}, {'shown' if shown else 'waits'}", **look)
    right.set_xticks(range(len(AGES)), [f"{low} to {high}" for low, high in AGES])
    right.set(title="stored number found in the state", xlabel="steps since it was written", ylim=(0, 1.05))
    for axes in (left, right):
        axes.legend(frameon=False, fontsize=8, loc="lower left")


if __name__ == "__main__":
    teach(main)
