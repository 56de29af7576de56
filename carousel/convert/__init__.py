"""Networks that were made elsewhere, and the way back: torch.nn and Keras."""

from carousel.convert.keras import from_keras, to_keras
from carousel.convert.torch_modules import Conversion, from_torch, to_torch

__all__ = ["Conversion", "from_keras", "from_torch", "to_keras", "to_torch"]
