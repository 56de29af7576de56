"""The two files of a network in C: its header and its source."""

from __future__ import annotations

import re
from collections.abc import Sequence
from textwrap import indent

import numpy as np

import carousel
from carousel.export.c import products as matrix_products
from carousel.export.c.convolutions import BesideConvolutions
from carousel.export.c.numbers import Precision, number
from carousel.export.c.operations import helpers
from carousel.export.c.products import Products
from carousel.export.c.stages import Held, Lookup, Stage

HEADER = """\
/* {title}, by Carousel {version}. C99; needs nothing but its own <math.h>, and allocates nothing.
 *
 *     {name}_state state;
 *     {name}_reset(&state);                   before each sequence
 *     {name}_step(&state, {argument}, output);    for each of its steps
 *
 * {reads}
 * {gives}
 * Read-only memory of the weights: {constants} bytes. State: {state} bytes. Stack: about {stack} bytes.
 */
#ifndef {upper}_H
#define {upper}_H

#ifdef __cplusplus
extern "C" {{
#endif

enum {{ {upper}_INPUT = {inputs}, {upper}_OUTPUT = {outputs} }};

/* What is carried from one step to the next. */
typedef struct {{
{fields}
}} {name}_state;

void {name}_reset({name}_state *state);
void {name}_step({name}_state *state, {parameter}, {real} *output);

#ifdef __cplusplus
}}
#endif
#endif
"""

SOURCE = """\
/* {title}, by Carousel {version}: see {name}.h. */
#include "{name}.h"

#include <math.h>
#include <stddef.h>
{includes}
typedef {real} real;

{body}
"""


def files(
    name: str, title: str, chains: Sequence[Sequence[Stage]], inputs: int, gives: str, products: Products
) -> dict[str, str]:
    """{file name: text}. chains: networks that read the same step; what they give is averaged."""
    precision, reads_symbol = products.precision, isinstance(chains[0][0], Lookup)
    stages = [stage for chain in chains for stage in chain]
    functions = [_function(name, stage, products) for stage in stages]
    held = [h for stage in stages for h in stage.held()]
    width = chains[0][-1].width
    body = "\n\n".join([*functions, _reset(name, held, precision), _step(name, chains, reads_symbol, precision)])
    common = matrix_products.functions(body, products.int8)
    common += helpers(body, precision.suffix)
    words = {
        "name": name,
        "upper": name.upper(),
        "title": title,
        "version": carousel.__version__,
        "real": precision.real,
        "argument": "symbol" if reads_symbol else "input",
        "parameter": "int symbol" if reads_symbol else f"const {precision.real} *input",
        "inputs": inputs,
        "outputs": width,
        "reads": f"A step reads {'a symbol, 0 to' if reads_symbol else ''} "
        f"{name.upper()}_INPUT{' - 1' if reads_symbol else ' numbers'}.".replace("  ", " "),
        "gives": f"output: {name.upper()}_OUTPUT numbers, {gives}.",
        "fields": "\n".join(f"    {precision.real} {h.name}[{len(h.begins)}];" for h in held) or "    char nothing;",
        "constants": bytes_of_constants(products),
        "state": sum(len(h.begins) for h in held) * _bytes(precision),
        "stack": _stack(functions, _step(name, chains, reads_symbol, precision)) * _bytes(precision),
        "includes": "#include <stdint.h>\n" if products.int8 else "",
        "body": "\n\n".join([*products.texts(), *common, body]),
    }
    return {f"{name}.h": HEADER.format(**words), f"{name}.c": SOURCE.format(**words)}


def _function(name: str, stage: Stage, products: Products) -> str:
    lines = "\n".join(stage.lines(products))
    argument = "int symbol" if isinstance(stage, Lookup) else "const real *x"
    argument += ", const real *e" if isinstance(stage, BesideConvolutions) else ""
    state = f"{name}_state *state, " if "state->" in lines else ""
    comment = _comment(stage.comment)
    return f"{comment}static void {stage.name}({state}{argument}, real *y)\n{{\n{indent(lines, '    ')}\n}}"


def _comment(text: str) -> str:
    """Equations in ASCII, since not every tool of embedded C reads anything else."""
    plain = text.translate(_PLAIN).encode("ascii", "replace").decode()
    lines = plain.replace("*/", "* /").splitlines()
    return "/* " + "\n * ".join(line.rstrip() for line in lines) + " */\n"


_PLAIN = str.maketrans(
    {
        "⊙": "*",
        "σ": "sigmoid",
        "≥": ">=",
        "≤": "<=",
        "≠": "!=",
        "ᵀ": "^T",
        "Σ": "sum",
        "−": "-",
        "·": "*",
        "²": "^2",
        "√": "sqrt",
    }
)


def _reset(name: str, held: Sequence[Held], precision: Precision) -> str:
    lines = ["int unit;"] if any(len(h.begins) > 1 for h in held) else []
    arrays = []
    for h in held:
        value = number(float(h.begins[0]), precision)
        if (h.begins != h.begins[0]).any():
            numbers = ", ".join(number(float(v), precision) for v in h.begins)
            arrays.append(f"static const real {h.name}[{len(h.begins)}] = {{{numbers}}};")
            value = f"{h.name}[unit]"
        if len(h.begins) > 1:
            lines += [f"for (unit = 0; unit < {len(h.begins)}; unit++)"]
        lines += [
            f"{'    ' if len(h.begins) > 1 else ''}state->{h.name}[{'unit' if len(h.begins) > 1 else '0'}] = {value};"
        ]
    lines = lines or ["(void)state;"]
    return f"void {name}_reset({name}_state *state)\n{{\n{indent(chr(10).join([*arrays, *lines]), '    ')}\n}}"


def _step(name: str, chains: Sequence[Sequence[Stage]], reads_symbol: bool, precision: Precision) -> str:
    lines: list[str] = ["int unit;"] if len(chains) > 1 else []
    buffers: list[str] = []
    calls: list[str] = []
    outputs = []
    for chain in chains:
        source = "symbol" if reads_symbol else "input"
        for stage in chain:
            last = stage is chain[-1]
            target = "output" if last and len(chains) == 1 else f"from_{stage.name}"
            if target != "output":
                buffers.append(f"real {target}[{stage.width}];")
            state = "state, " if stage.held() else ""
            also = f", from_{stage.reads.name}" if isinstance(stage, BesideConvolutions) else ""
            calls.append(f"{stage.name}({state}{source}{also}, {target});")
            source = target
        outputs.append(source)
    if not any(stage.held() for chain in chains for stage in chain):
        lines.append("(void)state;")
    if len(chains) > 1:
        mean = number(1 / len(chains), precision)
        calls += [
            f"for (unit = 0; unit < {chains[0][-1].width}; unit++)",
            f"    output[unit] = {mean} * ({' + '.join(f'{o}[unit]' for o in outputs)});",
        ]
    parameter = "int symbol" if reads_symbol else "const real *input"
    body = indent("\n".join([*lines, *buffers, *calls]), "    ")
    return f"void {name}_step({name}_state *state, {parameter}, real *output)\n{{\n{body}\n}}"


def _stack(functions: Sequence[str], step: str) -> int:
    """How many numbers are on the stack at most: those of the step, and of the largest stage below it."""

    def numbers(text: str) -> int:
        return sum(int(size) for size in re.findall(r"^ *real \w+\[(\d+)\]", text, re.MULTILINE))

    return numbers(step) + max(map(numbers, functions))


def _bytes(precision: Precision) -> int:
    return np.dtype(precision.numpy).itemsize


def bytes_of_constants(products: Products) -> int:
    """Bytes of read-only memory that the weights take."""
    real = _bytes(products.precision)
    return sum(
        values.size + real * len(values) if products.int8 and values.ndim == 2 else real * values.size
        for values in products.arrays.values()
    )
