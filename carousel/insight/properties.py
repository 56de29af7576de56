"""Properties of a text that a unit may follow: functions that return one number for each character."""

from __future__ import annotations

import numpy as np

__all__ = ["bracket_depth", "inside_quotes", "position_in_line", "position_in_word"]

OPENING, CLOSING = "([{", ")]}"


def inside_quotes(text: str) -> np.ndarray:
    """Whether each character of a text is in quotation marks, (characters) bool, the two marks included.

    The marks are ", and the pair “ and ”. A blank line ends a quotation without closing mark. Apostrophes are no
    quotation marks. text: any text.
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
    """The number of characters before each character of a text in its line, (characters) int64.

    A line break belongs to the line that it ends. text: any text.
    """
    found = np.zeros(len(text), np.int64)
    begin = 0
    for index, character in enumerate(text):
        found[index] = index - begin
        if character == "\n":
            begin = index + 1
    return found


def position_in_word(text: str) -> np.ndarray:
    """The number of letters, digits and apostrophes directly before each of these, (characters) int64; 0 for other
    characters.

    text: any text.
    """
    found = np.zeros(len(text), np.int64)
    length = 0
    for index, character in enumerate(text):
        inside = character.isalnum() or character in "'’"
        found[index] = length if inside else 0
        length = length + 1 if inside else 0
    return found


def bracket_depth(text: str) -> np.ndarray:
    """How many round, square and curly brackets are open at each character of a text, (characters) int64.

    A bracket that opens or closes at this character counts too, and the number is never below 0. text: any text.
    """
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
