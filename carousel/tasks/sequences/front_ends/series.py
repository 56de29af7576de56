"""Numbers over time: missing values filled from what came before, changes beside values."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from carousel.errors import DataError, option
from carousel.tasks.gaps import forward_filled
from carousel.tasks.sequences.examples import Examples
from carousel.tasks.sequences.values import as_numbers, deviation, refuse_infinite
from carousel.tasks.table import listed


@dataclass(frozen=True)
class SeriesFrontEnd:
    """Each step (C) becomes

        v_t = x_t, where missing v_t-1, and at the beginning the channel's mean over the training part
        m_t = 1 where x_t is missing, 0 elsewhere       for the channels that miss values in training
        d_t = v_t - v_t-1, and 0 at the first step      with `differences`

    side by side. The network standardises them.
    """

    channels: tuple[str, ...]
    centre: tuple[float, ...]  # of each channel, over training
    gaps: tuple[int, ...]  # channels that miss values in training
    differences: bool

    kind = "series"
    symbolic = False
    unit = "step"

    def __post_init__(self) -> None:
        for name in ("channels", "centre", "gaps"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if len(self.centre) != len(self.channels) or not set(self.gaps) <= set(range(len(self.channels))):
            raise ValueError("the means and the gaps of a front end are of its channels")

    @classmethod
    def fit(cls, examples: Examples, *, level: str | None, differences: bool | None) -> "SeriesFrontEnd":
        if level is not None:
            raise DataError(f"A level ({option('level')}) is for text, and these are series of numbers: leave it out.")
        steps = np.concatenate(list(examples.items))
        missing = np.isnan(steps)
        if len(steps) and missing.all(0).any():
            empty = ", ".join(examples.channels[k] for k in np.flatnonzero(missing.all(0)))
            raise DataError(f"In the training data {empty} has no value at all. Leave it out.")
        centre, _ = deviation(steps)
        return cls(
            tuple(examples.channels),
            tuple(map(float, centre)),
            tuple(map(int, np.flatnonzero(missing.any(0)))),
            True if differences is None else differences,
        )

    @property
    def size(self) -> int:
        return len(self.channels) * (2 if self.differences else 1) + len(self.gaps)

    @property
    def said(self) -> str:
        parts = [f"{len(self.channels)} channel{'s' * (len(self.channels) != 1)}"]
        parts += ["their changes"] * self.differences
        if self.gaps:
            names = listed([self.channels[k] for k in self.gaps], 3)
            parts.append(f"marks where values of {names} are missing, filled with the last ones")
        return "each step: " + ", ".join(parts) + "; standardised on the training part"

    def steps(self, item: np.ndarray) -> np.ndarray:
        return self.stream().push(item)

    def stream(self) -> "SeriesStream":
        return SeriesStream(self)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, **asdict(self)}


class SeriesStream:
    def __init__(self, front_end: SeriesFrontEnd) -> None:
        self._front_end = front_end
        self._last = np.array(front_end.centre)
        self._begun = False

    def push(self, piece: np.ndarray) -> np.ndarray:
        """What the network reads for the steps that arrive, (n, size), in the precision of what comes.

        piece: n steps (n, C), or one step (C,). Raises DataError for another number of channels, and for infinity.
        """
        try:
            x = np.atleast_2d(as_numbers(piece))
        except DataError as problem:
            raise DataError(f"What arrives is no step: {problem}.") from None
        channels = len(self._last)
        if x.ndim != 2 or x.shape[1] != channels:
            raise DataError(
                f"A step has {channels} number{'s' * (channels != 1)} ({listed(self._front_end.channels, 8)}), "
                f"and these have the shape {x.shape}. Give the channels that the model was trained on, in this order."
            )
        refuse_infinite("What arrives", x, self._front_end.channels)
        if len(x) == 0:
            return np.zeros((0, self._front_end.size), x.dtype)
        missing = np.isnan(x)
        rows = np.concatenate([self._last[None].astype(x.dtype), x])
        filled = forward_filled(rows)
        parts = [filled[1:]]
        if self._front_end.gaps:
            parts.append(missing[:, list(self._front_end.gaps)].astype(x.dtype))
        if self._front_end.differences:
            changes = np.diff(filled, axis=0)
            if not self._begun:
                changes[0] = 0
            parts.append(changes)
        self._begun, self._last = True, filled[-1]
        return np.concatenate(parts, 1)

    def finish(self) -> np.ndarray:
        return np.zeros((0, self._front_end.size), np.float32)
