"""The layer: any cell, stacked, in one or both directions, over batches, packed sequences or single sequences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from carousel import cells, engines
from carousel.cells import Cell
from carousel.errors import ProgramError
from carousel.layers.arguments import as_states, check_constructor, check_input, check_states
from carousel.program import Interface, Program, trace, untraced

States = tuple[Tensor, ...]


class Recurrent(nn.Module):
    """Runs a cell over sequences: torch.nn.LSTM's constructor, call, results and parameter names, for every cell.

        output, hx = Recurrent(cell, input_size, hidden_size)(input, hx=None)

    Axes: T steps, B sequences, I = input_size, H = hidden_size (proj_size for a state of that size), D directions,
    L layers.
    input: (T, B, I); (B, T, I) with batch_first; (T, I) for a single sequence; or a PackedSequence.
    hx: the initial state, (L * D, B, H), zero if None; for a cell with several states a tuple, in the cell's order.
    output: (T, B, D * H), the first state of the last layer at every step; laid out as the input was.
    The returned hx holds every state after each sequence's last step. T = 0 and B = 0 are legal.

    cell: a `Cell`, a Cell class that needs no arguments, or a name in the catalogue.
    num_layers, bias, batch_first, dropout (between layers, in training), bidirectional: as in torch.nn.
    proj_size: the size of "projection", for cells that use it.
    engine: "auto" takes the fastest engine that can run the cell (`explain()` says which, and why); by name, that
        engine or an error. engine="reference" also runs a cell whose step is outside the alphabet of programs.

    Parameters of layer k are `weight_ih_lk` (gates * H, I or D * H), `weight_hh_lk` (gates * H, H), `bias_ih_lk`,
    `bias_hh_lk` (gates * H), `weight_hr_lk` and the like for the cell's matrices, and the cell's vectors by name,
    `p_i_lk`; those of the reverse direction end in `_reverse`. They start uniform in ±1/sqrt(H), a vector with an
    initial value of its own at that.

    Raises ProgramError for a cell that contradicts itself or leaves the alphabet; TypeError, ValueError and
    RuntimeError for what torch.nn refuses too, in its words.
    """

    # torch.nn's faces refuse a sequence without steps; a layer that stands for itself runs it.
    refuses_no_steps = False

    def __init__(
        self,
        cell: Cell | type[Cell] | str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        engine: str = "auto",
    ):
        super().__init__()
        check_constructor(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        self.cell = as_cell(cell)
        self.input_size, self.hidden_size, self.proj_size = input_size, hidden_size, proj_size
        self.num_layers, self.bias, self.batch_first = num_layers, bias, batch_first
        self.dropout, self.bidirectional, self.engine = float(dropout), bidirectional, engine
        self.program, self.why_untraced = program_of(self.cell, bias, engine)
        self.sizes = check_projection(self.program, hidden_size, proj_size)
        engines.check_name(engine)
        for k, suffix in self._places():
            width = input_size if k == 0 else len(self._directions()) * self.sizes[self._output_size()]
            for name, shape in parameter_shapes(self.program, width, self.sizes).items():
                self.register_parameter(name + suffix, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws every parameter anew, in torch.nn's order: the same seed gives the same weights."""
        for _, suffix in self._places():
            initialize(self, self.program, self.hidden_size, suffix)

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | States | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor | States]:
        name, weight = type(self).__name__, self.get_parameter("weight_ih_l0")
        if isinstance(input, PackedSequence):
            check_input(name, input.data, self.input_size, (2,), weight)
            sizes = input.batch_sizes.tolist()
            hx = self._initial(hx, sizes[0], True, weight)
            if input.sorted_indices is not None:
                hx = tuple(state.index_select(1, input.sorted_indices) for state in hx)
            rows, hx = self._stack(input.data, sizes, hx)
            if input.unsorted_indices is not None:
                hx = tuple(state.index_select(1, input.unsorted_indices) for state in hx)
            packed = PackedSequence(rows, input.batch_sizes, input.sorted_indices, input.unsorted_indices)
            return packed, self._as_given(hx)

        check_input(name, input, self.input_size, (2, 3), weight)
        batched = input.dim() == 3
        x = input if batched else input.unsqueeze(1)
        x = x.transpose(0, 1) if batched and self.batch_first else x
        steps, batch = x.shape[:2]
        if steps == 0 and self.refuses_no_steps:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        hx = self._initial(hx, batch, batched, weight)
        rows, hx = self._stack(x.reshape(steps * batch, self.input_size), [batch] * steps, hx)
        output = rows.reshape(steps, batch, rows.shape[-1])
        if not batched:
            return output.squeeze(1), self._as_given(tuple(state.squeeze(1) for state in hx))
        return output.transpose(0, 1) if self.batch_first else output, self._as_given(hx)

    def explain(self) -> str:
        """Which engine runs this layer's scans, and why; what one step costs."""
        weight = self.get_parameter("weight_ih_l0")
        chosen, reasons = engines.choose(self.engine, self.program, weight.dtype, weight.device)
        lines = [f"{self}", f"engine: {chosen.name}" + (" (asked for)" if self.engine != "auto" else "")]
        lines += [f"not {other}: {why}" for other, why in reasons.items()]
        if isinstance(self.program, Program):
            products = len(self.program.products)
            lines.append(
                f"one step: {self.program.count('pointwise')} pointwise ops, {products} matrix "
                f"product{'s' * (products != 1)}, {self.program.sequential_products} of them one after another"
            )
        else:
            lines.append(f"the step runs as plain Python: {self.why_untraced}")
        return "\n".join(lines)

    def flatten_parameters(self) -> None:
        """Does nothing: engines pack weights themselves. It is here because training scripts call torch.nn's."""

    @property
    def all_weights(self) -> list[list[nn.Parameter]]:
        """The parameters, one list per layer and direction, as torch.nn has them."""
        names = parameter_shapes(self.program, 1, self.sizes)
        return [[self.get_parameter(name + suffix) for name in names] for _, suffix in self._places()]

    def extra_repr(self) -> str:
        text = f"{self.cell}, {self.input_size}, {self.hidden_size}"
        return text + options_text(self, self._printed_options)

    _printed_options: dict[str, Any] = {
        "proj_size": 0,
        "num_layers": 1,
        "bias": True,
        "batch_first": False,
        "dropout": 0.0,
        "bidirectional": False,
        "engine": "auto",
    }

    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _places(self) -> Iterator[tuple[int, str]]:
        """Layer number and parameter suffix of every scan, in torch.nn's order."""
        for k in range(self.num_layers):
            for direction in self._directions():
                yield k, f"_l{k}{direction}"

    def _output_size(self) -> str:
        return self.program.states[self.program.output_state]

    def _initial(self, hx: Tensor | States | None, batch: int, batched: bool, weight: Tensor) -> States:
        scans = self.num_layers * len(self._directions())
        shapes = [(scans, batch, self.sizes[size]) for size in self.program.states.values()]
        if hx is None:
            return tuple(weight.new_zeros(shape) for shape in shapes)
        name = type(self).__name__
        return check_states(name, as_states(name, hx, self.program.states), batched, shapes, weight)

    def _stack(self, x: Tensor, batch_sizes: Sequence[int], hx: States) -> tuple[Tensor, States]:
        """All layers and directions over rows laid out as in a PackedSequence."""
        names = list(parameter_shapes(self.program, 1, self.sizes))
        last: list[States] = []
        for k in range(self.num_layers):
            outputs = []
            for direction in self._directions():
                weights = {name: getattr(self, f"{name}_l{k}{direction}") for name in names}
                states = tuple(state[len(last)] for state in hx)
                output, final = engines.scan(
                    self.engine, self.program, x, batch_sizes, states, weights, reverse=direction == "_reverse"
                )
                outputs.append(output)
                last.append(final)
            x = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
            if self.dropout and self.training and k < self.num_layers - 1:
                x = F.dropout(x, self.dropout)
        return x, tuple(torch.stack(states) for states in zip(*last, strict=True))

    def _as_given(self, states: States) -> Tensor | States:
        return states[0] if len(states) == 1 else states


def as_cell(cell: Cell | type[Cell] | str) -> Cell:
    """A cell given as an instance, a class or a name. Raises TypeError for anything else."""
    if isinstance(cell, str):
        return cells.find(cell)
    if isinstance(cell, type) and issubclass(cell, Cell):
        return cell()
    if not isinstance(cell, Cell):
        raise TypeError(f"cell must be a carousel.Cell, a class of one, or a name, got {type(cell).__name__}")
    return cell


def program_of(cell: Cell, bias: bool, engine: str) -> tuple[Interface, str]:
    """The cell's program; for the reference engine, asked for by name, its step as it stands and why, if need be."""
    try:
        return trace(cell, bias), ""
    except ProgramError as error:
        if engine != "reference":
            raise
        return untraced(cell, bias), str(error)


def check_projection(program: Interface, hidden_size: int, proj_size: int) -> dict[str, int]:
    """Numbers for the size names. Raises ValueError if the cell and proj_size do not agree."""
    matrix_sizes = [size for weight in program.weights.values() for size in (weight.rows, weight.columns)]
    uses = "projection" in (*program.states.values(), *matrix_sizes)
    if uses and not proj_size:
        raise ValueError(f"{program.cell} uses the size 'projection': give the layer a proj_size above zero")
    if proj_size and not uses:
        raise ValueError(f"proj_size is for cells that use the size 'projection', which {program.cell} does not")
    return {"hidden": hidden_size, "projection": proj_size}


def parameter_shapes(program: Interface, input_size: int, sizes: dict[str, int]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of one scan's parameters, in torch.nn's order."""
    stacked = len(program.gates) * sizes["hidden"]
    shapes: dict[str, tuple[int, ...]] = {
        "weight_ih": (stacked, input_size),
        "weight_hh": (stacked, sizes[program.states[program.output_state]]),
    }
    if program.gate_bias:
        shapes |= {"bias_ih": (stacked,), "bias_hh": (stacked,)}
    for weight in program.weights.values():
        if weight.gate is None:
            shapes[weight.parameter] = (sizes[weight.rows], sizes[weight.columns])
    for name, vector in program.vectors.items():
        shapes[name] = (stacked,) if vector.per_gate else (sizes["hidden"],)
    return shapes


def initialize(module: nn.Module, program: Interface, hidden_size: int, suffix: str = "") -> None:
    """Draws one scan's parameters: uniform in ±1/sqrt(hidden_size), or what a vector's `initial` says."""
    bound = 1.0 / math.sqrt(hidden_size)
    for name in parameter_shapes(program, 1, {"hidden": 1, "projection": 1}):
        parameter = module.get_parameter(name + suffix)
        vector = program.vectors.get(name)
        if vector is not None and vector.initial is not None:
            nn.init.constant_(parameter, vector.initial)
        else:
            nn.init.uniform_(parameter, -bound, bound)


def options_text(module: nn.Module, defaults: dict[str, Any]) -> str:
    """The options that differ from their defaults, as torch.nn prints them."""
    given = {name: getattr(module, name) for name in defaults}
    return "".join(f", {name}={value}" for name, value in given.items() if value != defaults[name])
