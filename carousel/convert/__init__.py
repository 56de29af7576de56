"""Networks that were made elsewhere, and the way back: torch.nn, Keras and ONNX."""

from carousel.convert.keras import from_keras, to_keras
from carousel.convert.onnx_models import from_onnx
from carousel.convert.torch_modules import Conversion, from_torch, to_torch

__all__ = ["Conversion", "from_keras", "from_onnx", "from_torch", "to_keras", "to_torch"]
