"""The place of each part: gates in a row at the bottom, states on lines at the top, ops between them.

Places are columns and rows, rows counted upwards. What gates read together, the input and the output state, joins at
the left and runs under them, as [x, h] does in lecture notes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from carousel.insight.drawing.parts import Parts, Piece

BUS, GATES, FIRST = 0, 1, 2  # rows of the joined input and of the gates; the first column of gates


@dataclass(frozen=True)
class Placed:
    """Parts with their places. parts: those of the cell, then joins and the ports where new states leave.

    at: the (column, row) of each part. lines: the parts that lie on the line of a state, by state.
    """

    cell: str
    parts: tuple[Piece, ...]
    at: tuple[tuple[int, int], ...]
    lines: dict[str, tuple[int, ...]]


def place(drawn: Parts) -> Placed:
    """Gives each part of a cell its place."""
    parts, join = _joined(drawn)
    middle = sum(part.kind == "op" for part in parts) - sum(len(line) - 1 for line in drawn.lines.values())
    top = GATES + 1 + min(4, max(1, -(-middle // 4)))
    rows = {state: top + k for k, state in enumerate(sorted(drawn.lines, key=lambda s: s == next(iter(drawn.lines))))}
    on_line = {index: rows[state] for state, line in drawn.lines.items() for index in line}
    board = _Board(parts, on_line, top)
    for index, part in enumerate(parts):
        if part.kind in ("gate", "op"):
            board.put(index, part)
    below = BUS
    for index, part in enumerate(parts):
        if part.kind == "port" and part.state is not None:
            board.at[index] = (0, on_line.get(index, below))
            below -= index not in on_line
    at_x = min(BUS - 1, below)
    for index, part in enumerate(parts):
        if part.kind == "port" and part.state is None:
            readers = [k for k, one in enumerate(parts) if index in one.sources and k in board.at]
            column = 1 if index in parts[join].sources or not readers else min(board.at[k][0] for k in readers)
            while (column, at_x) in board.at.values():
                column += 1
            board.at[index] = (column, at_x)
    board.at[join] = (1, BUS)
    last = max(column for column, _ in board.at.values()) + 1
    below, ends = BUS, dict(drawn.lines)
    for state, made in drawn.outputs.items():
        parts.append(Piece("end", state, sources=(made,), state=state))
        board.at[len(parts) - 1] = (last, rows.get(state, below))
        below -= state not in rows
        if state in ends:
            ends[state] = (*ends[state], len(parts) - 1)
    return Placed(drawn.cell, tuple(parts), tuple(board.at[k] for k in range(len(parts))), ends)


def _joined(drawn: Parts) -> tuple[list[Piece], int]:
    """The parts with a join at the end, which stands for the input and the state that most gates read together."""
    x = next((k for k, part in enumerate(drawn.parts) if part.kind == "port" and part.label == "x"), None)
    pairs = [
        state
        for part in drawn.parts
        if part.kind == "gate" and x in part.sources
        for state in part.sources
        if drawn.parts[state].state is not None
    ]
    join = len(drawn.parts)
    if not pairs:
        return [*drawn.parts, Piece("join", "")], join
    assert x is not None  # a pair has both
    both = {x, max(set(pairs), key=lambda state: (pairs.count(state), -state))}

    def joined(part: Piece) -> Piece:
        if part.kind != "gate" or not both <= set(part.sources):
            return part
        return replace(part, sources=(join, *(s for s in part.sources if s not in both)))

    return [*map(joined, drawn.parts), Piece("join", "", sources=tuple(sorted(both, key=lambda k: k == x)))], join


class _Board:
    """Columns and rows, each place taken once."""

    def __init__(self, parts: list[Piece], on_line: dict[int, int], top: int):
        self.parts, self.on_line, self.top = parts, on_line, top
        self.at: dict[int, tuple[int, int]] = {}

    def put(self, index: int, part: Piece) -> None:
        sources = [self.at[s] for s in part.sources if s in self.at]
        column = max((c for c, _ in sources), default=FIRST)
        if part.kind == "gate":
            last = max((c for c, row in self.at.values() if row == GATES), default=FIRST - 1)
            self.at[index] = (max(last, *(c for c, _ in sources), 0) + 1 if sources else last + 1, GATES)
        elif index in self.on_line:
            row = self.on_line[index]
            before = max((c for c, r in self.at.values() if r == row), default=FIRST - 1)
            self.at[index] = (max(column, before + 1), row)
        else:
            self.at[index] = self._free(column, sum(row for _, row in sources) / max(1, len(sources)))

    def _free(self, column: int, height: float) -> tuple[int, int]:
        """The free place nearest to a height, in this column or the next that has one; the gates' row comes last."""
        while True:
            rows = sorted(range(GATES, self.top), key=lambda row: (row == GATES, abs(row - height), row))
            for row in rows:
                if (column, row) not in self.at.values():
                    return column, row
            column += 1
