"""The equations that `print(program)` shows, in LaTeX, for a paper or a page."""

from __future__ import annotations

import re

from carousel.program.printing import Printer
from carousel.program.program import Program

SIGNS = {
    "⊙": r"\odot",
    "≥": r"\geq",
    "≤": r"\leq",
    "≠": r"\neq",
    "ᵀ": r"^{\top}",
    "∂": r"\partial ",
    "σ": r"\sigma",
    "Σ": r"\sum",
    "⌊": r"\lfloor ",
    "⌋": r"\rfloor ",
}
FUNCTIONS = ("tanh", "exp", "log", "max", "min", "sin", "cos", "arctan")
GREEK = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "mu", "nu", "phi", "tau")
_WORD = re.compile(r"[^\W\dᵀ][^\Wᵀ]*|[⊙≥≤≠ᵀ∂⌊⌋]")


def latex(program: Program) -> str:
    """The equations of a program, aligned at the equals signs. The text needs the package amsmath."""
    rows = Printer(program).rows()
    lines = [f"  {in_latex(name)} &= {in_latex(text)}" for name, _, text in rows]
    return "\\begin{aligned}\n" + " \\\\\n".join(lines) + "\n\\end{aligned}"


def in_latex(text: str) -> str:
    """Translates one side of a printed equation to LaTeX."""
    return _WORD.sub(lambda found: _word(found[0]), text)


def _word(word: str) -> str:
    if word in SIGNS:
        return SIGNS[word]
    if word in FUNCTIONS:
        return rf"\{word}"
    letter, _, index = word.partition("_")
    number = re.fullmatch(r"([^\W\d_]+)(\d+)", letter)
    if number and not index:  # t1, h3
        letter, index = number[1], number[2]
    base = rf"\{letter}" if letter in GREEK else letter if len(letter) == 1 else rf"\mathrm{{{letter}}}"
    return f"{base}_{{{_index(index)}}}" if index else base


def _index(index: str) -> str:
    plain = index.replace("_", ",")
    return rf"\{plain}" if plain in GREEK else plain if len(plain) <= 2 else rf"\mathrm{{{plain}}}"
