"""The layer: any cell, stacked, in one or both directions, over batches, packed sequences or single sequences.

This file has what a user sees: constructor, call, recordings and hooks. `call` converts the arguments of a call,
`add_ins` is how regularisers and the like join it, and `stack` runs its scans.
"""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils.hooks import RemovableHandle

from carousel import engines
from carousel.cells import Cell
from carousel.layers import again, call, explaining, parts, regularizers, stack, structure
from carousel.layers.add_ins import AddIn, AddIns
from carousel.layers.arguments import as_size, check_checkpoint, check_constructor
from carousel.layers.fx_leaf import as_leaf, is_proxy
from carousel.layers.hooks import Function, Hooks, StepHook
from carousel.layers.initialization import initialize_by_name
from carousel.layers.parameters import check_sizes, options_text, parameter_shapes, register
from carousel.layers.recording import Recording, Tap, check_names, of_this_thread
from carousel.layers.rnn_base import RNNBase
from carousel.layers.scans import Scans
from carousel.layers.stepper import Stepper

States = tuple[Tensor, ...]


class Recurrent(Scans, RNNBase):
    """Runs a cell over sequences: torch.nn.LSTM's constructor, call, results and parameter names, for every cell.

        layer = Recurrent(cell, input_size, hidden_size)
        output, hx = layer(input, hx=None)              # see `forward` for shapes and all arguments

    cell: a `Cell`, a Cell class that needs no arguments, or a name in the catalogue.
    Options that torch.nn has too:
    input_size, hidden_size: I and H, the numbers of units of the input and of the cell's states.
    num_layers: L; each layer above the first reads the outputs of the layer below.
    bias: whether gates have biases.
    batch_first: whether inputs and outputs are (B, T, ...); states are always (L * D, B, H).
    dropout: the probability of dropping each output of all layers but the last, in training.
    bidirectional: whether a second scan runs from the last step to the first; outputs are the two side by side.
    proj_size: the size of "projection", for cells that use it.
    device, dtype: those of the parameters: float32, float64 or bfloat16 on the native engine, any dtype on the
        reference engine. Results have the dtype of the weights, even under autocast, where torch.nn's results have
        autocast's dtype: a state that is rounded at every step loses the small numbers that it sums.
    Options by keyword:
    initial_state: the state without hx and after a reset: "zero" (or what the cell's `initial` says), or "learned",
        which is a parameter for each state, layer and direction, `initial_h_lk`, with the same as its first value.
    zoneout: the probability that a unit of a state keeps its old value for a step, for all states or by state.
    recurrent_dropout, input_dropout: the probability of dropping units of the row that U multiplies, and of each
        layer's input; one mask serves a whole sequence (Gal & Ghahramani). candidate_dropout: of the value that a step
        writes into a state, with a new mask at each step (Semeniuta). weight_drop: of elements of U. Sources: see
        `carousel.layers.regularizers`.
    checkpoint: k, the number of steps that backward recomputes at a time, instead of keeping the values of all steps:
        the same gradients with memory for T / k states and k steps, at the cost of one more forward pass. "auto"
        recomputes only if a scan would keep more than 1 GiB, with k = sqrt(T).
    engine: "auto" chooses the fastest engine that can run the cell (`explain()` says which, and why). With the name of
        an engine, that engine runs or an error says why not. engine="reference" also runs a cell whose step is outside
        the alphabet of programs.
    units: the numbers of the size names that the cell has of its own, {"order": 64}. Without one, the cell's number.

    Parameters of layer k are `weight_ih_lk` (gates * H, I or D * H), `weight_hh_lk` (gates * H, H), `bias_ih_lk`,
    `bias_hh_lk` (gates * H), `weight_hr_lk` and the like for the cell's matrices, and the cell's vectors by name,
    `p_i_lk`; those of the reverse direction end in `_reverse`. They are drawn uniformly from ±1/sqrt(H); a vector
    that declares an initial value starts at that value. `initialize` draws them by other published schemes.

    Raises ProgramError for a cell that contradicts itself or leaves the alphabet; TypeError, ValueError and
    RuntimeError where torch.nn raises them too, in its words; ValueError for options that do not fit the cell or one
    another.
    """

    # RNN, LSTM and GRU refuse T = 0, as torch.nn does; a plain `Recurrent` allows it.
    refuses_no_steps = False

    weight_ih_l0: Tensor  # registered by name below, with all other parameters
    units: dict[str, int] | None = None  # as given

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
        zoneout: float | Mapping[str, float] = 0.0,
        recurrent_dropout: float = 0.0,
        candidate_dropout: float = 0.0,
        input_dropout: float = 0.0,
        weight_drop: float = 0.0,
        checkpoint: int | str | None = None,
        engine: str = "auto",
        units: Mapping[str, int] | None = None,
    ):
        nn.Module.__init__(self)  # not that of nn.RNNBase, which would make its own parameters
        num_layers, proj_size = as_size("num_layers", num_layers), as_size("proj_size", proj_size)
        check_constructor(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        self.input_size, self.hidden_size, self.proj_size = input_size, hidden_size, proj_size
        self.num_layers, self.batch_first = num_layers, batch_first
        self.dropout, self.bidirectional = float(dropout), bidirectional
        self.units = None if units is None else dict(units)
        self._take(cell, bias, engine)
        engines.check_name(engine)
        if initial_state not in ("zero", "learned"):
            raise ValueError(f"initial_state must be 'zero' or 'learned', but {initial_state!r} was given")
        self.initial_state = initial_state
        self.zoneout, self.recurrent_dropout = zoneout, recurrent_dropout
        self.candidate_dropout = candidate_dropout
        self.input_dropout, self.weight_drop = input_dropout, weight_drop
        _ = regularizers.chosen(self._program, self, training=True)  # checks the options now
        check_checkpoint(checkpoint)
        self.checkpoint = checkpoint
        self._hooks: OrderedDict[int, StepHook] = OrderedDict()
        register(self, self._program, self.shapes(), device, dtype)
        structure.register(self, self.cell, self.hidden_size)
        self._register_own()
        self.reset_parameters()

    _derived = (*Scans._derived, "sizes", "_shapes", "_recordings", "_taps", "_calls")

    def _derive(self) -> None:
        sizes = {"input": self.input_size, "hidden": self.hidden_size, "projection": self.proj_size}
        self.sizes = check_sizes(self._program, self.cell, sizes, self.units or {})
        width = (1 + self.bidirectional) * self.sizes[self._program.states[self._program.output_state]]
        if self.num_layers > 1:
            parts.check_stack(self._program, width, self.sizes)
        # The shapes of the parameters of the first layer, and of those of each layer above it.
        self._shapes = [
            parameter_shapes(self._program, self.sizes | {"input": size}) for size in (self.sizes["input"], width)
        ]
        self._recordings: list[Recording] = []
        self._taps: list[Tap] = []
        self._calls = again.Calls()

    def initialize(self, *names: str, longest: int | None = None) -> None:
        """Draws parameters again by named schemes: "orthogonal", "identity", "forget-bias", "chrono" (with `longest`).

        `carousel.layers.initialization` has the sources, and says what each scheme changes.
        """
        initialize_by_name(self, names, longest)

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | States | None = None,
        *,
        lengths: Tensor | Sequence[int] | None = None,
        mask: Tensor | None = None,
        reset: Tensor | None = None,
        keep: Tensor | Mapping[str, Tensor] | None = None,
        add: Tensor | Mapping[str, Tensor] | None = None,
        context: Tensor | Mapping[str, Tensor] | None = None,
        context_lengths: Tensor | Sequence[int] | None = None,
        return_states: bool = False,
    ) -> Any:
        """Runs the layer over a batch of sequences. Returns (output, hx).

        Axes: T steps, B sequences, I = input_size, H = hidden_size (proj_size for a state of that size), L layers,
        D directions.
        input: (T, B, I); (B, T, I) with batch_first; (T, I) for a single sequence; or a PackedSequence.
        hx: the initial state, (L * D, B, H), zero if None; for a cell with several states a tuple, in the cell's order;
            without the axis B for a single sequence. A state with members is one row of all their units; `sizes` of the
            layer has the numbers. As `record` and `return_states` fold it, (..., members, units), it may be given too.
        output: (T, B, D * H), the first state of the last layer at every step, in the layout of the input.
        The returned hx holds every state after each sequence's last step. T = 0 and B = 0 are legal, except that RNN,
        LSTM and GRU refuse T = 0, as torch.nn does.

        lengths: (B), the number of real steps of each row, in any order; 0 is allowed.
        mask: (T, B) bool in the layout of the input, True at real steps, for padding on the left or in between. Padding
            does not change the state, and the output there is 0. The cost is that of the real steps.
        reset: (T, B) bool in the layout of the input. Before a step with True the row begins a new sequence, from the
            layer's own initial state. Neither values nor gradients pass there, in either direction, and other rows are
            not affected. hx is the state before a row's first sequence; the returned hx that after its last.
        keep, add: before each step the state becomes keep * state + add. Each is (T, B), (T, B, 1) or (T, B, H) in the
            layout of the input, for every state, or a mapping from state to tensor. Both are differentiable. keep = 0
            forgets the state (except NaN, since 0 * NaN is NaN; reset forgets that too), keep = 1 keeps it.
        context: for a cell that reads one, a tensor by each of its names, or the tensor alone where there is one name:
            (P, B, size) with P positions, in the layout of the input. All layers, directions and steps of a row read
            it, also after a reset. context_lengths: (B), how many positions each row has; P if None.
        return_states: whether to return (output, hx, states), where states has every state at every step by name,
            (L * D, T, B, H) each. A loss may use them. Their `.grad` is not the gradient along the recurrence;
            `tap()` gives that.

        Raises TypeError, ValueError or RuntimeError, in torch.nn's words where torch.nn raises them too, for an input
        or state of the wrong shape, dtype or device. Raises ValueError for lengths, mask, reset, keep or add that do
        not fit the input, for lengths together with mask, and for any of these together with a PackedSequence.
        """
        if is_proxy(input):
            named = {"lengths": lengths, "mask": mask, "reset": reset, "keep": keep, "add": add}
            named |= {"context": context, "context_lengths": context_lengths}
            asked = {} if return_states is False else {"return_states": return_states}
            return as_leaf(self, input, hx, **{name: x for name, x in named.items() if x is not None}, **asked)
        self._follow()
        key = None if return_states else again.layer_key(self, input, (lengths, mask, keep, add, context))
        if key is not None and (made := again.run_layer(self, key, input, hx, reset)) is not None:
            return made
        call.check_options(self)
        layout = call.lay_out(self, input, lengths, mask, reset, given_by_step=keep is not None or add is not None)
        given = call.first_states(self, hx, layout)
        read = call.context(self, layout, context, context_lengths)
        by_step = () if keep is None and add is None else (call.GivenByStep(self, layout, keep, add),)
        states = (self.record(*self._program.states),) if return_states else ()
        readers = (*of_this_thread(self._taps), *of_this_thread(self._recordings), *states)
        fresh = partial(self.fresh_states, layout.batch)
        add_ins = self.add_ins(self.training, *by_step, *readers)
        rows, last = stack.run(self, layout, layout.first(given, fresh), add_ins, read)
        last = layout.last(last, given, fresh)
        if key is not None:
            self._calls.note(key, self._program, self.scan_shapes, self.suffixes())
        return layout.output(rows), last[0] if len(last) == 1 else last, *(all_of.found for all_of in states)

    def add_ins(self, training: bool, *more: AddIn) -> AddIns:
        """What takes part in the scans of a call beside the cell: the layer's regularisers and hooks, then `more`.

        training: whether the regularisers that act in training alone are among them.
        """
        each = regularizers.chosen(self._program, self, training)
        hooks = (Hooks(self._name(), self.hooks, tuple(self._program.states)),) if self._hooks else ()
        return AddIns.of(self._program, (*each, *hooks, *more))

    def record(self, *names: str) -> Recording:
        """Records values of every step of the calls inside a `with`:

            with layer.record("forget", "c") as values:
                layer(x)
            values["c"]    # (L * D, T, B, H), the first axis in the order of hx

        A loss may use the values, and its gradients reach the weights and the input. The values are results of a scan,
        so that their `.grad` stays None; `tap()` gives gradients with respect to the states.
        names: states, names of values in the cell's step, and "input", "forget", "candidate", "output", "reset",
            "update" for the usual letters of these gates. Raises ValueError for an unknown name.
        """
        check_names(self._name(), self.program, names)
        return Recording(names, self._recordings)

    def tap(self) -> Tap:
        """Gradients with respect to the states that each step reads, for the call inside a `with`; see `Tap`:

            with layer.tap() as tap:
                output, _ = layer(x)
            tap.gradients(output[-1].sum())["c"]    # (L * D, T, B, H); entry t: for the state that step t reads

        Raises ValueError for a cell whose step runs as plain Python.
        """
        check_names(self._name(), self.program, tuple(self._program.states))
        return Tap(tuple(self._program.states), self._taps)

    def hook(self, function: Function, at: str | None = None) -> RemovableHandle:
        """Lets a function change the states before each step of later calls. It is slow; gradients flow through it.

            def noisy(t, states):                    # t: the step, 0 to T - 1 (T - 1 to 0 in the reverse direction)
                states["c"] = states["c"] + 0.1 * torch.randn_like(states["c"])

            handle = layer.hook(noisy)
            layer(x)
            handle.remove()                          # or: with layer.hook(noisy): layer(x)

        function: (t, states) -> None or new states by name. states: a copy of the states by name, each (B, H) in the
            order of the batch, after a reset and before keep and add; the function may write into it. Its results
            for rows with padding at t are ignored. Several hooks run in the order in which they were added.
        at: the scan in which it runs, "l0", "l0_reverse", "l1", ...; None for all layers and directions.
        A layer with a hook runs on the reference engine, as `explain()` says, and engine="native" raises an error. If
        the change is affine in the state, keep= and add= do the same at full speed.
        Raises ValueError for an unknown scan. The call raises TypeError or ValueError if the result has no valid
        states.
        """
        there = [suffix.removeprefix("_") for suffix in self.suffixes()]
        if at is not None and at not in there:
            raise ValueError(f"{self._name()}: there is no scan {at!r} to hook; there is {', '.join(there)}")
        handle = RemovableHandle(self._hooks)
        self._hooks[handle.id] = StepHook(function, at)
        return handle

    @property
    def hooks(self) -> tuple[StepHook, ...]:
        """The hooks that run before each step, in their order."""
        return tuple(self._hooks.values())

    @property
    def is_read(self) -> bool:
        """Whether a recording or a tap, of any thread, reads values of its steps."""
        return bool(self._recordings or self._taps)

    def given_by_step(
        self, input: Tensor, keep: call.ByStep = None, add: call.ByStep = None
    ) -> tuple[call.GivenByStep, ...]:
        """keep= and add= of a call as add-ins; empty if both are None.

        input: that of the call, whose steps and rows they must fit. keep, add: as for `forward`, whose errors it raises
            too.
        """
        if keep is None and add is None:
            return ()
        return (call.GivenByStep(self, call.lay_out(self, input, None, None, None, True), keep, add),)

    def stepper(
        self,
        batch: int = 1,
        *,
        context: Tensor | Mapping[str, Tensor] | None = None,
        context_lengths: Tensor | Sequence[int] | None = None,
    ) -> Stepper:
        """A `Stepper`, which runs this layer one step at a time with its current weights, and holds the state.

        batch: B, the number of sequences that it runs side by side.
        context, context_lengths: as a call takes them, for all steps to come.
        Raises ValueError for a bidirectional layer, for a layer with hooks, for a batch below 1, and for a context that
        does not fit the cell.
        """
        return Stepper(self, batch, context, context_lengths)

    def explain(self, steps: int = 0, batch: int = 0, plan: bool = False) -> str:
        """A text that says which engine runs this layer's scans and why, and what one step costs.

        steps, batch: T and B of an input; if given, the text also says how threads divide the work.
        plan: whether to append the engine's plans of the first layer, forward and backward.
        """
        self._follow()
        return explaining.explain(self, steps, batch, plan)

    def extra_repr(self) -> str:
        return f"{self.cell}, {self.input_size}, {self.hidden_size}" + options_text(self, self._printed_options)

    @property
    def _printed_options(self) -> dict[str, Any]:
        """{option: default} in torch.nn's order."""
        options = {name: p.default for name, p in inspect.signature(Recurrent).parameters.items()}
        unprinted = ("cell", "input_size", "hidden_size", "device", "dtype")
        return {"proj_size": 0} | {name: default for name, default in options.items() if name not in unprinted}

    def _name(self) -> str:
        return type(self).__name__
