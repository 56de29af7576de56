"""A labelled set of sequences, written in any layout, is read as the same set, or refused: never as another."""

import csv
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from carousel.errors import DataError
from carousel.tasks.catalogue import task_for
from carousel.tasks.classification.sources import read_examples
from carousel.tasks.sequences.examples import Columns

Set = list[tuple[str, np.ndarray]]  # the class and the (T, C) of each sequence

CLASSES = [
    ["a", "b"],
    ["1", "2"],
    ["-1", "1"],
    ["walk", "Stand_up", "sit"],
    ["NA", "None", "ok"],
    ["x y", "z"],
    ["it's", 'say "hi"'],
]
NUMBERS = st.one_of(
    st.integers(-999, 999).map(lambda n: n / 8),
    st.integers(-9, 9).map(float),
    st.integers(1, 999).map(lambda n: n * 1e-6),
    st.integers(1, 999).map(lambda n: 1e9 + n),
)


@st.composite
def sets(draw: st.DrawFn, numbered: bool = False) -> Set:
    """numbered: of one channel, with numbers for classes and steps enough for a text file of the UCR archive."""
    classes = draw(st.sampled_from(CLASSES[1:3] if numbered else CLASSES))
    channels = 1 if numbered else draw(st.integers(1, 3))
    count, gaps = draw(st.integers(len(classes) + 1, 7)), draw(st.booleans())
    longest = draw(st.integers(8 if numbered else 3, 12))
    lengths = [draw(st.integers(3, longest)) if draw(st.booleans()) else longest for _ in range(count)]
    found = []
    for number, length in enumerate(lengths):
        values = np.array([[draw(NUMBERS) for _ in range(channels)] for _ in range(length)])
        if gaps:
            for _ in range(2):
                values[draw(st.integers(0, length - 2)), draw(st.integers(0, channels - 1))] = np.nan
        found.append((classes[number] if number < len(classes) else draw(st.sampled_from(classes)), values))
    return found


def number(value: float, missing: str = "") -> str:
    return missing if np.isnan(value) else repr(float(value))


def rows_as_text(rows: list[list[str]], separator: str = ",") -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=separator, lineterminator="\n").writerows(rows)
    return file.getvalue()


def padded(found: Set) -> np.ndarray:
    block = np.full((len(found), max(len(x) for _, x in found), found[0][1].shape[1]), np.nan)
    for k, (_, x) in enumerate(found):
        block[k, : len(x)] = x
    return block


# -- layouts: each writes a set under a folder and gives what to read, and the options; None where it cannot hold it ---


def as_ts(folder: Path, found: Set, draw: Callable) -> Path | None:
    if any(set(label) & set(" ,:'\"") for label, _ in found):
        return None
    header = ["@problemName p", "@timeStamps false", "@univariate " + str(found[0][1].shape[1] == 1).lower()]
    header += ["@classLabel true " + " ".join(sorted({label for label, _ in found}))]
    header = draw(st.permutations([*header, "# words", "% more"]))
    body = [
        ":".join([*(",".join(number(v, "?") for v in x[:, c]) for c in range(x.shape[1])), label]) for label, x in found
    ]
    (folder / "set.ts").write_text("\n".join([*header, "@data", *body, ""]))
    return folder / "set.ts"


def quoted(text: str) -> str:
    return "'" + text.replace("\\", r"\\").replace("'", r"\'") + "'"


def as_arff(folder: Path, found: Set, draw: Callable) -> Path:
    classes = ",".join(quoted(label) for label in sorted({label for label, _ in found}))
    block = padded(found)
    steps = [f"@attribute att{t + 1} {draw(st.sampled_from(['numeric', 'REAL']))}" for t in range(block.shape[1])]
    if block.shape[2] > 1 or draw(st.booleans()):
        steps = ["@attribute m relational", *steps, "@end m"]
        cells = [
            "'" + r"\n".join(",".join(number(v, "?") for v in x[:, c]) for c in range(x.shape[1])) + "'" for x in block
        ]
    else:
        cells = [",".join(number(v, "?") for v in x[:, 0]) for x in block]
    header = ["% c", "@relation r", *steps, f"@attribute target {{{classes}}}", "", "@data"]
    body = [f"{cell},{quoted(label)}" for cell, (label, _) in zip(cells, found, strict=True)]
    (folder / "set.arff").write_text("\n".join([*header, *body]))
    return folder / "set.arff"


def as_ucr(folder: Path, found: Set, draw: Callable) -> Path | None:
    if found[0][1].shape[1] > 1 or any(not label.lstrip("-").isdigit() for label, _ in found):
        return None
    sign, ending = draw(st.sampled_from([("  ", ".txt"), ("\t", ".tsv"), (",", ".csv"), (",", ".txt")]))
    old = draw(st.booleans())
    lines = []
    for (label, _), x in zip(found, padded(found), strict=True):
        first = f"{float(label):.7e}" if old else label
        lines.append(sign.join([first, *(number(v, "NaN") for v in x[:, 0])]))
    (folder / f"set{ending}").write_text("\n".join(lines) + "\n")
    return folder / f"set{ending}"


def names_of(found: Set) -> list[str]:
    return [f"c{c}" for c in range(found[0][1].shape[1])]


def as_long(folder: Path, found: Set, draw: Callable) -> Path:
    names = names_of(found)
    rows = [
        [f"s{k}", str(t), *(number(v) for v in step), label]
        for k, (label, x) in enumerate(found)
        for t, step in enumerate(x)
    ]
    rows = draw(st.permutations(rows)) if draw(st.booleans()) else rows
    order = draw(st.permutations(range(len(names) + 3)))
    table = [["id", "time", *names, "label"], *rows]
    separator = draw(st.sampled_from([",", ";", "\t"]))
    ending = ".tsv" if separator == "\t" else ".csv"
    (folder / f"set{ending}").write_text(rows_as_text([[row[k] for k in order] for row in table], separator))
    return folder / f"set{ending}"


def as_wide(folder: Path, found: Set, draw: Callable) -> Path:
    block, start = padded(found), draw(st.integers(0, 1))
    words = ["t"] if block.shape[2] == 1 else ["x", "y", "z"][: block.shape[2]]
    header = ["id", *(f"{word}{t + start}" for word in words for t in range(block.shape[1])), "class"]
    rows = [
        [str(k), *(number(v) for c in range(x.shape[1]) for v in x[:, c]), label]
        for k, (x, (label, _)) in enumerate(zip(block, found, strict=True))
    ]
    (folder / "set.csv").write_text(rows_as_text([header, *rows]))
    return folder / "set.csv"


def as_npz(folder: Path, found: Set, draw: Callable) -> Path:
    y = np.array([label for label, _ in found])
    if draw(st.booleans()):
        np.savez(folder / "set.npz", X=np.concatenate([x for _, x in found]), lengths=[len(x) for _, x in found], y=y)
    else:
        np.savez(folder / "set.npz", X=padded(found), y=y)
    return folder / "set.npz"


def as_class_folders(folder: Path, found: Set, draw: Callable) -> Path:
    parts = draw(st.booleans())
    for k, (label, x) in enumerate(found):
        for part in ("train", "test") if parts else ("",):
            file = folder / "set" / part / label / f"{k}.csv"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(rows_as_text([names_of(found), *([number(v) for v in step] for step in x)]))
    if draw(st.booleans()):
        (folder / "set" / "README.txt").write_text("what this is")
        (folder / "set" / "LICENSE").write_text("may be used")
    return folder / "set"


def as_listing(folder: Path, found: Set, draw: Callable) -> Path:
    aside, inner = draw(st.sampled_from(["", "meta"])), draw(st.sampled_from(["", "data", "data/a"]))
    rows = []
    for k, (label, x) in enumerate(found):
        file = folder / "set" / inner / f"r_{k}.csv"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(rows_as_text([names_of(found), *([number(v) for v in step] for step in x)]))
        rows.append([file.name, label])
    (folder / "set" / aside).mkdir(parents=True, exist_ok=True)
    (folder / "set" / aside / "list.csv").write_text(
        rows_as_text([["filename", "label"], *draw(st.permutations(rows))])
    )
    return folder / "set"


LAYOUTS = [as_ts, as_arff, as_ucr, as_long, as_wide, as_npz, as_class_folders, as_listing]


def alike(read: tuple[str, np.ndarray], expected: tuple[str, np.ndarray], spread: np.ndarray) -> bool:
    """Single precision may be what is left of values, where it loses a millionth of a deviation at most."""
    (label, x), (truth, values) = (read[0], np.asarray(read[1], np.float64)), expected
    if str(label) != truth or x.shape != values.shape or (np.isnan(x) != np.isnan(values)).any():
        return False
    return bool((np.abs(np.nan_to_num(x - values)) <= 1.01e-6 * spread).all())


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_set_comes_back_as_it_was_or_is_refused(layout: Callable, data: st.DataObject) -> None:
    found = data.draw(sets(numbered=layout is as_ucr))
    with tempfile.TemporaryDirectory() as name:
        path = layout(Path(name), found, data.draw)
        if path is None:
            event("cannot be written so")
            return
        try:
            assert task_for([path], {})[0] == "classification"
            examples = read_examples([path], Columns())
        except DataError as problem:
            event(f"refused: {str(problem).replace(name, '')[:70]}")
            return
    event("read")
    assert examples.labels is not None
    order = np.argsort(examples.channels)  # columns of a table may stand in any order
    read = [(label, item[:, order]) for label, item in zip(examples.labels, examples.items, strict=True)]
    assert len(read) == len(found)
    spread = np.nan_to_num(np.nanstd(np.concatenate([x for _, x in found]), axis=0))
    for one in found:
        at = next((k for k, other in enumerate(read) if alike(other, one, spread)), None)  # type: ignore[arg-type]
        assert at is not None, f"{one} is not in {read}"
        read.pop(at)
