"""The picture of the learning curve: the loss over the amount of training."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from carousel.insight.saving import save

Points = Sequence[tuple[float, float]]


def draw_learning_curve(
    path: Path,
    *,
    training: Points,
    validation: Points,
    baseline: tuple[str, float] | None = None,
    title: str = "",
    x_label: str = "steps",
    loss: str = "loss, nats per token",
    in_nats: bool = True,
) -> None:
    """Writes a PNG picture of losses. If they are in nats, an axis on the right shows bits.

    training, validation: points (x, loss). baseline: name and loss of a naive baseline, drawn as a horizontal line.
    Losses far above the others, such as that before the first step, are cut off, so that the part with progress fills
    the picture.
    """
    # A late import, because matplotlib takes most of a second.
    from carousel.insight.picture import picture

    figure = picture(8, 5)
    axes = figure.add_subplot()
    if training:
        axes.plot(*zip(*training, strict=True), color="#7aa6d6", linewidth=1.2, label="training")
    if validation:
        axes.plot(
            *zip(*validation, strict=True), color="#c2410c", linewidth=2, marker="o", markersize=3.5, label="validation"
        )
        x, best = min(validation, key=lambda point: point[1])
        axes.annotate(
            f"best {best:.3f}" + (f" nats, {_bits(best):.3f} bits" if in_nats else ""),
            (x, best),
            xytext=(0, -16),
            textcoords="offset points",
            ha="right" if x > 0.3 * validation[-1][0] else "left",
            color="#c2410c",
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1},
        )
    losses = [value for _, value in (*training, *validation)]
    if baseline is not None:
        axes.axhline(
            baseline[1], color="#555555", linestyle="--", linewidth=1.2, label=f"{baseline[0]} ({baseline[1]:.3f})"
        )
        losses.append(baseline[1])
    if losses:
        low, later = min(losses), sorted(losses)[int(0.97 * (len(losses) - 1))]
        room = 0.12 * max(later - low, 0.05)
        axes.set_ylim(low - 1.5 * room, later + room)
    axes.set_xlabel(x_label)
    axes.set_ylabel(loss)
    if in_nats:
        second = axes.secondary_yaxis("right", functions=(_bits, _nats))
        second.set_ylabel(loss.replace("nats", "bits"))
    axes.grid(alpha=0.25)
    axes.set_title(f"Learning curve: {title}" if title else "Learning curve")
    axes.legend(loc="upper right", frameon=False)
    save(figure, path)


def _bits(nats: Any) -> Any:
    return nats / math.log(2)


def _nats(bits: Any) -> Any:
    return bits * math.log(2)
