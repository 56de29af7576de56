"""How a public name that has been renamed keeps working: see "Public names" in docs/api.md."""

from __future__ import annotations

import warnings


def warn_renamed(old: str, new: str, *, removed_in: str = "0.3") -> None:
    """Warns the caller of a function, method or attribute that calls this of its new name."""
    warnings.warn(
        f"{old} is now called {new}. The old name will be removed in Carousel {removed_in}.",
        DeprecationWarning,
        stacklevel=3,
    )
