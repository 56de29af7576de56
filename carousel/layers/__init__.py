"""Layers: they run any cell over sequences. Some have the interfaces of torch.nn's layers."""

from carousel.layers.faces import GRU, LSTM, RNN
from carousel.layers.penalties import activation_penalty, temporal_penalty
from carousel.layers.recurrent import Recurrent
from carousel.layers.single_step import GRUCell, LSTMCell, RecurrentCell, RNNCell
from carousel.layers.stepper import Stepper
from carousel.layers.trees import Recursive, Trees

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "GRUCell",
    "LSTMCell",
    "RNNCell",
    "Recurrent",
    "RecurrentCell",
    "Recursive",
    "Stepper",
    "Trees",
    "activation_penalty",
    "temporal_penalty",
]
