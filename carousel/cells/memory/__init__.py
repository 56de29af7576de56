"""Cells with an explicit memory: slots that heads read and write, or a matrix of what keys were paired with.

A state of such a cell has members: rows of its own, as a memory has slots (`carousel.Cell`, "members"). Their steps run
one after another. Linear attention, DeltaNet and mLSTM have a chunkwise-parallel form too, by which they are trained
on long texts; it is not derived here, and a layer trains them step by step.
"""

from carousel.cells.memory.dnc import DNC
from carousel.cells.memory.mlstm import MLSTM
from carousel.cells.memory.ntm import NTM

__all__ = ["DNC", "MLSTM", "NTM"]
