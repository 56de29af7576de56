"""How far back a network learns: the gradient of a loss by the states of earlier steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from carousel.errors import DataError
from carousel.insight.decay import Decay, Horizon, fit_decay, geometric_mean, horizon_of
from carousel.insight.observation import Observation, observe, places
from carousel.layers import Recurrent

ORIGINS = 16  # steps whose losses are followed back, unless told otherwise


@dataclass(frozen=True)
class GradientFlow:
    """|dL_t / ds_{t-k}| for A steps t, B sequences and lags k = 1 to K, for each scan and each state s of it.

    places: the P scans, "layer 0", "layer 0 reverse", ... in the order of hx. states: h, c, ...
    at: (A, B) the steps t; -1 where a row has no such step.
    norms: by state (P, A, B, K), Euclidean over the units; NaN where a sequence is not that long. In a reverse
        direction the lag counts towards the end: there s_{t+k} is what came before.
    arriving: (A, B), |dL_t / dy_t|, the gradient that reaches the layer's output y at step t.
    """

    places: tuple[str, ...]
    states: tuple[str, ...]
    at: Tensor
    norms: dict[str, Tensor]
    arriving: Tensor

    @property
    def lags(self) -> Tensor:
        """(K), 1 to K, in steps."""
        return torch.arange(1, next(iter(self.norms.values())).shape[-1] + 1)

    def samples(self, state: str | None = None, place: int = -1, *, relative: bool = True) -> Tensor:
        """(A, B, K), the norms of one state of one scan; `relative` to what arrives, so that losses may differ.

        Raises DataError for a state or a place that there is not.
        """
        state = state or self.states[0]
        if state not in self.norms or not -len(self.places) <= place < len(self.places):
            raise DataError(
                f"There is no state {state!r} at place {place}: there are the states {', '.join(self.states)} "
                f"and the places {', '.join(f'{i} ({name})' for i, name in enumerate(self.places))}."
            )
        norms = self.norms[state][place]
        if not relative:
            return norms
        # A loss that does not read its own step's output says nothing of how much is left of it.
        return norms / torch.where(self.arriving > 0, self.arriving, torch.nan)[..., None]

    def by_lag(self, state: str | None = None, place: int = -1, *, relative: bool = True) -> Tensor:
        """(K), the typical norm at each lag: the geometric mean over steps and sequences; zeros are left out."""
        return geometric_mean(self.samples(state, place, relative=relative))[0]

    def decay(self, state: str | None = None, place: int = -1, *, confidence: float = 0.95, seed: int = 0) -> Decay:
        """The factor a step, with its interval; see `Decay`. Raises TooShort with fewer than 4 lags or 4 samples."""
        what = self._what(state, place)
        return fit_decay(self.samples(state, place), what=what, confidence=confidence, seed=seed)

    def horizon(self, state: str | None = None, place: int = -1, *, confidence: float = 0.95, seed: int = 0) -> Horizon:
        """The memory horizon -1 / ln(factor), in steps, with its interval.

        Raises TooShort where the lags do not span two horizons: by how much its message says.
        """
        return horizon_of(self.decay(state, place, confidence=confidence, seed=seed), what=self._what(state, place))

    def _what(self, state: str | None, place: int) -> str:
        return f"gradient flow of {state or self.states[0]}, {self.places[place]}"


def gradient_flow(
    module: Callable[..., Any],
    *inputs: Any,
    loss: Callable[[Tensor], Tensor] | None = None,
    at: Sequence[int] | None = None,
    lags: int | None = None,
    layer: Recurrent | str | None = None,
    seed: int = 0,
    **call: Any,
) -> GradientFlow:
    """Follows losses L_t back in time: |dL_t / dh_{t-k}| by lag k, for every layer and state apart.

    module(*inputs, **call) is called once, in evaluation mode: a `Recurrent`, or a module that holds one (`layer` says
        which of several).
    loss: from the module's output to one loss for each step and sequence, laid out as the layer's input: (T, B), or
        (B, T); or to one for each sequence, (B), which is followed back from its last step. None: L_t = v . y_t, with
        a random direction v of length 1 for each step and sequence, from `seed`; its norms are those of the Jacobian
        dy_t / dh_{t-k} applied to it, and the same before and after training.
    at: the steps t. Default: 16 of them, spread over those that have all lags before them.
    lags: how many. Default: half of the steps, one at least.

    The gradient is by the state that the next step reads, with the other states of that step held: c's own path and
    h's are apart, and a layer's state counts as its own recurrence reads it, not as the layer above does. Costs one
    forward pass and a backward pass for each t.

    Raises DataError where the module has no such layer, or its loss has another shape.
    Sources: Hochreiter (1991); Bengio, Simard & Frasconi, IEEE Transactions on Neural Networks 5 (1994); Pascanu,
    Mikolov & Bengio (arXiv:1211.5063, 2013).
    """
    seen = observe(module, inputs, call, layer, gradients=True)
    steps, batch = seen.timeline.real.shape
    count = max(1, steps // 2) if lags is None else lags
    if count < 1:
        raise DataError(f"lags must be 1 or more, not {count}.")
    losses = _losses(seen, loss, seed)
    if losses.dim() == 1:
        origins = seen.timeline.last()[None]
    else:
        origins = _origins(seen, at, count)[:, None].expand(-1, batch)
    there = seen.timeline.real[origins.clamp(min=0), torch.arange(batch)] & (origins >= 0)
    origins = torch.where(there, origins, -1)
    if not there.any():
        raise DataError("Gradient flow: none of the steps chosen with at= is a real step of any sequence.")

    norms: dict[str, list[Tensor]] = {state: [] for state in seen.layer.program.states}
    arriving = []
    reverse = [name.endswith("reverse") for name in places(seen.layer)]
    for at_step in origins:
        picked = torch.where(at_step >= 0, at_step, 0)
        rows = torch.arange(batch)
        values = losses if losses.dim() == 1 else losses[picked.to(losses.device), rows.to(losses.device)]
        total = torch.where((at_step >= 0).to(losses.device), values, 0.0).sum()
        # Where each lag's state is read: lag 1 at the step itself, lag 2 at the one before it, ...
        reading = {later: seen.timeline.neighbours(at_step[None], count, later=later)[0] for later in set(reverse)}
        for state, gradient in seen.by_states(total).items():
            # In float64, where the square of a small gradient is not 0.
            sizes = torch.linalg.vector_norm(gradient.double(), dim=-1).cpu()  # (P, T, B)
            norms[state].append(torch.stack([_read(s, reading[r]) for s, r in zip(sizes, reverse, strict=True)]))
        shown = torch.linalg.vector_norm(seen.by_output(total).double(), dim=-1).cpu()
        arriving.append(torch.where(at_step >= 0, shown[picked, rows], torch.nan))
    return GradientFlow(
        places(seen.layer),
        tuple(norms),
        origins,
        {state: torch.stack(found, 1) for state, found in norms.items()},
        torch.stack(arriving),
    )


def _losses(seen: Observation, loss: Callable[[Tensor], Tensor] | None, seed: int) -> Tensor:
    """(T, B) losses of steps, or (B) of sequences."""
    scores = seen.scores()
    steps, batch = seen.timeline.real.shape
    if loss is None:
        random = torch.Generator().manual_seed(seed)
        direction = torch.randn(scores.shape, generator=random, dtype=torch.float64)
        direction = direction / torch.linalg.vector_norm(direction, dim=-1, keepdim=True)
        values = (scores * direction.to(scores)).sum(-1)
    else:
        values = loss(scores)
    return per_step(
        seen, values, f"loss must give {(steps, batch)} numbers, one for each step and sequence, or {(batch,)}"
    )


def per_step(seen: Observation, values: Any, expected: str) -> Tensor:
    """Numbers laid out as the layer's input, as (T, B); (B) stays as it is. Raises DataError for another shape."""
    batch = seen.timeline.batch
    if isinstance(values, Tensor):
        if values.shape == seen.output.shape[:-1]:
            return seen.time_first(values[None, ..., None])[0, ..., 0]
        if values.shape == (batch,) or (values.dim() == 0 and batch == 1):
            return values.reshape(batch)
    found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
    raise DataError(f"{expected}, laid out as the layer's input, but gave {found}.")


def _origins(seen: Observation, at: Sequence[int] | None, count: int) -> Tensor:
    steps = seen.timeline.steps
    if at is None:
        # Both directions are to have lags: then steps from all over, or else those with every lag before them.
        first = 0 if seen.layer.bidirectional else min(count, steps) - 1
        return torch.linspace(first, steps - 1, min(ORIGINS, steps - first)).round().long().unique()
    chosen = torch.as_tensor(list(at), dtype=torch.long)
    chosen = torch.where(chosen < 0, chosen + steps, chosen)
    if not len(chosen) or (chosen < 0).any() or (chosen >= steps).any():
        raise DataError(f"at= must name steps from 0 to {steps - 1} (or from the end, from -1), but is {list(at)}.")
    return chosen


def _read(sizes: Tensor, where: Tensor) -> Tensor:
    """(T, B) at (B, K) steps -> (B, K), NaN where there is no such step."""
    found = sizes.t().gather(1, where.clamp(min=0))
    return torch.where(where >= 0, found, torch.nan)
