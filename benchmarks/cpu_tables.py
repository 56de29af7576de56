"""What `cpu.py` prints and writes: a line for each candidate, a table for the docs, and where Carousel is behind."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parent.parent / "docs/performance.md"
SECTIONS = ("isas", "other-cells", "bfloat16")  # parts of the page, each between two marks
UNRESTRICTED = ("ONNX Runtime", "OpenVINO")
LEVEL = 0.95  # what counts as level, as medians wander


class Row(NamedTuple):
    """One cell of one size. work: GFLOP of its matrix products. limit: GFLOP/s. By candidate: medians, in seconds, and
    errors, the largest difference from float64 relative to the largest number.
    """

    isa: str
    threads: int
    cell: str
    size: str
    train: bool
    work: float
    limit: float
    medians: dict[str, float]
    errors: dict[str, float]

    @property
    def name(self) -> str:
        return "training" if self.train else "forward"

    def speed(self, candidate: str) -> float:
        return self.work / self.medians[candidate]

    def ratio(self, candidate: str) -> float:
        """How many times faster native is."""
        return self.medians[candidate] / self.medians["native"]


def processor() -> str:
    """Its name; the machine's architecture where the system does not tell."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text() if cpuinfo.exists() else ""
    found = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())}
    name = found.get("model name") or platform.processor() or platform.machine()
    family = ", ".join(f"{key} {found[key]}" for key in ("cpu family", "model") if key in found)
    return f"{name} ({family})" if family else name


WIDTHS = (16, 8, 8, 13, 10, 8, 9, 8, 10)


def _line(cells: Sequence[str]) -> str:
    return " ".join(f"{cell:>{width}}" for cell, width in zip(cells, WIDTHS, strict=True))


def heading() -> str:
    return _line(("cell", "work", "B x H", "candidate", "median ms", "GFLOP/s", "of limit", "off by", "native is"))


def lines(row: Row, best: bool) -> str:
    """best: whether this is the processor's best instruction set, which nobody needs to be restricted to."""
    found = []
    for candidate, median in row.medians.items():
        star = "*" if candidate in UNRESTRICTED and not best else ""
        speed = row.speed(candidate)
        ratio = "" if candidate == "native" else f"{row.ratio(candidate):.2f}x"
        error = f"{row.errors[candidate]:.0e}" if row.errors else ""
        shares = f"{median * 1e3:.2f}", f"{speed:.0f}", f"{speed / row.limit:.0%}", error, ratio
        found.append(_line((row.cell, row.name, row.size, candidate + star, *shares)))
    return "\n".join(found)


def behind(row: Row, best: str) -> str | None:
    """Who is faster than Carousel on the same instruction set, if anybody is."""
    counted = [c for c in row.medians if c != "native" and (c not in UNRESTRICTED or row.isa == best)]
    slower = [f"{c} {row.ratio(c):.2f}x" for c in counted if row.ratio(c) < LEVEL]
    where = f"{row.isa}, {row.threads} threads, {row.cell} {row.size} {row.name}"
    return f"{where}: native is {', '.join(slower)}" if slower else None


def summary(rows: Sequence[Row], best: str) -> str:
    found = [text for row in rows if (text := behind(row, best))]
    level = f"{len(rows) - len(found)} of {len(rows)} rows are at least level (from {LEVEL}x on) with all that count"
    return "\n".join([level, *(f"behind: {text}" for text in found)])


def markdown(rows: Sequence[Row], best: str) -> str:
    """A table for each instruction set and number of threads: how many times faster native is than each other."""
    parts = []
    for (isa, threads), group in groupby(rows, lambda row: (row.isa, row.threads)):
        of_table = list(group)
        others = list(dict.fromkeys(c for row in of_table for c in row.medians if c != "native"))
        stars = {c: "*" if c in UNRESTRICTED and isa != best else "" for c in others}
        rounded = [c for c in others if c.endswith("bf16")]
        heads = ["cell", "B x H", "work", "native, ms", "of limit", *(c + stars[c] for c in others)]
        heads += [f"{c} off by" for c in rounded]
        table = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
        for row in of_table:
            ours = f"{row.medians['native'] * 1e3:.2f}", f"{row.speed('native') / row.limit:.0%}"
            ratios = (f"{row.ratio(c):.2f}" if c in row.medians else "-" for c in others)
            errors = (f"{row.errors[c]:.0e}" if c in row.errors else "-" for c in rounded)
            table.append("| " + " | ".join([row.cell, row.size, row.name, *ours, *ratios, *errors]) + " |")
        count = f"{threads} thread{'s' if threads > 1 else ''}"
        title = f"**{isa}, {count}**: {of_table[0].limit:.0f} GFLOP/s of multiply-adds at most"
        parts.append("\n".join([title, "", *table]))
    return "\n\n".join(parts)


def write(section: str, rows: Sequence[Row], best: str, options: Sequence[str]) -> Path:
    """Puts the tables, what printed them and where between the marks of a section; returns the page."""
    begin, end = f"<!-- begin: {section} -->", f"<!-- end: {section} -->"
    text = PAGE.read_text()
    if begin not in text or end not in text:
        raise SystemExit(f"{PAGE} must have the lines {begin!r} and {end!r}: the tables go between them")
    before, rest = text.split(begin)
    after = rest.split(end)[1]
    command = f"```console\npython benchmarks/cpu.py {' '.join(options)}\n```"
    told = f"On {processor()}; columns with a name say how many times faster native is."
    PAGE.write_text("\n\n".join([f"{before}{begin}", command, told, markdown(rows, best), f"{end}{after}"]))
    return PAGE
