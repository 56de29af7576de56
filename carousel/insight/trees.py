"""What a recursive network does over trees: its states at every node, and how deep its gradients reach."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
    trees, found = _called(module, inputs, chosen, lambda states: states)
    return NodeStates(trees, _places(chosen), _by_node(chosen, trees, found))


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
    chosen, leaves = _find(module, layer), list[tuple[Tensor, ...]]()

    def tap(states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        # Adding zeros changes nothing, and their gradient is that of the state with the others of its node fixed.
        leaves.append(tuple(torch.zeros_like(state).requires_grad_() for state in states))
        return tuple(state + zeros for state, zeros in zip(states, leaves[-1], strict=True))

    result = list[Any]()
    trees, _ = _called(module, inputs, chosen, tap, result)
    rows = result[0][0] if isinstance(result[0], tuple) else result[0]
    if not isinstance(rows, Tensor) or rows.dim() < 1 or len(rows) != trees.nodes:
        found = tuple(rows.shape) if isinstance(rows, Tensor) else type(rows).__name__
        raise DataError(f"gradient by depth: the module must give a row for each of {trees.nodes} nodes, not {found}")
    total = _loss(rows[trees.roots.to(rows.device)], loss, seed)
    if not total.requires_grad:
        raise DataError(
            "gradient by depth: loss must depend on the layer, and no gradient leads back from what it gave"
        )
    every = [leaf for of_level in leaves for leaf in of_level]
    gradients = iter(torch.autograd.grad(total, every, allow_unused=True))
    found_by_level = [
        tuple(torch.zeros_like(leaf) if (g := next(gradients)) is None else g for leaf in of_level)
        for of_level in leaves
    ]
    by_node = _by_node(chosen, trees, found_by_level)
    norms = {state: torch.linalg.vector_norm(values.double(), dim=-1) for state, values in by_node.items()}
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


@contextmanager
def _tapped(layer: Recursive, tap: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]]) -> Iterator[None]:
    before = layer._tap
    layer._tap = tap
    try:
        yield
    finally:
        layer._tap = before


def _called(
    module: Callable[..., Any],
    inputs: tuple[Any, ...],
    layer: Recursive,
    tap: Callable[[tuple[Tensor, ...]], tuple[Tensor, ...]],
    result: list[Any] | None = None,
) -> tuple[Trees, list[tuple[Tensor, ...]]]:
    """Calls the module with a tap on the layer. Returns the trees that the layer was given, and the states of every
    level of every scan, in turn; what the module gave is put into `result`."""
    given, levels = list[Trees](), list[tuple[Tensor, ...]]()

    def before(_layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given.append(args[1] if len(args) > 1 else kwargs["trees"])

    def passed_on(states: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        states = tap(states)
        levels.append(states)
        return states

    hook = layer.register_forward_pre_hook(before, with_kwargs=True)
    try:
        with evaluating(module, layer), _tapped(layer, passed_on):
            answer = module(*inputs)
    finally:
        hook.remove()
    if len(given) != 1:
        raise DataError(f"The layer must be called once in a forward pass to be measured, but was {len(given)} times.")
    if not given[0].nodes:
        raise DataError("There must be a node to look at, but the layer was given trees of none.")
    if result is not None:
        result.append(answer)
    return given[0], levels


def _by_node(layer: Recursive, trees: Trees, levels: list[tuple[Tensor, ...]]) -> dict[str, Tensor]:
    """What was found of every level of every scan, by state: (P, N, size), nodes as the trees number them."""
    names, found = tuple(layer.program.states), list[tuple[Tensor, ...]]()
    for suffix in layer.suffixes():
        downwards = layer.direction == "down" or suffix.endswith("_reverse")
        _, place, order = trees.order(downwards)
        own, levels = levels[: len(order.sizes)], levels[len(order.sizes) :]
        joined = tuple(torch.cat(each) for each in zip(*own, strict=True))
        found.append(tuple(each[place.to(each.device)].detach() for each in joined))
    return {name: torch.stack(each).cpu() for name, each in zip(names, zip(*found, strict=True), strict=True)}


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
