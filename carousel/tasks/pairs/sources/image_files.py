"""Images with a text each, from files: a table that lists them, text files beside them, or arrays in an .npz file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import BadZipFile, ZipFile

import numpy as np
import polars as pl

from carousel.errors import DataError, option
from carousel.tasks import table
from carousel.tasks.files import require_existing
from carousel.tasks.kinds_of_files import visible
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.pairs.sources import listed
from carousel.tasks.pairs.sources.pictures import ENDINGS
from carousel.tasks.sequences.part_rows import asked_rows, learnt_rows
from carousel.tasks.table import listed as in_words

IMAGES = listed.Kind(ENDINGS, "image")
FEWEST = 4  # images in a folder that is taken for one of images
WIDTHS = (1, 3, 4)  # numbers of a pixel in an array
NAMES = ("images", "image", "pixels", "pictures")  # of arrays that hold images


def recognize(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:  # noqa: ARG001
    """Why the data look like images with texts, or None."""
    if len(paths) != 1 or not paths[0].exists():
        return None
    (path,) = paths
    if path.is_dir():
        return _recognize_folder(path)
    if path.suffix.lower() == ".npz":
        return "images and texts in a file of arrays" if _is_pair_of_arrays(path) else None
    if table.is_table(path) and IMAGES.lists(path):
        return "a table that lists images with texts"
    return None


def read(paths: Sequence[Path], *, source: str | None = None, target: str | None = None, asked: bool = False) -> Pairs:
    """The pairs in what `recognize` describes, or (`asked`) images alone.

    Raises DataError for files that cannot be read so; the message says why, and how they would have to be."""
    require_existing(paths)
    if asked and not any(path.is_dir() or path.suffix.lower() == ".npz" or table.is_table(path) for path in paths):
        return Pairs(list(paths), None, range(1, len(paths) + 1), "the images", "image", "number")
    if len(paths) != 1:
        raise DataError(
            f"Images with captions are given by one table or one folder, and {len(paths)} names are given: write a "
            f"table with the columns file and caption."
        )
    (path,) = paths
    if path.is_dir():
        return _of_folder(path, source, target, asked)
    if path.suffix.lower() == ".npz":
        return _of_arrays(path, _arrays(path), None, target, asked)
    if IMAGES.has(path.name):
        raise DataError(f"{path} is one image without a caption: give a table that lists images and captions.")
    return listed.pairs_in(path, IMAGES, source=source, target=target, asked=asked)


def _recognize_folder(folder: Path) -> str | None:
    if IMAGES.tables_in(folder):
        return "images that a table lists with texts"
    if _array_file(folder) is not None:
        return "images in a file of arrays, with a table of their texts"
    images = IMAGES.inside(folder)
    if len(images) < FEWEST:
        return None
    if any(image.with_suffix(".txt").is_file() for image in images):
        return "images with a text file beside each"
    return f"a folder of {len(images):,} images" if 2 * len(images) >= len(visible(folder)) else None


def _of_folder(folder: Path, source: str | None, target: str | None, asked: bool) -> Pairs:
    tables = IMAGES.tables_in(folder)
    if len(tables) > 1:
        raise DataError(
            f"{folder} has several tables that list images, {in_words([t.name for t in tables])}: name one."
        )
    if tables:
        return listed.pairs_in(tables[0], IMAGES, source=source, target=target, asked=asked)
    if (both := _array_file(folder)) is not None:
        return _of_arrays(both[0], _arrays(both[0]), both[1], target, asked)
    if (pairs := listed.pairs_beside(folder, IMAGES)) is not None:
        return pairs
    images = IMAGES.inside(folder)
    if asked and images:
        return Pairs(images, None, range(1, len(images) + 1), str(folder), "image", "file")
    raise DataError(
        f"{folder} holds {len(images):,} images, and nothing says what to write for each. Put a table into it that "
        f"lists them, captions.csv with the columns file and caption, or a text file beside each (cat.png, cat.txt)."
    )


# -- arrays ----------------------------------------------------------------------------------------------------------


def _arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, BadZipFile) as problem:
        raise DataError(f"{path} cannot be read as a file of arrays: {str(problem).splitlines()[0][:100]}.") from None


class _Head(NamedTuple):
    """What an array of a file is, without its numbers."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def ndim(self) -> int:
        return len(self.shape)


def _heads(path: Path) -> dict[str, _Head]:
    """The arrays of a file by their names; none for a file that cannot be read so."""
    read_head = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    found = {}
    try:
        with ZipFile(path) as archive:
            for name in archive.namelist():
                with archive.open(name) as file:
                    shape, _, dtype = read_head[np.lib.format.read_magic(file)](file)
                    found[name.removesuffix(".npy")] = _Head(shape, dtype)
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return {}
    return found


def _images_in(arrays: Mapping[str, np.ndarray] | Mapping[str, _Head]) -> list[str]:
    return [name for name, array in arrays.items() if _are_images(name, array)]


def _texts_in(arrays: Mapping[str, np.ndarray] | Mapping[str, _Head]) -> list[str]:
    return [name for name, array in arrays.items() if array.ndim == 1 and array.dtype.kind == "U"]


def _are_images(name: str, array: np.ndarray | _Head) -> bool:
    """Bytes, or numbers by a sure name: an array (N, steps, channels) of floats is as likely one of series."""
    if array.dtype != np.uint8 and not (array.dtype.kind == "f" and name.lower() in NAMES):
        return False
    return array.ndim == 3 or (array.ndim == 4 and array.shape[3] in WIDTHS)


def _is_pair_of_arrays(path: Path) -> bool:
    heads = _heads(path)
    return len(_images_in(heads)) == 1 and bool(_texts_in(heads))


def _array_file(folder: Path) -> tuple[Path, Path] | None:
    """The one file of arrays in a folder that holds images, and the one table beside it; None for another folder."""
    files = [file for file in sorted(folder.iterdir()) if file.suffix.lower() == ".npz"]
    tables = [file for file in sorted(folder.iterdir()) if table.is_table(file)]
    if len(files) != 1 or len(tables) != 1:
        return None
    return (files[0], tables[0]) if len(_images_in(_heads(files[0]))) == 1 else None


def _of_arrays(
    path: Path, arrays: dict[str, np.ndarray], beside: Path | None, target: str | None, asked: bool
) -> Pairs:
    """The pairs of an array of images with the texts of a table, or of an array beside it. Row n of a table belongs to
    image n, or to the image whose number its column `index` has."""
    names = _images_in(arrays)
    if len(names) != 1:
        raise DataError(
            f"{path} must have one array of images, (N, rows, columns) or (N, rows, columns, 3) of bytes, or of floats "
            f"from 0 to 1 where it is called images; it has {len(names)}."
        )
    images = arrays[names[0]]
    if beside is not None:
        frame, where = table.read(beside), beside
    else:
        texts = {name: arrays[name] for name in _texts_in(arrays)}
        if asked and not texts:
            return Pairs(list(images), None, range(1, len(images) + 1), str(path), "image", "image")
        long = [name for name, array in texts.items() if len(array) != len(images)]
        if long:
            raise DataError(f"{path} has {len(images):,} images, and {len(texts[long[0]]):,} texts in {long[0]!r}.")
        frame, where = pl.DataFrame({name: array.tolist() for name, array in texts.items()}), path
    at = _places(frame, len(images), where, path)
    column = listed.text_column(frame, None, target, where)
    chosen = asked_rows(frame) if asked else learnt_rows(frame, validate=True)
    return listed.as_pairs(frame, chosen, [images[at[row]] for row in chosen.rows], column, where, "image")


def _places(frame: pl.DataFrame, count: int, where: Path, path: Path) -> list[int]:
    """The number of the image of each row."""
    index = next((frame[name] for name in frame.columns if name.lower() in ("index", "image")), None)
    if index is not None and index.dtype.is_integer() and not index.null_count():
        numbers = index.to_list()
        if min(numbers, default=0) < 0 or max(numbers, default=0) >= count:
            raise DataError(
                f"The column {index.name!r} of {where} has numbers from {min(numbers)} to {max(numbers)}, and {path} "
                f"has the images 0 to {count - 1}."
            )
        return numbers
    if len(frame) != count:
        raise DataError(
            f"Row n of {where} belongs to image n of {path}, so that both must be equally many, and they are "
            f"{len(frame):,} and {count:,}. Correct them, or add a column index with the number of each image, from 0 "
            f"(the texts are those of {option('target')})."
        )
    return list(range(count))
