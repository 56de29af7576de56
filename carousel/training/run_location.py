"""Where a run is written: in a folder whose name is free, on a disk with room for it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

from carousel.errors import RunError, option


def folder_for(data: Sequence[str | Path]) -> Path:
    """The folder for a new run on these data: `runs/` and the name of the first, with a number where that is taken."""
    first = Path(data[0])
    return free_name(Path("runs"), first.stem or first.resolve().name or "run")


def free_name(parent: Path, name: str) -> Path:
    """`parent/name`, or the first of `parent/name-2`, `parent/name-3`, ... that does not exist yet."""
    path, number = parent / name, 1
    while path.exists():
        number += 1
        path = parent / f"{name}-{number}"
    return path


def require_space(folder: Path, needed: int, purpose: str) -> None:
    """Raises RunError when the disk under `folder` has fewer than `needed` bytes left."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    free = shutil.disk_usage(existing).free
    if free < needed:
        raise RunError(
            f"{purpose} needs {needed / 1e6:,.1f} MB in {folder}, and the disk has {free / 1e6:,.1f} MB left. "
            f"Free some space, or put the run elsewhere ({option('out')})."
        )
