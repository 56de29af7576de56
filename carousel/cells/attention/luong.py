from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import sigmoid, softmax, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import Fact, bounded
from carousel.cells.weights import Vector

SCORES = ("general", "concat")


@dataclass(frozen=True)
class LuongLSTM(Cell):
    """Decoder with global attention and input feeding: an LSTM that also reads what it made of its last attention.

        i, f, o = sigmoid of, and g = tanh of, W x + b + U h + c + U_a a         (batch, hidden)
        c' = f * c + i * g                              next cell state, (batch, hidden)
        h' = o * tanh(c')                               next state,      (batch, hidden)
        e_j = h' . (W_a m_j), or v . tanh(W_q h' + W_a m_j)     score of position j of the context m, one number
        attention = softmax over the positions of e     (batch, positions)
        s  = the sum over the positions of attention_j * m_j    summary, (batch, context)
        a' = tanh(W_s s + W_h h')                       attentional state, the output, (batch, hidden)

    score: "general", the first of the two, or "concat", the second.
    Use: translation, captions, transcription: many-to-many of differing lengths. context: m, of `context` units.
    Reading: one layer; U_a a is the input feeding of section 3.3. The score "dot" is "general" with W_a = 1.
    Fidelity: as in the paper, equations 5 to 8; the LSTM is the usual one, as in the authors' code.
    Source: Luong, Pham & Manning, "Effective approaches to attention-based neural machine translation", EMNLP
    (arXiv:1508.04025, 2015), equations 5 to 8 and section 3.3.
    """

    score: str = "general"

    states = ("a", "h", "c")
    fed = ("h", "a")
    gates = ("i", "f", "g", "o")
    context = {"m": "source"}
    units = {"source": 16}

    def __post_init__(self) -> None:
        if self.score not in SCORES:
            raise ValueError(f"score must be one of {', '.join(map(repr, SCORES))}, but {self.score!r} was given")

    @property
    def facts(self) -> tuple[Fact, ...]:
        return bounded("a"), bounded("h")

    @property
    def vectors(self) -> dict[str, Vector]:
        return {"v": Vector()} if self.score == "concat" else {}

    @property
    def matrices(self) -> dict[str, tuple[str, str]]:
        found = {"W_a": ("hidden", "source"), "W_s": ("hidden", "source"), "W_h": ("hidden", "hidden")}
        return found | ({"W_q": ("hidden", "hidden")} if self.score == "concat" else {})

    def step(self, c, m, i, f, g, o, W_a, W_s, W_h, v: Any = None, W_q: Any = None):
        c = sigmoid(f) * c + sigmoid(i) * tanh(g)
        h = sigmoid(o) * tanh(c)
        keys = W_a(m)
        scores = keys * h if W_q is None else v * tanh(W_q(h) + keys)
        attention = softmax(scores.sum(-1, keepdim=True), -2)
        s = (attention * m).sum(-2)
        return tanh(W_s(s) + W_h(h)), h, c


CATALOGUE = {"luong-lstm": LuongLSTM()}
