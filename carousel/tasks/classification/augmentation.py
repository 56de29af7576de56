"""Small changes to training examples that leave their class alone, drawn anew at every step."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Augmentation:
    """What is done, in training only, to standardised steps (T, B, C), or to symbols (T, B).

    noise: σ of normal noise added to every number, in standard deviations of its channel.
    level: σ of a normal number added to all of a sequence: of log-mel frames, loudness.
    time_masks, band_masks: how many stretches of time, and of neighbouring channels, are set to their mean, each of up
        to `time_share` of the steps and `band_share` of the channels (SpecAugment, Park et al. 2019, without warping).
    forget: the probability that a symbol becomes the unknown one, 0 (word dropout).
    """

    noise: float = 0.0
    level: float = 0.0
    time_masks: int = 0
    time_share: float = 0.1
    band_masks: int = 0
    band_share: float = 0.2
    forget: float = 0.0

    def of_steps(self, e: Tensor, lengths: Tensor) -> Tensor:
        steps, batch, channels = e.shape
        if self.level:
            e = e + self.level * torch.randn(batch, 1, device=e.device)
        if self.noise:
            e = e + self.noise * torch.randn_like(e)
        for _ in range(self.time_masks):
            e = e.masked_fill(_stretch(steps, lengths.to(e.device), self.time_share).unsqueeze(-1), 0.0)
        for _ in range(self.band_masks):
            widths = torch.full((batch,), channels, device=e.device)
            e = e.masked_fill(_stretch(channels, widths, self.band_share).T, 0.0)
        return e

    def of_symbols(self, x: Tensor) -> Tensor:
        return x.masked_fill(torch.rand(x.shape, device=x.device) < self.forget, 0) if self.forget else x


def _stretch(size: int, lengths: Tensor, share: float) -> Tensor:
    """(size, B) bool: in each column a stretch that starts and ends anywhere within the length, up to `share` of it."""
    longest = share * lengths
    width = torch.rand(len(lengths), device=lengths.device) * (longest + 1)
    start = torch.rand(len(lengths), device=lengths.device) * (lengths - width).clamp(min=0)
    places = torch.arange(size, device=lengths.device).unsqueeze(-1)
    return (places >= start.floor()) & (places < (start.floor() + width.floor()))
