"""How well the default classifier of trees does on the Stanford Sentiment Treebank: a row of docs/trees.md.

    python benchmarks/sst.py --runs build/sst                # three seeds, about seven minutes of one core each
    python benchmarks/sst.py --runs build/sst --seeds 0      # one of them

Each seed is one `carousel train train.txt --validation-file dev.txt --test-file test.txt --merge 0,1/3,4`, with
everything else left to the defaults, which were chosen on dev.txt alone. The best weights by dev.txt are judged once on
test.txt. A run that was stopped goes on, and one that is finished is only read. CPU time is summed over all attempts.

fine: the share of roots whose grade, 0 to 4, is right. binary: negative (0, 1) or positive (3, 4), of the roots that
are not neutral. The baselines learn from train.txt, and answer for the same trees.
"""

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from carousel.tasks.trees.tree_classifier import TreeClassifier
from carousel.training.building import parameter_count
from carousel.training.progress import Lines
from carousel.training.run_folder import RunFolder

DATA = Path(__file__).parents[2] / "shared" / "data" / "sst-trees"
FIGURES = {"fine": "accuracy", "binary": "merged_accuracy", "all nodes": "nodes_accuracy"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="default: %(default)s")
    parser.add_argument("--runs", type=Path, required=True, help="a folder for the runs, which are kept there")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    if not (arguments.data / "train.txt").exists():
        parser.error(f"there is no file {arguments.data / 'train.txt'}: name the treebank's folder with --data")
    finals, seconds = [], []
    for seed in arguments.seeds:
        run = arguments.runs / f"seed-{seed}"
        seconds.append(trained(run, arguments.data, seed, arguments.threads))
        finals.append(RunFolder.open(run).log_lines()[-1])
    show(finals, seconds, TreeClassifier.load(arguments.runs / f"seed-{arguments.seeds[0]}"))


def trained(run: Path, data: Path, seed: int, threads: int) -> float:
    """Trains one seed, or goes on with it. Returns the CPU seconds of all attempts."""
    record = run.with_suffix(".json")
    before = json.loads(record.read_text()) if record.exists() else 0.0
    if run.exists() and RunFolder.open(run).finished:
        return float(before)
    started = time.process_time()
    try:
        if run.exists():
            TreeClassifier.resume(run, report=Lines(every=60))
        else:
            run.parent.mkdir(parents=True, exist_ok=True)
            TreeClassifier.train(
                data / "train.txt",
                validation_file=data / "dev.txt",
                test_file=data / "test.txt",
                merge="0,1/3,4",
                seed=seed,
                threads=threads,
                out=run,
                report=Lines(every=60),
            )
    finally:
        record.write_text(json.dumps(before + time.process_time() - started))
    return float(json.loads(record.read_text()))


def show(finals: Sequence[dict[str, Any]], seconds: Sequence[float], model: TreeClassifier) -> None:
    settings = model.config["settings"]
    print(
        f"\n{len(finals)} seeds: {settings['networks']} x {settings['cell']}, {settings['hidden']} units, "
        f"{parameter_count(model.trained.network):,} parameters, {settings['epochs']:g} epochs; "
        f"{statistics.mean(seconds):.0f} CPU seconds a run ({min(seconds):.0f} to {max(seconds):.0f})\n"
    )
    print("| | dev | test | test, least to most |")
    print("|---|---|---|---|")
    for name, key in FIGURES.items():
        dev, test = ([100 * one[key] for one in part] for part in (finals, [final["test"] for final in finals]))
        means = f"{statistics.mean(dev):.1f} | {statistics.mean(test):.1f}"
        print(f"| {name} | {means} | {min(test):.1f} to {max(test):.1f} |")
    last = finals[0]
    for name, fine, binary in (
        ("naive Bayes", "naive_bayes", "naive_bayes_merged"),
        ("the commonest label", "majority", "majority_merged"),
    ):
        parts = [f"{100 * last[fine]:.1f} and {100 * last[binary]:.1f}" for last in (last, last["test"])]
        print(f"| {name}: fine and binary | {parts[0]} | {parts[1]} | |")


if __name__ == "__main__":
    main()
