"""Layers with the interfaces of torch.nn's recurrent layers, and further options by keyword."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, TypedDict, TypeVar, Unpack

import torch
from torch import nn

from carousel.cells import Cell
from carousel.cells.gru import GRU as GRUEquations
from carousel.cells.gru import LayerNormGRU
from carousel.cells.lstm import LSTM as LSTMEquations
from carousel.cells.lstm import LayerNormLSTM
from carousel.cells.rnn import RNN as RNNEquations
from carousel.layers.parameters import options_text
from carousel.layers.recurrent import Recurrent

Device = torch.device | str | None
Dtype = torch.dtype | None
F = TypeVar("F", bound=Recurrent)


class Options(TypedDict, total=False):
    """The keyword options of every layer. `Recurrent` explains each of them."""

    initial_state: str
    zoneout: float | Mapping[str, float]
    recurrent_dropout: float
    candidate_dropout: float
    input_dropout: float
    weight_drop: float
    checkpoint: int | str | None
    engine: str


class _Face(Recurrent):
    """The common base of RNN, LSTM and GRU, which print and raise errors as torch.nn does."""

    refuses_no_steps = True
    _extras: dict[str, object] = {}

    def __init__(self, *args: Any, **options: Unpack[Options]):
        if "proj_size" in options:
            raise ValueError("proj_size argument is only supported for LSTM, not RNN or GRU")
        for name in options:
            if name not in Options.__annotations__:
                near = get_close_matches(name, [*inspect.signature(type(self)).parameters, *Options.__annotations__], 1)
                hint = f". Did you mean {near[0]!r}?" if near else ""
                raise TypeError(f"{type(self).__name__}() got an unexpected keyword argument {name!r}{hint}")
        super().__init__(*args, **options)

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}" + options_text(self, self._printed_options)
        return text + options_text(self, self._extras)


def described(equations: type[Cell]) -> Callable[[type[F]], type[F]]:
    """Completes the docstring of a layer with the equations of its cell and the options of `Recurrent`.

    `help` and notebooks show the docstring of one class alone.
    """

    def complete(face: type[F]) -> type[F]:
        own = inspect.signature(face.__init__)
        options = [p for p in inspect.signature(Recurrent.__init__).parameters.values() if p.kind is p.KEYWORD_ONLY]
        named = [p for p in own.parameters.values() if p.kind is not p.VAR_KEYWORD]
        face.__init__.__signature__ = own.replace(parameters=[*named, *options])  # type: ignore[attr-defined]
        if face.__doc__ and Recurrent.__doc__:  # python -OO removes docstrings
            shared = inspect.cleandoc(Recurrent.__doc__)
            shared = shared[shared.index("Options that torch.nn has too:") :]
            if "proj_size" not in own.parameters:
                shared = re.sub(r"proj_size: .*\n", "", shared)
            summary, rest = inspect.cleandoc(face.__doc__).split("\n\n", 1)
            _, formulas, *_ = (inspect.getdoc(equations) or "").split("\n\n")
            face.__doc__ = "\n\n".join([summary, CALL.format(face.__name__), formulas, rest, shared])
        return face

    return complete


CALL = "    layer = {}(input_size, hidden_size)\n    output, hx = layer(input, hx=None)    # shapes: see `forward`"


@described(RNNEquations)
class RNN(_Face):
    """torch.nn.RNN on Carousel's engines: same arguments, call, results, parameters and initialisation.

    nonlinearity: "tanh" or "relu", as in torch, or "sigmoid".
    Source of the equations: see `carousel.cells.rnn.RNN`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: Dtype = None,
        **options: Unpack[Options],
    ):
        super().__init__(
            RNNEquations(nonlinearity), input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, 0, device, dtype, **options,
        )  # fmt: skip
        self.nonlinearity = nonlinearity

    @property
    def mode(self) -> str:  # type: ignore[override]
        """torch.nn's name for the kind of the layer: "RNN_TANH", "RNN_RELU" or "RNN_SIGMOID"."""
        return f"RNN_{self.nonlinearity.upper()}"


@described(LSTMEquations)
class LSTM(_Face):
    """torch.nn.LSTM on Carousel's engines: same arguments, call, results, parameters and initialisation.

    peepholes: the gates that also read the cell state, any of "input", "forget" and "output", or "all".
    coupled: whether the input gate is i = 1 - f.
    layer_norm: whether this is the layer-normalised LSTM of Ba et al. (2016). It excludes the two options above and
        proj_size.
    Equations with these options, and sources: see `carousel.cells.lstm.LSTM` and
    `carousel.cells.lstm.LayerNormLSTM`.
    """

    mode = "LSTM"
    get_expected_cell_size = nn.LSTM.get_expected_cell_size
    _extras = {"peepholes": (), "coupled": False, "layer_norm": False}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Device = None,
        dtype: Dtype = None,
        *,
        peepholes: tuple[str, ...] | str = (),
        coupled: bool = False,
        layer_norm: bool = False,
        **options: Unpack[Options],
    ):
        super().__init__(
            lstm_cell(peepholes, coupled, layer_norm, proj_size > 0), input_size, hidden_size, num_layers, bias,
            batch_first, dropout, bidirectional, proj_size, device, dtype, **options,
        )  # fmt: skip
        self.peepholes = getattr(self.cell, "peepholes", ())
        self.coupled, self.layer_norm = coupled, layer_norm


@described(GRUEquations)
class GRU(_Face):
    """torch.nn.GRU on Carousel's engines: same arguments, call, results, parameters and initialisation.

    reset: "after" the matrix product, as torch does, or "before" it, as Cho et al. (2014) wrote it.
    layer_norm: whether this is the layer-normalised GRU of Ba et al. (2016), which resets after the product.
    Equations with these options, and sources: see `carousel.cells.gru.GRU` and
    `carousel.cells.gru.LayerNormGRU`.
    """

    mode = "GRU"
    _extras = {"reset": "after", "layer_norm": False}

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Device = None,
        dtype: Dtype = None,
        *,
        reset: str = "after",
        layer_norm: bool = False,
        **options: Unpack[Options],
    ):
        super().__init__(
            gru_cell(reset, layer_norm), input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, 0, device, dtype, **options,
        )  # fmt: skip
        self.reset, self.layer_norm = reset, layer_norm


def lstm_cell(peepholes: tuple[str, ...] | str, coupled: bool, layer_norm: bool, projection: bool) -> Cell:
    """The cell of `LSTM` and `LSTMCell`. Raises ValueError for a combination of options that nobody has published."""
    equations = LSTMEquations(peepholes, coupled, projection)
    if not layer_norm:
        return equations
    if equations != LSTMEquations():
        raise ValueError(
            "layer_norm=True is the LSTM of Ba et al. (2016), without peepholes, coupled gates or projection. "
            "For another combination write a cell: carousel/cells/lstm/layer_norm.py is a page to start from."
        )
    return LayerNormLSTM()


def gru_cell(reset: str, layer_norm: bool) -> Cell:
    """The cell of `GRU` and `GRUCell`. Raises ValueError for a combination of options that nobody has published."""
    equations = GRUEquations(reset)
    if not layer_norm:
        return equations
    if reset != "after":
        raise ValueError(
            "layer_norm=True is the GRU of Ba et al. (2016), which resets after the product: reset='after'"
        )
    return LayerNormGRU()
