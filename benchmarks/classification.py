"""How well the default classifier does on small public data sets: the table of docs/classification.md.

    python benchmarks/classification.py                    # all of them: about twenty minutes on one core
    python benchmarks/classification.py gunpoint fsdd      # some of them
    python benchmarks/classification.py --seeds 0 1 2 --out found.jsonl     # goes on where it stopped
    python benchmarks/classification.py --with fixed_convolutions=5000      # other settings than the defaults
    python benchmarks/classification.py --peers-python peers/bin/python     # beside MiniRocket (needs aeon)

Every row is `carousel.SequenceClassifier()` with its defaults, trained on the training part alone and judged once on
the test part; "held out" is what training itself reports, from the parts that each of its networks does not learn from.
Where a set is judged by several splits or seeds, accuracies are means over them, and the least and the most stand in
brackets. "majority" answers the commonest class of the training part. MiniRocket runs in an environment of its own,
since numba asks for an older NumPy; it reads the sets of series alone (`classification_peers.py`). References are those
of the data's own README: measured on these very files [m], or recalled from the papers [r].
"""

import argparse
import ast
import io
import json
import subprocess
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from carousel.tasks.classification.arrays import from_python
from carousel.tasks.classification.preparation import prepare
from carousel.tasks.classification.settings import Settings
from carousel.tasks.classification.sources import read_examples
from carousel.tasks.classification.trained import TrainedClassifier
from carousel.tasks.classification.training import open_run
from carousel.tasks.sequences.examples import Columns, Examples
from carousel.training import task_run
from carousel.training.progress import Quiet

DATA = Path(__file__).parents[2] / "shared" / "data"
Split = tuple[Examples, Examples]


def archive(folder: str, name: str) -> Callable[[Path], Iterator[Split]]:
    def splits(data: Path) -> Iterator[Split]:
        yield (
            read_examples([data / folder / f"{name}_TRAIN.ts"], Columns()),
            read_examples([data / folder / f"{name}_TEST.ts"], Columns()),
        )

    return splits


def indoor_movement(data: Path) -> Iterator[Split]:
    """Radio signals in three settings of rooms: two to learn from, the third as a test (Bacciu et al. 2014). Parts to
    validate on are held out within the two: if one room were held out, a network would learn from a single one."""
    with zipfile.ZipFile(data / "indoor-movement" / "IndoorMovement.zip") as archive:

        def numbers(name: str, **options: object) -> np.ndarray:
            return np.loadtxt(io.BytesIO(archive.read(name)), delimiter=",", **options)  # type: ignore[call-overload,no-any-return]

        target = numbers("dataset/MovementAAL_target.csv", dtype=int)
        rooms = numbers("groups/MovementAAL_DatasetGroup.csv", dtype=int)[:, 1]
        signals = [numbers(f"dataset/MovementAAL_RSS_{k}.csv", skiprows=1) for k in target[:, 0]]
    yield divided(from_python(signals, target[:, 1]), [room == 3 for room in rooms])


def spoken_digits(data: Path) -> Iterator[Split]:
    """The official split: of every speaker and digit, takes 0 to 4 are the test."""
    files = sorted((data / "fsdd" / "recordings").glob("*.wav"))
    examples = read_examples(files, Columns(names="{label}_*"))
    yield divided(examples, [int(file.stem.split("_")[2]) < 5 for file in files])


def unheard_speakers(data: Path) -> Iterator[Split]:
    """One speaker after another is the test; validation holds out whole speakers as well."""
    examples = read_examples(sorted((data / "fsdd" / "recordings").glob("*.wav")), Columns(names="{label}_{group}_*"))
    yield from by_group(examples)


def environmental_sounds(data: Path) -> Iterator[Split]:
    """The five folds of ESC-10, each the test once."""
    yield from by_group(read_examples([data / "esc10-8k"], Columns()))


def film_reviews(data: Path) -> Iterator[Split]:
    """Line i of each file is test where i mod 10 = 9, dev (which is left unused) where it is 8."""
    texts, labels, tens = [], [], []
    for label in ("neg", "pos"):
        lines = (
            (data / "movie-review-polarity" / f"rt-polarity.{label}.txt").read_text("utf-8").rstrip("\n").split("\n")
        )
        for number, line in enumerate(lines):
            texts.append(line)
            labels.append(label)
            tens.append(number % 10)
    examples = from_python(texts, labels)
    yield (
        examples.at(k for k, ten in enumerate(tens) if ten < 8),
        examples.at(k for k, ten in enumerate(tens) if ten == 9),
    )


def divided(examples: Examples, test: Sequence[bool]) -> Split:
    return (
        examples.at(k for k, held in enumerate(test) if not held),
        examples.at(k for k, held in enumerate(test) if held),
    )


def by_group(examples: Examples) -> Iterator[Split]:
    assert examples.groups is not None
    for group in sorted(set(examples.groups), key=str):
        yield divided(examples, [one == group for one in examples.groups])


SETS: dict[str, tuple[Callable[[Path], Iterator[Split]], str]] = {
    "japanese-vowels": (archive("japanese-vowels", "JapaneseVowels"), "1-NN DTW 94.9 [m]"),
    "basic-motions": (archive("basic-motions", "BasicMotions"), "1-NN DTW 97.5 [m]"),
    "gunpoint": (archive("ucr-univariate", "GunPoint"), "1-NN Euclid 91.3, DTW 90.7 [m]"),
    "italy-power-demand": (archive("ucr-univariate", "ItalyPowerDemand"), "1-NN Euclid 95.5, DTW 95.0 [m]"),
    "pickup-gesture": (archive("ucr-univariate", "PickupGestureWiimoteZ"), "none"),
    "indoor-movement": (indoor_movement, "majority 51.9 [m]"),
    "fsdd": (spoken_digits, "1-NN DTW on MFCC 95.0 [m]"),
    "fsdd, unheard speakers": (unheard_speakers, "1-NN DTW on MFCC 59, 42 to 80 [m]"),
    "esc10-8k": (environmental_sounds, "1-NN on cepstra 56.5 [m]"),
    "movie-review-polarity": (film_reviews, "bigram naive Bayes 77.0 [m]; CNN-rand 76.1, 10-fold [r]"),
}


SERIES = tuple(SETS)[:6]  # the sets that MiniRocket reads as they are: numbers, step by step


@dataclass
class Result:
    learnt: int
    tested: int
    seconds: float
    accuracy: float
    held_out: float | None = None
    macro_f1: float | None = None
    majority: float | None = None


def judged(split: Split, seed: int, settings: dict[str, object]) -> Result:
    train, test = split
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        started = time.monotonic()
        chosen = Settings(seed=seed, threads=torch.get_num_threads(), **settings)  # type: ignore[arg-type]
        prepared = prepare(train, chosen, Quiet())
        finished = task_run.train(prepared, open_run, out=run, report=Quiet())
        seconds = time.monotonic() - started
        result = TrainedClassifier.of(finished).evaluate(test)
        held_out = finished.log_lines()[-1]["accuracy"]
    return Result(len(train), len(test), seconds, result.accuracy, held_out, result.macro_f1, result.baseline)


def judged_peer(python: str, split: Split, seed: int) -> Result:
    """What MiniRocket answers in an environment of its own: series go there in a file and its answers come back."""
    train, test = split
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "series.npz"
        arrays = {}
        for name, part in (("train", train), ("test", test)):
            series = [np.asarray(one, np.float32).reshape(len(one), -1) for one in part.items]
            arrays[f"{name}_steps"] = np.concatenate(series)
            arrays[f"{name}_lengths"] = np.array([len(one) for one in series])
            arrays[f"{name}_labels"] = np.array([str(label) for label in part.labels or ()])
        np.savez(file, **arrays)  # type: ignore[arg-type]
        script = Path(__file__).with_name("classification_peers.py")
        answer = subprocess.run(
            [python, str(script), str(file), str(seed), str(torch.get_num_threads())],
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
    told = json.loads(answer.stdout.splitlines()[-1])
    return Result(len(train), len(test), told["seconds"], told["accuracy"])


class Found:
    """What was measured, a line of JSON each in a file if there is one: what stands there is not measured again."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        lines = path.read_text("utf-8").splitlines() if path is not None and path.exists() else []
        self.rows = {row["key"]: Result(**row["result"]) for row in map(json.loads, lines)}

    def get(self, key: str, measure: Callable[[], Result]) -> Result:
        if key not in self.rows:
            self.rows[key] = measure()
            if self.path is not None:
                with self.path.open("a", encoding="utf-8") as file:
                    file.write(f"{json.dumps({'key': key, 'result': asdict(self.rows[key])})}\n")
        return self.rows[key]


def row(name: str, model: str, reference: str, results: Sequence[Result]) -> str:
    def mean(field: str) -> str:
        values = [value for result in results if (value := getattr(result, field)) is not None]
        return f"{100 * np.mean(values):.1f}" if values else ""

    accuracies = [100 * result.accuracy for result in results]
    spread = f" ({min(accuracies):.1f} to {max(accuracies):.1f})" if len(results) > 1 else ""
    sizes = f"{results[0].learnt:,} / {results[0].tested:,}" + (f", {len(results)} runs" if len(results) > 1 else "")
    took = f"{np.mean([result.seconds for result in results]):.0f} s"
    return (
        f"| {name} | {model} | {sizes} | {took} | {mean('held_out')} | **{mean('accuracy')}**{spread} "
        f"| {mean('macro_f1')} | {mean('majority')} | {reference} |"
    )


def value_of(text: str) -> tuple[str, object]:
    """A setting and its value from NAME=VALUE; a value that is no Python literal is a word."""
    name, _, value = text.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return name, value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {'; '.join(SETS)}. Default: all")
    parser.add_argument("--data", type=Path, default=DATA, help="default: %(default)s")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--with", dest="settings", type=value_of, nargs="+", default=[], metavar="NAME=VALUE")
    parser.add_argument("--peers-python", metavar="PYTHON", help="the Python of an environment with aeon")
    parser.add_argument(
        "--out", type=Path, metavar="FILE", help="a line for each result; goes on from what stands there"
    )
    arguments = parser.parse_args()
    chosen = [name for name in SETS if not arguments.sets or any(name.startswith(one) for one in arguments.sets)]
    if not chosen:
        parser.error(f"there is no set {arguments.sets[0]!r}; there are {', '.join(SETS)}")
    if not arguments.data.is_dir():
        parser.error(f"there is no folder {arguments.data}: name the data's with --data")
    torch.set_num_threads(arguments.threads)
    settings, found = dict(arguments.settings), Found(arguments.out)
    print(
        "| data | model | train / test | training | held out, % | test accuracy, % | macro-F1 | majority | reference |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name in chosen:
        make, reference = SETS[name]
        splits = list(enumerate(make(arguments.data)))
        models = {"carousel": lambda split, seed: judged(split, seed, settings)}
        if arguments.peers_python and name in SERIES:
            models["MiniRocket"] = lambda split, seed: judged_peer(arguments.peers_python, split, seed)
        for model, measure in models.items():
            what = f"{model} {json.dumps(settings)}" if model == "carousel" else model
            results = [
                found.get(f"{name}, split {k}, seed {seed}: {what}", partial(measure, split, seed))
                for k, split in splits
                for seed in arguments.seeds
            ]
            print(row(name, model, reference if model == "carousel" else "", results), flush=True)


if __name__ == "__main__":
    main()
