"""GRU and its relatives: one state, mixed with a candidate by a gate."""

from carousel.cells.gru.gru import GRU
from carousel.cells.gru.layer_norm import LayerNormGRU

__all__ = ["GRU", "LayerNormGRU"]
