"""Whether torch.onnx.export can know what a scan is: the table of `carousel.export.onnx_translations` was made before.

Without that table torch traces the whole model first, and then ends in words that say nothing of a table.
"""

from __future__ import annotations

import sys

from carousel.errors import CarouselError

_was_made = False


def was_made() -> None:
    """Remembers that this process has made the table."""
    global _was_made
    _was_made = True


def require() -> None:
    """Raises CarouselError where torch.onnx.export traces a scan in a process that never made the table."""
    exports = getattr(sys.modules.get("torch.onnx"), "is_in_onnx_export", None)
    if not _was_made and exports is not None and exports():
        raise CarouselError(
            "torch.onnx.export: it must be told what a scan of Carousel is in ONNX, but has no table of that; add "
            "custom_translation_table=carousel.export.onnx_translations() to the call"
        )
