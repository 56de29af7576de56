"""Writes `Moments` as compact JSON: arrays of numbers are base64 with 16 bits per number, or 8 for large pages."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np

from carousel.page.equations import Quantity
from carousel.page.moments import Classes, Guesses, Moments, NextSymbols, Quantiles, Signals, Steps, Symbols
from carousel.page.scans import MemoryCourse, Scan

ROOM = 4_500_000  # with more bytes of arrays, a page uses 8 bits per number instead of 16


def page_json(pages: list[Moments], *, live: str | None = None) -> str:
    """The data for the page's script. They are safe inside a <script> element, whatever the texts contain.

    live: for a page that is served, its first text.
    """
    bits = 16 if sum(map(numbers_in, pages)) * 2 * 4 / 3 <= ROOM else 8
    return safe_json({"live": live, "runs": [moments_record(page, bits) for page in pages]})


def safe_json(data: dict[str, Any]) -> str:
    """JSON that is safe inside a <script> element, whatever its texts contain."""
    # In JSON only strings contain these characters. With escapes, no text can end the element or open a comment.
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def numbers_in(page: Moments) -> int:
    return sum(
        array.size
        for scan in page.steps.scans
        for array in (scan.inputs, *scan.products.values(), *scan.before.values(), *_numbers_of(scan.memories))
    )


def _numbers_of(memories: dict[str, MemoryCourse]) -> list[np.ndarray]:
    return [memory.lengths if memory.values is None else memory.values for memory in memories.values()]


def moments_record(page: Moments, bits: int) -> dict[str, Any]:
    return {
        "name": page.name,
        "subject": page.subject,
        "unit": page.unit,
        "about": page.about,
        "bits": bits,
        "steps": steps_record(page.steps, bits),
        "influence": page.influence
        and {
            "shares": quantised(page.influence.shares, 8, of_all=True),
            "of": page.influence.of,
            "at": _places(page.influence.at),
        },
        "timescales": [plain(layer) for layer in page.timescales],
        "flow": [
            {
                "name": curve.name,
                "lags": curve.lags.tolist(),
                "norms": numbers(curve.norms),
                "words": curve.words,
                "memory_length": curve.memory_length,
            }
            for curve in page.flow
        ],
        "notes": page.notes,
        "properties": [
            {"name": p.name, "kind": p.kind, "marks": plain(p.marks), "followers": [asdict(f) for f in p.followers]}
            for p in page.properties
        ],
        "findings": page.findings,
    }


def steps_record(steps: Steps, bits: int) -> dict[str, Any]:
    return {
        "reads": {"kind": _kind(steps.reads), **PACKED[type(steps.reads)](steps.reads)},
        "expects": {"kind": _kind(steps.expects), **PACKED[type(steps.expects)](steps.expects)},
        "scans": [_scan_record(scan, bits) for scan in steps.scans],
    }


def _kind(part: Any) -> str:
    """The name of a part's class, by which the page's script chooses its views: "Symbols", "Classes", ..."""
    return type(part).__name__


def _symbols(reads: Symbols) -> dict[str, Any]:
    return {"names": reads.names, "read": reads.read.tolist(), "starts": reads.starts.tolist()}


def _signals(reads: Signals) -> dict[str, Any]:
    return {
        "names": reads.names,
        "values": quantised(reads.values, 16),
        "times": reads.times,
        "starts": reads.starts.tolist(),
        "learnt": reads.learnt,
        "alike": reads.alike,
        "as_lines": reads.as_lines,
    }


def _next_symbols(expects: NextSymbols) -> dict[str, Any]:
    return {
        "names": expects.names,
        "likely": expects.likely.tolist(),
        "probability": plain(expects.probability),
        "surprise": numbers(expects.surprise),
        "rank": expects.rank.tolist(),
    }


def _classes(expects: Classes) -> dict[str, Any]:
    return {
        "names": expects.names,
        "truth": expects.truth,
        "probability": plain(expects.probability),
        "alone": None if expects.alone is None else plain(expects.alone),
        "moved": numbers(expects.moved),
        "at": _places(expects.at),
    }


def _guesses(expects: Guesses) -> dict[str, Any]:
    return {
        "what": expects.what,
        "names": expects.names,
        "likely": expects.likely.tolist(),
        "probability": plain(expects.probability),
        "actual": expects.actual.tolist(),
        "given": numbers(expects.given),
    }


def _quantiles(expects: Quantiles) -> dict[str, Any]:
    return {
        "levels": expects.levels,
        "quantiles": quantised(expects.quantiles.reshape(len(expects.quantiles), -1), 16),
        "linear": quantised(expects.linear, 16),
        "times": expects.times,
        "surprise": numbers(expects.surprise),
        "level": numbers(expects.level),
    }


PACKED: dict[type, Callable[[Any], dict[str, Any]]] = {
    Symbols: _symbols,
    Signals: _signals,
    NextSymbols: _next_symbols,
    Classes: _classes,
    Guesses: _guesses,
    Quantiles: _quantiles,
}


def _scan_record(scan: Scan, bits: int) -> dict[str, Any]:
    return {
        "place": scan.place,
        "reverse": scan.reverse,
        "cell": scan.cell,
        "gates": scan.gates,
        "sizes": scan.sizes,
        "nodes": scan.nodes,
        "outputs": scan.outputs,
        "equations": [
            {"name": e.name, "node": e.node, "span": e.span, "parts": [_part(part) for part in e.parts]}
            for e in scan.equations
        ],
        "drawing": scan.drawing,
        "inputs": quantised(scan.inputs, bits),
        "input_rows": scan.input_rows.tolist(),
        "products": {str(node): quantised(values, bits) for node, values in scan.products.items()},
        "before": {state: quantised(values, bits) for state, values in scan.before.items()},
        "vectors": {str(node): plain(values) for node, values in scan.vectors.items()},
        "memories": {state: _memory(memory, bits) for state, memory in scan.memories.items()},
    }


def _memory(memory: MemoryCourse, bits: int) -> dict[str, Any]:
    """Its numbers, (T, members * units), or the lengths alone."""
    whole = memory.values is not None
    values = memory.values.reshape(len(memory.lengths), -1) if memory.values is not None else memory.lengths
    numbers = quantised(values, bits, of_all=True)
    return {"members": memory.lengths.shape[1], "of": memory.of, "whole": whole, "numbers": numbers}


def _part(part: str | Quantity) -> str | list[Any]:
    return part if isinstance(part, str) else [part.node, part.text]


def quantised(values: np.ndarray, bits: int, *, of_all: bool = False) -> dict[str, Any]:
    """Rounds a table of numbers: each column has 2^bits - 1 levels, evenly spaced from its minimum to its maximum.

    The error is at most half of the distance between levels. NaN and infinities become NaN, the last code.
    of_all: whether the whole table has one scale instead of one for each column.
    """
    top = 2**bits - 2
    values = values.astype(np.float64)
    finite = np.isfinite(values)
    axis = None if of_all else 0
    low = np.min(values, axis=axis, where=finite, initial=np.inf)
    high = np.max(values, axis=axis, where=finite, initial=-np.inf)
    low, high = (np.where(np.isfinite(bound), bound, 0.0) for bound in (low, high))
    step = (high - low) / top
    steps = np.where(finite, (values - low) / np.where(step > 0, step, 1.0), top + 1)
    codes = np.clip(np.rint(steps), 0, top + 1).astype("<u2" if bits == 16 else "u1")
    return {
        "shape": list(values.shape),
        "bits": bits,
        "low": plain(np.atleast_1d(low)),
        "step": plain(np.atleast_1d(step)),
        "codes": base64.b64encode(codes.tobytes()).decode("ascii"),
    }


def _places(at: np.ndarray | None) -> list[int] | None:
    return None if at is None else at.tolist()


def plain(values: np.ndarray) -> str:
    """The numbers in single precision, without further rounding."""
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode("ascii")


def numbers(values: np.ndarray) -> list[float | None]:
    """The numbers for JSON, with four digits, as the page shows them, and None for NaN, which JSON lacks."""
    return [float(f"{value:.5g}") if math.isfinite(value) else None for value in values]
