"""Turns the arguments of a call into those of scans: the batch as rows, the initial states, and keep= and add=."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from carousel import engines
from carousel.engines.context import Context
from carousel.engines.inside_torch import becomes_a_graph, is_batched, is_compiled, is_jit_traced
from carousel.layers import contexts
from carousel.layers.add_ins import AddIn, Rewriting, Rows, States, Streams
from carousel.layers.arguments import as_mask, as_rows, as_states, check_checkpoint, check_input, check_states
from carousel.layers.in_time import InTime
from carousel.layers.layer import Layer
from carousel.layers.layout import Packed, Padded
from carousel.layers.segments import Segments, segments
from carousel.program import Program, naming

if TYPE_CHECKING:
    from carousel.layers.trees import Recursive

Layout = Packed | Padded | InTime
ByStep = Tensor | Mapping[str, Tensor] | None


def check_options(layer: Layer) -> None:
    """Raises ValueError for options that contradict one another. Callers may change options between calls."""
    check_checkpoint(layer.checkpoint)
    if layer.hooks and isinstance(layer.checkpoint, int):
        raise ValueError(
            f"{type(layer).__name__}: checkpoint={layer.checkpoint} runs steps twice, which a hook would notice; "
            "remove the hook or set checkpoint=None"
        )


def lay_out(
    layer: Layer,
    input: Tensor | PackedSequence,
    lengths: Tensor | Sequence[int] | None,
    mask: Tensor | None,
    reset: Tensor | None,
    given_by_step: bool,
) -> Layout:
    """Checks the input and lays it out as rows for engines. given_by_step: whether the call has keep or add."""
    flags = lengths, mask, reset
    if not isinstance(input, PackedSequence):
        return _padded(layer, input, *flags)
    if given_by_step or any(given is not None for given in flags):
        raise ValueError(
            f"{type(layer).__name__}: a PackedSequence brings its own lengths; pad it to give lengths, mask, reset, "
            "keep or add"
        )
    return _packed(layer, input)


def _packed(layer: Layer, input: PackedSequence) -> Layout:
    name, weight = type(layer).__name__, layer.weight_ih_l0
    check_input(name, input.data, layer.input_size, (2,), weight)
    open_ended = becomes_a_graph() and not _unrolls(layer)
    if is_jit_traced() and not open_ended:
        raise RuntimeError(
            f"{name}: torch.jit.trace would keep the lengths of this PackedSequence for ever, since the "
            "reference engine runs this layer step by step (`explain()` says why); trace the layer with "
            "a padded input and lengths, or without torch.jit.trace"
        )
    packed = Packed(PackedSequence(input.data.to(weight.dtype), *input[1:]), open_ended)
    return InTime.of_packed(packed) if layer.hooks else packed


def _padded(
    layer: Layer,
    input: Tensor,
    lengths: Tensor | Sequence[int] | None,
    mask: Tensor | None,
    reset: Tensor | None,
) -> Layout:
    name, weight = type(layer).__name__, layer.weight_ih_l0
    check_input(name, input, layer.input_size, (2, 3), weight)
    batched = input.dim() == 3
    transposed = batched and layer.batch_first
    # Under autocast an input may be bfloat16. Scans run in the dtype of the weights, since states need its precision.
    x = input.to(weight.dtype)
    x = x if batched else x.unsqueeze(1)
    x = x.transpose(0, 1) if transposed else x
    steps, batch = x.shape[:2]
    if steps == 0 and layer.refuses_no_steps:
        raise RuntimeError("Expected sequence length to be larger than 0 in RNN")
    compiled, in_time = becomes_a_graph(), bool(layer.hooks)
    unrolled = compiled and _unrolls(layer)
    if unrolled and is_jit_traced():  # the graph is valid for this T and B alone, and refuses others
        x = x.expand(int(steps), int(batch), -1)
    real = starts = sequences = None
    if not (lengths is None and mask is None and reset is None):
        real, starts = as_mask(name, steps, batch, lengths, mask, reset, batched, transposed)
        if is_compiled():
            _check_compiled(layer)
        in_time = in_time or unrolled or _have_no_values(real, starts)
        sequences = None if in_time else _sequences(real, starts, x.device, reset is not None)
    in_chunks = isinstance(layer.checkpoint, int) and not is_jit_traced()  # a trace does not need chunks
    open_ended = compiled and not (unrolled or in_chunks)
    rows = x.reshape(steps * batch, layer.input_size)
    padded = Padded(steps, batch, batched, transposed, rows, sequences, open_ended)
    if not in_time:
        return padded
    return InTime(padded, steps, batch, *(flags if flags is None else flags.to(x.device) for flags in (real, starts)))


def _unrolls(layer: Layer) -> bool:
    """Whether the engine runs the steps one by one in Python, so that a graph contains all of them."""
    weight = layer.weight_ih_l0
    return engines.choose(layer.engine, layer._program, weight.dtype, weight.device, bool(layer.hooks))[0].calls_python


def _check_compiled(layer: Layer) -> None:
    if isinstance(layer.checkpoint, int):
        raise ValueError(
            f"{type(layer).__name__}: in torch.compile and torch.export checkpoint={layer.checkpoint} does not go "
            "together with lengths, mask or reset; leave one of them away, or do not compile this layer"
        )


def _have_no_values(real: Tensor, starts: Tensor) -> bool:
    """Whether the masks have no values, or batched ones, so that they cannot divide the batch into sequences."""
    return not becomes_a_graph() and any(flags.is_meta or is_batched(flags) for flags in (real, starts))


def _sequences(real: Tensor, starts: Tensor, device: torch.device, by_resets: bool) -> Segments:
    # A compiler needs shapes that do not depend on values, so the layout then has room for the most sequences possible.
    most = None if not becomes_a_graph() else "step" if by_resets else "row"
    return segments(real, starts, device, most)


def first_states(layer: Layer, hx: Tensor | States | None, layout: Layout) -> States:
    """The checked hx, or the layer's initial states if hx is None; each (L * D, B, size)."""
    if hx is None:
        return layer.fresh_states(layout.batch)
    name = type(layer).__name__
    of = layer._program.states
    states = as_rows(as_states(name, hx, of), of, layer.sizes, 3 if layout.batched else 2)
    return check_states(name, states, layout.batched, layer.expected_states(layout.batch), layer.weight_ih_l0)


def context(layer: Layer, layout: Layout, given: contexts.Given, lengths: contexts.Lengths) -> Context | None:
    """The context of a call as its scans read it; None for a cell that reads none."""
    inner = layout.given if isinstance(layout, InTime) else layout
    transposed = layer.batch_first and layout.batched
    found = contexts.of_call(layer, given, lengths, inner.batch, layout.batched, transposed)
    return None if found is None else found.of_sequences(layout.row_of_each())


class GivenByStep(AddIn):
    """keep= and add= of a call, as streams keep_c and add_c for each state c that has either of them."""

    def __init__(self, layer: Layer | Recursive, layout: Layout, keep: ByStep, add: ByStep):
        """Raises ValueError for an unknown state, and for a shape or dtype that does not fit the input."""
        self.name, program = type(layer).__name__, layer._program
        named = {kind: _by_state(program.states, value) for kind, value in (("keep", keep), ("add", add))}
        if not isinstance(program, Program):
            raise ValueError(
                f"{self.name}: keep and add rewrite the cell's program, and this cell's step runs as plain Python"
            )
        if unknown := {state for states in named.values() for state in states} - set(program.states):
            raise ValueError(
                f"{self.name}: keep and add are for the states {', '.join(program.states)}; "
                f"there is no state {min(unknown)!r}"
            )
        assert not isinstance(layout, Packed)
        self.changed = tuple(state for state in program.states if any(state in states for states in named.values()))
        self.given: Streams = {}
        made: dict[tuple[str, str | int], Tensor] = {}  # a tensor for all states is laid out once
        for state in self.changed:
            size = layer.sizes[program.states[state]]
            for kind, name, nothing in (("keep", naming.keep(state), 1.0), ("add", naming.add(state), 0.0)):
                of = kind, state if isinstance({"keep": keep, "add": add}[kind], Mapping) else size
                if of not in made:
                    made[of] = layout.stream(self.name, name, named[kind].get(state), size, nothing)
                self.given[name] = made[of]

    def rewritings(self) -> tuple[Rewriting, ...]:
        return (Rewriting("modify", self.changed),) if self.changed else ()

    def streams(self, streams: Streams, of: Rows) -> Streams:
        del of
        return streams | self.given


def _by_state(states: Mapping[str, str], given: ByStep) -> dict[str, Tensor]:
    if given is None:
        return {}
    return dict(given) if isinstance(given, Mapping) else dict.fromkeys(states, given)
