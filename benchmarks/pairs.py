"""Translation and captions: how good the defaults are, and how fast a training step is beside an input-feeding loop.

    python benchmarks/pairs.py --data FOLDER [--runs FOLDER] [--epochs N] [--seeds 0 1 2]
    python benchmarks/pairs.py --emoji FOLDER --digits FOLDER [--runs FOLDER] [--epochs N] [--seeds 0 1 2]
    python benchmarks/pairs.py --speed

The folder of --data has train.tsv and test.tsv, pairs of texts that a tab divides (tatoeba-en-fr). That of --emoji has
images and captions as `carousel train` reads them, with the parts train, val and test (emoji-captions). That of
--digits has optdigits.tra and optdigits.tes, 64 pixels from 0 to 16 and a digit in each line, and words.txt, whose line
i is the word for digit i (optdigits-words). Each training is a run in the folder of runs: one that was stopped is
resumed, one that has ended is only judged. BLEU and chrF are sacrebleu's.
`--speed` checks first that the loop of torch computes what Carousel's network computes where it is not fed. Then it
times both in turn, and prints the minimum of each.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from carousel import Captioner, Translator
from carousel.models.encoder_decoder import PADDING, EncoderDecoder, before_each
from carousel.models.source_readers import SymbolReader
from carousel.tasks.pairs.scoring import scores

B, S, T, H, E, V = 64, 10, 12, 256, 128, 3000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--emoji", type=Path)
    parser.add_argument("--digits", type=Path)
    parser.add_argument("--runs", type=Path, default=Path("runs/pairs"))
    parser.add_argument("--epochs", type=float)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--forms", nargs="+", default=["attention", "summary"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--speed", action="store_true")
    given = parser.parse_args()
    if given.speed:
        speed()
    elif given.data is None and given.emoji is None and given.digits is None:
        parser.error("--data, --emoji or --digits FOLDER, or --speed")
    if given.data is not None:
        translation(given)
    if given.emoji is not None:
        captions(given)
    if given.digits is not None:
        digits(given)


def translation(given: argparse.Namespace) -> None:
    """Prints figures on the test part for each form and seed, beside the translation memory."""
    for form in given.forms:
        for seed in given.seeds:
            model = Translator(form=form, seed=seed, epochs=given.epochs, threads=given.threads)
            model = trained(model, given.runs / f"{form}-{seed}", given.data / "train.tsv")
            result = model.evaluate(given.data / "test.tsv")
            greedy = [mine[0].text for mine in model.translate(result.sources, beam=1)]
            said(f"{form}, seed {seed}", result)
            print(f"  greedy: {scores(greedy, result.targets).words}", flush=True)


def captions(given: argparse.Namespace) -> None:
    """Prints figures on the test part for each seed, beside the caption of the nearest image; and how many captions are
    right before their colon, which is the name without the tone of skin."""
    for seed in given.seeds:
        model = Captioner(seed=seed, epochs=given.epochs, threads=given.threads)
        model = trained(model, given.runs / f"emoji-{seed}", given.emoji)
        result = model.evaluate(given.emoji)
        said(f"emoji captions, seed {seed}", result)
        right = [
            one.split(":")[0] == other.split(":")[0] for one, other in zip(result.written, result.targets, strict=True)
        ]
        print(f"  before the colon: {np.mean(right):.1%} right", flush=True)


def digits(given: argparse.Namespace) -> None:
    """Prints figures on the images of other writers for each seed, beside the word of the nearest image."""
    words = (given.digits / "words.txt").read_text().split()

    def part(name: str) -> tuple[np.ndarray, list[str]]:
        table = np.loadtxt(given.digits / name, delimiter=",")
        return (table[:, :64].reshape(-1, 8, 8) / 16), [words[int(digit)] for digit in table[:, 64]]

    for seed in given.seeds:
        model = Captioner(seed=seed, epochs=given.epochs, threads=given.threads)
        model = trained(model, given.runs / f"digits-{seed}", *part("optdigits.tra"))
        said(f"words of digits, seed {seed}", model.evaluate(*part("optdigits.tes")))


def trained(model: Any, run: Path, *data: Any) -> Any:
    """The model of a run: a new one, one that goes on, or one that has ended. Prints what its training now took."""
    started = time.process_time()
    model = type(model).resume(run) if (run / "config.json").exists() else model.fit(*data, out=run)
    print(f"{run}: {time.process_time() - started:.0f} s of CPU time for what was trained now", flush=True)
    return model


def said(name: str, result: Any) -> None:
    print(f"{name}: {result.scores.words}")
    print(f"  {result.name}: {result.baseline.words if result.baseline else 'no pairs kept'}", flush=True)


class InputFeeding(nn.Module):
    """The same network in torch.nn, whose decoder also reads o of the step before (Luong et al. 2015, input feeding):
    one step after another, as OpenNMT-py and fairseq train it. feed: without it o is not read."""

    def __init__(self, *, feed: bool) -> None:
        super().__init__()
        self.feed = feed
        self.source, self.target = nn.Embedding(V, E), nn.Embedding(V, E)
        self.encoder = nn.GRU(E, H, bidirectional=True)
        self.bridge = nn.Linear(2 * H, H)
        self.cell = nn.GRUCell(E + E * feed, H)
        self.keys = nn.Linear(2 * H, H, bias=False)
        self.readout = nn.Linear(3 * H, E)
        self.bias = nn.Parameter(torch.zeros(V))

    def loss(self, x: Tensor, lengths: Tensor, y: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(self.source(x), lengths, enforce_sorted=False)
        outputs, last = self.encoder(packed)
        memory = nn.utils.rnn.pad_packed_sequence(outputs)[0].transpose(0, 1)
        keys, present = self.keys(memory), torch.arange(memory.shape[1]) < lengths.unsqueeze(1)
        h = torch.tanh(self.bridge(last.transpose(0, 1).flatten(1)))
        o, all_of_them = torch.zeros(x.shape[1], E), []
        for e in self.target(before_each(y)):
            h = self.cell(torch.cat([e, o], 1) if self.feed else e, h)
            scores = (keys @ h.unsqueeze(-1)).squeeze(-1).masked_fill(~present, -torch.inf)
            c = (scores.softmax(-1).unsqueeze(1) @ memory).squeeze(1)
            o = torch.tanh(self.readout(torch.cat([h, c], 1)))
            all_of_them.append(o)
        scores = functional.linear(torch.stack(all_of_them), self.target.weight, self.bias)
        return functional.cross_entropy(scores.flatten(0, 1), y.flatten(), ignore_index=PADDING)


def speed(rounds: int = 12) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    mine = EncoderDecoder(SymbolReader(V, E), V, hidden=H, embedding=E)
    same, fed = InputFeeding(feed=False), InputFeeding(feed=True)
    x, y = torch.randint(1, V, (S, B)), torch.randint(1, V, (T, B))
    lengths = torch.randint(S // 2, S + 1, (B,))
    lengths[0] = S
    with torch.no_grad():
        copied(mine, same)
        there, here = same.loss(x, lengths, y), mine.loss(x, lengths, y)
    assert torch.allclose(there, here, rtol=1e-4), (there, here)
    print(f"checked: both losses are {here:.6f} where nothing is fed back")
    best = {"carousel, attention after the recurrence": float("inf"), "torch, input feeding": float("inf")}
    for _ in range(rounds):
        for name, network in zip(best, (mine, fed), strict=True):
            started = time.process_time()
            network.zero_grad()
            network.loss(x, lengths, y).backward()
            best[name] = min(best[name], time.process_time() - started)
    for name, seconds in best.items():
        print(
            f"{name}: {1000 * seconds:.1f} ms of CPU time a training step (B {B}, S {S}, T {T}, H {H}, V {V}, 1 thread)"
        )
    ours, theirs = best.values()
    print(f"{theirs / ours:.2f} times as fast")


def copied(mine: EncoderDecoder, other: InputFeeding) -> None:
    """Gives the network of torch the weights of Carousel's."""
    other.source.load_state_dict(mine.reader.embedding.state_dict())
    other.target.load_state_dict(mine.embedding.state_dict())
    other.encoder.load_state_dict(mine.encoder.state_dict())
    other.cell.load_state_dict({name.removesuffix("_l0"): value for name, value in mine.decoder.state_dict().items()})
    other.bridge.load_state_dict(mine.bridge.state_dict())
    other.keys.load_state_dict(mine.attention.keys.state_dict())
    other.readout.load_state_dict(mine.readout.state_dict())
    other.bias.data.copy_(mine.bias.data)


if __name__ == "__main__":
    main()
