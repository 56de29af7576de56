"""MiniRocket on series that `classification.py` hands over, run by the Python of an environment with aeon.

    python classification_peers.py FILE SEED THREADS

FILE is an .npz with the steps of all training and test series one after another, their lengths and their labels. The
answer is one line of JSON: the accuracy on the test series, and the seconds of fit and predict, after a first fit on a
few series, in which numba compiles. MiniRocket reads series of equal length: shorter ones are filled with zeros.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from aeon.classification.convolution_based import MiniRocketClassifier


def main(file: Path, seed: int, threads: int) -> None:
    arrays = np.load(file)
    longest = max(arrays["train_lengths"].max(), arrays["test_lengths"].max(), 9)  # a kernel reads nine steps
    x = {part: cube(arrays[f"{part}_steps"], arrays[f"{part}_lengths"], longest) for part in ("train", "test")}
    labels = arrays["train_labels"]
    few = np.concatenate([np.flatnonzero(labels == label)[:2] for label in np.unique(labels)])
    MiniRocketClassifier(random_state=seed, n_jobs=threads).fit(x["train"][few], labels[few]).predict(x["test"][:2])
    started = time.perf_counter()
    model = MiniRocketClassifier(random_state=seed, n_jobs=threads).fit(x["train"], labels)
    right = model.predict(x["test"]) == arrays["test_labels"]
    print(json.dumps({"accuracy": float(np.mean(right)), "seconds": time.perf_counter() - started}))


def cube(steps: np.ndarray, lengths: np.ndarray, longest: int) -> np.ndarray:
    """(series, channels, steps)."""
    series = np.zeros((len(lengths), steps.shape[1], longest), np.float32)
    for k, part in enumerate(np.split(steps, np.cumsum(lengths)[:-1])):
        series[k, :, : len(part)] = np.nan_to_num(part).T
    return series


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
