"""Matrix products in C: how weights are stored in the file, and the statement of each product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from carousel.errors import ProgramError
from carousel.export.c.numbers import Precision, array

LARGEST = 127  # of an int8 weight


@dataclass
class Products:
    """The arrays of a file, and the statements that multiply with them.

    int8: matrices are stored as whole numbers from -127 to 127 and one scale for each row, W ≈ scale · Q; biases,
        vectors and states keep their precision.
    """

    precision: Precision
    int8: bool = False
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    matrices: dict[str, tuple[int, int]] = field(default_factory=dict)

    def add(self, name: str, values: np.ndarray) -> str:
        """Takes an array into the file. Raises ProgramError where a number is not finite."""
        if not np.isfinite(values).all():
            raise ProgramError(
                f"exporting to C: every weight must be a finite number, but {name} has "
                f"{int((~np.isfinite(values)).sum())} that are not; a network that diverged in training has nothing to "
                "export"
            )
        self.arrays[name] = values
        if values.ndim == 2:
            self.matrices[name] = values.shape
        return name

    def affine(self, into: str, matrix: str, bias: str | None, source: str, rows: tuple[int, int] | None = None) -> str:
        """into = matrix[rows] @ source + bias[rows]; rows: the first and how many, None for all."""
        first, count = rows or (0, self.matrices[matrix][0])
        columns = self.matrices[matrix][1]
        shift = f" + {first}" if first else ""
        weights = f"{matrix}{f' + {first * columns}' if first else ''}"
        scale = f", {matrix}_scale{shift}" if self.int8 else ""
        return (
            f"affine({into}, {weights}{scale}, {f'{bias}{shift}' if bias else 'NULL'}, {source}, {count}, {columns});"
        )

    def transposed(self, into: str, matrix: str, source: str, rows: tuple[int, int] | None = None) -> str:
        """into = matrix[rows]ᵀ @ source."""
        first, count = rows or (0, self.matrices[matrix][0])
        columns = self.matrices[matrix][1]
        weights = f"{matrix}{f' + {first * columns}' if first else ''}"
        scale = f", {matrix}_scale{f' + {first}' if first else ''}" if self.int8 else ""
        return f"affine_transposed({into}, {weights}{scale}, {source}, {count}, {columns});"

    def texts(self) -> Iterator[str]:
        """The arrays as C."""
        for name, values in self.arrays.items():
            if self.int8 and values.ndim == 2:
                whole, scale = quantized(values)
                yield array(name, whole, self.precision)
                yield array(f"{name}_scale", scale, self.precision)
            else:
                yield array(name, values, self.precision)


def quantized(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Q, int8 (rows, columns), and scale (rows): the nearest to values = scale · Q with the largest of a row at 127."""
    scale = np.abs(values).max(1) / LARGEST
    scale[scale == 0] = 1.0
    return np.rint(values / scale[:, None]).astype(np.int8), scale


# Eight sums side by side let a compiler use the vector instructions of a processor without breaking C's rules.
AFFINE = """\
static void affine(real *into, const real *matrix, const real *bias, const real *x, int rows, int columns)
{
    int row, k, lane;
    for (row = 0; row < rows; row++, matrix += columns) {
        real lanes[8] = {0}, total = bias != NULL ? bias[row] : 0;
        for (k = 0; k + 8 <= columns; k += 8)
            for (lane = 0; lane < 8; lane++)
                lanes[lane] += matrix[k + lane] * x[k + lane];
        for (; k < columns; k++)
            total += matrix[k] * x[k];
        for (lane = 0; lane < 8; lane++)
            total += lanes[lane];
        into[row] = total;
    }
}"""

AFFINE_INT8 = """\
static void affine(real *into, const int8_t *matrix, const real *scale, const real *bias, const real *x, int rows,
                   int columns)
{
    int row, k, lane;
    for (row = 0; row < rows; row++, matrix += columns) {
        real lanes[8] = {0}, total = 0;
        for (k = 0; k + 8 <= columns; k += 8)
            for (lane = 0; lane < 8; lane++)
                lanes[lane] += (real)matrix[k + lane] * x[k + lane];
        for (; k < columns; k++)
            total += (real)matrix[k] * x[k];
        for (lane = 0; lane < 8; lane++)
            total += lanes[lane];
        into[row] = scale[row] * total + (bias != NULL ? bias[row] : 0);
    }
}"""

TRANSPOSED = """\
static void affine_transposed(real *into, const real *matrix, const real *x, int rows, int columns)
{
    int row, k;
    for (k = 0; k < columns; k++)
        into[k] = 0;
    for (row = 0; row < rows; row++, matrix += columns)
        for (k = 0; k < columns; k++)
            into[k] += matrix[k] * x[row];
}"""

TRANSPOSED_INT8 = """\
static void affine_transposed(real *into, const int8_t *matrix, const real *scale, const real *x, int rows, int columns)
{
    int row, k;
    for (k = 0; k < columns; k++)
        into[k] = 0;
    for (row = 0; row < rows; row++, matrix += columns)
        for (k = 0; k < columns; k++)
            into[k] += (real)matrix[k] * scale[row] * x[row];
}"""

SUM = """\
static real sum(const real *values, int count)
{
    real total = 0;
    int k;
    for (k = 0; k < count; k++)
        total += values[k];
    return total;
}"""

HIGHEST = """\
static real highest(const real *values, int count)
{
    real found = values[0];
    int k;
    for (k = 1; k < count; k++)
        found = values[k] > found || values[k] != values[k] ? values[k] : found;
    return found;
}"""


REMEMBER = """\
static void remember(real *steps, const real *step, int count, int width)
{
    int k;
    for (k = 0; k < count - width; k++)
        steps[k] = steps[k + width];
    for (k = 0; k < width; k++)
        steps[count - width + k] = step[k];
}"""


def functions(source: str, int8: bool) -> list[str]:
    """The functions of this file that a C text calls."""
    texts = {
        "affine": AFFINE_INT8 if int8 else AFFINE,
        "affine_transposed": TRANSPOSED_INT8 if int8 else TRANSPOSED,
        "sum": SUM,
        "highest": HIGHEST,
        "remember": REMEMBER,
    }
    return [text for name, text in texts.items() if f" {name}(" in source]
