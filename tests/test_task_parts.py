"""What several tasks share, and each has once: filling of gaps, kinds of files, shared settings."""

from dataclasses import fields
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from carousel.tasks import settings_of, task_names
from carousel.tasks.gaps import forward_filled
from carousel.tasks.kinds_of_files import is_companion, is_companion_of_sequences
from carousel.tasks.table_settings import TableSettings
from carousel.training.settings import TrainingSettings, changed


@pytest.mark.parametrize("season", [1, 2, 5, 40])
@pytest.mark.parametrize("shape", [(0,), (1,), (23,), (30, 3)])
def test_a_gap_has_the_latest_value_of_its_phase(shape: tuple[int, ...], season: int) -> None:
    rng = np.random.default_rng(season)
    values = np.where(rng.random(shape) < 0.5, np.nan, rng.standard_normal(shape))
    expected = values.copy()
    for column in np.ndindex(shape[1:]):
        for phase in range(season):
            of_phase = (slice(phase, None, season), *column)
            expected[of_phase] = pl.Series(values[of_phase]).fill_nan(None).forward_fill().fill_null(np.nan).to_numpy()
    np.testing.assert_array_equal(forward_filled(values, season=season), expected)


# name: is it beside texts, is it beside sequences
NAMES = {
    "README": (True, True),
    "readme.md": (True, True),
    "LICENCE-2.txt": (True, True),
    "authors.txt": (False, True),
    "7_source.txt": (False, True),
    "my_notice.txt": (False, True),
    "sources.txt": (False, False),
    "noticed.txt": (False, False),
    "readme.wav": (True, False),
    "plan.png": (True, False),
    "theo.txt": (False, False),
}


@pytest.mark.parametrize("name", NAMES)
def test_what_describes_data_is_none_of_them(name: str) -> None:
    assert (is_companion(Path(name)), is_companion_of_sequences(Path(name))) == NAMES[name]


def test_a_shared_setting_is_declared_once() -> None:
    """A task declares a shared setting again only with another default or another line of help, by `changed`."""
    for task in task_names():
        settings = settings_of(task)
        assert issubclass(settings, TrainingSettings)
        for base in (TrainingSettings, TableSettings):
            for shared in fields(base) if issubclass(settings, base) else ():
                (own,) = (one for one in fields(settings) if one.name == shared.name)
                same = (own.default, own.metadata["help"]) == (shared.default, shared.metadata["help"])
                assert own is shared or not same, f"{task} declares {shared.name} as it is already"
                assert own.metadata["group"] == shared.metadata["group"]
    names = [one.name for task in task_names() for one in fields(settings_of(task)) if one.name in vars(TableSettings)]
    assert names, "some tasks read tables"


def test_a_changed_setting_keeps_what_is_not_changed() -> None:
    shared = {one.name: one for one in fields(TrainingSettings)}
    other, words = changed("hidden", default=7), changed("minutes", help="Long.")
    assert (other.default, other.metadata) == (7, shared["hidden"].metadata)
    assert (words.default, words.metadata["help"]) == (None, "Long.")
