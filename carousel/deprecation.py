"""Keeps renamed public names working: see "Public names" in docs/api.md."""

from __future__ import annotations

import warnings


def warn_renamed(old: str, new: str, *, removed_in: str = "0.3") -> None:
    """Warns that a public name has a new name. Call it in the old function, method or attribute."""
    warnings.warn(
        f"{old} is now called {new}. The old name will be removed in Carousel {removed_in}.",
        DeprecationWarning,
        stacklevel=3,
    )
