"""Reading values out of the steps of a scan."""

from __future__ import annotations

from types import TracebackType

from torch import Tensor

from carousel.program import Interface, Program
from carousel.program.rewrite import recordable, stands_for


class Recording(dict[str, Tensor]):
    """What `layer.record(...)` gives: after each call of the layer inside its `with`, the values by name.

    Each is (L * D, T, B, H), its first axis in the order of hx's, the others as the input is laid out;
    (L * D, rows, H) for a PackedSequence.
    """

    def __init__(self, names: tuple[str, ...], active: list[Recording]):
        super().__init__()
        self.names, self.active = names, active

    def __enter__(self) -> Recording:
        self.active.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # By identity: recordings are dicts, and equal ones are two.
        self.active[:] = [recording for recording in self.active if recording is not self]


def check_names(layer: str, program: Interface, names: tuple[str, ...]) -> None:
    """Raises ValueError for a name that no value of a step has."""
    if not isinstance(program, Program):
        raise ValueError(f"{layer}: recording reads a cell's program, and this cell's step runs as plain Python")
    for name in names:
        if stands_for(program, name) is None:
            raise ValueError(
                f"{layer}: there is nothing called {name!r} to record in {program.cell}; "
                f"there is {', '.join(sorted(recordable(program)))}"
            )
