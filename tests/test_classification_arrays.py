"""What a Python program may give a classifier: read as it is meant, or refused in the words of Python."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

import carousel
from carousel.errors import DataError, speaking
from carousel.tasks.classification.arrays import from_python, read_npz
from carousel.tasks.classification.sources import read_examples, recognize
from carousel.tasks.sequences.examples import Columns

TINY: dict[str, Any] = {"hidden": 4, "epochs": 2, "folds": 2, "batch": 8, "threads": 1}
CUBE = np.random.default_rng(0).normal(size=(6, 5, 2))
TRUTH = [0, 1, 0, 1, 0, 1]


# -- classes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "labels"),
    [
        (np.eye(2)[TRUTH], TRUTH),
        (np.eye(3, dtype=bool)[[2, 1, 0, 1, 0, 2]], [2, 1, 0, 1, 0, 2]),
        (np.eye(2)[TRUTH].tolist(), TRUTH),
        (torch.eye(2)[TRUTH], TRUTH),
        (pd.DataFrame(np.eye(2, dtype=int)[TRUTH], columns=["cat", "dog"]), ["cat", "dog"] * 3),
        (pl.DataFrame(np.eye(2, dtype=int)[TRUTH], schema=["cat", "dog"]), ["cat", "dog"] * 3),
        (np.array(TRUTH)[:, None], TRUTH),
        (pd.DataFrame({"class": ["a", "b"] * 3}), ["a", "b"] * 3),
        (pd.Series(TRUTH, index=[9, 8, 7, 6, 5, 4]), TRUTH),
        (pd.Series(["01", "02"] * 3), ["01", "02"] * 3),
        (pd.Categorical(["lo", "hi"] * 3), ["lo", "hi"] * 3),
        (pd.Series(["lo", "hi"] * 3, dtype="category"), ["lo", "hi"] * 3),
        (pd.array(TRUTH, dtype="Int64"), TRUTH),
        (pl.Series(["a", "b"] * 3), ["a", "b"] * 3),
        (np.array([b"up", b"down"] * 3), ["up", "down"] * 3),
        (np.array([True, False] * 3), [True, False] * 3),
        (np.array([1.0, 2.5] * 3, np.float32), [1, 2.5] * 3),
        (np.array(["a", 1] * 3, dtype=object), ["a", 1] * 3),
        (["NA", "None"] * 3, ["NA", "None"] * 3),
        (range(6), [0, 1, 2, 3, 4, 5]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_classes_are_read_from_whatever_holds_them(y, labels: list) -> None:
    found = from_python(CUBE, y).labels
    assert found == labels
    assert [type(one) for one in found] == [type(one) for one in labels]


@pytest.mark.parametrize(
    ("y", "message"),
    [
        (np.full((6, 2), 0.5), r"y has rows of 2 entries.*one-hot, \(N, K\) with a single 1"),
        (np.ones((6, 3)), r"one-hot, \(N, K\) with a single 1"),
        (np.zeros((6, 5), int), "a class at every step are other tasks"),
        ([["a"], ["b", "c"], ["a"], ["a"], ["b"], ["b"]], r"rows of 1 entries|not list"),
        (np.eye(2), "one entry for each of the 6 sequences; it has 2"),
        ([0, 1], "one entry for each of the 6 sequences; it has 2"),
        ("label", r"it is str 'label'.*label='label'"),
        ({0: "a"}, "it is dict"),
        (3, "it is int 3"),
        (["a", None] * 3, "A class is missing"),
        (pd.Series(["a", pd.NA] * 3), "A class is missing"),
        (pd.Categorical(["a", None] * 3), "A class is missing"),
        (np.ma.array(["a", "b"] * 3, mask=[0, 1] * 3), "A class is missing"),  # type: ignore[arg-type]
        (np.ma.array(TRUTH, mask=[0, 1] * 3), "A class is missing"),  # type: ignore[arg-type]
        ([0, float("inf")] * 3, "A class is infinite"),
        ([1, "1"] * 3, "'1' as a text and as a number"),
        (np.array(["2020-01-01"] * 6, "datetime64[D]"), "A class is a text or a number, not date"),
        (np.array([1j] * 6), "A class is a text or a number, not complex"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_no_class_is_refused_as_python_says_it(y, message: str) -> None:
    with speaking(python=True), pytest.raises(DataError, match=message) as caught:
        from_python(CUBE, y)
    assert "--" not in str(caught.value)


def test_a_one_hot_model_learns_and_is_judged_as_by_numbers() -> None:
    by_number = carousel.SequenceClassifier(**TINY).fit(CUBE, TRUTH)
    by_row = carousel.SequenceClassifier(**TINY).fit(CUBE, np.eye(2)[TRUTH])
    assert by_row.classes_.tolist() == [0, 1]
    np.testing.assert_array_equal(by_row.predict_proba(CUBE), by_number.predict_proba(CUBE))
    assert by_row.score(CUBE, np.eye(2)[TRUTH]) == by_number.score(CUBE, TRUTH)


# -- sequences ------------------------------------------------------------------------------------------------------

NESTED = [[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, None], [10, 11]]]
EXPECTED = np.array([[[0, 1], [2, 3], [4, 5]], [[6, 7], [8, np.nan], [10, 11]]])
MASKED = np.ma.array(np.nan_to_num(EXPECTED, nan=-9999), mask=np.isnan(EXPECTED))


@pytest.mark.parametrize(
    "x",
    [
        NESTED,
        EXPECTED,
        EXPECTED.astype(np.float32),
        MASKED,
        list(MASKED),
        MASKED.astype(int),
        np.array(NESTED, dtype=object),
        torch.tensor(EXPECTED),
        [torch.tensor(one) for one in EXPECTED],
        [pd.DataFrame(one) for one in EXPECTED],
        [pd.DataFrame(one, dtype="Float64") for one in EXPECTED],
        [pl.DataFrame(one).fill_nan(None) for one in EXPECTED],
        [[[Decimal(0), 1], [2, 3], [4, 5]], [[6, 7], [8, pd.NA], [10, 11]]],
        tuple(map(tuple, EXPECTED)),
        (one for one in EXPECTED),
    ],
    ids=lambda value: type(value).__name__,
)
def test_sequences_are_read_from_whatever_holds_them(x) -> None:
    items = from_python(list(x) if hasattr(x, "__next__") else x).items
    np.testing.assert_array_equal(np.stack(items), EXPECTED)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([["good", "film"], ["bad", "film"]], r"X\[0\] must be numbers.*holds texts"),
        ([["1", "2"], ["3", "4"]], r"X\[0\] must be numbers.*holds texts"),
        ([[1j, 2j]], "holds complex numbers"),
        ([np.array(["2020-01-01"], "datetime64[D]")], "holds times"),
        ([[1, 10**400]], r"X\[0\].*too large a number"),
        ([[[1, 2], [3]]], r"X\[0\].*one number of channels each"),
        ([[1, {}]], "holds dict: {}"),
        ([b"ab", b"cd"], "holds bytes"),
        ([1.0, 2.0], r"X\[0\] must be \(T, C\).*its shape is \(\)"),
        (np.zeros((2, 3, 4, 5)), r"X\[0\] must be \(T, C\)"),
        (5, r"X must be an array \(N, T, C\) or a list of sequences, not int"),
        (None, "X must be an array"),
        (
            [[[0, 1], [2, 3]], [[0, 1], [np.inf, 3]]],
            r"X\[1\] has an infinite value, inf, at step 1 of channel 0\. Leave",
        ),
        ([[1.0, -np.inf, np.inf]], r"infinite value, -inf, at step 1 \(and 1 more\)"),
    ],
)
def test_what_is_no_sequence_is_refused(x, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_python(x)


def test_empty_sequences_have_the_channels_of_the_others() -> None:
    items = from_python([[], [[1, 2]], np.zeros((0, 2))]).items
    assert [item.shape for item in items] == [(0, 2), (1, 2), (0, 2)]


# -- axes -----------------------------------------------------------------------------------------------------------


def test_more_channels_than_steps_are_read_only_where_axes_are_told() -> None:
    turned = CUBE.transpose(0, 2, 1)
    with pytest.raises(
        DataError, match=r"As \(N, T, C\).*2 steps of 5 channels; as \(N, C, T\), 5 steps of 2 channels"
    ):
        from_python(turned)
    with pytest.raises(DataError, match="which axis of X is time"):
        from_python(list(turned))
    np.testing.assert_array_equal(from_python(turned, axes="NCT").items, CUBE.astype(np.float32))
    assert from_python(turned, axes="NTC").items[0].shape == (2, 5)
    assert from_python(CUBE).said == ("arrays, read as (N, T, C): 6 sequences of 5 steps, 2 channels",)
    assert from_python(turned, axes="NCT").said == ("arrays, read as (N, C, T): 6 sequences of 5 steps, 2 channels",)
    assert from_python(CUBE[:, :, 0]).said == (
        "arrays, read as (N, T), one channel: 6 sequences of 5 steps, 1 channels",
    )
    unequal = [np.ones((2, k)) for k in (5, 7, 6)]
    with pytest.raises(DataError, match=r"X\[0\] has 5, and X\[1\] has 7\. If these are \(C, T\), say so: --axes NCT"):
        from_python(unequal)
    assert [len(item) for item in from_python(unequal, axes="NCT").items] == [5, 7, 6]


def test_a_model_keeps_the_axes_that_it_was_told(tmp_path: Path) -> None:
    turned = CUBE.transpose(0, 2, 1)
    plain = carousel.SequenceClassifier(**TINY).fit(CUBE, TRUTH)
    model = carousel.SequenceClassifier(**TINY, axes="NCT").fit(turned, TRUTH)
    np.testing.assert_array_equal(model.predict_proba(turned), plain.predict_proba(CUBE))
    again = carousel.SequenceClassifier.load(model.save(tmp_path / "run"))
    np.testing.assert_array_equal(again.predict_proba(turned), plain.predict_proba(CUBE))
    with pytest.raises(DataError, match=r"reads 2 channels, and X\[0\] has the shape \(2, 5\).*axes='NCT'"):
        plain.predict(turned)
    wide = CUBE[:, :1]
    told = carousel.SequenceClassifier(**TINY, axes="NTC").fit(wide, TRUTH)
    assert carousel.SequenceClassifier.load(told.save(tmp_path / "wide")).predict(wide).shape == (6,)
    with pytest.raises(DataError, match="axes of arrays are NTC .* or NCT .*, not 'CTN'"):
        carousel.SequenceClassifier(**TINY, axes="CTN").fit(CUBE, TRUTH)


# -- precision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shift", "factor"), [(1e9, 1.0), (-1e12, 1e3), (0.0, 1e200), (0.0, 1e-200), (300.0, 1e-6)])
def test_where_the_zero_lies_and_how_large_a_unit_is_changes_no_answer(shift: float, factor: float) -> None:
    """A model of shift + factor · x says of it what a model of x says of x, to what float64 leaves of x then."""
    x = np.sin(np.array([0.3, 1.2])[np.arange(24) % 2, None] * np.arange(14) + np.arange(24)[:, None])[:, :, None]
    y = np.arange(24) % 2
    plain = carousel.SequenceClassifier(**TINY).fit(x, y)
    moved = carousel.SequenceClassifier(**TINY).fit(shift + factor * x, y)
    np.testing.assert_allclose(moved.predict_proba(shift + factor * x), plain.predict_proba(x), atol=2e-4)


def test_single_precision_is_kept_where_it_is_enough() -> None:
    assert from_python(CUBE).items[0].dtype == np.float32
    assert from_python(CUBE + 1e9).items[0].dtype == np.float64
    assert from_python(np.arange(10)[None] + 2**40).items[0].dtype == np.float64
    assert from_python((CUBE + 1e9).astype(np.float32)).items[0].dtype == np.float32, "there was nothing more to lose"


def test_an_answer_that_is_no_number_is_refused() -> None:
    model = carousel.SequenceClassifier(**TINY).fit(CUBE, TRUTH)
    with pytest.raises(DataError, match="no answer for the sequence 0: its values are too far"):
        model.predict(CUBE * 1e300)


# -- .npz -----------------------------------------------------------------------------------------------------------


def test_npz_files_by_the_usual_names_and_the_others_named(tmp_path: Path) -> None:
    file = tmp_path / "a.npz"
    np.savez(file, x_train=CUBE, y_train=np.eye(2)[TRUTH], x_test=CUBE)
    examples = read_examples([file], Columns())
    assert examples.labels == TRUTH
    assert "left in a.npz, and not read: x_test" in examples.said
    assert recognize([file], {}) == "an .npz file with sequences x_train"
    np.savez(file, CUBE, TRUTH)
    assert recognize([file], {}) == "an .npz file"
    with pytest.raises(DataError, match=r"no array X of sequences; it has arr_0 \(6, 5, 2\), arr_1 \(6,\)"):
        read_npz(file)
    np.savez(file, X=CUBE, y=np.array(["a", "b"] * 3, dtype=object))
    with pytest.raises(DataError, match="y holds Python objects, which reading could execute. Store texts as"):
        read_npz(file)
    np.savez(file, X=CUBE.transpose(0, 2, 1), y=TRUTH)
    with pytest.raises(DataError, match="--axes NTC or --axes NCT"):
        read_npz(file)
    np.testing.assert_array_equal(read_npz(file, axes="NCT").items, CUBE.astype(np.float32))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"X": np.zeros(5)}, r"X must be \(N, T, C\) or \(N, T\).*its shape is \(5,\)"),
        ({"X": np.zeros((5, 2)), "lengths": [2.5, 2.5]}, "lengths must be whole numbers"),
        ({"X": np.zeros((5, 2)), "lengths": [[5]]}, "lengths must add up to"),
        ({"X": np.zeros((5, 2)), "y": [1]}, "y must have one entry for each of the 5 sequences; it has 1"),
        ({"X": np.array(["a", "b"])}, r"X must be \(N, T, C\)"),
        ({"X": np.array([["a", "b"]])}, "must be numbers"),
        ({}, "no array X of sequences; it has none"),
    ],
)
def test_npz_files_that_cannot_be_used(tmp_path: Path, content: dict, message: str) -> None:
    np.savez(tmp_path / "a.npz", **content)
    with pytest.raises(DataError, match=message):
        read_npz(tmp_path / "a.npz")


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", CUBE)
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    words = (
        r"holds one array, \(\d+, \d+, \d+\), and says no classes. Write it with them.*np.savez\('a.npz', X=X, y=y\)"
    )
    with pytest.raises(DataError, match=words):
        read_npz(tmp_path / "a.npz")
    np.savez(tmp_path / "b.npz", X=CUBE, y=TRUTH)
    whole = (tmp_path / "b.npz").read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 30):
        (tmp_path / "b.npz").write_bytes(whole[:cut])
        with pytest.raises(DataError, match="b.npz"):
            read_npz(tmp_path / "b.npz")


# -- frames ---------------------------------------------------------------------------------------------------------

SERIES = {"x": [[1.0, 2.0, 3.0], [4.0, 5.0]], "y": [[10.0, 20.0, 30.0], [40.0, 50.0]]}


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({**{c: [pd.Series(v) for v in cells] for c, cells in SERIES.items()}, "label": ["a", "b"]}),
        pd.DataFrame({**{c: [np.array(v) for v in cells] for c, cells in SERIES.items()}, "label": ["a", "b"]}),
        pd.DataFrame({**SERIES, "label": ["a", "b"]}),
        pl.DataFrame({**SERIES, "label": ["a", "b"]}),
        pl.DataFrame({**SERIES, "label": ["a", "b"]}).lazy(),
        pl.DataFrame({**SERIES, "label": ["a", "b"]}).to_arrow(),
    ],
    ids=lambda frame: type(frame).__module__,
)
def test_frames_with_a_channel_in_each_cell(frame) -> None:
    examples = carousel.SequenceClassifier._examples(frame, None, None, rate=None, columns=Columns())
    assert (examples.channels, examples.labels) == (("x", "y"), ["a", "b"])
    assert [item.tolist() for item in examples.items] == [[[1, 10], [2, 20], [3, 30]], [[4, 40], [5, 50]]]
    assert "every row is a sequence, with its channels in x, y" in examples.said[0]


def read_frame(frame, y=None, **columns):
    return carousel.SequenceClassifier._examples(frame, y, None, rate=None, columns=Columns(**columns))


def test_a_row_is_a_sequence_where_classes_stand_beside_the_table() -> None:
    frame = pd.DataFrame(np.arange(8.0).reshape(2, 4), columns=["mon", "tue", "wed", "thu"])
    examples = read_frame(frame, ["a", "b"])
    assert [item[:, 0].tolist() for item in examples.items] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert "its columns in their order (mon, tue, wed and 1 more)" in examples.said[0]
    with pytest.raises(DataError, match="it is not clear what a sequence is"):
        read_frame(frame)
    model = carousel.SequenceClassifier(**TINY).fit(pd.concat([frame] * 3), ["a", "b"] * 3)
    assert model.predict(frame).shape == (2,)
    with pytest.raises(DataError, match="y must have one entry for each of the 2 sequences; it has 3"):
        read_frame(frame, ["a", "b", "a"])


def test_columns_of_pandas_that_hold_texts_or_sequences() -> None:
    for column in (pd.Series(["good", "bad"], index=[5, 7]), pl.Series(["good", "bad"])):
        assert read_frame(column, [1, 0]).items == ["good", "bad"]
    for column in (pd.Series([[1, 2], [3]]), pl.Series([[1, 2], [3]])):
        assert [item[:, 0].tolist() for item in read_frame(column, [1, 0]).items] == [[1, 2], [3]]


def test_what_was_text_in_a_frame_and_is_numbers_is_read_so_and_said() -> None:
    frame = pd.DataFrame({"id": [0, 0, 1, 1], "x": [1, 2, 3, 4], "y": ["5", "?", "7", "8.5"], "label": list("aabb")})
    examples = read_frame(frame)
    assert examples.channels == ("x", "y")
    np.testing.assert_array_equal(np.concatenate(examples.items), [[1, 5], [2, np.nan], [3, 7], [4, 8.5]])
    assert any("y: 1 value is missing, written '?'" in line for line in examples.said)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pd.DataFrame([[1, 2, 3]], columns=["id", "a", "a"]), "a stands above 2 columns"),
        (pd.DataFrame([[1, 2, 3]], columns=["id", "1", 1]), "1 stands above 2 columns"),
        (
            pd.DataFrame({"x": [[1, 2], ["a", "b"]], "label": [1, 2]}),
            "Row 1 of the column 'x' cannot be read; it must|Row 1 of the",
        ),
        (pd.DataFrame({"x": [[[1], [2]], [[3]]], "label": [1, 2]}), r"the one of 'x' in row 0 has the shape \(2, 1\)"),
        (
            pl.DataFrame({"x": [[1.0, float("inf")], [1.0]], "label": [1, 2]}),
            "the sequence 1 has an infinite value, inf, at step 1",
        ),
        ({"id": [1, 1], "x": ["a", "b"], "label": [1, 1]}, "it is not clear what a sequence is"),
        ({"x": [1, 2], "y": [1]}, "These columns are not a table"),
    ],
)
def test_frames_that_cannot_be_used(frame, message: str) -> None:
    with speaking(python=True), pytest.raises(DataError, match=message) as caught:
        read_frame(frame)
    assert "--" not in str(caught.value)
