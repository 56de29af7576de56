"""Carousel: recurrent networks for PyTorch. Write a cell once, as its equations; everything else is derived from it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from carousel.cells import Cell, Vector
    from carousel.errors import CarouselError, DataError, ProgramError, RunError
    from carousel.layers import GRU, LSTM, RNN, GRUCell, LSTMCell, Recurrent, RecurrentCell, RNNCell
    from carousel.page import inspect
    from carousel.tasks.classification import SequenceClassifier
    from carousel.tasks.forecasting import Forecaster
    from carousel.tasks.language import LanguageModel

# Where each public name lives. It is imported when first used, so that `carousel --help` need not wait for torch.
_HOMES = {
    "carousel.cells": ("Cell", "Vector"),
    "carousel.errors": ("CarouselError", "DataError", "ProgramError", "RunError"),
    "carousel.layers": ("GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNCell", "Recurrent", "RecurrentCell"),
    "carousel.page": ("inspect",),
    "carousel.tasks.classification": ("SequenceClassifier",),
    "carousel.tasks.forecasting": ("Forecaster",),
    "carousel.tasks.language": ("LanguageModel",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_FOLDERS = (
    "cells",
    "engines",
    "errors",
    "export",
    "insight",
    "layers",
    "models",
    "page",
    "program",
    "tasks",
    "training",
)

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "CarouselError",
    "Cell",
    "DataError",
    "Forecaster",
    "GRUCell",
    "LSTMCell",
    "LanguageModel",
    "ProgramError",
    "RNNCell",
    "Recurrent",
    "RecurrentCell",
    "RunError",
    "SequenceClassifier",
    "Vector",
    "inspect",
]


def __getattr__(name: str) -> Any:
    if name in _FOLDERS:
        return importlib.import_module(f"carousel.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"module 'carousel' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *_FOLDERS, "__version__"})
