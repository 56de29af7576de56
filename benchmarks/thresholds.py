"""The numbers of the native engine that decide between two ways (`carousel/native/thresholds.h`), found again.

    python benchmarks/thresholds.py                          # which numbers there are, and what each is timed on
    python benchmarks/thresholds.py CHUNK_BYTES 1048576 4194304 16777216
    python benchmarks/thresholds.py split --threads 2        # rows or units: ROWS_FROM and the two WIN_ABOVE

For a number, the library is built once for each value, beside the one in use; needs cmake and a compiler. All builds
have to give the same results, and then take turns, call by call; each is given by the median of its time divided by the
first value's in the same round. `split` times both divisions of shapes between threads, and tells where the rule that
stands in the header takes the slower one.
"""

from __future__ import annotations

import argparse
import re
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import torch

import carousel
from carousel.engines.native import binding, identity, prepared

REPOSITORY = Path(__file__).parent.parent
HEADER = Path("carousel/native/thresholds.h")
STEPS = 64

# What a number is timed on: cell, rows, units, with gradients or without.
Work = tuple[str, int, int, bool]
Run = Callable[[], list[torch.Tensor]]
TIMED_ON: dict[str, list[Work]] = {
    "DEPTH": [("lstm", 32, 512, True), ("lstm", 64, 1024, False)],
    "ONE_ROW_ACROSS": [("lstm", 1, 128, False), ("gru", 1, 256, False), ("lstm", 1, 128, True)],
    "FEW_ROWS_ACROSS": [("lstm", 2, 128, False), ("lstm", 3, 128, False), ("gru", 3, 256, False)],
    "ROWS_TOGETHER": [("layer-norm-lstm", 8, 128, True), ("layer-norm-lstm", 32, 256, True)],
    "CHUNK_BYTES": [("lstm", 8, 128, True), ("lstm", 32, 256, True), ("layer-norm-lstm", 8, 256, True)],
    "CHUNK_ROWS_LEAST": [("layer-norm-lstm", 8, 512, True), ("lstm", 8, 1024, True)],
    "CHUNK_ROWS_MOST": [("rnn", 8, 64, True), ("gru", 8, 128, True)],
    "STRIP_BYTES": [("lstm", 1, 128, True), ("lstm", 32, 128, True), ("gru", 32, 256, True)],
    "SPINS": [("lstm", 1, 128, False), ("lstm", 8, 128, True)],
}
SPLIT_ON = [(batch, hidden) for hidden in (64, 96, 128, 256) for batch in (1, 2, 4, 8, 13, 16, 24, 32)]


def constant(name: str) -> re.Pattern[str]:
    return re.compile(rf"^(constexpr \w+ {name} = )([^;]+);", re.MULTILINE)


def built(name: str, value: str, folder: Path) -> binding.Library:
    """The library with another value of a number."""
    shutil.copytree(REPOSITORY / "carousel/native", folder / "carousel/native")
    for file in ("CMakeLists.txt", "carousel/__init__.py"):
        shutil.copy(REPOSITORY / file, folder / file)
    text = (folder / HEADER).read_text()
    (folder / HEADER).write_text(constant(name).sub(rf"\g<1>{value};", text))
    for command in (["cmake", "-S", ".", "-B", "build"], ["cmake", "--build", "build", "-j2"]):
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    with mock.patch.object(identity, "SOURCES", folder / "carousel/native"):
        return binding.Library(folder / "build/_native.so")


@contextmanager
def using(library: binding.Library) -> Iterator[None]:
    with mock.patch.object(binding, "find", return_value=library):
        yield


def call_of(work: Work) -> Run:
    cell, batch, hidden, train = work
    torch.manual_seed(0)
    layer = carousel.Recurrent(cell, hidden, hidden, engine="native")
    x = torch.randn(STEPS, batch, hidden, requires_grad=train)
    wanted = [x, *layer.parameters()]

    def run() -> list[torch.Tensor]:
        if not train:
            with torch.no_grad():
                return [layer(x)[0]]
        output = layer(x)[0]
        return [output.detach(), *torch.autograd.grad(output.square().sum(), wanted)]

    return run


def in_turns(runs: dict[str, Callable[[], object]], seconds: float) -> dict[str, float]:
    """The median of each one's time, divided by the first one's in the same round."""
    first, *_ = runs
    ratios: dict[str, list[float]] = {name: [] for name in runs}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(ratios[first]) < 9:
        taken = {}
        for name, run in runs.items():
            run()  # brings its own data into the cache
            begin = time.perf_counter()
            run()
            taken[name] = time.perf_counter() - begin
        for name in runs:
            ratios[name].append(taken[name] / taken[first])
    return {name: statistics.median(of) for name, of in ratios.items()}


def with_library(library: binding.Library, run: Run) -> Run:
    def with_its_own() -> list[torch.Tensor]:
        with using(library):
            return run()

    return with_its_own


def number(name: str, values: list[str], seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        libraries = {value: built(name, value, Path(folder) / str(i)) for i, value in enumerate(values)}
        print(f"{name}: time, divided by that of {values[0]}")
        for work in TIMED_ON[name]:
            run = call_of(work)
            runs = {value: with_library(library, run) for value, library in libraries.items()}
            results = [with_its_own() for with_its_own in runs.values()]
            for result in results:
                torch.testing.assert_close(result, results[0], rtol=1e-3, atol=1e-4)
            cell, batch, hidden, train = work
            ratios = "  ".join(f"{value}: {ratio:.3f}" for value, ratio in in_turns(runs, seconds).items())
            print(f"  {cell} {batch}x{hidden} {'training' if train else 'forward'}:  {ratios}", flush=True)


def split(seconds: float) -> None:
    print(f"LSTM, training, {torch.get_num_threads()} threads: time by units, divided by that by rows")
    for batch, hidden in SPLIT_ON:
        run = call_of(("lstm", batch, hidden, True))
        layer = carousel.LSTM(hidden, hidden)
        chosen = "units" if "hidden units" in layer.explain(steps=STEPS, batch=batch) else "rows"

        def divided(split: int, run: Callable[[], object] = run) -> object:
            with mock.patch.object(prepared.settings, "split", split):
                return run()

        ratio = in_turns({"rows": lambda: divided(1), "units": lambda: divided(2)}, seconds)["units"]
        lost = max(ratio, 1 / ratio) - 1 if (ratio < 1) != (chosen == "units") else 0.0
        print(f"  {batch}x{hidden}: {ratio:.2f}, by {chosen}{f': loses {lost:.0%}' if lost > 0.03 else ''}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", help="of a number in thresholds.h, or split")
    parser.add_argument("values", nargs="*", help="C++ expressions; the first is what others are compared with")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--seconds", type=float, default=4.0, help="for each row")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    if arguments.name == "split":
        split(arguments.seconds)
    elif arguments.name in TIMED_ON and arguments.values:
        number(arguments.name, arguments.values, arguments.seconds)
    else:
        text = (REPOSITORY / HEADER).read_text()
        for name, works in TIMED_ON.items():
            found = constant(name).search(text)
            assert found, f"there is no {name} in {HEADER}"
            timed = ", ".join(f"{cell} {batch}x{hidden}" for cell, batch, hidden, _ in works)
            print(f"{name} = {found[2]}: timed on {timed}")


if __name__ == "__main__":
    main()
