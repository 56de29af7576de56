"""Convolutions over time beside a recurrence. They find shapes in a sequence, wherever the shapes occur."""

from collections.abc import Iterator
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from carousel.models.places import stretched

KERNELS = (8, 5, 3)  # steps, of the three convolutions (Wang et al. 2017)


class Convolutions(nn.Module):
    """Three convolutions over a sequence of T steps, pooled to one vector (LSTM-FCN: Karim et al. 2018, 2019).

        a⁰_t = e_t                                                    the input of step t,                    (I)
        aᵏ_j = relu(norm(Σ_i  Wᵏ_i aᵏ⁻¹_(j·s + i - left)))            i = 0 ... K_k - 1,                      (C)
        p = [mean_j a³_j ; max_j a³_j ; mean_j σ(4 (a³_j - 1/2))]     over all frames,                        (3 C)

    s is `stride` in the first convolution and 1 in the others, so there are ceil(T / s) frames j, one for each of the
    steps 0, s, 2 s, ... The last third of p is the share of frames in which a unit is positive, as in ROCKET (Dempster
    et al. 2020) but differentiable. Steps before the first, steps after the last and padding are zero for every
    convolution, and `norm` and p leave them out. So a row of a ragged batch has the same result as alone, except for
    the statistics of `norm` in training. A sequence without steps has p = 0.

    causal: whether frame j reads no step after step j · s (left = K - 1), so that `running()` can follow a sequence as
    it arrives. Otherwise frame j reads as many steps before as after it (left = (K - 1) // 2).
    K is KERNELS, where the first is `stride` times as long.

    points: every sequence is first stretched to this many steps by linear interpolation, so that slow and fast ones
    look alike; 0: not stretched. It excludes causal, since the length of a sequence is known only at its end.
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
        """Returns p, (B, 3 C). e: (T, B, I). lengths: (B), the number of real steps of each row."""
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
        # Steps that do not count are 0, and relu gives no value below 0, so the maximum ignores them.
        return torch.cat([a.sum(2) / count, a.amax(2), (_on(a) * present).sum(2) / count], 1)

    def layers(self) -> Iterator[tuple[nn.Conv1d, "MaskedNorm"]]:
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            yield cast(nn.Conv1d, convolution), cast(MaskedNorm, norm)

    def running(self, device: torch.device | str = "cpu") -> "RunningConvolutions":
        """An object that reads one sequence as it arrives. Raises ValueError if the convolutions are not causal."""
        return RunningConvolutions(self, device)

    def _left(self, kernel: int) -> int:
        return kernel - 1 if self.causal else (kernel - 1) // 2


class RunningConvolutions:
    """Reads one sequence as it arrives. It holds the steps that the next frame of each convolution needs, and the sums
    of p."""

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
        """Reads the next step, (I)."""
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
        """p for the steps so far, (1, 3 C)."""
        mean, on = (self._sums / max(1, self._frames)).float()
        return torch.cat([mean, self._highest, on]).unsqueeze(0)

    def _remember(self, k: int, a: Tensor) -> None:
        self._held[k] = torch.cat([self._held[k][:, 1:], a.unsqueeze(1)], 1)


class MaskedNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015) over the real steps of a batch:

        y = w (x - μ) / sqrt(σ² + 1e-5) + b

    In training, μ and σ² are those of each channel over all real steps of the batch. In evaluation mode they are
    running averages, in which each new batch has a weight of 0.1. The first batch sets the averages.
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
        """The scale and shift of evaluation mode, (C) each: y = scale · x + shift."""
        scale = self.weight * torch.rsqrt(self.running_variance + 1e-5)
        return scale.detach(), (self.bias - self.running_mean * scale).detach()

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        share = torch.where(self.begun > 0, 0.1, 1.0).to(mean)
        self.running_mean.lerp_(mean, share)
        self.running_variance.lerp_(variance, share)
        self.begun.fill_(1.0)


def _on(a: Tensor) -> Tensor:
    """A smooth step: σ(4 (a - 1/2)), which is near 1 for a well above 1/2, and 0.12 for a = 0."""
    return torch.sigmoid(4 * (a - 0.5))
