"""Images as sources: each step is a place of the image."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from carousel.errors import DataError, option
from carousel.insight.image_alignment import image_alignment_figure
from carousel.models.source_readers import ImageReader
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.pairs.nearest import NearestArray
from carousel.tasks.pairs.settings import Settings
from carousel.tasks.pairs.sources import image_files, pictures
from carousel.tasks.pairs.usual import USUAL

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIDE = 32  # pixels, where nobody chooses: a larger image is made smaller
CHANNELS = 128
PLACES = 4
MOST_SIDE, MOST_CHANNELS = 4096, 65_536  # in what a run says
LOOKED_AT = 1000  # images, to choose the size and the mode


@dataclass(frozen=True)
class ImageSource:
    """See `carousel.tasks.pairs.sources`. side: rows and columns of pixels that each image is brought to. mode: "L" for
    grey images, or "RGB". channels: of a step. places: rows of places, about. said_of: what was found in the images."""

    side: int
    mode: str
    channels: int = CHANNELS
    places_a_side: int = PLACES
    said_of: str = ""

    kind = "image"
    plural = "images"
    usual: ClassVar[Mapping[str, Any]] = USUAL["image"]
    heads = ("decoder",)
    reads = 150_000
    baseline = "nearest image's caption"
    symbolic = False

    def __post_init__(self) -> None:
        sizes = ((self.side, MOST_SIDE), (self.channels, MOST_CHANNELS), (self.places_a_side, MOST_SIDE))
        if not all(isinstance(one, int) and 1 <= one <= most for one, most in sizes) or self.mode not in ("L", "RGB"):
            raise ValueError(f"no image has {self.side!r} pixels a side in the mode {self.mode!r}")

    @classmethod
    def recognize(cls, paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:
        return image_files.recognize(paths, options)

    @classmethod
    def read(
        cls, paths: Sequence[Path], *, source: str | None = None, target: str | None = None, asked: bool = False
    ) -> Pairs:
        return image_files.read(paths, source=source, target=target, asked=asked)

    @classmethod
    def given(cls, items: Any) -> list[Any]:
        """A list of images: names of files, images of Pillow, or arrays; an array of them; or a single one."""
        if isinstance(items, str | Path) or hasattr(items, "getbands"):
            return [items]
        if isinstance(items, np.ndarray) and items.ndim < 3:
            return [items]
        try:
            return list(items)
        except TypeError:
            raise DataError(f"Images are given as a list, and {type(items).__name__} is none.") from None

    @classmethod
    def shaped(cls, items: Sequence[Any], settings: Settings) -> ImageSource:
        """The size of the largest image, or `side` pixels, and grey where all images are."""
        largest, moving, grey, sizes = 1, 0, True, set()
        for item in items[:: -(-len(items) // LOOKED_AT)] if items else ():
            try:
                with pictures.opened(item) as image:
                    largest, grey = max(largest, *image.size), grey and pictures.is_grey(image)
                    moving += pictures.frames_of(image) > 1
                    sizes.add(image.size)
            except DataError:
                continue  # `keep` says what is wrong, with the row
        side = settings.side or min(SIDE, largest)
        said = f"images of {_sizes(sizes)}, {'grey' if grey else 'in colours'}"
        if moving:
            said += f"; {moving:,} of them move or have pages: their first frame is read"
        return cls(side, "L" if grey else "RGB", settings.channels, said_of=said)

    @classmethod
    def from_json(cls, record: dict[str, Any]) -> ImageSource:
        return cls(**record)

    @property
    def said(self) -> tuple[str, ...]:
        places = self.reader(1).places
        lines = (self.said_of,) if self.said_of else ()
        how = "grey" if self.mode == "L" else "red, green and blue"
        return (
            *lines,
            f"each is read as {self.side} x {self.side} pixels ({option('side')}), {how}: its longer side is scaled, "
            f"and white is laid beneath and beside it; convolutions make {places} x {places} places of it",
        )

    def keep(self, item: Any) -> np.ndarray:
        try:
            with pictures.opened(item) as image:
                return pictures.common(image, self.side, self.mode)
        except DataError as problem:
            name = f"{item}: " if isinstance(item, str | Path) and str(item) not in str(problem) else ""
            raise DataError(f"{name}{problem}") from None

    def learnt(self, kept: Sequence[np.ndarray], settings: Settings) -> ImageSource:  # noqa: ARG002
        return self

    def steps(self, kept: np.ndarray) -> np.ndarray:
        return kept

    def reader(self, embedding: int) -> ImageReader:  # noqa: ARG002 (the width is that of the channels)
        return ImageReader(self.side, 1 if self.mode == "L" else 3, self.channels, self.places_a_side)

    def places(self, kept: np.ndarray) -> list[str]:  # noqa: ARG002
        count = self.reader(1).places
        return [f"row {row + 1}, column {column + 1}" for row in range(count) for column in range(count)]

    def alignment_figure(
        self, weights: np.ndarray, kept: np.ndarray, written: Sequence[str], title: str
    ) -> Callable[[], Figure]:
        return partial(image_alignment_figure, weights, image=kept, written=written, title=title)

    def named(self, item: Any, number: int) -> str:
        return str(item) if isinstance(item, str | Path) else f"image {number}"

    def asks(self, run: str) -> list[str]:
        return [f"carousel caption {run} a.png --alignment picture.png", f"carousel caption {run} *.png > captions.txt"]

    def memory(self, kept: Sequence[np.ndarray], targets: Sequence[str]) -> NearestArray:
        return NearestArray(kept, targets)

    def to_json(self) -> dict[str, Any]:
        own = {"side": self.side, "mode": self.mode, "channels": self.channels, "places_a_side": self.places_a_side}
        return {"kind": self.kind, **own}


def _sizes(sizes: set[tuple[int, int]]) -> str:
    if len(sizes) == 1:
        ((width, height),) = sizes
        return f"{width} x {height} pixels"
    if not sizes:
        return "no size that can be read"
    areas = sorted(sizes, key=lambda size: size[0] * size[1])
    return " to ".join(f"{width} x {height}" for width, height in (areas[0], areas[-1])) + " pixels"
