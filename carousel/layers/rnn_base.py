"""The methods of `nn.RNNBase`, which scripts expect of a recurrent layer.

A layer is an `nn.RNNBase`, since that promises only parameters of known names. It is no `nn.LSTM`: a library that tests
for `nn.LSTM` builds its own layer from the sizes, and would silently lose peepholes, layer norm and all other options;
and torch.compile does not trace into one.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from carousel.cells import Cell
from carousel.layers import initial_states
from carousel.layers.parameters import parameter_shapes
from carousel.program import Interface

States = tuple[Tensor, ...]


class RNNBase(nn.RNNBase):
    """nn.RNNBase without its second list of the weights. The module's parameters are the only ones."""

    program: Interface
    _program: Interface  # the same, without a check for changes of the cell
    sizes: dict[str, int]
    cell: Cell
    initial_state: str
    weight_ih_l0: Tensor  # all parameters have its dtype and device

    # nn.RNNBase updates its list of weights in these methods; there is no such list here.
    __setattr__ = nn.Module.__setattr__  # type: ignore[assignment]
    __getstate__ = object.__getstate__
    __setstate__ = nn.Module.__setstate__
    _apply = nn.Module._apply
    _replicate_for_data_parallel = nn.Module._replicate_for_data_parallel

    @property
    def mode(self) -> str:  # type: ignore[override]
        """torch.nn's name for the kind of a layer: "LSTM", "GRU", "RNN_TANH", ...; for other cells the cell's name."""
        return self.program.cell.upper()

    def suffixes(self) -> list[str]:
        """The suffixes of parameter names, one for each scan in the order of hx: "_l0", "_l0_reverse", ..."""
        directions = ("", "_reverse") if self.bidirectional else ("",)
        return [f"_l{k}{direction}" for k in range(self.num_layers) for direction in directions]

    def flatten_parameters(self) -> None:
        """Does nothing, because engines pack weights themselves. It exists because scripts call it."""

    @property
    def _all_weights(self) -> list[list[str]]:  # type: ignore[override]
        """The names of the parameters, one list per layer and direction; `all_weights` has the parameters."""
        names = parameter_shapes(self.program, self.sizes)
        return [[name + suffix for name in names] for suffix in self.suffixes()]

    @property
    def _flat_weights_names(self) -> list[str]:  # type: ignore[override]
        return [name for names in self._all_weights for name in names]

    @property  # type: ignore[override]
    def _flat_weights(self) -> list[Tensor]:
        return [getattr(self, name) for name in self._flat_weights_names]

    @_flat_weights.setter  # type: ignore[override]
    def _flat_weights(self, weights: Sequence[Tensor]) -> None:
        """For scripts that set torch.nn's list. Raises ValueError for a list with other tensors than the parameters."""
        for name, weight, own in zip(self._flat_weights_names, weights, self._flat_weights, strict=True):
            if weight is not own:
                raise ValueError(
                    f"{type(self).__name__}: _flat_weights is made of the parameters at every call, and the tensor "
                    f"given for {name} is not the one that the layer has; set {name} itself"
                )

    @property
    def _flat_weight_refs(self) -> list[weakref.ref[Tensor]]:  # type: ignore[override]
        return [weakref.ref(weight) for weight in self._flat_weights]

    def _init_flat_weights(self) -> None:
        pass

    def expected_states(self, batch: int) -> list[tuple[int, int, int]]:
        """The shapes of hx, (L * D, B, size), one for each state of the cell.

        batch: B, the number of sequences.
        """
        return [(len(self.suffixes()), batch, self.sizes[size]) for size in self._program.states.values()]

    def fresh_states(self, batch: int) -> States:
        """The initial states of sequences without hx, one for each state of the cell, (L * D, B, size) each.

        batch: B, the number of sequences.
        """
        if self.initial_state == "zero" and not self.cell.initial:
            like = self.weight_ih_l0
            return tuple(torch.zeros(s, dtype=like.dtype, device=like.device) for s in self.expected_states(batch))
        shapes = {state: (batch, self.sizes[size]) for state, size in self._program.states.items()}
        what = self, self.cell, self._program, self.initial_state, shapes, self.weight_ih_l0
        each = [initial_states.of_scan(*what, suffix) for suffix in self.suffixes()]
        return tuple(map(torch.stack, zip(*each, strict=True)))

    def check_forward_args(self, input: Tensor, hidden: Tensor | States, batch_sizes: Tensor | None) -> None:
        """Raises RuntimeError unless the input and the states fit this layer and each other, in torch.nn's words.

        input: (T, B, I), or the data of a PackedSequence, (steps of all rows, I). hidden: the states, (L * D, B, size)
            each.
        batch_sizes: those of the PackedSequence; None for a padded input.
        """
        self.check_input(input, batch_sizes)
        _, batch, _ = self.get_expected_hidden_size(input, batch_sizes)
        states = (hidden,) if isinstance(hidden, Tensor) else hidden
        for index, (state, shape) in enumerate(zip(states, self.expected_states(batch), strict=True)):
            name = f"hidden[{index}]" if len(states) > 1 else "hidden"
            self.check_hidden_size(state, shape, f"Expected {name} size {{}}, got {{}}")

    def permute_hidden(self, hx: Tensor | States, permutation: Tensor | None) -> Tensor | States:
        """The states with their sequences in another order, as torch.nn's layers need it for packed sequences.

        hx: a state, (L * D, B, size), or a tuple of states. permutation: (B), the old place of each sequence; None: as
            they are.
        """
        if permutation is None:
            return hx
        if isinstance(hx, Tensor):
            return hx.index_select(1, permutation)
        return tuple(state.index_select(1, permutation) for state in hx)
