"""carousel cells"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

if TYPE_CHECKING:
    from carousel.cells.description import Description


def cells(
    name: str | None = None,
    /,
    *,
    latex: Annotated[bool, Parameter(negative=())] = False,
    picture: Path | None = None,
) -> None:
    """List the cells of the catalogue, or show one: its equations, facts, cost and source.

    For example:

    ```
    carousel cells
    carousel cells mgu
    carousel cells mgu --latex
    carousel cells mgu --picture mgu.svg
    ```

    Parameters
    ----------
    name
        A cell of the catalogue, or one of your own as path/to/file.py:ClassName (the file is run as Python).
    latex
        Print the equations of one step in LaTeX, and nothing else.
    picture
        A file for a drawing of one step, with gates as boxes and states as lines: .svg, .png or .pdf.
    """
    from carousel.cells import catalogue, find
    from carousel.cells.description import describe
    from carousel.cli.terminal import show
    from carousel.errors import DataError
    from carousel.program import trace
    from carousel.program.latex import latex as in_latex

    if name is None:
        if latex:
            raise DataError("--latex prints the equations of one cell: name it, as in carousel cells lstm --latex")
        if picture is not None:
            raise DataError(f"--picture draws one cell: name it, as in carousel cells lstm --picture {picture}")
        show(_listed([describe(each, cell) for each, cell in catalogue().items()]))
        return
    cell = find(name)
    if picture is not None:
        _draw(cell, picture)
    show(f"{in_latex(trace(cell))}\n" if latex else _shown(describe(name, cell)))
    if picture is not None:
        show(f"\n{picture}\n")


def _draw(cell: Any, picture: Path) -> None:
    """Writes the drawing of one step: SVG as text of our own, which is smaller and takes a page's colours."""
    from carousel.files import write_atomically
    from carousel.insight.figures import cell_svg, draw_cell
    from carousel.insight.saving import PICTURES, save
    from carousel.tasks.files import require_writable

    require_writable(picture, PICTURES)
    if picture.suffix.lower() == ".svg":
        write_atomically(picture, cell_svg(cell).encode())
    else:
        save(draw_cell(cell), picture)


def _listed(found: "list[Description]") -> str:
    """A table of cells, grouped by family."""
    from rich.table import Table

    from carousel.program import trace
    from carousel.program.cost import multiply_adds, parameters

    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    for column in ("cell", "year", "states", "parameters", "multiply-adds", "engines", "source"):
        table.add_column(
            column, no_wrap=column not in ("states", "source"), max_width=12 if column == "states" else None
        )
    for family in dict.fromkeys(each.family for each in found):
        table.add_row()
        table.add_row(family.partition(":")[0].rstrip("."))
        for each in (each for each in found if each.family == family):
            program = trace(each.cell)
            cost = [str(parameters(program)), str(multiply_adds(program))]
            states = ", ".join(program.states)
            table.add_row(f"  {each.name}", str(each.year), states, *cost, _engines(program), each.authors)
    return (
        f"{_as_text(table)}\nParameters and multiply-adds are those of one hidden unit, in a layer and direction with\n"
        "I inputs, H hidden units and P projected, or of a size of the cell's own. Equations, facts and\n"
        "source of one: carousel cells NAME\n"
    )


def _shown(found: "Description") -> str:
    """The page of one cell: equations, facts, cost and source."""
    from carousel.program import trace
    from carousel.program.cost import multiply_adds, parameters

    program = trace(found.cell)
    blocks = [f"{found.name}: {found.title}"]
    blocks += [_indented(found.equations)] if found.equations else []
    blocks += [found.options] if found.options else []
    if found.facts:
        blocks.append("Whatever the weights are:\n" + _indented("\n".join(map(str, found.facts))))
    said = [("Use", found.use), ("Reading", found.reading), ("Fidelity", found.fidelity), ("Source", found.source)]
    said += [("Family", found.family)] if found.family else []
    said += [
        ("Cost", f"{parameters(program)} parameters and {multiply_adds(program)} multiply-adds for each hidden unit"),
        ("Engines", _engines(program)),
    ]
    blocks.append("\n".join(_wrapped(f"{word + ':':<10}{text}") for word, text in said if text))
    blocks.append(_example(found, program))
    return "\n\n".join(blocks) + "\n"


def _example(found: "Description", program: Any) -> str:
    sizes = [*program.states.values(), *(s for w in program.weights.values() for s in (w.rows, w.columns))]
    projected = ", proj_size=32" if "projection" in sizes else ""
    states = tuple(program.states)
    of_parts = {"input": 64, "hidden": 128, "one": 1}
    width = sum(of_parts[size] for size in program.parts.values()) or 64
    hx = f"({', '.join(states)})" if len(states) > 1 else states[0]
    if program.children is not None:
        return "For example:\n" + _indented(
            f'layer = carousel.Recursive("{found.name}", 64, 128)\n'
            'trees = carousel.Trees.from_brackets("(3 (2 It) (4 works))")\n'
            f"output, {hx} = layer(torch.randn(2, 64), trees, at=trees.leaves)"
        )
    units = ", ".join(f'"{size}": {number}' for size, number in found.cell.units.items()) if program.counts else ""
    own = f", units={{{units}}}" if units else ""
    positions = "".join(f", torch.randn(50, 32, {found.cell.units.get(s, 128)})" for s in program.context.values())
    context = f", context={positions.removeprefix(', ')}" if len(program.context) == 1 else ""
    lines = [
        f'layer = carousel.Recurrent("{found.name}", {width}, 128{projected}{own})',
        f"output, {hx} = layer(torch.randn(100, 32, {width}){context})",
    ]
    if not (projected or len(program.parts) > 1 or program.context):
        lines += ["", f"$ carousel train my.txt --cell {found.name}"]
    return "For example:\n" + _indented("\n".join(lines))


def _engines(program: Any) -> str:
    """The names of the engines on this machine that run the program in float32."""
    import torch

    from carousel.engines import ENGINES

    here = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    places = {torch.device("cpu"), here}
    runs = [
        name
        for name, engine in ENGINES.items()
        if any(engine.why_not(program, torch.float32, place) is None for place in places)
    ]
    return ", ".join(runs)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def _wrapped(text: str) -> str:
    from textwrap import fill

    from carousel.training.terminal import page_width

    return fill(text, page_width(), subsequent_indent=" " * 10)


def _as_text(table: Any) -> str:
    """The text that rich draws, for a terminal of its width or for a file."""
    from io import StringIO

    from rich.console import Console

    from carousel.training.terminal import page_width

    lines = StringIO()
    Console(file=lines, width=page_width()).print(table)
    return "\n".join(line.rstrip() for line in lines.getvalue().splitlines()) + "\n"
