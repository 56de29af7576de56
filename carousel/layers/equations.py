"""The common base of layers: a cell and its program, which is traced again when the cell changes."""

from __future__ import annotations

import hashlib
import html
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from carousel import cells
from carousel.cells import Cell
from carousel.engines.inside_torch import same_at_every_call
from carousel.errors import ProgramError
from carousel.layers import saved_cells, structure
from carousel.program import Interface, Program, Reads, naming, notation, trace_and_watch, untraced
from carousel.program.declaration import own_parameters
from carousel.program.member_states import counts_of, has_members
from carousel.program.sharing import LOCK
from carousel.program.verify import finished


def as_cell(cell: Cell | type[Cell] | str) -> Cell:
    """A cell from an instance, a class or a name. Raises TypeError for anything else."""
    if isinstance(cell, str):
        return cells.find(cell)
    if isinstance(cell, type) and issubclass(cell, Cell):
        return cell()
    if not isinstance(cell, Cell):
        raise TypeError(f"cell must be a carousel.Cell, a class of one, or a name, got {type(cell).__name__}")
    return cell


class Equations(nn.Module):
    """A module with a cell. Its program always has the current equations of the cell.

    All that the trace of a cell reads is part of the cell: its attributes, those of objects in them, globals and
    closures. After a change of any of these, the next call runs the new equations; see `carousel.Cell`.
    """

    cell: Cell
    hidden_size: int
    bias: bool
    engine: str
    units: dict[str, int] | None = None  # as given
    _program: Interface
    _why_untraced: str
    _reads: Reads | None

    def _take(self, cell: Cell | type[Cell] | str, bias: bool, engine: str) -> None:
        """Sets the cell, its program and its engine."""
        self.cell, self.bias, self.engine = as_cell(cell), bias, engine
        self._program, self._why_untraced, self._reads = _read(self.cell, bias, engine, self.units)
        self._check_children()
        self._own_of_cell = own_parameters(self.cell)
        self._derive()

    def _check_children(self) -> None:
        """Raises ValueError for a cell of trees. A layer that runs over trees has another."""
        if (children := self._program.children) is not None:
            raise ValueError(
                f"{type(self).__name__}: the cell {self._program.cell} continues {children} children of a node, and a "
                "step of a sequence continues one step before it; run it over trees, with carousel.Recursive"
            )

    @property
    def program(self) -> Interface:
        """The cell's program.

        With engine="reference", a cell outside the alphabet has its step as plain Python here.
        """
        self._follow()
        return self._program

    @program.setter
    def program(self, program: Interface) -> None:
        """Sets a program, which then no longer follows the cell."""
        self._program, self._reads = program, None

    @property
    def why_untraced(self) -> str:
        """The reason why the cell has no program, or ""."""
        return self._why_untraced

    def _repr_html_(self) -> str:
        """For notebooks: the layer and its equations, or the reason why it has none."""
        program = self.program
        written = str(program) if isinstance(program, Program) else f"plain Python: {self.why_untraced}"
        return f"<pre>{html.escape(repr(self))}\n\n{html.escape(written)}</pre>"

    def weights_of(self, suffix: str = "") -> dict[str, Tensor]:
        """The parameters of one scan, for engines. suffix: that of a layer and direction, such as "_l0_reverse"."""
        names = (name for name in self._program.parameters if name not in self._program.own)
        weights: dict[str, Tensor] = {name: getattr(self, name + suffix) for name in names}
        return self.whole(weights) | self.own_weights(weights[naming.W].dtype)

    def whole(self, weights: dict[str, Tensor]) -> dict[str, Tensor]:
        """The weights of one scan as engines take them, from those that the layer stores."""
        return structure.whole(self, self._program, weights)

    def own_weights(self, dtype: torch.dtype) -> dict[str, Tensor]:
        """The cell's own parameters, for engines: each as a row, which repeats a single number.

        They are converted to the dtype of the weights, because layers of other dtypes may share the cell.
        """
        holder = self.cell if isinstance(self.cell, nn.Module) else self
        found: dict[str, Tensor] = {name: getattr(holder, name).to(dtype) for name in self._program.own}
        if not isinstance(self._program, Program):
            return found
        numbers = [name for name, kind in self._program.own.items() if kind == "number"]
        return found | {name: found[name].reshape(1).expand(self.hidden_size) for name in numbers}

    def _register_own(self) -> None:
        """Registers the cell's own parameters in the layer, the same objects, in the layer's dtype and on its device.

        If the cell is a submodule, they are registered already. Raises ValueError for a row of the wrong length, and
        ProgramError for a name that something else has.
        """
        like = next(self.parameters())
        for name, parameter in own_parameters(self.cell).items():
            if self._program.own[name] == "row" and parameter.shape != (self.hidden_size,):
                raise ValueError(
                    f"{type(self).__name__}: the parameter {name!r} of the cell {self._program.cell} has "
                    f"{parameter.numel()} numbers, where one or hidden_size={self.hidden_size} would fit; "
                    f"vectors = {name!r} declares one that every layer makes for itself, of its own size"
                )
            if like.is_meta and not parameter.is_meta:
                parameter = nn.Parameter(torch.empty_like(parameter, dtype=like.dtype, device="meta"))
            elif (parameter.dtype, parameter.device) != (like.dtype, like.device):
                parameter.data = parameter.data.to(like.device, like.dtype)
            if not isinstance(self.cell, nn.Module):
                naming.check_free(self._program.cell, type(self), [name], vars(self) | self._parameters)
                self.register_parameter(name, parameter)

    def _derive(self) -> None:
        """Computes the attributes that follow from the program, which are neither copied nor saved.

        Subclasses add some.
        """

    # Attributes that follow from the cell's program, or belong to calls that are running.
    _derived: tuple[str, ...] = ("_program", "_why_untraced", "_reads", "_own_of_cell")

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: the arguments, the weights, the cell, and the fingerprint of its equations."""
        state = {name: value for name, value in vars(self).items() if name not in self._derived}
        if "cell" in state:
            state["cell"] = saved_cells.saved(self.cell)
        if self._reads is None:  # the program follows no cell
            return state | {"_program": self._program, "_why_untraced": self._why_untraced, "_reads": None}
        return state | {"_equations": fingerprint(self.program)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Raises ValueError if the cell now needs other parameters. Warns if it now has other equations."""
        state = dict(state)
        was = state.pop("_equations", None)
        if "cell" in state:
            state["cell"] = saved_cells.loaded(state["cell"])
        super().__setstate__(state)
        if "_reads" not in state:
            self._program, self._why_untraced, self._reads = _read(self.cell, self.bias, self.engine, self.units)
        self._own_of_cell = own_parameters(self.cell)
        self._derive()
        if was in (None, fingerprint(self._program)):
            return
        name = f"{type(self).__name__}: the equations of its cell {self._program.cell}"
        wanted, there = (
            self.shapes(),
            {n: tuple(p.shape) for n, p in {**self._parameters, **self._buffers}.items() if p is not None},
        )
        if wanted != there:
            other = next(iter(sorted(wanted.items() ^ there.items())))[0]
            raise ValueError(
                f"{name} are not those that the layer was saved with, and need other parameters: {other} was "
                f"{there.get(other, 'not there')} and would be {wanted.get(other, 'none')}; load it where the cell is "
                "as it was, or build a new layer"
            )
        warnings.warn(
            f"{name} are not those that the layer was saved with: its class, or something that it reads, was changed "
            "since. The layer runs the new equations with the weights that were learned by the old ones. To have the "
            "old ones back, load it where the cell is as it was; to keep the new ones, train it again and save it.",
            stacklevel=2,
        )

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """{name: shape} of the parameters, in torch.nn's order."""
        raise NotImplementedError

    @same_at_every_call
    def _follow(self) -> None:
        """Traces the cell again if it, or an object that its equations depend on, has changed.

        Raises ValueError if the new equations need other parameters. A compiled function keeps the equations of the
        time when it was compiled.
        """
        if self._reads is None or not self._reads.changed(self.cell):
            return
        with LOCK:
            program, why, reads = _read(self.cell, self.bias, self.engine, self.units)
            if (now := _needs(program)) != (before := _needs(self._program)):
                what = next(what for what in before if now[what] != before[what])
                raise ValueError(
                    f"{type(self).__name__}: its cell {program.cell} was changed after the layer was built, so that "
                    f"the parameters no longer fit: its {what} {before[what]} and are now {now[what]}; build a new "
                    "layer of this cell, or change it back"
                )
            own = own_parameters(self.cell)
            if other := [name for name in own if own[name] is not self._own_of_cell[name]]:
                raise ValueError(
                    f"{type(self).__name__}: the parameter {other[0]!r} of its cell {program.cell} is another than "
                    "when the layer was built, and the layer learns the first; write into that one, as in with "
                    f"torch.no_grad(): layer.{other[0]}.fill_(...), or build a new layer"
                )
            self._program, self._why_untraced, self._reads = program, why, reads


def _read(cell: Cell, bias: bool, engine: str, units: Mapping[str, int] | None) -> tuple[Interface, str, Reads]:
    """(program, "", reads) of a cell; for the reference engine perhaps (untraced step, the reason, reads).

    units: the numbers that a layer gives to sizes; those of members are part of a program.
    """
    try:
        program, reads = trace_and_watch(cell, bias)
        counts = counts_of(program, cell, units or {})
        return program if counts == program.counts else finished(replace(program, counts=counts)), "", reads
    except ProgramError as error:
        if engine != "reference" or cell.children is not None or has_members(cell):
            raise
        return untraced(cell, bias), str(error), Reads(cell)


def fingerprint(program: Interface) -> str:
    """A text that is equal for equal equations, in every process.

    For an untraced step it covers the declaration only.
    """
    if isinstance(program, Program):
        return hashlib.sha256(notation.write(program).encode()).hexdigest()
    return hashlib.sha256(repr(_needs(program)).encode()).hexdigest()


def _needs(program: Interface) -> dict[str, Any]:
    """The fields of a program that decide a layer's parameters."""
    return {
        "states were": program.states,
        "gates were": program.gates,
        "gates that read the input were": program.inputs,
        "gates that read the state were": program.recurrents,
        "children were": program.children,
        "parameters were": {name: " x ".join(shape) for name, shape in program.parameters.items()},
    }
