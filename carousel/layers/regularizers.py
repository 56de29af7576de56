"""Regularisers of a scan. torch's generator draws their masks here, so that a seed gives the same on every engine.

Each is a class with its option of a layer, the source of its equations, and its changes of a scan. In evaluation all
are off except zoneout, which then takes the mean of its two cases.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from carousel.layers.add_ins import AddIn, Rewriting, Rows, Sequences, States, Streams
from carousel.program import Interface, Program, naming
from carousel.program.keeping import candidates


class Regularizer(AddIn):
    """The base of regularisers, which draw new masks with probability p for every call.

    option: the layer's argument and attribute that turns it on. in_evaluation: whether it is on in evaluation too.
    needs_program: whether it rewrites the cell's program, which an untraced step does not have.
    """

    option: ClassVar[str]
    in_evaluation: ClassVar[bool] = False
    needs_program: ClassVar[bool] = False

    def __init__(self, program: Interface, p: Any, training: bool):
        """Raises ValueError if p is no probability, or if the regulariser does not fit the program."""
        self.p, self.training = self.checked(program, p), training
        if self.p and self.needs_program and not isinstance(program, Program):
            raise ValueError(
                f"{self.option} rewrites the cell's program, and the step of {program.cell} runs as plain Python"
            )

    def checked(self, program: Interface, p: Any) -> Any:
        del program
        return check_probability(self.option, p)

    @property
    def is_on(self) -> bool:
        return bool(self.p) and (self.training or self.in_evaluation)


def check_probability(name: str, p: Any) -> float:
    """Raises ValueError unless p is a number from 0 to 1."""
    if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
        raise ValueError(f"{name} must be a probability, from 0 to 1, but {p!r} was given")
    return p


def check_recurrent(name: str, program: Interface, p: float) -> float:
    """Raises ValueError for what is no probability, and for a cell without the matrix U, which the option needs."""
    if check_probability(name, p) and not program.recurrents:
        raise ValueError(
            f"{name} is for cells whose gates multiply the state by U, and no gate of {program.cell} does; "
            "use zoneout or input_dropout"
        )
    return p


class CandidateDropout(Regularizer):
    """Drops units of the candidate that a step writes into a state, g in f * c + i * g, with a new mask at each step.

    Source: Semeniuta, Severyn & Barth (arXiv:1603.05118, 2016). The name of the candidate does not matter.
    """

    option, needs_program = "candidate_dropout", True

    def checked(self, program: Interface, p: Any) -> Any:
        p = super().checked(program, p)
        if p and isinstance(program, Program) and not candidates(program):
            raise ValueError(
                f"candidate_dropout drops what a step writes into a state of which it keeps a share, as g in "
                f"f * c + i * g, and {program.cell} has no such value; use recurrent_dropout"
            )
        return p

    def rewritings(self) -> tuple[Rewriting, ...]:
        return (Rewriting("candidate_dropout"),)

    def streams(self, streams: Streams, of: Rows) -> Streams:
        """Adds drop_candidate: 0 where a unit is dropped, else 1 / (1 - p)."""
        ones = of.rows.new_ones(len(of.rows), of.hidden)
        return streams | {naming.CANDIDATE_MASK: F.dropout(ones, self.p)}


class Zoneout(Regularizer):
    """Lets each unit of a state keep its old value for a step, at random (Krueger et al., arXiv:1606.01305, 2017).

    p: the probability for each state.
    """

    option, in_evaluation, needs_program = "zoneout", True, True

    def checked(self, program: Interface, p: Any) -> Any:
        by_state = zoneout_by_state(program, p)
        if by_state and program.children is not None:
            raise ValueError(
                f"zoneout keeps the old value of a state, and a node of {program.cell} goes on from several, of which "
                "none is the old one; use recurrent_dropout or candidate_dropout"
            )
        return by_state

    def rewritings(self) -> tuple[Rewriting, ...]:
        return (Rewriting("zoneout", tuple(self.p)),)

    def streams(self, streams: Streams, of: Rows) -> Streams:
        """Adds zone_c: 1 where the old value is kept, else 0; in evaluation the probability."""
        drawn = {}
        for state, p in self.p.items():
            zone = of.rows.new_empty(len(of.rows), of.states[state])
            drawn[naming.zone(state)] = zone.bernoulli_(p) if self.training else zone.fill_(p)
        return streams | drawn


def zoneout_by_state(program: Interface, zoneout: float | Mapping[str, float]) -> dict[str, float]:
    """The probability of zoneout for each state with zoneout. Raises ValueError for an unknown state."""
    given = dict(zoneout) if isinstance(zoneout, Mapping) else dict.fromkeys(program.states, zoneout)
    if unknown := set(given) - set(program.states):
        raise ValueError(
            f"zoneout is for the states {', '.join(program.states)} of {program.cell}; "
            f"it has no state {sorted(unknown)[0]!r}"
        )
    return {state: p for state, p in given.items() if check_probability(f"zoneout of {state}", p) > 0}


class RecurrentDropout(Regularizer):
    """Drops units of the row that U multiplies, with one mask for a whole sequence (Gal & Ghahramani 2016)."""

    option, needs_program = "recurrent_dropout", True

    def checked(self, program: Interface, p: Any) -> Any:
        return check_recurrent(self.option, program, p)

    def rewritings(self) -> tuple[Rewriting, ...]:
        return (Rewriting("recurrent_dropout"),)

    def states(self, first: Tensor) -> States:
        """Adds the mask as a state that no step changes."""
        return (F.dropout(torch.ones_like(first), self.p),)


class RecurrentDropoutOverTrees(Regularizer):
    """The same over trees, with one mask for a whole tree."""

    option, needs_program = "recurrent_dropout", True

    def checked(self, program: Interface, p: Any) -> Any:
        return check_recurrent(self.option, program, p)

    def rewritings(self) -> tuple[Rewriting, ...]:
        return (Rewriting("recurrent_dropout_over_trees"),)

    def streams(self, streams: Streams, of: Rows) -> Streams:
        """Adds drop_h, the mask of a node's tree."""
        (state, units), *_ = of.states.items()
        which, count = of.sequences()
        masks = F.dropout(of.rows.new_ones(count, units), self.p)
        return streams | {naming.mask(state): masks.index_select(0, which)}


class InputDropout(Regularizer):
    """Drops elements of each layer's input, with one mask for a whole sequence or tree (Gal & Ghahramani 2016)."""

    option = "input_dropout"

    def rows(self, rows: Tensor, sequences: Sequences) -> Tensor:
        which, count = sequences()
        masks = F.dropout(rows.new_ones(count, rows.shape[1]), self.p)
        return rows * masks.index_select(0, which)


class WeightDrop(Regularizer):
    """Drops elements of every U, with one mask for a scan (Merity et al., arXiv:1708.02182, 2018)."""

    option = "weight_drop"

    def checked(self, program: Interface, p: Any) -> Any:
        self._of_states = tuple(program.of_fed)  # a node has a U for each child, a step one for each state that is fed
        return check_recurrent(self.option, program, p)

    def weights(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        return weights | {name: F.dropout(weights[name], self.p) for name in self._of_states}


# The order in which programs are rewritten and masks are drawn.
Kinds = tuple[type[Regularizer], ...]
KINDS: Kinds = (CandidateDropout, Zoneout, RecurrentDropout, InputDropout, WeightDrop)
OVER_TREES: Kinds = (CandidateDropout, Zoneout, RecurrentDropoutOverTrees, InputDropout, WeightDrop)
OFF = (0.0,) * len(KINDS)


def chosen(program: Interface, options: Any, training: bool, over_trees: bool = False) -> tuple[AddIn, ...]:
    """The regularisers that are on. options: an object with their options as attributes, which may change between
    calls.

    Raises ValueError for an option that does not fit, even if it is off at the moment.
    """
    kinds = OVER_TREES if over_trees else KINDS
    given = tuple([getattr(options, kind.option) for kind in kinds])
    if given == OFF and bool not in map(type, given):  # the usual case, at every call of a layer
        return ()
    each = [kind(program, p, training) for kind, p in zip(kinds, given, strict=True)]
    return tuple(one for one in each if one.is_on)
