"""Tables: what is written is read again, in every format and from every library; what is no table is refused."""

import gzip
from datetime import datetime

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from carousel.errors import DataError
from carousel.tasks import table

FRAME = pl.DataFrame(
    {
        "when": ["2024-01-01", "2024-01-02", "2024-01-03"],
        "shop": ["east", None, "west, or so"],
        "sold": [3, 4, 5],
        "price": [1.5, None, 2.25],
    }
)
STAMPED = pl.DataFrame(
    {
        "ds": pl.Series(
            [datetime(2024, 3, 30, hour) for hour in range(3)], dtype=pl.Datetime("us")
        ).dt.replace_time_zone("Europe/Zurich"),
        "y": [1.0, 2.0, 3.0],
        "n": [1, 2, 3],
        "name": ["a", "b", "c"],
    }
)


@pytest.mark.parametrize("ending", ["csv", "tsv", "parquet", "arrow", "feather"])
def test_what_is_written_is_read_again(tmp_path, ending):
    file = tmp_path / f"sales.{ending}"
    table.write(FRAME, file)
    assert_frame_equal(table.read(file), FRAME)
    assert_frame_equal(table.read(file, rows=2), FRAME[:2])
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "text",
    [
        b"when,sold\n2024-01-01,1.5\n2024-01-02,NA\n",
        b"\xef\xbb\xbfwhen,sold\r\n2024-01-01,1.5\r\n2024-01-02,\r\n",
        b"when;sold\n2024-01-01;1,5\n2024-01-02;NaN\n",
        b'"when"\t"sold"\n2024-01-01\t1.5\n2024-01-02\tnull\n',
        b"when | sold\n2024-01-01|1.5\n2024-01-02|\n",
    ],
)
def test_the_dialects_of_csv(tmp_path, text):
    (tmp_path / "t.csv").write_bytes(text)
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text, mtime=0))
    expected = pl.DataFrame({"when": ["2024-01-01", "2024-01-02"], "sold": [1.5, None]})
    assert_frame_equal(table.read(tmp_path / "t.csv"), expected)
    assert_frame_equal(table.read(tmp_path / "t.csv.gz"), expected)


def test_a_number_far_down_decides_the_type(tmp_path):
    (tmp_path / "t.csv").write_text("n\n" + "1\n" * 20_000 + "0.5\n")
    assert table.read(tmp_path / "t.csv")["n"].dtype == pl.Float64


def test_files_of_the_same_columns_are_one_table(tmp_path):
    table.write(FRAME[:2], tmp_path / "a.csv")
    table.write(FRAME[2:], tmp_path / "b.csv")
    assert_frame_equal(table.read([tmp_path / "a.csv", tmp_path / "b.csv"]), FRAME)
    table.write(FRAME.drop("shop"), tmp_path / "c.csv")
    with pytest.raises(DataError, match=r"a.csv has when, shop, sold, price; .*c.csv has when, sold, price"):
        table.read([tmp_path / "a.csv", tmp_path / "c.csv"])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.csv", b"", r"empty.csv is empty: a table needs a line of column names"),
        ("head.csv", b"date,y\n", r"has column names \(date, y\) and no rows"),
        (
            "bare.csv",
            b"1,2\n3,4\n",
            r"begins with numbers \(1, 2\).*line of names above.*if they are names, put a letter",
        ),
        ("steps.csv", b"0,1\n1,3\n2,2\n", r"begins with numbers \(0, 1\)"),
        ("dated.csv", b"2024-01-01,5\n2024-01-02,6\n", r"begins with numbers \(2024-01-01, 5\)"),
        ("labels.csv", b"0,bad film\n1,good film\n", r"begins with numbers \(0, bad film\)"),
        ("stars.csv", b"awful,1\n10 out of 10,5\n", r"begins with numbers \(awful, 1\)"),
        ("named.csv", b"east,5\nwest,6\n", r"begins with numbers \(east, 5\)"),
        ("unknown.csv", b"nan,5\n3,6\n", r"begins with numbers \(nan, 5\)"),
        ("ragged.csv", b"a,b\n1,2\n1,2,3\n", r"as a table: line 3 has 3 fields, and the first has 2. A field with"),
        ("ragged.tsv.gz", gzip.compress(b"a\tb\n1\t2\t3\n", mtime=0), r"line 2 has 3 fields.*the separator '\\t'"),
        ("bad.parquet", b"not parquet", r"bad.parquet cannot be read as a table"),
        ("notes.txt", b"hello", r"notes.txt ends in none of them"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        table.read(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (b",0,1,2\n0,1.5,2.5,3.5\n", ["index", "0", "1", "2"]),
        (b",0\n0,1.5\n", ["index", "0"]),
        (b"0,1,2\n1.5,2.5,3.5\n", ["0", "1", "2"]),
        (b"0,1,2,label\n1.5,2.5,3.5,a\n", ["0", "1", "2", "label"]),
        (b"time,10,20,30\n2024-01-01,1,2,3\n", ["time", "10", "20", "30"]),
        (b"store;2023;2024\n1;1,5;2,5\n", ["store", "2023", "2024"]),
        (b",a,index\n0,1,2\n", ["", "a", "index"]),
    ],
)
def test_numbers_may_be_names_of_columns(tmp_path, text, columns):
    (tmp_path / "t.csv").write_bytes(text)
    frame = table.read(tmp_path / "t.csv")
    assert frame.columns == columns
    assert frame.height == 1


def test_what_pandas_writes_without_names_is_read(tmp_path):
    pd = pytest.importorskip("pandas")
    values = np.random.default_rng(0).normal(size=(30, 12))
    for options in ({}, {"index": False}):
        pd.DataFrame(values).to_csv(tmp_path / "t.csv", **options)
        frame = table.read(tmp_path / "t.csv").select(map(str, range(12)))
        np.testing.assert_array_equal(frame.to_numpy(), values)


@pytest.mark.parametrize("ending", ["csv.gz", "tsv.gz"])
def test_a_damaged_gzip_is_refused_wherever_the_damage_is(tmp_path, ending):
    file = tmp_path / f"t.{ending}"
    chance = np.random.default_rng(0)
    whole = gzip.compress(b"a\n" + b"".join(b"%d\n" % n for n in chance.integers(0, 10**9, 5000)))
    file.write_bytes(whole)
    assert table.read(file).height == 5000
    for place in np.linspace(1, len(whole) - 1, 12).astype(int).tolist():
        file.write_bytes(whole[:place])
        with pytest.raises(DataError, match=rf"t.{ending} cannot be read as a table: \w+"):
            table.read(file)
        # The middle of what is packed, and its checksum: the text may still look like a table.
        if place > 20:
            file.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            with pytest.raises(DataError, match=rf"t.{ending} cannot be read as a table: \w+"):
                table.read(file, rows=3)


def test_other_refusals(tmp_path):
    with pytest.raises(DataError, match="There is no file .*none.csv"):
        table.read(tmp_path / "none.csv")
    with pytest.raises(DataError, match="builtins.int is none of these"):
        table.read(7)
    with pytest.raises(DataError, match=r"\(rows, columns\), not \(2, 2, 2\)"):
        table.read(np.zeros((2, 2, 2)))
    with pytest.raises(DataError, match=r"forecast.xls ends in none"):
        table.write(FRAME, tmp_path / "forecast.xls")
    with pytest.raises(DataError, match="cannot be written: there is no folder"):
        table.write(FRAME, tmp_path / "nowhere" / "t.csv")
    assert not list(tmp_path.iterdir())


def test_polars_mappings_and_numpy():
    assert table.kind_of(STAMPED) == table.kind_of(STAMPED.lazy()) == table.kind_of({"y": [1]}) == "polars"
    assert_frame_equal(table.read(STAMPED.lazy()), STAMPED)
    assert_frame_equal(table.read({"y": [1, 2]}), pl.DataFrame({"y": [1, 2]}))
    array = np.arange(6.0).reshape(3, 2)
    assert table.read(array).columns == ["y1", "y2"]
    assert table.kind_of(array) == "numpy"
    assert np.array_equal(table.give_back(table.read(array), "numpy"), array)
    assert table.read(np.arange(3)).columns == ["y"]


def test_pandas():
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(
        {
            "ds": pd.date_range("2024-03-30", periods=3, freq="h", tz="Europe/Zurich").as_unit("us"),
            "y": [1.0, 2.0, 3.0],
            "n": [1, 2, 3],
            "name": ["a", "b", "c"],
        }
    )
    assert table.kind_of(frame) == "pandas"
    assert_frame_equal(table.read(frame), STAMPED)
    pd.testing.assert_frame_equal(table.give_back(STAMPED, "pandas"), frame)
    assert_frame_equal(table.read(frame.set_index("ds")), STAMPED)
    holes = pd.DataFrame({"y": [1.0, np.nan], "name": pd.Categorical(["a", None]), "k": pd.array([1, None], "Int64")})
    assert_frame_equal(table.read(holes), pl.DataFrame({"y": [1.0, None], "name": ["a", None], "k": [1, None]}))
    months = pd.Series([1.0, 2.0], index=pd.period_range("2024-01", periods=2, freq="M"))
    assert table.read(months).columns == ["time", "y"]
    assert table.read(months)["time"].to_list() == [datetime(2024, 1, 1), datetime(2024, 2, 1)]


def test_arrow():
    pa = pytest.importorskip("pyarrow")
    arrow = pa.table({"y": [1.0, None], "name": ["a", "b"]})
    assert table.kind_of(arrow) == "arrow"
    frame = table.read(arrow)
    assert_frame_equal(frame, pl.DataFrame({"y": [1.0, None], "name": ["a", "b"]}))
    assert table.give_back(frame, "arrow").to_pydict() == arrow.to_pydict()
