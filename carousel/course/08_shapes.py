"""8. One network, many shapes of task

    one to many     a number is written out:           42 -> "forty two"
    many to one     and read:                          "forty two" -> 42
    aligned         one answer a step:                 binary addition, from the last digit on
    unaligned       read all, then write:              "forty two" -> "XLII", through a summary vector
    bidirectional   a blank is filled from both sides: "he is ___ because he wins", two layers deep
    predicting      the next word or character, and with it the end of a sentence: "the clouds are in the ___"

The same layers do all of it; only where inputs enter and where losses are taken differs.

Only in part: what is not in the examples is not learnt. A network that has spelled most numbers spells the others by
analogy, and not all of them; a sum of numbers far longer than those it was taught may break; and a predictor of words
completes the sentences of its text, not of the world, and these sentences counts of six words complete as well. A layer
in one direction fills a blank, too, where the clue stands before it.
"""

import math
import random
import statistics
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

import carousel
from carousel.course.learning import Network, learn
from carousel.course.lesson import LOOKS, Lesson, count_of_seeds, spread, teach
from carousel.course.numerals import LETTERS, in_roman, in_words
from carousel.tasks.language import ngram_baseline
from carousel.training import Quiet


def letters(texts):
    """Texts as (T, B) numbers of letters, and their lengths (B)."""
    rows = [torch.tensor([LETTERS.index(letter) for letter in text]) for text in texts]
    return nn.utils.rnn.pad_sequence(rows), torch.tensor([len(row) for row in rows])


def one_hot(symbols):
    return F.one_hot(symbols, len(LETTERS)).float()


class Reader(nn.Module):
    """Many to one: the state after the last letter, (B, 64)."""

    def __init__(self):
        super().__init__()
        self.layer = carousel.GRU(len(LETTERS), 64)

    def forward(self, texts):
        symbols, lengths = letters(texts)
        return self.layer(one_hot(symbols), lengths=lengths)[1][-1]


class Writer(nn.Module):
    """One to many: letters from a vector, each of them fed back as the next input."""

    def __init__(self, size):
        super().__init__()
        self.start = nn.Linear(size, 64)
        self.network = Network(carousel.GRU(len(LETTERS), 64), len(LETTERS))

    def loss(self, vectors, texts):
        """Every letter predicted from the right ones before it."""
        symbols, lengths = letters([f".{text}." for text in texts])
        scores, _ = self.network(one_hot(symbols[:-1]), torch.tanh(self.start(vectors))[None])
        real = torch.arange(len(scores))[:, None] < lengths - 1
        return F.cross_entropy(scores[real], symbols[1:][real])

    @torch.no_grad()
    def write(self, vectors):
        state, texts = torch.tanh(self.start(vectors))[None], [""] * len(vectors)
        symbol = torch.full((1, len(vectors)), LETTERS.index("."))
        for _ in range(20):
            scores, state = self.network(one_hot(symbol), state)
            symbol = scores.argmax(-1)
            texts = [text if "." in text else text + LETTERS[s] for text, s in zip(texts, symbol[0], strict=True)]
        return [text.removesuffix(".") for text in texts]


def digits(numbers):
    """A number as one vector: its tens and its ones, (B, 20)."""
    return torch.cat([F.one_hot(numbers // 10, 10), F.one_hot(numbers % 10, 10)], -1).float()


def numbers_read_and_written(lesson, seed):
    """Shares of numbers that are right, of those taught and of the 16 held back."""
    torch.manual_seed(seed)
    order = torch.randperm(79) + 21
    held, taught = order[:16], torch.cat([torch.arange(1, 21), order[16:]])
    speller, reader, decoder = Writer(20), Reader(), Writer(64)
    encoder, answer = Reader(), nn.Linear(64, 20)

    def split(scores):
        return scores[:, :10], scores[:, 10:]

    def loss():
        n = taught[torch.randint(len(taught), (32,))]
        texts = [in_words(k) for k in n.tolist()]
        tens, ones = split(answer(reader(texts)))
        total = speller.loss(digits(n), texts) + F.cross_entropy(tens, n // 10) + F.cross_entropy(ones, n % 10)
        if lesson.quick:  # the Roman numerals take the longest to learn
            return total
        return total + decoder.loss(encoder(texts), [in_roman(k) for k in n.tolist()])

    learn(nn.ModuleList([speller, reader, answer, encoder, decoder]), loss, lesson.full(700, quick=250), rate=0.004)
    shares = {}
    for which, numbers in (("taught", taught), ("held back", held)):
        texts = [in_words(k) for k in numbers.tolist()]
        with torch.no_grad():
            tens, ones = split(answer(reader(texts)))
            written = {
                "one to many": [a == b for a, b in zip(speller.write(digits(numbers)), texts, strict=True)],
                "many to one": (10 * tens.argmax(-1) + ones.argmax(-1) == numbers).tolist(),
            }
            if not lesson.quick:
                romans = zip(decoder.write(encoder(texts)), map(in_roman, numbers.tolist()), strict=True)
                written["unaligned"] = [a == b for a, b in romans]
        shares |= {(shape, which): sum(right) / len(right) for shape, right in written.items()}
    return shares


def addition(bits, batch):
    """Two binary numbers, last digit first, (bits, B, 2), and the digits of their sum, (bits, B)."""
    x = torch.randint(2, (bits, batch, 2))
    carry, total = torch.zeros(batch, dtype=torch.long), []
    for pair in x.sum(-1):
        total.append((pair + carry) % 2)
        carry = (pair + carry) // 2
    return x.float(), torch.stack(total).float()


def added(lesson, seed):
    """The share of sums of 8, 32 and 128 digits with every digit right, after 8 digits were taught."""
    torch.manual_seed(seed)
    network = Network(carousel.RNN(2, 8), 1)

    def loss():
        x, total = addition(8, 64)
        return F.binary_cross_entropy_with_logits(network(x)[0][..., 0], total)

    learn(network, loss, lesson.full(1500, quick=700))
    shares = []
    for bits in (8, 32, 128):
        x, total = addition(bits, 500)
        with torch.no_grad():
            shares.append(((network(x)[0][..., 0] > 0) == (total > 0)).all(0).float().mean().item())
    return shares


OUTCOMES = {"wins": "happy", "loses": "sad", "rests": "calm", "works": "tired", "falls": "hurt"}
BLANK, WHO = "___", ("he", "she", "it")
WORDS = [BLANK, *WHO, "is", "because", "so", *OUTCOMES, *OUTCOMES.values()]
CLUE_AFTER, CLUE_BEFORE = "{who} is ___ because {who} {verb}", "{who} {verb} so {who} is ___"


def blanks(form, batch):
    """Sentences with a blank, one-hot (T, B, words), the place of the blank, and the word that is missing (B)."""
    verbs = random.choices(list(OUTCOMES), k=batch)
    texts = [form.format(who=random.choice(WHO), verb=verb).split() for verb in verbs]
    x = torch.tensor([[WORDS.index(word) for word in text] for text in texts]).T
    missing = torch.tensor([WORDS.index(OUTCOMES[verb]) for verb in verbs])
    return F.one_hot(x, len(WORDS)).float(), form.split().index(BLANK), missing


def filled(lesson, seed, bidirectional):
    """Accuracy with the clue after the blank, and with the clue before it."""
    torch.manual_seed(seed)
    random.seed(seed)
    layer = carousel.LSTM(len(WORDS), 32, num_layers=lesson.full(2, quick=1), bidirectional=bidirectional)
    layer.initialize("forget-bias")
    network = Network(layer, len(WORDS))

    def loss():
        both = (blanks(form, 32) for form in (CLUE_AFTER, CLUE_BEFORE))
        return torch.stack([F.cross_entropy(network(x)[0][place], missing) for x, place, missing in both]).sum()

    learn(network, loss, lesson.full(600, quick=200), rate=lesson.full(0.004, quick=0.01))
    right = []
    for form in (CLUE_AFTER, CLUE_BEFORE):
        x, place, missing = blanks(form, 500)
        with torch.no_grad():
            right.append((network(x)[0][place].argmax(-1) == missing).float().mean().item())
    return right


HOMES = {
    "sky": ("clouds", "stars", "swallows"),
    "sea": ("whales", "waves", "corals"),
    "woods": ("owls", "ferns", "deer"),
}
SENTENCES = [f"the {who} are in the {home} ." for home, all_ in HOMES.items() for who in all_] + [
    f"{who} is {mood} because {who} {verb} ." for who in WHO for verb, mood in OUTCOMES.items()
]


def text(count, seed):
    return "\n".join(random.Random(seed).choices(SENTENCES, k=count)) + "\n"


def predictors(lesson, folder):
    """Models of words and of characters on sentences drawn at random: nats a sentence, and what they complete."""
    (folder / "learn.txt").write_text(text(lesson.full(8000, quick=2500), seed=1), encoding="utf-8")
    (folder / "judge.txt").write_text(text(500, seed=2), encoding="utf-8")
    nats, completed = {"nobody can do better": math.log(len(SENTENCES))}, []
    for level in lesson.full(["word", "char"], quick=["word"]):
        model = carousel.LanguageModel.train(
            folder / "learn.txt", out=folder / level, report=Quiet(), level=level, hidden=64, lanes=8, window=32,
            epochs=10 if level == "word" else 4, threads=1,
        )  # fmt: skip
        judged = model.evaluate(folder / "judge.txt")
        learnt, asked = (
            model.vocabulary.encode((folder / name).read_text()).ids for name in ("learn.txt", "judge.txt")
        )
        counts = ngram_baseline.count(np.asarray(learnt), np.asarray(asked), model.vocabulary.size, orders=6)
        nats[f"{level}s: LSTM"] = judged.nats_per_character * judged.characters / 500
        nats[f"{level}s: counts of pairs"] = counts.nats[1] * len(asked) / 500
        nats[f"{level}s: counts of six"] = counts.nats[5] * len(asked) / 500
        for prompt in ("the clouds are in the", "the whales are in the", "she is happy because she"):
            best = model.complete(prompt, count=1)[0]
            completed.append([f"{level}s", prompt, best.text.strip(), best.probability])
    return nats, completed


def main(lesson: Lesson) -> None:
    seeds = range(lesson.full(3, quick=1))
    found = [numbers_read_and_written(lesson, seed) for seed in seeds]
    shares = {key: [one[key] for one in found] for key in found[0]}
    kinds = list(dict.fromkeys(shape for shape, _ in shares))
    lesson.table(
        f"Numbers from 1 to 99, right to the last letter: median and range of {count_of_seeds(len(seeds))}",
        ["shape", "taught", "held back"],
        [[shape, spread(shares[shape, "taught"]), spread(shares[shape, "held back"])] for shape in kinds],
    )
    lesson.fact(
        "What is learnt of 83 numbers carries over to 16 that were never seen, right to the last letter: "
        + ", ".join(f"{shape} {spread(shares[shape, 'held back'])}" for shape in kinds)
        + ".",
        min(min(shares[shape, "taught"]) for shape in kinds) > 0.9
        and min(sum(shares[shape, "held back"]) for shape in kinds) > lesson.full(0.5, quick=0.2) * len(seeds),
    )

    sums = [added(lesson, seed) for seed in seeds]
    by_length = dict(zip(("8 digits, taught", "32 digits", "128 digits"), zip(*sums, strict=True), strict=True))
    lesson.table("Sums with every digit right", list(by_length), [list(map(spread, by_length.values()))])
    lesson.fact(
        f"An RNN of 8 units, taught to add 8 binary digits, adds 32: {spread(by_length['32 digits'])} of the sums are "
        f"right in every digit.",
        min(by_length["32 digits"]) > 0.9,
    )

    ways = {
        name: [filled(lesson, seed, name == "both directions") for seed in seeds]
        for name in ("forwards", "both directions")
    }
    blank = {name: list(zip(*right, strict=True)) for name, right in ways.items()}
    lesson.table(
        f"Filling the blank, one of five words; LSTM, layers: {lesson.full(2, quick=1)}",
        ["direction", "he is ___ because he wins", "he wins so he is ___"],
        [[name, *map(spread, right)] for name, right in blank.items()],
    )
    lesson.fact(
        f"With the clue after the blank, forwards is a guess, {spread(blank['forwards'][0])} where guessing is 0.20; "
        f"in both directions {spread(blank['both directions'][0])}. With the clue before it forwards is right, too: "
        f"{spread(blank['forwards'][1])}.",
        max(blank["forwards"][0]) < 0.3
        and statistics.median(blank["forwards"][1]) > 0.95
        and min(map(min, blank["both directions"])) > 0.95,
    )

    with tempfile.TemporaryDirectory() as folder:
        nats, completed = predictors(lesson, Path(folder))
    lesson.table(
        f"One of {len(SENTENCES)} sentences after another", ["predictor", "nats a sentence"], list(nats.items())
    )
    lesson.table("Completed", ["predictor of", "prompt", "likeliest next word", "probability"], completed)
    best, lstm, levels = nats["nobody can do better"], ": LSTM", list(dict.fromkeys(level for level, *_ in completed))
    lesson.fact(
        f"The least that is possible is ln {len(SENTENCES)} = {best:.2f} nats a sentence. The networks come near it, "
        f"{', '.join(f'{level} {nats[level + lstm]:.2f}' for level in levels)}; counts of pairs do not.",
        all(best - 0.1 < nats[level + lstm] < 1.15 * best < nats[f"{level}: counts of pairs"] for level in levels),
    )
    words = {(level, prompt): word for level, prompt, word, _ in completed}
    lesson.fact(
        "Clouds are completed by sky and whales by sea.",
        all(
            words[level, f"the {who} are in the"] == home
            for level in levels
            for who, home in (("clouds", "sky"), ("whales", "sea"))
        ),
    )
    draw(lesson, shares, kinds, by_length, blank, nats)


def draw(lesson, shares, kinds, by_length, blank, nats):
    numbers, sums, blanks_, sentences = lesson.picture(
        "Top left: the share of numbers right for three shapes of task: all or nearly all of those taught, most of "
        "those held back. Top right: sums right in every digit, for 8, 32 and 128 digits. Bottom left: blanks filled; "
        "forwards only where the clue stands before, in both directions always. Bottom right: nats a sentence; both "
        "networks lie close to the least that is possible, counts of pairs far above.",
        panels=4,
        rows=2,
    )
    for which, look in (("taught", LOOKS["LSTM"]), ("held back", LOOKS["RNN"])):
        for place, shape in enumerate(kinds):
            values = shares[shape, which]
            label = None if place else which
            at = [place + (0.06 if which == "taught" else -0.06)] * len(values)
            numbers.plot(at, values, linestyle="none", alpha=0.7, label=label, **look)
    numbers.set_xticks(range(len(kinds)), kinds)
    for place, values in enumerate(by_length.values()):
        sums.plot([place] * len(values), values, linestyle="none", alpha=0.7, **LOOKS["RNN"])
    sums.set_xticks(range(len(by_length)), list(by_length))
    for (name, right), look in zip(blank.items(), (LOOKS["RNN"], LOOKS["LSTM"]), strict=True):
        for place, values in enumerate(right):
            label = None if place else name
            at = [place + (0.04 if name == "forwards" else -0.04)] * len(values)
            blanks_.plot(at, values, linestyle="none", alpha=0.7, label=label, **look)
    blanks_.set_xticks([0, 1], ["clue after the blank", "clue before the blank"])
    blanks_.axhline(1 / len(OUTCOMES), color="#555555", linestyle="--", linewidth=1)
    sentences.barh(
        list(nats)[::-1], [min(value, 8.2) for value in reversed(nats.values())], color=LOOKS["LSTM"]["color"]
    )
    sentences.axvline(nats["nobody can do better"], color="#555555", linestyle="--", linewidth=1)
    for place, value in enumerate(reversed(nats.values())):
        sentences.text(min(value, 8.2) + 0.1, place, f"{value:.2f}", va="center")
    sentences.set(title="nats a sentence (long bars cut)", xlim=(0, 10))
    for axes, title in ((numbers, "numbers right"), (sums, "sums right in every digit"), (blanks_, "blanks filled")):
        axes.set(title=title, ylim=(-0.05, 1.05))
        axes.margins(x=0.2)
    numbers.legend(frameon=False, loc="lower right")
    blanks_.legend(frameon=False, loc="center")


if __name__ == "__main__":
    teach(main)
