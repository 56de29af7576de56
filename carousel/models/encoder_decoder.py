"""The network that reads one sequence and writes another."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from carousel.layers import Recurrent
from carousel.models.attention import GlobalAttention
from carousel.models.linear_cross_entropy import linear_cross_entropy
from carousel.models.source_readers import SourceReader

FORMS = ("attention", "summary")
BOUNDARY = 0  # the symbol before the first of a target, and after its last
PADDING = -100  # of targets in a batch: no loss is counted there

States = tuple[Tensor, ...]


@dataclass(frozen=True)
class SourceMemory:
    """What the encoder made of B sources of at most S steps. W is the width of its outputs.

    summary: C, (B, hidden). steps: m, (B, S, W). keys: of the attention, (B, S, hidden), None for the form "summary".
    present: (B, S) bool, False at padding.
    """

    summary: Tensor
    steps: Tensor
    keys: Tensor | None
    present: Tensor

    def at(self, rows: Tensor) -> "SourceMemory":
        """The memories of these rows, each as often as it is named."""
        keys = None if self.keys is None else self.keys[rows]
        return replace(self, summary=self.summary[rows], steps=self.steps[rows], keys=keys, present=self.present[rows])


class EncoderDecoder(nn.Module):
    """Reads a source x_1 ... x_S, and computes scores for each next symbol of a target y_1 ... y_T.

        m_s = encoder(reader(x))_s                 any cell, depth and direction                 (B, S, W)
        C = tanh(V r),  r: the encoder's outputs after its last steps, of each direction         (B, hidden)
        e_t = E[y_t-1],  y_0 is the boundary                                                     (B, T, embedding)

        form "attention" (Luong et al. 2015):              form "summary" (Cho et al. 2014):
        h_t = decoder(e_1 ... e_t),  h_0 = C               h_t = decoder([e_1; C] ... [e_t; C]),  h_0 = C
        c_t = attention(h_t, m_1 ... m_S)                  c_t = C
        o_t = tanh(U [h_t; c_t])                                                                 (B, T, embedding)
        scores_t = O o_t + b                               O is E itself if `tied`               (B, T, symbols)

    The attention stands after the recurrence, and the decoder does not read it again. So, under teacher forcing, the
    decoder is one scan over all steps, and the attention one batched product. W is hidden, or 2 * hidden if
    bidirectional; with the score "dot" the two directions are added, so that W is hidden. In training, dropout zeroes
    elements of what the reader gives (not of images, which are moved instead: `SourceReader.dropped`), of e, of the
    values between layers and of o.

    reader: makes the steps of the encoder from a source; see `carousel.models.source_readers`.
    symbols: the number of different symbols of the target; symbol 0 is the boundary, which begins and ends it.
    cell, hidden, layers: of encoder and decoder alike; cell as for `Recurrent`. embedding: the size of e and o.
    form: as above. attention_score: the `score` of `GlobalAttention`. tied: whether O is E.
    Raises ValueError for an unknown form or score, and as `Recurrent` does.
    """

    def __init__(
        self,
        reader: SourceReader,
        symbols: int,
        *,
        cell: str = "gru",
        hidden: int = 256,
        layers: int = 1,
        bidirectional: bool = True,
        form: str = "attention",
        attention_score: str = "general",
        embedding: int = 128,
        tied: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if form not in FORMS:
            raise ValueError(f"there is no form {form!r} of an encoder-decoder; there are {', '.join(FORMS)}")
        self.form, self.added = form, bidirectional and attention_score == "dot" and form == "attention"
        self.reader = reader
        self.encoder = Recurrent(cell, reader.width, hidden, layers, bidirectional=bidirectional)
        ends = hidden * (2 if bidirectional else 1)
        width = hidden if self.added else ends
        self.bridge = nn.Linear(ends, hidden)
        self.embedding = nn.Embedding(symbols, embedding)
        nn.init.normal_(self.embedding.weight, std=embedding**-0.5)
        beside = hidden if form == "summary" else 0
        self.decoder = Recurrent(cell, embedding + beside, hidden, layers)
        self.attention = GlobalAttention(hidden, width, attention_score) if form == "attention" else None
        self.readout = nn.Linear(hidden + (beside or width), embedding)
        # O is no parameter of its own where it is E: a file of weights would have E twice.
        self.output = None if tied else nn.Parameter(torch.randn(symbols, embedding) * embedding**-0.5)
        self.bias = nn.Parameter(torch.zeros(symbols))
        self.dropout = nn.Dropout()
        program = self.decoder.program
        self._output = list(program.states).index(program.output_state)
        self.set_dropout(dropout)

    @property
    def recurrent(self) -> Recurrent:
        """The decoder's layer."""
        return self.decoder

    def encode(self, x: Tensor, lengths: Tensor) -> SourceMemory:
        """Reads a batch of sources. x, lengths: as the reader takes them. Padding is never read: a source gives the
        same memory alone and in any batch, up to rounding."""
        steps, lengths = self.reader(x, lengths)
        outputs, hx = self.encoder(self.dropout(steps) if self.reader.dropped else steps, lengths=lengths)
        hx = hx if isinstance(hx, Tensor) else hx[self._output]
        directions = 2 if self.encoder.bidirectional else 1
        summary = torch.tanh(self.bridge(hx[-directions:].transpose(0, 1).flatten(1)))
        if self.added:
            outputs = outputs.unflatten(-1, (2, -1)).sum(-2)
        memory = outputs.transpose(0, 1)
        present = torch.arange(memory.shape[1], device=memory.device) < lengths.to(memory.device).unsqueeze(1)
        keys = None if self.attention is None else self.attention.keys(memory)
        return SourceMemory(summary, memory, keys, present)

    def first_states(self, memory: SourceMemory) -> States:
        """The states of the decoder before its first step, (layers, B, size) each. The state that the cell gives
        out is C, in each layer; its other states have their own initial values. memory: of the sources."""
        states = list(self.decoder.fresh_states(len(memory.summary)))
        like = states[self._output]
        if like.shape[-1] == memory.summary.shape[-1]:
            states[self._output] = memory.summary.expand_as(like).contiguous()
        return tuple(states)

    def decode(self, memory: SourceMemory, before: Tensor, states: States) -> tuple[Tensor, States, Tensor | None]:
        """Returns the scores of the next symbols, (T, B, symbols), the states after the last step, and the weights of
        the attention, (B, T, S); None for the form "summary".

        memory: of the sources. before: the symbol before each step, (T, B). states: those before the first step.
        """
        o, states, weights = self._outputs(memory, before, states)
        return functional.linear(o, self._vectors, self.bias), states, weights

    def _outputs(self, memory: SourceMemory, before: Tensor, states: States) -> tuple[Tensor, States, Tensor | None]:
        """As `decode`, with o in the place of the scores, (T, B, embedding)."""
        e = self.dropout(self.embedding(before))
        c = memory.summary.expand(len(e), -1, -1)
        hx = states[0] if len(states) == 1 else states
        h, hx = self.decoder(e if self.attention is not None else torch.cat([e, c], -1), hx)
        weights = None
        if self.attention is not None:
            assert memory.keys is not None
            read, weights = self.attention(h.transpose(0, 1), memory.keys, memory.steps, memory.present)
            c = read.transpose(0, 1)
        o = torch.tanh(self.readout(torch.cat([h, c], -1)))
        return self.dropout(o), (hx,) if isinstance(hx, Tensor) else hx, weights

    @property
    def _vectors(self) -> Tensor:
        """O, (symbols, embedding)."""
        return self.embedding.weight if self.output is None else self.output

    def forward(self, x: Tensor, lengths: Tensor, before: Tensor) -> Tensor:
        """Scores of each symbol of the targets, (T, B, symbols).

        x, lengths: sources, as for `encode`. before: the symbol before each, (T, B)."""
        memory = self.encode(x, lengths)
        return self.decode(memory, before, self.first_states(memory))[0]

    def loss(
        self, x: Tensor, lengths: Tensor, targets: Tensor, *, label_smoothing: float = 0.0, sampling: float = 0.0
    ) -> Tensor:
        """The mean over all real symbols of the targets of -ln P(symbol | those before it, source), in nats.

        x, lengths: sources, as for `encode`. targets: (T, B), each ends in the boundary, and PADDING follows.
        label_smoothing: the share of the target probability that is spread over all symbols alike.
        sampling: the probability with which a symbol that the network reads is not the true one but one that it drew
            itself (scheduled sampling, Bengio et al. 2015). What it draws comes from a first pass under teacher
            forcing, without gradient (Mihaylova and Martins 2019), so that both passes are one scan each.
        """
        memory = self.encode(x, lengths)
        states, before = self.first_states(memory), before_each(targets)
        if sampling > 0:
            with torch.no_grad():
                scores = self.decode(memory, before, states)[0]
                drawn = torch.distributions.Categorical(logits=scores).sample()
                own = torch.cat([before[:1], drawn[:-1]])
                before = torch.where(torch.rand(before.shape, device=before.device) < sampling, own, before)
                before[:1] = BOUNDARY
        o = self._outputs(memory, before, states)[0].flatten(0, 1)
        return linear_cross_entropy(
            o, self._vectors, self.bias, targets.flatten(), ignored=PADDING, label_smoothing=label_smoothing
        )

    def set_dropout(self, probability: float) -> None:
        """Sets the `probability` of dropout for all later steps. Parameters and states do not change."""
        self.dropout.p = probability
        for layer in (self.encoder, self.decoder):
            layer.dropout = probability if layer.num_layers > 1 else 0.0


def before_each(targets: Tensor) -> Tensor:
    """The symbol before each of the targets, (T, B): the boundary before the first, and any symbol before padding."""
    return torch.cat([torch.full_like(targets[:1], BOUNDARY), targets[:-1]]).clamp(min=0)


class Decoding:
    """Hypotheses that a network is writing, as `carousel.models.beam_search` asks for them: one row for each source at
    first, and always a next symbol. It computes without gradients, with the network as it is."""

    def __init__(self, network: EncoderDecoder, memory: SourceMemory) -> None:
        self._network, self._memory = network, memory
        self._states = network.first_states(memory)

    def step(self, symbols: Tensor) -> tuple[Tensor, Tensor | None]:
        """Each row goes on with its symbol, (R). Returns ln P of each next symbol, (R, symbols), and what of the source
        was attended to, (R, S)."""
        scores, self._states, weights = self._network.decode(self._memory, symbols.unsqueeze(0), self._states)
        return scores[0].log_softmax(-1), None if weights is None else weights[:, 0]

    def select(self, rows: Tensor) -> None:
        """Goes on with these rows, each as often as it is named."""
        self._memory = self._memory.at(rows)
        self._states = tuple(state.index_select(1, rows) for state in self._states)
