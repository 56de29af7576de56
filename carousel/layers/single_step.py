"""Layers with the interface of torch.nn's recurrent cells: a call is one step."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from carousel import engines
from carousel.cells import Cell
from carousel.cells.rnn import RNN as RNNEquations
from carousel.engines.inside_torch import autocast_is_on
from carousel.layers import again, contexts, initial_states, parts, structure
from carousel.layers.arguments import as_rows, as_size, as_states, check_constructor, check_tensor, check_weights
from carousel.layers.equations import Equations
from carousel.layers.faces import Device, Dtype, gru_cell, lstm_cell
from carousel.layers.fx_leaf import as_leaf, is_proxy
from carousel.layers.parameters import (
    check_sizes,
    initialize,
    options_text,
    parameter_shapes,
    register,
)

States = tuple[Tensor, ...]


class RecurrentCell(Equations, nn.RNNCellBase):
    """One step of a cell: torch.nn.LSTMCell's constructor, call, results and parameter names, for every cell.

        hx = RecurrentCell(cell, input_size, hidden_size)(input, hx=None)

    input: (B, I) or (I). hx: (B, H) or (H), zero if None, or what the cell's `initial` says; for a cell with several
    states a tuple in the cell's order.
    Returns the new states in the form of hx.

    cell, input_size, hidden_size, bias, device, dtype, proj_size, units: as for `Recurrent`.
    engine: as for `Recurrent`.
    Parameters are named as in `Recurrent`, without a layer number. Equations and errors: see `Recurrent`.
    """

    weight_ih: Tensor  # registered by name below, with all other parameters
    units: dict[str, int] | None = None  # as given

    def __init__(
        self,
        cell: Cell | type[Cell] | str,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: Dtype = None,
        *,
        proj_size: int = 0,
        engine: str = "auto",
        units: Mapping[str, int] | None = None,
    ):
        nn.Module.__init__(self)  # not that of nn.RNNCellBase, which would make its own parameters
        # torch.nn's cells check no types: any integer is a size, and any true value means a bias.
        input_size, hidden_size = as_size("input_size", input_size), as_size("hidden_size", hidden_size)
        bias, proj_size = bool(bias), as_size("proj_size", proj_size)
        check_constructor(input_size, hidden_size, 1, bias, False, 0.0, proj_size)
        engines.check_name(engine)
        self.input_size, self.hidden_size, self.proj_size = input_size, hidden_size, proj_size
        self.units = None if units is None else dict(units)
        self._take(cell, bias, engine)
        contexts.check_none(type(self).__name__, self._program.cell, self._program.context)
        register(self, self._program, self.shapes(), device, dtype)
        structure.register(self, self.cell, self.hidden_size)
        self._register_own()
        self.reset_parameters()

    _derived = (*Equations._derived, "sizes", "_shapes", "_calls")

    def _derive(self) -> None:
        sizes = {"input": self.input_size, "hidden": self.hidden_size, "projection": self.proj_size}
        self.sizes = check_sizes(self._program, self.cell, sizes, self.units or {})
        self._shapes = parameter_shapes(self._program, self.sizes)
        self._calls = again.Calls()

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The names of all parameters and their shapes, in torch.nn's order."""
        return self._shapes | initial_states.shapes(self.cell, self._program, "zero", self.sizes)

    def reset_parameters(self) -> None:
        """Draws all parameters again, in torch.nn's order."""
        initialize(self, self._program, self.cell, self.hidden_size)
        initial_states.reset(self, self.cell, self._program, "zero")

    def forward(self, input: Tensor, hx: Tensor | States | None = None) -> Tensor | States:
        """One step: the new states, in the form of hx.

        input: (B, I) or (I). hx: (B, H) or (H), zero if None; for a cell with several states a tuple in the cell's
        order. Raises TypeError, ValueError or RuntimeError where torch.nn's cells raise them, in their words.
        """
        if is_proxy(input):
            return as_leaf(self, input, hx)
        self._follow()
        key = again.key_of(self, input, 2)
        if key is not None and (made := self._at_once(key, input, hx)) is not None:
            return made[0] if len(made) == 1 else made
        # Not get_parameter, because under torch.func.functional_call weights are plain tensors.
        name, weights = type(self).__name__, {n: getattr(self, n) for n in self._shapes}
        weight = weights["weight_ih"]
        check_tensor(name, input, (1, 2), weight)
        check_weights(weights, self._shapes, "", self.hidden_size)
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        if x.shape[1] != self.input_size:
            raise RuntimeError(f"input has inconsistent input_size: got {x.shape[1]} expected {self.input_size}")
        states = self._initial(hx, x.shape[0], batched, weight)
        for given in (x, *states):
            _check_dtype(name, given, weight)
        # Under autocast input and hx may be bfloat16. A step runs in the dtype of the weights.
        x, states = x.to(weight.dtype), tuple(state.to(weight.dtype) for state in states)
        x, others = parts.divided(self._program, self.sizes, x)
        streams = parts.streams(self._program, x, others)
        own = self.own_weights(weight.dtype)
        _, new = engines.scan(
            self.engine, self._program, x, [x.shape[0]], states, self.whole(weights) | own, streams=streams
        )
        if key is not None and not streams:
            self._calls.note(key, self._program, lambda _: self._shapes)
        new = new if batched else tuple(state.squeeze(0) for state in new)
        return new[0] if len(new) == 1 else new

    def _at_once(self, key: again.Key, input: Tensor, hx: Tensor | States | None) -> States | None:
        """The new states where calls like this one were made before, and nothing is to be said; else None."""
        if (scans := self._calls.find(key, self._program)) is None:
            return None
        if hx is None:
            states = tuple(state.contiguous() for state in self._initial(None, len(input), True, self.weight_ih))
        else:
            states = hx if isinstance(hx, tuple) else (hx,)
        found = again.run(scans[0], input, states, self._parameters)
        return None if found is None else found[1]

    def _initial(self, hx: Tensor | States | None, batch: int, batched: bool, weight: Tensor) -> States:
        """The batched initial states. Raises errors in torch.nn's words for an hx that does not fit."""
        sizes = [self.sizes[size] for size in self._program.states.values()]
        if hx is None:
            shapes = {state: (batch, size) for state, size in zip(self._program.states, sizes, strict=True)}
            return initial_states.of_scan(self, self.cell, self._program, "zero", shapes, weight)
        of = self._program.states
        states = as_rows(as_states(type(self).__name__, hx, of), of, self.sizes, 2 if batched else 1)
        for index, state in enumerate(states):
            if state.dim() not in (1, 2):
                what = "hidden" if len(states) == 1 else f"hx[{index}]"
                raise ValueError(f"{type(self).__name__}: Expected {what} to be 1D or 2D, got {state.dim()}D instead")
        states = states if batched else tuple(state.unsqueeze(0) for state in states)
        for index, (state, size) in enumerate(zip(states, sizes, strict=True)):
            rows, *units = state.shape
            if rows != batch or not units:
                raise RuntimeError(f"Input batch size {batch} doesn't match hidden{index} batch size {rows}")
            if units != [size]:
                raise RuntimeError(f"hidden{index} has inconsistent hidden_size: got {units[0]}, expected {size}")
            if state.device != weight.device:
                where = f"is on {state.device}, but the weights are on {weight.device}"
                raise RuntimeError(f"{type(self).__name__}: hidden{index} {where}")
        return states

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if type(self) is RecurrentCell:
            text = f"{self.cell}, {text}"
        return text + options_text(self, {"bias": True, "proj_size": 0, "engine": "auto", "units": None} | self._extras)

    _extras: dict[str, object] = {}


def _check_dtype(cell: str, value: Tensor, weight: Tensor) -> None:
    """Raises RuntimeError, in the words of torch.nn's cells, unless the dtypes agree or autocast converts the value."""
    if value.dtype != weight.dtype and not autocast_is_on():
        found, wanted = (str(t.new_empty(0).type()).split(".")[-1].removesuffix("Tensor") for t in (value, weight))
        error = RuntimeError(f"mat1 and mat2 must have the same dtype, but got {found} and {wanted}")
        error.add_note(f"{cell}: convert what is given, .to({weight.dtype}), or the cell, .to({value.dtype})")
        raise error


class RNNCell(RecurrentCell):
    """torch.nn.RNNCell on Carousel's engines. Its call and its errors are those of `RecurrentCell`.

    input_size, hidden_size, bias, device, dtype: as for torch.nn.RNNCell.
    nonlinearity: "tanh" or "relu", as in torch, or "sigmoid". engine: as for `Recurrent`.
    """

    _extras = {"nonlinearity": "tanh"}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Device = None,
        dtype: Dtype = None,
        *,
        engine: str = "auto",
    ):
        super().__init__(RNNEquations(nonlinearity), input_size, hidden_size, bias, device, dtype, engine=engine)
        self.nonlinearity = nonlinearity


class LSTMCell(RecurrentCell):
    """torch.nn.LSTMCell on Carousel's engines. Its call and its errors are those of `RecurrentCell`.

    input_size, hidden_size, bias, device, dtype: as for torch.nn.LSTMCell.
    peepholes, coupled, layer_norm, proj_size: as for `carousel.LSTM`. engine: as for `Recurrent`.
    """

    _extras = {"peepholes": (), "coupled": False, "layer_norm": False}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: Dtype = None,
        *,
        peepholes: tuple[str, ...] | str = (),
        coupled: bool = False,
        layer_norm: bool = False,
        proj_size: int = 0,
        engine: str = "auto",
    ):
        equations = lstm_cell(peepholes, coupled, layer_norm, proj_size > 0)
        super().__init__(equations, input_size, hidden_size, bias, device, dtype, proj_size=proj_size, engine=engine)
        self.peepholes = getattr(self.cell, "peepholes", ())
        self.coupled, self.layer_norm = coupled, layer_norm


class GRUCell(RecurrentCell):
    """torch.nn.GRUCell on Carousel's engines. Its call and its errors are those of `RecurrentCell`.

    input_size, hidden_size, bias, device, dtype: as for torch.nn.GRUCell.
    reset, layer_norm: as for `carousel.GRU`. engine: as for `Recurrent`.
    """

    _extras = {"reset": "after", "layer_norm": False}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Device = None,
        dtype: Dtype = None,
        *,
        reset: str = "after",
        layer_norm: bool = False,
        engine: str = "auto",
    ):
        super().__init__(gru_cell(reset, layer_norm), input_size, hidden_size, bias, device, dtype, engine=engine)
        self.reset, self.layer_norm = reset, layer_norm
