"""Convolutions that nobody trains, and their vote: what they find goes to the classes by one linear map."""

from collections.abc import Sequence
from itertools import combinations
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

TAPS = 9  # steps that a kernel reads
KERNELS = tuple(combinations(range(TAPS), 3))  # the taps of each that weigh 2; the others weigh -1
AT_ONCE = 1 << 15  # steps of sequences, padding included
GOLDEN = (5**0.5 - 1) / 2


class FixedConvolutions(nn.Module):
    """The shares of time at which fixed kernels find their shape: MiniRocket (Dempster, Schmidt and Webb 2021).

        z_j = mean of (x_t - mean) / scale over the steps t = s j ... s j + s - 1,      0 after the end
        o_j = Σ_c used_c Σ_i w_i z_(j - (8 - i) d, c)           i = 0 ... 8, three of the w_i are 2, six are -1
        share = (frames j with o_j > b) / frames

    for each of the 84 kernels w, each dilation d and each threshold b, so there are 84 · len(dilations) · thresholds
    shares. s is `stride`. A sequence has `points` frames, more where it is longer; after its end it is 0, so a share
    tells how long it is, too. Every second kernel leaves out the 8 d frames that lack steps before the first. `used`
    says which channels a kernel reads, and the thresholds b are quantiles of o over training sequences: see `fit`.
    """

    mean: Tensor
    scale: Tensor
    used: Tensor
    thresholds: Tensor

    def __init__(
        self, channels: int, *, dilations: Sequence[int], thresholds: int, points: int, stride: int = 1
    ) -> None:
        super().__init__()
        if channels < 1 or thresholds < 1 or points < 1 or stride < 1 or min(dilations, default=0) < 1:
            raise ValueError(
                "fixed convolutions have channels, dilations, thresholds, points and a stride, all 1 or more"
            )
        self.dilations, self.points, self.stride = tuple(dilations), points, stride
        self.register_buffer("mean", torch.zeros(channels, dtype=torch.float64))
        self.register_buffer("scale", torch.ones(channels, dtype=torch.float64))
        self.register_buffer("used", torch.ones(len(dilations), len(KERNELS), channels))
        self.register_buffer("thresholds", torch.zeros(len(dilations), len(KERNELS), thresholds))

    @property
    def width(self) -> int:
        return self.thresholds.numel()

    @torch.no_grad()
    def fit(self, x: Tensor, lengths: Tensor, *, seed: int) -> None:
        """Takes mean and scale, the channels that each kernel reads, and the thresholds from these sequences,
        (T, N, inputs)."""
        rng = np.random.default_rng(seed)
        present = torch.arange(len(x)).unsqueeze(-1) < lengths
        steps = x[..., : len(self.mean)][present].double()
        self.mean.copy_(steps.mean(0))
        off = steps - self.mean
        furthest = off.abs().amax(0)  # squares of what is divided by it stay within range, in any units
        deviation = furthest * (off / furthest.where(furthest > 0, 1.0)).square().mean(0).sqrt()
        self.scale.copy_(deviation.where(deviation > 0, 1.0))
        self.used.copy_(torch.from_numpy(_channels_read(len(self.dilations), len(self.mean), rng)))
        some = rng.permutation(x.shape[1])[: max(1, AT_ONCE // max(self.points, 1))]
        z, frames = self._frames(x[:, some], lengths[some])
        at = torch.from_numpy(np.arange(1, self.width + 1) * GOLDEN % 1).to(z).view_as(self.thresholds)
        for k in range(len(self.dilations)):
            found, there = self._found(z, k), self._there(z, frames, k)
            for kernel in range(len(KERNELS)):
                values = found[:, kernel][there[:, kernel % 2]].sort().values
                if len(values) > 1:  # between two of them: none lies on a threshold, where rounding would decide
                    below = (at[k, kernel] * (len(values) - 1)).long()
                    self.thresholds[k, kernel] = (values[below] + values[below + 1]) / 2

    @torch.no_grad()
    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """The shares, (B, width), of x, (T, B, inputs), of which the first channels are read; lengths (B)."""
        longest = max(self.points, -(-len(x) // self.stride))
        rows = max(1, AT_ONCE // longest)
        parts = [self._shares(x[:, k : k + rows], lengths[k : k + rows]) for k in range(0, x.shape[1], rows)]
        return torch.cat(parts) if parts else self.thresholds.new_zeros(0, self.width)

    def _shares(self, x: Tensor, lengths: Tensor) -> Tensor:
        z, frames = self._frames(x, lengths)
        parity = torch.arange(len(KERNELS), device=z.device) % 2
        shares = []
        for k in range(len(self.dilations)):
            found, there = self._found(z, k), self._there(z, frames, k)
            count = there.sum(2).clamp(min=1)[:, parity]
            counted = there[:, parity]
            above = [((found > b[:, None]) & counted).sum(2) / count for b in self.thresholds[k].T]
            shares.append(torch.stack(above, 2).flatten(1))
        return torch.cat(shares, 1)

    def _frames(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """z, (B, C, frames), and how many frames each row has, (B)."""
        lengths = lengths.to(x.device)
        present = torch.arange(len(x), device=x.device).unsqueeze(-1) < lengths
        z = (x[..., : len(self.mean)] - self.mean) / self.scale * present.unsqueeze(-1)
        z = z.to(self.thresholds.dtype).permute(1, 2, 0)
        frames = (-(-lengths // self.stride)).clamp(min=self.points)
        z = functional.pad(z, (0, int(frames.max()) * self.stride - z.shape[2]))
        return z.unflatten(2, (-1, self.stride)).mean(3), frames

    def _found(self, z: Tensor, k: int) -> Tensor:
        """o of the k-th dilation, (B, kernels, frames)."""
        frames, dilation = z.shape[2], self.dilations[k]
        late = functional.pad(z, ((TAPS - 1) * dilation, 0))
        taps = torch.stack(
            [late[:, :, i * dilation : i * dilation + frames] for i in range(TAPS)]
        )  # (taps, B, C, frames)
        if z.shape[1] == 1:
            taps = taps[:, :, 0]
            rest = -taps.sum(0)
            return torch.stack([rest + 3 * (taps[a] + taps[b] + taps[c]) for a, b, c in KERNELS], 1)
        weights = torch.full((len(KERNELS), TAPS), -1.0, device=z.device)
        weights.scatter_(1, torch.tensor(KERNELS, device=z.device), 2.0)
        return torch.einsum("kci,ibct->bkt", self.used[k][:, :, None] * weights[:, None], taps)

    def _there(self, z: Tensor, frames: Tensor, k: int) -> Tensor:
        """Which frames count for kernels of even number, and for those of odd number, (B, 2, frames)."""
        index = torch.arange(z.shape[2], device=z.device)
        real = index < frames[:, None]
        return torch.stack([real, real & (index >= (TAPS - 1) * self.dilations[k])], 1)


class FixedVote(nn.Module):
    """A vote of fixed convolutions beside that of trained networks.

        s = W (f - centre) / spread + C           of the shares f, W by ridge regression, (B, classes)
        P = (1 - m) P_networks + m softmax(τ s)

    share, m, and sharpness, τ, are chosen on sequences held out. 0 and 1 at first: the networks alone.
    """

    centre: Tensor
    spread: Tensor
    weight: Tensor
    bias: Tensor
    share: Tensor
    sharpness: Tensor

    def __init__(self, classes: int, **shape: object) -> None:
        super().__init__()
        self.convolutions = FixedConvolutions(**shape)  # type: ignore[arg-type]
        width = self.convolutions.width
        self.register_buffer("centre", torch.zeros(width, dtype=torch.float64))
        self.register_buffer("spread", torch.ones(width, dtype=torch.float64))
        self.register_buffer("weight", torch.zeros(classes, width))
        self.register_buffer("bias", torch.zeros(classes))
        self.register_buffer("share", torch.zeros((), dtype=torch.float64))
        self.register_buffer("sharpness", torch.ones((), dtype=torch.float64))

    def forward(self, logs: Tensor, x: Tensor, lengths: Tensor) -> Tensor:
        """ln P, (B, classes), of the networks' ln P; x and lengths as of the networks."""
        if not self.share:
            return logs
        f = (cast(Tensor, self.convolutions(x, lengths)).double() - self.centre) / self.spread
        return mixed(
            logs, functional.linear(f.to(self.weight.dtype), self.weight, self.bias), self.share, self.sharpness
        )


def mixed(logs: Tensor, scores: Tensor, share: Tensor | float, sharpness: Tensor | float) -> Tensor:
    """ln((1 - m) P + m softmax(τ s)), as precise as `logs`."""
    m = torch.as_tensor(share, dtype=torch.float64, device=logs.device)
    mine = functional.log_softmax(sharpness * scores.double(), -1)
    return torch.logaddexp(torch.log1p(-m) + logs.double(), torch.log(m) + mine).to(logs.dtype)


def _channels_read(dilations: int, channels: int, rng: np.random.Generator) -> np.ndarray:
    """1 for each channel that a kernel reads, (dilations, kernels, channels): from one to nine of them, few more often
    than many (uniform in the logarithm)."""
    used = np.zeros((dilations, len(KERNELS), channels), np.float32)
    for kernel in used.reshape(-1, channels):
        count = int(2 ** rng.uniform(0, np.log2(min(channels, 9) + 1)))
        kernel[rng.choice(channels, max(1, min(count, channels)), replace=False)] = 1
    return used
