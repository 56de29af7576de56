"""Safe writing and reading of files: written whole or not at all, and never through a link, a pipe or a device.

A folder may come from a stranger. A name in it may be a link to one of the user's own files, a pipe that never ends, or
a device. These functions write to none of these, and read only through links.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

UNFINISHED = ".unfinished"  # the ending of names of files that a crash has left incomplete
OWN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@contextlib.contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A context manager with a file to write to. At its end, without an error, the file appears at `path`.

    The file is written beside `path` under a random name, forced to disk and renamed, so that a reader, or a crash,
    finds either the old content or the whole new content. A link at `path` is replaced, and its target does not change.
    Raises OSError and leaves nothing behind; IsADirectoryError if `path` is a folder.
    """
    require_replaceable(path)
    unfinished = path.with_name(f".{secrets.token_hex(8)}{UNFINISHED}")
    try:
        with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | OWN, 0o666), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
        sync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Writes the whole content to `path`. After an OSError the old content is still there; see `written`."""
    with written(path) as file:
        file.write(content)


def require_replaceable(path: Path) -> None:
    """Raises OSError if `path` is something other than a file or a link."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISLNK(mode):
        require_regular(mode, path)


def require_regular(mode: int, path: Path) -> None:
    """Raises OSError if the mode is that of a folder, a pipe or a device."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "a folder stands in its place", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "a device or a pipe stands in its place", str(path))


def open_to_read(path: Path) -> BufferedReader:
    """Opens a file for reading. Raises OSError for a folder, a pipe or a device."""
    # Without O_NONBLOCK, opening a pipe would wait for a writer.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            # The error of Python's own open.
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        require_regular(mode, path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read(path: Path, *, most: int | None = None) -> bytes:
    """The content of a file. Raises OSError for a folder, a pipe or a device, and for more than `most` bytes."""
    with open_to_read(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, and should have {most:,} at most", str(path))
        return file.read()


def sync_folder(folder: Path) -> None:
    """Forces the entries of a folder to disk."""
    if os.name != "posix":  # Windows cannot open a folder or force its entries to disk
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_unfinished(folder: Path) -> None:
    """Removes the incomplete files that a crash has left in a folder. No process may be writing there."""
    for left in folder.glob(f".*{UNFINISHED}"):
        with contextlib.suppress(OSError):
            left.unlink()
