"""What `evaluate` gives back: what a model wrote, and how good it is."""

from __future__ import annotations

from dataclasses import dataclass

from carousel.tasks.pairs.scoring import TextScores


@dataclass(frozen=True)
class Evaluation:
    """What a model wrote for some sources, and how good it is.

    scores: of the model; baseline: of the naive baseline, None for a run that has lost its pairs. known: how many of
    the pairs have a source or a target that the training part has, up to case and marks. sources, written, targets: of
    each pair, the source (a text, or the name of a file), what the model wrote, and the target. name: of the baseline.
    said: how the pairs were read.
    """

    scores: TextScores
    baseline: TextScores | None
    known: int
    sources: list[str]
    written: list[str]
    targets: list[str]
    name: str = "nearest source's target"
    said: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        """The evaluation in words."""
        lines = [*(self.said or (f"{len(self.targets):,} pairs",)), f"this model: {self.scores.words}"]
        if self.baseline is not None:
            lines.append(f"{self.name}: {self.baseline.words}")
        if self.known:
            lines.append(f"{self.known:,} of the pairs have a source or a target that the training part has, too")
        if self.scores.chrf is None:
            lines.append("BLEU and chrF need pip install 'carousel-rnn[text]'")
        return lines
