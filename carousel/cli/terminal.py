"""Text that a model wrote, on a terminal that may not know all its characters."""

import sys


def show(piece: str) -> None:
    """Write at once; characters that the terminal's encoding lacks become question marks."""
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(piece.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
