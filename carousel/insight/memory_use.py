"""What a cell does with its memory or its context: what stands there, and where its heads look, at every step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from carousel.errors import DataError
from carousel.insight.border import check_index
from carousel.insight.observation import find_layer, observe, places
from carousel.insight.shown import Shown
from carousel.insight.timeline import Timeline
from carousel.layers import Recurrent
from carousel.program import Program
from carousel.program.rewrite import recordable


@dataclass(frozen=True)
class MemoryUse(Shown):
    """The values with members of one layer, such as a memory of slots and the weightings of its heads.

    values: by name, (P, T, B, members, units), with NaN in the padding; of a weighting there is one unit. states: the
    names of those that are states. places: the names of the P scans. timeline: which steps there are.
    """

    values: dict[str, Tensor]
    states: tuple[str, ...]
    places: tuple[str, ...]
    timeline: Timeline

    @property
    def weightings(self) -> tuple[str, ...]:
        """The names of the values with one number for each member, as weightings and attention have."""
        return tuple(name for name, found in self.values.items() if found.shape[-1] == 1)

    @property
    def heads(self) -> tuple[str, ...]:
        """The weightings that are states, as those of heads; else the attention, or the last weighting of a step."""
        own = tuple(name for name in self.weightings if name in self.states)
        return own or ("attention",) * ("attention" in self.values) or self.weightings[-1:]

    @property
    def memories(self) -> tuple[str, ...]:
        """The names of the values with several units for each member, states first."""
        found = [name for name, values in self.values.items() if values.shape[-1] > 1]
        return tuple(sorted(found, key=lambda name: name not in self.states))

    def of(self, name: str, row: int = 0, place: int = -1) -> Tensor:
        """One value of one sequence, (T, members, units), without its padding.

        name: of the value. row: the index of the sequence in the batch. place: the scan, an index of `places`.
        Raises DataError for an unknown name, row or place.
        """
        if name not in self.values:
            raise DataError(f"There is no {name!r} with members here: there is {', '.join(self.values)}.")
        found = self.values[name]
        place, row = check_index("place", place, len(found)), check_index("row", row, found.shape[2])
        return found[place, self.timeline.real[:, row].cpu(), row]


def read_memory(
    module: Callable[..., Any], *inputs: Any, layer: Recurrent | str | None = None, **call: Any
) -> MemoryUse:
    """The memories, weightings and attention of a layer, at every step of one call of module(*inputs, **call).

        use = carousel.insight.read_memory(layer, x)
        use.of("a0")            # (T, slots, 1): where the first head of an NTM reads
        use.picture()

    module: the layer, or a module with it. inputs, call: the arguments of the call; it runs in evaluation mode and
    without gradients. layer: the layer, or its name in the module; None if there is one.
    Returns all states with members, and all values with members that the author of the cell named.
    Raises DataError if the module has no such layer, or if its cell has neither a memory nor a context.
    """
    chosen = find_layer(module, layer)
    program = chosen.program
    nodes = recordable(program) if isinstance(program, Program) else {}
    names = [name for name, index in nodes.items() if program.nodes[index].members]  # type: ignore[attr-defined]
    if not names:
        raise DataError(
            f"The cell {program.cell} has neither a memory nor a context, so that nothing has members; read_gates "
            "reads its gates and states."
        )
    with chosen.record(*names) as recorded:
        observation = observe(module, inputs, call, chosen)
    padding = ~observation.timeline.real[None, :, :, None, None]
    values = {
        name: observation.time_first(found).detach().cpu().masked_fill(padding, torch.nan)
        for name, found in recorded.items()
    }
    return MemoryUse(values, tuple(program.states), places(chosen), observation.timeline)
