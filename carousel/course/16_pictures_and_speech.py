"""16. From image to text and from speech to text: one to many, and many to many without a common clock

One to many: a picture is one input, and a sentence of several words comes of it. Convolutions make 4 x 4 places of the
picture, and a decoder writes. There are three ways to hand the picture on: once, as the first state h_0; at every step
beside the word before; or by attention, where each step reads the place that it needs.

Many to many, unaligned: a sound has a hundred frames a second, and a digit lasts as long as it lasts. Who writes down
what was said does not write when. Connectionist temporal classification (CTC, Graves et al. 2006) needs no times: the
network gives at each step P of each digit and of a blank. A path says one of them at each step, and collapses to a text
where repeats become one and then the blanks go. The loss is -ln of the sum over all paths that collapse to the text:

    P(text) = sum over paths of P_1(path_1) P_2(path_2) ... P_S(path_S)

There are millions of paths, and a recurrence along the text sums them in S times 2 n + 1 additions.

Here pictures have 1 to 6 of eight shapes in them, and their text is their names in the order of reading; sounds are
keys of a telephone, each a pair of tones, with pauses and noise. With --data, real files: a folder with optdigits.tra
and optdigits.tes (handwritten digits, up to four in a picture), or one with recordings of single digits, as
recordings/7_jackson_3.wav, which are joined into strings.

Only in part: nothing but the sum binds the time at which CTC writes a digit. A network that reads in both directions
may write early or late; it writes within the tone because the evidence is there. CTC needs a text in the order of its
sound, and no longer than it has steps. Attention has neither limit, but must find by itself that a text follows its
sound in order: it learns more slowly, and loses its place in sounds longer than those that were taught. Attention over
a picture helps to read what a place holds; where to go next the decoder knows from its first state.
"""

import itertools
import math
import random
import statistics

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from carousel.course.learning import learn, parameters
from carousel.course.lesson import LOOKS, Lesson, count_of_seeds, spread, teach
from carousel.course.scenes import MEL, RATE, Recordings, dialled, shapes, targets_of, written_digits
from carousel.course.teller import PLACES, WAYS, Teller
from carousel.errors import DataError
from carousel.models import CTCModel, EncoderDecoder
from carousel.models.beam_search import Search, search
from carousel.models.ctc_model import best_path
from carousel.models.encoder_decoder import Decoding
from carousel.models.source_readers import FrameReader

LOOK = {"once": LOOKS["RNN"], "every step": LOOKS["other"], "attention": LOOKS["LSTM"], "CTC": LOOKS["GRU"]}


def told(things, way, most, seed, steps):
    """A network that has learnt to tell what is in pictures."""
    torch.manual_seed(seed)
    random.seed(seed)
    network = Teller(len(things.words), way)

    def loss():
        images, kinds, _ = things.pictures(32, most)
        return network.loss(images, targets_of(kinds))

    for share, rate in ((0.7, 0.005), (0.3, 0.0015)):
        learn(network, loss, round(share * steps), rate=rate)
    return network


def judged(network, things, count):
    """Of 200 pictures with so many things: the share told to the last word, and how often a word looks at its thing."""
    images, kinds, cells = things.pictures(200, count, fewest=count)
    found = network.tell(images)
    right = [text == real for (text, _), real in zip(found, kinds, strict=True)]
    each = PLACES // things.grid  # places that a cell has, each way
    hits = [
        place // PLACES // each * things.grid + place % PLACES // each == cell
        for (text, places), at, real in zip(found, cells, kinds, strict=True)
        if text == real
        for place, cell in zip(places, at, strict=True)
    ]
    return sum(right) / len(right), sum(hits) / max(1, len(hits))


def pictures(lesson, things, judged_on, most, steps):
    """Learns in the three ways; returns the shares that are right, and the first network with attention."""
    seeds = range(lesson.full(3, quick=1))
    ways = lesson.full(WAYS, quick=WAYS[::2])
    networks = {way: [told(things, way, most, seed, steps) for seed in seeds] for way in ways}
    found = {
        way: {count: [judged(network, judged_on, count) for network in each] for count in range(1, most + 1)}
        for way, each in networks.items()
    }
    right = {way: {count: [one[0] for one in v] for count, v in each.items()} for way, each in found.items()}
    lesson.table(
        f"Pictures told to the last word, by the things in them: median and range of {count_of_seeds(len(seeds))}",
        ["the picture is given", "parameters", *map(str, right["once"])],
        [[way, parameters(networks[way][0]), *map(spread, each.values())] for way, each in right.items()],
    )
    lesson.numbers["pictures told"] = {way: {str(k): v for k, v in each.items()} for way, each in right.items()}
    once, by_attention = (right[way][most] for way in ("once", "attention"))
    lesson.fact(
        f"One picture, many words: of pictures with {most} things, {spread(by_attention)} are told to the last word "
        f"where each step reads the place that it needs, and {spread(once)} where the picture is given once.",
        statistics.median(by_attention) > max(once) and min(by_attention) > lesson.full(0.3, quick=0.1),
    )
    if not lesson.quick:
        every, first = right["every step"][most - 2], right["once"][most - 2]
        lesson.fact(
            f"To give the same summary at every step does not help here: of pictures with {most - 2} things it tells "
            f"{spread(every)}, where the summary given once tells {spread(first)}.",
            statistics.median(every) < statistics.median(first) + 0.1,
        )
    hits = [one[1] for each in found["attention"].values() for one in each]
    lesson.fact(
        f"Nobody showed where the things are. In the texts that are right, {spread(hits)} of the words look most at "
        f"the place of their thing; by chance it would be {1 / judged_on.grid**2:.2f}.",
        statistics.median(hits) > 0.6,
    )
    return right, networks["attention"][0]


# -- sounds ---------------------------------------------------------------------------------------------------------


def enumerated(lesson):
    """The sum over paths, path by path, against what the loss computes; and how many paths there are."""
    steps, text, log_p = 6, (1, 2), torch.randn(6, 1, 4, dtype=torch.float64).log_softmax(-1)
    total, paths = 0.0, 0
    for path in itertools.product(range(4), repeat=steps):
        if tuple(k for k, _ in itertools.groupby(path) if k) == text:
            total += math.exp(sum(log_p[s, 0, k].item() for s, k in enumerate(path)))
            paths += 1
    summed = F.ctc_loss(log_p, torch.tensor([text]), [steps], [len(text)], reduction="sum")
    apart = abs(math.exp(-summed.item()) / total - 1)
    lesson.fact(
        f"Of the {4**steps:,} paths over {steps} steps and 4 symbols, {paths} collapse to a text of 2 symbols: 8 over "
        f"4. The sum of their probabilities is that of the loss, to less than 1e-12 of it. Over 40 steps, 5 different "
        f"digits have 45 over 10 paths, {math.comb(45, 10):,}.",
        apart < 1e-12 and paths == math.comb(steps + 2, 4),
    )


def batch_of(sounds):
    """Frames (T, B, bands), their lengths (B), and the targets."""
    frames = nn.utils.rnn.pad_sequence([one.frames for one in sounds])
    return frames, torch.tensor([len(one.frames) for one in sounds]), targets_of([one.digits for one in sounds])


def listener(kind, sounds, seed, steps, units):
    """A network that has learnt to write down digits, by CTC or with attention."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    frames = torch.cat([one.frames for one in sounds])
    reader = FrameReader(frames.mean(0).tolist(), frames.std(0).tolist(), 2)
    if kind == "CTC":
        network = CTCModel(reader, 11, hidden=units)
    else:
        network = EncoderDecoder(reader, 11, hidden=units, embedding=16)
    for share, rate in ((0.7, 0.005), (0.3, 0.0015)):
        learn(network, lambda: network.loss(*batch_of(rng.sample(sounds, 16))), round(share * steps), rate=rate)
    return network.eval()


@torch.no_grad()
def written(network, sounds):
    """The digits that are written for each sound, and at which second each of them; no seconds with attention."""
    x, lengths, _ = batch_of(sounds)
    if isinstance(network, CTCModel):
        log_p, steps = network(x, lengths)
        paths = [best_path(log_p[:n, k].numpy()) for k, n in enumerate(steps.tolist())]
        middle = (2 * MEL.hop + MEL.window - MEL.hop) / 2  # of a step of two frames, in samples
        return [
            ([one.symbol - 1 for one in path], [(one.step * 2 * MEL.hop + middle) / RATE for one in path])
            for path in paths
        ]
    memory = network.encode(x, lengths)
    found = search(lambda: Decoding(network, memory), len(sounds), Search(beam=1, longest=25))
    return [([k - 1 for k in one[0].symbols], []) for one in found]


def sounds_written(lesson, taught, judged_on, steps, units, sure):
    """Learns to write sounds down in both ways. judged_on: {digits of a sound: sounds}. sure: at least how many texts
    of the length that was taught are right."""
    seeds = range(lesson.full(3, quick=1))
    kinds = lesson.full(("CTC", "attention"), quick=("CTC",))
    networks = {kind: [listener(kind, taught, seed, steps, units) for seed in seeds] for kind in kinds}
    texts = {
        kind: {n: [written(network, sounds) for network in each] for n, sounds in judged_on.items()}
        for kind, each in networks.items()
    }
    right = {
        kind: {
            n: [
                sum(text == one.digits for (text, _), one in zip(found, judged_on[n], strict=True)) / len(found)
                for found in each
            ]
            for n, each in by_length.items()
        }
        for kind, by_length in texts.items()
    }
    most = max(len(one.digits) for one in taught)
    lesson.table(
        f"Sounds written down without a mistake, by their number of digits (up to {most} were taught): median and "
        f"range of {count_of_seeds(len(seeds))}",
        ["network", "parameters", *map(str, judged_on)],
        [[kind, parameters(networks[kind][0]), *map(spread, each.values())] for kind, each in right.items()],
    )
    lesson.numbers["sounds written"] = {kind: {str(k): v for k, v in each.items()} for kind, each in right.items()}
    hits = [
        [
            begin <= at <= end
            for (text, times), one in zip(found, judged_on[most], strict=True)
            if text == one.digits
            for at, (begin, end) in zip(times, one.times, strict=True)
        ]
        for found in texts["CTC"][most]
    ]
    shares = [sum(one) / max(1, len(one)) for one in hits]
    lesson.fact(
        f"Taught with texts and no times, CTC writes {spread(right['CTC'][most])} of the sounds of {most} digits "
        f"without a mistake, and it writes a digit while it sounds: {spread(shares)} of the digits.",
        min(right["CTC"][most]) > sure and min(shares) > 0.8,
    )
    longest = max(judged_on)
    if not lesson.quick:
        lesson.fact(
            f"Of sounds with {longest} digits, when at most {most} were taught, CTC writes "
            f"{spread(right['CTC'][longest])}, attention {spread(right['attention'][longest])}; of those with {most}, "
            f"attention writes {spread(right['attention'][most])}.",
            min(right["CTC"][longest]) > max(right["attention"][longest]),
        )
    return right, networks["CTC"][0]


# -- the pictures of the lesson -------------------------------------------------------------------------------------


def lines(axes, found, title, below):
    for name, each in found.items():
        for at, values in each.items():
            axes.plot([at] * len(values), values, linestyle="none", alpha=0.35, **LOOK[name])
        axes.plot(list(each), [statistics.median(v) for v in each.values()], label=name, **LOOK[name])
    axes.legend(frameon=False, fontsize=8)
    axes.set(title=title, xlabel=below, ylim=(-0.03, 1.05))


def draw_picture(axes, network, things, most):
    images, _, _ = things.pictures(1, most, fewest=most)
    ((text, places),) = network.tell(images)
    axes.imshow(images[:, 0, :, 0].numpy(), cmap="Greys")
    for number, (kind, place) in enumerate(zip(text, places, strict=True), 1):
        row, column = (4 * k for k in divmod(place, PLACES))
        axes.text(column + 1, row + 3, f"{number} {things.words[kind]}", color="#D55E00", ha="center", va="center")
    axes.set(title="the place that each word looks at", xticks=[], yticks=[])
    axes.grid(visible=False)


def draw_sound(axes, network, sound):
    """The sound, P of the likeliest digit at each step, and when the digits sound in truth."""
    seconds = len(sound.frames) / 100
    axes.imshow(sound.frames.T.numpy(), origin="lower", aspect="auto", cmap="Greys", extent=(0, seconds, 0, 1))
    with torch.no_grad():
        log_p, _ = network(*batch_of([sound])[:2])
    at = (np.arange(len(log_p)) * 2 * MEL.hop + MEL.window / 2) / RATE
    axes.plot(at, log_p[:, 0, 1:].exp().max(-1).values.numpy(), color="#D55E00", drawstyle="steps-mid")
    for digit, (begin, end) in zip(sound.digits, sound.times, strict=True):
        axes.plot([begin, end], [1.04, 1.04], color="#0072B2", linewidth=3)
        axes.text((begin + end) / 2, 1.08, str(digit), ha="center", color="#0072B2")
    axes.set(title="what is written when, and when it sounds", xlabel="seconds", xlim=(0, seconds), ylim=(0, 1.2))
    axes.grid(visible=False)


def main(lesson: Lesson) -> None:
    things, most = shapes(), lesson.full(6, quick=4)
    told_right, teller = pictures(lesson, things, things, most, lesson.full(800, quick=150))
    enumerated(lesson)
    taught = dialled(lesson.full(1000, quick=150), (1, 5), seed=1)
    judged_on = {n: dialled(100, (n, n), seed=2) for n in lesson.full((1, 3, 5, 10, 20), quick=(5,))}
    steps = lesson.full(400, quick=80)
    sounds_right, ear = sounds_written(lesson, taught, judged_on, steps, 32, lesson.full(0.8, quick=0.05))

    by_things, looked, by_digits, when = lesson.picture(
        "Top left: pictures told to the last word against the things in them; attention above the two ways that give "
        "one summary. Top right: a picture of shapes, and at the place that each word looks at the word, numbered in "
        "its order. Bottom left: sounds written down against their digits; CTC goes on beyond what was taught, "
        "attention does not. Bottom right: the energies of a sound; blue bars above it say when each digit sounds, "
        "and the orange line rises below them where the network writes one.",
        panels=4,
        rows=2,
    )
    lines(by_things, told_right, "pictures told to the last word", "things in the picture")
    draw_picture(looked, teller, things, most)
    lines(by_digits, sounds_right, "sounds written without a mistake", "digits in the sound")
    draw_sound(when, ear, judged_on[5][0])


def on_files(lesson: Lesson, data) -> None:
    if (data / "optdigits.tra").is_file():
        things, others = written_digits(data / "optdigits.tra"), written_digits(data / "optdigits.tes")
        right, teller = pictures(lesson, things, others, 4, lesson.full(800, quick=100))
        by_things, looked = lesson.picture("Left: pictures told to the last word. Right: one of them.", panels=2)
        lines(by_things, right, "pictures told to the last word", "digits in the picture")
        draw_picture(looked, teller, others, 4)
    elif (data / "recordings").is_dir():
        said = Recordings(data / "recordings")
        taught = said.strings(lesson.full(1000, quick=500), (1, 5), 1, held=False)
        judged_on = {n: said.strings(100, (n, n), 2, held=True) for n in (1, 3, 5, 10)}
        right, ear = sounds_written(lesson, taught, judged_on, lesson.full(400, quick=250), 64, 0.5)
        by_digits, when = lesson.picture("Left: sounds written without a mistake. Right: one of them.", panels=2)
        lines(by_digits, right, "sounds written without a mistake", "digits in the sound")
        draw_sound(when, ear, judged_on[5][0])
    else:
        raise DataError(
            f"Lesson 16 reads a folder with optdigits.tra and optdigits.tes, or one with recordings/, and {data} has "
            f"neither."
        )


if __name__ == "__main__":
    teach(main)
