"""What every test shares: reproducible Hypothesis, one thread, and a header that says which engines are under test."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

# Tests run side by side, on every processor. A thread that spins while it waits for another then takes the
# processor from the test beside it: NumPy's eigenvalues take 25 times as long. Before NumPy and torch are imported.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import matrix
import pytest
import torch
from hypothesis import HealthCheck, settings

from carousel.insight import saving
from carousel.page import pictures
from carousel.training import run_end, task_run

pytest_plugins = ["skips"]

# The same examples every time, here and in CI. To look for new ones: pytest --hypothesis-profile=explore
settings.register_profile("same", derandomize=True, deadline=None, max_examples=6, print_blob=False)
settings.register_profile("explore", deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")


# These compile the engine or read every type: a minute each, in few tests. They come first, or one processor waits for
# them at the end.
LONGEST = ("test_native_sanitizers.py", "test_native_inner_loops.py", "test_types.py", "test_native_identity.py")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One process more than processors: many tests wait, for a process of their own, for a browser, for a clock."""
    return (os.cpu_count() or 1) + 1


def pytest_report_header() -> str:
    found = ", ".join(f"{engine} ({matrix.name_of(dtype)})" for engine, dtype in matrix.engine_dtypes())
    return f"carousel: {len(matrix.ROWS)} cells; engines on this machine: {found}"


@pytest.fixture(autouse=True)
def _reproducible():
    """Tests are about bits and small sizes: one thread, and the same seed for what draws from torch's generator."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="session")
def _ctrl_c_is_heard():
    """A shell starts its background jobs with SIGINT ignored, and their children inherit that; tests send it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True, scope="session")
def _pictures_of_one_kind_are_rendered_once(tmp_path_factory):
    """Each training ends with a picture of its losses, and each page has a dozen: few tests look at them, and rendering
    takes up to a second. The first of each kind is rendered, and later ones are copies of it. A page's figures are
    made each time."""
    rendered: dict[tuple, Path] = {}
    folder = tmp_path_factory.mktemp("rendered")

    def render(kind: tuple, path: Path, save: Callable[[], None]) -> None:
        if kind not in rendered:
            save()
            rendered[kind] = shutil.copyfile(path, folder / f"{len(rendered)}.png")
        shutil.copyfile(rendered[kind], path)

    def draw_curve(run, measure, baseline, *, x_label="epochs"):
        kind = "curve", measure, baseline and baseline[0], x_label
        render(kind, run.path / "curve.png", lambda: run_end.draw_curve(run, measure, baseline, x_label=x_label))

    def save(figure, path):
        render(("page", path.name), path, lambda: saving.save(figure, path))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(task_run, "draw_curve", draw_curve)
        patch.setattr(pictures, "save", save)
        yield
