"""The layer: any cell, stacked, in one or both directions, over batches, packed sequences or single sequences."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import PackedSequence
from torch.utils.hooks import RemovableHandle

from carousel import engines
from carousel.cells import Cell
from carousel.engines.inside_torch import becomes_a_graph, is_batched, is_compiled, is_jit_traced
from carousel.layers.arguments import (
    as_mask,
    as_size,
    as_states,
    check_checkpoint,
    check_constructor,
    check_input,
    check_states,
    check_weights,
)
from carousel.layers.equations import Equations
from carousel.layers.fx_leaf import as_leaf, is_proxy
from carousel.layers.hooks import Function, StepHook, change
from carousel.layers.in_time import InTime, Walk
from carousel.layers.initialization import initialize_by_name
from carousel.layers.layout import Packed, Padded
from carousel.layers.parameters import (
    check_projection,
    initialize,
    options_text,
    parameter_shapes,
    register,
)
from carousel.layers.recording import Recording, Tap, check_names, of_this_thread
from carousel.layers.regularizers import Regularizers
from carousel.layers.rnn_base import RNNBase
from carousel.layers.segments import segments
from carousel.layers.stepper import Stepper
from carousel.program import Program, naming

States = tuple[Tensor, ...]
Layout = Packed | Padded | InTime


class Recurrent(Equations, RNNBase):
    """Runs a cell over sequences: torch.nn.LSTM's constructor, call, results and parameter names, for every cell.

        output, hx = Recurrent(cell, input_size, hidden_size)(input, hx=None)

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
    keep, add: before each step the state becomes keep * state + add: (T, B), (T, B, 1) or (T, B, H), laid out as the
        input; for every state, or a mapping from state to tensor. Differentiable. keep 0 forgets (but 0 * NaN is NaN:
        reset forgets anything), keep 1 keeps.
    return_states: returns (output, hx, states), every state at every step by name, (L * D, T, B, H) each. A loss may be
        made of them; what the gradient by them is along the recurrence, `tap()` tells, and their `.grad` does not.

    cell: a `Cell`, a Cell class that needs no arguments, or a name in the catalogue.
    initial_state: where hx is not given, and after a reset, "zero", or "learned": a parameter for each state, layer and
        direction, `initial_h_lk`, which begins at zero.
    zoneout: the probability that a unit of a state keeps its old value for a step, for all states or by state.
    recurrent_dropout, input_dropout: of what U multiplies and of each layer's input, one mask for a whole sequence
        (Gal & Ghahramani). candidate_dropout: of what a step writes into its memory, a mask a step (Semeniuta).
    checkpoint: recompute in backward, this many steps at a time, instead of keeping every step's values: the same
        gradients, memory for T / k states and k steps, one more forward pass. "auto": only where a scan would keep more
        than 1 GiB, with k the square root of T.
    weight_drop: of the elements of U. Sources: see `carousel.layers.regularizers`.
    num_layers, bias, batch_first, dropout (between layers, in training), bidirectional: as in torch.nn.
    proj_size: the size of "projection", for cells that use it.
    engine: "auto" takes the fastest engine that can run the cell (`explain()` says which, and why); by name, that
        engine or an error. engine="reference" also runs a cell whose step is outside the alphabet of programs.

    dtype: float32, float64 or bfloat16 on the native engine, any on the reference. Results have the weights' dtype,
        under autocast too, where torch.nn's have autocast's: rounding a state at every step loses what it sums.

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
        _ = self.regularizers  # checked now
        check_checkpoint(checkpoint)
        self.checkpoint = checkpoint
        self._hooks: OrderedDict[int, StepHook] = OrderedDict()
        register(self, self._program.cell, self.shapes(), device, dtype)
        self._register_own()
        self.reset_parameters()

    _derived = (*Equations._derived, "sizes", "_shapes", "_recordings", "_taps")

    def _derive(self) -> None:
        self.sizes = check_projection(self._program, self.hidden_size, self.proj_size)
        width = len(self._directions()) * self.sizes[self._output_size()]
        # The shapes of the first layer's parameters, and of those of every layer above it.
        self._shapes = [parameter_shapes(self._program, size, self.sizes) for size in (self.input_size, width)]
        self._recordings: list[Recording] = []
        self._taps: list[Tap] = []

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The names of all parameters and their shapes, in torch.nn's order."""
        found: dict[str, tuple[int, ...]] = {}
        for k, suffix in self._places():
            shapes = dict(self._shapes[k > 0])
            if self.initial_state == "learned":
                shapes |= {naming.initial(s): (self.sizes[size],) for s, size in self._program.states.items()}
            found |= {name + suffix: shape for name, shape in shapes.items()}
        return found

    @property
    def regularizers(self) -> Regularizers:
        """The layer's regularisers, checked; like dropout, each may be changed between calls."""
        of_state = self.zoneout, self.recurrent_dropout, self.candidate_dropout
        return Regularizers.checked(self._program, *of_state, self.input_dropout, self.weight_drop)

    def reset_parameters(self) -> None:
        """Draws every parameter anew, in torch.nn's order: the same seed gives the same weights."""
        for _, suffix in self._places():
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
        if is_proxy(input):
            named = {"lengths": lengths, "mask": mask, "reset": reset, "keep": keep, "add": add}
            asked = {} if return_states is False else {"return_states": return_states}
            return as_leaf(self, input, hx, **{name: x for name, x in named.items() if x is not None}, **asked)
        self._follow()
        check_checkpoint(self.checkpoint)  # it may be changed between calls
        if self._hooks and isinstance(self.checkpoint, int):
            raise ValueError(
                f"{self._name()}: checkpoint={self.checkpoint} runs steps twice, which a hook would notice; "
                "remove the hook or set checkpoint=None"
            )
        layout = self._layout(input, lengths, mask, reset, given_by_step=keep is not None or add is not None)
        given = self._initial(hx, layout.batch, layout.batched)
        fresh = partial(self.fresh_states, layout.batch)
        streams = self._given_by_step(layout, keep, add)
        recordings, taps = of_this_thread(self._recordings), of_this_thread(self._taps)
        names = dict.fromkeys(name for recording in recordings for name in recording.names)
        if return_states:
            check_names(self._name(), self._program, tuple(self._program.states))
            names |= dict.fromkeys(self._program.states)
        for tap in taps:
            tap.begin(layout.every_step)
        rows, final, recorded = self._stack(layout, layout.first(given, fresh), fresh, streams, tuple(names), taps)
        output, last = layout.output(rows), layout.last(final, given, fresh)
        recorded = {name: layout.every_step(values) for name, values in recorded.items()}
        for recording in recordings:
            recording.found = {name: recorded[name] for name in recording.names}
        hx = last[0] if len(last) == 1 else last
        if return_states:
            return output, hx, {state: recorded[state] for state in self._program.states}
        return output, hx

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

    def hooked(self, at: str) -> Callable[[int, States], States] | None:
        """What the hooks of one scan, "l0", make of the states before a step, (t, states) -> states; None for none."""
        return change(self._name(), self._hooks.values(), at, tuple(self.program.states))

    def given_by_step(
        self,
        input: Tensor,
        keep: Tensor | Mapping[str, Tensor] | None = None,
        add: Tensor | Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """keep= and add= of a call as streams of its program: by name, "keep_c", (T * B, size) each."""
        if keep is None and add is None:
            return {}
        return self._given_by_step(self._layout(input, None, None, None, given_by_step=True), keep, add)

    def stepper(self, batch: int = 1) -> Stepper:
        """This layer one step at a time, with the state held inside and the weights as they are now; see `Stepper`."""
        return Stepper(self, batch)

    def _layout(
        self,
        input: Tensor | PackedSequence,
        lengths: Tensor | Sequence[int] | None,
        mask: Tensor | None,
        reset: Tensor | None,
        given_by_step: bool,
    ) -> Layout:
        """The input, checked, as rows for engines."""
        name, cut = self._name(), not (lengths is None and mask is None and reset is None)
        if isinstance(input, PackedSequence):
            if cut or given_by_step:
                raise ValueError(
                    f"{name}: a PackedSequence brings its own lengths; pad it to give lengths, mask, reset, keep or add"
                )
            check_input(name, input.data, self.input_size, (2,), self._weight())
            open_ended = becomes_a_graph() and not self._unrolls(self._weight())
            if is_jit_traced() and not open_ended:
                raise RuntimeError(
                    f"{name}: torch.jit.trace would keep the lengths of this PackedSequence for ever, since the "
                    "reference engine runs this layer step by step (`explain()` says why); trace the layer with "
                    "a padded input and lengths, or without torch.jit.trace"
                )
            packed = Packed(PackedSequence(input.data.to(self._weight().dtype), *input[1:]), open_ended)
            return InTime.of_packed(packed) if self._hooks else packed
        check_input(name, input, self.input_size, (2, 3), self._weight())
        batched = input.dim() == 3
        transposed = batched and self.batch_first
        # Under autocast an input may come in bfloat16: scans run in the weights' precision, states above all.
        x = input.to(self._weight().dtype)
        x = x if batched else x.unsqueeze(1)
        x = x.transpose(0, 1) if transposed else x
        steps, batch = x.shape[:2]
        if steps == 0 and self.refuses_no_steps:
            raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
        # A compiler wants shapes that no value decides: the reference engine walks in time, others pad what they cut.
        compiled, in_time = becomes_a_graph(), bool(self._hooks)
        unrolled = compiled and self._unrolls(x)
        if unrolled and is_jit_traced():  # the graph is for these numbers of steps and rows: it refuses others
            x = x.expand(int(steps), int(batch), -1)
        real = starts = sequences = None
        if cut:
            real, starts = as_mask(name, steps, batch, lengths, mask, reset, batched, transposed)
            if is_compiled():
                self._check_compiled()
            # Where flags have no values, or several at once, no sequences can be cut by them.
            in_time |= unrolled
            in_time |= not compiled and any(flags.is_meta or is_batched(flags) for flags in (real, starts))
            if not in_time:
                most = None if not compiled else "row" if reset is None else "step"
                sequences = segments(real, starts, x.device, most)
        in_chunks = isinstance(self.checkpoint, int) and not is_jit_traced()  # of which a trace has no need
        open_ended = compiled and not (unrolled or in_chunks)
        rows = x.reshape(steps * batch, self.input_size)
        padded = Padded(steps, batch, batched, transposed, rows, sequences, open_ended)
        if not in_time:
            return padded
        return InTime(
            padded, steps, batch, *(flags if flags is None else flags.to(x.device) for flags in (real, starts))
        )

    def _unrolls(self, like: Tensor) -> bool:
        """Whether the engine of such a scan takes steps one by one in Python, so that a graph has so many of them."""
        return engines.choose(self.engine, self._program, like.dtype, like.device, bool(self._hooks))[0].calls_python

    def _check_compiled(self) -> None:
        if isinstance(self.checkpoint, int):
            raise ValueError(
                f"{self._name()}: in torch.compile and torch.export checkpoint={self.checkpoint} does not go together "
                "with lengths, mask or reset; leave one of them away, or do not compile this layer"
            )

    def _given_by_step(
        self,
        layout: Layout,
        keep: Tensor | Mapping[str, Tensor] | None,
        add: Tensor | Mapping[str, Tensor] | None,
    ) -> dict[str, Tensor]:
        """keep and add as streams, keep_c and add_c for each state c that either is given for."""
        named: dict[str, dict[str, Tensor]] = {}
        for kind, value in (("keep", keep), ("add", add)):
            if value is not None:
                named[kind] = dict(value) if isinstance(value, Mapping) else dict.fromkeys(self._program.states, value)
        if not named:
            return {}
        if not isinstance(self._program, Program):
            raise ValueError(
                f"{self._name()}: keep and add rewrite the cell's program, and this cell's step runs as plain Python"
            )
        if unknown := {state for states in named.values() for state in states} - set(self._program.states):
            raise ValueError(
                f"{self._name()}: keep and add are for the states {', '.join(self._program.states)}; "
                f"there is no state {min(unknown)!r}"
            )
        assert not isinstance(layout, Packed)
        streams: dict[str, Tensor] = {}
        made: dict[tuple[str, str | int], Tensor] = {}  # what is given for all states is laid out once
        for state in self._program.states:
            if not any(state in states for states in named.values()):
                continue
            size = self.sizes[self._program.states[state]]
            for kind, name, nothing in (("keep", naming.keep(state), 1.0), ("add", naming.add(state), 0.0)):
                value = named.get(kind, {}).get(state)
                of = kind, state if isinstance({"keep": keep, "add": add}[kind], Mapping) else size
                if of not in made:
                    made[of] = layout.stream(self._name(), name, value, size, nothing)
                streams[name] = made[of]
        return streams

    def explain(self, steps: int = 0, batch: int = 0, plan: bool = False) -> str:
        """Which engine runs this layer's scans, and why; what one step costs.

        steps, batch: of an input; if given, also how threads divide the work on it.
        plan: whether to list what the engine makes of the first layer's program, forward and backward, line by line.
        """
        program = self.regularizers.rewritten(self.program, self.training)
        like, hooked = self._weight(), bool(self._hooks)
        chosen, reasons = engines.choose(self.engine, program, like.dtype, like.device, hooked)
        lines = [f"{self}", f"engine: {chosen.name}" + (" (asked for)" if self.engine != "auto" else "")]
        lines += [f"not {other}: {why}" for other, why in reasons.items()]
        if isinstance(program, Program):
            products = len(program.products)
            lines.append(
                f"one step: {program.count('pointwise')} pointwise ops, {products} matrix "
                f"product{'s' * (products != 1)}, {program.sequential_products} of them one after another"
            )
        else:
            lines.append(f"the step runs as plain Python: {self.why_untraced}")
        if chosen.division is not None and steps > 0 and batch > 0:
            shape = self.sizes, self.input_size, steps, batch
            how = chosen.division(program, self._weight().dtype, *shape)
            lines.append(f"{steps} steps of {batch} rows: {how}")
        if plan and chosen.listing is not None:
            lines += ["", chosen.listing(program, self._weight().dtype, self.sizes, self.input_size)]
        elif plan:
            lines.append(f"the {chosen.name} engine runs the program as it stands: print(layer.program)")
        return "\n".join(lines)

    def extra_repr(self) -> str:
        text = f"{self.cell}, {self.input_size}, {self.hidden_size}"
        return text + options_text(self, self._printed_options)

    @property
    def _printed_options(self) -> dict[str, Any]:
        """The options and their defaults, in torch.nn's order."""
        options = {name: p.default for name, p in inspect.signature(Recurrent).parameters.items()}
        unprinted = ("cell", "input_size", "hidden_size", "device", "dtype")
        return {"proj_size": 0} | {name: default for name, default in options.items() if name not in unprinted}

    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _places(self) -> Iterator[tuple[int, str]]:
        """Layer number and parameter suffix of every scan, in torch.nn's order."""
        for k in range(self.num_layers):
            for direction in self._directions():
                yield k, f"_l{k}{direction}"

    def _output_size(self) -> str:
        return self._program.states[self._program.output_state]

    def _name(self) -> str:
        return type(self).__name__

    def _weight(self) -> Tensor:
        """Any parameter: their dtype and device are the layer's. A plain tensor under torch.func.functional_call."""
        return self.weight_ih_l0

    def _initial(self, hx: Tensor | States | None, batch: int, batched: bool) -> States:
        if hx is None:
            return self.fresh_states(batch)
        shapes = self.expected_states(batch)
        states = as_states(self._name(), hx, self._program.states)
        return check_states(self._name(), states, batched, shapes, self._weight())

    def fresh_states(self, batch: int) -> States:
        """The states that a sequence begins with when none is given, (L * D, B, size) each."""
        if self.initial_state == "zero":
            like = self._weight()
            return tuple(torch.zeros(s, dtype=like.dtype, device=like.device) for s in self.expected_states(batch))
        learned = (
            torch.stack([getattr(self, naming.initial(s) + x) for x in self.suffixes()]) for s in self._program.states
        )
        return tuple(state.unsqueeze(1).expand(-1, batch, -1) for state in learned)

    def _walk(self, layout: InTime, at: str, given: States, fresh: Callable[[], States]) -> Walk:
        """What goes on around the steps of one scan. given: the states before it, with what regularisers add."""
        place = self.suffixes().index(f"_{at}")

        def begin() -> States:
            states = tuple(state[place] for state in fresh())
            return (*states, *self.regularizers.masks(states[0], self.training))

        return Walk(layout, at.endswith("_reverse"), given, begin, self.hooked(at))

    def _stack(
        self,
        layout: Layout,
        hx: States,
        fresh: Callable[[], States],
        streams: dict[str, Tensor],
        names: tuple[str, ...],
        taps: list[Tap],
    ) -> tuple[Tensor, States, dict[str, Tensor]]:
        """All layers and directions over the rows: outputs of the last layer, last states, what was recorded."""
        x, batch_sizes = layout.rows, layout.batch_sizes
        modified = tuple(state for state in self._program.states if taps or naming.keep(state) in streams)
        add_ins, own = self.regularizers, self._own(x.dtype)
        program = add_ins.rewritten(self._program, self.training, modified, names)
        sizes = {state: self.sizes[size] for state, size in self._program.states.items()}
        last: list[States] = []
        recorded: list[States] = []
        for k in range(self.num_layers):
            outputs = []
            for direction in self._directions():
                shapes, suffix = self._shapes[k > 0], f"_l{k}{direction}"
                weights = {name: getattr(self, name + suffix) for name in shapes}
                check_weights(weights, shapes, suffix, self.hidden_size)
                states = tuple(state[len(last)] for state in hx)
                given = streams
                for tap in taps:
                    given = tap.joined(given, sizes, x)
                states = (*states, *add_ins.masks(states[0], self.training))
                walk = self._walk(layout, suffix[1:], states, fresh) if isinstance(layout, InTime) else None
                # Steps are walked in time for a hook, which only some engines call, or where only the reference can.
                emitted, final = engines.scan(
                    self.engine if walk is None or self._hooks else "reference",
                    program,
                    add_ins.of_input(x, layout.sequences, self.training),
                    batch_sizes,
                    states,
                    add_ins.of_weights(weights | own, self.training),
                    direction == "_reverse",
                    given | add_ins.streams(sizes, x, self.training, self.hidden_size),
                    self.checkpoint,
                    walk,
                )
                final = final if walk is None else walk.last(final)
                outputs.append(emitted[0])
                recorded.append(emitted[1:])
                last.append(final[: len(hx)])
            x = torch.cat(outputs, -1) if len(outputs) > 1 else outputs[0]
            if self.dropout and self.training and k < self.num_layers - 1:
                x = F.dropout(x, self.dropout)
        # Copied even where it is one: a view could not be detached in place, as loops over windows do.
        finals = tuple(torch.stack(states) for states in zip(*last, strict=True))
        return x, finals, dict(zip(names, map(torch.stack, zip(*recorded, strict=True)), strict=True))
