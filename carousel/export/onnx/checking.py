"""Runs a model in ONNX Runtime, beside the network that it came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from carousel.errors import CarouselError

Given = Mapping[str, np.ndarray]


def session(model: bytes) -> Any:
    """An onnxruntime.InferenceSession on one thread of the CPU. Raises CarouselError where it is not installed."""
    try:
        import onnxruntime
    except ImportError:
        raise CarouselError(
            "exporting to ONNX checks the model in the package onnxruntime: pip install 'carousel-rnn[onnx]'"
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def check(model: Any, module: nn.Module, given: Given, network: Callable[[], Sequence[Tensor]]) -> None:
    """Compares what ONNX Runtime computes of an example with what `network()` gives. Raises CarouselError where they
    differ by more than 10⁵ units in the last place of the largest number."""
    names = [output.name for output in model.graph.output]
    found = session(model.SerializeToString()).run(None, dict(given))
    was_training = module.training
    module.eval()
    try:
        with torch.no_grad():
            wanted = network()
    finally:
        module.train(was_training)
    for name, there, here in zip(names, found, wanted, strict=True):
        allowed = 1e5 * torch.finfo(here.dtype).eps
        largest = max(1.0, float(here.abs().max())) if here.numel() else 1.0
        apart = float(np.abs(there - here.cpu().numpy()).max()) if here.numel() else 0.0
        if not apart <= allowed * largest:
            raise CarouselError(
                f"exporting to ONNX: on an example ONNX Runtime's {name} differs by {apart:.2g} from the network's, "
                f"where {allowed * largest:.2g} is allowed; no file was written. Please report the cell"
            )
