"""Whole networks, made of embeddings, recurrent layers and heads."""

from carousel.models.ctc_model import CTCModel
from carousel.models.encoder_decoder import EncoderDecoder
from carousel.models.fill_model import FillModel
from carousel.models.label_model import Ensemble, LabelModel
from carousel.models.log_mel import LogMel
from carousel.models.quantile_forecaster import QuantileForecaster
from carousel.models.tag_model import TagModel
from carousel.models.token_model import TokenModel

__all__ = [
    "CTCModel",
    "EncoderDecoder",
    "Ensemble",
    "FillModel",
    "LabelModel",
    "LogMel",
    "QuantileForecaster",
    "TagModel",
    "TokenModel",
]
