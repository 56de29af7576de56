"""Pairs whose sources are series of numbers: how they are recognised, read, brought to steps, and captioned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from carousel import Captioner, SeriesCaptioner, Translator, inspect
from carousel.cli import app
from carousel.errors import DataError, RunError
from carousel.insight.series_alignment import series_alignment_figure
from carousel.tasks import catalogue
from carousel.tasks.pairs import Settings, sources
from carousel.tasks.pairs.nearest import NearestInTime
from carousel.tasks.pairs.sources.series import SeriesSource
from carousel.tasks.pairs.sources.series_files import Series

SMALL: dict = {"hidden": 8, "threads": 1, "epochs": 1, "batch": 4}
WAYS = {"rises": 1.0, "falls": -1.0, "rests": 0.0}


def moves(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[str]]:
    """Series of two channels, the second noise, and what the first does, in words."""
    rng = np.random.default_rng(seed)
    series, texts = [], []
    for _ in range(count):
        words = rng.permutation(list(WAYS))[: rng.integers(1, 4)].tolist()
        ways = np.concatenate([np.full(rng.integers(3, 6), WAYS[word]) for word in words])
        series.append(np.stack([ways.cumsum(), rng.normal(size=len(ways))], 1))
        texts.append(" then ".join(words))
    return series, texts


def frame_of(count: int = 24, **columns: object) -> pl.DataFrame:
    series, texts = moves(count)
    rows = [
        {"id": f"s{k}", "t": t, "level": one[t, 0], "noise": one[t, 1], "caption": text}
        for k, (one, text) in enumerate(zip(series, texts, strict=True))
        for t in range(len(one))
    ]
    return pl.DataFrame(rows).with_columns(**{name: pl.lit(value) for name, value in columns.items()})


def carousel(*words: object) -> None:
    app([str(word) for word in words], result_action="return_value")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("series") / "moves.csv"
    frame_of().write_csv(path)
    return path


@pytest.fixture(scope="module")
def run(table: Path) -> Path:
    Captioner(**SMALL).fit(table, out=table.parent / "run")
    return table.parent / "run"


# -- what is recognised and read ------------------------------------------------------------------------------------


def test_series_with_texts_are_recognised_and_read(table):
    task, why = catalogue.task_for([table], {})
    assert (task, why) == ("pairs", "series of numbers with a text each (caption)")
    pairs = sources.read([table])
    series, texts = moves(24)
    assert pairs.kind == "series"
    assert pairs.targets == texts
    assert [one.name for one in pairs.sources] == [f"s{k}" for k in range(24)]
    for one, values in zip(pairs.sources, series, strict=True):
        np.testing.assert_allclose(one.values, values, rtol=1e-6)
    assert pairs.said[0].startswith(
        "24 series, 3 to 15 steps each, 8 on average, of 2 channels (level, noise); the rows"
    )


def test_rows_in_another_order_are_the_same_series(table, tmp_path):
    pl.read_csv(table).sample(fraction=1.0, shuffle=True, seed=1).write_csv(tmp_path / "mixed.csv")
    mixed = {one.name: one.values for one in sources.read([tmp_path / "mixed.csv"]).sources}
    for one in sources.read([table]).sources:
        np.testing.assert_array_equal(mixed[one.name], one.values)


OTHERS = {
    "classes": (frame_of().rename({"caption": "label"}).with_columns(label=pl.col("label").str.slice(0, 5)), {}),
    "a class that is called text": (frame_of().with_columns(caption=pl.col("caption").str.slice(0, 5)), {}),
    "no ids": (frame_of().drop("id"), {}),
    "no numbers": (frame_of().drop("level", "noise", "t"), {}),
    "a text for each row": (frame_of().with_row_index().with_columns(caption=pl.format("row {}", "index")), {}),
    "labels are asked for": (frame_of(), {"label": "caption"}),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_tables_are_no_series_with_texts(tmp_path, case):
    frame, options = OTHERS[case]
    frame.write_csv(tmp_path / "a.csv")
    assert SeriesSource.recognize([tmp_path / "a.csv"], options) is None


def test_any_column_of_texts_can_be_named(tmp_path):
    frame_of().rename({"caption": "remark", "id": "machine"}).write_csv(tmp_path / "a.csv")
    options = {"target": "remark", "source": "machine"}
    assert SeriesSource.recognize([tmp_path / "a.csv"], {}) is None
    assert catalogue.task_for([tmp_path / "a.csv"], options)[0] == "pairs"
    assert sources.read([tmp_path / "a.csv"], source="machine", target="remark").targets == moves(24)[1]


def test_parts_of_a_table_are_kept_to(tmp_path):
    parts = {"s0": "valid", "s1": "valid", "s2": "test"}
    frame_of().with_columns(split=pl.col("id").replace_strict(parts, default="train")).write_csv(tmp_path / "a.csv")
    pairs = sources.read([tmp_path / "a.csv"])
    assert list(pairs.held or ()) == [True, True, *[False] * 21]
    assert [one.name for one in sources.read([tmp_path / "a.csv"], asked=True).sources] == ["s2"]
    divided = frame_of().with_columns(split=pl.Series(["valid" if k == 1 else "train" for k in range(len(frame_of()))]))
    divided.write_csv(tmp_path / "b.csv")
    with pytest.raises(DataError, match=r"some rows of the series s0 are to learn from and some to validate on"):
        sources.read([tmp_path / "b.csv"])


READ: dict[str, tuple[pl.DataFrame, str | None, str]] = {
    "two texts": (
        frame_of().with_row_index().with_columns(caption=pl.col("caption") + pl.col("index").cast(pl.String)),
        None,
        r"The sequence s0 must have one",
    ),
    "no id": (frame_of().drop("id"), None, r"no column says which series each row belongs to\. Name it --source"),
    "no text": (
        frame_of().drop("caption"),
        None,
        r"no column of texts to write: name one caption or",
    ),
    "another text": (frame_of(), "remark", r"has no column 'remark' \(--target\)"),
    "infinity": (frame_of(noise=float("inf")), None, r"the sequence s0 has an infinite value"),
}


@pytest.mark.parametrize("case", READ)
def test_tables_that_are_no_pairs_are_refused(tmp_path, case):
    frame, target, message = READ[case]
    frame.write_csv(tmp_path / "a.csv")
    with pytest.raises(DataError, match=message):
        sources.read([tmp_path / "a.csv"], kinds=["series"], target=target)


def test_numbers_are_no_side_of_a_table_of_texts(tmp_path):
    frame_of().drop("id").write_csv(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"would be t of .*which holds numbers and no texts\. Name the columns of"):
        sources.read([tmp_path / "a.csv"], kinds=["text"])
    assert len(sources.read([tmp_path / "a.csv"], kinds=["text"], source="t", target="caption")) == len(frame_of())


# -- steps ----------------------------------------------------------------------------------------------------------


def test_steps_are_standardised_values_gaps_and_changes():
    rng = np.random.default_rng(3)
    kept = [1e9 + rng.normal(size=(n, 1)) for n in (5, 9, 30)]
    kept[1][4] = np.nan
    source = SeriesSource.shaped([Series(kept[0], ("x",))], Settings()).learnt(kept, Settings())
    filled = [one.copy() for one in kept]
    filled[1][4] = filled[1][3]
    parts = [
        np.concatenate([f, np.isnan(k), np.diff(f, axis=0, prepend=f[:1])], 1)
        for f, k in zip(filled, kept, strict=True)
    ]
    every = np.concatenate(parts)
    for one, part in zip(kept, parts, strict=True):
        np.testing.assert_allclose(source.steps(one), (part - every.mean(0)) / every.std(0), atol=1e-5)
    again = sources.from_json(source.to_json())
    np.testing.assert_array_equal(again.steps(kept[1]), source.steps(kept[1]))


def test_the_nearest_series_answers():
    rng = np.random.default_rng(4)
    kept = [rng.normal(size=(n, 2)) for n in (6, 8, 20)]
    memory = NearestInTime(lambda one: one, kept, ["a", "b", "c"])
    assert [memory.answer(one + 0.01) for one in kept] == ["a", "b", "c"]
    assert memory.answer(np.zeros((0, 2))) == ""


# -- models ---------------------------------------------------------------------------------------------------------


def test_a_file_and_arrays_give_the_same_model(run):
    series, texts = moves(24)
    model = SeriesCaptioner(**SMALL).fit([one.astype(np.float64) for one in series], texts)
    other = Captioner.load(run)
    assert model.predict(series[:4]).tolist() == other.predict(series[:4]).tolist()
    assert SeriesCaptioner.load(run).predict(series[:4]).tolist() == other.predict(series[:4]).tolist()


def test_a_model_learns_what_series_do():
    series, texts = moves(60)
    model = SeriesCaptioner(hidden=32, epochs=40, batch=8, dropout=0.0, learning_rate=1e-2, threads=1)
    model.fit(series, texts)
    assert model.score(series, texts) > 0.9


WRONG = {
    "other channels": (
        lambda: [np.zeros((4, 3))],
        r"The model reads 2 channels \(level, noise\), and an array with 3 is given",
    ),
    "a text": (lambda: "rises", "Series are given as a list of arrays"),
    "unequal channels": (lambda: [np.zeros((4, 2)), np.zeros((4, 3))], "the first has 2, and series 2 has 3"),
    "infinity": (lambda: [np.full((4, 2), np.inf)], "series 1 has an infinite value"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_series_is_refused(run, case):
    given, message = WRONG[case]
    with pytest.raises(DataError, match=message):
        Captioner.load(run).predict(given())


def test_a_table_without_a_channel_is_refused(run, table, tmp_path):
    pl.read_csv(table).drop("noise").write_csv(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"s0 lacks noise: all series have the same channels, level, noise"):
        carousel("caption", run, tmp_path / "a.csv")


def test_the_run_is_for_captioners(run):
    with pytest.raises(RunError, match=r"reads series, and Translator is for runs that read texts.*carousel caption"):
        Translator.load(run)


def test_commands_answer_for_tables(run, table, tmp_path, capsys):
    pl.read_csv(table).filter(pl.col("id") == "s3").drop("id", "caption").write_csv(tmp_path / "one.csv")
    carousel("caption", run, table)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 24
    carousel("caption", run, tmp_path / "one.csv", "--alignment", tmp_path / "a.png")
    assert capsys.readouterr().out.splitlines()[0] == lines[3]
    assert (tmp_path / "a.png").stat().st_size > 5000
    carousel("evaluate", run, table)
    assert "nearest series' text" in capsys.readouterr().out


def test_the_page_shows_a_series(run, tmp_path):
    inspect(run, out=tmp_path / "page")
    assert list((tmp_path / "page").rglob("*alignment.png"))


def test_the_picture_has_curves_above_the_weights():
    rng = np.random.default_rng(5)
    series = rng.normal(size=(9, 8))
    series[2, 0] = np.nan
    weights = rng.dirichlet(np.ones(9), 3)
    figure = series_alignment_figure(
        weights, series=series, channels=[f"c{k}" for k in range(8)], written=["a", "b", "·"]
    )
    above, below = figure.axes[:2]
    assert len(above.lines) == 6
    assert np.isnan(above.lines[0].get_ydata()[2])
    curve = np.delete(above.lines[0].get_ydata(), 2)
    np.testing.assert_allclose([curve.mean(), curve.std()], [0, 1], atol=1e-12)
    np.testing.assert_array_equal(below.images[0].get_array(), weights)
    assert above.get_legend().get_title().get_text() == "read, 2 more left out"
