"""torch.nn's recurrent cells: one step, called by hand."""

from __future__ import annotations

from torch import Tensor, nn

from carousel import engines
from carousel.cells import Cell
from carousel.cells.rnn import RNN as RNNEquations
from carousel.layers.arguments import as_states, check_constructor, check_dtype, check_input
from carousel.layers.faces import Device, Dtype, gru_cell, lstm_cell
from carousel.layers.parameters import (
    as_cell,
    check_projection,
    initialize,
    options_text,
    parameter_shapes,
    program_of,
    register,
)

States = tuple[Tensor, ...]


class RecurrentCell(nn.Module):
    """One step of a cell: torch.nn.LSTMCell's constructor, call, results and parameter names, for every cell.

        hx = RecurrentCell(cell, input_size, hidden_size)(input, hx=None)

    input: (B, I) or (I). hx: (B, H) or (H), zero if None; a tuple in the cell's order where it has several states.
    Returns the new states in the form of hx.
    Parameters are named as in `Recurrent`, without a layer number. engine, equations and errors: see `Recurrent`.
    """

    weight_ih: Tensor  # registered by name below, with the cell's others

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
    ):
        super().__init__()
        check_constructor(input_size, hidden_size, 1, bias, False, 0.0, proj_size)
        engines.check_name(engine)
        self.cell = as_cell(cell)
        self.input_size, self.hidden_size, self.proj_size = input_size, hidden_size, proj_size
        self.bias, self.engine = bias, engine
        self.program, self.why_untraced = program_of(self.cell, bias, engine)
        self.sizes = check_projection(self.program, hidden_size, proj_size)
        shapes = parameter_shapes(self.program, input_size, self.sizes)
        register(self, self.program.cell, shapes, device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws every parameter anew, in torch.nn's order."""
        initialize(self, self.program, self.hidden_size)

    def forward(self, input: Tensor, hx: Tensor | States | None = None) -> Tensor | States:
        # Not get_parameter: under torch.func.functional_call weights are plain tensors.
        name, weight = type(self).__name__, self.weight_ih
        check_input(name, input, self.input_size, (1, 2), weight)
        batched = input.dim() == 2
        x = input if batched else input.unsqueeze(0)
        states = self._initial(hx, x.shape[0], batched, weight)
        weights = {n: getattr(self, n) for n in parameter_shapes(self.program, 1, self.sizes)}
        _, states = engines.scan(self.engine, self.program, x, [x.shape[0]], states, weights)
        states = states if batched else tuple(state.squeeze(0) for state in states)
        return states[0] if len(states) == 1 else states

    def _initial(self, hx: Tensor | States | None, batch: int, batched: bool, weight: Tensor) -> States:
        sizes = [self.sizes[size] for size in self.program.states.values()]
        if hx is None:
            return tuple(weight.new_zeros(batch, size) for size in sizes)
        states = as_states(type(self).__name__, hx, self.program.states)
        for index, (state, size) in enumerate(zip(states, sizes, strict=True)):
            if state.dim() not in (1, 2):
                what = "hidden" if len(states) == 1 else f"hx[{index}]"
                raise ValueError(f"{type(self).__name__}: Expected {what} to be 1D or 2D, got {state.dim()}D instead")
            rows = state.shape[0] if state.dim() == 2 else 1
            if rows != batch or (state.dim() == 1) == batched:
                raise RuntimeError(f"Input batch size {batch} doesn't match hidden{index} batch size {rows}")
            if state.shape[-1] != size:
                raise RuntimeError(
                    f"hidden{index} has inconsistent hidden_size: got {state.shape[-1]}, expected {size}"
                )
            check_dtype("hx", state, weight)
        return states if batched else tuple(state.unsqueeze(0) for state in states)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if type(self) is RecurrentCell:
            text = f"{self.cell}, {text}"
        return text + options_text(self, {"bias": True, "proj_size": 0, "engine": "auto"} | self._extras)

    _extras: dict[str, object] = {}


class RNNCell(RecurrentCell):
    """torch.nn.RNNCell on Carousel's engines, with nonlinearity "sigmoid" as well. See `RecurrentCell`."""

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
    """torch.nn.LSTMCell on Carousel's engines, with the extras of `carousel.LSTM`. See `RecurrentCell`."""

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
    """torch.nn.GRUCell on Carousel's engines, with the extras of `carousel.GRU`. See `RecurrentCell`."""

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
