"""Text that a model wrote, on a terminal that may not know all its characters."""

import sys


def show(piece: str) -> None:
    """Write at once. Characters that the output's encoding lacks become question marks; control characters, which
    a terminal would obey, become dots there."""
    from carousel.training.progress import printable

    if sys.stdout.isatty():
        piece = printable(piece)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(piece.encode(encoding, "replace").decode(encoding))
    sys.stdout.flush()
