"""The native engine among threads and processes: the same bits, no deadlock, one OpenMP runtime."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import carousel
from carousel.cells.lstm import LSTM
from carousel.engines import native
from carousel.engines.native import binding as native_binding
from carousel.engines.native import stepper as native_stepper
from carousel.program import trace

if isinstance(missing := native_binding.find(), str):
    pytest.skip(missing, allow_module_level=True)


@pytest.fixture(autouse=True)
def _two_threads():
    torch.set_num_threads(2)  # conftest sets it back


def arguments(seed: int = 0, hidden: int = 130, batch: int = 6, steps: int = 20):
    """Those of a scan that is large enough for a team of threads."""
    random = torch.Generator().manual_seed(seed)

    def draw(*size: int) -> torch.Tensor:
        return torch.randn(*size, generator=random).mul_(0.1).requires_grad_()

    weights = {"weight_ih": draw(4 * hidden, 9), "weight_hh": draw(4 * hidden, hidden)}
    weights |= {"bias_ih": draw(4 * hidden), "bias_hh": draw(4 * hidden), "p_f": draw(hidden)}
    states = draw(batch, hidden), draw(batch, hidden)
    return trace(LSTM(peepholes="forget")), draw(steps * batch, 9), [batch] * steps, states, weights


def train(seed: int = 0) -> list[torch.Tensor]:
    """Values and gradients of that scan."""
    program, x, sizes, states, weights = arguments(seed)
    (outputs,), last = native.scan(program, x, sizes, states, weights)
    gradients = torch.autograd.grad((outputs.square().sum() + last[1].sum()), [x, *states, *weights.values()])
    return [outputs.detach(), *(t.detach() for t in last), *gradients]


def test_the_same_again_is_the_same_bits():
    first = train()
    for _ in range(5):
        assert all(map(torch.equal, first, train()))


def test_many_threads_calling_at_once():
    alone = [train(seed) for seed in range(4)]
    with ThreadPoolExecutor(8) as pool:
        for seed, results in zip(list(range(4)) * 10, pool.map(train, list(range(4)) * 10), strict=True):
            assert all(map(torch.equal, alone[seed], results))


# A process forks after the engine has run in it: its children have OpenMP's state, but not its threads. (torch's own
# operators hang there, so the child runs nothing but the scan.)
FORKS = """
import os, sys, torch
sys.path.insert(0, {folder!r})
from test_native_threads import arguments, native
torch.set_num_threads(2)
given = arguments()
with torch.no_grad():
    expected = native.scan(*given)[0][0]
    for _ in range(3):
        child = os.fork()
        if child == 0:
            same = bytes(native.scan(*given)[0][0].numpy().data) == bytes(expected.numpy().data)
            os._exit(0 if same else 1)
        assert os.waitpid(child, 0)[1] == 0
    assert torch.equal(expected, native.scan(*given)[0][0])
"""

WORKERS = """
import sys, torch
sys.path.insert(0, {folder!r})
from test_native_threads import train

class Rows(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, i):
        return train(i)[0]

if __name__ == "__main__":
    expected = [train(i)[0] for i in range(4)]
    for batch, rows in zip(torch.utils.data.DataLoader(Rows(), num_workers=2, batch_size=None), expected):
        assert torch.allclose(batch, rows, atol=1e-5)
"""


@pytest.mark.parametrize("script", [FORKS, WORKERS], ids=["fork", "DataLoader"])
def test_forked_processes(script, request):
    code = script.format(folder=str(request.path.parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_one_openmp_runtime():
    code = "from carousel.engines import native; native.status(); print(native.openmp_runtimes())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "1", done.stdout + done.stderr


@pytest.mark.parametrize(
    ("hidden", "batch", "how"),
    [
        (8, 1, "one thread"),
        (256, 8, "2 threads, each its own hidden units, meeting at every step"),
        (256, 32, "2 threads, each its own rows of the batch"),
    ],
)
def test_explain_tells_how_threads_divide_a_shape(hidden, batch, how):
    layer = carousel.LSTM(128, hidden)
    assert layer.explain(steps=100, batch=batch).splitlines()[-1] == f"100 steps of {batch} rows: {how}"
    assert "thread" not in layer.explain()


def test_status_names_what_is_used():
    status = native.status()
    assert status["native engine"] == "present"
    assert status["instruction set"] in status["instruction sets here"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("hidden", [5, 64, 200])
def test_a_stepper_gives_the_scans_values(hidden, threads):
    torch.set_num_threads(threads)
    program, x, sizes, states, weights = arguments(hidden=hidden, batch=3, steps=6)
    (outputs,), last = native.scan(program, x, sizes, states, weights)
    step = native_stepper.Stepper(program, weights, 3, {})
    step.states = states
    for t, rows in enumerate(x.split(3)):
        torch.testing.assert_close(step(rows), outputs[3 * t : 3 * t + 3])
    torch.testing.assert_close(step.states, last)
