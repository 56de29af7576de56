"""The perplexity of a hidden word of wikitext-2 (../shared/data/wikitext-2), of a model that reads from both sides.

    python benchmarks/fill.py                            # goes on where it stopped
    python benchmarks/fill.py --epochs 2 --hidden 128
    python benchmarks/fill.py --markdown                 # what has finished

The text is that of the files, without the spaces at the ends of lines, divided at white space: the 33,278 tokens that
published perplexities are of, the end of a line among them. Learnt from: the train part, but its last 5 %, which
validate. Judged on: the test part, every token of it, with all tokens compared. Beside the model, on the same tokens:

    bigram                           pairs with the word before (Witten-Bell)
    both neighbours                  pairs with both neighbours, which is the fair one: it knows what stands after, too
    Carousel's one-directional model the same cell and units, as many epochs, from the words before alone (--one-way)

Before a figure is shown, a word of the test part is changed, and what the model says of its place must not change.
"""

from __future__ import annotations

import argparse
import gzip
import math
from pathlib import Path

import numpy as np
import torch

from carousel import LanguageModel
from carousel.tasks.language import corpus, neighbour_baseline
from carousel.tasks.vocabulary import Vocabulary
from carousel.training.run_folder import RunFolder

DATA = Path(__file__).parents[2] / "shared" / "data" / "wikitext-2"
WORDS, HELD_OUT = 40_000, 0.05


def text_of(part: str, folder: Path) -> Path:
    """A part of the data as a text file: train, valid or test."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{part}.txt"
    if not path.exists():
        lines = gzip.decompress((DATA / f"{part}.txt.gz").read_bytes()).decode("utf-8").split("\n")
        path.write_text("\n".join(line.rstrip(" ") for line in lines), encoding="utf-8", newline="\n")
    return path


def symbols_of(path: Path, vocabulary: Vocabulary) -> np.ndarray:
    return np.concatenate([ids for ids, _ in corpus.encode(corpus.read([path]), vocabulary)])


def require_blind(model: LanguageModel, tokens: np.ndarray) -> None:
    """Raises AssertionError where what the model says of a place depends on the word there."""
    network = model.reading_both_ways
    symbols = torch.from_numpy(tokens[:64].astype(np.int64))[:, None]
    changed = symbols.clone()
    changed[32] = (changed[32] + 1) % model.vocabulary.size
    with torch.no_grad():
        assert torch.equal(network.places(symbols)[32], network.places(changed)[32])


def trained(run: Path, text: Path, given: argparse.Namespace, **options: object) -> LanguageModel:
    """The best model of a run, which is trained first, or gone on with where it was stopped."""
    if (run / "config.json").exists():
        return LanguageModel.resume(run)
    return LanguageModel.train(
        text,
        out=run,
        level="token",
        words=WORDS,
        hidden=given.hidden,
        lanes=given.lanes,
        epochs=given.epochs,
        validation_share=HELD_OUT,
        threads=given.threads,
        seed=given.seed,
        **options,
    )


def finished(run: Path) -> bool:
    return (run / "config.json").exists() and any("final" in line for line in RunFolder.open(run).log_lines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--epochs", type=float, default=8)
    parser.add_argument("--hidden", type=int, default=256, help="units of each side")
    parser.add_argument("--lanes", type=int, default=16, help="pieces of text in a training step")
    parser.add_argument("--sampled", type=int, default=1024)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--one-way", action="store_true", help="train the one-directional model, too")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark-fill"))
    parser.add_argument("--markdown", action="store_true", help="train nothing, and show what has finished")
    given = parser.parse_args()
    train, test = text_of("train", given.runs), text_of("test", given.runs)
    name = f"{given.hidden}-{given.epochs:g}-{given.seed}"
    both, one = given.runs / f"both-{name}", given.runs / f"one-{name}"
    rows = []
    if not given.markdown or finished(both):
        model = trained(both, train, given, fill=True, sampled=given.sampled)
        learnt = symbols_of(train, model.vocabulary)[: int((1 - HELD_OUT) * len(symbols_of(train, model.vocabulary)))]
        judged = symbols_of(test, model.vocabulary)
        require_blind(model, judged)
        counts = neighbour_baseline.count(learnt, model.vocabulary.size)
        rows += [
            ("bigram", math.exp(counts.bigram_nats(judged))),
            (neighbour_baseline.NAME, math.exp(counts.nats(judged))),
            (f"both sides, {given.hidden} units, {given.epochs:g} epochs", model.evaluate(test).perplexity),
        ]
    if given.one_way and (not given.markdown or finished(one)):
        rows.append(("the words before alone", trained(one, train, given).evaluate(test).perplexity))
    print("| model | perplexity of a hidden word, test |\n|---|---|")
    print("\n".join(f"| {name} | {perplexity:.1f} |" for name, perplexity in rows))


if __name__ == "__main__":
    main()
