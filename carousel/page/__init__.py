"""The page of `carousel inspect`, which shows what a network does step by step."""

from carousel.page.inspecting import inspect

__all__ = ["inspect"]
