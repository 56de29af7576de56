"""Files that appear whole or not at all, are written through no link, and are read only where they are files.

A folder may come from a stranger. What stands in it under the name of a file can be a link to one of the user's own, a
pipe that never ends, or a device: none of these is written to, and only links are read through.
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

UNFINISHED = ".unfinished"  # how the names of files end that a crash has left half written
OWN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


@contextlib.contextmanager
def written(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, which stands under `path` once the block has ended without an error.

    It is made beside `path` under a name that nobody can guess, forced to disk, and renamed: a reader, or a crash,
    finds what was there before or all of the new. A link of that name is replaced, and what it points to stays as it
    is. Raises OSError, with nothing left behind: IsADirectoryError where a folder stands under the name.
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
    """All of the content under this name, or, after an OSError, what was there before; see `written`."""
    with written(path) as file:
        file.write(content)


def require_replaceable(path: Path) -> None:
    """Raises OSError where something other than a file or a link stands under the name."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISLNK(mode):
        require_regular(mode, path)


def require_regular(mode: int, path: Path) -> None:
    """Raises OSError for the mode of a folder, a pipe or a device."""
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "a folder stands in its place", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "a device or a pipe stands in its place", str(path))


def open_to_read(path: Path) -> BufferedReader:
    """A file, open. Raises OSError for a folder, a pipe or a device."""
    # Opening a pipe would wait for its writer for ever.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        mode = os.fstat(handle).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))  # as Python's own open says it
        require_regular(mode, path)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def read(path: Path, *, most: int | None = None) -> bytes:
    """What a file holds. Raises OSError for a folder, a pipe or a device, and for more than `most` bytes."""
    with open_to_read(path) as file:
        size = os.fstat(file.fileno()).st_size
        if most is not None and size > most:
            raise OSError(errno.EFBIG, f"it has {size:,} bytes, and should have {most:,} at most", str(path))
        return file.read()


def sync_folder(folder: Path) -> None:
    """Force the names of a folder's files to disk."""
    if os.name != "posix":  # Windows has no way to force a folder's entry to disk, and does not open folders
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_unfinished(folder: Path) -> None:
    """Removes the unfinished files that a crash has left in a folder. No process may be writing there."""
    for left in folder.glob(f".*{UNFINISHED}"):
        with contextlib.suppress(OSError):
            left.unlink()
