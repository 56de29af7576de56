"""The table of cells and options under test. Every law loops over `ROWS`, and over every engine that can run a row.

A cell with options has a row here for each that changes its equations. The first cells, `FIRST`, are tried with every
law, option and engine; all that the catalogue has meet each law once, in `test_catalogue.py`, which `CATALOGUE` lists.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, combinations, product
from math import prod
from typing import TypeVar

import pytest
import textbook
import textbook_catalogue
import torch
from torch import Tensor
from torch.nn import functional as F

import carousel
from carousel.cells import Cell, Vector, catalogue
from carousel.cells.gru import GRU, LayerNormGRU
from carousel.cells.lstm import LSTM, LayerNormLSTM
from carousel.cells.rnn import RNN
from carousel.engines import ENGINES
from carousel.program import trace, untraced
from carousel.program.member_states import has_members

# --- cells that the catalogue does not have, written as a user would


class LightGRU(Cell):
    gates = "z", "n"

    def step(self, h, z, n):
        z = torch.sigmoid(z)
        return z * h + (1 - z) * torch.relu(n)


class MultiplicativeLSTM(Cell):
    """Two products, one after the other, and no gate that is used whole."""

    states = "h", "c"
    gates = "m", "i", "f", "g", "o"

    def step(self, h, c, x, U):
        m = x.m * U.m(h)
        i, f, o = (torch.sigmoid(a + u(m)) for a, u in ((x.i, U.i), (x.f, U.f), (x.o, U.o)))
        c = f * c + i * torch.tanh(x.g + U.g(m))
        return o * torch.tanh(c), c


class SLSTM(Cell):
    """Four states, exponentials, a maximum and a division."""

    states = "h", "c", "n", "m"
    gates = "z", "i", "f", "o"

    def step(self, c, n, m, z, i, f, o):
        log_f = F.logsigmoid(f)
        m_next = torch.maximum(log_f + m, i)
        i, f = torch.exp(i - m_next), torch.exp(log_f + m - m_next)
        c = f * c + i * torch.tanh(z)
        n = f * n + i
        return torch.sigmoid(o) * c / n, c, n, m_next


class LowRankMemory(Cell):
    """Three states of two sizes, three matrices of its own, a vector with an initial value, `where`, means."""

    states = "h", "r", "s"
    gates = "n"
    sizes = {"r": "projection"}
    matrices = {
        "W_hr": ("projection", "hidden"),
        "W_rh": ("hidden", "projection"),
        "W_hh2": ("hidden", "hidden"),
    }
    vectors = {"decay": Vector(0.9)}

    def step(self, h, r, s, n, W_hr, W_rh, W_hh2, decay):
        r = torch.tanh(W_hr(h) + r)
        r = r - r.mean(-1, keepdim=True)
        n = torch.tanh(n + W_rh(r))
        s = decay * s + (1 - decay) * n
        h = n + W_hh2(F.leaky_relu(s, 0.1))
        return h * torch.rsqrt(1 + (h * h).mean(-1, keepdim=True)), r, s


class Competing(Cell):
    """Sums over units, a vector per gate, and a vector that is a bias."""

    gates = "a", "v"
    vectors = {"scale": Vector(1.0, per_gate=True), "shift": Vector(0.0, bias=True)}

    def step(self, h, a, v, scale, shift):
        e = torch.exp(scale.a * a + shift)
        a = e / e.sum(-1, keepdim=True)
        return h + a * (scale.v * torch.sin(v) - h)


class Ordered(Cell):
    """Outside the alphabet of programs: it runs on the reference engine, untraced."""

    gates = "z", "n"

    def step(self, h, z, n):
        z = torch.cumsum(torch.softmax(z, -1), -1)
        return z * h + (1 - z) * torch.tanh(n)


class OneSided(Cell):
    """A gate of the input and the state, one of the input alone, one of the state alone."""

    gates, inputs, recurrents = "f", "n", "u"

    def step(self, h, f, n, U_u):
        f = torch.sigmoid(f)
        return f * h + (1 - f) * torch.tanh(n + U_u(f * h))


class ScanAlone(Cell):
    """No gate reads the state (Feng et al., "Were RNNs all we needed?", arXiv:2410.01201, 2024, the minGRU)."""

    inputs = "z", "n"

    def step(self, h, z, n):
        z = torch.sigmoid(z)
        return (1 - z) * h + z * n


class Antisymmetric(Cell):
    """A matrix and its transpose, U - U^T (Chang et al., "AntisymmetricRNN", arXiv:1902.09689, 2019), and one that is
    not square, both ways."""

    gates = "n"
    sizes = {"h": "projection"}
    matrices = {"W_hr": ("projection", "hidden")}

    def step(self, h, n, W_hr, U_n):
        n = torch.tanh(n)
        return h + 0.1 * torch.tanh(W_hr(n) + U_n.T(W_hr.T(h)) - 0.1 * h)


# --- the table


@dataclass(frozen=True)
class Row:
    """A cell under test. equations: its textbook statement; None, and test_equations fails, until someone writes it."""

    name: str
    cell: Cell
    equations: textbook.Equations | None
    traced: bool = True

    @property
    def proj_size(self) -> int:
        of_matrices = (size for m in self.cell.matrix_table().values() for size in (m.rows, m.columns))
        return 2 if "projection" in (*self.cell.sizes.values(), *of_matrices) else 0

    def input_size(self, input_size: int, hidden_size: int) -> int:
        """How wide the input is of which gates read `input_size` columns, or as many as the cell demands."""
        widths = {"input": input_size, "hidden": hidden_size, "one": 1}
        return sum(widths[size] for size in self.cell.part_table().values()) or input_size

    def hidden_size(self, at_least: int) -> int:
        """The next number of units that the cell's heads divide."""
        return at_least + -at_least % self.cell.heads

    @property
    def units(self) -> dict[str, int]:
        """Small numbers for the sizes of a memory."""
        return {size: number for size, number in {"slots": 3, "width": 2}.items() if size in self.cell.units}

    def layer(
        self, input_size: int, hidden_size: int, engine: str = "reference", seed: int = 0, **options
    ) -> carousel.Recurrent:
        """A layer of the cell, the same for the same seed, no parameter at an initial value that would hide it."""
        options |= {"proj_size": self.proj_size, "engine": engine, "units": self.units}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            width = self.input_size(input_size, hidden_size)
            return moved(carousel.Recurrent(self.cell, width, self.hidden_size(hidden_size), **options), seed)

    def state_sizes(self, hidden_size: int, input_size: int = 2) -> list[int]:
        sizes = {
            "hidden": self.hidden_size(hidden_size),
            "projection": self.proj_size,
            "input": input_size,
            "one": 1,
            **self.cell.units,
            **self.units,
        }
        return [prod(sizes[one] for one in self.cell.size_of(state).split("*")) for state in self.cell.states]

    def initial(self, scans: int, batch: int, hidden_size: int, dtype: torch.dtype, seed: int = 1) -> States:
        """States to start from, (scans, batch, size) each."""
        random = torch.Generator().manual_seed(seed)
        draw = tuple(
            torch.randn(scans, batch, size, generator=random, dtype=torch.float64).to(dtype)
            for size in self.state_sizes(hidden_size)
        )
        kind, sizes = type(self.cell).__name__, map(self.cell.size_of, self.cell.states)
        return tuple(possible(kind, *of) for of in zip(self.cell.states, sizes, draw, strict=True))

    def __repr__(self) -> str:
        return self.name


States = tuple[Tensor, ...]
POSITIVE = {"MLSTM": "", "LinearAttention": "z"}


def possible(kind: str, name: str, size: str, drawn: Tensor) -> Tensor:
    """A state of a kind of cell that a scan could have come to, made of any numbers."""
    # sLSTM divides by n, which sums exponentials, and linear attention by z: they are positive. A weighting over
    # slots sums to less than 1, and so do links and usages.
    if name == POSITIVE.get(kind, "n"):
        return drawn.abs() + 0.5
    return torch.softmax(drawn, -1) if size in ("slots*one", "slots*slots") else drawn


M = TypeVar("M", bound=torch.nn.Module)


def moved(module: M, seed: int = 0) -> M:
    """The module with normal noise of deviation 0.5 added to every parameter."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            noise = torch.randn(p.shape, generator=random, dtype=torch.float64)
            p.add_(0.5 * noise)
    return module


def _subsets(names: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return chain.from_iterable(combinations(names, size) for size in range(len(names) + 1))


EQUATIONS = {
    RNN("tanh"): textbook.elman(nonlinearity=textbook.np.tanh),
    RNN("relu"): textbook.elman(nonlinearity=textbook.relu),
    RNN("sigmoid"): textbook.elman(nonlinearity=textbook.sigmoid),
    GRU("after"): textbook.gru_reset_after,
    GRU("before"): textbook.gru_reset_before,
}
for coupled in (False, True):
    for projection in (False, True):
        for chosen in _subsets(("forget", "output") if coupled else ("input", "forget", "output")):
            initials = "".join(name[0] for name in chosen)
            EQUATIONS[LSTM(chosen, coupled, projection)] = textbook.lstm(initials, coupled, projection)

# Cells that are not dataclasses are known by their type.
EQUATIONS_OF_TYPE = {LayerNormLSTM: textbook.layer_norm_lstm, LayerNormGRU: textbook.layer_norm_gru}

USERS = [
    Row("light-gru", LightGRU(), textbook.light_gru),
    Row("multiplicative-lstm", MultiplicativeLSTM(), textbook.multiplicative_lstm),
    Row("slstm", SLSTM(), textbook.slstm),
    Row("low-rank-memory", LowRankMemory(), textbook.low_rank_memory),
    Row("competing", Competing(), textbook.competing),
    Row("one-sided", OneSided(), textbook.one_sided),
    Row("scan-alone", ScanAlone(), textbook.scan_alone),
    Row("antisymmetric", Antisymmetric(), textbook.antisymmetric),
    Row("ordered", Ordered(), textbook.ordered, traced=False),
]

# Those that have a program, by name.
TRACED = {row.name: row.cell for row in USERS if row.traced}


def _equations(cell: Cell) -> textbook.Equations | None:
    return EQUATIONS_OF_TYPE.get(type(cell)) or next((e for c, e in EQUATIONS.items() if c == cell), None)


def _option_name(cell: Cell) -> str:
    if not isinstance(cell, LSTM):
        return repr(cell)
    parts = [*(f"p_{name[0]}" for name in cell.peepholes), *(["coupled"] * cell.coupled), *(["proj"] * cell.projection)]
    return "-".join(["lstm", *parts])


# The cells that every test over cells tries; all others are like one of them, or of the users' below, to an engine.
FIRST = {name: cell for name, cell in catalogue().items() if _equations(cell) is not None}

ROWS = [
    *(Row(name, cell, _equations(cell)) for name, cell in FIRST.items()),
    *(Row(_option_name(cell), cell, e) for cell, e in EQUATIONS.items() if cell not in [*catalogue().values()]),
    *USERS,
]

# Every cell of the catalogue that runs over sequences; and by its options, one that computes something else with them.
CATALOGUE = [
    *(
        Row(name, cell, _equations(cell) or textbook_catalogue.EQUATIONS.get(name))
        for name, cell in catalogue().items()
        if cell.children is None and not cell.context
    ),
    *(Row(f"{cell!r}", cell, equations) for cell, equations in textbook_catalogue.WITH_OPTIONS.items()),
]

# Those whose steps have rows alone; a memory of slots has no form in ONNX and C.
OF_ROWS = [row for row in CATALOGUE if not has_members(row.cell)]

# Those whose states have members, by name.
MEMORY_CELLS = {row.name: row.cell for row in CATALOGUE if has_members(row.cell)}

# Those that read a context, by name; their laws stand in `test_attention.py`.
ATTENTION_CELLS = {name: cell for name, cell in catalogue().items() if cell.context}

# The cells of the catalogue that run over trees, by name; their laws stand in `test_recursive.py`.
TREE_CELLS = {name: cell for name, cell in catalogue().items() if cell.children is not None}

# One row for each shape of program: what the laws of layers are tried on, where ROWS would only repeat themselves.
KINDS = [row for row in ROWS if not row.name.startswith("lstm-") or row.name == "lstm-p_f-p_o-coupled-proj"]

DTYPES = (torch.float64, torch.float32)


def why_not(row: Row, engine: str, dtype: torch.dtype, bias: bool = True) -> str | None:
    """Why an engine does not run a row; None if it does."""
    program = trace(row.cell, bias) if row.traced else untraced(row.cell, bias)
    return ENGINES[engine].why_not(program, dtype, torch.device("cpu"))


FULL = pytest.mark.full


def once(count: int, which: int, places: int) -> list[bool]:
    """Of `count` equal cases, which run always: every `places`-th, beginning at one that `which` moves on."""
    return [index % places == which % places for index in range(count)]


def runs(rows: list[Row] = ROWS, biases: tuple[bool, ...] = (True, False)) -> list:
    """(row, bias, engine, dtype) for every row and every engine that can run it, as parameters of a test.

    Always run: each engine once for each row, with and without biases and in each dtype by turns; for one row of each
    kind of program twice, so that it meets both. The rest, marked `full`, runs where it is asked for.
    """
    found = []
    for number, row in enumerate(rows):
        for engine in ENGINES:
            cases = [(b, d) for b, d in product(biases, DTYPES) if why_not(row, engine, d, b) is None]
            # The second half backwards: what stands two places apart differs in the dtype and in the bias.
            cases = cases[: len(DTYPES)] + cases[len(DTYPES) :][::-1]
            always = once(len(cases), number, 2 if row in KINDS and len(cases) == 4 else max(1, len(cases)))
            for (bias, dtype), is_always in zip(cases, always, strict=True):
                name = f"{row}-{'bias' if bias else 'nobias'}-{engine}-{name_of(dtype)}"
                found.append(pytest.param(row, bias, engine, dtype, id=name, marks=() if is_always else FULL))
    return found


def engine_dtypes() -> list[tuple[str, torch.dtype]]:
    """(engine, dtype) that run the plainest row, and so exist here."""
    return [(e, d) for e in ENGINES for d in DTYPES if why_not(ROWS[0], e, d) is None]


def name_of(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


# --- the one tolerance


def assert_close(actual, expected: Tensor, *, terms: int, dtype: torch.dtype | None = None, what: str = "") -> None:
    """Two ways to compute the same, each number through at most `terms` roundings one after another.

    A rounding is off by half an eps of its own magnitude, and at worst they all point one way: two results differ by
    at most 2 * terms * eps / 2 * the largest magnitude (at least 1: what is small came from terms of that order).
    4 times that is allowed: a layer norm of numbers that are nearly equal amplifies what reaches it.
    dtype: the arithmetic's, where the values compared are of a finer one.
    """
    actual, expected = torch.as_tensor(actual), torch.as_tensor(expected)
    eps = torch.finfo(dtype or actual.dtype).eps
    assert actual.shape == expected.shape, f"{what}: shape {tuple(actual.shape)}, not {tuple(expected.shape)}"
    assert torch.isfinite(expected).all(), f"{what}: the expected values are not finite"
    if expected.numel() == 0:
        return
    difference = (actual.double() - expected.double()).abs().max().item()
    allowed = 4 * eps * terms * max(1.0, expected.abs().max().item())
    assert difference <= allowed, f"{what}: off by {difference:.3g}, where {terms} roundings allow {allowed:.3g}"


def roundings(steps: int, input_size: int, hidden_size: int, num_layers: int = 1) -> int:
    """Roundings between the input and the last output: per step a product over the units and about 16 further ops."""
    return num_layers * (input_size + max(steps, 1) * (hidden_size + 16))
