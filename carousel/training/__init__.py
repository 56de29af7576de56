"""Training by truncated backpropagation through time: windows over lanes, carried state, exact resumption."""

from typing import TYPE_CHECKING

from carousel.lazy import importer

if TYPE_CHECKING:
    from carousel.training.progress import Quiet, Report
    from carousel.training.truncation import Carry, truncated

__all__ = ["Carry", "Quiet", "Report", "truncated"]

__getattr__ = importer(
    __name__,
    {
        "Carry": "carousel.training.truncation",
        "Quiet": "carousel.training.progress",
        "Report": "carousel.training.progress",
        "truncated": "carousel.training.truncation",
    },
)
