"""How a trained classifier of trees stands beside naive Bayes and the commonest label, on the same trees held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from carousel.tasks.chance import BY_CHANCE, by_chance
from carousel.tasks.trees.merging import Merging
from carousel.tasks.trees.naive_bayes import NaiveBayes
from carousel.tasks.trees.scores import TreeEvaluation
from carousel.tasks.trees.settings import Settings
from carousel.tasks.trees.stored import LEARNT
from carousel.tasks.trees.treebank import Label, LabelledTree

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


def said(result: TreeEvaluation, right: np.ndarray, by_bayes: np.ndarray, merged_bayes: float | None) -> Iterator[str]:
    """The accuracies beside the model's, and which of them is the best to use. A difference that may be chance
    recommends nothing.

    right, by_bayes: which trees the model and naive Bayes have right, (n). merged_bayes: the accuracy of naive Bayes
    with labels merged, if any are."""
    more = "" if merged_bayes is None or result.merged is None else f"; merged {merged_bayes:.1%}"
    yield f"naive Bayes of words and pairs of words: roots {by_bayes.mean():.1%}{more}, on the same trees"
    chance = by_chance(right, by_bayes)
    how = f"p = {chance:.2g} by McNemar's test"
    difference = int(right.sum()) - int(by_bayes.sum())
    if max(result.accuracy, float(by_bayes.mean())) <= result.roots.baseline:
        yield "the commonest label is as good an answer as any here: what was read says nothing of the labels"
    elif difference < 0 and chance < BY_CHANCE:
        yield (
            f"naive Bayes is better on these trees than this model ({how}): use that instead (MultinomialNB of "
            f"scikit-learn, ngram_range=(1, 2)), or give more trees and train longer"
        )
    elif difference < 0:
        yield f"naive Bayes has {-difference:,} more of {len(right):,} right, which may be chance ({how})"
    elif difference == 0:
        yield "this model and naive Bayes have equally many right"
    else:
        only_chance = f" ({how})" if chance < BY_CHANCE else f", which may be chance ({how})"
        yield f"this model is the best of them, by {100 * difference / len(right):.1f} points{only_chance}"
