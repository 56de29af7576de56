from __future__ import annotations

from dataclasses import dataclass

from torch import sigmoid, tanh

from carousel.cells.cell import Cell
from carousel.cells.facts import Fact, bounded, keeps, same_as

PEEPHOLES = {"input": "p_i", "forget": "p_f", "output": "p_o"}


@dataclass(frozen=True)
class LSTM(Cell):
    """Long short-term memory.

        i  = sigmoid(W_i x + b_i + U_i h + c_i)     input gate,      (batch, hidden)
        f  = sigmoid(W_f x + b_f + U_f h + c_f)     forget gate,     (batch, hidden)
        g  = tanh(W_g x + b_g + U_g h + c_g)        candidate,       (batch, hidden)
        o  = sigmoid(W_o x + b_o + U_o h + c_o)     output gate,     (batch, hidden)
        c' = f * c + i * g                          next cell state, (batch, hidden)
        h' = o * tanh(c')                           next state,      (batch, hidden)

    peepholes: any of "input", "forget", "output", or "all"; the named gates also see the cell state through one
        weight per unit: i and f add p_i * c and p_f * c, o adds p_o * c' (the cell state just made).
    coupled: no input gate of its own, i = 1 - f. Greff et al. (2017) and ONNX (`input_forget`) couple the other
        way, f = 1 - i: the same functions, with the signs of that gate's weights flipped.
    projection: h' = W_hr (o * tanh(c')), so that h has the layer's proj_size.

    Use: the first to try; long memory, and every option of a layer.
    Reading: o sees the new cell state through its peephole, as Gers et al. have it; some libraries show it the old one.
    Fidelity: as in torch.nn.LSTM, with and without projection; the papers' gates have no second bias.
    Sources: Hochreiter & Schmidhuber, "Long short-term memory", Neural Computation 9 (1997); forget gate and peepholes:
    Gers & Schmidhuber, "Recurrent nets that time and count", IJCNN (2000); projection: Sak, Senior & Beaufays,
    "Long short-term memory based recurrent neural network architectures" (arXiv:1402.1128, 2014).
    """

    peepholes: tuple[str, ...] | str = ()
    coupled: bool = False
    projection: bool = False

    states = ("h", "c")

    def __post_init__(self) -> None:
        chosen = (self.peepholes,) if isinstance(self.peepholes, str) else tuple(self.peepholes)
        possible = [name for name in PEEPHOLES if not (self.coupled and name == "input")]
        if chosen == ("all",):
            chosen = tuple(possible)
        if unknown := [name for name in chosen if name not in possible]:
            because = ": coupled gates have no input gate of their own" if unknown == ["input"] else ""
            raise ValueError(f"peepholes must be among {possible} or 'all', but {unknown[0]!r} was given{because}")
        # One spelling for one cell: the order of the gates, each once.
        object.__setattr__(self, "peepholes", tuple(name for name in possible if name in chosen))

    @property
    def gates(self) -> tuple[str, ...]:
        return ("f", "g", "o") if self.coupled else ("i", "f", "g", "o")

    @property
    def vectors(self) -> tuple[str, ...]:
        return tuple(PEEPHOLES[name] for name in self.peepholes)

    @property
    def matrices(self) -> dict[str, tuple[str, str]]:
        return {"W_hr": ("projection", "hidden")} if self.projection else {}

    @property
    def sizes(self) -> dict[str, str]:
        return {"h": "projection"} if self.projection else {}

    @property
    def facts(self) -> tuple[Fact, ...]:
        of_h = () if self.projection else (bounded("h"),)
        identity = keeps("c", f=1) if self.coupled else keeps("c", f=1, i=0)
        if not self.vectors or self.coupled or self.projection:
            return (*of_h, identity)
        return (*of_h, identity, same_as("lstm", dict.fromkeys(self.vectors, 0.0)))

    def step(self, c, f, g, o, i=None, p_i=0, p_f=0, p_o=0, W_hr=lambda m: m):
        f = sigmoid(f + p_f * c)
        i = sigmoid(i + p_i * c) if i is not None else 1 - f
        g = tanh(g)
        c = f * c + i * g
        o = sigmoid(o + p_o * c)
        return W_hr(o * tanh(c)), c


CATALOGUE = {
    "lstm": LSTM(),
    "peephole-lstm": LSTM(peepholes="all"),
    "coupled-lstm": LSTM(coupled=True),
    "coupled-peephole-lstm": LSTM(peepholes="all", coupled=True),
    "projected-lstm": LSTM(projection=True),
}
