"""The layer: any cell, stacked, in one or both directions, over batches, packed sequences or single sequences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence

from carousel import engines
from carousel.cells import Cell
from carousel.layers.arguments import as_mask, as_states, check_constructor, check_input, check_states
from carousel.layers.parameters import as_cell, check_projection, initialize, options_text, parameter_shapes, program_of
from carousel.layers.segments import Segments, segments
from carousel.program import Program

States = tuple[Tensor, ...]


class Recurrent(nn.Module):
    """Runs a cell over sequences: torch.nn.LSTM's constructor, call, results and parameter names, for every cell.

        output, hx = Recurrent(cell, input_size, hidden_size)(input, hx=None, *, lengths=None, mask=None, reset=None)

    Axes: T steps, B sequences, I = input_size, H = hidden_size (proj_size for a state of that size), D directions,
    L layers.
    input: (T, B, I); (B, T, I) with batch_first; (T, I) for a single sequence; or a PackedSequence.
    hx: the initial state, (L * D, B, H), zero if None; for a cell with several states a tuple, in the cell's order.
    output: (T, B, D * H), the first state of the last layer at every step; laid out as the input was.
    The returned hx holds every state after each sequence's last step. T = 0 and B = 0 are legal.
    lengths: (B), how many of each row's steps are real, in any order, 0 included.
    mask: (T, B) bool, laid out as the input, which steps are real, where padding is on the left or in between.
        The state passes over padding as if it were not there, the output is 0 there; the cost is that of real steps.
    reset: (T, B) bool, laid out as the input: before such a step that row begins a new sequence, from the layer's own
        initial state. Neither values nor gradients pass, in either direction; no other row notices. hx stands before a
        row's first sequence; the one returned after its last.

    cell: a `Cell`, a Cell class that needs no arguments, or a name in the catalogue.
    initial_state: where hx is not given, and after a reset, "zero", or "learned": a parameter for each state, layer and
        direction, `initial_h_lk`, which begins at zero.
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

    weight_ih_l0: Tensor  # registered by name below, with all the others

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
        initial_state: str = "zero",
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
        if initial_state not in ("zero", "learned"):
            raise ValueError(f"initial_state must be 'zero' or 'learned', but {initial_state!r} was given")
        self.initial_state = initial_state
        for k, suffix in self._places():
            width = input_size if k == 0 else len(self._directions()) * self.sizes[self._output_size()]
            for name, shape in parameter_shapes(self.program, width, self.sizes).items():
                self.register_parameter(name + suffix, nn.Parameter(torch.empty(shape, device=device, dtype=dtype)))
            if initial_state == "learned":
                for state, size in self.program.states.items():
                    start = torch.empty(self.sizes[size], device=device, dtype=dtype)
                    self.register_parameter(f"initial_{state}{suffix}", nn.Parameter(start))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws every parameter anew, in torch.nn's order: the same seed gives the same weights."""
        for _, suffix in self._places():
            initialize(self, self.program, self.hidden_size, suffix)
            if self.initial_state == "learned":
                for state in self.program.states:
                    nn.init.zeros_(self.get_parameter(f"initial_{state}{suffix}"))

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | States | None = None,
        *,
        lengths: Tensor | None = None,
        mask: Tensor | None = None,
        reset: Tensor | None = None,
    ) -> tuple[Tensor | PackedSequence, Tensor | States]:
        if not isinstance(input, PackedSequence):
            return self._padded(input, hx, lengths, mask, reset)
        if lengths is not None or mask is not None or reset is not None:
            raise ValueError(
                f"{self._name()}: a PackedSequence brings its own lengths; pad it to give lengths, mask or reset"
            )
        return self._packed(input, hx)

    def _packed(self, input: PackedSequence, hx: Tensor | States | None) -> tuple[PackedSequence, Tensor | States]:
        check_input(self._name(), input.data, self.input_size, (2,), self._weight())
        sizes = input.batch_sizes.tolist()
        states = self._initial(hx, sizes[0], batched=True)
        if input.sorted_indices is not None:
            states = tuple(state.index_select(1, input.sorted_indices) for state in states)
        rows, states = self._stack(input.data, sizes, states)
        if input.unsorted_indices is not None:
            states = tuple(state.index_select(1, input.unsorted_indices) for state in states)
        output = PackedSequence(rows, input.batch_sizes, input.sorted_indices, input.unsorted_indices)
        return output, self._as_given(states)

    def _padded(
        self,
        input: Tensor,
        hx: Tensor | States | None,
        lengths: Tensor | None,
        mask: Tensor | None,
        reset: Tensor | None,
    ) -> tuple[Tensor, Tensor | States]:
        name = self._name()
        check_input(name, input, self.input_size, (2, 3), self._weight())
        batched = input.dim() == 3
        transposed = batched and self.batch_first
        x = input if batched else input.unsqueeze(1)
        x = x.transpose(0, 1) if transposed else x
        steps, batch = x.shape[:2]
        if steps == 0 and self.refuses_no_steps:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        states = self._initial(hx, batch, batched)
        rows = x.reshape(steps * batch, self.input_size)
        if lengths is None and mask is None and reset is None:
            rows, states = self._stack(rows, [batch] * steps, states)
        else:
            real, starts = as_mask(name, steps, batch, lengths, mask, reset, batched, transposed)
            rows, states = self._stack_of_segments(rows, segments(real, starts, x.device), states)
        output = rows.reshape(steps, batch, rows.shape[-1])
        if not batched:
            return output.squeeze(1), self._as_given(tuple(state.squeeze(1) for state in states))
        return output.transpose(0, 1) if transposed else output, self._as_given(states)

    def explain(self) -> str:
        """Which engine runs this layer's scans, and why; what one step costs."""
        chosen, reasons = engines.choose(self.engine, self.program, self._weight().dtype, self._weight().device)
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
    def all_weights(self) -> list[list[Tensor]]:
        """The parameters, one list per layer and direction, as torch.nn has them."""
        names = parameter_shapes(self.program, 1, self.sizes)
        return [[getattr(self, name + suffix) for name in names] for _, suffix in self._places()]

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
        "initial_state": "zero",
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

    def _name(self) -> str:
        return type(self).__name__

    def _weight(self) -> Tensor:
        """Any parameter: their dtype and device are the layer's. A plain tensor under torch.func.functional_call."""
        return self.weight_ih_l0

    def _scans(self) -> int:
        return self.num_layers * len(self._directions())

    def _initial(self, hx: Tensor | States | None, batch: int, batched: bool) -> States:
        if hx is None:
            return self._fresh(batch)
        shapes = [(self._scans(), batch, self.sizes[size]) for size in self.program.states.values()]
        states = as_states(self._name(), hx, self.program.states)
        return check_states(self._name(), states, batched, shapes, self._weight())

    def _fresh(self, batch: int) -> States:
        """The states that a sequence begins with when none is given, (L * D, B, size) each."""
        if self.initial_state == "zero":
            sizes = (self.sizes[size] for size in self.program.states.values())
            return tuple(self._weight().new_zeros(self._scans(), batch, size) for size in sizes)
        suffixes = [suffix for _, suffix in self._places()]
        learned = (torch.stack([getattr(self, f"initial_{s}{x}") for x in suffixes]) for s in self.program.states)
        return tuple(state.unsqueeze(1).expand(-1, batch, -1) for state in learned)

    def _stack_of_segments(self, x: Tensor, cut: Segments, hx: States) -> tuple[Tensor, States]:
        """All layers over the sequences that a padded batch is cut into."""
        fresh = self._fresh(hx[0].shape[1])
        first = tuple(map(cut.first_states, hx, fresh))
        rows, final = self._stack(x.index_select(0, cut.steps), cut.batch_sizes, first)
        return cut.padded(rows, len(x)), tuple(map(cut.last_states, final, hx, fresh))

    def _stack(self, x: Tensor, batch_sizes: Sequence[int], hx: States) -> tuple[Tensor, States]:
        """All layers and directions over rows laid out as in a PackedSequence."""
        names = list(parameter_shapes(self.program, 1, self.sizes))
        last: list[States] = []
        for k in range(self.num_layers):
            outputs = []
            for direction in self._directions():
                weights = {name: getattr(self, f"{name}_l{k}{direction}") for name in names}
                states = tuple(state[len(last)] for state in hx)
                (output,), final = engines.scan(
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
