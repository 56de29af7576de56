"""14. Explicit memory: what is stored beside the network, and fetched when it is needed

The state of an RNN or LSTM is its memory and its workplace at once, and every step computes it anew. What is stored is
implicit: it lies spread over all units, and to store more one needs more units, and with them more weights. An explicit
memory is a matrix M of slots, in which a step writes with one weighting over the slots and reads with another,

    M' = M (1 - w e) + w a        r = Σ w M

where e says what is erased, and a what is added. The weightings come from what a slot holds (by its likeness to a key)
and from where the head stood before (a shift by a slot), as in the neural Turing machine (Graves, Wayne and Danihelka
2014). Everything is differentiable, and learnt as any weight is. The number of slots is that of the memory, and of no
weight.

Only in part: a task as clear as copying shows it, and everyday ones hardly do. Such a network learns by jumps, when it
has found how to walk over its slots; at the size of the paper one seed in eight has not found it after 30,000 sequences
(docs/memory.md). Bits are not sequences: where 0.96 of the bits of 24 rows are right, few of those sequences are whole.
And what made explicit memory common is its simplest part alone: to read by likeness, which is attention over all that
was read.
"""

import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

import carousel
from carousel.course.learning import parameters
from carousel.course.lesson import LOOKS, Lesson, count_of_seeds, spread, teach

BITS, LONGEST, SLOTS = 4, 8, 32


def rows_to_copy(batch, length=None):
    """A mark, rows of bits, another mark, and then as many empty steps, in which the rows are to be written: x (T, B,
    bits + 2), and what is asked (rows, B, bits)."""
    length = length or int(torch.randint(1, LONGEST + 1, ()))
    rows = torch.randint(2, (length, batch, BITS)).float()
    x = torch.zeros(2 * length + 2, batch, BITS + 2)
    x[0, :, BITS] = x[length + 1, :, BITS + 1] = 1
    x[1 : length + 1, :, :BITS] = rows
    return x, rows


class Copier(nn.Module):
    def __init__(self, cell, slots=SLOTS):
        super().__init__()
        units = {"slots": slots, "width": 8} if cell == "ntm" else None
        self.layer = carousel.Recurrent(cell, BITS + 2, 32 if units else 64, units=units)
        self.head = nn.Linear(self.layer.hidden_size, BITS)

    def forward(self, x):
        return self.head(self.layer(x)[0])


def trained(cell, seed, steps):
    """Learns to copy 1 to 8 rows. AMSGrad keeps what is learnt: once the loss is almost 0, Adam's steps can jump."""
    torch.manual_seed(seed)
    network = Copier(cell)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01, amsgrad=True)
    for _ in range(steps):
        x, rows = rows_to_copy(16)
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(network(x)[-len(rows) :], rows).backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0)
        optimizer.step()
    return network


def right(network, length):
    """The share of the bits of so many rows that are copied rightly."""
    torch.manual_seed(99)
    x, rows = rows_to_copy(64, length)
    with torch.no_grad():
        return ((network(x)[-length:] > 0) == (rows > 0.5)).float().mean().item()


def copying(lesson):
    seeds, steps = (
        range(lesson.full(3, quick=1)),
        {"ntm": lesson.full(1200, quick=600), "lstm": lesson.full(2400, quick=400)},
    )
    lengths = [4, 8, 12, 16, *lesson.full([24], quick=[])]
    networks, seconds = {}, {}
    for cell in ("ntm", "lstm"):
        begin = time.process_time()
        networks[cell] = [trained(cell, seed, steps[cell]) for seed in seeds]
        seconds[cell] = (time.process_time() - begin) / len(seeds)
    sizes = {cell: parameters(found[0]) for cell, found in networks.items()}
    shares = {(cell, n): [right(network, n) for network in networks[cell]] for cell in networks for n in lengths}
    lesson.table(
        f"Bits copied rightly, by the number of rows, after 16 times {steps['ntm']:,} sequences of 1 to {LONGEST} rows "
        f"(LSTM: 16 times {steps['lstm']:,}): median and range of {count_of_seeds(len(seeds))}; guessing: 0.5",
        ["network", "parameters", "s to learn", *(f"{n} rows" for n in lengths)],
        [
            [called, sizes[cell], round(seconds[cell]), *(spread(shares[cell, n], 3) for n in lengths)]
            for cell, called in (("ntm", f"neural Turing machine, {SLOTS} slots"), ("lstm", "LSTM"))
        ],
    )
    lesson.numbers["bits right"] = {f"{cell}, {n}": values for (cell, n), values in shares.items()}
    far = 2 * LONGEST
    memory, lstm = shares["ntm", far], shares["lstm", far]
    lesson.fact(
        f"After the same lessons, of 1 to {LONGEST} rows, the neural Turing machine copies {spread(memory, 3)} of the "
        f"bits of {far} rows, and an LSTM with {sizes['lstm'] / sizes['ntm']:.1f} times the parameters "
        f"{spread(lstm, 3)}.",
        min(memory) > lesson.full(0.95, quick=0.9) and max(lstm) < 0.8 and sizes["lstm"] > 2 * sizes["ntm"],
    )
    return networks["ntm"], shares, lengths


def with_slots(network, slots):
    """The same weights over a memory of so many slots."""
    larger = Copier("ntm", slots)
    larger.load_state_dict(network.state_dict())
    return larger


def more_slots(lesson, networks):
    length, numbers = 40, (SLOTS, 2 * SLOTS)
    shares = {slots: [right(with_slots(network, slots), length) for network in networks] for slots in numbers}
    lesson.numbers["bits right of 40 rows, by slots"] = {str(slots): values for slots, values in shares.items()}
    lesson.fact(
        f"Of {length} rows, more than there are slots, {SLOTS} slots hold {spread(shares[SLOTS])} of the bits; the "
        f"same weights over {2 * SLOTS} slots {spread(shares[2 * SLOTS])}. Nothing was trained in between: the size of "
        f"the memory is no weight's.",
        all(few < many for few, many in zip(*(shares[slots] for slots in numbers), strict=True)),
    )


def walks(lesson, networks):
    """Where the heads stand: the likeliest slot of the write and of the read weighting, at each step."""
    torch.manual_seed(7)
    x, rows = rows_to_copy(1, LONGEST)
    found, kept = [], []
    for network in networks:
        use = carousel.insight.read_memory(network, x)
        write, read = (use.values[name][0, :, 0, :, 0] for name in ("b0", "a0"))
        written = write[1 : len(rows) + 1].argmax(1)
        fetched = read[-len(rows) :].argmax(1)
        found.append((written == fetched).float().mean().item())
        kept.append((write, read))
    lesson.numbers["slots fetched in the order written"] = found
    lesson.fact(
        f"It walks: {spread(found)} of {LONGEST} rows are fetched from the slot that they were written to, though "
        f"nobody said what slots are for.",
        min(found) > 0.7,
    )
    return kept[0]


def main(lesson: Lesson) -> None:
    networks, shares, lengths = copying(lesson)
    more_slots(lesson, networks)
    write, read = walks(lesson, networks)

    left, middle, right_ = lesson.picture(
        "Left: bits copied rightly against the number of rows; the neural Turing machine stays near 1 at twice the "
        "rows that were learnt, the LSTM falls to a guess. Middle and right: the weightings of the write and of the "
        "read head over the slots while 8 rows are shown and copied; each is a diagonal, the write head's in the first "
        "half, the read head's over the same slots in the second.",
        panels=3,
        height=4.0,
    )
    for cell, label, look in (("ntm", "neural Turing machine", LOOKS["GRU"]), ("lstm", "LSTM", LOOKS["LSTM"])):
        for length in lengths:
            values = shares[cell, length]
            left.plot([length] * len(values), values, linestyle="none", alpha=0.4, **look)
        left.plot(lengths, [statistics.median(shares[cell, n]) for n in lengths], label=label, **look)
    left.axhline(0.5, color="#555555", linestyle="--", linewidth=1)
    left.axvspan(0, LONGEST + 0.5, color="#888888", alpha=0.15, linewidth=0)
    left.set(title="bits copied (grey: learnt)", xlabel="rows", ylim=(0.4, 1.05))
    left.legend(frameon=False, fontsize=8, loc="lower left")
    for axes, weighting, title in ((middle, write, "where it writes"), (right_, read, "where it reads")):
        axes.imshow(weighting.T.numpy(), aspect="auto", cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        axes.grid(False)
        axes.set(title=title, xlabel="step", ylabel="slot")


if __name__ == "__main__":
    teach(main)
