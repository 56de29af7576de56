"""Tables with a sequence in each row: which columns are the steps of which channel."""

import re
from collections.abc import Sequence

FEWEST = 3  # columns that count: two may do so by chance


def counted(names: Sequence[str]) -> bool:
    """Do these names count the steps of one channel: t0, t1, t2, or 1, 2, 3, or att1, att2, att3?"""
    channels = steps_by_channel(names)
    return channels is not None and len(channels) == 1


def steps_by_channel(names: Sequence[str]) -> dict[str, list[str]] | None:
    """The columns of each channel in the order of their steps, or None where the names do not count.

    They do where all are a word and a number, the numbers go up by one from 0 or 1, and, with several words, are the
    same for all: x_0, x_1, x_2, y_0, y_1, y_2 are the channels x and y of three steps.
    """
    found: dict[str, dict[int, str]] = {}
    for name in names:
        match = re.fullmatch(r"(.*?)[\s_.\-\[(]*(\d+)[\])]?", name)
        if match is None or int(match[2]) in found.setdefault(match[1], {}):
            return None
        found[match[1]][int(match[2])] = name
    numbers = {tuple(sorted(steps)) for steps in found.values()}
    if len(numbers) != 1:
        return None
    (steps,) = numbers
    if len(steps) < FEWEST or steps[0] not in (0, 1) or steps != tuple(range(steps[0], steps[0] + len(steps))):
        return None
    return {word: [columns[step] for step in steps] for word, columns in found.items()}
