"""What a layer needs is made at its first call: by one thread, without a compiler, and no more than is asked for."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import Tensor

import carousel
from carousel import cells
from carousel.cells import Cell
from carousel.engines import ENGINES
from carousel.engines.native import prepared
from carousel.program import differentiate, notation, rewrite, trace

THREADS = 8


def fresh(number: float) -> Cell:
    """A cell that no cache has seen: its class is new, and its equations too where the number is."""

    class Fresh(Cell):
        states = ("h", "c")
        gates = ("f", "g")

        def step(self, c, f, g):
            f = torch.sigmoid(f + number)
            c = f * c + (1 - f) * torch.tanh(g)
            return torch.tanh(c), c

    return Fresh()


def at_once(call) -> list:
    """call(k) in every thread k, all begun at the same moment."""
    gate = threading.Barrier(THREADS)

    def run(k: int):
        gate.wait()
        return call(k)

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(run, range(THREADS)))


class TestThreads:
    @pytest.mark.parametrize("engine", ENGINES)
    @pytest.mark.parametrize("learning", [False, True], ids=["values", "gradients"])
    def test_first_calls_at_the_same_moment(self, engine, learning):
        own = torch.nn.Module.__call__
        torch.manual_seed(0)
        x = torch.randn(5, 2, 4)
        base = 1.0 if learning else 2.0
        kinds = [fresh(base + k % 4 / 8 + len(engine)) for k in range(THREADS)]
        layers = [carousel.Recurrent(cell, 4, 6, engine=engine) for cell in kinds]

        def call(k: int) -> list[Tensor]:
            if not learning:
                with torch.no_grad():
                    return [layers[k](x)[0]]
            y = layers[k](x)[0]
            return [y, *torch.autograd.grad(y.square().sum(), list(layers[k].parameters()))]

        found = at_once(call)
        assert torch.nn.Module.__call__ is own
        for k, values in enumerate(found):
            for one, again in zip(values, call(k), strict=True):
                assert torch.equal(one, again)

    def test_what_is_made_is_made_once(self):
        """All threads get the very same program, rewriting, derivative and plan."""
        cell = fresh(10.0)

        def everything(_: int):
            program = trace(cell)
            zoned = rewrite.zoneout(program, ("c",))
            again = notation.read(notation.write(zoned))
            plans = [prepared.backward_plan(p, frozenset(), True, False) for p in (program, zoned)]
            return program, zoned, again, differentiate(program), differentiate(zoned), *plans

        first, *others = at_once(everything)
        assert all(a is b for other in others for a, b in zip(first, other, strict=True))

    def test_one_layer_that_records_different_values_in_each_thread(self):
        """The first calls of a layer may ask for different programs at the same moment."""
        x = torch.randn(4, 2, 3)
        for k in range(20):
            layer = carousel.Recurrent(fresh(11.0 + k / 32), 3, 4).requires_grad_(False)
            found = at_once(lambda k: layer(x, return_states=bool(k % 2)))  # noqa: B023
            output, _, states = layer(x, return_states=True)
            for k, (other, _, *recorded) in enumerate(found):
                assert torch.equal(other, output)
                assert [set(s) for s in recorded] == [{"h", "c"}] * (k % 2)
                assert all(torch.equal(s["c"], states["c"]) for s in recorded)

    def test_beside_a_thread_that_compiles_for_the_first_time(self):
        script = """
            import threading, torch, carousel
            own = torch.nn.Module.__call__, torch.nn.Module.__getattr__
            failed, gate = [], threading.Barrier(2)
            def compiles():
                gate.wait()
                try:
                    torch.compile(torch.nn.Linear(4, 4), backend="eager", fullgraph=True)(torch.randn(2, 4))
                except BaseException as error:
                    failed.append(error)
            thread = threading.Thread(target=compiles)
            thread.start()
            gate.wait()
            made = 0
            while thread.is_alive() or made < 20:
                class Mine(carousel.Cell):
                    gates = "n"
                    def step(self, h, n):
                        return torch.tanh(n) * (0.5 + made) + h
                carousel.Recurrent(Mine, 4, 6)(torch.randn(3, 2, 4))[0].sum().backward()
                made += 1
            thread.join()
            assert not failed, failed
            assert own == (torch.nn.Module.__call__, torch.nn.Module.__getattr__)
        """
        run(script)


def run(script: str) -> str:
    """What a process of its own prints."""
    lines = script.splitlines()
    indent = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    text = "\n".join(line[indent:] for line in lines)
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_call_loads_no_compiler():
    """Neither for values nor for gradients."""
    script = """
        import sys, torch, carousel
        layer, x = carousel.LSTM(4, 6, peepholes="all"), torch.randn(3, 2, 4)
        before = set(sys.modules)
        with torch.no_grad():
            layer(x)
        print(sum(m.startswith("torch.") for m in set(sys.modules) - before))
        layer(x)[0].sum().backward()
        new = set(sys.modules) - before
        print(sum(m.split(".")[0] in ("torch", "sympy") for m in new), len(new))
    """
    values, gradients = run(script).splitlines()
    assert values == "0"
    assert gradients.split()[0] == "0"
    assert int(gradients.split()[1]) < 10, "what the standard library loads at first use"


@pytest.mark.parametrize("engine", ENGINES)
def test_without_gradients_nothing_is_differentiated(engine, monkeypatch):
    def refuse(program):
        raise AssertionError(f"{program.cell} was differentiated")

    monkeypatch.setattr(prepared, "differentiate", refuse)
    layer = carousel.Recurrent(fresh(20.0 + len(engine)), 3, 4, engine=engine)
    x = torch.randn(5, 2, 3)
    with torch.no_grad():
        layer(x)
        layer(x, return_states=True)
        layer.explain()
    with torch.inference_mode():
        layer(x)
    layer.requires_grad_(False)(x)
    if engine == "native":
        with pytest.raises(AssertionError, match="Fresh was differentiated"):
            layer(x.requires_grad_())


class TestCopies:
    def test_a_copy_of_a_program_is_the_program(self):
        program = trace(cells.find("gru"))
        for copied in (pickle.loads(pickle.dumps(program)), copy.copy(program), copy.deepcopy(program)):
            assert copied is program
        assert len(pickle.dumps(program)) < 5000

    def test_programs_that_say_the_same_are_one(self):
        assert trace(fresh(30.0)) is trace(fresh(30.0))
        assert trace(fresh(0.0)) is not trace(fresh(30.0))

    def test_but_not_those_that_differ_in_the_sign_of_a_zero_or_in_a_name(self):
        def cell(function):
            return type("One", (Cell,), {"gates": ("n",), "step": staticmethod(function)})()

        def named(h, n):
            leak = torch.sigmoid(n)
            return leak * h

        plus, minus = (cell(lambda h, n, zero=zero: torch.maximum(h + n, h * 0.5 / zero)) for zero in (4.0, -4.0))
        assert trace(plus) is not trace(minus)
        assert trace(cell(named)) is not trace(cell(lambda h, n: torch.sigmoid(n) * h))

    def test_programs_that_nobody_holds_are_let_go(self):
        import gc
        import weakref

        program = rewrite.record.__wrapped__(trace(fresh(31.0)), ("f",))
        held = weakref.ref(program)
        del program
        gc.collect()
        assert held() is None
