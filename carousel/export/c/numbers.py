"""Numbers as C writes them: exactly the same number is read back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

PER_LINE = 8


@dataclass(frozen=True)
class Precision:
    """real: C's type. suffix: what its functions and numbers end in. numpy: the same type there."""

    real: str
    suffix: str
    numpy: type[np.floating]


SINGLE, DOUBLE = Precision("float", "f", np.float32), Precision("double", "", np.float64)


def number(value: float, precision: Precision) -> str:
    """The shortest decimal that is read back as this number."""
    rounded = precision.numpy(value)
    if math.isnan(rounded):
        return "(real)NAN"
    if math.isinf(rounded):
        return "(real)INFINITY" if rounded > 0 else "(real)-INFINITY"
    text = np.format_float_scientific(rounded, unique=True, trim="0", exp_digits=1)
    if 1e-4 <= abs(rounded) < 1e6 or rounded == 0:
        text = np.format_float_positional(rounded, unique=True, trim="0")
    return text + precision.suffix


def array(name: str, values: np.ndarray, precision: Precision) -> str:
    """A constant array of the file. Whole numbers are written as int8."""
    if values.dtype == np.int8:
        kind, texts = "int8_t", [str(int(v)) for v in values.ravel()]
    else:
        kind, texts = "real", [number(v, precision) for v in values.ravel()]
    width = PER_LINE if kind == "real" else 3 * PER_LINE
    lines = [", ".join(texts[k : k + width]) for k in range(0, len(texts), width)]
    body = ",\n    ".join(lines)
    return f"static const {kind} {name}[{values.size}] = {{\n    {body}\n}};"
