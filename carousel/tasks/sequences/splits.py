"""Which examples are held out: an equal share of every class in each part, and no group in two parts."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from carousel.errors import DataError, option


def folds(labels: Sequence[Hashable], groups: Sequence[Hashable] | None, count: int, seed: int) -> np.ndarray:
    """The fold, 0 to count - 1, of each example, int64: all folds alike in size and classes, groups kept together.

    There are fewer folds where there are fewer examples, or groups. Raises DataError where there is but one group.
    """
    owners = _owners(groups, len(labels))
    count = min(count, int(owners.max()) + 1)
    return _dealt(labels, owners, np.full(count, 1 / count), seed)


def held_out(labels: Sequence[Hashable], groups: Sequence[Hashable] | None, share: float, seed: int) -> np.ndarray:
    """True for the examples to validate on, about `share` of them, at least one, never all, and the only example of a
    class never without need; groups kept together. Raises DataError where there is but one group."""
    return _dealt(labels, _owners(groups, len(labels)), np.array([1 - share, share]), seed, lone_first=True) == 1


def _owners(groups: Sequence[Hashable] | None, examples: int) -> np.ndarray:
    """A number for each example's group; without groups every example is one."""
    if groups is None:
        return np.arange(examples)
    numbers: dict[Hashable, int] = {}
    owners = np.array([numbers.setdefault(group, len(numbers)) for group in groups], np.int64)
    if len(numbers) == 1:
        raise DataError(
            f"All {examples} sequences belong to the group {groups[0]!r}, so none can be held out. "
            f"Leave the groups out (no {option('group')}), or give sequences of more groups."
        )
    return owners


def _dealt(
    labels: Sequence[Hashable], owners: np.ndarray, shares: np.ndarray, seed: int, *, lone_first: bool = False
) -> np.ndarray:
    """A part for each example: owners are dealt one by one, the largest first, in an order that the seed shuffles
    otherwise, each to the part that then lacks most of the owner's classes and of examples, in shares of what it is
    to have. `lone_first`: the only owner of a class goes to part 0, whatever that part has."""
    numbers = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    classes = np.array([numbers[label] for label in labels], np.int64)
    sizes = Counter(owners.tolist())
    held = np.zeros((len(sizes), len(numbers)))
    np.add.at(held, (owners, classes), 1)
    total = held.sum(0)
    wanted = shares[:, None] * total
    given = np.zeros_like(wanted)
    chance = np.random.default_rng(seed)
    shuffled = chance.permutation(len(sizes))
    order = sorted(shuffled.tolist(), key=lambda owner: (-sizes[owner], _rarest(held[owner], total)))
    part_of = np.zeros(len(sizes), np.int64)
    for owner in order:
        mine = held[owner]
        lack_of_classes = ((wanted - given) / np.maximum(shares[:, None] * total, 1e-9) * mine).sum(1)
        lack_of_examples = 1 - given.sum(1) / (shares * len(labels))
        part = int(np.argmax(np.round(lack_of_classes / mine.sum(), 9) + 1e-3 * np.round(lack_of_examples, 9)))
        if lone_first and (held[:, mine > 0] > 0).sum(0).min() == 1:
            part = 0
        part_of[owner] = part
        given[part] += mine
    _leave_no_part_empty(part_of, order, len(shares))
    return part_of[owners]


def _rarest(mine: np.ndarray, total: np.ndarray) -> float:
    """Of the classes an owner has, how often the rarest occurs: what is rare is dealt first."""
    return float(total[mine > 0].min())


def _leave_no_part_empty(part_of: np.ndarray, order: list[int], parts: int) -> None:
    for part in range(parts):
        if not (part_of == part).any():
            counts = np.bincount(part_of, minlength=parts)
            richest = int(np.argmax(counts))
            part_of[next(owner for owner in reversed(order) if part_of[owner] == richest)] = part
