"""Tables, from wherever they come: read as polars frames, given back in the kind that they came in.

    frame = read("sales.csv")            a file: CSV and its dialects, TSV, Parquet, Arrow IPC (Feather)
    frame = read(dataframe)              pandas, polars, Arrow, NumPy, or a mapping from names to columns
    give_back(frame, kind_of(dataframe)) the same kind again
    write(frame, "forecast.csv")         a file, whole or not at all

    with numbers_written(decimal=","):   the signs of numbers, where a file leaves them open
        frame = read("sales.csv")

Numbers are recognised; text stays text: what a column of dates or categories means is for the task to say.
"""

from typing import TYPE_CHECKING

from carousel.lazy import importer

if TYPE_CHECKING:
    from carousel.tasks.table.columns import not_numbers
    from carousel.tasks.table.libraries import give_back, kind_of
    from carousel.tasks.table.numbers import numbers_written
    from carousel.tasks.table.reading import BINARY, TEXT, foreign, is_table, listed, looks_like_table, read
    from carousel.tasks.table.writing import WRITTEN, write

__all__ = [
    "BINARY",
    "TEXT",
    "WRITTEN",
    "foreign",
    "give_back",
    "is_table",
    "kind_of",
    "listed",
    "looks_like_table",
    "not_numbers",
    "numbers_written",
    "read",
    "write",
]

# polars is imported with the first of them, so that models of text do not wait for it.
__getattr__ = importer(
    __name__,
    {
        "not_numbers": "carousel.tasks.table.columns",
        "give_back": "carousel.tasks.table.libraries",
        "kind_of": "carousel.tasks.table.libraries",
        "numbers_written": "carousel.tasks.table.numbers",
        "BINARY": "carousel.tasks.table.reading",
        "TEXT": "carousel.tasks.table.reading",
        "foreign": "carousel.tasks.table.reading",
        "is_table": "carousel.tasks.table.reading",
        "listed": "carousel.tasks.table.reading",
        "looks_like_table": "carousel.tasks.table.reading",
        "read": "carousel.tasks.table.reading",
        "WRITTEN": "carousel.tasks.table.writing",
        "write": "carousel.tasks.table.writing",
    },
)
