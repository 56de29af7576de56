"""What a cell is: everything that its equations are read from. A layer runs those of its cell as it is now."""

from __future__ import annotations

import copy
import functools
import importlib
import sys
import types

import numpy as np
import pytest
import torch

import carousel
from carousel import Cell
from carousel.engines import ENGINES
from carousel.program import Reads, trace
from carousel.program import reads as reads_module

I, H = 3, 4
settings = types.ModuleType("settings_of_an_author")
settings.dt = 0.1


class Config:
    def __init__(self, dt=0.1):
        self.dt = dt


class Slotted:
    __slots__ = ("inner",)

    def __init__(self):
        self.inner = Config()


class OfClass(Cell):
    """Each way to hold a number is read by a subclass; `set_to` changes it in place."""

    gates = "n"

    def __init__(self):
        self.start()

    def start(self):
        pass

    def number(self):
        raise NotImplementedError

    def step(self, h, n):
        return (1 - self.number()) * h + self.number() * torch.tanh(n)


class Attribute(OfClass):
    def start(self):
        self.dt = 0.1

    def number(self):
        return self.dt

    def set_to(self, dt):
        self.dt = dt


class Nested(OfClass):
    def start(self):
        self.config = Config()
        self.config.inner = Config()

    def number(self):
        return self.config.inner.dt

    def set_to(self, dt):
        self.config.inner.dt = dt


class InMapping(OfClass):
    def start(self):
        self.config = {"a": [{"dt": 0.1}]}

    def number(self):
        return self.config["a"][0]["dt"]

    def set_to(self, dt):
        self.config["a"][0]["dt"] = dt


class InList(OfClass):
    def start(self):
        self.numbers = [0.1]

    def number(self):
        return self.numbers[-1]

    def set_to(self, dt):
        self.numbers.append(dt)


class ByProperty(OfClass):
    def start(self):
        self._dt = 0.1

    @property
    def dt(self):
        return self._dt

    def number(self):
        return self.dt

    def set_to(self, dt):
        self._dt = dt


class OfItsClass(OfClass):
    dt = 0.1

    def number(self):
        return self.dt

    def set_to(self, dt):
        type(self).dt = dt


class OverItsClass(OfClass):
    dt = 0.1

    def number(self):
        return self.dt

    def set_to(self, dt):
        self.dt = dt


class OfAModule(OfClass):
    def start(self):
        settings.dt = 0.1

    def number(self):
        return settings.dt

    def set_to(self, dt):
        settings.dt = dt


GLOBAL = 0.1


def helper():
    return GLOBAL


class OfAGlobal(OfClass):
    def start(self):
        global GLOBAL
        GLOBAL = 0.1

    def number(self):
        return helper()

    def set_to(self, dt):
        global GLOBAL
        GLOBAL = dt


class OfAClosure(OfClass):
    def start(self):
        dt = 0.1

        def get():
            return dt

        def put(value):
            nonlocal dt
            dt = value

        self.get, self.put = get, put

    def number(self):
        return self.get()

    def set_to(self, dt):
        self.put(dt)


class OfAPartial(OfClass):
    def start(self):
        self.config = Config()
        self.get = functools.partial(getattr, self.config, "dt")

    def number(self):
        return self.get()

    def set_to(self, dt):
        self.config.dt = dt


class InSlots(OfClass):
    def start(self):
        self.slotted = Slotted()

    def number(self):
        return self.slotted.inner.dt

    def set_to(self, dt):
        self.slotted.inner.dt = dt


class OfATensor(OfClass):
    def start(self):
        self.dt = torch.tensor(0.1)

    def number(self):
        return self.dt

    def set_to(self, dt):
        self.dt.fill_(dt)


class OfAnArray(OfClass):
    def start(self):
        self.numbers = np.array([0.0, 0.1])

    def number(self):
        return float(self.numbers[1])

    def set_to(self, dt):
        self.numbers[1] = dt


class OfASet(OfClass):
    def start(self):
        self.options = {"slow"}

    def number(self):
        return 0.1 if "slow" in self.options else 0.5

    def set_to(self, dt):
        del dt
        self.options.clear()


class OfItsMethod(OfClass):
    def number(self):
        return 0.1

    def set_to(self, dt):
        self.number = lambda: dt


WAYS = [
    Attribute, Nested, InMapping, InList, ByProperty, OfItsClass, OverItsClass, OfAModule, OfAGlobal, OfAClosure,
    OfAPartial, InSlots, OfATensor, OfAnArray, OfASet, OfItsMethod,
]  # fmt: skip


@pytest.fixture(autouse=True)
def as_at_first():
    yield
    OfItsClass.dt = 0.1


def expected(dt):
    """An independent statement of the equations, by hand."""
    cell = Attribute()
    cell.dt = dt
    return str(trace(cell)).splitlines()[1]


@pytest.mark.parametrize("way", WAYS)
class TestWaysToHoldANumber:
    def test_a_new_layer_has_the_new_equations(self, way):
        cell = way()
        assert str(carousel.Recurrent(cell, I, H).program).splitlines()[1] == expected(0.1)
        cell.set_to(0.5)
        assert str(carousel.Recurrent(cell, I, H).program).splitlines()[1] == expected(0.5)
        assert str(trace(cell)).splitlines()[1] == expected(0.5)

    @pytest.mark.parametrize("engine", ["auto", "reference"])
    def test_a_layer_that_is_there_runs_the_new_equations_at_its_next_call(self, way, engine):
        layer = carousel.Recurrent(way(), I, H, engine=engine)
        x = torch.randn(5, 2, I)
        before = layer(x)[0]
        layer.cell.set_to(0.5)
        after = layer(x)[0]
        fresh = carousel.Recurrent(Attribute(), I, H)
        fresh.load_state_dict(layer.state_dict())
        torch.testing.assert_close(before, fresh(x)[0])
        fresh.cell.dt = 0.5
        torch.testing.assert_close(after, fresh(x)[0])
        assert not torch.equal(before, after)
        assert "0.5" in str(layer.program)

    def test_so_do_a_single_step_a_stepper_and_a_recording(self, way):
        layer, one = carousel.Recurrent(way(), I, H), carousel.layers.RecurrentCell(way(), I, H)
        x, h = torch.randn(2, I), torch.randn(2, H)
        one.cell.set_to(0.5), layer.cell.set_to(0.5)
        one.load_state_dict({name.removesuffix("_l0"): value for name, value in layer.state_dict().items()})
        with layer.record("h") as values:
            output, _ = layer(x[None], h[None])
        torch.testing.assert_close(one(x, h), output[0])
        assert torch.equal(values["h"][0], output)
        stepper = layer.stepper(2)
        stepper.state = h[None]
        torch.testing.assert_close(stepper(x), output[0])

    def test_nothing_is_read_anew_where_nothing_changed(self, way):
        cell = way()
        layer = carousel.Recurrent(cell, I, H)
        reads = layer._reads
        layer(torch.randn(5, 2, I))
        assert reads.complete
        assert layer._reads is reads
        cell.set_to(0.5)
        layer(torch.randn(5, 2, I))
        assert layer._reads is not reads


def test_equal_equations_are_one_program_however_they_are_held():
    cells = [way() for way in WAYS if way is not OfATensor]  # it holds 0.1 in float32
    for cell in cells:
        type(cell).__name__ = "Same"
    try:
        assert len({id(carousel.Recurrent(cell, I, H).program) for cell in cells}) == 1
    finally:
        for cell in cells:
            type(cell).__name__ = type(cell).__qualname__


def test_another_cell_may_take_its_place_and_one_that_needs_other_weights_is_refused():
    layer = carousel.Recurrent(Attribute(), I, H)
    other = Attribute()
    other.dt = 0.5
    layer.cell = other
    layer(torch.randn(2, 1, I))
    assert "0.5" in str(layer.program)
    layer.cell = carousel.cells.find("lstm")
    with pytest.raises(
        ValueError, match=r"Recurrent: its cell LSTM was changed after the layer was built, so that the parameters no"
    ):
        layer(torch.randn(2, 1, I))
    layer.cell = other
    layer(torch.randn(2, 1, I))


def test_a_change_that_needs_another_parameter_is_refused():
    class Optional(Cell):
        gates = "n"
        scaled = False

        @property
        def vectors(self):
            return ("p",) if self.scaled else ()

        def step(self, h, n, p=1.0):
            return torch.tanh(n) + 0.5 * p * h

    layer = carousel.Recurrent(Optional(), I, H)
    layer.cell.scaled = True
    with pytest.raises(ValueError, match="parameters were .* and are now .*'p': 'hidden'.*; build a new layer"):
        layer(torch.randn(2, 1, I))


@pytest.mark.parametrize("engine", ENGINES)
def test_gradients_are_those_of_the_new_equations(engine):
    layer = carousel.Recurrent(Attribute(), I, H, engine=engine, dtype=torch.float64)
    x = torch.randn(5, 2, I, dtype=torch.float64)
    layer(x)[0].sum().backward()
    layer.zero_grad()
    layer.cell.dt = 0.5
    layer(x)[0].sum().backward()
    fresh = carousel.Recurrent(layer.cell, I, H, dtype=torch.float64)
    fresh.load_state_dict(layer.state_dict())
    fresh(x)[0].sum().backward()
    torch.testing.assert_close(layer.weight_hh_l0.grad, fresh.weight_hh_l0.grad)


def test_copies_follow_their_own_cell():
    layer = carousel.Recurrent(Attribute(), I, H)
    twin = copy.deepcopy(layer)
    assert twin.program is layer.program
    twin.cell.dt = 0.5
    assert "0.5" in str(twin.program)
    assert "0.9 ⊙ h" in str(layer.program)


def test_a_cell_that_reaches_too_much_is_read_anew_at_every_call():
    class Heavy(Attribute):
        table = None

        def start(self):
            self.dt = 0.1

    for table in ({k: object() for k in range(5000)}, list(range(5000)), np.zeros(100_000)):
        cell = Heavy()
        cell.table = table  # type: ignore[assignment]
        reads = Reads(cell)
        assert not reads.complete
        assert reads.changed(reads.cell)
        layer = carousel.Recurrent(cell, I, H)
        layer.cell.dt = 0.5
        layer(torch.randn(2, 1, I))
        assert "0.5" in str(layer.program)


def test_an_authors_file_may_be_called_as_a_module_of_python(tmp_path, monkeypatch):
    (tmp_path / "this.py").write_text("dt = 0.1\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "this", raising=False)
    this = importlib.import_module("this")
    reads_module._is_fixed.cache_clear()

    class OfThis(OfClass):
        def number(self):
            return this.dt

    try:
        layer = carousel.Recurrent(OfThis(), I, H)
        this.dt = 0.5
        layer(torch.randn(2, 1, I))
        assert "0.5" in str(layer.program)
    finally:
        del sys.modules["this"]
        reads_module._is_fixed.cache_clear()
