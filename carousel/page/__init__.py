"""The page that shows what a network does, step by step: `carousel inspect`."""

from carousel.page.inspecting import inspect

__all__ = ["inspect"]
