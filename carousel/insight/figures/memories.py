"""Pictures of memories: where heads read and write at every step, what stands in the slots, and attention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from carousel.errors import DataError
from carousel.insight.figures.canvas import ONE_WAY, TWO_WAYS, canvas, label_steps, visible
from carousel.insight.memory_use import MemoryUse

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def weightings_over_time(
    use: MemoryUse,
    names: Sequence[str] | None = None,
    row: int = 0,
    place: int = -1,
    labels: Sequence[object] | None = None,
    member_labels: Sequence[object] | None = None,
) -> Figure:
    """Where heads read and write, or what is attended to, at every step of one sequence: a panel for each weighting.

    use: from `read_memory`. names: the weightings to draw, in this order; None for `use.heads`.
    row: the index of the sequence in the batch. place: the scan, an index of `use.places`.
    labels: one for each step. member_labels: one for each slot, or each position of the context. Default: numbers.
    Raises DataError for an unknown weighting, row or place, for labels of another number, and where there is none.
    """
    chosen = list(use.heads if names is None else names)
    if not chosen:
        raise DataError(f"There is no weighting to draw, only {', '.join(use.memories)}; memory_over_time draws those.")
    found = {name: use.of(name, row, place)[..., 0] for name in chosen}
    steps, members = next(iter(found.values())).shape
    high = max(1.5, min(4.5, 0.6 + 0.1 * members))
    figure, axes = canvas(max(6, min(16, 2 + steps / 8)), high * len(found), nrows=len(found), squeeze=False)
    for axis, (name, values) in zip(axes[:, 0], found.items(), strict=True):
        image = axis.imshow(
            values.t().numpy(), aspect="auto", cmap=ONE_WAY, vmin=0, vmax=max(1e-6, values.max().item()),
            interpolation="nearest",
        )  # fmt: skip
        axis.set_title(f"{name} over time: {use.places[place]}", fontsize=10)
        axis.set_ylabel("position" if name == "attention" else "slot")
        if member_labels is not None:
            if len(member_labels) != members:
                raise DataError(f"member_labels must hold {members} labels, but it holds {len(member_labels)}.")
            axis.set_yticks(range(members), [visible(label) for label in member_labels], fontsize=8)
        figure.colorbar(image, ax=axis)
        axis.xaxis.get_major_locator().set_params(integer=True)
        label_steps(axis, labels, steps)
    return figure


def memory_over_time(
    use: MemoryUse, name: str | None = None, row: int = 0, place: int = -1, steps: Sequence[int] | None = None
) -> Figure:
    """What stands in a memory after some steps of one sequence: slots downwards, their units beside one another.

    use: from `read_memory`. name: the memory to draw; None for the first. row: the index of the sequence in the batch.
    place: the scan, an index of `use.places`. steps: which steps; None for six that are spread over the sequence.
    Raises DataError for an unknown memory, row, place or step, and where there is no memory.
    """
    if not use.memories and name is None:
        raise DataError("There is no memory to draw, only weightings; weightings_over_time draws those.")
    name = use.memories[0] if name is None else name
    values = use.of(name, row, place)
    count = len(values)
    shown = list(steps) if steps is not None else sorted({round(k * (count - 1) / 5) for k in range(6)})
    if not count or not shown or any(not 0 <= step < count for step in shown):
        raise DataError(f"steps= must name steps from 0 to {count - 1} of this sequence, not {shown}.")
    high = values[shown].abs().max().item() or 1.0
    figure, axes = canvas(2.2 * len(shown), 4.5, ncols=len(shown), squeeze=False)
    for axis, step in zip(axes[0], shown, strict=True):
        image = axis.imshow(
            values[step].numpy(), aspect="auto", cmap=TWO_WAYS, vmin=-high, vmax=high, interpolation="nearest"
        )
        axis.set_title(f"after step {step}", fontsize=9)
        axis.set_xlabel("unit")
    axes[0][0].set_ylabel("slot")
    figure.suptitle(f"{name}: {use.places[place]}")
    figure.colorbar(image, ax=list(axes[0]))
    return figure
