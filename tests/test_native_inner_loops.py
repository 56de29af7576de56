"""The inner loops of the built library, taken apart: sums stay in registers while the loop over k runs.

A compiler that keeps a sum on the stack loads and stores it at every k. The results are the same, and a third of the
speed is gone, on the instruction sets that are not the best of the machine that looks.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from processes import Process

import carousel
from carousel.engines.native import binding as native_binding
from carousel.engines.native import prepared
from carousel.errors import CarouselError

if isinstance(missing := native_binding.find(), str):
    pytest.skip(missing, allow_module_level=True)

LIBRARY = prepared.library()
ISAS = LIBRARY.isas_here
RUN = Path(__file__).parent / "native" / "run.sh"
HEAD = re.compile(r"^[0-9a-f]+ <.*carousel::(\w+)::(tile|tile_widened|tile_dots)<([^>]*)>\(.*>:$")
LINE = re.compile(r"^\s+([0-9a-f]+):\s+(\S.*)$")
JUMP = re.compile(r"^j\w+\s+([0-9a-f]+)\b")
MULTIPLY = re.compile(r"fn?m(add|ul)|\bv?mulp|dpbf16|fmla")
VECTOR = re.compile(r"%[xyz]mm\d+")
STACK = re.compile(r"\(%rsp|\bsp\b")
STORE = re.compile(r"^v?mov\S*\s+%[xyz]mm\d+,.*\(|^stp?\s+q")

# Rows and panels of the tiles there are: up to six rows of one panel, and few rows across several.
TILES = [(rows, 1) for rows in range(1, 7)] + [(1, 4), (2, 2), (3, 2)]


def inner_loop(lines: list[tuple[int, str]]) -> list[str]:
    """The shortest stretch that a jump leads back to and that multiplies."""
    found = []
    for end, instruction in lines:
        jump = JUMP.match(instruction)
        if jump and lines[0][0] <= (begin := int(jump[1], 16)) < end:
            body = [text for at, text in lines if begin <= at <= end]
            if any(MULTIPLY.search(text) for text in body):
                found.append(body)
    return min(found, key=len)


Loops = dict[tuple[str, str, str], list[str]]


def loops_of(library: Path) -> Loops:
    """The inner loops of a library's tiles, by instruction set, function and template arguments."""
    if shutil.which("objdump") is None:
        pytest.skip("there is no objdump on the PATH")
    if LIBRARY.isas == ["portable"]:
        pytest.skip("the processor has no x86 instruction sets, which this test reads")
    command = ["objdump", "-d", "-C", "--no-show-raw-insn", str(library)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    functions: dict[tuple[str, str, str], list[tuple[int, str]]] = {}
    lines: list[tuple[int, str]] = []
    for line in text.splitlines():
        if line.endswith(">:"):
            head = HEAD.match(line)
            lines = functions.setdefault(head.groups(), []) if head else []  # type: ignore[arg-type]
        elif instruction := LINE.match(line):
            lines.append((int(instruction[1], 16), instruction[2]))
    return {key: inner_loop(lines) for key, lines in functions.items()}


@pytest.fixture(scope="module")
def loops() -> Loops:
    return loops_of(LIBRARY.path)


def check_that_sums_stay_in_registers(loops: Loops, isa: str, but: tuple[str, ...] = ()) -> None:
    expected = {(isa, "tile", f"{of}, {rows}, {panels}") for of in ("float", "double") for rows, panels in TILES}
    together = 1 if isa == "avx512" else 2  # panels that a widening tile crosses at most
    expected |= {(isa, "tile_widened", f"{rows}, {min(panels, together)}") for rows, panels in TILES}
    if isa == "avx512":
        expected |= {(isa, "tile_dots", f"{rows}, {panels}") for rows, panels in TILES}
    here = {key: body for key, body in loops.items() if key[0] == isa}
    assert here.keys() == expected
    for key, body in here.items():
        if key[1] in but:
            continue
        stored = [text for text in body if STORE.search(text)]
        assert not stored, f"{key} stores a vector in its inner loop: {stored}"
        if key[1] != "tile_widened":  # which halves numbers through memory, and no sums
            loaded = [text for text in body if STACK.search(text) and VECTOR.search(text)]
            assert not loaded, f"{key} reads a vector from the stack in its inner loop: {loaded}"


@pytest.mark.parametrize("isa", LIBRARY.isas)
def test_sums_stay_in_registers(loops, isa):
    check_that_sums_stay_in_registers(loops, isa)


@pytest.mark.slow
@pytest.mark.skipif("CAROUSEL_REQUIRE_NATIVE" not in os.environ, reason="builds the engine: CAROUSEL_REQUIRE_NATIVE=1")
def test_built_by_clang_the_engine_is_right_and_keeps_sums_in_registers():
    for tool in ("cmake", "clang++"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} on the PATH")
    done = subprocess.run([RUN, "clang"], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "portable: 0 failures" in done.stdout
    loops = loops_of(RUN.parent.parent.parent / "build/tests-native/clang/_native.so")
    for isa in ("avx512", "avx2"):
        # clang 14 keeps a few sums of the largest tiles of bfloat16 on the stack.
        check_that_sums_stay_in_registers(loops, isa, but=("tile_widened", "tile_dots"))


@pytest.mark.parametrize("isa", ["avx512", "avx2"])
def test_every_sum_is_multiplied_once_a_turn(loops, isa):
    """That the stretch found is the loop over k: rows by VECTORS sums of each panel."""
    if isa not in LIBRARY.isas:
        pytest.skip(f"the processor has no {isa}")
    vectors = {"avx512": 4, "avx2": 2}[isa]
    for rows, panels in TILES:
        body = loops[isa, "tile", f"float, {rows}, {panels}"]
        assert sum("fmadd" in text for text in body) == rows * vectors * panels


@pytest.mark.parametrize("isa", ISAS)
def test_the_environment_chooses_the_instruction_set(isa, tmp_path):
    code = "from carousel.cli.doctor import doctor; doctor()"
    done = Process(code, cwd=tmp_path, streams=tmp_path, CAROUSEL_ISA=isa).wait()
    assert done.returncode == 0, done.stderr
    assert f"instruction set: {isa}\n" in done.stdout


def test_an_instruction_set_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(prepared.settings, "isa", None)
    monkeypatch.setenv("CAROUSEL_ISA", "avx3")
    with pytest.raises(CarouselError, match=f"It is 'avx3', and must be one that this processor runs: {ISAS[0]}"):
        carousel.LSTM(2, 3)(torch.zeros(1, 1, 2))
