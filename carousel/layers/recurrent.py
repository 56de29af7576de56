"""The layer: any cell, stacked, in one or both directions, over batches, packed sequences or single sequences.

Here stands what a user sees: constructor, call, recordings, hooks. `call` reads what a call was given, `add_ins` says
how regularisers and the like join it, and `stack` runs its scans.
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
from carousel.layers import call, explaining, regularizers, stack
from carousel.layers.add_ins import AddIn, AddIns
from carousel.layers.arguments import as_size, check_checkpoint, check_constructor
from carousel.layers.equations import Equations
from carousel.layers.fx_leaf import as_leaf, is_proxy
from carousel.layers.hooks import Function, Hooks, StepHook
from carousel.layers.initialization import initialize_by_name
from carousel.layers.parameters import check_sizes, initialize, options_text, parameter_shapes, register
from carousel.layers.recording import Recording, Tap, check_names, of_this_thread
from carousel.layers.rnn_base import RNNBase
from carousel.layers.stepper import Stepper
from carousel.program import naming

States = tuple[Tensor, ...]


class Recurrent(Equations, RNNBase):
    """Runs a cell over sequences: torch.nn.LSTM's constructor, call, results and parameter names, for every cell.

        layer = Recurrent(cell, input_size, hidden_size)
        output, hx = layer(input, hx=None)              # see `forward` for shapes and all arguments

    cell: a `Cell`, a Cell class that needs no arguments, or a name in the catalogue.
    Options that torch.nn has too:
    input_size, hidden_size: I and H, the numbers of units of the input and of the cell's states.
    num_layers: L; each layer above the first reads the outputs of the one below.
    bias: whether gates have biases.
    batch_first: whether a batch is (B, T, I), and outputs alike; states are (L * D, B, H) always.
    dropout: the probability with which outputs of all layers but the last are dropped in training.
    bidirectional: whether a second scan runs from the last step to the first; outputs are the two side by side.
    proj_size: the size of "projection", for cells that use it.
    device, dtype: where the parameters are, and of what type: float32, float64 or bfloat16 on the native engine, any on
        the reference. Results have the weights' dtype, under autocast too, where torch.nn's have autocast's: rounding
        a state at every step loses what it sums.
    Options by keyword:
    initial_state: where hx is not given, and after a reset, "zero", or "learned": a parameter for each state, layer and
        direction, `initial_h_lk`, which begins at zero.
    zoneout: the probability that a unit of a state keeps its old value for a step, for all states or by state.
    recurrent_dropout, input_dropout: of what U multiplies and of each layer's input, one mask for a whole sequence
        (Gal & Ghahramani). candidate_dropout: of what a step writes into its memory, a mask a step (Semeniuta).
    weight_drop: of the elements of U. Sources: see `carousel.layers.regularizers`.
    checkpoint: recompute in backward, this many steps at a time, instead of keeping every step's values: the same
        gradients, memory for T / k states and k steps, one more forward pass. "auto": only where a scan would keep more
        than 1 GiB, with k the square root of T.
    engine: "auto" takes the fastest engine that can run the cell (`explain()` says which, and why); by name, that
        engine or an error. engine="reference" also runs a cell whose step is outside the alphabet of programs.

    Parameters of layer k are `weight_ih_lk` (gates * H, I or D * H), `weight_hh_lk` (gates * H, H), `bias_ih_lk`,
    `bias_hh_lk` (gates * H), `weight_hr_lk` and the like for the cell's matrices, and the cell's vectors by name,
    `p_i_lk`; those of the reverse direction end in `_reverse`. They start uniform in ±1/sqrt(H), a vector with an
    initial value of its own at that. `initialize` draws them by other published schemes.

    Raises ProgramError for a cell that contradicts itself or leaves the alphabet; TypeError, ValueError and
    RuntimeError for what torch.nn refuses too, in its words; ValueError for options that do not fit the cell or
    one another.
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
        zoneout: float | Mapping[str, float] = 0.0,
        recurrent_dropout: float = 0.0,
        candidate_dropout: float = 0.0,
        input_dropout: float = 0.0,
        weight_drop: float = 0.0,
        checkpoint: int | str | None = None,
        engine: str = "auto",
    ):
        nn.Module.__init__(self)  # not nn.RNNBase's: it would make parameters of its own
        num_layers, proj_size = as_size("num_layers", num_layers), as_size("proj_size", proj_size)
        check_constructor(input_size, hidden_size, num_layers, bias, batch_first, dropout, proj_size)
        self.input_size, self.hidden_size, self.proj_size = input_size, hidden_size, proj_size
        self.num_layers, self.batch_first = num_layers, batch_first
        self.dropout, self.bidirectional = float(dropout), bidirectional
        self._take(cell, bias, engine)
        engines.check_name(engine)
        if initial_state not in ("zero", "learned"):
            raise ValueError(f"initial_state must be 'zero' or 'learned', but {initial_state!r} was given")
        self.initial_state = initial_state
        self.zoneout, self.recurrent_dropout = zoneout, recurrent_dropout
        self.candidate_dropout = candidate_dropout
        self.input_dropout, self.weight_drop = input_dropout, weight_drop
        _ = regularizers.chosen(self._program, self, training=True)  # checked now
        check_checkpoint(checkpoint)
        self.checkpoint = checkpoint
        self._hooks: OrderedDict[int, StepHook] = OrderedDict()
        register(self, self._program.cell, self.shapes(), device, dtype)
        self._register_own()
        self.reset_parameters()

    _derived = (*Equations._derived, "sizes", "_shapes", "_recordings", "_taps")

    def _derive(self) -> None:
        sizes = {"input": self.input_size, "hidden": self.hidden_size, "projection": self.proj_size}
        self.sizes = check_sizes(self._program, sizes)
        width = (1 + self.bidirectional) * self.sizes[self._program.states[self._program.output_state]]
        # The shapes of the first layer's parameters, and of those of every layer above it.
        self._shapes = [
            parameter_shapes(self._program, self.sizes | {"input": size}) for size in (self.input_size, width)
        ]
        self._recordings: list[Recording] = []
        self._taps: list[Tap] = []

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The names of all parameters and their shapes, in torch.nn's order."""
        found: dict[str, tuple[int, ...]] = {}
        for suffix in self.suffixes():
            shapes = dict(self.scan_shapes(suffix))
            if self.initial_state == "learned":
                shapes |= {naming.initial(s): (self.sizes[size],) for s, size in self._program.states.items()}
            found |= {name + suffix: shape for name, shape in shapes.items()}
        return found

    def scan_shapes(self, suffix: str) -> dict[str, tuple[int, ...]]:
        """The names and shapes of the parameters of one scan, "_l0_reverse", without that suffix."""
        return self._shapes[not suffix.startswith("_l0")]

    def reset_parameters(self) -> None:
        """Draws every parameter anew, in torch.nn's order: the same seed gives the same weights."""
        for suffix in self.suffixes():
            initialize(self, self._program, self.hidden_size, suffix)
            if self.initial_state == "learned":
                for state in self._program.states:
                    nn.init.zeros_(self.get_parameter(naming.initial(state) + suffix))

    def initialize(self, *names: str, longest: int | None = None) -> None:
        """Draws parameters anew by named schemes: "orthogonal", "identity", "forget-bias", "chrono" (with `longest`).

        Sources, and what each of them changes: see `carousel.layers.initialization`.
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
        return_states: bool = False,
    ) -> Any:
        """Runs the layer over a batch of sequences. Returns (output, hx).

        Axes: T steps, B sequences, I = input_size, H = hidden_size (proj_size for a state of that size), L layers,
        D directions.
        input: (T, B, I); (B, T, I) with batch_first; (T, I) for a single sequence; or a PackedSequence.
        hx: the initial state, (L * D, B, H), zero if None; for a cell with several states a tuple, in the cell's order;
            without the axis B for a single sequence.
        output: (T, B, D * H), the first state of the last layer at every step; laid out as the input was.
        The returned hx holds every state after each sequence's last step. T = 0 and B = 0 are legal; of these
        torch.nn's faces refuse T = 0, as torch.nn does.

        lengths: (B), how many of each row's steps are real, in any order, 0 included.
        mask: (T, B) bool, laid out as the input, which steps are real, where padding is on the left or in between.
            The state passes over padding as if it were not there, the output is 0 there; the cost is that of real
            steps.
        reset: (T, B) bool, laid out as the input: before such a step that row begins a new sequence, from the layer's
            own initial state. Neither values nor gradients pass, in either direction; no other row notices. hx stands
            before a row's first sequence; the one returned after its last.
        keep, add: before each step the state becomes keep * state + add: (T, B), (T, B, 1) or (T, B, H), laid out as
            the input; for every state, or a mapping from state to tensor. Differentiable. keep 0 forgets (but 0 * NaN
            is NaN: reset forgets anything), keep 1 keeps.
        return_states: returns (output, hx, states), every state at every step by name, (L * D, T, B, H) each. A loss
            may be made of them; what the gradient by them is along the recurrence, `tap()` tells, and their `.grad`
            does not.

        Raises TypeError, ValueError or RuntimeError, in torch.nn's words where it refuses the same, for an input or
        state of another shape, dtype or device; ValueError for lengths, mask, reset, keep or add that do not fit the
        input, for lengths beside a mask, and for any of these beside a PackedSequence.
        """
        if is_proxy(input):
            named = {"lengths": lengths, "mask": mask, "reset": reset, "keep": keep, "add": add}
            asked = {} if return_states is False else {"return_states": return_states}
            return as_leaf(self, input, hx, **{name: x for name, x in named.items() if x is not None}, **asked)
        self._follow()
        call.check_options(self)
        layout = call.lay_out(self, input, lengths, mask, reset, given_by_step=keep is not None or add is not None)
        given = call.first_states(self, hx, layout)
        by_step = () if keep is None and add is None else (call.GivenByStep(self, layout, keep, add),)
        states = (self.record(*self._program.states),) if return_states else ()
        readers = (*of_this_thread(self._taps), *of_this_thread(self._recordings), *states)
        fresh = partial(self.fresh_states, layout.batch)
        add_ins = self.add_ins(self.training, *by_step, *readers)
        rows, last = stack.run(self, layout, layout.first(given, fresh), add_ins)
        last = layout.last(last, given, fresh)
        return layout.output(rows), last[0] if len(last) == 1 else last, *(all_of.found for all_of in states)

    def add_ins(self, training: bool, *more: AddIn) -> AddIns:
        """What joins each scan of a call: the layer's regularisers and hooks, then `more`."""
        each = regularizers.chosen(self._program, self, training)
        hooks = (Hooks(self._name(), self.hooks, tuple(self._program.states)),) if self._hooks else ()
        return AddIns.of(self._program, (*each, *hooks, *more))

    def record(self, *names: str) -> Recording:
        """Reads values out of every step of the calls inside a `with`:

            with layer.record("forget", "c") as values:
                layer(x)
            values["c"]    # (L * D, T, B, H), its first axis in the order of hx's

        A loss may be made of them, and its gradients reach the weights and the input. But they are results of the scan,
        which does not read them back, so that `.grad` of them stays None: gradients by the states are `tap()`'s.
        names: the states, what the cell's step calls its values, and "input", "forget", "candidate", "output", "reset",
            "update" for the gates that are called so. Raises ValueError for a name that there is not.
        """
        check_names(self._name(), self.program, names)
        return Recording(names, self._recordings)

    def tap(self) -> Tap:
        """Gradients by the states that each step reads, of the call inside a `with`; see `Tap`:

            with layer.tap() as tap:
                output, _ = layer(x)
            tap.gradients(output[-1].sum())["c"]    # (L * D, T, B, H): entry t is by the state that step t reads

        Raises ValueError for a cell whose step runs as plain Python.
        """
        check_names(self._name(), self.program, tuple(self._program.states))
        return Tap(tuple(self._program.states), self._taps)

    def hook(self, function: Function, at: str | None = None) -> RemovableHandle:
        """Lets Python change the states before each step of the calls to come; slow, and gradients flow through it.

            def noisy(t, states):                    # t: the step, 0 to T - 1, falling in the reverse direction
                states["c"] = states["c"] + 0.1 * torch.randn_like(states["c"])

            handle = layer.hook(noisy)
            layer(x)
            handle.remove()                          # or: with layer.hook(noisy): layer(x)

        function: (t, states) -> None or new states by name. states: by name, (B, H) each, in the order of the batch,
            after a reset and before keep and add; a copy that it may write into or change. What it makes of a row that
            has padding at t is not used. Several hooks run in the order in which they came.
        at: the scan it is for, "l0", "l0_reverse", "l1", ...; None for every layer and direction.
        Layers with a hook run on the reference engine, `explain()` says so, and engine="native" refuses. Where a hook
        forms part of every run of the layer and is affine in the state, keep and add do it at full speed.
        Raises ValueError for a scan that there is not; the call raises TypeError or ValueError for what is no state.
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

    def given_by_step(
        self, input: Tensor, keep: call.ByStep = None, add: call.ByStep = None
    ) -> tuple[call.GivenByStep, ...]:
        """keep= and add= of a call as what joins its scans; nothing where both are None."""
        if keep is None and add is None:
            return ()
        return (call.GivenByStep(self, call.lay_out(self, input, None, None, None, True), keep, add),)

    def stepper(self, batch: int = 1) -> Stepper:
        """This layer one step at a time, with the state held inside and the weights as they are now; see `Stepper`."""
        return Stepper(self, batch)

    def explain(self, steps: int = 0, batch: int = 0, plan: bool = False) -> str:
        """Which engine runs this layer's scans, and why; what one step costs.

        steps, batch: of an input; if given, also how threads divide the work on it.
        plan: whether to list what the engine makes of the first layer's program, forward and backward, line by line.
        """
        self._follow()
        return explaining.explain(self, steps, batch, plan)

    def fresh_states(self, batch: int) -> States:
        """The states that a sequence begins with when none is given, (L * D, B, size) each."""
        if self.initial_state == "zero":
            like = self.weight_ih_l0
            return tuple(torch.zeros(s, dtype=like.dtype, device=like.device) for s in self.expected_states(batch))
        learned = (
            torch.stack([getattr(self, naming.initial(s) + x) for x in self.suffixes()]) for s in self._program.states
        )
        return tuple(state.unsqueeze(1).expand(-1, batch, -1) for state in learned)

    def extra_repr(self) -> str:
        return f"{self.cell}, {self.input_size}, {self.hidden_size}" + options_text(self, self._printed_options)

    @property
    def _printed_options(self) -> dict[str, Any]:
        """The options and their defaults, in torch.nn's order."""
        options = {name: p.default for name, p in inspect.signature(Recurrent).parameters.items()}
        unprinted = ("cell", "input_size", "hidden_size", "device", "dtype")
        return {"proj_size": 0} | {name: default for name, default in options.items() if name not in unprinted}

    def _name(self) -> str:
        return type(self).__name__
