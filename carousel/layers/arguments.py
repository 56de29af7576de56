"""The checks of a layer's arguments. For errors that torch.nn raises too, types and messages are those of torch.nn."""

from __future__ import annotations

import numbers
import operator
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, SupportsIndex

import torch
from torch import Tensor

from carousel.cells.member_sizes import parted
from carousel.engines.inside_torch import autocast_is_on, becomes_a_graph, is_batched


def check_constructor(
    input_size: int, hidden_size: int, num_layers: int, bias: bool, batch_first: bool, dropout: float, proj_size: int
) -> None:
    """Raises TypeError or ValueError for arguments that no layer can have, in torch.nn's words."""
    if not isinstance(dropout, numbers.Number) or isinstance(dropout, bool) or not 0 <= dropout <= 1:
        raise ValueError(
            "dropout should be a number in range [0, 1] representing the probability of an element being zeroed"
        )
    if dropout > 0 and num_layers == 1:
        warnings.warn(
            "dropout option adds dropout after all but last recurrent layer, so non-zero dropout expects "
            f"num_layers greater than 1, but got dropout={dropout} and num_layers={num_layers}",
            stacklevel=4,
        )
    for name, value, kind in (
        ("bias", bias, bool),
        ("batch_first", batch_first, bool),
        ("input_size", input_size, int),
        ("hidden_size", hidden_size, int),
    ):
        if not isinstance(value, kind):
            raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")
    for name, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
        if value <= 0:
            raise ValueError(f"{name} must be greater than zero")
    if proj_size < 0:
        raise ValueError("proj_size should be a positive integer or zero to disable projections")
    if proj_size >= hidden_size:
        raise ValueError("proj_size has to be smaller than hidden_size")


def check_checkpoint(checkpoint: int | str | None) -> None:
    """Raises ValueError unless checkpoint is None, "auto" or a positive number of steps."""
    if not (checkpoint is None or checkpoint == "auto" or (type(checkpoint) is int and checkpoint > 0)):
        raise ValueError(f"checkpoint must be None, 'auto' or a number of steps above 0, but got {checkpoint!r}")


def as_size(name: str, value: SupportsIndex) -> int:
    """A size as an int, from an integer of Python or NumPy or a tensor with one. Raises TypeError for anything else."""
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(f"{name} should be of type int, got: {type(value).__name__}") from None


def check_tensor(layer: str, x: Tensor, dimensions: tuple[int, ...], weight: Tensor) -> None:
    """Raises TypeError, ValueError or RuntimeError for an input of the wrong type, dimensions, dtype or device."""
    if not isinstance(x, Tensor):
        raise TypeError(f"{layer}: input must be a Tensor or a PackedSequence, got {type(x).__name__}")
    if x.dim() not in dimensions:
        expected = " or ".join(f"{d}D" for d in dimensions)
        raise ValueError(f"{layer}: Expected input to be {expected}, got {x.dim()}D instead")
    if x.device != weight.device:
        raise RuntimeError(
            f"{layer}: Input and parameter tensors are not at the same device, found input tensor at {x.device} and "
            f"parameter tensor at {weight.device}; move one of them with .to()"
        )


def check_input(layer: str, x: Tensor, input_size: int, dimensions: tuple[int, ...], weight: Tensor) -> None:
    """As `check_tensor`, and RuntimeError for an input of the wrong size."""
    check_tensor(layer, x, dimensions, weight)
    check_dtype("input", x, weight)
    if x.size(-1) != input_size:
        raise RuntimeError(f"input.size(-1) must be equal to input_size. Expected {input_size}, got {x.size(-1)}")


def check_weights(
    weights: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]], suffix: str, hidden: int
) -> None:
    """Raises RuntimeError for a parameter of another shape, which a caller has put there.

    hidden: the units of a gate.
    """
    for name, shape in shapes.items():
        found = weights[name].shape
        if found != shape:
            if name in ("weight_ih", "weight_hh") and found[:1] != shape[:1]:
                rows = f"{shape[0] // hidden} * hidden_size = {shape[0]}"
                raise RuntimeError(f"{name}{suffix} first dim must be {rows}, but got {found[0]}")
            raise RuntimeError(f"{name}{suffix} must be of shape {shape}, but is {tuple(found)}")


def check_dtype(what: str, value: Tensor, weight: Tensor) -> None:
    """Raises ValueError unless the dtypes agree, or autocast will convert the value."""
    if value.dtype != weight.dtype and not autocast_is_on():
        raise ValueError(
            f"RNN {what} dtype ({value.dtype}) does not match weight dtype ({weight.dtype}). "
            f"Convert {what}: {what}.to({weight.dtype}), or convert model: model.to({value.dtype})"
        )


def as_mask(
    layer: str,
    steps: int,
    batch: int,
    lengths: Tensor | Sequence[int] | None,
    mask: Tensor | None,
    reset: Tensor | None,
    batched: bool,
    transposed: bool,
) -> tuple[Tensor, Tensor]:
    """Two (T, B) masks: the real steps, and the steps that begin a new sequence. Raises ValueError for arguments that
    contradict one another or do not fit the input."""
    if lengths is not None and mask is not None:
        raise ValueError(f"{layer}: lengths and mask both say which steps are real; give one of them")
    real = torch.ones(steps, batch, dtype=torch.bool, device="cpu")
    if lengths is not None:
        lengths = _on_cpu(lengths)
        lengths = lengths if batched else lengths.reshape(-1)
        lengths = lengths if lengths.numel() else lengths.long()  # torch.tensor([]) has floats
        if lengths.dtype.is_floating_point or lengths.dtype == torch.bool or lengths.shape != (batch,):
            raise ValueError(
                f"{layer}: lengths must be {batch} whole numbers, one for each row of the batch, "
                f"got {lengths.dtype} of shape {tuple(lengths.shape)}"
            )
        if not lengths.is_meta:
            within = torch.ops.carousel.within if becomes_a_graph() or is_batched(lengths) else _within
            lengths = within(lengths, real, layer)
        real = torch.arange(steps, device=lengths.device)[:, None] < lengths[None, :]
    if mask is not None:
        real = _flags(layer, "mask", mask, steps, batch, batched, transposed)
    starts = torch.zeros(steps, batch, dtype=torch.bool, device="cpu")
    if reset is not None:
        starts = _flags(layer, "reset", reset, steps, batch, batched, transposed)
    return real, starts


def _on_cpu(given: Tensor | Sequence[int]) -> Tensor:
    """A copy on the CPU, where the layout is computed; a tensor without values stays where it is."""
    if isinstance(given, Tensor):
        return given if given.is_meta else given.cpu()
    return torch.as_tensor(given, device="cpu")


def _within(lengths: Tensor, real: Tensor, layer: str) -> Tensor:
    """Returns the lengths. Raises ValueError if one is longer than the input. real: a tensor of shape (T, B)."""
    steps = len(real)
    outside = (lengths < 0) | (lengths > steps)
    if outside.any():
        row = int(outside.nonzero()[0, -1])
        raise ValueError(
            f"{layer}: lengths must lie between 0 and the {steps} steps of the input, "
            f"but row {row} has {int(lengths[outside][0])}"
        )
    return lengths


# A compiler calls it, because it does not know the values when it compiles.
@torch.library.custom_op("carousel::within", mutates_args=())
def _within_op(lengths: Tensor, real: Tensor, layer: str) -> Tensor:
    return _within(lengths, real, layer).clone()


@_within_op.register_fake
def _(lengths: Tensor, real: Tensor, layer: str) -> Tensor:
    del real, layer
    return torch.empty_like(lengths)


@_within_op.register_vmap
def _(info: Any, dims: tuple[int | None, ...], lengths: Tensor, real: Tensor, layer: str) -> tuple[Tensor, int | None]:
    del info
    if dims[0] is None:
        return _within_op(lengths, real, layer), None
    return _within_op(lengths.movedim(dims[0], 0), real, layer), 0


def _flags(layer: str, name: str, flags: Tensor, steps: int, batch: int, batched: bool, transposed: bool) -> Tensor:
    flags = _on_cpu(flags)
    shape = ((batch, steps) if transposed else (steps, batch)) if batched else (steps,)
    if flags.dtype != torch.bool or tuple(flags.shape) != shape:
        raise ValueError(
            f"{layer}: {name} must be bool of shape {shape}, one for each step of each row, "
            f"got {flags.dtype} of shape {tuple(flags.shape)}"
        )
    if not batched:
        return flags.unsqueeze(1)
    return flags.t() if transposed else flags


def as_states(layer: str, hx: Tensor | tuple[Tensor, ...], states: dict[str, str]) -> tuple[Tensor, ...]:
    """hx as a tuple with one tensor for each state. Raises TypeError for anything else."""
    if len(states) == 1 and isinstance(hx, Tensor):
        return (hx,)
    if len(states) == 1 or not isinstance(hx, tuple | list) or len(hx) != len(states):
        wanted = "a Tensor" if len(states) == 1 else f"a tuple ({', '.join(states)}) of Tensors"
        found = f"a {type(hx).__name__} of {len(hx)}" if isinstance(hx, tuple | list) else type(hx).__name__
        raise TypeError(f"{layer}: hx must be {wanted}, got {found}")
    if strange := [state for state in hx if not isinstance(state, Tensor)]:
        raise TypeError(f"{layer}: hx must hold Tensors, got {type(strange[0]).__name__}")
    return tuple(hx)


def as_rows(
    states: tuple[Tensor, ...], of: Mapping[str, str], sizes: Mapping[str, int], dimensions: int
) -> tuple[Tensor, ...]:
    """States with so many dimensions each. One that is folded into members, as `return_states` and `record` give it,
    becomes one row of all their units again; others stay as they are.

    of: the size name of each state. sizes: the number of each size.
    """
    return tuple(
        state.flatten(-2)
        if members and state.dim() == dimensions + 1 and tuple(state.shape[-2:]) == (sizes[members], sizes[units])
        else state
        for state, (members, units) in zip(states, map(parted, of.values()), strict=True)
    )


def check_states(
    layer: str, states: tuple[Tensor, ...], batched: bool, expected: list[tuple[int, int, int]], weight: Tensor
) -> tuple[Tensor, ...]:
    """The given initial states, batched and checked. Raises RuntimeError for a wrong shape, in torch.nn's words."""
    wanted, kind = (3, "batched 3-D") if batched else (2, "unbatched 2-D")
    if any(s.dim() != wanted for s in states):
        if len(states) == 1:
            found = f"{states[0].dim()}-D tensor"
            raise RuntimeError(f"For {kind} input, hx should also be {wanted}-D but got {found}")
        found = ", ".join(f"{s.dim()}-D" for s in states)
        raise RuntimeError(f"For {kind} input, hx and cx should also be {wanted}-D but got ({found}) tensors")
    states = states if batched else tuple(s.unsqueeze(1) for s in states)
    for index, (state, shape) in enumerate(zip(states, expected, strict=True)):
        name = f"hidden[{index}]" if len(states) > 1 else "hidden"
        if tuple(state.shape) != shape:
            raise RuntimeError(f"Expected {name} size {shape}, got {list(state.shape)}")
        check_dtype("hx", state, weight)
        if state.device != weight.device:
            raise RuntimeError(f"{layer}: hx is on {state.device}, but the weights are on {weight.device}")
    return tuple(state.to(weight.dtype) for state in states)  # under autocast they may have another dtype
