"""The drawing of a cell: its program as boxes and lines, as lecture notes draw an LSTM.

`parts` reads a program and says what is drawn; `placing` gives each part its place; `routing` finds the ways of the
lines; `drawing` joins them; `svg` writes the result, and `insight.figures.cells` draws it with matplotlib.
"""

from carousel.insight.drawing.drawing import Drawing, drawing_of

__all__ = ["Drawing", "drawing_of"]
