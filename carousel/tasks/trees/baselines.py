"""How a trained classifier of trees stands beside naive Bayes and the commonest label, on the same trees held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from carousel.tasks.trees.merging import Merging
from carousel.tasks.trees.naive_bayes import NaiveBayes
from carousel.tasks.trees.scores import TreeEvaluation
from carousel.tasks.trees.settings import Settings
from carousel.tasks.trees.stored import LEARNT
from carousel.tasks.trees.treebank import Label, LabelledTree
from carousel.tasks.verdict import Verdict, by_right

BAYES, MERGED = "bayes", "bayes_merged"  # names of guesses


def guesses(
    trees: Sequence[LabelledTree], part: np.ndarray, classes: Sequence[Label], settings: Settings
) -> dict[str, np.ndarray]:
    """What naive Bayes, which learns from the trees of the part to learn from, answers for each tree: the number of a
    class, and of a group of merged labels, -1 where there is none; (N) int64 each. It reads words and no shapes."""
    sentences = [_sentence(tree, lowercase=settings.lowercase) for tree in trees]
    numbers = {label: number for number, label in enumerate(classes)}
    truth = np.array([numbers[tree.label] for tree in trees if tree.label is not None], np.int64)
    found = {BAYES: _answers(sentences, truth, part, len(classes)), MERGED: np.full(len(trees), -1, np.int64)}
    if settings.merge is not None:
        merging = Merging.of(settings.merge)
        groups = merging.group_of(classes)[truth]
        if (groups[part == LEARNT] >= 0).any():
            found[MERGED] = _answers(sentences, groups, part, len(merging.groups))
    return found


def _answers(sentences: list[list[str]], truth: np.ndarray, part: np.ndarray, classes: int) -> np.ndarray:
    learnt = np.flatnonzero((part == LEARNT) & (truth >= 0))
    model = NaiveBayes([sentences[number] for number in learnt], truth[learnt], classes)
    return np.array([model.answer(sentence) for sentence in sentences], np.int64)


def _sentence(tree: LabelledTree, *, lowercase: bool) -> list[str]:
    words = [word for word in tree.words if word is not None]
    return [word.lower() for word in words] if lowercase else words


def said(
    result: TreeEvaluation, right: np.ndarray, by_bayes: np.ndarray, merged_bayes: float | None, *, advice: str
) -> Iterator[str]:
    """The accuracies beside the model's, and the verdict.

    right, by_bayes: which trees the model and naive Bayes have right, (n). merged_bayes: the accuracy of naive Bayes
    with labels merged, if any are. advice: what to try where the model does not win."""
    more = "" if merged_bayes is None or result.merged is None else f"; merged {merged_bayes:.1%}"
    yield f"naive Bayes of words and pairs of words: roots {by_bayes.mean():.1%}{more}, on the same trees"
    if max(result.accuracy, float(by_bayes.mean())) <= result.roots.baseline:
        yield str(Verdict("level", "always answering the commonest label", "what was read says nothing of it", advice))
    else:
        instead = "MultinomialNB of scikit-learn, ngram_range=(1, 2)"
        yield str(by_right("naive Bayes", right, by_bayes, "trees", advice=advice, instead=instead))
