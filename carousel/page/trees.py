"""The data of a page of trees: what a recursive network makes of one tree, node by node."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from carousel.page.packing import numbers, plain, quantised, safe_json


@dataclass(frozen=True)
class DepthCurve:
    """The gradient of a loss by depth: one state of one scan. norms: of each node, (N). by_depth: their means, from the
    root on. words: how fast they shrink."""

    name: str
    norms: np.ndarray
    by_depth: np.ndarray
    words: str


@dataclass(frozen=True)
class TreeMoments:
    """All that the page shows of one run and one tree of N nodes, children before their parents where brackets gave it.

    summary: a sentence. about: label and text of each fact. Of each node: parents, (N), -1 for the root; words, None
    where there is none; spans, the words at and under it; rows, (N), where it is drawn; height, (N); truth, the number
    of its label, -1 for none, (N); probability, (N, K). classes: the K labels. states: name -> (N, units).
    gradients: how deep they reach. notes: for the reader.
    """

    name: str
    summary: str
    about: list[tuple[str, str]]
    parents: np.ndarray
    words: list[str | None]
    spans: list[str]
    rows: np.ndarray
    height: np.ndarray
    truth: np.ndarray
    classes: list[str]
    probability: np.ndarray
    states: dict[str, np.ndarray]
    gradients: list[DepthCurve] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def tree_json(pages: list[TreeMoments]) -> str:
    """The data for the page's script, safe inside a <script> element, whatever the words are."""
    return safe_json({"runs": [_record(page) for page in pages]})


def _record(page: TreeMoments) -> dict[str, Any]:
    return {
        "name": page.name,
        "about": page.about,
        "notes": page.notes,
        "parents": page.parents.tolist(),
        "words": page.words,
        "spans": page.spans,
        "rows": page.rows.tolist(),
        "height": page.height.tolist(),
        "truth": page.truth.tolist(),
        "classes": page.classes,
        "probability": plain(page.probability),
        "states": {name: quantised(values, 16) for name, values in page.states.items()},
        "gradients": [
            {
                "name": curve.name,
                "norms": numbers(curve.norms),
                "by_depth": numbers(curve.by_depth),
                "words": curve.words,
            }
            for curve in page.gradients
        ],
    }
