"""The captioners as a Python user meets them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from carousel.errors import speaking
from carousel.tasks.pairs.heads.decoder import DecoderHead
from carousel.tasks.pairs.pairs_model import PairsModel, how_to_search
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.pairs.written import Written
from carousel.training.settings import explained_by

USUAL = DecoderHead.usual


@explained_by(Settings)
class Captioner(PairsModel):
    """Learns to write a text for an image: its caption, or the word that it shows.

        model = carousel.Captioner(epochs=20)
        model.fit(["cat.png", ...], ["a black cat", ...])          # or fit("captions.csv"), fit("folder")
        model.predict(["a.png", "b.png"])                          # an array of texts
        model.caption("a.png", best=3)                             # texts with scores and alignments
        model.score(images, captions)                              # the share of captions that are right as a whole

        model = carousel.Captioner.load("runs/train")

    An image is the name of a file, an image of Pillow, or an array (rows, columns) or (rows, columns, 3 or 4) of bytes
    or of floats from 0 to 1. All are brought to one size and mode; see docs/captions.md. It has get_params, set_params,
    fit, predict and score, and can be cloned. fit seeds torch's global generator with `seed`. What is written for an
    image does not depend on the images that are captioned with it. All methods but `fit`, `load` and `resume` raise
    RunError before `fit`, and DataError for what are no images.

    Files of series are learnt from and captioned too, and runs of them opened; arrays are images here, and series for
    `SeriesCaptioner`.

    verbose: whether to show how the training goes.
    """

    CALLED = "A captioner"
    KINDS: ClassVar[tuple[str, ...]] = ("series", "image")

    @speaking(python=True)
    def caption(
        self,
        images: Any,
        *,
        beam: int = USUAL.beam,
        best: int = 1,
        length_penalty: float = USUAL.length_penalty,
        coverage_penalty: float = USUAL.coverage_penalty,
        shortest: int = 0,
        longest: int | None = None,
    ) -> list[list[Written]]:
        """The `best` texts for each image, with their scores and alignments, best first.

        images: one image or several, or series where the model reads them. beam: how many hypotheses the search
        follows; 1 is greedy. length_penalty, coverage_penalty, shortest, longest: as for
        `carousel.models.beam_search.Search`; longest at most ten symbols more than twice the longest caption of the
        training part.
        Raises DataError for what is no image that can be read, and for a search that cannot be.
        """
        how = how_to_search(beam, best, length_penalty, coverage_penalty, shortest, longest)
        return self._write(self._items(images), how)

    @speaking(python=True)
    def score(self, X: Any, y: Sequence[str]) -> float:
        """The share of the images X whose caption `predict` writes as it stands in y, up to white space.

        Raises DataError where X and y do not fit each other."""
        pairs = self._given(X, y)
        written = self.predict(pairs.sources)
        targets = pairs.require_targets("Scoring")
        return float(np.mean([one.split() == other.split() for one, other in zip(written, targets, strict=True)]))


@explained_by(Settings)
class SeriesCaptioner(Captioner):
    """Learns to write a text for a series of numbers: what happens in it, step after step.

        model = carousel.SeriesCaptioner(epochs=20)
        model.fit([array, ...], ["rises, then falls", ...])        # or fit("readings.csv", target="note")
        model.predict([array])                                     # an array of texts
        model.caption(array[None], best=3)                         # texts with scores and alignments

        model = carousel.SeriesCaptioner.load("runs/train")

    A series is an array (T, C), or (T,) for one channel, NaN where a value is missing; all have the same channels, and
    T may differ. Several are a list, or an array (N, T, C). All else is as for `Captioner`.

    verbose: whether to show how the training goes.
    """

    CALLED = "A captioner of series"
    KINDS = ("series",)
