"""What the scripts of the course share: facts that are checked, tables, one picture, and all of it as JSON.

A script's docstring is the lesson's text: its first line the title, a paragraph that begins with "Only in part:" where
the statement stops holding. The rest is measured. `docs/course/gallery.py` makes the page of both.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import inspect
import json
import platform
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from carousel.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, which the colour-blind can tell apart, each with a mark of its own.
LOOKS = {
    "RNN": {"color": "#D55E00", "marker": "o"},
    "LSTM": {"color": "#0072B2", "marker": "s"},
    "GRU": {"color": "#009E73", "marker": "^"},
    "peephole LSTM": {"color": "#CC79A7", "marker": "D"},
    "coupled LSTM": {"color": "#56B4E9", "marker": "v"},
    "other": {"color": "#E69F00", "marker": "P"},
    "plain": {"color": "#000000", "marker": "x"},
}


class Lesson:
    """One run of one script.

    full(a, quick=b) is a, or b in the quick mode; the statement is the same, only the sizes shrink.
    fact(claim, holds) is a sentence with its figures, and whether they bear it out; the run fails if one does not.
    numbers are what was measured, as raw as it was, for whoever reads the JSON.
    """

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.facts: list[dict[str, Any]] = []
        self.tables: list[dict[str, Any]] = []
        self.numbers: dict[str, Any] = {}
        self.seen_in_picture = ""
        self._figure: Any = None

    def full(self, size: Any, *, quick: Any) -> Any:
        return quick if self.quick else size

    def fact(self, claim: str, holds: bool) -> None:
        self.facts.append({"claim": claim, "holds": bool(holds)})
        print(f"  {'holds' if holds else 'DOES NOT HOLD'}: {claim}")

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        cells = [[shown(cell) for cell in row] for row in rows]
        self.tables.append({"title": title, "columns": list(columns), "rows": cells})
        widths = [max(map(len, column)) for column in zip(columns, *cells, strict=True)]
        print(f"  {title}")
        for row in (columns, *cells):
            print("    " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def picture(self, seen: str, panels: int = 1, rows: int = 1, height: float = 3.6) -> list[Axes]:
        """The axes to draw on. `seen` says in words what there is to see, for those who cannot."""
        # Here, not above: matplotlib takes most of a second to import. Figure, not pyplot: no display.
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self.seen_in_picture = seen
        columns = -(-panels // rows)
        self._figure = Figure(figsize=(max(6.0, 4.2 * columns), height * rows), layout="constrained")
        FigureCanvasAgg(self._figure)
        axes = [self._figure.add_subplot(rows, columns, n + 1) for n in range(panels)]
        for one in axes:
            one.grid(alpha=0.25)
            one.spines[["top", "right"]].set_visible(False)
        return axes

    def write(self, folder: Path, name: str, code: str, seconds: float) -> None:
        """name.png and name.json in a folder; `code` is the fingerprint of what was run."""
        folder.mkdir(parents=True, exist_ok=True)
        picture = folder / f"{name}.png"
        self._figure.savefig(picture, dpi=110, metadata={"Software": None})
        record = {
            "quick": self.quick,
            "code": code,
            "picture": hashlib.sha256(picture.read_bytes()).hexdigest(),
            "seen in the picture": self.seen_in_picture,
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
            "seconds": round(seconds),
            "facts": self.facts,
            "tables": self.tables,
            "numbers": self.numbers,
        }
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
        (folder / f"{name}.json").write_text(text + "\n", encoding="utf-8")


def teach(main: Callable[[Lesson], None]) -> None:
    """Runs a script's `main` as its command line asks. Exits with 1 where a fact does not hold."""
    text = text_of(main)
    parser = argparse.ArgumentParser(description=text, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small sizes: seconds instead of a minute or two")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write the picture and the numbers (JSON) there")
    if "on_files" in main.__globals__:
        parser.add_argument("--data", type=Path, metavar="PATH", help="the same on these real files, as the text says")
    arguments = parser.parse_args()
    data = getattr(arguments, "data", None)
    if not conduct(main, quick=arguments.quick, out=arguments.out, data=data):
        sys.exit(1)


def conduct(main: Callable[[Lesson], None], *, quick: bool, out: Path | None, data: Path | None = None) -> bool:
    """Runs a lesson and prints what it finds. Returns whether every fact holds.

    main: the function that measures. quick: small sizes. out: a folder for the picture and the numbers. data: real
    files, which the function `on_files(lesson, data)` beside `main` reads; it runs in place of `main`.
    Raises DataError where there are no such files, and for a lesson that reads none.
    """
    script = Path(inspect.getfile(main))
    measure = main if data is None else reading(main, data)
    # One thread: these networks are too small for two, and the figures then do not depend on how many there are.
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(text_of(main).splitlines()[0])
    lesson, code, begin = Lesson(quick), fingerprint(script), time.process_time()
    measure(lesson)
    seconds = time.process_time() - begin  # of the processor: what else it does is not counted
    if out is not None:
        name = script.stem if data is None else f"{script.stem}_on_files"
        lesson.write(out, name, code, seconds)
        print(f"  {out / name}.png and .json, after {seconds:.0f} s")
    else:
        print(f"  {seconds:.0f} s; --out FOLDER writes the picture and the numbers")
    return all(fact["holds"] for fact in lesson.facts)


def reading(main: Callable[[Lesson], None], data: Path) -> Callable[[Lesson], None]:
    """What measures the lesson of `main` on real files. Raises DataError as `conduct` does."""
    on_files = main.__globals__.get("on_files")
    title = text_of(main).splitlines()[0]
    if on_files is None:
        raise DataError(f'The lesson "{title}" makes its own data and reads no files: leave --data out.')
    if not data.exists():
        raise DataError(f'The lesson "{title}" was to read {data}, and there is no such file or folder.')
    return lambda lesson: on_files(lesson, data)


def text_of(main: Callable[[Lesson], None]) -> str:
    """The text of the lesson that a function measures."""
    return inspect.cleandoc(main.__globals__["__doc__"])


def fingerprint(script: Path) -> str:
    """Of a script's code without its docstring, and without the function `on_files`, from which no figure of the course
    is: what its figures were measured with."""
    text = script.read_text(encoding="utf-8")
    code = text.split('"""', 2)[2]
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name == "on_files":
            code = code.replace(ast.get_source_segment(text, node) or "", "")
    return hashlib.sha256(code.encode()).hexdigest()[:16]


def shown(value: Any) -> str:
    """A figure for a table: three digits of a float, thousands apart, anything else as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3g}" if value == 0 or 1e-3 <= abs(value) < 1e4 else f"{value:.2e}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """The median of the seeds, and the worst and best of them: "0.98 (0.61 to 1.00)"."""
    middle, low, high = (f"{v:z.{digits}f}" for v in (statistics.median(values), min(values), max(values)))
    return f"{middle} ({low} to {high})"


def count_of_seeds(count: int) -> str:
    return f"{count} seed" if count == 1 else f"{count} seeds"
