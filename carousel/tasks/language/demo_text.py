"""A text that every Python brings along, to show what training does before one has a text at hand."""

import platform
from pathlib import Path


def write_demo_text(folder: Path) -> tuple[Path, str]:
    """Write Python's help topics (about half a million characters) to a file in `folder`.

    Returns the file and a line that says what it is. The text differs from one Python to the next, so losses on
    it are comparable only within one.
    """
    from pydoc_data.topics import topics

    file = folder / "python-help.txt"
    file.write_text("\n\n".join(topics[name] for name in sorted(topics)), encoding="utf-8", newline="\n")
    return file, f"the help topics of Python {platform.python_version()}, a text built into every Python"
