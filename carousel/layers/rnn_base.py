"""What scripts ask of a torch.nn layer: whether it is an `nn.RNNBase`, and that class's helpers by their names.

A layer is no `nn.LSTM`: what asks for one builds its own from the sizes it finds there, and would drop peepholes, layer
norm and every other option without a word; torch.compile refuses to look into one. To be an `nn.RNNBase` promises only
parameters of known names, and that is true.
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence

from torch import Tensor, nn

from carousel.layers.parameters import parameter_shapes
from carousel.program import Interface

States = tuple[Tensor, ...]


class RNNBase(nn.RNNBase):
    """nn.RNNBase without its second list of the weights: parameters stand in the module alone, and are read from it."""

    program: Interface  # of the layer, as sizes
    _program: Interface  # the same, without asking whether the cell was changed
    sizes: dict[str, int]

    # What nn.RNNBase does here keeps its list of weights in step with the parameters.
    __setattr__ = nn.Module.__setattr__  # type: ignore[assignment]
    __getstate__ = object.__getstate__
    __setstate__ = nn.Module.__setstate__
    _apply = nn.Module._apply
    _replicate_for_data_parallel = nn.Module._replicate_for_data_parallel

    @property
    def mode(self) -> str:  # type: ignore[override]
        """What torch.nn calls the kind of a layer: "LSTM", "GRU", "RNN_TANH", ...; of another cell its name."""
        return self.program.cell.upper()

    def suffixes(self) -> list[str]:
        """What the parameter names of each scan end in, "_l0", "_l0_reverse", ..., in the order of hx."""
        directions = ("", "_reverse") if self.bidirectional else ("",)
        return [f"_l{k}{direction}" for k in range(self.num_layers) for direction in directions]

    def flatten_parameters(self) -> None:
        """Does nothing: engines pack weights themselves. It is here because training scripts call torch.nn's."""

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
        """For scripts that refresh torch.nn's list. Raises ValueError for what would not be the parameters."""
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
        """The shapes of hx, one for each state."""
        return [(len(self.suffixes()), batch, self.sizes[size]) for size in self._program.states.values()]

    def check_forward_args(self, input: Tensor, hidden: Tensor | States, batch_sizes: Tensor | None) -> None:
        """Raises RuntimeError unless the input, (T, B, I), and the states fit, in torch.nn's words."""
        self.check_input(input, batch_sizes)
        _, batch, _ = self.get_expected_hidden_size(input, batch_sizes)
        states = (hidden,) if isinstance(hidden, Tensor) else hidden
        for index, (state, shape) in enumerate(zip(states, self.expected_states(batch), strict=True)):
            name = f"hidden[{index}]" if len(states) > 1 else "hidden"
            self.check_hidden_size(state, shape, f"Expected {name} size {{}}, got {{}}")

    def permute_hidden(self, hx: Tensor | States, permutation: Tensor | None) -> Tensor | States:
        """hx with its sequences in another order."""
        if permutation is None:
            return hx
        if isinstance(hx, Tensor):
            return hx.index_select(1, permutation)
        return tuple(state.index_select(1, permutation) for state in hx)
