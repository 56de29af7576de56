"""Printed equations have names that their authors gave, and none that a function has for whatever it is called with."""

from __future__ import annotations

import re

import pytest
from torch import tanh

from carousel import Cell
from carousel.cells import catalogue
from carousel.program import trace

# What functions of the catalogue and of everybody else call their arguments.
PLACEHOLDERS = re.compile(r"(args|kwargs|given|row|rows|number|numbers|value|values|parts|x)\d*")


def names_of(cell: Cell) -> list[str]:
    """What stands on the left of each printed equation, without the mark of a new state."""
    return [line.split("=")[0].strip().removesuffix("'") for line in str(trace(cell)).splitlines()[1:]]


@pytest.mark.parametrize("name", catalogue())
def test_no_equation_of_the_catalogue_has_a_placeholder(name):
    assert not [left for left in names_of(catalogue()[name]) if PLACEHOLDERS.fullmatch(left)]


def test_a_function_names_what_it_assigns_and_not_what_it_is_given():
    def twice(row):
        return (row + 1) * (row + 1)

    def passed(*args, **kwargs):
        return twice(*args) * kwargs["other"]

    def bent(n):
        middle = tanh(n)
        n = middle * middle + middle
        return n * n

    class Own(Cell):
        inputs, states = ("n", "o"), "h"

        def step(self, h, n, o):
            given = passed(n + o, other=h + n)
            return given + bent(h * o)

    assert names_of(Own()) == ["t1", "given", "middle", "n", "h"]
