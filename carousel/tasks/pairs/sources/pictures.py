"""Image files and image objects, as arrays of one size and mode."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from carousel.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
GREY = ("1", "L", "LA", "La", "I", "F")  # Pillow's names of modes without colours, beside those of 16 bits
WHITE = 255


@contextlib.contextmanager
def opened(item: Any) -> Iterator[Image]:
    """An image: the first frame of a file or of an object of Pillow, or an array. Raises DataError, with the name of
    the file, for what is no image that can be read."""
    from PIL import Image, UnidentifiedImageError

    if not isinstance(item, str | Path):
        yield _object(item)
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(item) as image:
                image.load()
                yield image
    except FileNotFoundError:
        raise DataError(f"There is no image {item}.") from None
    except IsADirectoryError:
        raise DataError(f"{item} is a folder, and an image is a file.") from None
    except UnidentifiedImageError:
        raise DataError(f"{item} is no image that can be read ({', '.join(ENDINGS[:6])} and others can).") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise DataError(
            f"{item} says that it has more than {Image.MAX_IMAGE_PIXELS:,} pixels, far more than a caption needs: it "
            f"is damaged, or it must be made smaller first."
        ) from None
    except (OSError, SyntaxError, ValueError, EOFError) as problem:  # what Pillow raises for damaged files
        raise DataError(f"{item} cannot be read as an image: {str(problem) or 'it breaks off'}.") from None


def frames_of(image: Image) -> int:
    """How many frames an image has: more than 1 where it is animated, or has pages."""
    return int(getattr(image, "n_frames", 1))


def is_grey(image: Image) -> bool:
    return image.mode in GREY or image.mode.startswith("I;")


def common(image: Image, side: int, mode: str) -> np.ndarray:
    """An image as `side` rows of `side` pixels, (side, side, 1) for the mode "L" or (side, side, 3) for "RGB", uint8.

    It is turned as its camera held it, laid on white where it is transparent, and scaled so that its longer side has
    `side` pixels; the rest of the square is white. Raises DataError for a mode that Pillow cannot convert."""
    from PIL import Image, ImageOps

    image = ImageOps.exif_transpose(image)
    try:
        image = _on_white(_of_bytes(image), mode)
    except ValueError as problem:
        raise DataError(f"an image of the mode {image.mode} cannot be brought to {mode}: {problem}.") from None
    longer = max(image.size)
    if longer != side:
        width, height = (max(1, round(length * side / longer)) for length in image.size)
        image = image.resize((width, height), Image.Resampling.BICUBIC if longer < side else Image.Resampling.LANCZOS)
    if image.size != (side, side):
        square = Image.new(mode, (side, side), WHITE if mode == "L" else (WHITE,) * 3)
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    return np.asarray(image, np.uint8).reshape(side, side, -1).copy()


def _of_bytes(image: Image) -> Image:
    """The image with a byte for each colour: of 16 bits the higher ones, of numbers from 0 to 1 their share of 255."""
    from PIL import Image

    if image.mode not in ("I", "F") and not image.mode.startswith("I;"):
        return image
    values = np.asarray(image, np.float64)
    top = 255.0
    if image.mode == "F":
        top = 1.0 if values.max(initial=0) <= 1 else 255.0
    elif image.mode != "I" or values.max(initial=0) > 255:
        top = 65535.0
    return Image.fromarray(np.clip(np.nan_to_num(values) * (255 / top), 0, 255).round().astype(np.uint8))


def _on_white(image: Image, mode: str) -> Image:
    from PIL import Image

    if "A" in image.getbands() or "a" in image.getbands() or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (WHITE,) * 4)
        image = Image.alpha_composite(ground, image)
    return image.convert("RGB").convert(mode) if image.mode not in (mode, "L", "1") else image.convert(mode)


def _object(item: Any) -> Image:
    from PIL import Image

    if isinstance(item, Image.Image):
        return item
    values = np.asarray(item)
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.ndim not in (2, 3) or (values.ndim == 3 and values.shape[2] not in (3, 4)) or 0 in values.shape:
        raise DataError(
            f"An image is a file's name, an image of Pillow, or an array (rows, columns) or (rows, columns, 3 or 4), "
            f"and this is {type(item).__name__} of the shape {values.shape}."
        )
    if values.dtype == bool:
        values = values.astype(np.uint8) * 255
    elif values.dtype.kind == "f" and np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1:
        values = (values * 255).round().astype(np.uint8)
    elif values.dtype != np.uint8:
        raise DataError(
            f"The numbers of an image are bytes from 0 to 255, uint8, or floats from 0 to 1; these are {values.dtype}. "
            f"Scale them: (x * 255 / x.max()).astype('uint8'), say."
        )
    return Image.fromarray(values)
