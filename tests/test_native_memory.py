"""Memories of slots on the native engine: many slots, what is kept for backward, what explain says."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import torch
from matrix import MEMORY_CELLS, assert_close

import carousel
from carousel import engines
from carousel.engines import native
from carousel.engines.native import binding as native_binding
from carousel.engines.native import prepared
from carousel.layers.parts import streams
from carousel.program import Program
from carousel.program.verify import finished

if isinstance(missing := native_binding.find(), str):
    assert "CAROUSEL_REQUIRE_NATIVE" not in os.environ, missing
    pytest.skip(missing, allow_module_level=True)

I, H, T, B = 3, 5, 3, 5


def layer(cell: str, engine: str, **units: int) -> carousel.Recurrent:
    torch.manual_seed(0)
    of_cell = {size: number for size, number in units.items() if size in MEMORY_CELLS[cell].units}
    return carousel.Recurrent(cell, I, H, units=of_cell, engine=engine, dtype=torch.float64)


@pytest.mark.parametrize("cell", [name for name in MEMORY_CELLS if name in carousel.cells.catalogue()])
def test_explain_says_that_memories_run_natively(cell):
    assert "engine: native" in layer(cell, "auto").explain()


@pytest.mark.parametrize(("cell", "slots", "width"), [("ntm", 1100, 60), ("dnc", 160, 2)])
def test_rows_with_large_memories_pass_a_few_at_a_time(monkeypatch, cell, slots, width):
    """Rows with much memory go alone from product to product: others have not come as far, or have gone further."""
    monkeypatch.setattr(prepared.settings, "poison", True)
    x = torch.randn(T, B, I, dtype=torch.float64)
    lengths = torch.tensor([3, 1, 0, 2, 3])
    found = []
    for engine in ("reference", "native"):
        made = layer(cell, engine, slots=slots, width=width)
        output, hx = made(x, lengths=lengths)
        loss = output.square().sum() + sum((state * state).sum() for state in hx)
        found.append([output, *hx, *torch.autograd.grad(loss, list(made.parameters()))])
    for right, mine in zip(*found, strict=True):
        assert_close(mine, right, terms=2 * T * slots)


@pytest.mark.parametrize("cell", [name for name in MEMORY_CELLS if name in carousel.cells.catalogue()])
@pytest.mark.parametrize("every", [True, pytest.param(False, marks=pytest.mark.full)], ids=["at once", "each alone"])
def test_rows_of_members_are_read_by_callers_and_by_the_step(cell, every):
    """A sum over slots that a caller records is stored where the caller reads it, and the step goes on from the sum."""
    made = layer(cell, "auto", slots=4, width=3)
    program = made.program
    assert isinstance(program, Program)
    nodes = program.nodes
    rows = [i for i, n in enumerate(nodes) if n.args and not n.members and any(nodes[a].members for a in n.args)]
    weights, x = made.weights_of("_l0"), torch.randn(T * B, I, dtype=torch.float64)
    learned = [weight for weight in weights.values() if weight.requires_grad]
    first = tuple(state[0] for state in made.fresh_states(B))
    for recorded in [rows] if every else [[row] for row in rows]:
        outputs = {("record", str(row)): row for row in recorded}
        asked = finished(replace(program, outputs=program.outputs | outputs))
        found = []
        for engine in ("reference", "native"):
            emitted, last = engines.scan(engine, asked, x, [B] * T, first, weights, False, streams(program, x, {}))
            loss = torch.stack([(row * row).sum() for row in (*emitted, *last)]).sum()
            found.append([*emitted, *last, *torch.autograd.grad(loss, learned, allow_unused=True)])
        for right, mine in zip(*found, strict=True):
            assert (right is None) == (mine is None)
            if right is not None:
                assert_close(mine, right, terms=32 * T)


def test_of_a_memory_the_slots_are_kept_and_hardly_more():
    made = carousel.Recurrent("ntm", 9, 100, units={"slots": 128, "width": 32})
    memory = 4 * 128 * 32
    assert isinstance(made.program, Program)
    assert memory < native.kept(made.program, made.sizes | {"input": 9}, torch.float32) < 2 * memory


@pytest.mark.parametrize("cell", ["ntm", "delta-net"])
def test_what_members_share_is_not_copied_for_each(cell):
    """Strips of members read the row itself and add to the row that is their sum: no panel is in between."""
    made = layer(cell, "native", slots=4, width=3)
    forward = made.explain(plan=True).partition("\nforward:\n")[2].partition("\nbackward:\n")[0]
    assert "row b" in forward
    copied = [line for line in forward.splitlines() if "of members, two steps" in line and line.split()[1] == "panel"]
    assert copied == []


def test_a_state_that_is_passed_on_and_one_that_nothing_reads():
    """The gradient of a state that a step does not read is zero, and that of one it hands on is the later one's."""

    class Idle(carousel.Cell):
        states, gates = ("h", "M", "w", "s"), "n"
        sizes = {"M": ("slots", "width"), "w": ("slots", 1), "s": "one"}
        units = {"slots": 3, "width": 2}

        def step(self, h, M, w, s, n):
            return torch.tanh(n) + h, 0.0 * M + 1.0, w, s

    found = []
    for engine in ("reference", "native"):
        torch.manual_seed(0)
        made = carousel.Recurrent(Idle(), I, H, engine=engine, dtype=torch.float64)
        hx = [torch.randn(1, B, size, dtype=torch.float64).requires_grad_() for size in (H, 6, 3, 1)]
        output, after = made(torch.randn(T, B, I, dtype=torch.float64), tuple(hx))
        loss = output.sum() + sum((state * state).sum() for state in after)
        given = [*hx, *made.parameters()]
        found.append([output, *after, *torch.autograd.grad(loss, given, allow_unused=True, materialize_grads=True)])
    for right, mine in zip(*found, strict=True):
        assert_close(mine, right, terms=100)
