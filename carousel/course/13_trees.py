"""13. Recursive networks: the loop follows a tree in place of a chain

A recurrent network continues one state, that of the step before. A recursive network continues several: the step of a
node reads its own input and the states of its children,

    h = f(x, h of child 0, h of child 1, ...)

with the same weights at every node, as an RNN has the same at every step. So a chain is the tree in which every node
has one child, and over it the network is a recurrent one. Two things are new. The way from a leaf to the root is as
long as the tree is high, and a tree of n leaves that branches evenly is log2(n) nodes high where a chain has n steps.
And the order of the computation is that of the structure: a node that stands for a part of an expression holds the
value of that part.

With `--data FILE` the lesson compares both on trees of your own, in brackets with a label at each node, as those of the
Stanford Sentiment Treebank are: `(3 (2 It) (4 works))`.

Only in part: the tree must be known. A parser or a person has drawn it before the network reads it, and a recurrent
network, which finds for itself what belongs together, needs no more than the text. On film reviews, where trees of
people's labels are there to learn from (docs/trees.md), a Tree-LSTM wins by little over a good recurrent network; on
long sentences without trees nothing of this helps. The LSTM here has not learnt all that it could, either: of
expressions as long as those that it was taught it gives 6 in 10, and more training would help it there. The short way
to the root is the tree's too: one that leans to a side has its leaves as far away as a chain has its steps.
"""

import random
import statistics
from collections import Counter

import torch
from torch import nn
from torch.nn import functional as F

import carousel
from carousel.course.learning import learn, parameters
from carousel.course.lesson import LOOKS, Lesson, count_of_seeds, shown, spread, teach
from carousel.layers.trees import read_brackets

OPERATIONS = {"min": min, "max": max, "+": lambda a, b: (a + b) % VALUES}
VALUES = 5
SIGNS = [*OPERATIONS, *map(str, range(VALUES)), "(", ")"]


def chain_is_a_sequence(lesson):
    """The same weights over 30 steps of a sequence, and over a chain of 30 nodes from its root down."""
    layer = carousel.LSTM(3, 8, dtype=torch.float64)
    over_trees = carousel.Recursive("lstm", 3, 8, direction="down", dtype=torch.float64)
    over_trees.load_state_dict(layer.state_dict())
    x = torch.randn(30, 3, dtype=torch.float64)
    chain = carousel.Trees(range(-1, 29))
    outputs, gradients = [], []
    for output, weights in ((layer(x)[0], layer), (over_trees(x, chain)[0], over_trees)):
        output.square().sum().backward()
        outputs.append(output)
        gradients.append(torch.cat([weight.grad.flatten() for weight in weights.parameters()]))
    apart = (outputs[0] - outputs[1]).abs().max().item(), (gradients[0] - gradients[1]).abs().max().item()
    lesson.numbers["chain against sequence"] = apart
    lesson.fact(
        f"Over a chain of 30 nodes an LSTM gives what it gives over a sequence of 30 steps: outputs differ by at most "
        f"{apart[0]:.1e}, gradients of the weights by {apart[1]:.1e}.",
        max(apart) < 1e-12,
    )


def even(leaves):
    """The parents of a tree that branches evenly: node 0 is the root, and the children of node k are 2 k + 1 and 2 k +
    2."""
    return [-1, *((node - 1) // 2 for node in range(1, 2 * leaves - 1))]


def leaning(leaves):
    """The parents of a tree each of whose inner nodes has one leaf and one inner node: 2 k has the children 2 k + 1 and
    2 k + 2."""
    return [-1, *((node - 1) // 2 * 2 for node in range(1, 2 * leaves - 1))]


def gradients(lesson):
    leaves, seeds = lesson.full(256, quick=64), range(3)
    shapes = {"even": carousel.Trees(even(leaves)), "leaning": carousel.Trees(leaning(leaves))}
    found = {}
    for cell in ("rvnn", "tree-lstm"):
        for shape, trees in shapes.items():
            runs = []
            for seed in seeds:
                torch.manual_seed(seed)
                layer = carousel.Recursive(cell, 4, 32, dtype=torch.float64)
                x = torch.randn(trees.nodes, 4, dtype=torch.float64, requires_grad=True)
                layer(x, trees)[0][trees.roots].sum().backward()
                runs.append(x.grad[trees.leaves].norm(dim=1))
            found[cell, shape] = torch.stack(runs)
    farthest = {key: [run.min().item() for run in runs] for key, runs in found.items()}
    height = {shape: int(trees.height.max()) for shape, trees in shapes.items()}
    lesson.table(
        f"The norm of the gradient of the sum of the root's units with respect to the input of the leaf that feels it "
        f"least, of {leaves} leaves, at random weights: median and range of {count_of_seeds(len(seeds))}",
        ["cell", *(f"{shape}, {height[shape]} nodes high" for shape in shapes)],
        [[cell, *(ranged(farthest[cell, shape]) for shape in shapes)] for cell in ("rvnn", "tree-lstm")],
    )
    lesson.numbers["least gradient"] = {f"{cell}, {shape}": values for (cell, shape), values in farthest.items()}
    far, near = farthest["rvnn", "leaning"], farthest["rvnn", "even"]
    lesson.fact(
        f"In a tree of {leaves} leaves that branches evenly, {height['even']} nodes high, the leaf that gets "
        f"least of the root's gradient gets a norm of {ranged(near)} in the plainest recursive network. In one that "
        f"leans, {height['leaning']} nodes high, it is {ranged(far)}.",
        min(near) > 1e6 * max(far),
    )
    return found, leaves


def ranged(values):
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.1e} ({low:.1e} to {high:.1e})"


def expression(leaves, draw):
    """An expression with so many numbers: the parent and the sign of each node of its tree, its text, its value, and
    the values of all its nodes."""
    parents, signs, text, values = [], [], [], {}

    def write(count, parent):
        node = len(parents)
        parents.append(parent)
        if count == 1:
            values[node] = draw.randrange(VALUES)
            signs.append(str(values[node]))
            text.append(signs[-1])
            return values[node]
        sign, left = draw.choice(list(OPERATIONS)), draw.randrange(1, count)
        signs.append(sign)
        text.append("(")
        a = write(left, node)
        text.append(sign)
        b = write(count - left, node)
        text.append(")")
        values[node] = OPERATIONS[sign](a, b)
        return values[node]

    value = write(leaves, -1)
    return parents, signs, text, value, [values[node] for node in range(len(parents))]


def one_hot(signs):
    return F.one_hot(torch.tensor([SIGNS.index(sign) for sign in signs]), len(SIGNS)).float()


class TreeNetwork(nn.Module):
    """A Tree-LSTM that reads a sign at every node, and answers at every node."""

    def __init__(self):
        super().__init__()
        self.layer = carousel.Recursive("tree-lstm", len(SIGNS), 32)
        self.head = nn.Linear(32, VALUES)

    def forward(self, batch):
        trees = carousel.Trees([parents for parents, *_ in batch])
        output, _ = self.layer(one_hot([sign for _, signs, *_ in batch for sign in signs]), trees)
        return self.head(output), trees.roots


class TextNetwork(nn.Module):
    """An LSTM that reads the same expressions as text, brackets and all, and answers at the end."""

    def __init__(self):
        super().__init__()
        self.layer = carousel.LSTM(len(SIGNS), 64)
        self.layer.initialize("forget-bias")
        self.head = nn.Linear(64, VALUES)

    def forward(self, batch):
        texts = [one_hot(text) for _, _, text, *_ in batch]
        lengths = torch.tensor([len(text) for text in texts])
        output, _ = self.layer(nn.utils.rnn.pad_sequence(texts), lengths=lengths)
        return self.head(output).flatten(0, 1), (lengths - 1) * len(batch) + torch.arange(len(batch))


def guessed(leaves):
    """The share of such expressions whose value is the commonest one for the operation at the root."""
    draw = random.Random(99)
    batch = [expression(draw.randint(*leaves), draw) for _ in range(3000)]
    counts = Counter((signs[0], value) for _, signs, _, value, _ in batch)
    commonest = [max(count for (sign, _), count in counts.items() if sign == own) for own in OPERATIONS]
    return sum(commonest) / len(batch)


def right(network, leaves):
    """The share of 300 new expressions with these numbers of leaves whose value the network gives."""
    draw = random.Random(99)
    batch = [expression(draw.randint(*leaves), draw) for _ in range(300)]
    with torch.no_grad():
        answers, at = network(batch)
    return (answers[at].argmax(1) == torch.tensor([value for *_, value, _ in batch])).float().mean().item()


def parts_right(network):
    """The share of the inner nodes, roots aside, at which the same head gives the value of that part."""
    draw = random.Random(99)
    batch = [expression(draw.randint(5, 8), draw) for _ in range(300)]
    with torch.no_grad():
        answers, at = network(batch)
    inner = torch.tensor([sign in OPERATIONS for _, signs, *_ in batch for sign in signs])
    inner[at] = False
    wanted = torch.tensor([value for *_, values in batch for value in values])
    return (answers[inner].argmax(1) == wanted[inner]).float().mean().item()


def expressions(lesson):
    seeds, steps = range(lesson.full(3, quick=1)), lesson.full(800, quick=150)
    lengths = [(2, 4), (5, 8), (9, 16), *lesson.full([(17, 32)], quick=[])]
    found, parts, sizes = {}, [], {}
    for seed in seeds:
        for name, kind, rate in (("tree", TreeNetwork, 0.01), ("text", TextNetwork, 0.005)):
            torch.manual_seed(seed)
            network, draw = kind(), random.Random(seed)

            def loss(network=network, draw=draw):
                batch = [expression(draw.randint(1, 8), draw) for _ in range(64)]
                answers, at = network(batch)
                return F.cross_entropy(answers[at], torch.tensor([value for *_, value, _ in batch]))

            learn(network, loss, steps, rate=rate)
            sizes[name] = parameters(network)
            for leaves in lengths:
                found.setdefault((name, leaves), []).append(right(network, leaves))
            if name == "tree":
                parts.append(parts_right(network))
    called = {"tree": "Tree-LSTM over the tree (rate 0.01)", "text": "LSTM over the text (rate 0.005)"}
    lesson.table(
        f"Values right of expressions such as (3 max (1 + (4 min 2))), sums modulo {VALUES}, after {steps} batches of "
        f"expressions with 1 to 8 numbers: median and range of {count_of_seeds(len(seeds))}; any one value: 0.2",
        ["network", "parameters", *(f"{low} to {high} numbers" for low, high in lengths)],
        [
            *([called[n], sizes[n], *(spread(found[n, leaves]) for leaves in lengths)] for n in called),
            ["the commonest value for the operation at the root", 0, *map(guessed, lengths)],
        ],
    )
    lesson.numbers["values right"] = {f"{name}, {low} to {high}": v for (name, (low, high)), v in found.items()}
    lesson.numbers["parts right"] = parts
    last = lengths[-1]
    tree, text = found["tree", last], found["text", last]
    lesson.fact(
        f"Of expressions with {last[0]} to {last[1]} numbers, longer than any that was learnt, the network over trees "
        f"gives {spread(tree)} of the values, and an LSTM that reads them as text, with "
        f"{sizes['text'] / sizes['tree']:.1f} times the parameters, {spread(text)}.",
        min(tree) > max(text) + 0.15 and sizes["text"] > sizes["tree"],
    )
    lesson.fact(
        f"Losses were taken at the root alone, and yet the same head, put on the inner nodes, gives {spread(parts)} of "
        f"the values of the parts: a node has the state that it has as a root of its own.",
        min(parts) > lesson.full(0.95, quick=0.7),
    )
    return found, lengths


def order_of_children(lesson):
    torch.manual_seed(0)
    x = torch.randn(3, 4, dtype=torch.float64)
    trees, swapped = carousel.Trees([-1, 0, 0]), x[[0, 2, 1]]
    apart = {}
    for cell in ("tree-lstm", "child-sum-tree-lstm"):
        layer = carousel.Recursive(cell, 4, 8, dtype=torch.float64)
        with torch.no_grad():
            roots = [layer(each, trees)[0][0] for each in (x, swapped)]
        apart[cell] = (roots[0] - roots[1]).abs().max().item()
    lesson.numbers["children exchanged"] = apart
    lesson.fact(
        f"A cell with a matrix for each child tells a - b from b - a: exchanged children move the root's state by "
        f"{apart['tree-lstm']:.2f}. One that adds its children up takes any number of them, and cannot: by "
        f"{shown(apart['child-sum-tree-lstm'])}.",
        apart["tree-lstm"] > 0.01 and apart["child-sum-tree-lstm"] < 1e-15,
    )


def main(lesson: Lesson) -> None:
    chain_is_a_sequence(lesson)
    felt, leaves = gradients(lesson)
    order_of_children(lesson)
    found, lengths = expressions(lesson)

    left, right_ = lesson.picture(
        "Left: the gradient of the root with respect to each leaf, on a logarithmic scale; in the even tree all leaves "
        "get about as much, in the leaning one it falls leaf by leaf to nothing, more slowly for a Tree-LSTM. Right: "
        "values right against how many numbers an expression has; the network over trees stays near 1 far beyond what "
        "was learnt, the LSTM over text falls.",
        panels=2,
        height=4.0,
    )
    for cell, look in (("rvnn", LOOKS["RNN"]), ("tree-lstm", LOOKS["LSTM"])):
        for shape, style in (("even", "-"), ("leaning", "--")):
            middle = felt[cell, shape].median(0).values.clamp(min=1e-40)
            left.semilogy(range(1, leaves + 1), middle, style, color=look["color"], label=f"{cell}, {shape}")
    left.set(title="gradient that a leaf gets", xlabel="leaf", ylim=(1e-30, 10))
    at = [(low + high) / 2 for low, high in lengths]
    for name, label, look in (("tree", "over the tree", LOOKS["LSTM"]), ("text", "over the text", LOOKS["RNN"])):
        for where, pair in zip(at, lengths, strict=True):
            values = found[name, pair]
            right_.plot([where] * len(values), values, linestyle="none", alpha=0.4, **look)
        right_.plot(at, [statistics.median(found[name, pair]) for pair in lengths], label=label, **look)
    right_.axvspan(0, 8.5, color="#888888", alpha=0.15, linewidth=0)
    right_.set(title="expressions computed (grey: learnt)", xlabel="numbers in the expression", ylim=(0, 1.05))
    for axes in (left, right_):
        axes.legend(frameon=False, fontsize=8, loc="lower left")


def on_files(lesson, data):
    """Trees in brackets, one a line: the labels of roots, by a network over the trees and by one over their words. The
    last fifth of the lines judges both."""
    lines = [line for line in data.read_text(encoding="utf-8").splitlines() if line.strip()]
    lines = lines[: lesson.full(len(lines), quick=400)]
    read = read_brackets(lines, data.name)
    labels = [read.labels[root] for root in read.trees.roots.tolist()]
    words = [[] for _ in lines]
    for tree, word in zip(read.trees.tree_of.tolist(), read.words, strict=True):
        words[tree] += [word] if word else []
    texts = list(map(" ".join, words))
    cut = len(lines) * 4 // 5
    over_trees = carousel.TreeClassifier(epochs=4, networks=1, threads=1).fit(lines[:cut])
    over_words = carousel.SequenceClassifier(epochs=6, folds=1, threads=1).fit(texts[:cut], labels[:cut])
    wanted = labels[cut:]
    commonest = max(set(labels[:cut]), key=labels[:cut].count)
    found = {
        "the commonest label": [commonest] * len(wanted),
        "over the words": over_words.predict(texts[cut:]),
        "over the trees": over_trees.predict(lines[cut:]),
    }
    shares = {name: [str(a) == str(b) for a, b in zip(given, wanted, strict=True)] for name, given in found.items()}
    lesson.table(
        f"Roots of {len(wanted):,} trees labelled as they are, after {cut:,} trees",
        ["network", "right"],
        [[name, sum(right) / len(right)] for name, right in shares.items()],
    )


if __name__ == "__main__":
    teach(main)
