"""A language model that reads typed text, for several open pages.

The states after every step are kept for each page, so that a further character costs one step.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from carousel.page import analysis
from carousel.page.moments import Steps
from carousel.page.packing import plain, steps_record
from carousel.page.readers.language_steps import measure_of, read_steps
from carousel.page.readers.symbols import pieces_of
from carousel.page.readers.typed import require_readable, require_step
from carousel.tasks.language import LanguageModel

SESSIONS = 16  # open pages whose states are kept; the least recently used one is dropped first


@dataclass(frozen=True)
class Session:
    """The text of one page, and the states after each of its steps, (T, L, H) each."""

    ids: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    after: tuple[Tensor, ...] = ()


class TypedLanguage:
    """See `carousel.page.readers.typed.Typing`."""

    longest = 4000

    def __init__(self, model: LanguageModel) -> None:
        self.model = model
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def read(self, page: str, text: str, shown: str) -> dict[str, Any]:
        held, _, _ = pieces_of(self.model.vocabulary, shown)
        session, kept, steps = self._read_on(page, text, held)
        self._keep(page, session)
        return {"kept": kept, "steps": steps_record(steps, bits=16)}

    def influence(self, page: str, text: str, step: int) -> dict[str, Any]:
        session, _, _ = self._read_on(page, text)
        require_step(step, len(session.ids))
        measure = measure_of(self.model.reading_on, session.ids)
        states = analysis.states_of(self.model.reading_on.recurrent.fresh_states(1), session.after)
        found = analysis.influence_at_end(measure, step + 1, states)
        return {"shares": plain(found.share()[0].flip(0).numpy())}

    def _read_on(self, page: str, text: str, held: np.ndarray | None = None) -> tuple[Session, int, Steps]:
        """The session after it has read this text, the number of its old steps that stay valid, and the new steps.

        held: the symbols whose steps the page has; no further steps count as valid.
        """
        ids, pieces, starts = pieces_of(self.model.vocabulary, text)
        require_readable(len(ids), self.longest)
        earlier = self._sessions.get(page, Session())
        same = _in_common(ids, earlier.ids)
        if held is not None:
            same = min(same, _in_common(ids, held))
        # The last valid step is read again, because its next symbol, and so its surprise, is new.
        kept = max(0, same - 1)
        before = tuple(values[kept - 1][:, None] for values in earlier.after) if kept else None
        network, vocabulary = self.model.reading_on, self.model.vocabulary
        steps, new = read_steps(network, vocabulary, ids[kept:], pieces[kept:], starts[kept:], before)
        stand = [values[:kept] for values in earlier.after or new]
        return Session(ids, tuple(map(torch.cat, zip(stand, new, strict=True)))), kept, steps

    def _keep(self, page: str, session: Session) -> None:
        self._sessions[page] = session
        self._sessions.move_to_end(page)
        if len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)


def _in_common(ids: np.ndarray, others: np.ndarray) -> int:
    """The number of symbols with which both begin."""
    shared = min(len(ids), len(others))
    different = np.flatnonzero(ids[:shared] != others[:shared])
    return int(different[0]) if len(different) else shared
