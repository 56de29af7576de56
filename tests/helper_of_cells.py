"""A file beside a cell's, whose functions a step calls."""

import torch


def squashed(value):
    wide = torch.tanh(value)
    return torch.cumsum(wide, -1)  # outside the alphabet


def scaled(value, by):
    return value * by
