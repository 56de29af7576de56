"""Convolutions over time beside a recurrence: what shapes a sequence has, wherever in it they are."""

from collections.abc import Iterator
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from carousel.models.places import stretched

KERNELS = (8, 5, 3)  # steps, of the three convolutions (Wang et al. 2017)


class Convolutions(nn.Module):
    """Three convolutions over a sequence of T steps and a vector for all of it (LSTM-FCN: Karim et al. 2018, 2019).

        a⁰_t = e_t                                                    what is read at step t,                 (I)
        aᵏ_j = relu(norm(Σ_i  Wᵏ_i aᵏ⁻¹_(j·s + i - left)))            i = 0 ... K_k - 1,                      (C)
        p = [mean_j a³_j ; max_j a³_j ; mean_j σ(4 (a³_j - 1/2))]     over the frames that there are,         (3 C)

    s is `stride` in the first convolution and 1 in the others, so there are ceil(T / s) frames j, one for each step
    0, s, 2 s ... The last third of p is how often a unit is on: the share of positive values of ROCKET (Dempster et
    al. 2020) with a gradient. Steps before the first, after the last, and padding are zero for every convolution, and
    are left out of `norm` and p: a row of a ragged batch gets what it gets alone, but for the statistics of `norm` in
    training. A sequence without steps has p = 0.

    causal: frame j needs no step after step j · s (left = K - 1), so that `running()` can follow a sequence as it
    arrives; otherwise it lies in the middle of the steps that it reads (left = (K - 1) // 2).
    K is KERNELS, the first of them `stride` times as long.

    points: every sequence is first stretched to so many steps, on straight lines between its own, so that slow and fast
    ones look alike; 0 for as it is. Only where not causal: how far to stretch is known at the end.
    """

    def __init__(self, inputs: int, channels: int, *, stride: int = 1, causal: bool = False, points: int = 0) -> None:
        super().__init__()
        if channels < 1 or stride < 1:
            raise ValueError(f"convolutions have channels and a stride of 1 or more, not {channels} and {stride}")
        if points and causal:
            raise ValueError("a sequence that arrives cannot be stretched: its end is not known")
        self.stride, self.causal, self.points = stride, causal, points
        kernels = (KERNELS[0] * stride, *KERNELS[1:])
        sizes = pairwise((inputs, channels, channels, channels))
        self.convolutions = nn.ModuleList(
            nn.Conv1d(i, o, kernel, stride=stride if k == 0 else 1, bias=False)
            for k, ((i, o), kernel) in enumerate(zip(sizes, kernels, strict=True))
        )
        self.norms = nn.ModuleList(MaskedNorm(channels) for _ in KERNELS)
        self.width = 3 * channels

    def forward(self, e: Tensor, lengths: Tensor) -> Tensor:
        """p, (B, 3 C), of e, (T, B, I), of which `lengths`, (B), say how many steps are real."""
        if not len(e):
            return e.new_zeros(len(lengths), self.width)
        if self.points:
            e, lengths = stretched(e, lengths, self.points)
        present = torch.arange(len(e), device=e.device) < lengths.to(e.device).unsqueeze(-1)
        a = e.permute(1, 2, 0) * present.unsqueeze(1)
        present = present[:, :: self.stride].unsqueeze(1)
        for convolution, norm in self.layers():
            kernel = convolution.kernel_size[0]
            left = self._left(kernel)
            a = convolution(functional.pad(a, (left, kernel - 1 - left)))
            a = torch.relu(norm(a, present)) * present
        count = present.sum(2).clamp(min=1)
        # What is left out is 0, and so is the least that relu leaves.
        return torch.cat([a.sum(2) / count, a.amax(2), (_on(a) * present).sum(2) / count], 1)

    def layers(self) -> Iterator[tuple[nn.Conv1d, "MaskedNorm"]]:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            yield cast(nn.Conv1d, convolution), cast(MaskedNorm, norm)

    def running(self, device: torch.device | str = "cpu") -> "RunningConvolutions":
        """One sequence, as it arrives. Raises ValueError for convolutions that are not causal."""
        return RunningConvolutions(self, device)

    def _left(self, kernel: int) -> int:
        return kernel - 1 if self.causal else (kernel - 1) // 2


class RunningConvolutions:
    """Holds, for each convolution, the steps that its next frame needs, and the sums of p so far."""

    def __init__(self, convolutions: Convolutions, device: torch.device | str) -> None:
        if not convolutions.causal:
            raise ValueError("convolutions that reach ahead need steps that have not arrived")
        self._stride, self._steps, self._frames = convolutions.stride, 0, 0
        self._layers: list[tuple[Tensor, Tensor, Tensor]] = []
        self._held: list[Tensor] = []
        for convolution, norm in convolutions.layers():
            self._layers.append((convolution.weight.detach().clone(), *norm.line()))
            self._held.append(torch.zeros(convolution.in_channels, convolution.kernel_size[0], device=device))
        channels = convolutions.width // 3
        self._sums = torch.zeros(2, channels, dtype=torch.float64, device=device)
        self._highest = torch.zeros(channels, device=device)

    @torch.no_grad()
    def push(self, e: Tensor) -> None:
        """The next step, (I)."""
        self._remember(0, e)
        self._steps += 1
        if (self._steps - 1) % self._stride:
            return
        a = e
        for k, (weight, scale, shift) in enumerate(self._layers):
            if k:
                self._remember(k, a)
            a = torch.relu((weight * self._held[k]).sum((1, 2)) * scale + shift)
        self._frames += 1
        self._sums += torch.stack([a, _on(a)])
        self._highest = torch.maximum(self._highest, a)

    def value(self) -> Tensor:
        """p of the steps so far, (1, 3 C)."""
        mean, on = (self._sums / max(1, self._frames)).float()
        return torch.cat([mean, self._highest, on]).unsqueeze(0)

    def _remember(self, k: int, a: Tensor) -> None:
        self._held[k] = torch.cat([self._held[k][:, 1:], a.unsqueeze(1)], 1)


class MaskedNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) over the steps of a batch that are real:

        y = w (x - μ) / sqrt(σ² + 1e-5) + b

    with μ and σ² of each channel over all real steps of the batch in training, and their running averages (each new
    one weighs a tenth) in evaluation mode. The first batch sets the averages.
    """

    running_mean: Tensor
    running_variance: Tensor
    begun: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_variance", torch.ones(channels))
        self.register_buffer("begun", torch.zeros(()))  # 1 after the first batch

    def forward(self, x: Tensor, present: Tensor) -> Tensor:
        """x (B, C, T); present (B, 1, T) bool."""
        if self.training:
            count = present.sum().clamp(min=1)
            mean = (x * present).sum((0, 2)) / count
            variance = ((x - mean[:, None]).square() * present).sum((0, 2)) / count
            self._follow(mean, variance)
        else:
            mean, variance = self.running_mean, self.running_variance
        scale = self.weight * torch.rsqrt(variance + 1e-5)
        return x * scale[:, None] + (self.bias - mean * scale)[:, None]

    def line(self) -> tuple[Tensor, Tensor]:
        """scale and shift of evaluation mode, y = scale · x + shift, (C) each."""
        scale = self.weight * torch.rsqrt(self.running_variance + 1e-5)
        return scale.detach(), (self.bias - self.running_mean * scale).detach()

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        share = torch.where(self.begun > 0, 0.1, 1.0).to(mean)
        self.running_mean.lerp_(mean, share)
        self.running_variance.lerp_(variance, share)
        self.begun.fill_(1.0)


def _on(a: Tensor) -> Tensor:
    """Near 1 where a unit is well above 0, near 0 (0.12) where it is 0."""
    return torch.sigmoid(4 * (a - 0.5))
