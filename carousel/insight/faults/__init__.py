"""The faults that a diagnosis knows. Each is a function from evidence to its findings."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from carousel.insight.evidence import Evidence, Finding
from carousel.insight.faults.data import cannot_be_told, inputs_unscaled, window_too_short
from carousel.insight.faults.gradients import always_clipped, exploding, norms_not_finite, vanishing
from carousel.insight.faults.units import dead_units, forget_gates_shut, saturated_gates, state_drift

# In the order in which they are reported. Faults of gates need a cell with a program.
FAULTS: dict[str, Callable[[Evidence], Iterator[Finding]]] = {
    "not-finite": norms_not_finite,
    "inputs-unscaled": inputs_unscaled,
    "exploding": exploding,
    "vanishing": vanishing,
    "cannot-be-told": cannot_be_told,
    "forget-gates-shut": forget_gates_shut,
    "saturated-gates": saturated_gates,
    "dead-units": dead_units,
    "state-drift": state_drift,
    "window-too-short": window_too_short,
    "always-clipped": always_clipped,
}
