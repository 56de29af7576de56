"""The measures as pictures: each function returns a matplotlib Figure, shown by a notebook, saved by `.savefig`.

No pyplot, so no global state, no display needed, and nothing to close.
"""

from carousel.insight.figures.dynamics import jacobian_spectrum, lyapunov_spectrum
from carousel.insight.figures.lags import gradient_by_lag, influence, influence_by_feature, memory_by_lag
from carousel.insight.figures.units import coloured_text, gates_over_time, units_by_timescale

__all__ = [
    "coloured_text",
    "gates_over_time",
    "gradient_by_lag",
    "influence",
    "influence_by_feature",
    "jacobian_spectrum",
    "lyapunov_spectrum",
    "memory_by_lag",
    "units_by_timescale",
]
