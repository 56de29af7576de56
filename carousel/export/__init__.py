"""Ways out: networks in forms that run without Carousel."""

from carousel.export.c import to_c
from carousel.export.onnx import to_onnx

__all__ = ["to_c", "to_onnx"]
