"""The translator as a Python user meets it."""

from __future__ import annotations

from collections.abc import Sequence

from carousel.errors import speaking
from carousel.tasks.pairs.heads.decoder import DecoderHead
from carousel.tasks.pairs.pairs_model import PairsModel, how_to_search
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.pairs.sources.text import texts_in
from carousel.tasks.pairs.written import Written
from carousel.training.settings import explained_by

USUAL = DecoderHead.usual


@explained_by(Settings)
class Translator(PairsModel):
    """Learns to write a text for another: a translation, an answer, a correction.

        model = carousel.Translator(epochs=20)
        model.fit(["Am I fat?", ...], ["Suis-je gros ?", ...])     # or fit("pairs.tsv"), fit(["train.en", "train.fr"])
        model.predict(["Go get it."])                              # an array of texts
        model.translate("Go get it.", best=3)                      # texts with scores and alignments
        model.score(sources, targets)                              # BLEU / 100

        model = carousel.Translator.load("runs/train")

    It has get_params, set_params, fit, predict and score, and can be cloned. fit seeds torch's global generator with
    `seed`. What a text becomes does not depend on the texts that are translated with it. All methods but `fit`, `load`
    and `resume` raise RunError before `fit`, and DataError for what are no texts.

    verbose: whether to show how the training goes.
    """

    CALLED = "A translator"
    KINDS = ("text",)

    @speaking(python=True)
    def translate(
        self,
        texts: str | Sequence[str],
        *,
        beam: int = USUAL.beam,
        best: int = 1,
        length_penalty: float = USUAL.length_penalty,
        coverage_penalty: float = USUAL.coverage_penalty,
        shortest: int = 0,
        longest: int | None = None,
    ) -> list[list[Written]]:
        """The `best` texts for each source, with their scores and alignments, best first.

        texts: one text or several. beam: how many hypotheses the search follows; 1 is greedy. length_penalty,
        coverage_penalty, shortest, longest: as for `carousel.models.beam_search.Search`; longest at most twice the
        symbols of the source and ten more. An empty source has the empty text.
        Raises DataError for what is no text, and for a search that cannot be.
        """
        how = how_to_search(beam, best, length_penalty, coverage_penalty, shortest, longest)
        return self._write(texts_in(texts, "translated"), how)

    def strange(self, text: str) -> list[str]:
        """The characters of `text` that no training source had, each once."""
        return self._fitted("asked").strange(text)
