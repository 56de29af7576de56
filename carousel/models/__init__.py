"""Whole networks: embeddings, recurrent layers and heads put together."""

from carousel.models.token_model import TokenModel

__all__ = ["TokenModel"]
