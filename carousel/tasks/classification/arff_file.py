"""The ARFF format of Weka, as the UCR and UEA archives use it: a header of attributes, then a case a line.

    % a comment
    @relation GunPoint
    @attribute att1 numeric                 one attribute a step: a channel
    @attribute att2 numeric
    @attribute target {1,2}
    @data
    0.3,?,1                                 ? is a missing value

    @attribute motion relational            several channels: a case's channels are lines within one text
    @attribute att1 numeric
    @attribute att2 numeric
    @end motion
    @attribute activity {'Standing still',Running}
    @data
    '0.3,0.1\\n1.2,1.3','Standing still'

Described in Weka's documentation, "Attribute-Relation File Format".
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from carousel.errors import DataError, option
from carousel.tasks.sequences.examples import Examples, channel_names
from carousel.tasks.sequences.rows import steps_by_channel
from carousel.tasks.sequences.values import held, without_padding
from carousel.tasks.table import listed

NUMBERS = ("numeric", "real", "integer")
QUOTES = "'\""


@dataclass
class Attribute:
    """kind: a word of the format in lower case, "nominal" or "relational"; classes: of a nominal one; parts: of a
    relational one, its attributes."""

    name: str
    kind: str
    classes: list[str] = field(default_factory=list)
    parts: list["Attribute"] = field(default_factory=list)


def read_arff(path: Path, *, label: str | None = None) -> Examples:
    """The cases of one file, named `file:line`. label: the attribute of the classes; without it the last nominal one.

    Steps at the end of a case at which everything is missing are padding, and cut off.
    Raises DataError, with the line, where the file is none of this format, or its attributes are no steps.
    """
    try:
        lines = path.read_text("utf-8-sig", errors="replace").split("\n")
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}. Check its name and permissions.") from None
    attributes, start = _header(path, lines)
    target = _target(path, attributes, label)
    channels = _channels(path, attributes, target)
    items: list[np.ndarray] = []
    labels: list[str] = []
    names: list[str] = []
    for number, line in enumerate(lines[start:], start=start + 1):
        line = line.strip()
        if not line or line.startswith("%"):
            continue
        where = f"{path}, line {number}"
        if line.startswith("{"):
            raise DataError(f"{where}: a sparse case, in braces, is not read. Write all values, separated by commas.")
        values = _split(where, line)
        if len(values) != len(attributes):
            raise DataError(
                f"{where}: the header has {len(attributes)} attributes, and this case {len(values)} values."
            )
        if target is not None:
            labels.append(_label(where, values[target], attributes[target]))
        items.append(_case(where, attributes, values, channels))
        names.append(f"{path.name}:{number}")
    if not items:
        raise DataError(f"{path} has no case after its @data line: there is nothing to read.")
    width = items[0].shape[1]
    return Examples(
        "series",
        held([without_padding(case) for case in items]),
        names,
        labels if target is not None else None,
        channels=channel_names(width),
        said=(_said(path, attributes, target, width),),
    )


def _said(path: Path, attributes: list[Attribute], target: int | None, width: int) -> str:
    form = f"{width} channels of a relational attribute" if width > 1 else "one channel, an attribute a step"
    classes = f"; classes from {attributes[target].name!r}" if target is not None else ""
    return f"{path.name}: cases of an .arff file, {form}{classes}"


# -- the header -----------------------------------------------------------------------------------------------------


def _header(path: Path, lines: list[str]) -> tuple[list[Attribute], int]:
    """The attributes, and how many lines the header takes."""
    attributes: list[Attribute] = []
    inside: Attribute | None = None
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if not line or line.startswith("%"):
            continue
        where = f"{path}, line {number}"
        word = line.split(None, 1)[0].lower()
        if word == "@data":
            return attributes, number
        if word == "@attribute":
            one = _attribute(where, line.split(None, 1)[1] if len(line.split(None, 1)) > 1 else "")
            (attributes if inside is None else inside.parts).append(one)
            inside = one if one.kind == "relational" else inside
        elif word == "@end":
            inside = None
        elif word != "@relation":
            raise DataError(
                f"{where}: {line[:40]!r} is no line of an .arff header, which are @relation, @attribute and "
                f"@data. A comment begins with %."
            )
    raise DataError(f"{path} is not an .arff file: it has no line @data, after which its cases would stand.")


def _attribute(where: str, text: str) -> Attribute:
    match = re.fullmatch(r"""('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\S+?)\s*(\{.*\}|\s\S.*)""", text)
    if match is None:
        raise DataError(f"{where}: an attribute is @attribute NAME TYPE, not {text[:40]!r}.")
    name, kind = _unquoted(match[1]), match[2].strip()
    if kind.startswith("{"):
        return Attribute(name, "nominal", [_unquoted(one) for one in _split(where, kind[1:-1])])
    return Attribute(name, kind.split()[0].lower())


def _target(path: Path, attributes: list[Attribute], label: str | None) -> int | None:
    """The index of the attribute that has the classes; None where none has."""
    names = [one.name for one in attributes]
    if label is not None and label not in names:
        raise DataError(f"{path} has no attribute {label!r} ({option('label')}). It has {listed(names, 20)}.")
    if label is not None:
        return names.index(label)
    nominal = [k for k, one in enumerate(attributes) if one.kind == "nominal"]
    return nominal[-1] if nominal else None


def _channels(path: Path, attributes: list[Attribute], target: int | None) -> list[int]:
    """The indices of the attributes that make up a case: one relational attribute, or all numbers.

    Raises DataError for other attributes."""
    rest = [k for k in range(len(attributes)) if k != target]
    relational = [k for k in rest if attributes[k].kind == "relational"]
    others = [attributes[k].name for k in rest if attributes[k].kind not in (*NUMBERS, "relational")]
    numbers = [attributes[k].name for k in rest if attributes[k].kind in NUMBERS]
    if len(relational) == 1 and not others and not numbers:
        strange = [one.name for one in attributes[relational[0]].parts if one.kind not in NUMBERS]
        if strange:
            raise DataError(f"{path}: the steps of a channel must be numeric, and {listed(strange)} are not.")
        return relational
    if relational or others or len(steps_by_channel(numbers) or ()) != 1:
        there = listed([attributes[k].name for k in rest])
        raise DataError(
            f"{path}: the attributes of a sequence are its steps, numeric and with names that count (att1, att2, ...), "
            f"or one relational attribute with its channels; this file has {there}, which are not the "
            f"steps of one sequence."
        )
    return rest


# -- the cases ------------------------------------------------------------------------------------------------------


def _label(where: str, text: str, attribute: Attribute) -> str:
    label = _unquoted(text)
    if text == "?":
        raise DataError(f"{where}: the class is missing. Every case to learn from must have one.")
    if attribute.kind == "nominal" and label not in attribute.classes:
        raise DataError(
            f"{where}: the class {label!r} is none of those that the header names for {attribute.name!r}: "
            f"{listed(attribute.classes, 20)}."
        )
    return label


def _case(where: str, attributes: list[Attribute], values: list[str], channels: list[int]) -> np.ndarray:
    """The sequence of one case, (T, C); shorter channels end in missing values."""
    if attributes[channels[0]].kind != "relational":
        return _numbers(where, [values[k] for k in channels])[:, None]
    text = _unquoted(values[channels[0]], line_breaks=True)
    rows = [_numbers(where, row.split(",")) for row in text.split("\n") if row.strip()]
    if not rows:
        return np.zeros((0, 1))
    case = np.full((max(map(len, rows)), len(rows)), np.nan)
    for k, row in enumerate(rows):
        case[: len(row), k] = row
    return case


def _numbers(where: str, texts: list[str]) -> np.ndarray:
    values = np.empty(len(texts))
    for k, text in enumerate(texts):
        text = text.strip()
        try:
            values[k] = np.nan if text == "?" else float(text)
        except ValueError:
            raise DataError(f"{where}: {text[:40]!r} is no number. A missing value is written ?") from None
    if np.isinf(values).any():
        raise DataError(
            f"{where}: a value is infinite, at step {int(np.isinf(values).argmax())}. A missing value is written ?"
        )
    return values


def _split(where: str, line: str) -> list[str]:
    """The fields between commas, with their quotes, in which a comma stands for itself. Raises DataError for a quote
    that does not end."""
    fields, start, quote, k = [], 0, "", 0
    while k < len(line):
        sign = line[k]
        if quote and sign == "\\":
            k += 1
        elif sign in QUOTES and (quote == sign or (not quote and not line[start:k].strip())):
            quote = "" if quote else sign
        elif sign == "," and not quote:
            fields.append(line[start:k].strip())
            start = k + 1
        k += 1
    if quote:
        raise DataError(f"{where}: a text begins with {quote} and does not end.")
    return [*fields, line[start:].strip()]


def _unquoted(text: str, *, line_breaks: bool = False) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in QUOTES:
        text = text[1:-1]
    if line_breaks:
        text = text.replace("\\n", "\n")
    return re.sub(r"\\(.)", r"\1", text)
