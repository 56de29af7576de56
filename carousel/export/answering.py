"""What a network answers to arrays by name: the interface that its ONNX model has, in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from carousel.layers import Recurrent
from carousel.models.label_model import Ensemble, LabelModel
from carousel.models.quantile_forecaster import QuantileForecaster
from carousel.models.token_model import TokenModel

Given = Mapping[str, np.ndarray]
Answer = Callable[[Given], list[np.ndarray]]


def answer_of(module: nn.Module) -> Answer:
    """What `module` gives for named arrays, output by output, as `to_onnx` says; in evaluation mode.

    States that are not among the arrays are the layer's own. Raises TypeError for a module that `to_onnx` refuses.
    """
    forms: tuple[tuple[Any, Callable[[Any, dict[str, Tensor]], list[Tensor]]], ...] = (
        (Recurrent, _of_layer),
        (TokenModel, _of_token_model),
        (LabelModel | Ensemble, _of_label_model),
        (QuantileForecaster, _of_forecaster),
    )
    form = next((form for kind, form in forms if isinstance(module, kind)), None)
    if form is None:
        raise TypeError(f"there is no interface by name of a {type(module).__name__}")
    chosen = form

    def answer(given: Given) -> list[np.ndarray]:
        device = next(module.parameters()).device
        tensors = {
            name: torch.from_numpy(np.ascontiguousarray(values)).to("cpu" if name == "lengths" else device)
            for name, values in given.items()
        }
        was_training = module.training
        module.eval()
        try:
            with torch.no_grad():
                return [value.cpu().numpy() for value in chosen(module, tensors)]
        finally:
            module.train(was_training)

    return answer


def _of_layer(layer: Recurrent, given: dict[str, Tensor]) -> list[Tensor]:
    some: dict[str, Any] = {"lengths": given["lengths"]} if "lengths" in given else {}
    output, last = layer(given["input"], _states(layer, given), **some)
    return [output, *_each(last)]


def _of_token_model(model: TokenModel, given: dict[str, Tensor]) -> list[Tensor]:
    scores, last = model(given["symbols"], _states(model.recurrent, given))
    return [torch.softmax(scores, -1), *_each(last)]


def _of_label_model(module: LabelModel | Ensemble, given: dict[str, Tensor]) -> list[Tensor]:
    members = module.members if isinstance(module, Ensemble) else [module]
    x = given["symbols"] if "symbols" in given else given["input"]
    return [torch.stack([torch.softmax(member(x, given["lengths"]), -1) for member in members]).mean(0)]


def _of_forecaster(model: QuantileForecaster, given: dict[str, Tensor]) -> list[Tensor]:
    _, last = model.encoder(given["history"], _states(model.encoder, given), lengths=given["lengths"])
    return [model.decode(tuple(_each(last)), given["origin"], given["ahead"]), *_each(last)]


def _states(layer: Recurrent, given: dict[str, Tensor]) -> Any:
    found = tuple(given[name] for name in layer.program.states if name in given)
    return (found if len(found) > 1 else found[0]) if found else None


def _each(states: Any) -> list[Tensor]:
    return [states] if isinstance(states, Tensor) else list(states)
