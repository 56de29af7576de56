"""6. LSTM by hand; and its relatives: peepholes, coupled gates, GRU

The four-gate equations, on paper:

    i = sigmoid(W_i x + U_i h + b_i)    f = sigmoid(W_f x + U_f h + b_f)    c' = f c + i g
    g = tanh(W_g x + U_g h + b_g)       o = sigmoid(W_o x + U_o h + b_o)    h' = o tanh(c')

The layer computes exactly this. tanh squashes the memory only where it is shown: c itself has no bound. While o is
shut, h is 0 and the gates see nothing of c. Peepholes show it to them, so that one unit can count in silence and strike
on time, which Gers and Schmidhuber (2000) needed for precise timing. Any subset of the three gates may have them.
Coupled gates (i = 1 - f) and the GRU multiply three matrices by the state where the LSTM multiplies four: a quarter
fewer parameters. Here each of these is called a gate, the candidate g among them; notes that count only what a sigmoid
makes say three gates of the LSTM and two of the GRU.

Only in part: what peepholes make possible is not always what training finds. In telling intervals of n from n + 1 steps
as measured here (Adam, some thousand spikes, o free to stay open) they give no advantage over the same LSTM without.
And which of LSTM, coupled LSTM and GRU is best depends on what is held equal, units or parameters, and on how long they
learn: the GRU below is ahead after 400 steps. A difference no larger than the spread over seeds is none.
"""

import math
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

import carousel
from carousel.course.learning import Network, layer_of, learn, parameters
from carousel.course.lesson import LOOKS, Lesson, spread, teach

PEEPHOLES = ("input", "forget", "output")
WEIGHTS = {  # gate: its weight of x, its weights of h, its bias; for each of two units
    "i": [(0.5, (0.1, -0.2), 0.0), (-0.3, (0.4, 0.2), 0.1)],
    "f": [(0.2, (0.3, 0.1), 1.0), (0.1, (-0.1, 0.2), 1.0)],
    "g": [(1.0, (0.5, -0.4), 0.0), (-1.0, (0.3, 0.6), 0.2)],
    "o": [(0.3, (0.2, 0.2), 0.0), (0.6, (-0.5, 0.1), -0.1)],
}


def by_hand(inputs):
    """The equations in plain arithmetic: for each step and unit the row (x, i, f, g, o, c, h)."""
    h, c, rows = [0.0, 0.0], [0.0, 0.0], []
    for x in inputs:
        new = []
        for unit in range(2):
            sums = {
                gate: w * x + u[0] * h[0] + u[1] * h[1] + b
                for gate, (w, u, b) in ((gate, units[unit]) for gate, units in WEIGHTS.items())
            }
            i, f, o = (1 / (1 + math.exp(-sums[gate])) for gate in "ifo")
            g = math.tanh(sums["g"])
            cell = f * c[unit] + i * g
            new.append((x, i, f, g, o, cell, o * math.tanh(cell)))
        c, h = [row[5] for row in new], [row[6] for row in new]
        rows += [(unit, *row) for unit, row in enumerate(new)]
    return rows


def by_the_layer(inputs):
    """The same rows from carousel.LSTM with these weights."""
    layer = carousel.LSTM(1, 2, dtype=torch.float64)
    units = [unit for gate in "ifgo" for unit in WEIGHTS[gate]]  # torch's order of the gates
    with torch.no_grad():
        layer.weight_ih_l0.copy_(torch.tensor([[w] for w, _, _ in units], dtype=torch.float64))
        layer.weight_hh_l0.copy_(torch.tensor([u for _, u, _ in units], dtype=torch.float64))
        layer.bias_ih_l0.copy_(torch.tensor([b for _, _, b in units], dtype=torch.float64))
        layer.bias_hh_l0.zero_()
    names = ("input", "forget", "candidate", "output", "c", "h")
    with torch.no_grad(), layer.record(*names) as values:
        layer(torch.tensor(inputs, dtype=torch.float64).view(-1, 1, 1))
    return torch.stack([values[name][0, :, 0] for name in names], -1).flatten(0, 1)


def step_by_step(lesson):
    inputs = [1.0, -0.5, 2.0]
    rows = by_hand(inputs)
    lesson.table(
        "Three steps of an LSTM of two units, by hand",
        ["step", "unit", "x", "i", "f", "g", "o", "c'", "h'"],
        [[n // 2 + 1, unit + 1, x, *(f"{value:.4f}" for value in values)] for n, (unit, x, *values) in enumerate(rows)],
    )
    apart = (torch.tensor([row[2:] for row in rows], dtype=torch.float64) - by_the_layer(inputs)).abs().max().item()
    lesson.fact(f"carousel.LSTM gives the same, every gate at every step, to {apart:.1e}.", apart < 1e-15)


def clockwork(n, peepholes):
    """One unit, weights set by hand, that counts in steps of 0.9 / n and strikes at the n-th; what it shows and its c.

    peepholes: the gates that have one.

    With K so large that a gate turns within one step, f is 1 below the threshold and 0 above it, o the other way round.
    """
    layer = carousel.LSTM(1, 1, peepholes=peepholes, dtype=torch.float64)
    step = 0.9 / n
    threshold, K = (n - 0.5) * step, 80 / step
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        layer.bias_ih_l0.copy_(
            torch.tensor([40.0, K * threshold, math.atanh(step), -K * threshold], dtype=torch.float64)
        )
        if "forget" in peepholes:
            layer.p_f_l0.fill_(-K)
        if "output" in peepholes:
            layer.p_o_l0.fill_(K)
        output, _, states = layer(torch.zeros(10_000, 1, 1, dtype=torch.float64), return_states=True)
    return output.flatten(), states["c"].flatten()


def counting_in_silence(lesson):
    for n in (10, 50, 200):
        shown, _ = clockwork(n, PEEPHOLES)
        struck = (shown > 0.5).nonzero().flatten() + 1
        between = shown[shown < 0.5].abs().max().item()
        exact = struck.tolist() == list(range(n, 10_001, n))
        if n == 50:
            lesson.fact(
                f"One unit with peepholes, set by hand, strikes at every 50th of 10,000 steps, {len(struck)} times, "
                f"and shows less than 1e-9 in between; others do so at every 10th and 200th.",
                exact and between < 1e-9,
            )
        elif not exact:
            lesson.fact(f"The unit set for {n} steps strikes every {n} steps.", False)
    shown, c = clockwork(50, ())
    lesson.fact(
        f"The same unit without peepholes sees nothing of its count and never strikes: it shows less than 1e-9 while c "
        f"runs up to {c.max().item():.0f}.",
        shown.max().item() < 1e-9 and bool((c.diff() > 0).all()),
    )


def intervals(n, batch, count=10):
    """Spikes n or n + 1 steps apart, x (T, B, 1); where they stand, and whether the longer one just ended, (T, B)."""
    longer = torch.randint(2, (count, batch))
    at = (n + longer).cumsum(0)
    steps = count * (n + 1) + 1
    x, ended = torch.zeros(steps, batch), torch.zeros(steps, batch)
    x[0] = 1
    x.scatter_(0, at, 1.0)
    ended.scatter_(0, at, longer.float())
    spikes = x.bool()
    spikes[0] = False
    return x.unsqueeze(-1), spikes, ended


def tells_apart(cell, units, n, seed):
    """Accuracy in telling intervals of n from n + 1 steps, after at most 800 steps of training."""
    torch.manual_seed(seed)
    network = Network(layer_of(cell, 1, units), 1)

    def loss():
        x, spikes, longer = intervals(n, 32)
        return F.binary_cross_entropy_with_logits(network(x)[0][..., 0][spikes], longer[spikes])

    def accuracy():
        with torch.no_grad():
            x, spikes, longer = intervals(n, 200)
            return ((network(x)[0][..., 0] > 0).float() == longer)[spikes].float().mean().item()

    learn(network, loss, 800, enough=lambda: accuracy() > 0.995)
    return accuracy()


def timing(lesson):
    cells, n = ("LSTM", "peephole LSTM"), 10
    seeds = range(lesson.full(5, quick=1))
    told = {
        (units, cell): [tells_apart(cell, units, n, seed) for seed in seeds]
        for units in lesson.full([2, 4], quick=[4])
        for cell in cells
    }
    lesson.table(
        f"Telling intervals of {n} from {n + 1} steps: accuracy, median and range of {len(seeds)} seeds (chance: 0.5)",
        ["units", *cells],
        [[units, *(spread(told[units, cell]) for cell in cells)] for units in dict.fromkeys(u for u, _ in told)],
    )
    lesson.numbers["intervals told apart, by seed"] = {
        f"{cell}, {units}": values for (units, cell), values in told.items()
    }
    lesson.fact(
        f"With 4 units both learn it: LSTM {spread(told[4, 'LSTM'])}, with peepholes "
        f"{spread(told[4, 'peephole LSTM'])}.",
        all(statistics.median(told[4, cell]) > 0.95 for cell in cells),
    )
    return told


def characters():
    """Python's own help texts as numbers of characters, (N); how many different ones there are."""
    from pydoc_data.topics import topics

    text = "\n".join(topics[name] for name in sorted(topics)).encode()
    symbols = {byte: n for n, byte in enumerate(sorted(set(text)))}
    return torch.tensor([symbols[byte] for byte in text]), len(symbols)


class Predictor(nn.Module):
    """Scores of the next character: (T, B) numbers -> (T, B, symbols)."""

    def __init__(self, cell, symbols, units):
        super().__init__()
        self.embedding = nn.Embedding(symbols, 32)
        self.network = Network(layer_of(cell, 32, units), symbols)

    def forward(self, symbols):
        return self.network(self.embedding(symbols))[0]


def predicted(cell, units, seed, steps):
    """Nats a character on the last tenth of the text after so many steps; the layer's parameters; seconds."""
    text, symbols = characters()
    learnt, judged = text[: -len(text) // 10], text[-len(text) // 10 :]
    torch.manual_seed(seed)
    network = Predictor(cell, symbols, units)

    def loss(text=learnt, lanes=16, window=48):
        at = torch.randint(len(text) - window - 1, (lanes,)) + torch.arange(window + 1)[:, None]
        return F.cross_entropy(network(text[at[:-1]]).flatten(0, 1), text[at[1:]].flatten())

    begin = time.perf_counter()
    learn(network, loss, steps, rate=0.006)
    seconds = time.perf_counter() - begin
    with torch.no_grad():
        nats = loss(judged, lanes=200, window=200).item()
    return nats, parameters(network.network.layer), seconds


RELATIVES = (("LSTM", 64), ("coupled LSTM", 64), ("GRU", 64), ("coupled LSTM", 77), ("GRU", 77))


def relatives(lesson):
    seeds = range(lesson.full(3, quick=1))
    found = {
        # Turn by turn, so that what else the machine does meets all alike.
        (cell, units, seed): predicted(cell, units, seed, lesson.full(400, quick=60))
        for seed in seeds
        for cell, units in RELATIVES
    }
    rows, nats = [], {}
    for cell, units in RELATIVES:
        nats[cell, units], sizes, seconds = zip(*(found[cell, units, seed] for seed in seeds), strict=True)
        rows.append([cell, units, sizes[0], spread(nats[cell, units], 3), f"{min(seconds):.1f}"])
    lesson.table(
        f"Predicting characters of Python's help texts after {lesson.full(400, quick=60)} steps: median and range of "
        f"{len(seeds)} seeds, best time",
        ["cell", "units", "parameters", "nats a character", "seconds"],
        rows,
    )
    sizes = {(cell, units): size for cell, units, size, *_ in rows}
    quarter = [sizes[cell, 64] / sizes["LSTM", 64] for cell in ("coupled LSTM", "GRU")]
    lesson.fact("Coupled LSTM and GRU have 3/4 of the parameters of an LSTM of as many units.", quarter == [0.75, 0.75])
    text, symbols = characters()
    counts = torch.bincount(text[: -len(text) // 10], minlength=symbols).double() + 1
    naive = -(counts / counts.sum()).log()[text[-len(text) // 10 :]].mean().item()
    medians = {key: statistics.median(values) for key, values in nats.items()}
    wide = max(max(values) - min(values) for values in nats.values())
    lesson.fact(
        f"All stay below the {naive:.2f} nats of letter frequencies. Their medians lie within "
        f"{max(medians.values()) - min(medians.values()):.3f} nats; the widest spread over seeds is {wide:.3f}.",
        max(map(max, nats.values())) < naive,
    )
    return nats


def main(lesson: Lesson) -> None:
    step_by_step(lesson)
    counting_in_silence(lesson)
    told = timing(lesson)
    nats = relatives(lesson)

    clock, intervals_, quality = lesson.picture(
        "Left: the cell state of the unit set by hand climbs in even steps and falls to the start at every 50th; what "
        "it shows is 0 but for one spike there. Middle: accuracy in telling intervals apart, by number of units, LSTM "
        "beside peephole LSTM. Right: nats a character for LSTM, coupled LSTM and GRU, with as many units and with as "
        "many parameters.",
        panels=3,
    )
    shown, c = clockwork(50, PEEPHOLES)
    clock.plot(range(1, 171), c[:170], color=LOOKS["peephole LSTM"]["color"], label="c")
    clock.plot(range(1, 171), shown[:170], color=LOOKS["plain"]["color"], label="h")
    clock.set(title="one unit with peepholes, set by hand", xlabel="step")
    clock.legend(frameon=False, loc="upper left")
    for (units, cell), values in told.items():
        shift = 0.07 if cell == "LSTM" else -0.07
        label = cell if units == 4 else None
        at = [math.log2(units) - shift] * len(values)
        intervals_.plot(at, values, linestyle="none", alpha=0.6, label=label, **LOOKS[cell])
    intervals_.set_xticks([1, 2], [2, 4])
    intervals_.set(title="10 or 11 steps? accuracy", xlabel="units", ylim=(0.45, 1.03), xlim=(0.5, 2.5))
    intervals_.legend(frameon=False, loc="center")
    for place, ((cell, _), values) in enumerate(nats.items()):
        quality.plot([place] * len(values), values, linestyle="none", alpha=0.7, **LOOKS[cell])
    names = [f"{cell.removesuffix(' LSTM')}\n{units}" for cell, units in nats]
    quality.set_xticks(range(len(names)), names)
    quality.set(title="nats a character", xlabel="cell and units")


if __name__ == "__main__":
    teach(main)
