"""Small changes to training examples that leave their class alone, drawn anew at every step."""

from dataclasses import dataclass

import torch
from torch import Tensor

from carousel.models.places import read_at

PACES = 4  # positions in a sequence at which its pace is drawn


@dataclass(frozen=True)
class Augmentation:
    """What is done, in training only, to standardised steps (T, B, C), or to symbols (T, B).

    noise: σ of normal noise added to every number, in standard deviations of its channel.
    level: σ of a normal number added to all of a sequence: of log-mel frames, loudness.
    time_masks, band_masks: how many stretches of time, and of neighbouring channels, are set to their mean, each of up
        to `time_share` of the steps and `band_share` of the channels (SpecAugment, Park et al. 2019, without warping).
    bend: how uneven the pace of a sequence becomes: e^(bend · normal) at PACES positions, in between by straight
        lines, and the sequence is read at that pace from its first step to its last (Um et al. 2017: time warping).
    pace: σ of the logarithm of what its length is multiplied by.
    size: σ of the logarithm of what all its numbers are multiplied by.
    forget: the probability that a symbol becomes the unknown one, 0 (word dropout).
    """

    noise: float = 0.0
    level: float = 0.0
    time_masks: int = 0
    time_share: float = 0.1
    band_masks: int = 0
    band_share: float = 0.2
    bend: float = 0.0
    pace: float = 0.0
    size: float = 0.0
    forget: float = 0.0

    def of_steps(self, e: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """The steps, and how many of each row are real now."""
        if self.bend or self.pace:
            e, lengths = warped(e, lengths, bend=self.bend, pace=self.pace)
        steps, batch, channels = e.shape
        if self.size:
            e = e * torch.exp(self.size * torch.randn(batch, 1, device=e.device))
        if self.level:
            e = e + self.level * torch.randn(batch, 1, device=e.device)
        if self.noise:
            e = e + self.noise * torch.randn_like(e)
        for _ in range(self.time_masks):
            e = e.masked_fill(_stretch(steps, lengths.to(e.device), self.time_share).unsqueeze(-1), 0.0)
        for _ in range(self.band_masks):
            widths = torch.full((batch,), channels, device=e.device)
            e = e.masked_fill(_stretch(channels, widths, self.band_share).T, 0.0)
        return e, lengths

    def of_symbols(self, x: Tensor) -> Tensor:
        return x.masked_fill(torch.rand(x.shape, device=x.device) < self.forget, 0) if self.forget else x


def warped(e: Tensor, lengths: Tensor, *, bend: float, pace: float) -> tuple[Tensor, Tensor]:
    """Reads each sequence at an uneven pace; see `Augmentation`. Values between two steps are interpolated linearly.
    The first and the last step stay."""
    steps, batch, _ = e.shape
    if not steps:
        return e, lengths
    old = lengths.to(e.device)
    new = (old * torch.exp(pace * torch.randn(batch, device=e.device))).round().long()
    new = torch.minimum(new, 2 * old).maximum(old.clamp(max=2))
    step = torch.arange(int(new.max()), device=e.device).unsqueeze(-1)  # (T', 1)
    last = (new - 1).clamp(min=1)
    knots = torch.exp(bend * torch.randn(PACES, batch, device=e.device))
    way = read_at(knots, (step / last).clamp(max=1) * (PACES - 1)).cumsum(0)
    way = way - way[0]
    source = way / way.gather(0, last.clamp(max=len(way) - 1).unsqueeze(0)).clamp(min=1e-9) * (old - 1).clamp(min=0)
    moved = read_at(e, torch.minimum(source, (old - 1).clamp(min=0)))
    return moved.masked_fill((step >= new).unsqueeze(-1), 0.0), new.to(lengths.device)


def _stretch(size: int, lengths: Tensor, share: float) -> Tensor:
    """A mask, (size, B) bool, with one stretch of True in each column, which starts and ends anywhere within the length
    and is at most `share` of it.
    """
    longest = share * lengths
    width = torch.rand(len(lengths), device=lengths.device) * (longest + 1)
    start = torch.rand(len(lengths), device=lengths.device) * (lengths - width).clamp(min=0)
    position = torch.arange(size, device=lengths.device).unsqueeze(-1)
    return (position >= start.floor()) & (position < (start.floor() + width.floor()))
