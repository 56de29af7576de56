"""A network that tells what is in a picture, for lesson 16: one to many, with three ways to hand the picture on."""

import torch
from torch import nn
from torch.nn import functional as F

import carousel
from carousel.models.attention import GlobalAttention
from carousel.models.encoder_decoder import PADDING, before_each
from carousel.models.source_readers import ImageReader

WAYS = ("once", "every step", "attention")
PLACES = 4  # of a picture, each way


class Teller(nn.Module):
    """Says what is in a picture: P of each next word, the picture handed on in one of the three ways."""

    def __init__(self, words, way, units=48):
        super().__init__()
        self.way = way
        self.reader = ImageReader(16, 1, 32, places=PLACES)
        self.where = nn.Parameter(0.3 * torch.randn(PLACES**2, 1, 32))  # tells one place from another
        self.summary = nn.Linear(PLACES**2 * 32, units)
        self.embedding = nn.Embedding(words + 1, 16)
        self.layer = carousel.GRU(16 + (units if way == "every step" else 0), units)
        self.attention = GlobalAttention(units, 32) if way == "attention" else None
        self.output = nn.Linear(units + (32 if way == "attention" else 0), words + 1)

    def read(self, images):
        """The places of the pictures, (B, 16, 32), and their summary C, (B, units)."""
        places, _ = self.reader(images, torch.full((images.shape[1],), len(images)))
        memory = (places + self.where).transpose(0, 1)
        return memory, torch.tanh(self.summary(memory.flatten(1)))

    def forward(self, memory, C, before, state):
        """Scores of the next words (T, B, words), the state, and the weights of the attention (B, T, 16)."""
        x = self.embedding(before)
        if self.way == "every step":
            x = torch.cat([x, C.expand(len(x), -1, -1)], -1)
        h, state = self.layer(x, state)
        weights = None
        if self.attention is not None:
            present = torch.ones(memory.shape[:2], dtype=torch.bool)
            seen, weights = self.attention(h.transpose(0, 1), self.attention.keys(memory), memory, present)
            h = torch.cat([h, seen.transpose(0, 1)], -1)
        return self.output(h), state, weights

    def loss(self, images, targets):
        memory, C = self.read(images)
        scores, _, _ = self(memory, C, before_each(targets), C[None])
        return F.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=PADDING)

    @torch.no_grad()
    def tell(self, images, longest=8):
        """The words for each picture, and the place that each of them attends to most."""
        self.eval()
        memory, C = self.read(images)
        symbol, state, texts, looked = torch.zeros(1, images.shape[1], dtype=torch.long), C[None], [], []
        for _ in range(longest):
            scores, state, weights = self(memory, C, symbol, state)
            symbol = scores.argmax(-1)
            texts.append(symbol[0])
            looked.append(torch.zeros_like(symbol[0]) if weights is None else weights[:, 0].argmax(-1))
        self.train()
        rows = zip(torch.stack(texts).T.tolist(), torch.stack(looked).T.tolist(), strict=True)
        ended = [(text, places, text.index(0) if 0 in text else longest) for text, places in rows]
        return [([k - 1 for k in text[:end]], places[:end]) for text, places, end in ended]
