"""How far back a network learns: the gradient of a loss by the states of earlier steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from carousel.deprecation import warn_renamed
from carousel.errors import DataError
from carousel.insight.border import check_values, is_index, steps_named
from carousel.insight.decay import FEWEST_LAGS, Decay, MemoryLength, fit_decay, geometric_mean, memory_length_of
from carousel.insight.observation import Observation, observe, places, with_gradients
from carousel.insight.refusal import TooShort
from carousel.insight.shown import Shown
from carousel.layers import Recurrent

ORIGINS = 16  # steps whose losses are followed back, by default


@dataclass(frozen=True)
class GradientFlow(Shown):
    """|dL_t / ds_{t-k}| for A steps t, B sequences and lags k = 1 to K, for each scan and each state s of it.

    places: the P scans, "layer 0", "layer 0 reverse", ... in the order of hx. states: h, c, ...
    at: (A, B) the steps t; -1 where a row has no such step.
    norms: by state (P, A, B, K), Euclidean over the units; NaN where a sequence is not that long, infinite where the
        gradient overflows. In a reverse direction the lag counts towards the end: there s_{t+k} is what came before.
    arriving: (A, B), |dL_t / dy_t|, the gradient that reaches the layer's output y at step t, and the last states that
        the layer returns where it was step t that made them. read: of each scan, whether any of it arrives there.
    """

    places: tuple[str, ...]
    states: tuple[str, ...]
    at: Tensor
    norms: dict[str, Tensor]
    arriving: Tensor
    read: tuple[bool, ...]

    @property
    def lags(self) -> Tensor:
        """(K), 1 to K, in steps."""
        return torch.arange(1, next(iter(self.norms.values())).shape[-1] + 1)

    def samples(self, state: str | None = None, place: int | None = None, *, relative: bool = True) -> Tensor:
        """(A, B, K), the norms of one state of one scan; `relative` to what arrives, so that losses may differ.

        place: which scan. Default: the last, unless a loss reads that direction at its very beginning alone, as a loss
        of y[-1] does the reverse direction: then the last one in the other direction.
        Raises DataError for a state or a place that there is not.
        """
        state, place = state or self.states[0], self.default_place if place is None else place
        if state not in self.norms or not is_index(place) or not -len(self.places) <= place < len(self.places):
            raise DataError(
                f"There is no state {state!r} at place {place}: there are the states {', '.join(self.states)} "
                f"and the places {', '.join(f'{i} ({name})' for i, name in enumerate(self.places))}."
            )
        norms = self.norms[state][place]
        if not relative:
            return norms
        # A loss that does not read its own step's output says nothing of how much is left of it.
        return norms / torch.where(self.arriving > 0, self.arriving, torch.nan)[..., None]

    @property
    def default_place(self) -> int:
        """See `samples`: -1 or, where it is the other direction, -2."""
        top = self.places[-1].removesuffix(" reverse")
        both = [place for place, name in enumerate(self.places) if name.removesuffix(" reverse") == top]
        measured = [p for p in both if self.read[p] and self._followed(p) >= FEWEST_LAGS]
        return (measured or both)[-1] - len(self.places)

    def _followed(self, place: int) -> int:
        """How many lags there are of a scan."""
        return int((~self.norms[self.states[0]][place].isnan()).any(0).any(0).sum())

    def by_lag(self, state: str | None = None, place: int | None = None, *, relative: bool = True) -> Tensor:
        """(K), the typical norm at each lag: the geometric mean over steps and sequences; zeros are left out."""
        return geometric_mean(self.samples(state, place, relative=relative))[0]

    def decay(
        self, state: str | None = None, place: int | None = None, *, confidence: float = 0.95, seed: int = 0
    ) -> Decay:
        """The factor a step, with its interval; see `Decay`. Raises TooShort with fewer than 4 lags or 4 samples."""
        samples, what = self.samples(state, place), self._what(state, place)
        place = self.default_place if place is None else place
        if not self.read[place]:
            nowhere = (
                "The loss of a step is followed from that step's output, and where it reads others, or nothing, it has "
                "nothing to say. Let loss= give one number for each sequence."
            )
            elsewhere = "Look at another place." if any(self.read) else nowhere
            raise TooShort(
                f"{what}: a factor a step needs lags at which gradients are above 0, and nothing of the loss arrives "
                f"at this scan. {elsewhere}",
                needed=FEWEST_LAGS,
            )
        lags = self._followed(place)
        if lags < FEWEST_LAGS <= len(self.lags):
            raise TooShort(
                f"{what}: the loss reads this scan at its first steps alone, which have {lags} state"
                f"{'' if lags == 1 else 's'} before them, and a factor a step needs at least {FEWEST_LAGS}. Follow a "
                f"loss of later steps, or look at another place.",
                needed=FEWEST_LAGS,
            )
        return fit_decay(samples, what=what, confidence=confidence, seed=seed)

    def memory_length(
        self, state: str | None = None, place: int | None = None, *, confidence: float = 0.95, seed: int = 0
    ) -> MemoryLength:
        """How far back the network remembers: -1 / ln(factor) steps, with its interval; see `MemoryLength`.

        Raises TooShort where the lags span less than two memory lengths; its message says how many lags are needed.
        """
        decay = self.decay(state, place, confidence=confidence, seed=seed)
        return memory_length_of(decay, what=self._what(state, place))

    def horizon(self, *arguments: Any, **options: Any) -> MemoryLength:
        """The former name of `memory_length`: a horizon is how many steps are forecast."""
        warn_renamed("GradientFlow.horizon", "GradientFlow.memory_length")
        return self.memory_length(*arguments, **options)

    def _what(self, state: str | None, place: int | None) -> str:
        return (
            f"gradient flow of {state or self.states[0]}, {self.places[self.default_place if place is None else place]}"
        )


@with_gradients
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
        (B, T); or to one for each sequence, (B), which is split by the steps at which it reaches the layer, whatever
        the head reads: L_t = dL/dy_t · y_t, with dL/ds · s of the last states s that step t made; see `_split`.
        None: L_t = v . y_t, with a random direction v of length 1 for each step and sequence, from `seed`; its norms
        are those of the Jacobian dy_t / dh_{t-k} applied to it, and the same before and after training.
    at: the steps t. Default: 16 of them, spread over those that have all lags before them; of a loss of sequences over
        those at which it arrives.
    lags: how many. Default: half of the steps, one at least.

    The gradient is by the state that the next step reads, with the other states of that step held: c's own path and
    h's are apart, and a layer's state counts as its own recurrence reads it, not as the layer above does. Costs one
    forward pass and a backward pass for each t; runs under no_grad and inference_mode as well.

    Raises DataError where the module has no such layer, or its loss has another shape;
    NotFinite for NaN and infinity in the data, the parameters, the layer's output and the loss.
    Sources: Hochreiter (1991); Bengio, Simard & Frasconi, IEEE Transactions on Neural Networks 5 (1994); Pascanu,
    Mikolov & Bengio (arXiv:1211.5063, 2013).
    """
    if lags is not None and lags < 1:
        raise DataError(f"lags must be 1 or more, not {lags}.")
    seen = observe(module, inputs, call, layer, gradients=True)
    steps, batch = seen.timeline.real.shape
    count = max(1, steps // 2) if lags is None else lags
    losses = _losses(seen, loss, seed)
    if losses.dim() == 1:
        losses, arriving = _split(seen, losses)
        spread = _spread_in_rows(seen, arriving.sum(0), count)
    else:
        arriving = None
        spread = _spread(seen, count).expand(-1, batch)
    origins = spread if at is None else torch.tensor(steps_named("at", at, steps))[:, None].expand(-1, batch)
    there = (origins >= 0) & seen.timeline.real[origins.clamp(min=0), torch.arange(batch)]
    origins = torch.where(there, origins, -1)
    if not there.any():
        raise DataError("Gradient flow: none of the steps chosen with at= is a real step of any sequence.")

    rows, found, directions = torch.arange(batch), [], 2 if seen.layer.bidirectional else 1
    norms: dict[str, list[Tensor]] = {state: [] for state in seen.layer.program.states}
    reverse = [name.endswith("reverse") for name in places(seen.layer)]
    for at_step in origins:
        picked = at_step.clamp(min=0)
        total = torch.where((at_step >= 0).to(losses.device), losses[picked, rows], 0.0).sum()
        # Where each lag's state is read: lag 1 at the step itself, lag 2 at the one before it, ...
        reading = {later: seen.timeline.neighbours(at_step[None], count, later=later)[0] for later in set(reverse)}
        for state, gradient in seen.by_states(total).items():
            # In float64, where the square of a small gradient is not 0.
            sizes = torch.linalg.vector_norm(gradient.double(), dim=-1).cpu()  # (P, T, B)
            norms[state].append(torch.stack([_read(s, reading[r]) for s, r in zip(sizes, reverse, strict=True)]))
        shown = _arriving(seen, *seen.by_results(total)) if arriving is None else arriving  # (P, T, B)
        found.append(torch.where(at_step >= 0, shown[:, picked, rows], torch.nan))
    by_scan = torch.stack(found, 1)  # (P, A, B)
    reaching = torch.linalg.vector_norm(by_scan, dim=0)
    # A layer is read by those above it, too.
    read = [bool((by_scan[place - place % directions :] > 0).any()) for place in range(len(by_scan))]
    read[-directions:] = [bool((scan > 0).any()) for scan in by_scan[-directions:]]
    joined = {state: torch.stack(of, 1) for state, of in norms.items()}
    return GradientFlow(places(seen.layer), tuple(norms), origins, joined, reaching, tuple(read))


def _split(seen: Observation, losses: Tensor) -> tuple[Tensor, Tensor]:
    """Losses of sequences, (B), as losses of steps, (T, B), and how much of them arrives at each scan there, (P, T, B).

    However a head reads the layer (the last step, the last states, the mean, an attention), what it does to the loss
    to first order is the gradient by the layer's outputs and last states. L_t is the part of step t of it,

        L_t = dL/dy_t · y_t, and dL/ds · s for the last states s that were made at t,     the gradient held constant,

    and so has the same gradients by what was before as the loss has by way of step t.
    """
    by_output, by_finals = seen.by_results(losses.sum())
    output = seen.time_first(seen.output[None])[0]
    finals = [final.reshape(by_final.shape) * by_final for final, by_final in zip(seen.finals, by_finals, strict=True)]
    return _by_scan(seen, by_output * output, finals).sum(0), _arriving(seen, by_output, by_finals)


def _arriving(seen: Observation, by_output: Tensor, by_finals: tuple[Tensor, ...]) -> Tensor:
    """(P, T, B), the length of what arrives at each step of a scan: at its output, and at the last states it made."""
    squares = [by_final.double().square() for by_final in by_finals]
    return _by_scan(seen, by_output.double().square(), squares).sqrt().cpu()


def _by_scan(seen: Observation, of_output: Tensor, of_finals: list[Tensor]) -> Tensor:
    """(P, T, B), sums over units: of the output, (T, B, D * H), at the last layer, and of last states, (P, B, size)
    each, at the step that made them."""
    scans, batch = len(places(seen.layer)), seen.timeline.batch
    top = [half.sum(-1) for half in of_output.chunk(2 if seen.layer.bidirectional else 1, -1)]
    found = torch.stack([torch.zeros_like(top[0])] * (scans - len(top)) + top)
    made = seen.made_at().to(found.device)
    scan, row = torch.arange(scans, device=found.device)[:, None], torch.arange(batch, device=found.device)
    for of_final in of_finals:
        value = torch.where(made >= 0, of_final.reshape(scans, batch, -1).sum(-1), 0.0)
        found = found.index_put((scan, made.clamp(min=0), row), value, accumulate=True)
    return found


def _losses(seen: Observation, loss: Callable[[Tensor], Tensor] | None, seed: int) -> Tensor:
    """(T, B) losses of steps, or (B) of sequences."""
    if loss is None:
        scores = seen.scores()
        random = torch.Generator().manual_seed(seed)
        direction = torch.randn(scores.shape, generator=random, dtype=torch.float64)
        direction = direction / torch.linalg.vector_norm(direction, dim=-1, keepdim=True)
        values = (scores * direction.to(scores)).sum(-1)
    else:
        values = loss(seen.result_tensor())
    return per_step(seen, values, "loss must give" if loss else "the module's output must hold, for this,")


def per_step(seen: Observation, values: Any, what: str) -> Tensor:
    """Numbers laid out as the layer's input, as (T, B); of sequences, (B), as they are.

    what: begins the message of the DataError for another shape, for values that gradients do not reach the layer from,
    and for steps and sequences that stand the other way round. NotFinite: for NaN at a real step.
    """
    steps, batch = seen.timeline.real.shape
    if not isinstance(values, Tensor) or not (
        values.shape == seen.laid_out or values.shape == (batch,) or (values.dim() == 0 and batch == 1)
    ):
        found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise DataError(
            f"{what} {seen.laid_out} numbers, one for each step and sequence, or {(batch,)}, laid out "
            f"as the layer's input, but gave {found}."
        )
    if not values.requires_grad:
        raise DataError(
            f"{what} numbers that depend on the layer, but no gradient leads back from what it gave: nothing on the "
            f"way may detach it, round it or take it out of torch."
        )
    if values.shape == seen.laid_out:
        values = seen.time_first(values[None, ..., None])[0, ..., 0]
        if steps == batch > 1:  # the shape alone says nothing then
            _check_way(seen, values, what)
    else:
        values = values.reshape(batch)
    check_values(what.split()[0], values.detach(), seen.timeline.real)
    return values


def _check_way(seen: Observation, values: Tensor, what: str) -> None:
    """Raises DataError where (T, B) numbers are (B, T) in truth: those of one row depend on another row alone."""
    reached = seen.by_input(values[-1, 0]).abs().sum((0, 2))
    if reached[0] == 0 and reached[1:].any():
        raise DataError(
            f"{what} numbers laid out as the layer's input, with its steps and its sequences along the same "
            f"dimensions, but it gave them the other way round: number {[len(values) - 1, 0]} of steps and sequences "
            f"depends on another sequence. Transpose it."
        )


def _spread(seen: Observation, count: int) -> Tensor:
    """(A, 1) steps: spread over those that have `count` steps before them or, of both directions, over all."""
    steps = seen.timeline.steps
    first = 0 if seen.layer.bidirectional else min(count, steps) - 1
    return torch.linspace(first, steps - 1, min(ORIGINS, steps - first)).round().long().unique()[:, None]


def _spread_in_rows(seen: Observation, arriving: Tensor, count: int) -> Tensor:
    """(A, B) steps, of each row up to 16 of those at which something arrives, spread as above; -1 for none.

    Where none of them has all lags before it, they are taken from all.
    """
    steps, batch = arriving.shape
    there = (arriving > 0) & seen.timeline.real
    there = there if there.any() else seen.timeline.real  # zeros, then, of which the measures say so
    if not seen.layer.bidirectional:
        every = torch.arange(steps)[:, None].expand(-1, batch)
        late = seen.timeline.neighbours(every, min(count, steps))[..., -1] >= 0
        there = torch.where((there & late).any(0), there & late, there)
    chosen = torch.full((ORIGINS, batch), -1)
    for row in range(batch):
        found = there[:, row].nonzero()[:, 0]
        if len(found):
            picked = found[torch.linspace(0, len(found) - 1, min(ORIGINS, len(found))).round().long()]
            chosen[: len(picked), row] = picked
    return chosen[: max(1, int((chosen >= 0).sum(0).max()))]


def _read(sizes: Tensor, where: Tensor) -> Tensor:
    """(T, B) at (B, K) steps -> (B, K), NaN where there is no such step, infinite where the gradient has overflowed."""
    found = sizes.t().gather(1, where.clamp(min=0))
    found = torch.where(found.isnan(), torch.inf, found)  # what goes in is finite: so it is of infinities
    return torch.where(where >= 0, found, torch.nan)
