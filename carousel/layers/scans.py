"""The parameters of a layer that consists of several scans: one for each layer of the stack and each direction."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from carousel.layers import initial_states
from carousel.layers.equations import Equations
from carousel.layers.parameters import initialize


class Scans(Equations):
    """Names, shapes and first values of the parameters. A layer over sequences and one over trees derive from it.

    suffixes: what the parameter names of each scan end in, in the order of hx: "_l0", "_l0_reverse", ...
    sizes: the sizes of the cell by name. _shapes: the shapes of the parameters of the first layer, and of those of each
        layer above it, by name without suffix.
    """

    suffixes: Callable[[], list[str]]
    hidden_size: int
    initial_state: str
    sizes: dict[str, int]
    _shapes: list[dict[str, tuple[int, ...]]]

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The names of all parameters and their shapes, in torch.nn's order."""
        found: dict[str, tuple[int, ...]] = {}
        for suffix in self.suffixes():
            shapes: Mapping[str, tuple[int, ...]] = self.scan_shapes(suffix)
            first = initial_states.shapes(self.cell, self._program, self.initial_state, self.sizes)
            found |= {name + suffix: shape for name, shape in (*shapes.items(), *first.items())}
        return found

    def scan_shapes(self, suffix: str) -> dict[str, tuple[int, ...]]:
        """{name without suffix: shape} of the parameters of one scan. suffix: that of the scan, as "_l0_reverse"."""
        return self._shapes[not suffix.startswith("_l0")]

    def reset_parameters(self) -> None:
        """Draws all parameters again, in torch.nn's order, so that the same seed gives the same weights: uniform in
        ±1/sqrt(H), or what a vector's `initial` says."""
        for suffix in self.suffixes():
            initialize(self, self._program, self.cell, self.hidden_size, suffix)
            initial_states.reset(self, self.cell, self._program, self.initial_state, suffix)
