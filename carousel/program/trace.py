"""From a cell's step to a program: run `step` once on symbols, and write down what it did."""

from __future__ import annotations

import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Hashable
from types import CodeType, FrameType
from typing import Any

import torch
from torch import fx

from carousel.cells.cell import Cell, names
from carousel.errors import ProgramError
from carousel.program import expansions, ops
from carousel.program.builder import Builder, Ref, prune
from carousel.program.declaration import Declaration, title
from carousel.program.program import Program
from carousel.program.reads import Reads
from carousel.program.sharing import LOCK
from carousel.program.verify import finished, problem_of


def trace(cell: Cell, bias: bool = True) -> Program:
    """The program of a cell's step, for a layer with or without biases.

    Raises ProgramError if the declaration contradicts itself, or if step does something outside the alphabet; the
    message names the op and the line of the equation.
    """
    return trace_and_watch(cell, bias)[0]


def trace_and_watch(cell: Cell, bias: bool) -> tuple[Program, Reads]:
    """The program, and what it was read from: as long as that does not change, it is the cell's program.

    Equal cells are not traced again. Where they are, programs that say the same are one (see `verify.finished`).
    """
    try:
        # 1 and 1.0, or 0.0 and -0.0, are equal, and not the same number.
        options = tuple((n, type(v), v, repr(v) if isinstance(v, float) else "") for n, v in vars(cell).items())
        key = type(cell), cell, options, bias
        hash(key)
    except TypeError:
        return _trace(cell, bias), Reads(cell)
    with LOCK:
        if (found := _traced.get(key)) is not None and not found[1].changed(found[1].cell):
            program, reads = found
            return program, reads if reads.cell is cell else Reads(cell)
        program = _trace(cell, bias)
        found = _traced[key] = program, Reads(cell)
        while len(_traced) > TRACED_AT_MOST:
            del _traced[next(iter(_traced))]
        return found


# Of equal cells: their program, and what that of the first was read from.
_traced: dict[Hashable, tuple[Program, Reads]] = {}
TRACED_AT_MOST = 256


def _trace(cell: Cell, bias: bool) -> Program:
    declaration = Declaration(cell, bias)
    builder = Builder(declaration.weights)
    tracer = _StepTracer(cell)
    symbols = _Symbols(tracer, declaration, builder)
    arguments = declaration.arguments(symbols)
    with_symbols = declaration.with_symbols(symbols)
    tracer.own = {id(value): getattr(with_symbols, name) for name, value in declaration.own.items()}
    try:
        # So that what is computed from a parameter that is no symbol can be told from a number.
        with torch.inference_mode(False), torch.enable_grad():
            results = with_symbols.step(**arguments)
    except fx.proxy.TraceError as error:
        if tracer.asked_shape():
            raise tracer.refuse("a decision on the shape of a row") from None
        raise tracer.refuse(f"a decision on the values of a row ({error})") from None
    except ProgramError:
        raise
    except Exception as error:  # of numpy or math, which know no symbols; of the author's own
        raise tracer.refuse(f"what raised {type(error).__name__} ({error})", line=tracer.line_of(error)) from error
    returned = declaration.returned(results)
    tracer.look_at_names()
    states = names(cell.states)
    _translate(tracer, builder, symbols)
    outputs = {}
    for state, result in zip(states, returned, strict=True):
        if not isinstance(result, fx.Proxy):
            raise ProgramError(f"{title(cell)} must return a row for the state {state}, but returned {result!r}")
        outputs[state] = symbols.node_of[result.node]
        builder.call(outputs[state], state)
    nodes, results = prune(builder.nodes, outputs)
    program = Program(**declaration.interface(), nodes=nodes, outputs=results)
    declaration.check_used(program)
    for index, node in enumerate(program.nodes):
        if problem := problem_of(program, index):
            raise tracer.refuse(f"{node.op}, of which {problem},", line=node.line)
    return finished(program)


class _StepTracer(fx.Tracer):
    """Writes down each op with the line of step it was called from, and the names step gives to values."""

    def __init__(self, cell: Cell):
        super().__init__()
        self.graph = fx.Graph()
        self.root = torch.nn.Module()
        self.cell = cell
        self.step = inspect.unwrap(cell.step)
        self.code: CodeType = self.step.__code__
        self.lines: dict[fx.Node, int] = {}
        self.named: dict[fx.Node, str] = {}
        self.named_by_helpers: dict[fx.Node, str] = {}
        self.line = 0
        self.locals: dict[str, Any] = {}
        self.own: dict[int, fx.Proxy] = {}

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        above: list[FrameType] = []  # step's own frame, and those of functions of the author's that it called
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code is not self.code:
            above.append(frame)
            frame = frame.f_back
        if frame is not None:
            self.line, self.locals = frame.f_lineno, dict(frame.f_locals)
            self.look_at_names()
            for helper in filter(_is_the_authors, above):
                _look_at(dict(helper.f_locals), self.named_by_helpers)
        node = super().create_node(*args, **kwargs)
        self.lines[node] = self.line
        return node

    def create_arg(self, value: Any) -> Any:
        """A tensor of no dimensions is the number it holds; any other would have a size that the equations lack."""
        if isinstance(value, torch.Tensor):
            if id(value) in self.own:
                return self.own[id(value)].node
            if value.dim() == 0 and not value.requires_grad:
                return value.item()
            if value.numel() == 1:
                raise self.refuse(
                    f"a tensor of shape {tuple(value.shape)} that "
                    + ("is to be learned" if value.requires_grad else "has more dimensions than a number")
                    + " (write a learned number as an attribute of the cell, self.alpha = "
                    "nn.Parameter(torch.tensor(0.3)), and read it from there in step)"
                )
            raise self.refuse(f"a tensor of shape {tuple(value.shape)} that is no gate, state, Vector or matrix")
        return super().create_arg(value)

    def look_at_names(self) -> None:
        _look_at(self.locals, self.named)

    def asked_shape(self) -> bool:
        return any(node.target is getattr and node.args[1] in ("shape", "ndim") for node in self.graph.nodes) or any(
            node.op == "call_method" and node.target in ("size", "dim", "numel") for node in self.graph.nodes
        )

    def line_of(self, error: Exception) -> int:
        """The line of step that an exception went through."""
        frames = traceback.walk_tb(error.__traceback__)
        return next((number for frame, number in frames if frame.f_code is self.code), 0)

    def refuse(self, what: str, node: fx.Node | None = None, line: int = 0) -> ProgramError:
        """The error for something outside the alphabet: what, where, and the way out."""
        number = line or (self.lines.get(node, self.line) if node is not None else self.line)
        file = self.code.co_filename
        text = linecache.getline(file, number).strip()
        return ProgramError(
            f"tracing {title(self.cell)}: {what} is outside the alphabet of programs.\n"
            f"  {file}:{number}\n    {text}\n"
            "Write it with the ops listed in carousel.program.ops, or run this cell as plain torch, slower, "
            'by building the layer with engine="reference".'
        )


def _look_at(bound: dict[str, Any], named: dict[fx.Node, str]) -> None:
    for name, value in bound.items():
        if isinstance(value, fx.Proxy):
            named.setdefault(value.node, name)


def _is_the_authors(frame: FrameType) -> bool:
    """Whether names bound in this frame are names the author gave: not torch's, ours, or a comprehension's."""
    module = frame.f_globals.get("__name__", "")
    return not (module.startswith(("torch.", "carousel.program.")) or frame.f_code.co_name.startswith("<"))


class _Symbols:
    """The symbols that step receives, and which node of the program each one is."""

    def __init__(self, tracer: _StepTracer, declaration: Declaration, builder: Builder):
        self.tracer, self.declaration, self.builder = tracer, declaration, builder
        self.node_of: dict[fx.Node, Ref] = {}

    def leaf(self, op: str, attr: Any, size: str = "hidden") -> fx.Proxy:
        text = "_".join(attr) if isinstance(attr, tuple) else attr
        return self._symbol(self.builder.leaf(op, attr, size, name=text), text)

    def gate(self, gate: str, state: str) -> fx.Proxy:
        """W x + b + U h + c, as one value."""
        b = self.builder
        fed = b.leaf("state", state, self.declaration.cell.size_of(state), name=state)
        return self._symbol(b.op("add", b.leaf("input", gate, name=gate), b.product(f"U_{gate}", fed)), gate)

    def product(self, weight: str) -> Callable[[fx.Proxy], fx.Proxy]:
        def product(row: fx.Proxy) -> fx.Proxy:
            if not isinstance(row, fx.Proxy):
                raise self.tracer.refuse(f"{weight}({row!r}), of something that is not a row,")
            return self.tracer.create_proxy("call_function", product, (row,), {})

        product.carousel_weight = weight  # type: ignore[attr-defined]
        return product

    def _symbol(self, index: Ref, text: str) -> fx.Proxy:
        proxy = self.tracer.create_proxy("placeholder", text, (), {})
        self.node_of[proxy.node] = index
        return proxy


def _translate(tracer: _StepTracer, builder: Builder, symbols: _Symbols) -> None:
    """Enters every op that step called into the builder."""
    node_of = symbols.node_of
    called: dict[str, Ref] = {}

    def argument(value: Any) -> Any:
        return node_of[value] if isinstance(value, fx.Node) else value

    for node in tracer.graph.nodes:
        if node.op == "placeholder":
            continue
        builder.line = tracer.lines[node]
        target = node.target
        try:
            if weight := getattr(target, "carousel_weight", None):
                node_of[node] = builder.product(weight, node_of[node.args[0]])
            elif target in ops.WRITABLE and not node.kwargs:
                node_of[node] = builder.op(ops.WRITABLE[target], *map(argument, node.args))
            elif target in expansions.TABLE:
                args = map(argument, node.args)
                kwargs = {key: argument(value) for key, value in node.kwargs.items()}
                node_of[node] = expansions.TABLE[target](builder, *args, **kwargs)
            else:
                raise tracer.refuse(f"{_spelling(node)}", node)
        except ProgramError as error:
            if "outside the alphabet" in str(error):
                raise
            raise tracer.refuse(str(error), node) from None
        if node in tracer.named:
            called[tracer.named[node]] = node_of[node]
        elif node in tracer.named_by_helpers:
            builder.call(node_of[node], tracer.named_by_helpers[node])
    # A name that step gave twice (f = ...; f = sigmoid(f)) is what it meant in the end.
    for name, index in called.items():
        builder.call(index, name)


def _spelling(node: fx.Node) -> str:
    if node.target is getattr:
        return f"the attribute {node.args[1]!r} of a row"
    if node.op == "call_method":
        return f"Tensor.{node.target}"
    if isinstance(node.target, str):
        return f"{node.op} {node.target}"
    if getattr(torch, getattr(node.target, "__name__", ""), None) is node.target:
        return f"torch.{node.target.__name__}"  # torch calls the class it is a method of its module
    return torch.typename(node.target)
