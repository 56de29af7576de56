"""A classifier of texts that reads typed text."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from carousel.page.packing import plain, steps_record
from carousel.page.readers.label_measures import prefixes, pushed
from carousel.page.readers.label_steps import read_steps
from carousel.page.readers.typed import require_readable, require_step
from carousel.tasks.classification.trained import TrainedClassifier
from carousel.tasks.sequences.examples import Examples
from carousel.tasks.sequences.steps import StoredSteps


class TypedText:
    """A classifier that reads typed text from its beginning every time. See `readers.typed.Typing`."""

    longest = 300

    def __init__(self, trained: TrainedClassifier) -> None:
        self.trained = trained

    def read(self, page: str, text: str, shown: str) -> dict[str, Any]:  # noqa: ARG002 (nothing is kept of a page)
        steps, _, _ = read_steps(self.trained, *self._steps(text), network=0)
        return {"kept": 0, "steps": steps_record(steps, bits=16)}

    def influence(self, page: str, text: str, step: int) -> dict[str, Any]:  # noqa: ARG002
        _, steps = self._steps(text)
        require_step(step, len(steps))
        answer = self.trained.of_steps(StoredSteps.of([steps[: step + 1]])).argmax(1)
        member = self.trained.network.members[0]
        x, lengths = prefixes(member, steps, np.array([step]))
        norms = pushed(member, x, lengths, torch.from_numpy(answer).to(x.device))[:, 0]
        return {"shares": plain((norms / norms.sum().clamp(min=1e-300)).flip(0).numpy())}

    def _steps(self, text: str) -> tuple[Examples, np.ndarray]:
        example = Examples("text", [text], ["what was typed"])
        (steps,) = self.trained.steps_of(example)
        require_readable(len(steps), self.longest)
        return example, steps
