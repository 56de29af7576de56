"""Reading sequences: .ts files, tables, arrays, sounds, folders; and the words where they cannot be read."""

import builtins
import math
import struct
import wave
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from carousel.errors import DataError
from carousel.tasks.classification.arrays import from_python, read_npz
from carousel.tasks.classification.sources import read_examples, recognize
from carousel.tasks.classification.ts_file import read_ts
from carousel.tasks.sequences import tables
from carousel.tasks.sequences.examples import Columns, joined, plain
from carousel.tasks.sequences.front_ends.audio import AudioFrontEnd
from carousel.tasks.sequences.recordings import Sound, as_samples, read_recording, resampled, whole_numbers

# -- .ts ------------------------------------------------------------------------------------------------------------

TRICKY = """# a comment with a café in it
#another
@problemName Tricky
@TimeStamps false
@missing true

@univariate false
@dimensions 2
@equalLength false
@classLabel true left right
@DATA
# a comment among the cases
1,2,?:4,5,6:left

-1e-3 , +2.5 :NaN,7:right
?,?,1,?:2,3,4,NaN:left
"""


def test_a_ts_file_with_comments_missing_values_unequal_lengths_and_padding(tmp_path: Path) -> None:
    file = tmp_path / "tricky.ts"
    file.write_bytes(b"\xef\xbb\xbf" + TRICKY.encode("latin-1"))
    examples = read_ts(file)
    assert examples.labels == ["left", "right", "left"]
    assert examples.names == ["tricky.ts:13", "tricky.ts:15", "tricky.ts:16"]
    nan = np.nan
    np.testing.assert_array_equal(examples.items[0], np.array([[1, 4], [2, 5], [nan, 6]], np.float32))
    np.testing.assert_array_equal(examples.items[1], np.array([[-1e-3, nan], [2.5, 7]], np.float32))
    np.testing.assert_array_equal(
        examples.items[2], np.array([[nan, 2], [nan, 3], [1, 4]], np.float32), "a last step of ? is padding"
    )


def test_ts_stamps_are_passed_over_and_labels_may_be_absent(tmp_path: Path) -> None:
    file = tmp_path / "stamped.ts"
    file.write_text("@timeStamps true\n@classLabel false\n@data\n(0,1.5),(1,?),(4,2.5)\n")
    examples = read_ts(file)
    assert examples.labels is None
    np.testing.assert_array_equal(examples.items[0], np.array([[1.5], [np.nan], [2.5]], np.float32))


@pytest.mark.parametrize(
    ("header", "case", "message"),
    [
        ("@classLabel true a b", "1,2:c", r"line 3: the class 'c' is none of those that the header names: a, b"),
        ("@classLabel true a b", "1,2:", r"line 3: the class is missing"),
        ("@classLabel true a b", "a", r"there is a class, and no values before it"),
        ("@classLabel true a b", "1,x:a", r"line 3: 'x' is no number. A missing value is written \?"),
        ("@classLabel true a b", "1,inf:a", r"a value is infinite"),
        ("@classLabel true a b\n@univariate true", "1:2:a", r"line 4: the header says @univariate true.*2 channels"),
        ("@classLabel true a b\n@dimensions 3", "1:2:a", r"the header says @dimensions 3, and this case has 2"),
        ("@classLabel true a b\n@equalLength true", "1,2:a\n1:b", r"line 5: the header says @equalLength true"),
        ("@classLabel true a b", "1,2:a\n1:2:b", r"line 4: every case must have the same channels"),
        ("@classLabel true a b", "", r"has no case after its @data line"),
        ("@targetLabel true", "1,2:0.5", r"a number to predict \(@targetLabel\), not a class"),
    ],
)
def test_a_ts_file_that_contradicts_itself_is_refused_with_the_line(
    tmp_path: Path, header: str, case: str, message: str
) -> None:
    (tmp_path / "bad.ts").write_text(f"{header}\n@data\n{case}\n")
    with pytest.raises(DataError, match=message):
        read_ts(tmp_path / "bad.ts")


def test_what_is_no_ts_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "bad.ts").write_text("1,2,3\n")
    with pytest.raises(DataError, match="has no line @data"):
        read_ts(tmp_path / "bad.ts")


# -- sounds ---------------------------------------------------------------------------------------------------------


def write_wav(path: Path, samples: np.ndarray, *, rate: int = 8000, width: int = 2) -> Path:
    """samples between -1 and 1, (n,) or (n, channels); the bytes packed one by one, as the format has them."""
    rows = np.atleast_2d(samples.T).T
    full = 2 ** (8 * width - 1)
    content = bytearray()
    for value in rows.reshape(-1):
        whole = max(-full, min(full - 1, round(float(value) * full)))
        content += struct.pack("B", whole + 128) if width == 1 else struct.pack("<i", whole)[:width]
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(rows.shape[1])
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(bytes(content))
    return path


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_wav_files_of_every_width_stereo_made_mono(tmp_path: Path, width: int) -> None:
    chance = np.random.default_rng(0)
    samples = chance.uniform(-1, 0.99, (50, 2))
    recording = read_recording(write_wav(tmp_path / "a.wav", samples, rate=11_025, width=width))
    assert recording.rate == 11_025
    # Half a step of each channel's whole numbers, and float32's rounding.
    np.testing.assert_allclose(recording.samples, samples.mean(1), atol=0.5 * 2.0 ** -(8 * width - 1) + 1e-7)


@pytest.mark.parametrize(("width", "dtype"), [(1, "u1"), (2, "<i2"), (4, "<i4"), (2, ">i2")])
def test_whole_numbers_mean_the_same_in_an_array_a_stream_and_a_file(tmp_path: Path, width: int, dtype: str) -> None:
    chance = np.random.default_rng(0)
    file = write_wav(tmp_path / "a.wav", chance.uniform(-1, 0.99, 4000), rate=8000, width=width)
    with wave.open(str(file), "rb") as opened:
        content = opened.readframes(opened.getnframes())
    whole = np.frombuffer(content, "u1" if width == 1 else f"<i{width}").astype(dtype)
    recording = read_recording(file)
    (held,) = from_python([whole], rate=8000).items
    assert held.samples.dtype == np.float32
    np.testing.assert_array_equal(held.samples, recording.samples)
    front_end = AudioFrontEnd(8000)
    stream = front_end.stream()
    arrived = [stream.push(piece) for piece in np.split(whole, [1, 700, 2001])]
    # Sums of 200 numbers or so in another order, in float32; the logarithm makes it a difference of that size.
    np.testing.assert_allclose(np.concatenate(arrived), front_end.steps(recording), atol=1e-5)


def test_the_samples_of_a_sound() -> None:
    assert as_samples(np.array([0, 128, 255], np.uint8)).tolist() == [-1.0, 0.0, 127 / 128]
    assert as_samples(np.array([-32768, 0, 16384], np.int16)).tolist() == [-1.0, 0.0, 0.5]
    assert as_samples(np.array([0, 2**15], np.uint16)).tolist() == [-1.0, 0.0]
    assert as_samples([0.25, -2.0]).tolist() == [0.25, -2.0]
    assert len(as_samples([])) == 0
    for strange in ([1, 2], [True], ["a"], [1j]):
        with pytest.raises(DataError, match=r"floats between -1 and 1, or whole numbers of 8, 16 or 32 bits.*astype"):
            as_samples(np.array(strange))
    for push in (AudioFrontEnd(8000).stream().push, as_samples):
        with pytest.raises(DataError, match=r"samples \(n,\), one channel, and these have the shape \(2, 2\)"):
            push(np.zeros((2, 2)))


def test_the_ends_of_the_scale() -> None:
    assert whole_numbers(bytes([0, 128, 255]), 1).tolist() == [-1.0, 0.0, 127 / 128]
    assert whole_numbers(b"\x00\x00\x80\xff\xff\xff\x00\x00\x00", 3).tolist() == [-1.0, -(2.0**-23), 0.0]


@given(st.sampled_from([8000, 11025, 16000, 22050, 44100, 48000]), st.sampled_from([8000, 16000, 22050, 44100]))
def test_a_tone_below_both_rates_keeps_its_pitch_strength_and_phase(rate: int, wanted: int) -> None:
    """The oracle is the tone itself, sampled at the wanted rate."""
    pytest.importorskip("soxr")
    seconds, tone = 0.1, 0.2 * min(rate, wanted)
    ours = resampled(np.sin(2 * np.pi * tone * np.arange(int(seconds * rate)) / rate).astype(np.float32), rate, wanted)
    assert len(ours) == math.ceil(int(seconds * rate) * wanted / rate)
    expected = np.sin(2 * np.pi * tone * np.arange(len(ours)) / wanted)
    inside = slice(len(ours) // 4, 3 * len(ours) // 4)  # at the ends the filter reaches beyond the sound
    np.testing.assert_allclose(ours[inside], expected[inside], atol=2e-3)


def test_what_a_lower_rate_cannot_hold_is_filtered_out() -> None:
    pytest.importorskip("soxr")
    tone = np.sin(2 * np.pi * 7000 * np.arange(4410) / 44_100).astype(np.float32)
    assert np.abs(resampled(tone, 44_100, 8000)[200:-200]).max() < 1e-2  # 4 kHz is the most that 8 kHz can hold


def test_an_alias_is_weaker_than_what_16_bits_can_hold() -> None:
    """A tone a tenth above the highest frequency of the new rate, in decibels of its strength before."""
    pytest.importorskip("soxr")
    for rate, wanted in ((44_100, 16_000), (48_000, 8000), (16_000, 8000)):
        tone = np.sin(2 * np.pi * 1.1 * wanted / 2 * np.arange(rate) / rate).astype(np.float32)
        left = resampled(tone, rate, wanted)[wanted // 4 : -wanted // 4].astype(np.float64)
        assert 10 * np.log10(2 * np.square(left).mean()) < -96


@pytest.mark.parametrize("count", [0, 1, 2, 999, 4411])
def test_a_resampled_sound_has_the_length_that_its_time_says(count: int) -> None:
    pytest.importorskip("soxr")
    for rate, wanted in ((44_100, 16_000), (8000, 44_100), (11_025, 8000)):
        sound = resampled(np.ones(count, np.float32), rate, wanted)
        assert (len(sound), sound.dtype) == (math.ceil(count * wanted / rate), np.float32)


def test_damaged_and_missing_sounds_are_said(tmp_path: Path) -> None:
    (tmp_path / "broken.wav").write_bytes(b"RIFF and no more")
    with pytest.raises(DataError, match=r"broken.wav is no WAV file that can be read \(.+\)"):
        read_recording(tmp_path / "broken.wav")
    (tmp_path / "cut.wav").write_bytes(write_wav(tmp_path / "a.wav", np.zeros(9)).read_bytes()[:30])
    with pytest.raises(DataError, match=r"cut.wav is no WAV file that can be read \(it breaks off\)"):
        read_recording(tmp_path / "cut.wav")
    with pytest.raises(DataError, match=r"There is no file .*gone.wav"):
        read_recording(tmp_path / "gone.wav")


def without(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a package is not installed."""
    importing = builtins.__import__

    def refusing(name: str, *rest, **more):
        if name == package:
            raise ImportError(name)
        return importing(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refusing)


def test_without_soundfile_flac_is_refused_with_what_to_install(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "clip.flac").write_bytes(b"fLaC")
    without("soundfile", monkeypatch)
    with pytest.raises(
        DataError, match=r"soundfile, which reads FLAC files. Install it: pip install 'carousel-rnn\[audio\]'"
    ):
        read_recording(tmp_path / "clip.flac")


def test_without_soxr_another_rate_is_refused_with_what_to_install(monkeypatch) -> None:
    without("soxr", monkeypatch)
    sound = Sound(np.zeros(9, np.float32), 44_100)
    assert sound.at(44_100) is sound
    with pytest.raises(
        DataError,
        match=r"Sounds of 44,100 samples a second are to be read at 8,000, which needs the package soxr. Install it: "
        r"pip install 'carousel-rnn\[audio\]'",
    ):
        sound.at(8000)


def test_flac_and_float_wav_are_read_with_soundfile(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    sound = np.random.default_rng(0).uniform(-0.9, 0.9, (400, 2)).astype(np.float32)
    for name, subtype in (("a.flac", "PCM_16"), ("b.wav", "FLOAT"), ("c.au", "PCM_16"), ("d.aiff", "PCM_16")):
        soundfile.write(str(tmp_path / name), sound, 16_000, subtype=subtype)
        recording = read_recording(tmp_path / name)
        assert recording.rate == 16_000
        np.testing.assert_allclose(recording.samples, sound.mean(1), atol=2**-15)
    tone = 0.5 * np.sin(0.1 * np.arange(8000))
    for name in ("e.ogg", "f.mp3"):  # which lose a little
        soundfile.write(str(tmp_path / name), tone, 16_000)
        recording = read_recording(tmp_path / name)
        assert (recording.rate, len(recording.samples)) == (16_000, 8000)
        np.testing.assert_allclose(recording.samples[1000:-1000], tone[1000:-1000], atol=0.1)


# -- tables ---------------------------------------------------------------------------------------------------------

LONG = pl.DataFrame(
    {
        "subject": ["ann", "ann", "bob", "ann", "bob"],
        "id": ["s1", "s1", "s2", "s1", "s2"],
        "time": [2, 0, 5, 1, 4],
        "speed": [0.2, 0.0, 5.0, None, 4.0],
        "turn": [2, 0, 50, 1, 40],
        "note": ["x", "y", "z", "u", "v"],
        "label": ["walk", "walk", "run", "walk", "run"],
    }
)


def test_a_table_in_long_form_finds_its_columns_sorts_and_says(tmp_path: Path) -> None:
    LONG.write_csv(tmp_path / "moves.csv")
    LONG.write_parquet(tmp_path / "moves.parquet")
    for name in ("moves.csv", "moves.parquet"):
        examples = read_examples([tmp_path / name], Columns())
        assert (examples.names, examples.labels, examples.groups) == (["s1", "s2"], ["walk", "run"], ["ann", "bob"])
        assert examples.channels == ("speed", "turn")
        np.testing.assert_array_equal(examples.items[0], np.array([[0, 0], [np.nan, 1], [0.2, 2]], np.float32))
        np.testing.assert_array_equal(examples.items[1], np.array([[4, 40], [5, 50]], np.float32))
        said = "\n".join(examples.said)
        assert "the rows of a sequence share their 'id', in the order of 'time'; classes from 'label'" in said
        assert "groups from 'subject'" in said
        assert "not read, as they are no numbers: note" in said


@pytest.mark.parametrize(
    ("change", "columns", "message"),
    [
        ({"label": ["walk", "run", "run", "walk", "run"]}, {}, r"s1 must have one class.*'label' has run, walk"),
        ({"time": [2, 2, 5, 1, 4]}, {}, r"s1 has two rows of the same time"),
        ({"id": ["s1", None, "s2", "s1", "s2"]}, {}, r"in 1 rows the column 'id' \(--id\) is empty"),
        ({}, {"label": "klass"}, r"There is no column 'klass' \(--label\). The columns are: subject, id, time"),
        ({"speed": [1.0, float("inf"), 1.0, 1.0, 1.0]}, {}, r"s1 has an infinite value"),
    ],
)
def test_what_is_wrong_with_a_table_is_said(change: dict, columns: dict, message: str) -> None:
    frame = LONG.with_columns(**{name: pl.Series(values) for name, values in change.items()})
    with pytest.raises(DataError, match=message):
        tables.read_table(frame, "moves.csv", Columns(**columns))


def test_a_table_that_leaves_open_what_a_sequence_is() -> None:
    frame = LONG.select("speed", "turn", "label")
    with pytest.raises(DataError, match=r"it is not clear what a sequence is.*--id.*--text"):
        tables.read_table(frame, "moves.csv", Columns())
    one = tables.read_table(frame.drop("label"), "moves.csv", Columns(), asked=True)
    assert len(one) == 1, "a trained model may be asked about a single sequence"


def test_a_table_whose_classes_are_not_all_known_can_be_asked_about() -> None:
    frame = pl.DataFrame({"text": ["good", "bad"], "label": ["pos", None], "speaker": ["ann", None]})
    assert tables.read_table(frame.drop("speaker"), "a.csv", Columns(), asked=True).labels is None
    with pytest.raises(DataError, match=r"'speaker' \(--group\) is empty in 1 row.*Every sequence needs its group"):
        tables.read_table(frame.drop("label"), "a.csv", Columns())


def test_a_column_that_is_named_decides_what_the_table_is() -> None:
    with pytest.raises(DataError, match=r"the column 'speed' \(--text\) holds Float64, not text"):
        tables.read_table(LONG, "moves.csv", Columns(text="speed"))
    assert tables.read_table(LONG, "moves.csv", Columns(text="note")).kind == "text"


def test_a_model_reads_its_own_channels_by_name() -> None:
    examples = tables.read_table(LONG, "moves.csv", Columns(), channels=("turn",))
    assert examples.channels == ("turn",)
    with pytest.raises(DataError, match=r"moves.csv lacks the column height that the model reads"):
        tables.read_table(LONG, "moves.csv", Columns(), channels=("height",))


def test_texts_in_a_table(tmp_path: Path) -> None:
    (tmp_path / "reviews.tsv").write_text("sentiment\treview\n1\tgood\n0\tbad\n")
    examples = read_examples([tmp_path / "reviews.tsv"], Columns())
    assert (examples.kind, examples.items, examples.labels) == ("text", ["good", "bad"], [1, 0])
    (tmp_path / "holes.tsv").write_text("sentiment\treview\n1\tgood\n\tbad\n")
    with pytest.raises(DataError, match=r"'sentiment' \(--label\) is empty in 1 row, the first of them row 2"):
        read_examples([tmp_path / "holes.tsv"], Columns())


# -- arrays ---------------------------------------------------------------------------------------------------------


def test_arrays_lists_padding_and_labels() -> None:
    padded = np.array([[1.0, 2.0, np.nan], [3.0, np.nan, 5.0]])
    examples = from_python(padded, np.array([2.0, 1.0]))
    assert examples.items[0].tolist() == [[1.0], [2.0]], "steps of NaN at the end are padding"
    assert len(examples.items[1]) == 3
    assert examples.labels == [2, 1]
    assert from_python(["a", "b"]).kind == "text"
    assert from_python([np.zeros(9, np.int16)], rate=8000).items[0].rate == 8000
    assert from_python([Sound(np.zeros(3, np.float32), 16_000)]).kind == "audio"


@pytest.mark.parametrize(
    ("x", "options", "message"),
    [
        ([], {}, "there is no sequence: X is empty"),
        ([[[1.0, 2.0]], [[1.0]]], {}, r"X\[0\] has 2, and X\[1\] has 1"),
        (["a", [1.0]], {}, r"X\[0\] must be numbers.*A list of strings is text"),
        ([np.zeros((2, 2, 2))], {}, r"X\[0\] must be \(T, C\)"),
        ([[1.0, np.inf]], {}, r"X\[0\] has an infinite value"),
        ([np.zeros((2, 2))], {"rate": 8000}, r"X\[0\]: a sound is samples \(n,\)"),
        ([[1.0]], {"y": [1, 2]}, r"y must have one entry for each of the 1 sequences; it has 2"),
        ([[1.0]], {"y": [None]}, "A class is missing"),
        ([[1.0]], {"y": [float("nan")]}, "A class is missing"),
        ([[1.0]], {"y": [(1, 2)]}, "A class is a text or a number, not tuple"),
    ],
)
def test_arrays_that_cannot_be_used(x, options: dict, message: str) -> None:
    with pytest.raises(DataError, match=f"(?i){message}"):
        from_python(x, options.pop("y", None), **options)


def test_npz_with_lengths_and_nothing_executed(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", X=np.arange(10.0).reshape(5, 2), lengths=[2, 0, 3], y=["a", "b", "a"])
    examples = read_npz(tmp_path / "a.npz")
    assert [item.shape for item in examples.items] == [(2, 2), (0, 2), (3, 2)]
    assert examples.labels == ["a", "b", "a"]
    np.savez(tmp_path / "b.npz", X=np.array([[1.0], [1.0, 2.0]], dtype=object))
    with pytest.raises(DataError, match="holds Python objects, which reading could execute"):
        read_npz(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", X=np.zeros((5, 2)), lengths=[2, 2])
    with pytest.raises(DataError, match="lengths must add up to the 5 steps of X; they add up to 4"):
        read_npz(tmp_path / "c.npz")


def test_labels_become_what_json_can_hold() -> None:
    values = [plain(value) for value in (np.int64(3), 3.0, np.float32(2.5), np.str_("a"), True)]
    assert values == [3, 3, 2.5, "a", True]
    assert [type(value) for value in values] == [int, int, float, str, bool]


# -- folders --------------------------------------------------------------------------------------------------------


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    for label in ("cat", "dog"):
        for take in range(2):
            write_wav(tmp_path / "sounds" / label / f"{label}_{take}.wav", np.zeros(400))
    (tmp_path / "sounds" / "README.txt").write_text("where they are from")
    return tmp_path / "sounds"


def test_class_folders_listings_and_names_of_files(sounds: Path) -> None:
    by_folder = read_examples([sounds], Columns())
    assert (by_folder.kind, by_folder.labels) == ("audio", ["cat", "cat", "dog", "dog"])
    files = sorted(sounds.rglob("*.wav"))
    by_shell = read_examples(files, Columns())
    assert by_shell.labels == by_folder.labels
    by_name = read_examples(files, Columns(names="{label}_{group}"))
    assert (by_name.labels, by_name.groups) == (by_folder.labels, ["0", "1", "0", "1"])
    (sounds / "list.tsv").write_text("file\tclass\tfold\ncat_0.wav\tmeow\t1\ndog_1.wav\twoof\t2\n")
    listed = read_examples([sounds], Columns())
    assert (listed.names, listed.labels, listed.groups) == (["cat_0.wav", "dog_1.wav"], ["meow", "woof"], [1, 2])
    (sounds / "bad.tsv").write_text("file\tclass\ncat_0.wav\tmeow\ncow_1.wav\tmoo\n")
    with pytest.raises(DataError, match=r"row 2 below the names: there is no file 'cow_1.wav'"):
        read_examples([sounds / "bad.tsv"], Columns())


def test_names_that_do_not_fit_their_pattern(sounds: Path) -> None:
    files = sorted(sounds.rglob("*.wav"))
    with pytest.raises(DataError, match=r"cat_0.wav does not fit the pattern '\{label\}-\{group\}'"):
        read_examples(files, Columns(names="{label}-{group}"))
    assert read_examples(files, Columns(names="{label}-{group}"), asked=True).groups is None
    for pattern in ("*", "{label}_{label}"):
        with pytest.raises(DataError, match=r"must say once where the class stands, as \{label\}"):
            read_examples(files, Columns(names=pattern))


def test_folders_of_texts_and_of_tables(tmp_path: Path) -> None:
    for label in ("neg", "pos"):
        for k in range(2):
            (tmp_path / "texts" / label).mkdir(parents=True, exist_ok=True)
            (tmp_path / "texts" / label / f"{k}.txt").write_text(f"{label} {k}")
            (tmp_path / "tables" / label).mkdir(parents=True, exist_ok=True)
            (tmp_path / "tables" / label / f"{k}.csv").write_text("time,x,y\n1,3,4\n0,1,2\n")
    texts = read_examples([tmp_path / "texts"], Columns())
    assert texts.items == ["neg 0", "neg 1", "pos 0", "pos 1"]
    series = read_examples([tmp_path / "tables"], Columns())
    assert (series.channels, series.labels) == (("x", "y"), ["neg", "neg", "pos", "pos"])
    np.testing.assert_array_equal(series.items[0], np.array([[1, 2], [3, 4]], np.float32))


def test_what_is_recognised_and_why(sounds: Path, tmp_path: Path) -> None:
    LONG.write_csv(tmp_path / "moves.csv")
    LONG.drop("label").write_csv(tmp_path / "unlabelled.csv")
    LONG.rename({"label": "category"}).write_csv(tmp_path / "sales.csv")
    (tmp_path / "reviews.csv").write_text("text,category\nfine,good\n")
    (tmp_path / "a.ts").write_text("")
    (tmp_path / "book.txt").write_text("once upon a time")
    (tmp_path / "book").mkdir()
    (tmp_path / "book" / "one.txt").write_text("once")
    np.savez(tmp_path / "a.npz", X=np.zeros(3))
    reasons = {
        sounds: "2 folders, named by class, of sound files",
        tmp_path / "moves.csv": "a table with a column of classes",
        tmp_path / "unlabelled.csv": None,
        tmp_path / "sales.csv": None,
        tmp_path / "reviews.csv": "a table with a column of classes",
        tmp_path / "a.ts": "a .ts file of the UCR and UEA archives",
        tmp_path / "a.npz": "an .npz file with sequences X",
        tmp_path / "book.txt": None,
        tmp_path / "book": None,
        tmp_path / "gone": None,
        sounds / "cat": "sound files",
    }
    for path, reason in reasons.items():
        assert recognize([path], {}) == reason, path
    for column in ("note", "kolour"):  # if it is not there, reading the table says so
        assert recognize([tmp_path / "unlabelled.csv"], {"label": column}) is not None


def test_kinds_are_not_mixed_and_nothing_is_said_to_be_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Data that are read together must be of one kind"):
        joined([from_python(["a"]), from_python([[1.0]])])
    with pytest.raises(DataError, match=r"There is no file .*gone"):
        read_examples([tmp_path / "gone"], Columns())
    (tmp_path / "a.exe").write_bytes(b"")
    with pytest.raises(DataError, match=r"a.exe holds no sequences that can be read: a file is .ts, .npz"):
        read_examples([tmp_path / "a.exe"], Columns())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no sound, text or table"):
        read_examples([tmp_path / "empty"], Columns())
