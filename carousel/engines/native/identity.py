"""Checks that a native library was built from the same version of Carousel that loads it.

Python passes ops to the library as numbers and structures as bytes, so that a library of another version would silently
compute wrong results. Loading compares three things: the version of the package, the names and argument counts of the
ops, and, where the sources stand beside the package (a clone, an editable install), a digest of them.
"""

from __future__ import annotations

import hashlib
from itertools import count
from pathlib import Path
from typing import Any

from carousel import __version__
from carousel.engines.native.plan import OWN, POINTWISE
from carousel.program import ops

SOURCES = Path(__file__).parent.parent.parent / "native"


def why_stale(library: Any) -> str | None:
    """A phrase that says what differs between a loaded library (of ctypes) and this package; None if nothing does."""
    try:
        version, sources = library.carousel_version().decode(), library.carousel_sources().decode()
    except AttributeError:
        return "it is of a version that does not say what it was built from"
    if version != __version__:
        return f"it is of version {version}, and the package is of version {__version__}"
    if differing := _differing_op(library):
        return differing
    if (here := digest(SOURCES)) is not None and here != sources:
        return f"the sources in {SOURCES} were changed after it was built"
    return None


def advice() -> str:
    """The command that builds a library for this package."""
    if SOURCES.is_dir():
        return f"build it again: pip install -e {SOURCES.parent.parent}"
    return "install it again: pip install --force-reinstall --no-deps carousel-rnn"


def digest(folder: Path) -> str | None:
    """The digest of the library's sources, as CMakeLists.txt computes it; None without sources."""
    files = sorted(file for file in folder.glob("*") if file.suffix in (".h", ".cpp"))
    listing = "".join(f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}\n" for file in files)
    return hashlib.sha256(listing.encode()).hexdigest() if files else None


def _differing_op(library: Any) -> str | None:
    arity = OWN | {name: ops.TABLE[name].arity for name in POINTWISE if name in ops.TABLE}
    for number in count():
        found = library.carousel_op_name(0, number)
        name = POINTWISE[number] if number < len(POINTWISE) else None
        if (found and found.decode()) != name:
            return f"its op number {number} is {found.decode() if found else 'missing'}, and the package's is {name}"
        if name is None:
            return None
        if (numbers := library.carousel_op_arity(0, number)) != arity[name]:
            return f"its op {name} takes {numbers} arguments, and the package's takes {arity[name]}"
    return None
