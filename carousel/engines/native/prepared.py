"""The plans of a program, which are made once, and the instruction set that runs them."""

from __future__ import annotations

import os
from dataclasses import dataclass

from carousel.engines.call import Sizes
from carousel.engines.inside_torch import same_at_every_call
from carousel.engines.keeping import kept
from carousel.engines.native import binding
from carousel.engines.native.backward import lower_backward
from carousel.engines.native.forward import lower_forward
from carousel.engines.native.leaves import idle
from carousel.engines.native.plan import SIZES
from carousel.engines.native.sizes import as_library_knows, members_of, names
from carousel.errors import CarouselError
from carousel.program import Program, differentiate
from carousel.program.sharing import made_once


@dataclass
class Settings:
    """Choices of tests and benchmarks; the defaults are the best for the machine. split: 0 by shape, 1 by rows, 2 by
    units."""

    isa: int | None = None
    split: int = 0
    poison: bool = False


settings = Settings()


def library() -> binding.Library:
    found = binding.find()
    assert isinstance(found, binding.Library), found  # why_not has refused a scan without a library
    return found


def isa() -> int:
    """The number of the instruction set that calls use: the machine's best, or what CAROUSEL_ISA names.

    Raises CarouselError if this processor cannot run the one that CAROUSEL_ISA names.
    """
    if settings.isa is None:
        here = library().isas_here
        name = os.environ.get("CAROUSEL_ISA") or here[0]
        if name not in here:
            raise CarouselError(
                "The environment variable CAROUSEL_ISA chooses the native engine's instruction set. "
                f"It is {name!r}, and must be one that this processor runs: {', '.join(here)}. "
                f"Without it, {here[0]} is used."
            )
        settings.isa = library().isas.index(name)
    return settings.isa


@same_at_every_call
def multiplies_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself. Otherwise the engine converts it to float32 first."""
    return bool(library().c.carousel_multiplies_bfloat16(isa()))


@made_once(1024)
def forward_plan(
    program: Program, keep: bool, direct: frozenset[str], halves: bool, trees: bool = False
) -> binding.MadePlan:
    program = as_library_knows(program)
    keeps = kept(program, differentiate(program)) if keep else None
    unneeded = idle(program, differentiate(program)) if trees else None
    return binding.MadePlan(lower_forward(program, keeps, direct, halves, unneeded))


@made_once(1024)
def backward_plan(
    program: Program, direct: frozenset[str], of_streams: bool, halves: bool, trees: bool = False
) -> binding.MadePlan:
    program = as_library_knows(program)
    derivative = differentiate(program)
    keeps = kept(program, derivative)
    unneeded = idle(program, derivative) if trees else None
    return binding.MadePlan(lower_backward(program, derivative, keeps, direct, of_streams, halves, unneeded))


def library_units(sizes: Sizes) -> dict[str, int]:
    """Numbers for the sizes that the library knows."""
    its = {name: sizes.units[size] for size, name in names(sizes.program).items()}
    return dict.fromkeys(SIZES, 0) | {"hidden": sizes.units["hidden"], "single": 1} | its


def members_each(sizes: Sizes) -> int:
    """How many members every row has; 0 if none, or if their number differs from row to row."""
    return next((sizes.units[size] for size in members_of(sizes.program)), 0)


@dataclass(frozen=True, eq=False)
class PreparedPlan:
    """A forward plan for scans of certain sizes, which is made once.

    direct: the sizes whose rows are whole blocks; see `forward.lower_forward`.
    saved: the count of numbers that it keeps for each row of a step, with its members if all rows have as many.
    saved_members: over trees, for each edge.
    """

    plan: binding.MadePlan
    direct: frozenset[str]
    saved: int
    saved_members: int


@made_once(1024)
def prepared(sizes: Sizes, is_double: bool, isa: int, keep: bool, halves: bool, trees: bool = False) -> PreparedPlan:
    c = library().c
    block, units = c.carousel_block(isa, is_double), library_units(sizes)
    direct = frozenset(size for size in SIZES if units[size] % block == 0)
    made = forward_plan(sizes.program, keep, direct, halves, trees)
    saved, saved_members = (
        c.carousel_saved_width(
            isa, is_double, made.pointer, *(units[name] for name in SIZES if name != "single"), members
        )
        for members in (False, True)
    )
    return PreparedPlan(made, direct, saved + members_each(sizes) * saved_members, saved_members)
