"""15. Encoder and decoder: one summary vector C, or attention to every step of the source

A translation has another length and another order than its source, so that it cannot be written step by step while one
reads. An encoder reads the source x_1 ... x_S, and a decoder writes the target:

    summary      C = tanh(V h_S); the decoder begins with C and reads it at every step (Cho et al. 2014)
    attention    the decoder, in the state h_t, compares itself with all steps m_s of the encoder and reads their mean,
                 sum_s a_ts m_s with a_ts = softmax over s of h_t W m_s (Luong et al. 2015)

C has the same few numbers for every length, and all of a source must go through it. With attention, what there is to
read from grows with the source. Here English phrases become French ones, "two red houses and six green keys" ->
"deux maisons rouges et six clefs vertes": each phrase is one of 512, 9 bits that cannot be guessed from the others,
and colour and thing change places.

With --data FILE, a text file with a pair in each line and a tab between its sides, the same on real sentences.

Only in part: attention needs the lengths that it was taught as well. Two phrases more than in any pair of the training,
and it, too, loses its place, though all that it needs is there to read. A wider C holds more: where sources have a
limited length, a summary can be enough. The alignment is found where each word has a partner; in real sentences it is
less sharp, and a weight is no proof that the word is needed. And attention compares each step of the target with each
of the source: S times T weights, where a summary has none.
"""

import math
import random
import statistics
import time
from collections import Counter

import torch
from torch.nn.utils.rnn import pad_sequence

from carousel.course.learning import learn, parameters
from carousel.course.lesson import LOOKS, Lesson, count_of_seeds, spread, teach
from carousel.errors import DataError
from carousel.models import EncoderDecoder
from carousel.models.beam_search import Search, search
from carousel.models.encoder_decoder import BOUNDARY, PADDING, Decoding, before_each
from carousel.models.source_readers import SymbolReader

WORDS = [
    ("two three four five six seven eight nine", "deux trois quatre cinq six sept huit neuf"),
    ("red green blue yellow black white grey brown", "rouges vertes bleues jaunes noires blanches grises brunes"),
    ("houses cars cups flowers doors chairs lamps keys", "maisons voitures tasses fleurs portes chaises lampes clefs"),
    ("and", "et"),
]  # fmt: skip
ENGLISH, FRENCH = ([".", *" ".join(side).split()] for side in zip(*WORDS, strict=True))
AND = len(ENGLISH) - 1
SOURCE_OF = (0, 2, 1, 3)  # in a phrase, the word of the source that each word of the target translates


def phrases(count, batch):
    """So many phrases joined by "and": sources (S, B), and targets that end in the boundary, (S + 1, B)."""
    number, colour, thing = (torch.randint(8, (count, batch)) + 1 + 8 * kind for kind in range(3))
    joined = torch.full_like(number, AND)
    source = torch.stack([number, colour, thing, joined], 1).flatten(0, 1)[:-1]
    target = torch.stack([number, thing, colour, joined], 1).flatten(0, 1)
    target[-1] = BOUNDARY
    return source, target


def network_of(form, hidden):
    return EncoderDecoder(SymbolReader(len(ENGLISH), 24), len(FRENCH), hidden=hidden, form=form, embedding=24)


def written(network, source, lengths, longest):
    """What the network writes for each source, one likeliest word after the other."""
    network.eval()
    with torch.no_grad():
        memory = network.encode(source, lengths)
        found = search(lambda: Decoding(network, memory), len(lengths), Search(beam=1, longest=longest))
    return [one[0] for one in found]


def translated(network, count, batch):
    """The share of `batch` sources of so many phrases that are translated to the last word, and what was written."""
    source, target = phrases(count, batch)
    found = written(network, source, torch.full((batch,), len(source)), len(target) + 4)
    right = [list(one.symbols) == target[:-1, k].tolist() for k, one in enumerate(found)]
    return sum(right) / batch, found, source


def learnt(form, hidden, seed, longest, steps):
    """A network that has learnt sources of 1 to `longest` phrases, and the seconds of the processor that it took."""
    torch.manual_seed(seed)
    random.seed(seed)
    network = network_of(form, hidden)

    def loss():
        source, target = phrases(random.randint(1, longest), 32)
        return network.loss(source, torch.full((32,), len(source)), target)

    begin = time.process_time()
    rate = 0.01 if hidden < 64 else 0.004  # a wide network learns less by large steps
    for share, factor in ((0.75, 1), (0.25, 0.3)):
        learn(network, loss, round(share * steps), rate=factor * rate)
    return network, time.process_time() - begin


def looked_at(network, count):
    """The share of written words that attend most to the word they translate."""
    _, found, source = translated(network, count, 100)
    hits = [
        int(one.attention[t].argmax()) == t // 4 * 4 + SOURCE_OF[t % 4]
        for one in found
        for t in range(min(len(one.symbols), len(source)))
    ]
    return sum(hits) / len(hits)


def main(lesson: Lesson) -> None:
    seeds, longest = range(lesson.full(3, quick=1)), lesson.full(6, quick=3)
    counts = lesson.full([1, 2, 3, 4, 5, 6, 8], quick=[1, 2, 3])
    widths = {"attention": ("attention", 32), "summary": ("summary", 34)}
    if not lesson.quick:
        widths["summary, wide"] = ("summary", 96)
    runs = {
        name: [learnt(*what, seed, longest, lesson.full(1200, quick=180)) for seed in seeds]
        for name, what in widths.items()
    }
    shares = {
        name: {count: [translated(network, count, 200)[0] for network, _ in each] for count in counts}
        for name, each in runs.items()
    }
    sizes = {name: parameters(each[0][0]) for name, each in runs.items()}
    lesson.table(
        f"Translated to the last word, by the number of phrases (pairs of up to {longest} were taught): median and "
        f"range of {count_of_seeds(len(seeds))}",
        ["decoder", "numbers in C", "parameters", "s to learn", *map(str, counts)],
        [
            [
                name,
                "" if name == "attention" else widths[name][1],
                sizes[name],
                f"{statistics.median(seconds for _, seconds in runs[name]):.0f}",
                *(spread(shares[name][count]) for count in counts),
            ]
            for name in runs
        ],
    )
    lesson.numbers["translated"] = {name: {str(k): v for k, v in each.items()} for name, each in shares.items()}
    lesson.fact(
        f"With {sizes['summary']:,} parameters and one C, 1 phrase becomes French to the last word in "
        f"{spread(shares['summary'][1])} of the cases, {longest} phrases ({4 * longest - 1} words, {9 * longest} bits) "
        f"in {spread(shares['summary'][longest])}. With attention and {sizes['attention']:,} parameters it is "
        f"{spread(shares['attention'][1])} and {spread(shares['attention'][longest])}.",
        min(shares["summary"][1]) > 0.8
        and max(shares["summary"][longest]) < 0.1
        and min(shares["attention"][1] + shares["attention"][longest]) > lesson.full(0.8, quick=0.6),
    )
    if not lesson.quick:
        lesson.fact(
            f"A wider C holds more: with 96 numbers and {sizes['summary, wide']:,} parameters, 3 phrases come through "
            f"in {spread(shares['summary, wide'][3])} of the cases, with 34 in {spread(shares['summary'][3])}; of 6 "
            f"phrases the wide one translates {spread(shares['summary, wide'][6])}.",
            min(shares["summary, wide"][3]) > max(shares["summary"][3])
            and max(shares["summary, wide"][6]) < min(shares["attention"][6]),
        )
        lesson.fact(
            f"8 phrases, 2 more than in any pair that was taught, are too many for attention, too: "
            f"{spread(shares['attention'][8])}.",
            max(shares["attention"][8]) < min(shares["attention"][6]),
        )
    aligned = [looked_at(network, longest) for network, _ in runs["attention"]]
    lesson.fact(
        f"Nobody told the network which word translates which. {spread(aligned)} of the words that it writes attend "
        f"most to their own word of the source, colours and things crosswise; by chance it would be "
        f"{1 / (4 * longest - 1):.2f}.",
        min(aligned) > lesson.full(0.8, quick=0.6),
    )

    network = runs["attention"][0][0]
    _, found, source = translated(network, min(3, longest), 1)
    by_length, alignment = lesson.picture(
        "Left: sources translated to the last word against their number of phrases: the line of the summary falls from "
        "the second or third phrase on, that of a wider summary a little later, that of attention stays near 1 as far "
        "as it was taught. Right: the attention of one translation, a row for each word that is written: dark squares "
        "along the diagonal, crossed where colour and thing change places.",
        panels=2,
        height=4.2,
    )
    drawn_lines(by_length, shares, counts, ("LSTM", "RNN", "other"))
    by_length.set(title="translated to the last word", xlabel="phrases", ylim=(-0.03, 1.05))
    by_length.axvline(longest + 0.5, color="#555555", linestyle="--", linewidth=1)
    drawn_alignment(alignment, found[0], [ENGLISH[k] for k in source[:, 0]], FRENCH)


def drawn_lines(axes, values, at, looks):
    """A line through the medians of each, and a mark for each seed."""
    for (name, each), look in zip(values.items(), (LOOKS[one] for one in looks), strict=False):
        for k in at:
            axes.plot([k] * len(each[k]), each[k], linestyle="none", alpha=0.35, **look)
        axes.plot(at, [statistics.median(each[k]) for k in at], label=name, **look)
    axes.legend(frameon=False, fontsize=8)


def drawn_alignment(axes, found, source, words):
    """The weights of the attention: a row for each word that was written and for the end, a column for each read."""
    axes.imshow(found.attention.numpy(), cmap="Greys", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(source)), source, rotation=90)
    axes.set_yticks(range(len(found.symbols) + 1), [*(words[k] for k in found.symbols), "(end)"])
    axes.set(title="what each word attends to")
    axes.grid(visible=False)


# -- real sentences -------------------------------------------------------------------------------------------------


UNKNOWN = 1  # stands for words that are seen fewer than three times
LENGTHS = ((1, 4), (5, 6), (7, 20))  # words of a source


def sentences_in(path):
    """Pairs of lists of words. A sign of punctuation is a word."""
    if path.is_dir():
        raise DataError(f"Lesson 15 reads one file of pairs, and {path} is a folder: name a file in it.")
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        sides = line.split("\t")
        if len(sides) != 2:
            raise DataError(f"Line {number} of {path} has {len(sides) - 1} tabs; a pair has one, between its sides.")
        apart = ["".join(f" {c} " if not (c.isalnum() or c in "'-’") else c for c in side.lower()) for side in sides]
        pairs.append(tuple(side.split() for side in apart))
    pairs = [pair for pair in pairs if all(1 <= len(side) <= LENGTHS[-1][1] for side in pair)]
    if len(pairs) < 1000:
        raise DataError(f"{path} has {len(pairs)} pairs of at most {LENGTHS[-1][1]} words; lesson 15 needs 1,000.")
    return pairs


def vocabulary(texts):
    counts = Counter(word for text in texts for word in text)
    return [".", "?", *(word for word, count in counts.items() if count > 2)]


def tensors(pairs, numbers):
    """Sources (S, B), their lengths (B), and targets (T, B) with their ends."""
    (reads, writes), rows = numbers, ([], [])
    for source, target in pairs:
        rows[0].append(torch.tensor([reads.get(word, UNKNOWN) for word in source]))
        rows[1].append(torch.tensor([*(writes.get(word, UNKNOWN) for word in target), BOUNDARY]))
    lengths = torch.tensor([len(row) for row in rows[0]])
    return pad_sequence(rows[0]), lengths, pad_sequence(rows[1], padding_value=PADDING)


def nats_and_right(network, x, lengths, targets):
    """Nats a word, and the share of words that are the likeliest, where the words before it are given."""
    network.eval()
    with torch.no_grad():
        scores, real = network(x, lengths, before_each(targets)), targets != PADDING
        nats = torch.nn.functional.cross_entropy(scores[real], targets[real]).item()
        return nats, (scores.argmax(-1) == targets)[real].float().mean().item()


def on_files(lesson: Lesson, data) -> None:
    pairs = sentences_in(data)
    random.Random(0).shuffle(pairs)
    held_sources = {tuple(source) for source, _ in pairs[: max(300, len(pairs) // 20)]}
    held = [pair for pair in pairs if tuple(pair[0]) in held_sources]
    taught = [pair for pair in pairs if tuple(pair[0]) not in held_sources]
    words = [vocabulary(side) for side in zip(*taught, strict=True)]
    numbers = [{word: k for k, word in enumerate(one)} for one in words]
    seeds, steps = range(lesson.full(3, quick=1)), lesson.full(800, quick=40)

    def learnt_of_files(form, hidden, seed):
        torch.manual_seed(seed)
        rng = random.Random(seed)
        reader = SymbolReader(len(words[0]), 48)
        network = EncoderDecoder(reader, len(words[1]), hidden=hidden, form=form, embedding=48, dropout=0.1)
        learn(network, lambda: network.loss(*tensors(rng.sample(taught, 32), numbers)), steps, rate=0.003)
        return network

    networks = {
        form: [learnt_of_files(form, hidden, seed) for seed in seeds]
        for form, hidden in (("attention", 64), ("summary", 68))
    }
    groups = {bounds: [p for p in held if bounds[0] <= len(p[0]) <= bounds[1]] for bounds in LENGTHS}
    judged = {
        form: {
            bounds: [nats_and_right(network, *tensors(group, numbers)) for network in each]
            for bounds, group in groups.items()
            if group
        }
        for form, each in networks.items()
    }
    nats = {form: {bounds: [one[0] for one in v] for bounds, v in each.items()} for form, each in judged.items()}
    lesson.table(
        f"{data.name}, {len(held):,} pairs held out: nats a word, by the words of the source, median and range of "
        f"{count_of_seeds(len(seeds))}; in brackets the share of words that are the likeliest",
        ["decoder", "parameters", *(f"{a} to {b} ({len(groups[a, b])})" for a, b in nats["summary"])],
        [
            [
                form,
                parameters(each[0]),
                *(f"{spread(nats[form][b])} [{statistics.median(r for _, r in v):.2f}]" for b, v in by.items()),
            ]
            for (form, each), by in zip(networks.items(), judged.values(), strict=True)
        ],
    )
    last = max(nats["summary"])
    lesson.fact(
        f"Held-out sentences of {last[0]} words and more cost {spread(nats['summary'][last])} nats a word with a "
        f"summary, and {spread(nats['attention'][last])} with attention.",
        lesson.quick or statistics.median(nats["attention"][last]) < statistics.median(nats["summary"][last]),
    )
    guess = math.log(len(words[1]))
    best = [min(v) for v in nats["attention"].values()]
    lesson.fact(
        f"A guess would cost {guess:.2f} nats a word; attention costs {min(best):.2f} at least.", max(best) < guess
    )

    source = next((p for p in held if len(p[0]) >= 8), held[0])
    x, lengths, _ = tensors([source], numbers)
    (found,) = written(networks["attention"][0], x, lengths, 30)
    by_length, alignment = lesson.picture(
        "Left: nats a word against the length of the source, for a summary and for attention. Right: the attention of "
        "one held-out sentence.",
        panels=2,
        height=4.2,
    )
    middles = {bounds: sum(bounds) / 2 for bounds in nats["summary"]}
    moved = {form: {middles[b]: v for b, v in each.items()} for form, each in nats.items()}
    drawn_lines(by_length, moved, list(middles.values()), ("LSTM", "RNN"))
    by_length.set(title="nats a word, held out", xlabel="words of the source")
    drawn_alignment(alignment, found, source[0], words[1])


if __name__ == "__main__":
    teach(main)
