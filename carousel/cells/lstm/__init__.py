"""LSTM and its relatives: a cell state beside the output, and gates on what enters, stays and leaves."""

from carousel.cells.lstm.layer_norm import LayerNormLSTM
from carousel.cells.lstm.lstm import LSTM

__all__ = ["LSTM", "LayerNormLSTM"]
