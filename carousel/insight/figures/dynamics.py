"""Pictures of the dynamics: the spectrum of step Jacobians, and Lyapunov exponents."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from carousel.insight.figures.canvas import COLOURS, canvas
from carousel.insight.jacobian import StepJacobians
from carousel.insight.lyapunov import Lyapunov

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def jacobian_spectrum(jacobians: StepJacobians, state: str | None = None) -> Figure:
    """The eigenvalues of step Jacobians in the complex plane, with the unit circle, inside which changes decay.

    jacobians: from `step_jacobians`. state: the state whose block is meant. Default: the whole state.
    Raises DataError for an unknown state.
    """
    values = jacobians.eigenvalues(state)  # (S, B, m)
    steps = jacobians.steps[:, None, None].expand(values.shape)
    there = values.real.isfinite()
    figure, axes = canvas(6.5, 5.5)
    from matplotlib.patches import Circle

    axes.add_patch(Circle((0, 0), 1, fill=False, color="#777777", linewidth=1))
    dots = axes.scatter(
        values.real[there].numpy(),
        values.imag[there].numpy(),
        c=steps[there].numpy(),
        cmap="viridis",
        s=9,
        alpha=0.7,
        linewidths=0,
    )
    radius = values.abs().amax(-1)  # (S, B)
    size = max(1.1, 1.05 * radius.nan_to_num(0.0).max().item())
    axes.set_xlim(-size, size)
    axes.set_ylim(-size, size)
    axes.set_aspect("equal")
    axes.set_xlabel("real part")
    axes.set_ylabel("imaginary part")
    what = f"$d{state}_t / d{state}_{{t-1}}$" if state else "$ds_t / ds_{t-1}$, the whole state"
    typical = radius[radius.isfinite()].median().item() if radius.isfinite().any() else torch.nan
    axes.set_title(f"Spectrum of {what}; typical radius {typical:.3g}")
    axes.grid(alpha=0.25)
    figure.colorbar(dots, ax=axes, label="step t")
    return figure


def lyapunov_spectrum(found: Lyapunov) -> Figure:
    """Lyapunov exponents with their intervals, in nats a step, and beside them how the estimates converged.

    found: from `lyapunov`.
    """
    figure, (left, right) = canvas(9, 4, ncols=2)
    count = len(found.exponents)
    there = found.exponents.isfinite()
    middle, places = found.exponents[there], torch.arange(1, count + 1)[there]
    spread = torch.stack([middle - found.low[there], found.high[there] - middle]).clamp(min=0)
    left.errorbar(places.numpy(), middle.numpy(), spread.numpy(), color=COLOURS[0], fmt="o", markersize=4, capsize=3)
    for index in range(count):
        if there[index]:
            right.plot(found.running[:, index].numpy(), color=COLOURS[index % len(COLOURS)], linewidth=1)
    lost = count - int(there.sum())
    left.set_xlabel("exponent" + (f" ({lost} of -∞ not drawn)" if lost else ""))
    left.set_ylabel("nats a step")
    left.set_xticks(range(1, count + 1) if count <= 20 else [])
    right.set_xlabel("steps averaged over")
    for axes in (left, right):
        axes.axhline(0, color="#777777", linewidth=1)
        axes.grid(alpha=0.25)
    left.set_title(f"Lyapunov exponents: {found.kind}")
    right.set_title("How the estimates converged")
    return figure
