"""Properties of a text, one number for each of its characters: what a unit may turn out to follow."""

from __future__ import annotations

import numpy as np

__all__ = ["bracket_depth", "inside_quotes", "position_in_line", "position_in_word"]

OPENING, CLOSING = "([{", ")]}"


def inside_quotes(text: str) -> np.ndarray:
    """bool: from an opening quotation mark to its closing one, both included. Marks are ", and the pair “ and ”.

    A blank line ends a quotation that was never closed. Apostrophes are no quotation marks.
    """
    found = np.zeros(len(text), bool)
    inside = False
    for index, character in enumerate(text):
        if character in '"“”':
            found[index] = True
            inside = character == "“" or (character == '"' and not inside)
        elif character == "\n" and text[index - 1 : index] == "\n":
            inside = False
        else:
            found[index] = inside
    return found


def position_in_line(text: str) -> np.ndarray:
    """How many characters stand before this one in its line; the line break belongs to the line that it ends."""
    found = np.zeros(len(text), np.int64)
    begin = 0
    for index, character in enumerate(text):
        found[index] = index - begin
        if character == "\n":
            begin = index + 1
    return found


def position_in_word(text: str) -> np.ndarray:
    """How many letters, digits and apostrophes stand before this one without a gap; 0 for other characters."""
    found = np.zeros(len(text), np.int64)
    length = 0
    for index, character in enumerate(text):
        inside = character.isalnum() or character in "'’"
        found[index] = length if inside else 0
        length = length + 1 if inside else 0
    return found


def bracket_depth(text: str) -> np.ndarray:
    """How many round, square and curly brackets are open, those at this character included; never below 0."""
    found = np.zeros(len(text), np.int64)
    depth = 0
    for index, character in enumerate(text):
        depth += character in OPENING
        found[index] = depth
        depth = max(0, depth - (character in CLOSING))
    return found


PROPERTIES = {
    "inside quotes": inside_quotes,
    "position in line": position_in_line,
    "position in word": position_in_word,
    "bracket depth": bracket_depth,
}
