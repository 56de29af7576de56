"""Weights as int8, by ONNX Runtime's own tools."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

from carousel.export.onnx.graph import EXACT


def in_int8(model: Any) -> bytes:
    """The model with its matrices as int8 and one scale each; what they multiply is rounded while it runs.

    LSTM, products (those inside a Scan too) and embeddings are rounded, but for nodes that are to stay as they are
    (`graph.exact`). onnxruntime has no such GRU and RNN: a graph that is to be rounded has Scans for them
    (`Graph.to_be_rounded`). Source: onnxruntime.quantization.quantize_dynamic.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it advises a preparation that this model does not need
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.onnx"
            options = {"EnableSubgraph": True, "MatMulConstBOnly": True}
            quantize_dynamic(
                model,
                str(path),
                weight_type=QuantType.QInt8,
                nodes_to_exclude=[node.name for node in model.graph.node if node.name.startswith(EXACT)],
                extra_options=options,
            )
            return path.read_bytes()
    finally:
        logging.disable(before)
