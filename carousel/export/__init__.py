"""Ways out: networks in forms that run without Carousel."""

from carousel.export.c import to_c
from carousel.export.onnx import onnx_translations, to_onnx

__all__ = ["onnx_translations", "to_c", "to_onnx"]
