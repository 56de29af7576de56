"""A library that was built from another Carousel is refused, whatever differs: it would compute something else."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from processes import Process

from carousel.engines.native import binding as native_binding
from carousel.engines.native import identity as native_identity

if isinstance(missing := native_binding.find(), str):
    pytest.skip(missing, allow_module_level=True)

PACKAGE = Path(native_identity.__file__).parent.parent.parent


@pytest.fixture
def copy(tmp_path):
    """The package with its library, to be changed."""
    folder = shutil.copytree(PACKAGE, tmp_path / "carousel", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(native_binding.find().path, folder / native_binding.NAME)
    return folder


def run(copy: Path, code: str) -> str:
    """What a process prints that imports the copy, and not what an editable install leads to."""
    imports = f"""
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "editable" not in type(f).__module__]
sys.path.insert(0, {str(copy.parent)!r})
import carousel
assert carousel.__file__.startswith({str(copy)!r})
"""
    done = Process(imports + code, cwd=copy.parent, streams=copy.parent / "streams").wait()
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def edit(file: Path, pattern: str, replacement: str) -> None:
    text, changes = re.subn(pattern, replacement, file.read_text(encoding="utf-8"), count=1)
    assert changes == 1
    file.write_text(text, encoding="utf-8")


DOCTOR = "from carousel.cli.doctor import doctor; doctor()"
LSTM = """
import torch
theirs, ours = torch.nn.LSTM(3, 4), carousel.LSTM(3, 4)
ours.load_state_dict(theirs.state_dict())
x = torch.randn(5, 2, 3)
print("error", (ours(x)[0] - theirs(x)[0]).abs().max().item() < 1e-6)
print(ours.explain())
"""

CHANGES = {
    "an op more": ("program/ops.py", r"(    # functions\n)", r'    Op("cube", 1, lambda a: a**3, lambda *_: [], "{}³"),\n\1', "its op number 9 is exp, and the package's is cube"),  # noqa: E501
    "two ops in another order": ("engines/native/plan.py", r'"mul_add": 3, "mul_sub": 3', r'"mul_sub": 3, "mul_add": 3', "is mul_add, and the package's is mul_sub"),  # noqa: E501
    "an op with another number of arguments": ("engines/native/plan.py", r'"copy": 1', r'"copy": 2', "its op copy takes 1 arguments, and the package's takes 2"),  # noqa: E501
    "two fields of one size exchanged": ("native/plan.h", r"int32_t source, source_size, parameter", "int32_t source_size, source, parameter", "were changed after it was built"),  # noqa: E501
    "a header more": ("native/simd.h", r"#pragma once", "#pragma once\n// more", "were changed after it was built"),
    "another version": ("__init__.py", r'__version__ = "[^"]*"', '__version__ = "0.0.9"', "and the package is of version 0.0.9"),  # noqa: E501
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_library_of_before_is_refused(copy, change):
    file, pattern, replacement, words = CHANGES[change]
    edit(copy / file, pattern, replacement)
    said = run(copy, DOCTOR)
    assert words in said
    assert "native: not ready, the native library does not fit" in said
    assert f"build it again: pip install -e {copy.parent}" in said
    assert "reference: ready" in said


def test_without_it_the_numbers_are_right_and_the_user_is_told(copy):
    edit(copy / "program/ops.py", *CHANGES["an op more"][1:3])
    said = run(copy, LSTM)
    assert "error True" in said
    assert "engine: reference" in said
    assert said.count("UserWarning: The native engine is not used.") == 1


def test_a_library_that_says_nothing_of_itself_is_refused(copy, tmp_path):
    """As those that were built before the comparison existed."""
    if shutil.which("cc") is None:
        pytest.skip("there is no cc on the PATH")
    (tmp_path / "empty.c").write_text("int nothing;\n")
    command = ["cc", "-shared", "-fPIC", "-o", str(copy / native_binding.NAME), str(tmp_path / "empty.c")]
    subprocess.run(command, check=True)
    assert "does not say what it was built from" in run(copy, DOCTOR)


def test_an_unchanged_copy_is_taken_also_without_its_sources(copy):
    assert "native: ready" in run(copy, DOCTOR)
    shutil.rmtree(copy / "native")
    assert "native: ready" in run(copy, DOCTOR)
    assert "install it again: pip install --force-reinstall" in run(
        copy, "from carousel.engines.native import identity; print(identity.advice())"
    )
