"""What a cell is: the names of its states, gates and weights, and one step written as equations."""

from __future__ import annotations

import html
import inspect
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from carousel.cells.facts import Fact
from carousel.cells.member_sizes import joined
from carousel.cells.weights import Matrix, Vector


class Cell:
    """The equations of one time step of a recurrent network. Subclass it, declare names, write `step`.

        class LightGRU(carousel.Cell):
            gates = "z", "n"

            def step(self, h, z, n):
                z = torch.sigmoid(z)
                return z * h + (1 - z) * torch.relu(n)

    A cell declares:

    - `states`: what it carries from step to step; the first is also its output. Default: ("h",).
    - `gates`: the affine maps of the input x and the first state h. Gate `f` is
      W_f x + b_f + U_f h + c_f; the W are rows of `weight_ih`, the U of `weight_hh`, in the order declared.
    - `fed`: the states that gates read, where it is not the first state alone: with `fed = ("h", "r")` gate `f` is
      W_f x + b_f + U_f h + c_f + U_f_r r, and U_f((v, w)) = U_f v + U_f_r w + c_f. The U_f_r are rows of `weight_rh`.
    - `inputs`: gates of the input alone, W_n x + b_n, and `recurrents`: gates of what is fed alone, U_u h + c_u.
      Their rows of `weight_ih`, or of `weight_hh`, come after those of `gates`, and there are no others. A cell has at
      least one gate that reads the input; where none reads the state, a layer has no `weight_hh`.
    - `vectors`: learned vectors, as names or as a mapping from name to `Vector`.
    - `matrices`: further learned matrices, from name to (rows, columns), each a size name, or to `Matrix`. The rows may
      be "one": the product is then one number.
    - `sizes`: the size name of a state where it is not "hidden". A layer knows "hidden" and "projection" (its
      `proj_size`); any other name is the cell's own. A pair ("slots", "width") is the size of a state with *members*,
      so many rows of so many units; ("slots", 1) of one with a number for each member. See below. "one" is the size of
      a state that is one number.
    - `context`: what a caller gives once for a whole sequence, from name to the size name of its units: a row for each
      position, of which sequences may have differing numbers. See below.
    - `units`: the numbers of the cell's own size names, where the layer's `units=` gives none.
    - `initial`: the value that a state begins with where it is not zero: a number, "learned", or a function of the
      number of units that returns a tensor of them.
    - `parts`: the parts of the input, in the order of its columns: names, equally wide, or a mapping from name to size
      name, "input" for those that are as wide as one another, "one", "hidden" or a name of the cell's own. Gates read
      the part that `reads` names, the first if nothing is said; `step` may ask for any part, a row, by its name.
    - `children`: in a cell of trees, how many children a node has at most, or "any"; see below.
    - `heads`: how many blocks each U has on its diagonal, one for each head; outside of them it is zero, and a layer
      stores the blocks alone, `weight_hh` (gates * hidden, hidden / heads).
    - `connections`: a function (rows, columns) that returns which numbers of each U count, a bool tensor.
    - `gate_bias`: False if the gates have no b and c of their own.
    - `facts`: what is true of it whatever its weights are; see `carousel.cells.facts`.

    `step` asks for what it needs by argument name and returns the new states, in order:

    - `c`: a state, (batch, size);
    - `f`: a gate, all of it; `x_f`: its input part W_f x + b_f alone; `U_f`: its recurrent map,
      to be called, U_f(v) = U_f v + c_f, and U_f.T(v), its transpose times v, without c_f; `x` and `U`: the tuples
      of all of these, `x.f` and `U.f` by name;
    - a vector, (hidden,); a matrix `W_ab`, to be called, W_ab(v) = W_ab v, or W_ab.T(v). The layer names it
      `weight_ab`, and a matrix `P` of another spelling `weight_P`.
    - an argument with a default keeps it when nothing of that name is declared.

    A cell with `children` runs over trees (`carousel.Recursive`): a step is that of one node, and goes on from its
    children. With `children = 2`, `h` is a tuple of a row for each child (zero, or the layer's initial state, where
    there is none), gate `f` is W_f x + b_f + U_f_0 h[0] + U_f_1 h[1] + c_f, and U_f((v, w)) = U_f_0 v + U_f_1 w + c_f.
    With `children = "any"`, `h` has *members*, a row for each child: what is computed of it has too, a row that meets
    it is the same for each child, and over the children (`dim=-2`) `h.sum(-2)`, `mean`, `amax`, `amin`, `softmax` and
    `logsumexp` make a row again; a gate `f` is W_f x + b_f + U_f h.sum(-2) + c_f.

    A state with a pair as its size is a memory: `M` with ("slots", "width") has members, a row for each slot. What was
    said of the members of `children = "any"` holds here: a row that meets them is the same for each, and sums, means,
    maxima and softmax over them have `dim=-2`. Besides, `w.mT` makes a row of members of one number each, members of a
    row, and transposes a square memory; `torch.roll(w, 1, -2)` hands each member's numbers to the next, the last one's
    to the first. A state of a pair must be returned as members. Outside of step it is one row of slots * width units,
    (batch, slots * width); a layer's `record` folds it, (..., slots, width). Contexts have members too, one for each
    position; they can be neither turned nor rolled, and no state has their members.

    No name stands for two things. A layer names parameters after these names, torch.nn's `weight_ih`, `weight_hh`,
    `bias_ih` and `bias_hh` first, and options of a scan add rows called `keep_h`, `add_h`, `zone_h` and `drop_h`: a
    cell that declares one of these, or the matrix W_hh, is refused with a ProgramError (`carousel.program.naming`).

    Inside, use torch's pointwise functions and operators, modules of torch.nn without parameters, and over the units
    (`dim=-1, keepdim=True`) sums, means, the highest, softmax or layer_norm; `carousel.program.spellings` lists all. A
    cell knows nothing of batches, time, devices, lengths or gradients; ordinary Python that does not look at values
    (loops, `if self.option`) is free.

    A cell may have parameters of its own: a number, or a row of one number per unit, as an attribute,
    `self.alpha = nn.Parameter(torch.tensor(0.3))`. Step reads it as `self.alpha`. It is one parameter, the same in all
    layers and directions of a stack, and in every layer that is built of this cell object; a layer registers it as
    `alpha`, moves, saves and learns it. What each layer and direction is to learn for itself is a vector.

    Everything that `step` reads is part of the cell: its attributes, those of objects in them, of its class, globals,
    closures, tensors of no dimensions. Their values are numbers in the equations. A layer runs the equations of its
    cell as it is now: after `layer.cell.dt = 0.5` the next call has the new ones, or raises ValueError if they would
    need other weights. Reading them anew takes some milliseconds. A function that torch.compile has compiled keeps the
    equations it was compiled with. A saved layer holds a fingerprint of its equations: where the class was changed
    meanwhile, loading warns and runs the new ones.
    """

    states: Sequence[str] = ("h",)
    inputs: Sequence[str] = ()
    recurrents: Sequence[str] = ()
    fed: Sequence[str] = ()
    parts: Sequence[str] | Mapping[str, str] = ()
    reads: str = ""
    heads: int = 1
    connections: Callable[[int, int], Tensor] | None = None
    gate_bias: bool = True

    # Properties here, so that a cell may declare them either as class attributes or from its own options.
    @property
    def children(self) -> int | str | None:
        return None

    @property
    def gates(self) -> Sequence[str]:
        if self.inputs or self.recurrents:
            return ()
        raise NotImplementedError(f"{type(self).__name__} must declare its gates, for example: gates = 'i', 'f'")

    @property
    def vectors(self) -> Mapping[str, Vector] | Sequence[str]:
        return ()

    @property
    def matrices(self) -> Mapping[str, Matrix | tuple[str, str]]:
        return {}

    @property
    def sizes(self) -> Mapping[str, str | tuple[str, str | int]]:
        return {}

    @property
    def context(self) -> Mapping[str, str]:
        return {}

    @property
    def units(self) -> Mapping[str, int]:
        return {}

    @property
    def initial(self) -> Mapping[str, float | str | Callable[[int], Tensor]]:
        return {}

    @property
    def facts(self) -> Sequence[Fact]:
        return ()

    @property
    def step(self) -> Any:  # each cell's step has the arguments that its own equations need
        raise NotImplementedError(f"{type(self).__name__} must define step, the equations of one time step")

    def vector_table(self) -> dict[str, Vector]:
        """`vectors` as a mapping, whichever way they were declared."""
        if isinstance(self.vectors, Mapping):
            return dict(self.vectors)
        return {name: Vector() for name in names(self.vectors)}

    def part_table(self) -> dict[str, str]:
        """`parts` as a mapping from name to size name, whichever way they were declared."""
        return dict(self.parts) if isinstance(self.parts, Mapping) else dict.fromkeys(names(self.parts), "input")

    def matrix_table(self) -> dict[str, Matrix]:
        """`matrices` with every shape as a `Matrix`; what is no shape stays as it was declared."""
        found: dict[str, Any] = {}
        for name, shape in self.matrices.items():
            found[name] = shape
            if isinstance(shape, tuple | list) and len(shape) == 2:
                rows, columns = shape
                found[name] = Matrix(rows, columns)
        return found

    def size_of(self, state: str) -> str:
        """The size name of a state: "hidden" unless `sizes` says otherwise; "slots*width" for a pair."""
        size: str = joined(self.sizes.get(state, "hidden"))
        return size

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def _repr_html_(self) -> str | None:
        """In a notebook: its equations, as their author wrote them; a layer shows those that are made of its cell."""
        try:
            written = inspect.getsource(type(self).step)
        except (OSError, TypeError):
            return None  # no file has them: its name is shown instead
        return f"<pre>{html.escape(repr(self))}\n\n{html.escape(textwrap.dedent(written))}</pre>"


def names(declared: Sequence[str]) -> tuple[str, ...]:
    """Declared names as a tuple; a single name may stand without a comma, as in `gates = "n"`."""
    return (declared,) if isinstance(declared, str) else tuple(declared)
