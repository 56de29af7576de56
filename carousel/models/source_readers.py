"""What stands before an encoder: each reader makes steps from one kind of source."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor, nn


class SourceReader(Protocol):
    """A module that turns a batch of sources into steps.

    width: how many numbers a step has. dropped: whether dropout may zero elements of steps in training. A reader that
    changes its sources itself in training says no: both at once keep a network from learning what the sources show.
    """

    width: int
    dropped: bool

    def __call__(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the steps, (S, B, width), and the number of real steps of each source, (B)."""
        ...


class SymbolReader(nn.Module):
    """Reads texts: step s is E[x_s], the embedding of the symbol at s.

    symbols: the number of different symbols. embedding: the size of a step.
    """

    dropped = True

    def __init__(self, symbols: int, embedding: int) -> None:
        super().__init__()
        self.width = embedding
        self.embedding = nn.Embedding(symbols, embedding)
        nn.init.normal_(self.embedding.weight, std=embedding**-0.5)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """x: symbols, (S, B); lengths: (B)."""
        return self.embedding(x), lengths


class ImageReader(nn.Module):
    """Reads images: convolutions make a map of places, and the steps are its vectors, row by row.

        a_0 = x / 127.5 - 1
        a_k = relu(norm(conv_k(a_(k-1))))        3 x 3, stride 2, so that each map has half as many rows and columns
        step r · places + c  =  a_K[r, c]        K maps: as many as it takes to come to about `places` rows

    norm is that of batches (Ioffe and Szegedy 2015). The last map has `channels` channels, each map before it half as
    many. In training, each image is moved by up to `side` / 32 pixels each way, and white fills what is left free: the
    random numbers are those of torch.

    side: rows, and columns, of an image. colours: 1 or 3 numbers of a pixel. channels: W, the width of a step.
    places: about how many rows the map has, 4 or 8.
    """

    dropped = False

    def __init__(self, side: int, colours: int, channels: int, places: int = 4) -> None:
        super().__init__()
        maps = max(1, round(math.log2(side / places)))
        self.width, self.shift = channels, side // 32
        sizes = [colours, *(max(1, channels // 2 ** (maps - 1 - k)) for k in range(maps))]
        self.places = side
        for _ in range(maps):
            self.places = -(-self.places // 2)
        self.convolutions = nn.ModuleList(
            nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False) for i, o in pairwise(sizes)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(size) for size in sizes[1:])

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """x: bytes, (side, B, side, colours), rows first; lengths: (B), `side` each, or 0 for no image."""
        weight = next(self.parameters())
        a = x.permute(1, 3, 0, 2).to(weight.dtype) / 127.5 - 1
        if self.training and self.shift:
            a = self._moved(a)
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            a = torch.relu(norm(convolution(a)))
        steps = a.flatten(2).permute(2, 0, 1)
        return steps, torch.where(lengths > 0, len(steps), 0)

    def _moved(self, a: Tensor) -> Tensor:
        count, _, rows, columns = a.shape
        wide = nn.functional.pad(a, [self.shift] * 4, value=1.0)
        by = torch.randint(2 * self.shift + 1, (2, count, 1), device=a.device)
        at_rows = (torch.arange(rows, device=a.device) + by[0]).unsqueeze(2)
        at_columns = (torch.arange(columns, device=a.device) + by[1]).unsqueeze(1)
        image = torch.arange(count, device=a.device)[:, None, None]
        return wide.permute(0, 2, 3, 1)[image, at_rows, at_columns].permute(0, 3, 1, 2)


class FrameReader(nn.Module):
    """Reads frames of numbers, as a sound has: step s is [z_sk; z_sk+1; ...; z_sk+k-1], k frames side by side.

        z_t = (x_t - mean) / scale, and 0 after the end of a source

    mean, scale: of each number of a frame. They are no weights: whoever makes the reader keeps them. stride: k.
    """

    dropped = True
    mean: Tensor
    scale: Tensor

    def __init__(self, mean: Sequence[float], scale: Sequence[float], stride: int) -> None:
        super().__init__()
        self.stride, self.width = stride, stride * len(mean)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)
        self.register_buffer("scale", torch.tensor(scale), persistent=False)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """x: frames, (T, B, numbers); lengths: (B). A source of n frames has n / k steps, rounded up."""
        missing = -len(x) % self.stride
        real = torch.arange(len(x), device=x.device).unsqueeze(1) < lengths.to(x.device)
        z = ((x - self.mean) / self.scale).masked_fill(~real.unsqueeze(-1), 0)
        z = nn.functional.pad(z, (0, 0, 0, 0, 0, missing))
        steps = z.unflatten(0, (-1, self.stride)).transpose(1, 2).flatten(2)
        return steps, (lengths + self.stride - 1) // self.stride
