"""The measures as pictures, and drawings of cells.

Each function returns a matplotlib Figure, which a notebook shows and `.savefig` saves; `cell_svg` returns SVG text.
Nothing here uses pyplot, so there is no global state, no need for a display, and nothing to close.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from carousel.insight.figures.cells import cell_svg, draw_cell, draw_unrolled
from carousel.insight.figures.dynamics import jacobian_spectrum, lyapunov_spectrum
from carousel.insight.figures.lags import gradient_by_lag, influence, influence_by_feature, memory_by_lag
from carousel.insight.figures.memories import memory_over_time, weightings_over_time
from carousel.insight.figures.trees import coloured_tree, gradient_by_depth
from carousel.insight.figures.units import coloured_text, gates_over_time, units_by_timescale
from carousel.insight.gates import Gates
from carousel.insight.gradient_flow import GradientFlow
from carousel.insight.input_influence import InputInfluence
from carousel.insight.jacobian import StepJacobians
from carousel.insight.lyapunov import Lyapunov
from carousel.insight.memory import Memory
from carousel.insight.memory_use import MemoryUse
from carousel.insight.trees import DepthFlow, NodeStates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "cell_svg",
    "coloured_text",
    "coloured_tree",
    "draw_cell",
    "draw_unrolled",
    "gates_over_time",
    "gradient_by_depth",
    "gradient_by_lag",
    "influence",
    "influence_by_feature",
    "jacobian_spectrum",
    "lyapunov_spectrum",
    "memory_by_lag",
    "memory_over_time",
    "of",
    "units_by_timescale",
    "weightings_over_time",
]


def of(result: Any) -> Figure:
    """The picture of a result with default options; for gates, of the first that keeps a state, or of the output.

    result: a `GradientFlow`, `InputInfluence`, `Gates`, `StepJacobians`, `Lyapunov`, `Memory` or `MemoryUse`.
    Raises TypeError for anything else.
    """
    match result:
        case GradientFlow():
            return gradient_by_lag(result)
        case InputInfluence():
            return influence(result)
        case Gates():
            return gates_over_time(result, next(iter(result.keeps.values()), result.states[0]))
        case StepJacobians():
            return jacobian_spectrum(result)
        case Lyapunov():
            return lyapunov_spectrum(result)
        case Memory():
            return memory_by_lag(result)
        case DepthFlow():
            return gradient_by_depth(result)
        case NodeStates():
            return coloured_tree(result.trees, result.of_unit(0))
        case MemoryUse():
            return weightings_over_time(result) if result.weightings else memory_over_time(result)
    raise TypeError(f"There is no picture of a {type(result).__name__}.")
