"""Measures of what a network does, how it learns, and what is wrong with it.

Each measure is a function of a layer, or of a module with a layer, and of tensors. It runs in evaluation mode, changes
nothing, and raises `TooShort` if the result would have no meaning. `figures` draws the results.
"""

from typing import Any

from carousel.deprecation import warn_renamed
from carousel.insight import figures, properties
from carousel.insight.decay import Decay, MemoryLength
from carousel.insight.diagnosis import diagnose
from carousel.insight.evidence import Diagnosis, Finding
from carousel.insight.following import Following, units_following
from carousel.insight.gates import Gates, Saturation, read_gates
from carousel.insight.gradient_flow import GradientFlow, gradient_flow
from carousel.insight.input_influence import InputInfluence, input_influence
from carousel.insight.jacobian import StepJacobians, step_jacobians
from carousel.insight.lyapunov import Lyapunov, lyapunov
from carousel.insight.memory import Memory, data_memory
from carousel.insight.memory_use import MemoryUse, read_memory
from carousel.insight.refusal import TooShort
from carousel.insight.trees import DepthFlow, NodeStates, gradient_by_depth, node_states

__all__ = [
    "Decay",
    "DepthFlow",
    "Diagnosis",
    "Finding",
    "Following",
    "Gates",
    "GradientFlow",
    "InputInfluence",
    "Lyapunov",
    "Memory",
    "MemoryLength",
    "MemoryUse",
    "NodeStates",
    "Saturation",
    "StepJacobians",
    "TooShort",
    "data_memory",
    "diagnose",
    "figures",
    "gradient_by_depth",
    "gradient_flow",
    "input_influence",
    "lyapunov",
    "node_states",
    "properties",
    "read_gates",
    "read_memory",
    "step_jacobians",
    "units_following",
]


def __getattr__(name: str) -> Any:
    if name == "Horizon":
        warn_renamed("carousel.insight.Horizon", "carousel.insight.MemoryLength")
        return MemoryLength
    raise AttributeError(f"module 'carousel.insight' has no attribute {name!r}")
