"""How far back a network learns: gradients of a loss with respect to the states of earlier steps."""

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

ORIGINS = 16  # the default number of steps whose losses are followed back


@dataclass(frozen=True)
class GradientFlow(Shown):
    """|dL_t / ds_{t-k}| for A steps t, B sequences and lags k = 1 to K, for each scan and each state s of it.

    places: the P scans, "layer 0", "layer 0 reverse", ... in the order of hx. states: h, c, ...
    at: (A, B) the steps t; -1 where a row has no such step.
    norms: by state (P, A, B, K), Euclidean norms over the units; NaN where a sequence is too short, infinite where the
        gradient overflows. In the reverse direction the lag counts towards the end, and the state is s_{t+k}.
    arriving: (A, B), |dL_t / dy_t|, the norm of the gradient that arrives at the layer's output y at step t, and at the
        last states that the layer returns if step t computed them. read: for each scan, whether a gradient arrives.
    """

    places: tuple[str, ...]
    states: tuple[str, ...]
    at: Tensor
    norms: dict[str, Tensor]
    arriving: Tensor
    read: tuple[bool, ...]

    @property
    def lags(self) -> Tensor:
        """The lags 1 to K in steps, (K)."""
        return torch.arange(1, next(iter(self.norms.values())).shape[-1] + 1)

    def samples(self, state: str | None = None, place: int | None = None, *, relative: bool = True) -> Tensor:
        """The norms of one state of one scan, (A, B, K).

        relative: whether to divide by the norm that arrives, so that different losses are comparable.
        place: the scan. Default: the last scan. If the loss reads only the first step of that scan, as a loss of y[-1]
        does in the reverse direction, the default is the scan of the other direction.
        Raises DataError for an unknown state or place.
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
        # If a loss does not read the output of its own step, its norms have no reference.
        return norms / torch.where(self.arriving > 0, self.arriving, torch.nan)[..., None]

    @property
    def default_place(self) -> int:
        """The default of `samples`: -1, or -2 for the other direction."""
        top = self.places[-1].removesuffix(" reverse")
        both = [place for place, name in enumerate(self.places) if name.removesuffix(" reverse") == top]
        measured = [p for p in both if self.read[p] and self._followed(p) >= FEWEST_LAGS]
        return (measured or both)[-1] - len(self.places)

    def _followed(self, place: int) -> int:
        """The number of lags of a scan that were measured."""
        return int((~self.norms[self.states[0]][place].isnan()).any(0).any(0).sum())

    def by_lag(self, state: str | None = None, place: int | None = None, *, relative: bool = True) -> Tensor:
        """The norm at each lag, (K): its geometric mean over steps and sequences, from which zeros are left out.

        state, place, relative: as for `samples`. Raises DataError for an unknown state or place.
        """
        return geometric_mean(self.samples(state, place, relative=relative))[0]

    def decay(
        self, state: str | None = None, place: int | None = None, *, confidence: float = 0.95, seed: int = 0
    ) -> Decay:
        """The factor by which the norm changes from one lag to the next, with its interval; see `Decay`.

        state, place: as for `samples`. confidence: the level of the interval, between 0 and 1. seed: of the bootstrap,
            which draws steps and sequences.

        Raises TooShort with fewer than 4 lags or 4 samples, and where the loss does not reach this scan; DataError for
        an unknown state or place.
        """
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

        state, place, confidence, seed: as for `decay`, whose errors it raises too.
        Raises TooShort if the lags span less than two memory lengths, and its message says how many lags are needed;
        DataError for an unknown state or place.
        """
        decay = self.decay(state, place, confidence=confidence, seed=seed)
        return memory_length_of(decay, what=self._what(state, place))

    def horizon(self, *arguments: Any, **options: Any) -> MemoryLength:
        """The former name of `memory_length`, which warns. A horizon is the number of steps to forecast.

        arguments, options: those of `memory_length`, whose errors (TooShort, DataError) it raises too.
        """
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
    """Follows losses L_t back in time: |dL_t / dh_{t-k}| by lag k, for each layer and each state.

    module(*inputs, **call) is called once, in evaluation mode. The module is a `Recurrent` or contains one; `layer`
        selects one of several.
    loss: a function from the module's output to one loss for each step and sequence in the layout of the layer's input,
        (T, B) or (B, T); or to one loss for each sequence, (B). The latter is split among the steps at which it reaches
        the layer, whatever the head reads: L_t = dL/dy_t · y_t, plus dL/ds · s for last states s that step t computed;
        see `_split`. None: L_t = v · y_t, with a random direction v of length 1 for each step and sequence, drawn with
        `seed`. Its norms are those of v times the Jacobian dy_t / dh_{t-k}; v is the same before and after training.
    at: the steps t. Default: 16 steps, spread over those with all lags before them; for a loss of sequences, over those
        at which it arrives.
    lags: the number of lags. Default: half of the steps, at least 1.

    The gradient is taken with respect to the state that the next step reads, with the other states of that step fixed.
    So the paths through c and through h are separate, and a state counts as its own recurrence reads it, not as the
    layer above reads it. It costs one forward pass, and one backward pass for each t, and works under no_grad and
    inference_mode too.

    Raises DataError if the module has no such layer, or if its loss has another shape; NotFinite for NaN and infinity
    in the data, the parameters, the layer's output and the loss.
    Sources: Hochreiter (1991); Bengio, Simard & Frasconi, IEEE Transactions on Neural Networks 5 (1994); Pascanu,
    Mikolov & Bengio (arXiv:1211.5063, 2013).
    """
    if lags is not None and lags < 1:
        raise DataError(f"lags must be 1 or more, not {lags}.")
    observation = observe(module, inputs, call, layer, gradients=True)
    steps, batch = observation.timeline.real.shape
    count = max(1, steps // 2) if lags is None else lags
    losses = _losses(observation, loss, seed)
    if losses.dim() == 1:
        losses, arriving = _split(observation, losses)
        spread = _spread_in_rows(observation, arriving.sum(0), count)
    else:
        arriving = None
        spread = _spread(observation, count).expand(-1, batch)
    origins = spread if at is None else torch.tensor(steps_named("at", at, steps))[:, None].expand(-1, batch)
    there = (origins >= 0) & observation.timeline.real[origins.clamp(min=0), torch.arange(batch)]
    origins = torch.where(there, origins, -1)
    if not there.any():
        raise DataError("Gradient flow: none of the steps chosen with at= is a real step of any sequence.")

    rows, found, directions = torch.arange(batch), [], 2 if observation.layer.bidirectional else 1
    norms: dict[str, list[Tensor]] = {state: [] for state in observation.layer.program.states}
    reverse = [name.endswith("reverse") for name in places(observation.layer)]
    for at_step in origins:
        picked = at_step.clamp(min=0)
        total = torch.where((at_step >= 0).to(losses.device), losses[picked, rows], 0.0).sum()
        # The step that reads the state of each lag: lag 1 at step t itself, lag 2 at the step before, ...
        reading = {
            later: observation.timeline.neighbours(at_step[None], count, later=later)[0] for later in set(reverse)
        }
        for state, gradient in observation.by_states(total).items():
            # In float64, so that the square of a small gradient is not 0.
            sizes = torch.linalg.vector_norm(gradient.double(), dim=-1).cpu()  # (P, T, B)
            norms[state].append(torch.stack([_read(s, reading[r]) for s, r in zip(sizes, reverse, strict=True)]))
        shown = _arriving(observation, *observation.by_results(total)) if arriving is None else arriving  # (P, T, B)
        found.append(torch.where(at_step >= 0, shown[:, picked, rows], torch.nan))
    by_scan = torch.stack(found, 1)  # (P, A, B)
    reaching = torch.linalg.vector_norm(by_scan, dim=0)
    # A layer is also read by the layers above it.
    read = [bool((by_scan[place - place % directions :] > 0).any()) for place in range(len(by_scan))]
    read[-directions:] = [bool((scan > 0).any()) for scan in by_scan[-directions:]]
    joined = {state: torch.stack(of, 1) for state, of in norms.items()}
    return GradientFlow(places(observation.layer), tuple(norms), origins, joined, reaching, tuple(read))


def _split(observation: Observation, losses: Tensor) -> tuple[Tensor, Tensor]:
    """Splits losses of sequences, (B), into losses of steps, (T, B). Also returns the norm that arrives at each scan
    and step, (P, T, B).

    However a head reads the layer (the last step, the last states, the mean, an attention), to first order its loss
    depends on the layer by the gradients of the layer's outputs and last states. L_t is the part of step t,

        L_t = dL/dy_t · y_t + dL/ds · s for the last states s that step t computed,     with the gradients held fixed,

    so that L_t has the same gradients with respect to earlier states as the part of L that goes through step t.
    """
    by_output, by_finals = observation.by_results(losses.sum())
    output = observation.time_first(observation.output[None])[0]
    finals = [
        final.reshape(by_final.shape) * by_final for final, by_final in zip(observation.finals, by_finals, strict=True)
    ]
    return _by_scan(observation, by_output * output, finals).sum(0), _arriving(observation, by_output, by_finals)


def _arriving(observation: Observation, by_output: Tensor, by_finals: tuple[Tensor, ...]) -> Tensor:
    """The norm of the gradients that arrive at each step of each scan, (P, T, B), at its output and its last states."""
    squares = [by_final.double().square() for by_final in by_finals]
    return _by_scan(observation, by_output.double().square(), squares).sqrt().cpu()


def _by_scan(observation: Observation, of_output: Tensor, of_finals: list[Tensor]) -> Tensor:
    """Sums over units, (P, T, B): of values of the output, (T, B, D * H), in the last layer, and of values of last
    states, (P, B, size) each, at the step that computed them."""
    scans, batch = len(places(observation.layer)), observation.timeline.batch
    top = [half.sum(-1) for half in of_output.chunk(2 if observation.layer.bidirectional else 1, -1)]
    found = torch.stack([torch.zeros_like(top[0])] * (scans - len(top)) + top)
    made = observation.made_at().to(found.device)
    scan, row = torch.arange(scans, device=found.device)[:, None], torch.arange(batch, device=found.device)
    for of_final in of_finals:
        value = torch.where(made >= 0, of_final.reshape(scans, batch, -1).sum(-1), 0.0)
        found = found.index_put((scan, made.clamp(min=0), row), value, accumulate=True)
    return found


def _losses(observation: Observation, loss: Callable[[Tensor], Tensor] | None, seed: int) -> Tensor:
    """The losses of steps, (T, B), or of sequences, (B)."""
    if loss is None:
        scores = observation.scores()
        random = torch.Generator().manual_seed(seed)
        direction = torch.randn(scores.shape, generator=random, dtype=torch.float64)
        direction = direction / torch.linalg.vector_norm(direction, dim=-1, keepdim=True)
        values = (scores * direction.to(scores)).sum(-1)
    else:
        values = loss(observation.result_tensor())
    return per_step(observation, values, "loss must give" if loss else "the module's output must hold, for this,")


def per_step(observation: Observation, values: Any, what: str) -> Tensor:
    """Converts numbers in the layout of the layer's input to (T, B). Numbers of sequences, (B), stay as they are.

    Raises DataError for another shape, for values whose gradients do not reach the layer, and for steps and sequences
    in the wrong order; `what` begins the message. Raises NotFinite for NaN at a real step.
    """
    steps, batch = observation.timeline.real.shape
    if not isinstance(values, Tensor) or not (
        values.shape == observation.laid_out or values.shape == (batch,) or (values.dim() == 0 and batch == 1)
    ):
        found = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise DataError(
            f"{what} {observation.laid_out} numbers, one for each step and sequence, or {(batch,)}, laid out "
            f"as the layer's input, but gave {found}."
        )
    if not values.requires_grad:
        raise DataError(
            f"{what} numbers that depend on the layer, but no gradient leads back from what it gave: nothing on the "
            f"way may detach it, round it or take it out of torch."
        )
    if values.shape == observation.laid_out:
        values = observation.time_first(values[None, ..., None])[0, ..., 0]
        if steps == batch > 1:  # the shape does not show which axis is time
            _check_way(observation, values, what)
    else:
        values = values.reshape(batch)
    check_values(what.split()[0], values.detach(), observation.timeline.real)
    return values


def _check_way(observation: Observation, values: Tensor, what: str) -> None:
    """Raises DataError if (T, B) numbers are really (B, T), so that those of one row depend only on another row."""
    reached = observation.by_input(values[-1, 0]).abs().sum((0, 2))
    if reached[0] == 0 and reached[1:].any():
        raise DataError(
            f"{what} numbers laid out as the layer's input, with its steps and its sequences along the same "
            f"dimensions, but it gave them the other way round: number {[len(values) - 1, 0]} of steps and sequences "
            f"depends on another sequence. Transpose it."
        )


def _spread(observation: Observation, count: int) -> Tensor:
    """Steps, (A, 1), spread over those with `count` steps before them; for two directions spread over all."""
    steps = observation.timeline.steps
    first = 0 if observation.layer.bidirectional else min(count, steps) - 1
    return torch.linspace(first, steps - 1, min(ORIGINS, steps - first)).round().long().unique()[:, None]


def _spread_in_rows(observation: Observation, arriving: Tensor, count: int) -> Tensor:
    """Steps, (A, B): up to 16 steps of each row at which a gradient arrives, spread as above; -1 for none.

    If none of them has all lags before it, all of them are candidates.
    """
    steps, batch = arriving.shape
    there = (arriving > 0) & observation.timeline.real
    there = there if there.any() else observation.timeline.real  # all norms are 0 then, and the measures report that
    if not observation.layer.bidirectional:
        every = torch.arange(steps)[:, None].expand(-1, batch)
        late = observation.timeline.neighbours(every, min(count, steps))[..., -1] >= 0
        there = torch.where((there & late).any(0), there & late, there)
    chosen = torch.full((ORIGINS, batch), -1)
    for row in range(batch):
        found = there[:, row].nonzero()[:, 0]
        if len(found):
            picked = found[torch.linspace(0, len(found) - 1, min(ORIGINS, len(found))).round().long()]
            chosen[: len(picked), row] = picked
    return chosen[: max(1, int((chosen >= 0).sum(0).max()))]


def _read(sizes: Tensor, where: Tensor) -> Tensor:
    """Values (T, B) at the steps (B, K) -> (B, K); NaN without such a step, infinite if the gradient overflowed."""
    found = sizes.t().gather(1, where.clamp(min=0))
    found = torch.where(found.isnan(), torch.inf, found)  # the inputs are finite, so a NaN comes from infinities
    return torch.where(where >= 0, found, torch.nan)
