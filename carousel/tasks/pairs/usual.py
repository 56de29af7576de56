"""The settings of each kind of source where nobody chooses, and how they are told in help."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

USUAL: Mapping[str, Mapping[str, Any]] = {
    "text": {"level": "subword", "hidden": 256, "layers": 1},
    "image": {"level": "word", "hidden": 256, "layers": 1, "dropout": 0.4},
    "sound": {"level": "char", "hidden": 128, "layers": 2},
    "series": {"level": "word", "hidden": 128, "layers": 1},
}
LITTLE_DROPOUT_FROM = 200_000  # pairs, from which on little is learnt by heart


def usual_dropout(pairs: int) -> float:
    """The dropout of a training on so many pairs, where the kind of their sources says none."""
    return 0.3 if pairs < LITTLE_DROPOUT_FROM else 0.1


def usual_in_words(name: str) -> str:
    """The values of a setting with the kinds that have them: "256 for texts and images, 128 for sounds and series"."""
    kinds: dict[Any, list[str]] = defaultdict(list)
    for kind, values in USUAL.items():
        if name in values:
            kinds[values[name]].append(kind if kind.endswith("s") else f"{kind}s")
    return ", ".join(f"{value} for {_listed(names)}" for value, names in kinds.items())


def _listed(names: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
