"""Simple recurrent networks: one candidate, and no gate that reads the state."""

from carousel.cells.rnn.elman import RNN

__all__ = ["RNN"]
