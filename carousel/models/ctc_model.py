"""The network that writes symbols while it reads: connectionist temporal classification (CTC)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from carousel.layers import Recurrent
from carousel.models.source_readers import SourceReader

BLANK = 0  # the symbol that writes nothing; no target has it


class CTCModel(nn.Module):
    """Writes a text y_1 ... y_n while it reads the S steps of a source, with n at most S (Graves et al. 2006).

        h_s = recurrent(reader(x))_s             any cell, depth and direction                       (B, S, W)
        P_s = softmax(V h_s + b)                 P of each symbol at step s; symbol 0 is the blank   (B, S, symbols)
        P(path | x) = Π_s P_s[path_s]            path: a symbol or the blank at each step
        P(y | x) = Σ P(path | x)                 over all paths that collapse to y

    A path collapses to a text where equal symbols in a row become one, and then the blanks go: a a - a b b gives a a b.
    So the network learns by itself at which step it writes a symbol. Two equal symbols one after the other need a blank
    between them: a text takes at least as many steps as `steps_needed` says. W is hidden, or 2 * hidden if
    bidirectional. In training, dropout zeroes elements of what the reader gives (`SourceReader.dropped`), of values
    between layers, and of h.
    b begins at ln 3(symbols - 1) for the blank, so that at first its P is about 3/4: most steps write nothing.

    reader: makes the steps of the recurrence from a source; see `carousel.models.source_readers`.
    symbols: how many different symbols there are, with the blank. cell, hidden, layers: of the recurrence; cell as for
    `Recurrent`. bidirectional: whether it also reads from the end; a network that does not can follow a source as it
    arrives (`CTCStream`). Raises ValueError as `Recurrent` does.
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
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.reader = reader
        self.recurrent = Recurrent(cell, reader.width, hidden, layers, bidirectional=bidirectional)
        self.head = nn.Linear(hidden * (2 if bidirectional else 1), symbols)
        with torch.no_grad():
            self.head.bias.zero_()
            self.head.bias[BLANK] = math.log(3 * max(1, symbols - 1))
        self.dropout = nn.Dropout()
        self.set_dropout(dropout)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Returns ln P_s of every symbol, (S, B, symbols), and how many of the steps each source has, (B).

        x, lengths: sources, as the reader takes them. Padding is never read: a source gives the same alone and in any
        batch, up to rounding. What stands after the end of a source means nothing.
        """
        steps, lengths = self.reader(x, lengths)
        outputs, _ = self.recurrent(self.dropout(steps) if self.reader.dropped else steps, lengths=lengths)
        return self.head(self.dropout(outputs)).log_softmax(-1), lengths

    def loss(self, x: Tensor, lengths: Tensor, targets: Tensor) -> Tensor:
        """-ln P(target | source), summed over the batch and divided by how many symbols and ends the targets have.

        x, lengths: sources, as for `forward`. targets: (T, B), as for `EncoderDecoder.loss`: each ends in symbol 0,
        and numbers below 0 follow. An end counts as a symbol, so that losses of both networks have one unit.
        Raises ValueError for a target that needs more steps than its source has: P would be 0.
        """
        log_p, lengths = self(x, lengths)
        needed, has = _needed(targets).cpu(), lengths.cpu()
        if bool((needed > has).any()):
            row = int((needed - has).argmax())
            raise ValueError(
                f"row {row} of the batch has {int(has[row])} steps, and its target needs {int(needed[row])}: as many "
                f"as it has symbols, and one more between two equal ones"
            )
        real = targets > BLANK
        nats = functional.ctc_loss(log_p, targets.T[real.T], has, real.sum(0).cpu(), blank=BLANK, reduction="sum")
        return nats / (targets >= BLANK).sum()

    def set_dropout(self, probability: float) -> None:
        """Sets the probability of dropout for all later steps. Parameters do not change.

        probability: at least 0 and below 1.
        """
        self.dropout.p = probability
        self.recurrent.dropout = probability if self.recurrent.num_layers > 1 else 0.0


def _needed(targets: Tensor) -> Tensor:
    """How many steps each of these targets, (T, B), takes at least, (B)."""
    twice = (targets[1:] == targets[:-1]) & (targets[1:] > BLANK)
    return (targets > BLANK).sum(0) + twice.sum(0)


def steps_needed(symbols: np.ndarray) -> int:
    """How many steps a text takes at least: one for each symbol, and one for a blank between two equal symbols.

    symbols: those of the text, (n,)."""
    return len(symbols) + int((symbols[1:] == symbols[:-1]).sum())


@dataclass(frozen=True)
class Emission:
    """A symbol that a network wrote, and the step at which it did, from 0."""

    symbol: int
    step: int


def best_path(log_p: np.ndarray) -> list[Emission]:
    """What the likeliest path collapses to: the likeliest symbol of each step, without repeats and blanks.

    log_p: ln P of each symbol at each step, (S, symbols). Of equally likely symbols the first counts. The text may be
    less likely than another one, which more paths collapse to; `prefix_search` looks for that.
    """
    return _BestPath().push(log_p)


class _BestPath:
    """The likeliest path, piece by piece: all it remembers is the last symbol and how many steps there were."""

    def __init__(self) -> None:
        self._last, self._steps = BLANK, 0

    def push(self, log_p: np.ndarray) -> list[Emission]:
        symbols = log_p.argmax(1)
        before = np.concatenate([[self._last], symbols[:-1]])
        new = np.flatnonzero((symbols != before) & (symbols != BLANK))
        found = [Emission(int(symbols[step]), self._steps + int(step)) for step in new]
        if len(symbols):
            self._last = int(symbols[-1])
        self._steps += len(symbols)
        return found


class CTCStream:
    """Lets a network write along its best path while a source arrives, in constant time and memory for each step.

    It copies the weights when it is made. All that `push` and `finish` return is what `best_path` finds in the whole
    source. network: a `CTCModel` in evaluation mode, whose reader makes a step of `reader.stride` of a source's steps.
    never: symbols that are not written.
    Raises ValueError for a bidirectional network, which needs the end of a source before its first step.
    """

    def __init__(self, network: CTCModel, never: Sequence[int] = ()) -> None:
        self._network, self._path, self._never = network, _BestPath(), list(never)
        self._stepper = network.recurrent.stepper(batch=1)
        self._stride = int(getattr(network.reader, "stride", 1))
        self._waiting: np.ndarray | None = None

    def push(self, x: np.ndarray) -> list[Emission]:
        """Reads what has arrived. x: (n, ...), n steps of a source as the reader takes them. Returns what was written
        for it; a step of the network that is not complete waits for the next call."""
        waiting = x if self._waiting is None else np.concatenate([self._waiting, x])
        complete = len(waiting) // self._stride * self._stride
        self._waiting = waiting[complete:].copy()
        return self._read(waiting[:complete])

    def finish(self) -> list[Emission]:
        """Reads the rest, which the reader fills up to one step of the network, once nothing more arrives."""
        rest, self._waiting = self._waiting, None
        return [] if rest is None else self._read(rest)

    @torch.inference_mode()
    def _read(self, x: np.ndarray) -> list[Emission]:
        if not len(x):
            return []
        device = self._network.head.weight.device
        steps, _ = self._network.reader(torch.from_numpy(x).unsqueeze(1).to(device), torch.tensor([len(x)]))
        outputs = torch.stack([self._stepper(step) for step in steps])
        log_p = self._network.head(outputs[:, 0]).log_softmax(-1).cpu().numpy()
        log_p[:, self._never] = -np.inf
        return self._path.push(log_p)
