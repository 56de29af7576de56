"""The training loop, for any model and any batches."""

from dataclasses import asdict
from typing import Any

import torch
from torch import nn

from carousel.training.batch_source import BatchSource
from carousel.training.checkpoint import require_checkpoint_of
from carousel.training.schedule import TrainingPlan, learning_rate


class Loop:
    """The state of a training, and its step: compute the loss on the next batch, clip its gradients to the norm
    `clip`, and update the parameters with AdamW at the scheduled learning rate.

    peak_rate: the highest learning rate of the schedule; see `learning_rate`.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: BatchSource,
        *,
        peak_rate: float,
        weight_decay: float = 0.01,
        clip: float = 1.0,
        device: torch.device | str = "cpu",
    ) -> None:
        self.model = model
        self.batches = batches
        self.peak_rate = peak_rate
        self.clip = clip
        self.device = torch.device(device)
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=peak_rate, betas=(0.9, 0.99), weight_decay=weight_decay, fused=True
        )
        self.steps = 0
        self.plan: TrainingPlan | None = None
        # Sums of losses stay on the device until they are shown: to read one back waits for the device.
        self.loss_sum = torch.zeros((), device=self.device)
        self.loss_count = 0
        self.recent_loss = torch.zeros((), device=self.device)

    @property
    def finished(self) -> bool:
        return self.plan is not None and self.steps >= self.plan.steps

    @property
    def sound(self) -> bool:
        """Whether the losses so far and all weights are finite. Waits for the device."""
        tensors = (self.recent_loss, *self.model.parameters())
        return bool(torch.stack([tensor.detach().isfinite().all() for tensor in tensors]).all())

    @property
    def epochs(self) -> float:
        """How many times the data have been read so far."""
        return self.batches.units_read / self.batches.units_per_epoch

    def step(self) -> None:
        """Makes one training step."""
        rate = learning_rate(self.steps, self.peak_rate, self.plan)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = self.batches.next_loss(self.model)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        self.optimizer.step()
        self.steps += 1
        value = loss.detach()
        self.loss_sum += value
        self.loss_count += 1
        self.recent_loss.lerp_(value, max(0.02, 1 / self.steps))

    def take_mean_loss(self) -> float:
        """The mean loss of the steps since the last call. Waits for the device."""
        mean = (self.loss_sum / self.loss_count).item()
        self.loss_sum = torch.zeros_like(self.loss_sum)
        self.loss_count = 0
        return mean

    def state_dict(self) -> dict[str, Any]:
        """Everything the next step depends on, and nothing else."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "lessons": self.batches.state_dict(),
            "steps": self.steps,
            "plan": None if self.plan is None else asdict(self.plan),
            "loss_sum": self.loss_sum,
            "loss_count": self.loss_count,
            "recent_loss": self.recent_loss,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state(self.device) if self.device.type == "cuda" else None,
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Goes on from a saved state. Raises ValueError, and loads nothing, where `saved` is of another training."""
        require_checkpoint_of(self, saved)
        self.model.load_state_dict(saved["model"])
        # The options of the optimizer stay: another version of torch may name them differently.
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": saved["optimizer"]["state"], "param_groups": groups})
        self.batches.load_state_dict(saved["lessons"])
        self.steps = saved["steps"]
        self.plan = None if saved["plan"] is None else TrainingPlan(**saved["plan"])
        self.loss_sum = saved["loss_sum"].to(self.device)
        self.loss_count = saved["loss_count"]
        self.recent_loss = saved["recent_loss"].to(self.device)
        torch.set_rng_state(saved["random"])
        if saved["random_cuda"] is not None and self.device.type == "cuda":
            torch.cuda.set_rng_state(saved["random_cuda"], self.device)
