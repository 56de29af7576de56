"""How long commands need before they answer, in seconds of CPU time, beside `import torch`.

    python benchmarks/startup.py

Trains a language model of four units in a temporary folder, checks that it answers, and then runs each command and
`import torch` in turns, in processes of their own. What stands is the median, and its ratio to that of `import torch`.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from carousel import LanguageModel
from carousel.training import Quiet

COMMANDS = {
    "import torch": ["-c", "import torch"],
    "carousel --help": ["-m", "carousel", "--help"],
    "carousel doctor": ["-m", "carousel", "doctor"],
    "carousel complete": ["-m", "carousel", "complete", "run", "The sea"],
    "carousel generate": ["-m", "carousel", "generate", "run", "--length", "20"],
}


def seconds(arguments: list[str], folder: Path) -> float:
    """The CPU seconds of a process. What it imports is compiled once, in a folder of its own."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "compiled")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "text.txt").write_text("The sea is in the sky. " * 30, encoding="utf-8")
        small = {"hidden": 4, "window": 8, "lanes": 4, "epochs": 1, "threads": 1, "report": Quiet()}
        assert LanguageModel.train(folder / "text.txt", out=folder / "run", **small).complete("The sea")
        took: dict[str, list[float]] = {command: [] for command in COMMANDS}
        for number in range(rounds + 1):
            for command, arguments in COMMANDS.items():
                found = seconds(arguments, folder)
                if number:  # the first compiles what it imports
                    took[command].append(found)
    base = statistics.median(took["import torch"])
    print("| command | CPU seconds | of `import torch` |\n|---|---:|---:|")
    for command, values in took.items():
        print(f"| `{command}` | {statistics.median(values):.2f} | {statistics.median(values) / base:.2f} |")


if __name__ == "__main__":
    main()
