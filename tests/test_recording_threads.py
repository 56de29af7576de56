"""A recording, and a tap, is of the calls of the thread that opened it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

import carousel

THREADS = 4


def test_a_recording_holds_what_its_own_threads_call_recorded():
    """All open their recordings before any calls the layer, and all have called it before any closes."""
    layer = carousel.LSTM(3, 5)
    inputs = [torch.randn(7, 2, 3) * (1 + k) for k in range(THREADS)]
    alone = []
    for x in inputs:
        with layer.record("forget", "c") as values:
            layer(x)
        alone.append({name: value.clone() for name, value in values.items()})
    barrier = threading.Barrier(THREADS, timeout=60)

    def run(k):
        for _ in range(5):
            with layer.record("forget", "c") as values:
                barrier.wait()
                layer(inputs[k])
                barrier.wait()
                assert all(torch.equal(values[name], alone[k][name]) for name in ("forget", "c"))
                barrier.wait()

    with ThreadPoolExecutor(THREADS) as pool:
        for done in [pool.submit(run, k) for k in range(THREADS)]:
            done.result()
    assert layer._recordings == []


def test_another_threads_call_is_not_recorded():
    layer, x = carousel.GRU(3, 5), torch.randn(4, 2, 3)
    with layer.record("z") as values:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(layer, x).result()
        assert len(values) == 0
        with pytest.raises(KeyError, match="call the layer inside the `with` first"):
            _ = values["z"]
        layer(x)
    assert values["z"].shape == (1, 4, 2, 5)


def test_a_tap_belongs_to_its_thread_too():
    layer = carousel.RNN(3, 5)
    barrier = threading.Barrier(THREADS, timeout=60)
    inputs = [torch.randn(6, 2, 3) for _ in range(THREADS)]

    def gradients(x, wait):
        with layer.tap() as tap:
            wait()
            output, _ = layer(x)
            wait()
        return tap.gradients(output[-1].sum())["h"]

    alone = [gradients(x, lambda: None) for x in inputs]
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(lambda x: gradients(x, barrier.wait), inputs))
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
