"""The parts of an input: the columns that gates read, and those that a step asks for by name.

A cell with `parts` divides the rows that it is given. The part that gates read goes to engines as the input of a scan;
every part that the step asks for goes as a stream, a row given for every step. Engines so know of no parts.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from carousel.program import Interface

Streams = dict[str, Tensor]


def widths(program: Interface, sizes: Mapping[str, int]) -> dict[str, int]:
    """How many columns of the input each part has, in order."""
    return {part: 1 if size == "one" else sizes[size] for part, size in program.parts.items()}


def with_input(program: Interface, sizes: dict[str, int]) -> dict[str, int]:
    """The sizes, where "input" was the whole input's and is that of the part which gates read.

    Raises ValueError for an input that cannot be divided so.
    """
    if not program.parts:
        return sizes
    given, equal = sizes["input"], [part for part, size in program.parts.items() if size == "input"]
    others = widths(program, sizes | {"input": 0})
    least = sum(others.values())
    rest = given - least
    if (not equal and rest != 0) or (equal and (rest < len(equal) or rest % len(equal))):
        listed = ", ".join(part if part in equal else f"{part} (of {others[part]})" for part in others)
        more = f" and a multiple of {len(equal)} more" * bool(equal)
        raise ValueError(
            f"{program.cell} divides its input into the parts {listed}, so that input_size must be {least}{more}, but "
            f"is {given}"
        )
    width = rest // len(equal) if equal else 0
    return sizes | {"input": others[program.reads] or width}


def check_stack(program: Interface, width: int, sizes: Mapping[str, int]) -> None:
    """Raises ValueError for a layer above others, whose outputs are so wide, that could not have its parts.

    A layer above the first reads the outputs of the one below in the place of the part that gates read. Other parts are
    those of the whole stack.
    """
    equal = [part for part, size in program.parts.items() if size == "input" and part != program.reads]
    if equal:
        raise ValueError(
            f"{program.cell} reads the part {equal[0]!r} of its input, which outputs of a layer below do not have: "
            "stack another cell on one layer of it"
        )
    size = program.parts.get(program.reads, "input")
    if size != "input" and width != widths(program, sizes)[program.reads]:
        raise ValueError(
            f"{program.cell} reads an input as long as {size!r}, {widths(program, sizes)[program.reads]} units, but "
            f"the outputs of the layer below have {width}; leave bidirectional=True out, or stack another cell on it"
        )


def divided(program: Interface, sizes: Mapping[str, int], rows: Tensor) -> tuple[Tensor, Streams]:
    """The part of an input that gates read, and the other parts by name."""
    if len(program.parts) < 2:
        return rows, {}
    each = dict(zip(program.parts, rows.split(list(widths(program, sizes).values()), -1), strict=True))
    read = each.pop(program.reads).contiguous()
    return read, {part: found.contiguous() for part, found in each.items()}


def streams(program: Interface, rows: Tensor, others: Streams) -> Streams:
    """The streams of a scan: its parts by name. rows: the part that gates read."""
    return {part: rows if part == program.reads else others[part] for part in program.parts}
