"""The .ts format of the UCR and UEA archives: a header of @ lines, then a case a line.

    # a comment, or % one
    @problemName JapaneseVowels
    @timeStamps false
    @univariate false
    @equalLength false
    @classLabel true one two
    @data
    0.3,0.1,?:1.2,1.3,1.1:one        channels between colons, a channel's values between commas, the class last

`?` and NaN are missing values; with @timeStamps true a value is a pair, (0,0.3), of which the stamp is passed over.
Described in Bagnall et al. 2018, "The UEA multivariate time series classification archive".
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from carousel.errors import DataError
from carousel.tasks.sequences.examples import Examples, channel_names
from carousel.tasks.sequences.values import held, without_padding

COMMENTS = ("#", "%")
PAIR = re.compile(r"\(([^()]*),([^(),]*)\)")


@dataclass
class Header:
    """The lines of the header, which begin with @. None for a line that is absent."""

    stamps: bool = False
    univariate: bool | None = None
    dimensions: int | None = None
    equal_length: bool = False
    classes: list[str] | None = None  # None without labels; [] where they are not listed
    silent: bool = True  # of classes: there is no line @classLabel


def read_ts(path: Path) -> Examples:
    """The cases of one file, named `file:line`; a case whose channels differ in length ends in missing values.

    Steps at the end of a case at which everything is missing are padding, and cut off.
    Raises DataError, with the line, where the file contradicts its header or is none of this format.
    """
    try:
        # Comments come in many encodings, and values and header in ASCII.
        lines = path.read_text("utf-8-sig", errors="replace").split("\n")
    except OSError as problem:
        raise DataError(f"{path} cannot be read: {problem.strerror}. Check its name and permissions.") from None
    header, start = _header(path, lines)
    items: list[np.ndarray] = []
    labels: list[str] = []
    names: list[str] = []
    for number, line in enumerate(lines[start:], start=start + 1):
        line = line.strip()
        if not line or line.startswith(COMMENTS):
            continue
        where = f"{path}, line {number}"
        fields = line.split(":")
        if header.classes is not None:
            labels.append(_label(where, fields.pop().strip(), header.classes))
        elif header.silent and len(fields) > 1 and "," in fields[0] and "," not in fields[-1]:
            raise DataError(
                f"{where}: {fields[-1]!r} after the last colon may be a class, or a channel of one step, and the "
                f"header does not say which. Add a line @classLabel true, or @classLabel false."
            )
        case = _case(where, fields, header)
        if items and case.shape[1] != items[0].shape[1]:
            raise DataError(
                f"{where}: every case must have the same channels. The first has {items[0].shape[1]}, this one "
                f"{case.shape[1]}."
            )
        if header.equal_length and items and len(case) != len(items[0]):
            raise DataError(
                f"{where}: the header says @equalLength true, the first case has {len(items[0])} steps, and this one "
                f"{len(case)}. Correct the header, or the case."
            )
        items.append(case)
        names.append(f"{path.name}:{number}")
    if not items:
        raise DataError(f"{path} has no case after its @data line: there is nothing to read.")
    channels = channel_names(items[0].shape[1])
    return Examples(
        "series",
        held([without_padding(case) for case in items]),
        names,
        labels if header.classes is not None else None,
        channels=channels,
        said=(f"{path.name}: cases of a .ts file" + ", without their stamps" * header.stamps,),
    )


def _header(path: Path, lines: list[str]) -> tuple[Header, int]:
    """The header, and how many lines it takes."""
    header = Header()
    for number, line in enumerate(lines, start=1):
        line = line.strip()
        if not line or line.startswith(COMMENTS):
            continue
        if not line.startswith("@"):
            break
        key, *values = line.split()
        flag = bool(values) and values[0].lower() == "true"
        match key.lower():
            case "@data":
                return header, number
            case "@timestamps":
                header.stamps = flag
            case "@univariate":
                header.univariate = flag
            case "@dimensions" | "@dimension":
                header.dimensions = int(values[0]) if values and values[0].isdigit() else None
            case "@equallength":
                header.equal_length = flag
            case "@classlabel":
                header.silent = False
                flagged = bool(values) and values[0].lower() in ("true", "false")
                header.classes = None if flagged and not flag else values[flagged:]
            case "@targetlabel" if flag:
                raise DataError(
                    f"{path}, line {number}: the cases have a number to predict (@targetLabel), not a class. "
                    f"A classifier learns from files with @classLabel true."
                )
    raise DataError(f"{path} is not a .ts file: it has no line @data, after which its cases would stand.")


def _label(where: str, label: str, classes: list[str]) -> str:
    if not label or label == "?":
        raise DataError(f"{where}: the class is missing. It stands after the last colon.")
    if classes and label not in classes:
        raise DataError(
            f"{where}: the class {label!r} is none of those that the header names: {', '.join(classes[:20])}. "
            f"A line must end in a colon and its class."
        )
    return label


def _case(where: str, fields: list[str], header: Header) -> np.ndarray:
    if not fields:
        raise DataError(f"{where}: there is a class, and no values before it.")
    if header.univariate and len(fields) > 1:
        raise DataError(f"{where}: the header says @univariate true, and this case has {len(fields)} channels.")
    if header.dimensions is not None and len(fields) != header.dimensions:
        raise DataError(
            f"{where}: the header says @dimensions {header.dimensions}, and this case has {len(fields)} channels."
        )
    channels = [_values(where, field, header.stamps) for field in fields]
    case = np.full((max(map(len, channels)), len(channels)), np.nan)
    for k, values in enumerate(channels):
        case[: len(values), k] = values
    return case


def _values(where: str, field: str, stamps: bool) -> list[float]:
    texts = [value for _, value in PAIR.findall(field)] if stamps else field.split(",")
    texts = [text.strip() for text in texts]
    if texts == [""]:
        return []
    values = []
    for text in texts:
        try:
            values.append(float("nan") if text == "?" else float(text))
        except ValueError:
            raise DataError(f"{where}: {text[:40]!r} is no number. A missing value is written ?") from None
    if np.isinf(values).any():
        step = int(np.isinf(values).argmax())
        raise DataError(f"{where}: a value is infinite, at step {step}. A missing value is written ?")
    return values
