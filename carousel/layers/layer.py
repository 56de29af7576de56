"""The interface of a layer for its parts: `call`, `stack`, `stepper`, `initialization` and `explaining` take a `Layer`.

`Recurrent` implements it. The parts import this interface instead of the class, because the class imports them.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor

from carousel.layers.add_ins import AddIn, AddIns, States
from carousel.layers.hooks import StepHook
from carousel.program import Interface


class Layer(Protocol):
    """A cell over sequences. The arguments of `Recurrent` are its attributes."""

    input_size: int
    hidden_size: int
    num_layers: int
    batch_first: bool
    bidirectional: bool
    dropout: float
    training: bool
    checkpoint: int | str | None
    engine: str
    initial_state: str
    cell: Any  # `cells.Cell`
    sizes: dict[str, int]  # the number for each size name, including "input", of the first layer
    weight_ih_l0: Tensor  # all parameters have its dtype and device
    refuses_no_steps: bool
    _program: Interface
    _parameters: dict[str, Any]
    _calls: Any  # `again.Calls`

    @property
    def program(self) -> Interface:
        """The cell's program, after a check for changes of the cell; `_program` comes without that check."""
        ...

    @property
    def why_untraced(self) -> str: ...

    @property
    def is_read(self) -> bool: ...

    @property
    def hooks(self) -> tuple[StepHook, ...]: ...

    def add_ins(self, training: bool, *more: AddIn) -> AddIns: ...

    def expected_states(self, batch: int) -> list[tuple[int, int, int]]: ...

    def fresh_states(self, batch: int) -> States: ...

    def scan_shapes(self, suffix: str) -> dict[str, tuple[int, ...]]: ...

    def suffixes(self) -> list[str]: ...

    def whole(self, weights: dict[str, Tensor]) -> dict[str, Tensor]: ...

    def weights_of(self, suffix: str = "") -> dict[str, Tensor]: ...

    def get_parameter(self, target: str) -> Tensor: ...

    def own_weights(self, dtype: torch.dtype) -> dict[str, Tensor]: ...
