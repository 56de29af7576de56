"""How a trained classifier stands beside what people would use instead, on the same sequences held out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from carousel.tasks.classification import neighbours
from carousel.tasks.sequences import front_ends
from carousel.tasks.sequences.metrics import Evaluation
from carousel.tasks.sequences.steps import StoredSteps
from carousel.tasks.verdict import Verdict, by_right

SHORTEST = 9  # steps of a series that MiniRocket can read


@dataclass(frozen=True)
class BaselineScore:
    """judged: the numbers of sequences held out, (n); right: which of them it answers rightly, (n). instead: how to use
    it."""

    name: str
    judged: np.ndarray
    right: np.ndarray
    instead: str = ""

    @property
    def count(self) -> int:
        return len(self.judged)

    @property
    def accuracy(self) -> float:
        return float(self.right.mean())


def baselines(
    steps: StoredSteps, truth: np.ndarray, folds: np.ndarray, front_end: front_ends.FrontEnd, *, seed: int
) -> list[BaselineScore]:
    """What the data's own parts say of the nearest neighbour and, where aeon is installed (the extra `baselines`) and
    these are series, of MiniRocket (Dempster et al. 2021), each learning from what a network learns from."""
    values = values_of(steps, front_end)
    near = neighbours.of_held_out(values, truth, folds, symbolic=front_end.symbolic, seed=seed)
    found = [BaselineScore("1-nearest neighbour", near.judged, near.right(truth), _NEIGHBOUR[front_end.symbolic])]
    if front_end.kind == "series" and steps.lengths.max(initial=0) >= SHORTEST and find_spec("aeon"):
        held = np.flatnonzero(folds >= 0)
        right = mini_rocket(values, truth, folds, seed=seed)[held] == truth[held]
        instead = "aeon.classification.convolution_based.MiniRocketClassifier"
        found.append(BaselineScore("MiniRocket", held, right, instead))
    return found


_NEIGHBOUR = {
    False: "KNeighborsTimeSeriesClassifier of aeon or tslearn, n_neighbors=1, distance dtw",
    True: "TfidfVectorizer and KNeighborsClassifier of scikit-learn, n_neighbors=1, metric cosine",
}


def values_of(steps: StoredSteps, front_end: front_ends.FrontEnd) -> list[np.ndarray]:
    """Of series the values alone, without marks and changes; all that is read of others."""
    width = len(front_end.channels) if isinstance(front_end, front_ends.SeriesFrontEnd) else None
    return [steps[k] if width is None else steps[k][:, :width] for k in range(len(steps))]


def mini_rocket(values: Sequence[np.ndarray], truth: np.ndarray, folds: np.ndarray, *, seed: int) -> np.ndarray:
    """The class that MiniRocket predicts for each held-out sequence; -1 for the others.

    Shorter sequences are padded with zeros to the longest.
    """
    from aeon.classification.convolution_based import MiniRocketClassifier

    longest = max(map(len, values))
    x = np.stack([np.pad(one, ((0, longest - len(one)), (0, 0))).T for one in values]).astype(np.float32)
    answers = np.full(len(x), -1)
    for fold in range(int(folds.max()) + 1):
        model = MiniRocketClassifier(random_state=seed % 2**31).fit(x[folds != fold], truth[folds != fold])
        answers[folds == fold] = model.predict(x[folds == fold])
    return answers


def said(result: Evaluation, right: np.ndarray, baselines: Sequence[BaselineScore], *, advice: str) -> Iterator[str]:
    """The accuracies beside the model's, and how it stands beside the best of them. right: which sequences of the data
    the model answered rightly, while they were held out. advice: what to try where the model does not win."""
    for one in baselines:
        share = "the same sequences" if one.count == result.count else f"{one.count:,} of them"
        yield f"{one.name}: {one.accuracy:.1%} on {share}"
    best = max(baselines, key=lambda one: one.accuracy)
    mine = right[best.judged]
    verdict = by_right(best.name, mine, best.right, "sequences", advice=advice, instead=best.instead)
    if result.baseline >= result.accuracy and verdict.standing != "loses":
        verdict = Verdict("level", "always answering the commonest class", "what was read says nothing of it", advice)
    yield str(verdict)
