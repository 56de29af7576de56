"""How well the default model predicts tiny Shakespeare after so many minutes: a row for the README's table.

    python benchmarks/shakespeare.py --minutes 3

The text is split by position: the first 90 % to learn from, the last 10 % (111,540 characters) to validate on, all of
which the reported loss is over. Baselines are interpolated counts (Witten-Bell) on the same split.
"""

import argparse
import tempfile
import time
from pathlib import Path

from carousel.tasks.language.language_model import LanguageModel
from carousel.training.building import parameter_count
from carousel.training.measure import bits
from carousel.training.progress import Lines
from carousel.training.run_folder import RunFolder

TEXT = Path(__file__).parents[2] / "shared" / "data" / "tiny-shakespeare" / "input.txt"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--text", type=Path, default=TEXT, help="default: %(default)s")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if not arguments.text.exists():
        parser.error(f"there is no file {arguments.text}: name tiny Shakespeare's input.txt with --text")

    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        model = LanguageModel.train(
            arguments.text,
            out=Path(folder) / "run",
            minutes=arguments.minutes,
            threads=arguments.threads,
            seed=arguments.seed,
            report=Lines(every=30),
        )
        seconds = time.monotonic() - started
        run = RunFolder.open(Path(folder) / "run")
        config, log = run.config(), run.log_lines()
    loss = log[-1]["final"]
    read = max(line["tokens"] for line in log if "step" in line)
    engine = next(line for line in model.network.recurrent.explain().splitlines() if line.startswith("engine"))
    counts = config["baseline"]["nats_per_token"]
    threads = config["settings"]["threads"]
    print()
    print("| minutes | took | engine | threads | parameters | characters read | nats/char | bits/char | 1, 2, 6-gram |")
    print("|---|---|---|---|---|---|---|---|---|")
    print(
        f"| {arguments.minutes:g} | {seconds / 60:.1f} | {engine.partition(': ')[2]} | {threads} "
        f"| {parameter_count(model.network):,} | {read:,} ({read / seconds:,.0f}/s) | {loss:.3f} | {bits(loss):.3f} "
        f"| {counts[0]:.3f}, {counts[1]:.3f}, {counts[5]:.3f} |"
    )


if __name__ == "__main__":
    main()
