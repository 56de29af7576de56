"""The engine's C++ tests under AddressSanitizer with UndefinedBehaviorSanitizer, ThreadSanitizer, and on ARM: a part.

All of them, for every instruction set: tests/native/run.sh.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "native" / "run.sh"

if "CAROUSEL_REQUIRE_NATIVE" not in os.environ:
    pytest.skip("builds the engine twice: set CAROUSEL_REQUIRE_NATIVE=1 to run it", allow_module_level=True)


def runs_with(flag: str, folder: Path) -> bool:
    """Whether a program built with this sanitizer links and runs here."""
    (folder / "empty.cpp").write_text("int main() {}")
    build = ["c++", flag, str(folder / "empty.cpp"), "-o", str(folder / "empty")]
    return (
        subprocess.run(build, capture_output=True).returncode == 0
        and subprocess.run([folder / "empty"], capture_output=True).returncode == 0
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the sanitizers are used on Linux")
@pytest.mark.parametrize("kind", ["address", "thread"])
def test_the_engine_under_a_sanitizer(kind, tmp_path):
    for tool in ("cmake", "c++"):
        if shutil.which(tool) is None:
            pytest.skip(f"there is no {tool} on the PATH")
    if not runs_with(f"-fsanitize={kind}", tmp_path):
        pytest.skip(f"this compiler has no library for -fsanitize={kind}")
    done = subprocess.run([SCRIPT, "--quick", kind], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "portable: 0 failures" in done.stdout


ARM = {"aarch64-linux-gnu-g++": "g++-aarch64-linux-gnu", "qemu-aarch64-static": "qemu-user-static"}


@pytest.mark.slow
def test_the_engine_on_an_emulated_arm():
    for tool, package in ARM.items():
        if shutil.which(tool) is None:
            pytest.skip(
                f"there is no {tool} (Debian's {package}): the portable vectors of this machine stand in for NEON"
            )
    done = subprocess.run([SCRIPT, "--quick", "neon"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "portable: 0 failures" in done.stdout
