"""Recursive networks: any cell over trees and other graphs without cycles."""

from carousel.layers.trees.brackets import Bracketed, read_brackets
from carousel.layers.trees.recursive import Recursive
from carousel.layers.trees.trees import Trees

__all__ = ["Bracketed", "Recursive", "Trees", "read_brackets"]
