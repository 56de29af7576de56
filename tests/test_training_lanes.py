"""Lanes: every symbol is predicted once per epoch, in order, and the carried state has read what came before."""

import numpy as np
import pytest
import torch

from carousel.errors import DataError
from carousel.training.lanes import Lanes


@pytest.mark.parametrize(
    ("tokens", "lanes", "window"), [(101, 4, 5), (100, 4, 5), (64, 1, 7), (1000, 32, 8), (9, 3, 2)]
)
def test_an_epoch_predicts_every_symbol_of_the_lanes_once_in_order(tokens: int, lanes: int, window: int) -> None:
    text = np.arange(tokens, dtype=np.uint16)
    reader = Lanes(text, lanes=lanes, window=window)
    windows = [reader.next() for _ in range(reader.windows_per_epoch)]
    targets = torch.cat([w.targets for w in windows])
    inputs = torch.cat([w.inputs for w in windows])
    assert reader.epoch == 1
    assert reader.position == 0
    assert torch.equal(targets, inputs + 1)
    assert targets.T.flatten().tolist() == list(range(1, 1 + reader.lanes * reader.length))
    assert [w.fresh for w in windows] == [True] + [False] * (len(windows) - 1)
    assert all(len(w.inputs) == window for w in windows[:-1])
    assert reader.next().fresh, "after the end of the lanes the state starts over"


def test_a_position_can_be_saved_and_taken_up_again() -> None:
    text = np.arange(500, dtype=np.uint16)
    first = Lanes(text, lanes=4, window=7)
    for _ in range(25):
        first.next()
    second = Lanes(text, lanes=4, window=7)
    second.load_state_dict(first.state_dict())
    assert second.tokens_read == first.tokens_read > 500
    for _ in range(20):
        assert torch.equal(first.next().inputs, second.next().inputs)


def test_a_short_text_gets_fewer_lanes_and_a_shorter_one_is_refused() -> None:
    assert Lanes(np.zeros(31, np.uint8), lanes=8, window=10).lanes == 3
    with pytest.raises(DataError, match=r"must fill at least one window: 11 symbols.*has 10.*--window"):
        Lanes(np.zeros(10, np.uint8), lanes=8, window=10)


def test_windows_come_from_a_memory_map_without_reading_the_rest(tmp_path) -> None:
    file = tmp_path / "tokens.bin"
    size = 3 << 30  # a file of zeros that takes no room: what is not read costs nothing
    with open(file, "wb") as stream:
        stream.truncate(size)
    reader = Lanes(np.memmap(file, dtype=np.uint8, mode="r"), lanes=32, window=64)
    window = reader.next()
    assert window.inputs.shape == (64, 32)
    assert reader.tokens_per_epoch == size - 32
