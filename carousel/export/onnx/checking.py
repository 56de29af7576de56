"""Runs a model in ONNX Runtime, beside the network that it came from."""

from __future__ import annotations

from typing import Any

import numpy as np

from carousel.errors import CarouselError
from carousel.export.answering import Answer, Given


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


def interface_of(model: bytes) -> dict[str, Any]:
    """What a model reads and gives, for JSON: name, type and axes of each; a free axis has a name."""
    running = session(model)
    of = (("inputs", running.get_inputs()), ("outputs", running.get_outputs()))
    return {
        side: [{"name": one.name, "type": one.type[7:-1], "axes": list(one.shape)} for one in several]
        for side, several in of
    }


def answer_in_runtime(model: bytes) -> Answer:
    """What ONNX Runtime computes of a model's inputs, by name; of its states those that are not given are 0."""
    running = session(model)
    reads = {one.name: one for one in running.get_inputs()}

    def answer(given: Given) -> list[np.ndarray]:
        rows = next(given[name].shape[_ROWS_AXIS.get(name, 1)] for name in reads if name in given)
        whole = {}
        for name, one in reads.items():
            values = given.get(name)
            if values is None:
                values = np.zeros([n if isinstance(n, int) else rows for n in one.shape])
            whole[name] = values.astype(_TYPES[one.type])
        found: list[np.ndarray] = running.run(None, whole)
        return found

    return answer


_TYPES = {"tensor(float)": np.float32, "tensor(double)": np.float64, "tensor(int64)": np.int64}
_ROWS_AXIS = {"lengths": 0, "origin": 0}  # where the rows of a batch stand; elsewhere behind the steps


def check(model: Any, given: Given, network: Answer) -> None:
    """Compares what ONNX Runtime computes of an example with what the network gives. Raises CarouselError where they
    differ by more than 10⁵ units in the last place of the largest number."""
    names = [output.name for output in model.graph.output]
    found = session(model.SerializeToString()).run(None, dict(given))
    for name, there, here in zip(names, found, network(given), strict=True):
        allowed = 1e5 * np.finfo(here.dtype).eps * max(1.0, float(np.abs(here).max(initial=0.0)))
        apart = float(np.abs(there - here).max(initial=0.0))
        if not apart <= allowed:
            raise CarouselError(
                f"exporting to ONNX: on an example ONNX Runtime's {name} differs by {apart:.2g} from the network's, "
                f"where {allowed:.2g} is allowed; no file was written. Please report the cell"
            )
