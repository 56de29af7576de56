"""Whole networks, made of embeddings, recurrent layers and heads."""

from carousel.models.encoder_decoder import EncoderDecoder
from carousel.models.label_model import Ensemble, LabelModel
from carousel.models.log_mel import LogMel
from carousel.models.quantile_forecaster import QuantileForecaster
from carousel.models.token_model import TokenModel

__all__ = ["EncoderDecoder", "Ensemble", "LabelModel", "LogMel", "QuantileForecaster", "TokenModel"]
