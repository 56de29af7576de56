"""A measure of any small network is right or refuses in words; a planted fault is never taken for health.

Networks are those of benchmarks/diagnosis.py, whose table docs/insight.md shows.
"""

from __future__ import annotations

import importlib.util
import math
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.errors import DataError
from carousel.insight import TooShort, diagnose, gradient_flow, input_influence, lyapunov, read_gates, step_jacobians

ROOT = Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("planted", ROOT / "benchmarks" / "diagnosis.py")
planted = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]
sys.modules["planted"] = planted  # where dataclasses look their module up
spec.loader.exec_module(planted)


@pytest.mark.parametrize("fault", planted.PLANTED)
@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_a_planted_fault_is_never_health(fault, seed):
    plant, wanted = planted.PLANTED[fault]
    findings = diagnose(plant(seed).network, plant(seed).x, memory=plant(seed).memory)
    assert findings
    assert {finding.fault for finding in findings} & set(wanted)
    assert all(math.isfinite(v) or v == math.inf for finding in findings for v in finding.numbers.values())
    assert not any("nan" in finding.seen.split() for finding in findings)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000))
def test_a_network_without_faults_is_not_accused(seed):
    assert planted.healthy(seed).findings() == []


MEASURES = {
    "flow": lambda m, x: gradient_flow(m, x).decay().factor,
    "flow of every state": lambda m, x: [
        gradient_flow(m, x).samples(s, relative=False)[..., 0].nan_to_num(0.0) for s in gradient_flow(m, x).states
    ],
    "influence": lambda m, x: input_influence(m, x, of="top").norms,
    "gates": lambda m, x: list(read_gates(m, x).values.values()),
    "time scales": lambda m, x: read_gates(m, x).timescales(),
    "jacobians": lambda m, x: step_jacobians(m, x, steps=[0, 5]).spectral_radius(),
    "exponents": lambda m, x: lyapunov(m, x, count=2).exponents,
}


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10_000), plant=st.sampled_from(["healthy", *planted.PLANTED]))
def test_no_measure_gives_nan(measure, seed, plant):
    """Sequences are whole: no step is padding, so that every NaN would be one that was measured."""
    case = planted.healthy(seed) if plant == "healthy" else planted.PLANTED[plant][0](seed)
    try:
        found = measure(case.network, case.x)
    except (TooShort, DataError) as refusal:
        found, words = [], str(refusal).split()
        if "nan" in words or len(words) < 10:
            raise
    for values in found if isinstance(found, list) else [found]:
        assert not torch.as_tensor(values).isnan().any()
