"""Pooling: turns the outputs of all steps into one vector for the whole sequence.

Each way of pooling is a module with two forms that agree: a call with all outputs of a batch, and `running()`, which
takes one output after another and returns at any time the result for the outputs so far.
"""

from typing import Protocol

import torch
from torch import Tensor, nn


class Running(Protocol):
    def push(self, output: Tensor) -> None:
        """Takes the output of the next step, (B, W)."""

    def value(self) -> Tensor:
        """The pooled vector of the steps so far, (B, W); zero before the first step."""


class Pooling(nn.Module):
    """A way of pooling: (outputs, final, present) -> (B, W).

    outputs: (T, B, W). final: (B, W), the last states. present: (T, B) bool, True at real steps. A sequence without
    steps gives zero.
    """

    def running(self, batch: int, device: torch.device | str = "cpu") -> Running:
        raise NotImplementedError


class Last(Pooling):
    """p = h_T; for a bidirectional layer the last states of both directions side by side, h_T and h_1."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, outputs: Tensor, final: Tensor, present: Tensor) -> Tensor:  # noqa: ARG002
        return final * present.any(0).unsqueeze(-1)

    def running(self, batch: int, device: torch.device | str = "cpu") -> Running:
        return _RunningLast(torch.zeros(batch, self.width, device=device))


class _RunningLast:
    def __init__(self, start: Tensor) -> None:
        self._value = start

    def push(self, output: Tensor) -> None:
        self._value = output

    def value(self) -> Tensor:
        return self._value


class Mean(Pooling):
    """p = 1/T Σ_t h_t"""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, outputs: Tensor, final: Tensor, present: Tensor) -> Tensor:  # noqa: ARG002
        total = (outputs * present.unsqueeze(-1)).sum(0)
        return total / present.sum(0).clamp(min=1).unsqueeze(-1)

    def running(self, batch: int, device: torch.device | str = "cpu") -> Running:
        return _RunningMean(torch.zeros(batch, self.width, dtype=torch.float64, device=device))


class _RunningMean:
    def __init__(self, start: Tensor) -> None:
        self._sum, self._count = start, 0

    def push(self, output: Tensor) -> None:
        self._sum = self._sum + output
        self._count += 1

    def value(self) -> Tensor:
        return (self._sum / max(1, self._count)).float()


class Max(Pooling):
    """p = max_t h_t for each unit (Collobert and Weston 2008: max over time)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, outputs: Tensor, final: Tensor, present: Tensor) -> Tensor:  # noqa: ARG002
        if len(outputs) == 0:
            return outputs.new_zeros(outputs.shape[1:])
        highest = outputs.masked_fill(~present.unsqueeze(-1), -torch.inf).amax(0)
        return highest.masked_fill(~present.any(0).unsqueeze(-1), 0.0)

    def running(self, batch: int, device: torch.device | str = "cpu") -> Running:
        return _RunningMax(torch.full((batch, self.width), -torch.inf, device=device))


class _RunningMax:
    def __init__(self, start: Tensor) -> None:
        self._value = start

    def push(self, output: Tensor) -> None:
        self._value = torch.maximum(self._value, output)

    def value(self) -> Tensor:
        return self._value.masked_fill(self._value.isneginf(), 0.0)


class Attention(Pooling):
    """A weighted mean whose weights are learned (Yang et al. 2016, equations 5 to 7):

    u_t = tanh(W h_t + b)     a_t = exp(u · u_t) / Σ_s exp(u · u_s)     p = Σ_t a_t h_t
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.hidden = nn.Linear(width, width)
        self.context = nn.Linear(width, 1, bias=False)

    def weigh(self, outputs: Tensor) -> Tensor:
        """u · u_t, (..., 1)."""
        return self.context(torch.tanh(self.hidden(outputs)))

    def forward(self, outputs: Tensor, final: Tensor, present: Tensor) -> Tensor:  # noqa: ARG002
        lowest = torch.finfo(outputs.dtype).min
        weights = outputs.new_full(present.shape, lowest)
        weights[present] = self.weigh(outputs[present]).squeeze(-1)  # padding may be most of a ragged batch
        return ((torch.softmax(weights, 0) * present).unsqueeze(-1) * outputs).sum(0)

    def running(self, batch: int, device: torch.device | str = "cpu") -> Running:
        return _RunningAttention(self, batch, device)


class _RunningAttention:
    """The weighted mean so far: numerator and denominator, both divided by e^highest so that neither overflows."""

    def __init__(self, attention: Attention, batch: int, device: torch.device | str) -> None:
        self._weigh = attention.weigh
        self._highest = torch.full((batch, 1), -torch.inf, device=device)
        self._sum = torch.zeros(batch, attention.width, dtype=torch.float64, device=device)
        self._weight = torch.zeros(batch, 1, dtype=torch.float64, device=device)

    @torch.no_grad()
    def push(self, output: Tensor) -> None:
        weight = self._weigh(output)
        highest = torch.maximum(self._highest, weight)
        before, now = torch.exp((self._highest - highest).double()), torch.exp((weight - highest).double())
        self._sum = before * self._sum + now * output
        self._weight = before * self._weight + now
        self._highest = highest

    def value(self) -> Tensor:
        return (self._sum / self._weight.clamp(min=torch.finfo(torch.float64).tiny)).float()


HEADS: dict[str, type[Last] | type[Mean] | type[Max] | type[Attention]] = {
    "last": Last,
    "mean": Mean,
    "max": Max,
    "attention": Attention,
}
