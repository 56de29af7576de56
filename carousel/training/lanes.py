"""Lanes: one long sequence read in parallel, in order, window after window."""

from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided

from carousel.errors import DataError, option
from carousel.training.checkpoint import require_count


class Window(NamedTuple):
    """The same steps of every lane. fresh: whether it begins from a fresh state."""

    inputs: torch.Tensor  # (time, lanes)
    targets: torch.Tensor  # (time, lanes): at each step, the next symbol
    fresh: bool


class Lanes:
    """Cuts a sequence into `lanes` contiguous stretches and reads them side by side.

    Lane b holds symbols b·L ... b·L + L - 1, with L = (n - 1) // lanes. Each window continues, in every lane,
    where the one before stopped, so a state carried from window to window has read the lane from its
    beginning. The last window of an epoch is shorter where L is no multiple of `window`; after it the lanes
    start over, from a fresh state (`Window.fresh`), because what follows the end of a lane is not its beginning.

    `tokens` may be a memory map: a window costs a copy of its own few kilobytes, whatever the length of the text.
    A text too short for that many lanes gets fewer: see `.lanes`.

    Raises DataError when the text is too short for one window in one lane.
    """

    def __init__(self, tokens: np.ndarray, *, lanes: int, window: int) -> None:
        if len(tokens) < window + 1:
            raise DataError(
                f"A training text must fill at least one window: {window + 1} symbols for windows of {window} steps. "
                f"This one has {len(tokens)}. Give more text, or a shorter window ({option('window')})."
            )
        self.window = window
        self.lanes = min(lanes, (len(tokens) - 1) // window)
        self.length = (len(tokens) - 1) // self.lanes
        self.position = 0
        self.epoch = 0
        stride = tokens.strides[0]
        # Rows overlap by one symbol: the target of a lane's last step is the first symbol of the next lane.
        self._rows = as_strided(tokens, (self.lanes, self.length + 1), (self.length * stride, stride), writeable=False)

    @property
    def windows_per_epoch(self) -> int:
        return -(-self.length // self.window)

    @property
    def tokens_per_epoch(self) -> int:
        return self.lanes * self.length

    @property
    def tokens_read(self) -> int:
        """How many symbols were predicted since the start, over all epochs."""
        return self.lanes * (self.epoch * self.length + self.position)

    def next(self, device: torch.device | str = "cpu") -> Window:
        """The next window of every lane."""
        start = self.position
        stop = min(start + self.window, self.length)
        block = np.ascontiguousarray(self._rows[:, start : stop + 1].T, dtype=np.int64)
        symbols = torch.from_numpy(block).to(device)
        self.position = stop
        if stop == self.length:
            self.position = 0
            self.epoch += 1
        return Window(symbols[:-1], symbols[1:], fresh=start == 0)

    def state_dict(self) -> dict[str, Any]:
        return {"position": self.position, "epoch": self.epoch, "lanes": self.lanes, "window": self.window}

    def check_state_dict(self, state: Any) -> None:
        """Raises ValueError for what is no position in such lanes."""
        if not isinstance(state, dict) or (state.get("lanes"), state.get("window")) != (self.lanes, self.window):
            raise ValueError(f"lessons.lanes is no position in {self.lanes} lanes and windows of {self.window} steps")
        require_count("lessons.lanes.epoch", state.get("epoch"))
        if require_count("lessons.lanes.position", state.get("position"), most=self.length - 1) % self.window:
            raise ValueError(f"lessons.lanes.position is {state['position']}, and no window begins there")

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.check_state_dict(state)
        self.position, self.epoch = state["position"], state["epoch"]
