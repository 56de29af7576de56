"""Parts of speech of UD English EWT (../shared/data/ud-english-ewt): a tagger with its defaults.

    python benchmarks/tagging.py                         # goes on where it stopped
    python benchmarks/tagging.py --seeds 0 1 2 --column xpos --threads 2
    python benchmarks/tagging.py --markdown              # the table of the runs that have finished

Learnt from the train part alone; the dev part validates. Each run is a run folder in `--runs`, resumed where it
was stopped. The table says, for the test part: accuracy, accuracy on words that training does not have twice, the most
frequent tag of each word (see `carousel.tasks.tagging.baselines`) and the processor seconds of this process, all
threads together, that training took; these are not counted for a run that was stopped and resumed. Before a figure is
shown, the tags of 50 sentences are compared with those of the same sentences alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from carousel import Tagger
from carousel.tasks.tagging.conll import read
from carousel.tasks.tagging.trained import TrainedTagger
from carousel.training.run_folder import RunFolder

DATA = Path(__file__).parents[2] / "shared" / "data" / "ud-english-ewt"
HEAD = ("seed", "epochs", "parameters", "validation", "test", "unknown words", "most frequent tag", "unknown", "CPU s")


def part(name: str) -> Path:
    """The file of a part: train, dev or test."""
    return DATA / f"en_ewt-ud-{name}.conllu.gz"


def trained(run: Path, seed: int, column: str, threads: int, epochs: float | None) -> None:
    """Trains a run, or goes on with one that was stopped, and notes the processor seconds of an unbroken training."""
    options = {"label": column, "validation_file": str(part("dev")), "seed": seed, "threads": threads, "epochs": epochs}
    if (run / "config.json").exists():
        Tagger.resume(run)
        return
    begun = time.process_time()
    Tagger(**options, verbose=True).fit(part("train"), out=run)
    (run / "seconds.json").write_text(json.dumps(time.process_time() - begun))


def require_alike(tagger: Tagger, column: str) -> None:
    """Raises AssertionError where a sentence has other tags alone than in a batch."""
    some = read(part("test"), label=column).at(range(50))
    network: TrainedTagger = tagger.trained
    together = network.log_probabilities(some)
    for number, expected in enumerate(together):
        (alone,) = network.log_probabilities(some.at([number]))
        np.testing.assert_allclose(alone, expected, atol=1e-4)


def figures(run: Path, column: str) -> tuple[str, ...]:
    """The row of a run that has finished."""
    tagger = Tagger.load(run)
    tagger.label = column
    require_alike(tagger, column)
    result = tagger.evaluate(part("test"))
    assert result.known is not None
    settings, seconds = tagger.config["settings"], run / "seconds.json"
    last = RunFolder.open(run).log_lines()[-1]
    return (
        str(settings["seed"]),
        f"{settings['epochs']:g}",
        f"{sum(parameter.numel() for parameter in tagger.trained.network.parameters()):,}",
        f"{last['accuracy']:.2%}",
        f"{result.accuracy:.2%}",
        f"{result.unknown_accuracy:.2%}",
        f"{result.baseline.accuracy:.2%}",
        f"{float(result.baseline.right[~result.known].mean()):.2%}",
        f"{json.loads(seconds.read_text()):,.0f}" if seconds.exists() else "–",
    )


def finished(run: Path) -> bool:
    return (run / "config.json").exists() and any("final" in line for line in RunFolder.open(run).log_lines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--column", default="upos", help="the column of tags: upos or xpos")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--epochs", type=float, help="without it: the default, about 10")
    parser.add_argument("--runs", type=Path, default=Path("runs/benchmark-tagging"))
    parser.add_argument("--markdown", action="store_true", help="train nothing, and show what has finished")
    given = parser.parse_args()
    runs = {seed: given.runs / f"{given.column}-{seed}" for seed in given.seeds}
    for seed, run in runs.items():
        if not given.markdown and not finished(run):
            trained(run, seed, given.column, given.threads, given.epochs)
    rows = [figures(run, given.column) for run in runs.values() if finished(run)]
    print("\n".join(f"| {' | '.join(row)} |" for row in (HEAD, ("---",) * len(HEAD), *rows)))


if __name__ == "__main__":
    main()
