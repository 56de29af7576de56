"""The training of a model that fills in missing words."""

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from carousel.models import FillModel
from carousel.models.fill_model import sampled_loss
from carousel.models.linear_cross_entropy import linear_cross_entropy
from carousel.tasks.language import hidden_words, neighbour_baseline
from carousel.tasks.language.filling import fill
from carousel.tasks.language.pieces import PieceBatches
from carousel.tasks.language.preparation import Prepared
from carousel.tasks.language.training import LEVEL, LanguageRun, TextRun
from carousel.tasks.verdict import by_loss, longer
from carousel.training.measure import Measure
from carousel.training.run_folder import RunFolder
from carousel.training.task_run import Judgement

VALIDATED_ON = 16_384  # tokens at most, while training: each is compared with all words
JUDGED_ON = 1_000_000  # tokens at most, at the end
FEW_WORDS, SAMPLED = 4000, 1024  # up to so many symbols are all compared, of more a sample
SHOWN = 3  # words that a sample shows for a blank


class FillRun(TextRun):
    """A training of a model that fills in missing words of the text in a run folder."""

    samples = "what it fills in now"

    network: FillModel

    def __init__(self, folder: RunFolder, *, check: bool) -> None:
        super().__init__(folder, check=check)
        settings, device = self.settings, self.settings.torch_device
        sampled = settings.sampled
        if sampled is None:
            sampled = 0 if self.symbols.size <= FEW_WORDS else SAMPLED
        self.sampled = min(sampled, self.symbols.size - 1)
        counts = np.bincount(self.text.training, minlength=self.symbols.size)
        # The scores begin at the shares of the symbols, as the rest of them begins near 0.
        with torch.no_grad():
            self.network.bias.copy_(torch.from_numpy(np.log(np.maximum(counts, 1) / counts.sum())))
        # Frequent words are drawn less often than they occur (Mikolov et al. 2013), and every word can be drawn.
        self.frequency = torch.from_numpy(np.maximum(counts, 1) ** 0.75).float().to(device)
        self.batches = PieceBatches(
            self.text.training,
            lanes=settings.lanes,
            window=min(settings.window, len(self.text.training)),
            loss=self._loss,
            seed=settings.seed,
            device=device,
        )
        self.measure = self.validation_measure = Measure("word")
        self.baseline = self.naive

    def _loss(self, model: nn.Module, symbols: Tensor) -> Tensor:
        network = cast(FillModel, model)
        if self.sampled:
            return sampled_loss(network, symbols, self.frequency, self.sampled)
        places = network.places(symbols).flatten(0, 1)
        return linear_cross_entropy(places, network.embedding.weight, network.bias, symbols.flatten())

    def validate(self) -> float:
        return self._nats(self.validation[:VALIDATED_ON])

    def sample(self, step: int) -> str:  # noqa: ARG002
        """The likeliest words for a word that is hidden in a short piece of the validation text."""
        piece = self.symbols.decode(self.validation[: min(24, len(self.validation))].tolist())
        words = piece.split()
        if len(words) < 3:
            return piece
        hidden = len(words) // 2
        text = " ".join([*words[:hidden], "___", *words[hidden + 1 :]])
        (blank,) = fill(self.network, self.symbols, text, count=SHOWN).blanks
        likely = ", ".join(f"{word} {probability:.0%}" for word, probability in blank)
        return f"{text}\n  {likely}; it was: {words[hidden]}"

    def remarks(self) -> list[str]:
        lines = []
        if self.sampled:
            lines.append(
                f"in training each word is compared with {self.sampled:,} others that are drawn anew at each step, so "
                f"that the training loss is lower than the validation loss; validation compares it with all"
            )
        if self.text.training_tally.unknown or self.text.validation_tally.unknown:
            training, validation = self.text.training_tally, self.text.validation_tally
            lines.append(
                f"words beyond the vocabulary: {training.unknown / training.tokens:.1%} of the training text, "
                f"{validation.unknown / validation.tokens:.1%} of the validation text; they count as one word"
            )
        return lines

    def judge(self) -> Judgement:
        """Judges the best model on the validation text, beside counts of pairs."""
        text = self.validation[:JUDGED_ON]
        counts = neighbour_baseline.count(self.text.training, self.symbols.size)
        nats, both, bigram = self._nats(text), counts.nats(text), counts.bigram_nats(text)
        advice = f"{longer(self.settings)}, or give more text"
        record = {"final": nats, "tokens": len(text), "both_neighbours": both, "bigram": bigram}
        lines = (
            f"best model: perplexity {math.exp(nats):.2f} of a hidden word on {len(text):,} {self.symbols.level}s of "
            f"the validation text",
            f"{neighbour_baseline.NAME}: {math.exp(both):.2f}; pairs with the word before (bigram): "
            f"{math.exp(bigram):.2f}",
            str(by_loss(neighbour_baseline.NAME, nats, both, least=LEVEL, advice=advice)),
        )
        return Judgement(record, lines)

    def _nats(self, text: np.ndarray) -> float:
        return hidden_words.total_nats(self.network, text) / len(text)


def open_run(folder: RunFolder, prepared: Prepared | None = None) -> TextRun:
    """See `carousel.training.task_run.OpenRun`."""
    kind = FillRun if folder.config()["settings"].get("fill") else LanguageRun
    return kind(folder, check=prepared is None)
