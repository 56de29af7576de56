"""Regularisers of a scan. Their masks are drawn here, with torch's generator: the same seed, the same on every engine.

Each is off in evaluation, but for zoneout, which then takes the mean of its two cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from carousel.engines.inside_torch import is_compiled, same_at_every_call
from carousel.program import Interface, Program, naming, rewrite
from carousel.program.keeping import candidates
from carousel.program.sharing import LOCK


@dataclass(frozen=True)
class Regularizers:
    """zoneout: for each state the probability that a unit keeps its old value for a step (Krueger et al. 2017).
    recurrent_dropout: of a unit of the row that U multiplies, one mask a sequence (Gal & Ghahramani 2016).
    candidate_dropout: of a unit of the candidate that a step writes into its memory, g in f * c + i * g, whatever it is
        called, a mask a step (Semeniuta, Severyn & Barth, arXiv:1603.05118, 2016).
    input_dropout: of an element of each layer's input, one mask a sequence (Gal & Ghahramani 2016).
    weight_drop: of an element of weight_hh, one mask a scan (Merity et al., arXiv:1708.02182, 2018).
    """

    zoneout: Mapping[str, float]
    recurrent_dropout: float
    candidate_dropout: float
    input_dropout: float
    weight_drop: float

    @classmethod
    def checked(
        cls,
        program: Interface,
        zoneout: float | Mapping[str, float],
        recurrent_dropout: float,
        candidate_dropout: float,
        input_dropout: float,
        weight_drop: float,
    ) -> Regularizers:
        """Raises ValueError unless all are probabilities, of states that the cell has."""
        given = zoneout, recurrent_dropout, candidate_dropout, input_dropout, weight_drop
        if given == OFF_AS_GIVEN and bool not in map(type, given):  # as nearly always, and at every call of a layer
            return OFF
        by_state = dict(zoneout) if isinstance(zoneout, Mapping) else dict.fromkeys(program.states, zoneout)
        if unknown := set(by_state) - set(program.states):
            raise ValueError(
                f"zoneout is for the states {', '.join(program.states)} of {program.cell}; "
                f"it has no state {sorted(unknown)[0]!r}"
            )
        named = {f"zoneout of {state}": p for state, p in by_state.items()}
        named |= {"recurrent_dropout": recurrent_dropout, "candidate_dropout": candidate_dropout}
        named |= {"input_dropout": input_dropout, "weight_drop": weight_drop}
        for name, p in named.items():
            if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p <= 1:
                raise ValueError(f"{name} must be a probability, from 0 to 1, but {p!r} was given")
        by_state = {state: p for state, p in by_state.items() if p > 0}
        if (by_state or recurrent_dropout or candidate_dropout) and not isinstance(program, Program):
            raise ValueError(
                "zoneout, recurrent_dropout and candidate_dropout rewrite the cell's program, and this cell's step "
                "runs as plain Python"
            )
        if candidate_dropout and isinstance(program, Program) and not candidates(program):
            raise ValueError(
                f"candidate_dropout drops what a step writes into a state of which it keeps a share, as g in "
                f"f * c + i * g, and {program.cell} has no such value; use recurrent_dropout"
            )
        of_u = {"recurrent_dropout": recurrent_dropout, "weight_drop": weight_drop}
        if (dropping := [name for name, p in of_u.items() if p]) and not program.recurrents:
            raise ValueError(
                f"{dropping[0]} is for cells whose gates multiply the state by U, and no gate of {program.cell} does; "
                "use zoneout or input_dropout"
            )
        return cls(by_state, recurrent_dropout, candidate_dropout, input_dropout, weight_drop)

    def rewritten(
        self, program: Interface, training: bool, modified: tuple[str, ...] = (), names: tuple[str, ...] = ()
    ) -> Interface:
        """The program of a scan: the cell's own where nothing is to be added to it.

        modified: the states that keep and add change; names: what is recorded.
        """
        if not isinstance(program, Program):
            return program
        drops = {"candidate": self.candidate_dropout, "recurrent": self.recurrent_dropout} if training else {}
        asked = tuple(kind for kind, p in drops.items() if p), tuple(self.zoneout), modified, names
        if not any(asked):
            return program
        if not is_compiled():
            return _rewritten(program, *asked)
        name = _kept_for_compilers(program, *asked)
        rewritten: Program = getattr(_for_compilers, name)
        return rewritten

    def streams(self, sizes: Mapping[str, int], x: Tensor, training: bool, hidden: int = 0) -> dict[str, Tensor]:
        """What is drawn for every step. sizes: units by state, hidden: of a gate; x: rows.

        For zoneout 1 where the old value is kept; for candidate dropout 0 where a unit is dropped, else 1 / (1 - p).
        """
        drawn = {}
        if self.candidate_dropout and training:
            drawn[naming.CANDIDATE_MASK] = F.dropout(x.new_ones(x.shape[0], hidden), self.candidate_dropout)
        for state, p in self.zoneout.items():
            zone = x.new_empty(x.shape[0], sizes[state])
            drawn[naming.zone(state)] = zone.bernoulli_(p) if training else zone.fill_(p)
        return drawn

    def masks(self, output: Tensor, training: bool) -> tuple[Tensor, ...]:
        """The states that recurrent dropout adds, like the output state's first value."""
        if not (self.recurrent_dropout and training):
            return ()
        return (F.dropout(torch.ones_like(output), self.recurrent_dropout),)

    def of_input(self, x: Tensor, sequences: Callable[[], tuple[Tensor, int]], training: bool) -> Tensor:
        """The rows of all steps, with one mask for each sequence. sequences: each row's, and how many there are."""
        if not (self.input_dropout and training):
            return x
        which, count = sequences()
        masks = F.dropout(x.new_ones(count, x.shape[1]), self.input_dropout)
        return x * masks.index_select(0, which)

    def of_weights(self, weights: dict[str, Tensor], training: bool) -> dict[str, Tensor]:
        """The parameters of a scan, U with elements dropped."""
        if not (self.weight_drop and training):
            return weights
        return weights | {naming.U: F.dropout(weights[naming.U], self.weight_drop)}


OFF_AS_GIVEN = (0.0, 0.0, 0.0, 0.0, 0.0)
OFF = Regularizers({}, 0.0, 0.0, 0.0, 0.0)


def _rewritten(
    program: Program,
    drops: tuple[str, ...],
    zoned: tuple[str, ...],
    modified: tuple[str, ...],
    names: tuple[str, ...],
) -> Program:
    derived = tuple(name for name in names if rewrite.stands_for(program, name) is None)
    if derived:  # now, while the equations are the cell's own
        program = rewrite.record(program, derived)
    if "candidate" in drops:
        program = rewrite.candidate_dropout(program)
    if zoned:
        program = rewrite.zoneout(program, zoned)
    if "recurrent" in drops:
        program = rewrite.recurrent_dropout(program)
    if modified:
        program = rewrite.modify(program, modified)
    return rewrite.record(program, names) if names else program


# A compiler need not look at how programs are made, but must find each where it can look again later, to see that it
# is still the same: so what it takes for granted is a name here. Layers of equal cells share theirs, and so one graph.
_for_compilers = SimpleNamespace()


@same_at_every_call
def _kept_for_compilers(program: Program, *asked: Any) -> str:
    rewritten, known = _rewritten(program, *asked), vars(_for_compilers)
    with LOCK:  # two threads must not give two programs one name
        name = next((name for name, other in known.items() if other is rewritten), f"program_{len(known)}")
        setattr(_for_compilers, name, rewritten)
    return name
