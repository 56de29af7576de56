"""The loss of an ensemble of networks, each of which leaves out the fold that it is judged on."""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from carousel.models.label_model import Ensemble, LabelModel
from carousel.tasks.classification.augmentation import Augmentation
from carousel.tasks.sequences.steps import StoredSteps


class Learning:
    """The loss of N sequences on a batch of them, and on those that were held out.

    labels: index of the class of each sequence, (N,) int64. folds: index of the network that each is held out from,
    (N,) int64, -1 for none. class_weights: (K,), or None. learnt: indices of the sequences that at least one network
    learns from; held: of those that one holds out.
    """

    def __init__(
        self,
        steps: StoredSteps,
        labels: np.ndarray,
        folds: np.ndarray,
        *,
        augmentation: Augmentation,
        class_weights: Tensor | None,
        label_smoothing: float,
        device: torch.device,
    ) -> None:
        self.steps, self.labels, self.folds = steps, labels, folds
        self.augmentation, self.label_smoothing, self.device = augmentation, label_smoothing, device
        self.class_weights = None if class_weights is None else class_weights.to(device)
        members = int(folds.max()) + 1
        # What at least one network learns from: all, unless there is but one network.
        self.learnt = np.arange(len(steps)) if members > 1 else np.flatnonzero(folds != 0)
        self.held = np.flatnonzero(folds >= 0)

    def loss(self, model: nn.Module, chosen: Tensor) -> Tensor:
        """The mean cross-entropy in nats over all networks, each on the sequences of the batch that it does not hold
        out.

        chosen: indices into `learnt`, (batch,) int64.
        """
        assert isinstance(model, Ensemble)
        numbers = self.learnt[chosen.numpy()]
        losses, count = [], 0
        for k, member in enumerate(model.members):
            mine = numbers[self.folds[numbers] != k]
            if len(mine):
                losses.append(self._loss(member, mine) * len(mine))
                count += len(mine)
        return torch.stack(losses).sum() / count

    def _loss(self, member: LabelModel, numbers: np.ndarray) -> Tensor:
        x, lengths = self.steps.batch(numbers, self.device)
        e = member.read(self.augmentation.of_symbols(x) if member.embedding is not None else x)
        if member.embedding is None:
            e, lengths = self.augmentation.of_steps(e, lengths)
        truth = torch.from_numpy(self.labels[numbers]).to(self.device)
        return functional.cross_entropy(
            member.score(e, lengths), truth, weight=self.class_weights, label_smoothing=self.label_smoothing
        )

    @torch.inference_mode()
    def held_out(self, model: Ensemble) -> np.ndarray:
        """Log-probabilities of the K classes for each of the N sequences, (N, K).

        Each sequence is scored by the network that did not train on it; NaN if all networks did.
        """
        answers = np.full((len(self.steps), model.members[0].head.out_features), np.nan)
        was_training = model.training
        model.eval()
        for k, member in enumerate(model.members):
            for numbers in self.steps.batches(np.flatnonzero(self.folds == k)):
                scores = member(*self.steps.batch(numbers, self.device))
                answers[numbers] = functional.log_softmax(scores.float(), -1).cpu().numpy()
        model.train(was_training)
        return answers
