"""Carousel: recurrent networks for PyTorch. Write a cell once, as its equations; everything else is derived from it."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from carousel.lazy import importer

__version__ = "0.2.0"

if TYPE_CHECKING:
    from carousel.cells import Cell, Matrix, Vector
    from carousel.convert import from_keras, from_onnx, from_torch, to_keras, to_torch
    from carousel.errors import CarouselError, DataError, ProgramError, RunError
    from carousel.layers import GRU, LSTM, RNN, GRUCell, LSTMCell, Recurrent, RecurrentCell, Recursive, RNNCell, Trees
    from carousel.page import inspect
    from carousel.tasks.classification import SequenceClassifier
    from carousel.tasks.forecasting import Forecaster
    from carousel.tasks.language import LanguageModel
    from carousel.tasks.pairs import Captioner, SeriesCaptioner, Transcriber, Translator
    from carousel.tasks.tagging import Tagger
    from carousel.tasks.trees import TreeClassifier

# The module of each public name. It is imported at the first use, so that `carousel --help` does not wait for torch.
_HOMES = {
    "carousel.cells": ("Cell", "Matrix", "Vector"),
    "carousel.convert": ("from_keras", "from_onnx", "from_torch", "to_keras", "to_torch"),
    "carousel.errors": ("CarouselError", "DataError", "ProgramError", "RunError"),
    "carousel.layers": (
        "GRU",
        "LSTM",
        "RNN",
        "GRUCell",
        "LSTMCell",
        "RNNCell",
        "Recurrent",
        "RecurrentCell",
        "Recursive",
        "Trees",
    ),
    "carousel.page": ("inspect",),
    "carousel.tasks.classification": ("SequenceClassifier",),
    "carousel.tasks.forecasting": ("Forecaster",),
    "carousel.tasks.language": ("LanguageModel",),
    "carousel.tasks.pairs": ("Captioner", "SeriesCaptioner", "Transcriber", "Translator"),
    "carousel.tasks.tagging": ("Tagger",),
    "carousel.tasks.trees": ("TreeClassifier",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}
_named = importer(__name__, _HOME_OF)
_FOLDERS = (
    "cells",
    "convert",
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
    "Captioner",
    "CarouselError",
    "Cell",
    "DataError",
    "Forecaster",
    "GRUCell",
    "LSTMCell",
    "LanguageModel",
    "Matrix",
    "ProgramError",
    "RNNCell",
    "Recurrent",
    "RecurrentCell",
    "Recursive",
    "RunError",
    "SequenceClassifier",
    "SeriesCaptioner",
    "Tagger",
    "Transcriber",
    "Translator",
    "TreeClassifier",
    "Trees",
    "Vector",
    "from_keras",
    "from_onnx",
    "from_torch",
    "inspect",
    "to_keras",
    "to_torch",
]


def __getattr__(name: str) -> Any:
    if name in _FOLDERS:
        return importlib.import_module(f"carousel.{name}")
    return _named(name)


def __dir__() -> list[str]:
    return sorted({*__all__, *_FOLDERS, "__version__"})
