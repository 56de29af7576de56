"""Text tables as people and programs write them: the right columns, or a refusal that names both readings; never
another table."""

import gzip
import io
import zipfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carousel.errors import DataError
from carousel.tasks import table


def read(folder: Path, content: str | bytes, name: str = "t.csv", **signs: str) -> tuple[pl.DataFrame, list[str]]:
    """The table, and what was said of it."""
    said: list[str] = []
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with table.numbers_written(**signs):
        return table.read(folder / name, say=said.append), said


def zipped(**content: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, text in content.items():
            archive.writestr(f"{name}.csv", text)
    return held.getvalue()


# -- numbers --------------------------------------------------------------------------------------------------------

# The cells of a column, as they stand below its name in a table of one more column; the separator; what they are.
NUMBERS = [
    (["887", "1,026", "1,131"], ";", [887, 1026, 1131]),
    (["887", "1,026"], "\t", [887, 1026]),
    (["887", "1,026"], "|", [887, 1026]),
    (["12", "1,210"], ";", [12, 1210]),  # decimals that end in 0 beside whole numbers are no decimals
    (["1,234,567", "2,345"], ";", [1234567, 2345]),
    (["1,234.5", "2,345"], ";", [1234.5, 2345.0]),
    (["12,34,567.5", "1,234"], ";", [1234567.5, 1234.0]),  # by hundreds, as in India
    (["1.234.567", "2.345"], ";", [1234567, 2345]),
    (["1.234,5", "2.345"], ";", [1234.5, 2345.0]),
    (["887", "1.026"], ";", [887, 1026]),
    (["1,5", "1,026"], ";", [1.5, 1.026]),
    (["1234,567", "1,026"], ";", [1234.567, 1.026]),
    (["0,125", "1,026"], ";", [0.125, 1.026]),
    (["99,80", "118,61"], ",", [99.8, 118.61]),  # in quotes
    (["1 234,5", "2 345"], ";", [1234.5, 2345.0]),
    (["1\u00a0234", "2\u202f345"], ";", [1234, 2345]),
    (["1'234.5", "2\u2019345"], ",", [1234.5, 2345.0]),
    (["$1,234.50", "-$2.00"], ",", [1234.5, -2.0]),
    (["12,5 %", "-2,0 %"], ";", [12.5, -2.0]),
    (["5 EUR", "6 EUR"], ",", [5, 6]),
    (["1.026", "2.131"], ",", [1.026, 2.131]),  # who separates by commas writes decimal points
    (["-5", "+6", "\u22127"], ",", [-5, 6, -7]),
    (["1e3", "2.5E-1", ".5", "5."], ",", [1000.0, 0.25, 0.5, 5.0]),
    (["007", "08"], ",", [7, 8]),
    (["1", "2.5"], ",", [1.0, 2.5]),
    (["true", "FALSE"], ",", [True, False]),
]


def with_names(cells: list[str], separator: str) -> str:
    fields = [f'"{cell}"' if separator in cell else cell for cell in cells]
    return f"name{separator}x\n" + "".join(f"row{k}{separator}{field}\n" for k, field in enumerate(fields))


@pytest.mark.parametrize(("cells", "separator", "values"), NUMBERS)
def test_numbers_are_read_as_their_column_tells(tmp_path, cells, separator, values):
    frame, _ = read(tmp_path, with_names(cells, separator))
    assert frame["x"].to_list() == values
    assert frame["x"].dtype == pl.Series(values).dtype
    assert frame.columns == ["name", "x"]


AMBIGUOUS = [
    (["1,026", "1,131"], ";", ",", 1.026, 1026),
    (["1,026", "1,131"], "\t", ",", 1.026, 1026),
    (["1,026", "1,131"], ",", ",", 1.026, 1026),  # in quotes
    (["0", "1,026"], ";", ",", 1.026, 1026),
    (["1500", "1,026"], ";", ",", 1.026, 1026),
    (["1.026", "1.131"], ";", ".", 1.026, 1026),
    (["1.026", "1.131"], "\t", ".", 1.026, 1026),
    (["887", "1.026"], ",", ".", 1.026, 1026),
]


@pytest.mark.parametrize(("cells", "separator", "sign", "decimal", "whole"), AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_refused_with_both_and_their_flags(
    tmp_path, cells, separator, sign, decimal, whole
):
    words = rf"'x' can be read in two ways: '1.026' is 1.026 .*\(--decimal {sign}\), and 1026 .*\(--thousands {sign}\)"
    content = with_names(cells, separator)
    with pytest.raises(DataError, match=words):
        read(tmp_path, content)
    which = next(k for k, cell in enumerate(cells) if sign in cell)
    assert read(tmp_path, content, decimal=sign)[0]["x"][which] == decimal
    frame, said = read(tmp_path, content, thousands=sign)
    assert frame["x"][which] == whole
    assert any(f"'{cells[which]}' is {whole}" in line for line in said)
    assert table.read(tmp_path / "t.csv", rows=1).width == 2  # a look refuses nothing


@pytest.mark.parametrize(
    ("content", "values"),
    [
        ("x;p\n1,026;0,5\n1,126;2,5\n", [1.026, 1.126]),
        ("x;p\n1,026;0.5\n1,126;2.5\n", [1026, 1126]),
        ("x;p\n1.026;0,5\n1.126;2,5\n", [1026, 1126]),
        ("x;p\n1,026;1,234,567\n1,126;2,345,678\n", [1026, 1126]),
    ],
)
def test_other_columns_tell_where_a_column_does_not(tmp_path, content, values):
    assert read(tmp_path, content)[0]["x"].to_list() == values


def test_a_decimal_comma_far_down_decides(tmp_path):
    rows = "".join(f'{k},"{k}"\n' for k in range(3000)) + '3000,"99,80"\n'
    frame, said = read(tmp_path, "n,x\n" + rows)
    assert frame["x"].to_list() == [*map(float, range(3000)), 99.8]
    assert said == ["t.csv: x: decimal commas: '99,80' is 99.8"]


@pytest.mark.parametrize(
    ("signs", "words"),
    [
        ({"decimal": ";"}, r"The sign --decimal of numbers is '\.' or ',', not ';'"),
        ({"decimal": ",", "thousands": ","}, r"One sign cannot stand both .*',' is given for both"),
    ],
)
def test_signs_that_cannot_be_are_refused(tmp_path, signs, words):
    with pytest.raises(DataError, match=words):
        read(tmp_path, "x\n1\n", **signs)


def test_signs_that_were_given_outside_stay(tmp_path):
    (tmp_path / "t.csv").write_text("n;x\n1;1,026\n")
    with table.numbers_written(thousands=","), table.numbers_written(decimal=","):
        assert table.read(tmp_path / "t.csv")["x"].to_list() == [1026]
    with table.numbers_written(), table.numbers_written(decimal=","):
        assert table.read(tmp_path / "t.csv")["x"].to_list() == [1.026]


# -- missing values -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "mark", ["?", "no data", "nil", "-", ".", "NA", "#N/A", "missing", "NaN", "null", "None", "n/a", "#DIV/0!", "  "]
)
def test_a_mark_among_numbers_is_a_missing_value(tmp_path, mark):
    frame, said = read(tmp_path, f"n,x\n1,1.5\n2,{mark}\n3,2.5\n4,{mark}\n")
    assert frame["x"].to_list() == [1.5, None, 2.5, None]
    assert said == ([f"t.csv: x: 2 values are missing, written {mark!r} (2)"] if mark.strip() else [])


def test_several_marks_are_counted(tmp_path):
    _, said = read(tmp_path, "n;x\n1;1,5\n2;?\n3;nil\n4;?\n")
    assert said[-1] == "t.csv: x: 3 values are missing, written '?' (2), 'nil' (1)"


def test_a_mark_in_a_column_of_texts_is_a_text(tmp_path):
    frame, said = read(tmp_path, "text,label,empty\ngood,None,NA\nbad,NA,NA\n,ok,\n")
    assert frame.to_dict(as_series=False) == {
        "text": ["good", "bad", None],
        "label": ["None", "NA", "ok"],
        "empty": [None, None, None],
    }
    assert said == []


@pytest.mark.parametrize(
    ("cells", "named"),
    [
        (["5", "6", "abc", "7"], "'abc' in line 4"),
        (["1.5", "2,5", "3.5"], "'2,5' in line 3"),
        (["5", "closed", "6", "7", "closed", "8"], "'closed' in line 3, 'closed' in line 6"),
        (["5 EUR", "6", "7"], "'5 EUR' in line 2"),
    ],
)
def test_a_column_that_is_nearly_numbers_stays_and_its_other_rows_are_named(tmp_path, cells, named):
    frame, said = read(tmp_path, with_names(cells, ";"))
    assert frame["x"].to_list() == cells
    assert said[-1] == f"t.csv: x stays text, although most of it is numbers: {named}"
    assert table.not_numbers(frame["x"]).sum() == named.count("line")
    assert table.not_numbers(frame["name"]) is None


def test_numbers_that_no_type_holds_are_not_merged(tmp_path):
    frame, _ = read(tmp_path, "id,x\n12345678901234567890,1\n12345678901234567891,2\n")
    assert frame["id"].to_list() == ["12345678901234567890", "12345678901234567891"]


# -- lines ----------------------------------------------------------------------------------------------------------

EXPECTED = {"date": ["2021-01-01", "2021-01-02", "2021-01-03"], "x": [1.5, None, 3.0]}
BODY = "2021-01-01,1.5\n2021-01-02,\n2021-01-03,3.0\n"
PLAIN = f"date,x\n{BODY}"

LAYOUTS = {
    "plain": (PLAIN, ""),
    "no line end": (PLAIN[:-1], ""),
    "blank lines at the end": (PLAIN + "\n\n", ""),
    "blank fields at the end": (PLAIN + ",\n,\n", "left out, as they are empty: the last 2 rows"),
    "blank lines between": (PLAIN.replace("\n", "\n\n"), "left out, as they are blank: 3 lines between the rows"),
    "Windows' line ends": (PLAIN.replace("\n", "\r\n"), ""),
    "old Apple's line ends": (PLAIN.replace("\n", "\r"), ""),
    "a title": ("Sold, all\n\n".replace(",", "") + PLAIN, "left out, as it stands above the names: Sold all"),
    "title, unit": ("Sold\nunit: mm\n" + PLAIN, "left out, as it stands above the names: Sold / unit: mm"),
    "comments": ("# made by hand\n% twice\n" + PLAIN, "above the names: # made by hand / % twice"),
    "names in a comment": ("# date,x\n" + BODY, ""),
    "units below the names": (f"date,x\n,mm\n{BODY}", "left out, as they are units or further names: ,mm"),
    "names of two lines": (f"date,x\nDay,Depth\n,mm\n{BODY}", "units or further names: Day,Depth / ,mm"),
    "a blank after the comma": (PLAIN.replace(",", ", "), ""),
    "blanks around": (PLAIN.replace(",", " , "), ""),
    "semicolons": (PLAIN.replace(",", ";"), "fields are separated by semicolons"),
    "tabs": (PLAIN.replace(",", "\t"), "fields are separated by tabs"),
    "bars": (PLAIN.replace(",", "|"), "fields are separated by bars"),
    "spaces": (PLAIN.replace("-02,\n", "-02,NA\n").replace(",", "  "), "fields are separated by spaces"),
    "Excel's hint": ("sep=;\n" + PLAIN.replace(",", ";"), "semicolons"),
    "all in quotes": ("".join(f'"{a}","{b}"\n' for a, b in (r.split(",") for r in PLAIN.splitlines())), ""),
    "a separator at each end": (PLAIN.replace("\n", ",\n"), "left out, as it has neither a name nor a value: column 3"),
    "a byte order mark": (PLAIN.encode("utf-8-sig"), ""),
    "UTF-16": (PLAIN.encode("utf-16"), "read as UTF-16-LE"),
    "UTF-16, big": (b"\xfe\xff" + PLAIN.encode("utf-16-be"), "read as UTF-16-BE"),
    "UTF-16 without a mark": (PLAIN.encode("utf-16-le"), "read as UTF-16-LE, which its zero bytes tell"),
    "UTF-32": (PLAIN.encode("utf-32"), "read as UTF-32-LE"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_of_the_same_table(tmp_path, layout):
    content, words = LAYOUTS[layout]
    frame, said = read(tmp_path, content)  # type: ignore[arg-type]
    assert frame.to_dict(as_series=False) == EXPECTED
    assert words in " / ".join(said)
    if not words:
        assert said == []


def test_packed_tables(tmp_path):
    for name, content, words in (
        ("t.csv.gz", gzip.compress(PLAIN.encode()), "unpacked from gzip"),
        ("t.csv.zip", zipped(sales=PLAIN), "unpacked from zip: sales.csv"),
    ):
        frame, said = read(tmp_path, content, name)
        assert frame.to_dict(as_series=False) == EXPECTED
        assert said == [f"{name}: {words}"]


def test_one_column(tmp_path):
    assert read(tmp_path, "x\n1\n\n3\n\n\n")[0]["x"].to_list() == [1, None, 3]  # a blank line is a missing value
    assert read(tmp_path, "x\n1,5\n2,5\n", decimal=",")[0]["x"].to_list() == [1.5, 2.5]


def test_quoted_fields(tmp_path):
    frame, _ = read(tmp_path, 'a,b\n"x, y",2\n"z\nz",3\n"say ""no""",4\n5" pipe,5\n"' + "long " * 50_000 + '",6\n')
    assert frame["a"].to_list()[:4] == ["x, y", "z\nz", 'say "no"', '5" pipe']
    assert len(frame["a"][4]) == 250_000
    assert frame["b"].to_list() == [2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("text", "shown"),
    [("Köln", "Köln"), ("naïve café", "naïve"), ("12 °C", "°C"), ("l\u2019eau", "l\u2019eau"), ("5 €", "€")],
)
def test_western_encodings_are_read_and_said(tmp_path, text, shown):
    frame, said = read(tmp_path, f"place,x\n{text},1\nBern,2\n".encode("cp1252"))
    assert frame["place"].to_list() == [text, "Bern"]
    assert said == [f"t.csv: read as Windows-1252 (Latin-1), as it is not UTF-8: {shown!r} in line 2"]


@pytest.mark.parametrize(
    ("text", "encoding"),
    [("Москва", "cp1251"), ("東京都", "shift-jis"), ("北京市", "gbk"), ("Köln", "cp437"), ("Łódź", "iso8859-2")],
)
def test_encodings_that_cannot_be_told_are_refused_with_what_to_type(tmp_path, text, encoding):
    words = r"t.csv is not UTF-8 text: byte 0x.. at position \d+, in line 2, .*iconv -f CP1252 -t UTF-8 t.csv > new.csv"
    with pytest.raises(DataError, match=words):
        read(tmp_path, f"place,x\n{text},1\n".encode(encoding))


REFUSED = {
    "a short row": ("a,b\n1,2\n3\n", "line 3 has 1 field, and the first has 2"),
    "a short row in quotes": ('a,b\n"1",2\n3\n', "line 3 has 1 field, and the first has 2"),
    "a note below": (PLAIN + "Source: a bank\n", "line 5 has 1 field, and the first has 2"),
    "a long row below a title": ("Sold\na,b\n1,2\n1,2,3\n", "line 4 has 3 fields, and the names in line 2 are 2"),
    "names shorter than rows": ("a,b\n1,2,3\n4,5,6\n", "line 2 has 3 fields, and the first has 2"),
    "one name for two columns": ("a,b,a\n1,2,3\n", r"2 columns are called 'a' \(columns 1, 3\)"),
    "a zero byte": (b"a,b\n1,2\n3,\x004\n", "line 3 holds a zero byte"),
    "an open quote": ('a,b\n1,2\n"3,4\n5,6\n', "in line 3 a quote begins and does not end"),
    "text behind a quote": ('a,b\n"1"x,2\n', "in line 2 ',' expected after"),
    "decimal commas alone": ("x\n1,5\n2,5\n", "line 2 has 2 fields, and the first has 1"),
    "blank": ("\n\n\n", "is empty"),
    "no names": ("2021-01-01,a\n2021-01-02,b\n", "begins with numbers"),
    "no names below a title": ("Sold\n1,2\n3,4\n", "line 2 has 2 fields, and the first has 1"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_lines_that_are_no_table_are_refused_by_their_number(tmp_path, case):
    content, words = REFUSED[case]
    with pytest.raises(DataError, match=words):
        read(tmp_path, content)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "t.xlsx",
            b"PK",
            r"t.xlsx is a spreadsheet: save its sheet as CSV UTF-8 there .* pandas.read_excel\('t.xlsx'\)",
        ),
        ("t.json", b"{}", r"t.json is JSON: write it as a table first, as pandas.read_json\('t.json'\)"),
        ("t.mat", b"MATLAB", r"t.mat is another program's: write its table as .csv"),
        ("t.csv.zip", zipped(a=PLAIN, b=PLAIN), r"holds 2 files \(a.csv, b.csv\), and a table is one: unpack it"),
        ("t.csv.zip", b"PK\x03\x04 and no more", r"cannot be read as a table: .*zip"),
    ],
)
def test_files_of_other_kinds_are_refused_by_name(tmp_path, name, content, words):
    with pytest.raises(DataError, match=words):
        read(tmp_path, content, name)


def test_a_wide_table(tmp_path):
    names = [f"x{k}" for k in range(3000)]
    frame, _ = read(tmp_path, ",".join(names) + "\n" + (",".join(map(str, range(3000))) + "\n") * 3)
    assert frame.columns == names
    assert frame.row(2) == tuple(range(3000))


def test_several_files_with_another_kind_of_values_are_refused(tmp_path):
    (tmp_path / "a.csv").write_text("n,x\n1,5\n2,6\n")
    (tmp_path / "b.csv").write_text("n,x\n1,open\n2,closed\n")
    with pytest.raises(DataError, match="the column 'x' has numbers in .*a.csv, texts in .*b.csv"):
        table.read([tmp_path / "a.csv", tmp_path / "b.csv"])


# -- any table in any dialect ---------------------------------------------------------------------------------------

MARKS = ("", "?", "NA", "nil", "-", "no data", "#N/A")


@st.composite
def dialects(draw):
    """How a table is written: a separator, signs of numbers, quotes, an encoding, lines above and below."""
    decimal, separator = draw(st.sampled_from(".,")), draw(st.sampled_from([",", ";", "\t", "|"]))
    # Who separates by commas writes decimal points: 1.026 alone is no thousand there, as docs/tables.md says.
    thousands = ["", "", " ", "'", *({",", "."} - {decimal} - ({"."} if separator == "," else set()))]
    return {
        "separator": separator,
        "decimal": decimal,
        "thousands": draw(st.sampled_from(thousands)),
        "mark": draw(st.sampled_from(MARKS)),
        "quote_all": draw(st.booleans()),
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"])),
        "ends": draw(st.sampled_from(["\n", "\r\n", "\r"])),
        "above": draw(
            st.sampled_from(["", "Report of sales\n", "Report of sales\n\nall shops\n", "# a comment\n", "\n"])
        ),
        "below": draw(st.sampled_from(["", "\n", "\n\n\n", "empty\n", "empty\nempty\n"])),
        "blank": draw(st.booleans()),  # after a separator
    }


WORDS = st.text(st.sampled_from("abcdeéü,;|'\" \n"), max_size=6).map(lambda text: f"x{text}y")
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-99_999_999, 99_999_999),
        st.none() | st.integers(-(10**9), 10**9),
        st.none() | WORDS,
    ),
    min_size=3,
    max_size=12,
)


def number(value: int | None, places: int, d: dict) -> str:
    """value / 10 ** places, in the signs of a dialect."""
    if value is None:
        return d["mark"]
    whole, rest = divmod(abs(value), 10**places)
    text = f"{whole:,}".replace(",", d["thousands"])
    return ("-" if value < 0 else "") + text + (f"{d['decimal']}{rest:0{places}}" if places else "")


def written(rows: list[tuple], places: int, d: dict) -> bytes:
    def field(text: str) -> str:
        if d["quote_all"] or any(sign in text for sign in (d["separator"], '"', "\n")):
            return '"' + text.replace('"', '""') + '"'
        return text

    lines = [["when", "units", "price", "shop"]]
    for k, (units, price, shop) in enumerate(rows):
        day = f"2024-01-{k + 1:02}"
        lines.append([day, number(units, 0, d), number(price, places, d), shop or ""])
    between = d["separator"] + " " * d["blank"]
    text = d["above"] + "".join(between.join(map(field, line)) + "\n" for line in lines)
    text += d["below"].replace("empty", d["separator"] * 3)
    return text.replace("\n", d["ends"]).encode(d["encoding"])


@settings(max_examples=80, deadline=None)
@given(rows=ROWS, places=st.integers(0, 3), d=dialects())
def test_a_table_in_any_dialect_is_read_again_or_refused(tmp_path_factory, rows, places, d):
    file = tmp_path_factory.getbasetemp() / "dialect.csv"
    file.write_bytes(written(rows, places, d))
    try:
        frame = table.read(file)
    except DataError:
        return
    assert frame.columns == ["when", "units", "price", "shop"]
    assert frame["when"].to_list() == [f"2024-01-{k + 1:02}" for k in range(len(rows))]
    for name, column, by in (("units", 0, 1), ("price", 1, 10**places)):
        expected = [None if row[column] is None else row[column] / by for row in rows]
        if any(value is not None for value in expected):
            assert frame[name].to_list() == expected
        else:
            assert set(frame[name].to_list()) <= {None, d["mark"]}
    assert frame["shop"].to_list() == [
        row[2] and row[2].replace("\n", d["ends"].replace("\r\n", "\n").replace("\r", "\n")) for row in rows
    ]


def test_most_dialects_are_read_and_not_refused(tmp_path):
    """Refusing everything would pass the test above."""
    rows = [(10**k, 5 * 10**k + k, "north" if k % 2 else None) for k in range(7)]
    read_again = 0
    for separator in ",;\t|":
        for decimal, thousands in ((".", ""), (".", ","), (",", ""), (",", "."), (",", " "), (".", "'")):
            d = {"separator": separator, "decimal": decimal, "thousands": thousands, "mark": "?", "quote_all": False}
            d |= {"encoding": "utf-8", "ends": "\n", "above": "", "below": "", "blank": False}
            frame, _ = read(tmp_path, written(rows, 2, d))
            read_again += frame["units"].to_list() == [row[0] for row in rows]
    assert read_again == 24
