"""11. Peepholes on any gate; coupled gates and the GRU at work: what forgets must write

A peephole lets a gate see the memory c; any of the three gates may have one, and each is an own vector of weights. tanh
squashes the memory where it is shown and nowhere else: c itself has no bound.

Two relatives of the LSTM tie forgetting to writing. The coupled LSTM has no input gate of its own:

    i_t = 1 - f_t,        c_t = f_t c_{t-1} + (1 - f_t) g_t

so that it forgets only when it puts something in its place, and writes only where it forgets. The GRU does the same,
and has one state for memory and output:

    r = sigmoid(W_r x + U_r h + b_r)        n = tanh(W_n x + b_n + r (U_n h + c_n))
    z = sigmoid(W_z x + U_z h + b_z)        h' = (1 - z) n + z h

z is its update gate: near 1 it keeps, near 0 it replaces. r, the reset gate, says how much of the old state the new
content reads. Notes that count sigmoids say that it has two gates.

The task is that of lesson 5: a stream of numbers with orders to write, to erase and to show.

Only in part: an LSTM can learn to couple its gates where that is what the task wants, and an order to write asks for
just that. To erase is where they differ: the LSTM can shut f and write nothing, the coupled one must write a zero. What
a unit's gates do on average holds for the unit that keeps the number; others have other tasks.
"""

import itertools
import statistics
from importlib import import_module

import torch

from carousel.course.learning import Network, layer_of, learn, store
from carousel.course.lesson import LOOKS, Lesson, count_of_seeds, spread, teach
from carousel.insight.figures import draw_cell

CELLS = {"LSTM": ("forget", "input", "c"), "coupled LSTM": ("forget", "input", "c"), "GRU": ("update", "update", "h")}
ORDERS = ("write", "erase", "else")


def peepholes_and_memory(lesson):
    """The unit of lesson 6 that counts to 50, with each subset of the peepholes."""
    equations = import_module("carousel.course.06_equations")
    _, c = equations.clockwork(50, ())
    h = torch.tanh(c)
    lesson.fact(
        f"The counting unit of lesson 6, without peepholes: its memory c runs up to {c.max().item():.0f} in 10,000 "
        f"steps, "
        f"and what may be shown of it, tanh(c), up to {h.max().item():.0f}. The memory itself is not squashed.",
        c.max().item() > 100 and h.max().item() <= 1,
    )
    strikes = {}
    for count in range(4):
        for subset in itertools.combinations(equations.PEEPHOLES, count):
            struck = (equations.clockwork(50, subset)[0] > 0.5).nonzero().flatten() + 1
            strikes[subset] = struck.tolist() == list(range(50, 10_001, 50))
    rows = [[", ".join(subset) or "none", on_time] for subset, on_time in strikes.items()]
    lesson.table("The unit that counts to 50, with each subset of peepholes", ["peepholes", "strikes on time"], rows)
    lesson.fact(
        f"Of the {len(strikes)} subsets of peepholes, those with both forget and output strike on time, and no "
        f"others: one "
        f"to begin anew when the count is full, one to show it.",
        all(on_time == ({"forget", "output"} <= set(subset)) for subset, on_time in strikes.items()),
    )


def at_work(cell, seed, steps):
    """The error of a network that learnt to store; how its gates stand at each order; one sequence of the gates."""
    torch.manual_seed(seed)
    network = Network(layer_of(cell, 4, 8), 1)

    def loss():
        x, _, answer = store(40, 64)
        return (network(x)[0][..., 0] - answer).square().mean()

    learn(network, loss, steps)
    x, stored, answer = store(40, 400)
    keeps, writes, memory = CELLS[cell]
    names = dict.fromkeys((keeps, writes, memory))
    with torch.no_grad(), network.layer.record(*names) as values:
        error = ((network(x)[0][..., 0] - answer).square().mean() / answer.square().mean()).item()
    states = values[memory][0].flatten(0, 1)
    unit = int(torch.corrcoef(torch.cat([stored.reshape(1, -1), states.T]))[0, 1:].abs().argmax())
    keep = values[keeps][0, ..., unit]
    write = 1 - keep if cell == "GRU" else values[writes][0, ..., unit]
    orders = {"write": x[..., 1] > 0, "erase": x[..., 2] > 0}
    orders["else"] = ~(orders["write"] | orders["erase"])
    means = {order: (keep[at].mean().item(), write[at].mean().item()) for order, at in orders.items()}
    # How far the two are from "what is forgotten is replaced", over every unit and step.
    every_write = 1 - values[keeps][0] if cell == "GRU" else values[writes][0]
    uncoupled = (values[keeps][0] + every_write - 1).abs().mean().item()
    one = (keep[:, 0], write[:, 0], {order: at[:, 0] for order, at in orders.items()})
    return error, means, uncoupled, one


def main(lesson: Lesson) -> None:
    peepholes_and_memory(lesson)
    seeds, steps = range(lesson.full(3, quick=1)), lesson.full(1000, quick=500)
    found = {cell: [at_work(cell, seed, steps) for seed in seeds] for cell in CELLS}
    rows = []
    for cell, runs in found.items():
        for gate, place in (("keeps", 0), ("writes", 1)):
            rows.append([cell, gate, *(spread([means[o][place] for _, means, *_ in runs]) for o in ORDERS)])
    lesson.table(
        f"How far the unit that holds the number keeps (f, z) and writes (i, 1 - f, 1 - z), by what was ordered: "
        f"median and "
        f"range of {count_of_seeds(len(seeds))}",
        ["cell", "gate", *ORDERS],
        rows,
    )
    errors = {cell: [error for error, *_ in runs] for cell, runs in found.items()}
    lesson.numbers["error by seed"] = errors
    lesson.fact(
        "All three learn it: errors of "
        + ", ".join(f"{cell} {spread(values, 3)}" for cell, values in errors.items())
        + " of that of always saying 0.",
        max(statistics.median(values) for values in errors.values()) < lesson.full(0.1, quick=0.6),
    )
    uncoupled = {cell: [u for _, _, u, _ in runs] for cell, runs in found.items()}
    lesson.fact(
        f"f + i is 1 at every step and unit of the coupled LSTM, to {max(uncoupled['coupled LSTM']):.0e}; in the "
        f"LSTM, which "
        f"may choose, it is {spread(uncoupled['LSTM'])} away from 1 on average.",
        max(uncoupled["coupled LSTM"]) < 1e-6 and min(uncoupled["LSTM"]) > 0.05,
    )
    erase = {cell: [means["erase"][1] for _, means, *_ in runs] for cell, runs in found.items()}
    keep = {cell: [means["erase"][0] for _, means, *_ in runs] for cell, runs in found.items()}
    coupled = [*erase["coupled LSTM"], *erase["GRU"]]
    lesson.fact(
        f"To erase, the coupled LSTM and the GRU must write: 1 - f and 1 - z are {spread(coupled)} there. The LSTM "
        f"forgets, "
        f"f = {spread(keep['LSTM'])}, with i at {spread(erase['LSTM'])}.",
        statistics.median(coupled) > statistics.median(erase["LSTM"]),
    )
    z = {order: [means[order][0] for _, means, *_ in found["GRU"]] for order in ORDERS}
    lesson.fact(
        f"The GRU's update gate z keeps where nothing is ordered, {spread(z['else'])}, and lets go where something is "
        f"written, {spread(z['write'])}.",
        sum(a > b for a, b in zip(z["else"], z["write"], strict=True)) >= 0.6 * len(seeds),
    )

    box, *panels = lesson.picture(
        "Top left: one step of a GRU as boxes and lines; its one state runs along the top, and z goes both to the "
        "state "
        "and, through 1 minus it, to the new content. The other three: how far the unit that holds the number keeps "
        "(blue) and writes (orange), over 40 steps: mirror images in the coupled LSTM and the GRU, not in the LSTM.",
        panels=4,
        rows=2,
        height=3.2,
    )
    draw_cell("gru", axes=box)
    for axes, (cell, runs) in zip(panels, found.items(), strict=True):
        keep_, write_, orders = runs[0][3]
        axes.plot(keep_, label="keeps", **LOOKS["LSTM"], markersize=3)
        axes.plot(write_, label="writes", **LOOKS["RNN"], markersize=3)
        for order, marker in (("write", "v"), ("erase", "x")):
            at = orders[order].nonzero().flatten()
            axes.plot(at, [1.12] * len(at), marker, color="#000000", fillstyle="none", markersize=4, label=order)
        axes.set(title=f"{cell}: one unit's gates", xlabel="step", ylim=(-0.05, 1.45))
        axes.legend(frameon=False, fontsize=7, loc="upper center", ncols=4)


if __name__ == "__main__":
    teach(main)
