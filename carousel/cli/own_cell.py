"""The options for a run whose cell is in a Python file, by which a user allows this file to run."""

from dataclasses import dataclass
from typing import Annotated, Any

from cyclopts import Group, Parameter


@Parameter(name="*", group=Group("A cell of your own", sort_key=9))
@dataclass(frozen=True)
class OwnCell:
    """What a user says of the file with the cell of a run. Every command that opens a run has these options.

    Parameters
    ----------
    cell
        Of a run that was trained with a cell in a file: that file again, as path/to/file.py:ClassName. It is run as
        Python; a run by itself never says which code is run.
    trust_cell
        Or: run the file that the run names.
    """

    cell: str | None = None
    trust_cell: Annotated[bool, Parameter(negative=())] = False

    @property
    def allowed(self) -> dict[str, Any]:
        """The arguments `cell` and `trust_cell`, as whatever opens a run takes them."""
        return {"cell": self.cell, "trust_cell": self.trust_cell}


NOT_ASKED = OwnCell()
