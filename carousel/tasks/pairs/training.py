"""The training of a model of pairs: batches, losses and samples from the pairs that a run folder holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from carousel.models.encoder_decoder import PADDING
from carousel.tasks.pairs import stored
from carousel.tasks.pairs.preparation import Prepared
from carousel.tasks.pairs.scoring import TextScores, sacrebleu, scores
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.pairs.trained import TrainedPairs
from carousel.tasks.pairs.written import padded, targets_of
from carousel.tasks.verdict import by_figure, longer
from carousel.training.length_batches import LengthBatches
from carousel.training.measure import Measure
from carousel.training.run_folder import RunFolder
from carousel.training.task_run import Judgement, TaskRun

VALIDATED_ON = 2_000  # pairs at most, while training and at the end
LEVEL = 0.5  # of chrF, or of 100 texts, by which a model must differ from its baseline
SHOWN = 3  # pairs in a sample


class PairsRun(TaskRun):
    """A training on the pairs in a run folder. check: whether the file of pairs is as it was written."""

    reads = "training pairs"
    samples = "on pairs held out: the source, what it writes, the target"

    settings: Settings
    network: Any

    def __init__(self, folder: RunFolder, *, check: bool) -> None:
        config = folder.config()
        with folder.reading_config():
            self.settings = settings = Settings(**config["settings"])
            torch.manual_seed(settings.seed)
            self.trained = TrainedPairs.described_by(folder, config, trained=False, device=str(settings.torch_device))
        if check:
            folder.data(stored.FILE, stored.WHAT)
        self.pairs = stored.StoredPairs.load(folder.path)
        self.network = self.trained.network
        self.network.set_dropout(settings.dropout or 0.0)
        self.recurrent = self.network.recurrent
        self.learnt = self._encoded(held=False)
        self.held = self._encoded(held=True, most=VALIDATED_ON)
        lengths = np.array([(len(y), len(x)) for x, y in zip(*self.learnt, strict=True)])
        self.batches = LengthBatches(lengths, lengths[:, 0] + 1, settings.batch or 1, self._loss, seed=settings.seed)
        self.measure = self.validation_measure = Measure(self.trained.target.level)
        self.baseline = (f"{self.trained.target.level} frequencies", self._entropy())

    def _encoded(self, *, held: bool, most: int | None = None) -> tuple[list[np.ndarray], list[np.ndarray]]:
        sources, targets = self.pairs.part(held)
        source, target = self.trained.source, self.trained.target
        return [source.steps(one) for one in sources[:most]], [target.encode(text) for text in targets[:most]]

    def _loss(self, model: nn.Module, chosen: Tensor) -> Tensor:
        x, lengths, y = self._batch(self.learnt, chosen.tolist())
        return self.trained.head.loss(model, x, lengths, y, self.settings)

    def _batch(self, side: tuple[list[np.ndarray], list[np.ndarray]], chosen: list[int]) -> tuple[Tensor, ...]:
        device = self.settings.torch_device
        x, lengths = padded([side[0][k] for k in chosen], 0)
        return x.to(device), lengths, targets_of([side[1][k] for k in chosen]).to(device)

    @torch.inference_mode()
    def validate(self) -> float:
        """The mean of -ln P(target | source) over the symbols and ends of the targets held out, in nats."""
        order = sorted(range(len(self.held[1])), key=lambda k: len(self.held[1][k]))
        was_training, nats, count = self.network.training, 0.0, 0
        self.network.eval()
        for start in range(0, len(order), 128):
            x, lengths, y = self._batch(self.held, order[start : start + 128])
            symbols = int((y != PADDING).sum())
            nats += float(self.network.loss(x, lengths, y)) * symbols
            count += symbols
        self.network.train(was_training)
        return nats / count

    def sample(self, step: int) -> str:  # noqa: ARG002
        """Some sources, with what the network writes for them and the targets."""
        sources, targets = self.pairs.part(held=True)
        found = self.trained.writing().write(sources[:SHOWN], self.trained.head.quick)
        texts = [one[0].text if one else "" for one in found]
        named = [self.trained.source.named(one, number) for number, one in enumerate(sources[:SHOWN])]
        return "\n".join(f"{x} → {text} ({y})" for x, text, y in zip(named, texts, targets, strict=False))

    def remarks(self) -> list[str]:
        return [] if sacrebleu() else ["BLEU and chrF are not measured: they need pip install 'carousel-rnn[text]'"]

    def judge(self) -> Judgement:
        """Judges what the best network writes, beside the naive baseline, on the same pairs held out."""
        sources, targets = (side[:VALIDATED_ON] for side in self.pairs.part(held=True))
        nats = self.validate()
        found = self.trained.writing().write(sources, self.trained.head.usual)
        mine = scores([one[0].text if one else "" for one in found], targets)
        source = self.trained.source
        memory = source.memory(*self.pairs.part(held=False))
        other = scores([memory.answer(one) for one in sources], targets)
        record = {"final": nats, "pairs": len(targets), "scores": vars(mine)}
        record["baselines"] = {source.baseline: vars(other)}
        lines = (
            f"best model: {self.measure.words(nats)}; {mine.words}, on {len(targets):,} pairs held out",
            f"{source.baseline}: {other.words}",
            said(mine, other, source.baseline, advice=f"{longer(self.settings)}, or give more pairs"),
        )
        return Judgement(record, lines)

    def _entropy(self) -> float:
        """The loss of a model that knows only how frequent each symbol is, in nats per symbol: mean -ln((n_s + 1) /
        (n + V)) over the targets held out."""
        learnt = np.concatenate([np.append(one, 0) for one in self.learnt[1]])
        held = np.concatenate([np.append(one, 0) for one in self.held[1]])
        counts = np.bincount(learnt, minlength=self.trained.target.size) + 1
        return float(-np.log(counts[held] / counts.sum()).mean())


def said(mine: TextScores, other: TextScores, baseline: str, *, advice: str) -> str:
    """Whether a model is better than the baseline, by chrF, or by the texts that are right as a whole."""
    name, figure, its = "chrF", mine.chrf, other.chrf
    if figure is None or its is None:
        name, figure, its = "texts that are right as a whole, in %", 100 * mine.exact, 100 * other.exact
    why = f"{name}: {figure:.1f} beside {its:.1f}"
    return str(by_figure(f"the {baseline}", figure - its, why, least=LEVEL, advice=advice))


def open_run(folder: RunFolder, prepared: Prepared | None = None) -> PairsRun:
    """See `carousel.training.task_run.OpenRun`."""
    return PairsRun(folder, check=prepared is None)
