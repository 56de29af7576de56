"""What a recursive network does over trees: its states at every node, and how deep its gradients reach."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from carousel.errors import DataError
from carousel.insight.border import check_index, is_index
from carousel.insight.decay import geometric_mean
from carousel.insight.observation import evaluating, with_gradients
from carousel.insight.shown import Shown
from carousel.layers.trees import Recursive, Trees


@dataclass(frozen=True)
class NodeStates(Shown):
    """The states at every node of trees.

    trees: the N nodes. places: the P scans, "layer 0", "layer 0 reverse", ... in the order of hx; "reverse" runs from
    the roots down. values: by state (P, N, size).
    """

    trees: Trees
    places: tuple[str, ...]
    values: dict[str, Tensor]

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the states, the output first."""
        return tuple(self.values)

    def of_unit(self, unit: int, state: str | None = None, place: int = -1) -> Tensor:
        """One unit of one state of one scan at every node, (N).

        unit: its number. state: its name; None for the output. place: the number of the scan.
        Raises DataError for one that there is not.
        """
        state = _known(self.values, state, self.places, place)
        check_index("unit", unit, self.values[state].shape[-1])
        return self.values[state][place, :, unit]


@dataclass(frozen=True)
class DepthFlow(Shown):
    """|dL / ds_n| for each node n and each state s, where L is the sum of the losses of all roots.

    trees: the N nodes. places: as in `NodeStates`. norms: by state (P, N), Euclidean norms over the units.
    """

    trees: Trees
    places: tuple[str, ...]
    norms: dict[str, Tensor]

    @property
    def states(self) -> tuple[str, ...]:
        """The names of the states, the output first."""
        return tuple(self.norms)

    def by_depth(self, state: str | None = None, place: int = -1) -> Tensor:
        """The geometric mean of the norms over the nodes of each depth, (greatest depth + 1), without zeros. The roots
        come first.

        state: its name; None for the output. place: the number of the scan. Raises DataError for one that there is not.
        """
        norms = self.norms[_known(self.norms, state, self.places, place)][place]
        of_depth = [norms[self.trees.depth == depth] for depth in range(int(self.trees.depth.max()) + 1)]
        return torch.stack([geometric_mean(each[None, :, None])[0][0] for each in of_depth])

    def factor(self, state: str | None = None, place: int = -1) -> float:
        """How much the gradient grows from one depth to the next, by least squares over log norms of all nodes: below 1
        it vanishes. NaN for trees of one depth.

        state, place: as of `by_depth`. Raises DataError for one that there is not.
        """
        norms = self.norms[_known(self.norms, state, self.places, place)][place]
        used = (norms > 0) & norms.isfinite()
        depth, logs = self.trees.depth[used].double(), norms[used].log()
        depth = depth - depth.mean()
        return float((depth * logs).sum().div(depth.square().sum()).exp()) if depth.any() else float("nan")


@torch.no_grad()
def node_states(module: Callable[..., Any], *inputs: Any, layer: Recursive | str | None = None) -> NodeStates:
    """Every state at every node, from one call of module(*inputs) in evaluation mode.

    module: a `Recursive` or a module with one; `layer` selects one of several. inputs: what the module is called with.
    Raises DataError if the module has no such layer, or does not call it once.
    """
    chosen = _find(module, layer)
    with chosen.record(*chosen.program.states) as found:
        trees, _ = _called(module, inputs, chosen)
    return NodeStates(trees, _places(chosen), {state: values.cpu() for state, values in found.items()})


@with_gradients
def gradient_by_depth(
    module: Callable[..., Any],
    *inputs: Any,
    loss: Callable[[Tensor], Tensor] | None = None,
    layer: Recursive | str | None = None,
    seed: int = 0,
) -> DepthFlow:
    """Follows the losses of roots down the trees: |dL / dh_n| at each node n, for each layer and each state.

    module(*inputs) is called once, in evaluation mode. module, inputs, layer: as of `node_states`.
    loss: a function from the module's output at the roots, (R, ...), to one number for each, (R). None: L = v · y, with
        a random direction v of length 1 for each root, drawn with `seed`; its norms are those of v times the Jacobian.

    A gradient is that of the state which nodes above (or, downwards, below) go on from, with the other states of its
    node fixed. At a root it is what the loss sends. It costs one forward and one backward pass.
    Raises DataError if the module has no such layer, gives no row for each node, or if its loss has another shape.
    Sources: Bengio, Simard & Frasconi, IEEE Transactions on Neural Networks 5 (1994); Le & Zuidema, "Compositional
    distributional semantics with long short term memory" (arXiv:1503.02510, 2015).
    """
    chosen = _find(module, layer)
    with chosen.tap() as tap:
        trees, answer = _called(module, inputs, chosen)
    rows = answer[0] if isinstance(answer, tuple) else answer
    if not isinstance(rows, Tensor) or rows.dim() < 1 or len(rows) != trees.nodes:
        found = tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
        raise DataError(f"gradient by depth: the module must give a row for each of {trees.nodes} nodes, not {found}")
    total = _loss(rows[trees.roots.to(rows.device)], loss, seed)
    if not total.requires_grad:
        raise DataError(
            "gradient by depth: loss must depend on the layer, and no gradient leads back from what it gave"
        )
    by_node = tap.gradients(total)
    norms = {state: torch.linalg.vector_norm(values.double(), dim=-1).cpu() for state, values in by_node.items()}
    return DepthFlow(trees, _places(chosen), norms)


def _loss(rows: Tensor, loss: Callable[[Tensor], Tensor] | None, seed: int) -> Tensor:
    if loss is None:
        random = torch.Generator().manual_seed(seed)
        direction = torch.randn(rows.shape, generator=random, dtype=torch.float64).flatten(1)
        direction = direction / torch.linalg.vector_norm(direction, dim=1, keepdim=True)
        return (rows.flatten(1) * direction.to(rows)).sum()
    values = loss(rows)
    if not isinstance(values, Tensor) or values.shape != (len(rows),):
        found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise DataError(f"gradient by depth: loss must give one number for each of {len(rows)} roots, not {found}")
    return values.sum()


def _find(module: Any, layer: Recursive | str | None) -> Recursive:
    if isinstance(layer, Recursive):
        return layer
    named = module.named_modules() if isinstance(module, nn.Module) else ()
    held = {name: part for name, part in named if isinstance(part, Recursive)}
    if layer is not None and layer in held:
        return held[layer]
    names = " and ".join(map(repr, held)) or "none"
    if layer is not None or len(held) != 1:
        raise DataError(
            f"{type(module).__name__} must have one layer over trees, a carousel.Recursive, or layer= must name one of "
            f"several; it has {names}"
        )
    return next(iter(held.values()))


def _called(module: Callable[..., Any], inputs: tuple[Any, ...], layer: Recursive) -> tuple[Trees, Any]:
    """Calls the module. Returns the trees that the layer was given, and what the module gave."""
    given = list[Trees]()

    def before(_layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given.append(args[1] if len(args) > 1 else kwargs["trees"])

    hook = layer.register_forward_pre_hook(before, with_kwargs=True)
    try:
        with evaluating(module, layer):
            answer = module(*inputs)
    finally:
        hook.remove()
    if len(given) != 1:
        raise DataError(f"The layer must be called once in a forward pass to be measured, but was {len(given)} times.")
    if not given[0].nodes:
        raise DataError("There must be a node to look at, but the layer was given trees of none.")
    return given[0], answer


def _places(layer: Recursive) -> tuple[str, ...]:
    return tuple(f"layer {suffix.removeprefix('_l').replace('_', ' ')}" for suffix in layer.suffixes())


def _known(values: dict[str, Tensor], state: str | None, places: tuple[str, ...], place: int) -> str:
    state = state or next(iter(values))
    if state not in values or not is_index(place) or not -len(places) <= place < len(places):
        raise DataError(
            f"There is no state {state!r} at place {place}: there are the states {', '.join(values)} and the places "
            f"{', '.join(f'{i} ({name})' for i, name in enumerate(places))}."
        )
    return state
