"""Layers and networks as ONNX models, checked in ONNX Runtime before the file is kept."""

from __future__ import annotations

from pathlib import Path

from torch import nn

from carousel.export.answering import answer_of
from carousel.export.onnx.checking import check
from carousel.export.onnx.networks import Exported, exported
from carousel.export.onnx.quantizing import in_int8
from carousel.export.onnx.translations import onnx_translations
from carousel.files import write_atomically


def to_onnx(
    layer: nn.Module, path: str | Path, *, lengths: bool = False, states: bool = True, int8: bool = False
) -> Path:
    """Writes a layer of any cell, or a network of `carousel.models`, as an ONNX model, in evaluation mode.

        carousel.export.to_onnx(carousel.GRU(8, 32, num_layers=2), "gru.onnx", lengths=True)

    The numbers of steps and rows are free. What the model reads and gives:

        a layer             input (T, B, I), or (B, T, I) of a batch_first layer -> output, as the layer's call gives it
        TokenModel          symbols, int64 (T, B)         -> probabilities of the next symbol, (T, B, symbols)
        LabelModel, Ensemble    input (T, B, I) or symbols (T, B); lengths -> probabilities (B, classes); T at least 1
        QuantileForecaster  history (T, B, step), lengths, origin (B, origin), ahead (H, B, ahead)
                            -> quantiles (H, B, levels)

    layer: the layer or the network. path: the file to write, which is returned.
    lengths: of a layer, whether `lengths`, int64 (B), is read: how many steps of each row are real.
    states: of a layer or a TokenModel, whether each initial state is read, by its name, (L * D, B, size); without, the
    sequences begin with the layer's own. The last states are given as `h_n` and so on. A QuantileForecaster always
    reads and gives those of its encoder.

    A cell that is exactly ONNX's LSTM, GRU or RNN becomes that operator in float32; any other cell, and float64,
    becomes a Scan with the cell's ops inside.

    int8: matrices as int8, by ONNX Runtime's dynamic quantization, about a quarter of the memory. GRU and RNN become
    Scans then, since ONNX Runtime rounds LSTM alone.

    Before the file is written, ONNX Runtime computes an example, which must agree with the network. Raises ProgramError
    for a cell that is not a program; CarouselError where onnx or onnxruntime is not installed, or where the example
    differs; TypeError for other modules. No file is written then.
    """
    made = of_module(layer, lengths=lengths, states=states, int8=int8)
    check(made.model, made.given, answer_of(layer))
    path = Path(path)
    write_atomically(path, in_int8(made.model) if int8 else made.model.SerializeToString())
    return path


def of_module(module: nn.Module, *, lengths: bool = False, states: bool = True, int8: bool = False) -> Exported:
    """The model of `to_onnx`, not yet checked, with its example. Raises as `to_onnx` does."""
    made = exported(module, lengths=lengths, states=states, int8=int8)
    if made is None:
        raise TypeError(
            f"exporting to ONNX: give a carousel.Recurrent (or LSTM, GRU, RNN), or a TokenModel, LabelModel, Ensemble "
            f"or QuantileForecaster of carousel.models, not {type(module).__name__}"
        )
    return made


__all__ = ["onnx_translations", "to_onnx"]
