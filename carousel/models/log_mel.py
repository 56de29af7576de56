"""Log-mel features: the energies of sound in bands that the ear tells apart, a hundred frames a second."""

import math

import numpy as np
import torch
from torch import Tensor, nn

LOWEST = 20.0  # Hz, where the first band begins
FLOOR = 1e-6  # added to every energy, so that the logarithm of silence is -13.8


class LogMel(nn.Module):
    """Turns samples (n,) into log-mel energies (frames, bands). At a rate of R samples a second:

        X_t[k] = Σ_j  hann[j] · x[t·hop + j] · e^(-2πi jk / N)           torch.stft without centring, j = 0 ... W - 1
        E_t[b] = Σ_k  F[b, k] · |X_t[k]|²                                 b = 0 ... bands - 1
        y_t[b] = ln(E_t[b] + 1e-6)

    W = window · R samples (25 ms), hop = 10 ms, and N is the smallest power of two >= 2 W. F are triangles on the mel
    scale m(f) = 2595 log10(1 + f / 700) (O'Shaughnessy 1987; the form HTK uses): with bands + 2 points f_0 ... at equal
    distances in mel from `low` Hz to R / 2,

        F[b, k] = max(0, min((f - f_b) / (f_b+1 - f_b), (f_b+2 - f) / (f_b+2 - f_b+1))),     f = k R / N

    Frame t needs no samples after t·hop + W, so that the first part of a sound has the first features of the whole
    sound. A sound shorter than one window is padded with zeros to one window; an empty sound has no frames.

    Raises ValueError if a band would be empty, because the rate is too low or there are too many bands.
    """

    filters: Tensor
    hann: Tensor

    def __init__(
        self, rate: int, *, bands: int = 40, window: float = 0.025, hop: float = 0.010, low: float = LOWEST
    ) -> None:
        super().__init__()
        self.rate, self.bands = rate, bands
        self.window, self.hop = max(1, round(window * rate)), max(1, round(hop * rate))
        self.size = 2 ** math.ceil(math.log2(2 * self.window))
        filters = mel_filters(rate, self.size, bands, low)
        if not filters.any(1).all():
            raise ValueError(f"{bands} mel bands are too many for a rate of {rate} Hz: some would hold no frequency")
        self.register_buffer("filters", torch.from_numpy(filters.astype(np.float32)), persistent=False)
        self.register_buffer("hann", torch.hann_window(self.window), persistent=False)

    @torch.no_grad()
    def forward(self, samples: Tensor) -> Tensor:
        """The log-mel energies of one sound, (frames, bands) float32.

        samples: (n,) float32, the sound at `rate` samples a second.
        """
        if 0 < len(samples) < self.window:
            samples = nn.functional.pad(samples, (0, self.window - len(samples)))
        if len(samples) == 0:
            return samples.new_zeros(0, self.bands)
        padded = self._padded(samples)
        spectrum = torch.stft(
            padded, self.size, self.hop, self.window, self.hann, center=False, onesided=True, return_complex=True
        )
        return torch.log(self.filters @ spectrum.abs().square() + FLOOR).T.contiguous()

    def _padded(self, samples: Tensor) -> Tensor:
        """Pads the samples for torch.stft, which needs N samples for each frame and puts a shorter window in their
        middle."""
        before = (self.size - self.window) // 2
        return nn.functional.pad(samples, (before, self.size - self.window - before))


def mel_filters(rate: int, size: int, bands: int, low: float) -> np.ndarray:
    """F of `LogMel`, (bands, size // 2 + 1) float64."""
    mel = 2595 * np.log10(1 + np.array([low, rate / 2]) / 700)
    points = 700 * (10 ** (np.linspace(mel[0], mel[1], bands + 2) / 2595) - 1)
    frequency = np.arange(size // 2 + 1) * rate / size
    rising = (frequency - points[:-2, None]) / (points[1:-1] - points[:-2])[:, None]
    falling = (points[2:, None] - frequency) / (points[2:] - points[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))
