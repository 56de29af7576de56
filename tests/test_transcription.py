"""Sounds and their texts: what is recognised and read, what is refused, and what is written, also as sound arrives."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import tones

from carousel import DataError, RunError, Transcriber, Translator, inspect
from carousel.cli import app
from carousel.models.ctc_model import best_path
from carousel.models.source_readers import FrameReader
from carousel.tasks import catalogue
from carousel.tasks.pairs import Settings, sources
from carousel.tasks.pairs.scoring import edits, scores
from carousel.tasks.pairs.sources.sound import SoundSource

TEXTS = [f"{a}{b}{c}" for a in "abc" for b in "ade" for c in ("", " b")]
SMALL: dict = {"hidden": 12, "threads": 1, "epochs": 3, "batch": 6}


def carousel(*words: object) -> None:
    app([str(word) for word in words], result_action="return_value")


def written(path: Path, samples: np.ndarray, rate: int = 8000, channels: int = 1) -> Path:
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes((np.asarray(samples) * 32767).astype("<i2").tobytes())
    return path


def folder_of(folder: Path, texts: list[str], column: str = "text", more: str = "") -> Path:
    """A folder with a sound for each text, and a table of them. more: a column besides, of one value for all."""
    folder.mkdir(exist_ok=True)
    rows = [f"file,{column}{',' + more if more else ''}"]
    for number, (text, (samples, rate)) in enumerate(zip(texts, tones(texts), strict=True)):
        written(folder / f"s{number:03d}.wav", samples, rate)
        rows.append(f"s{number:03d}.wav,{text}{',' + 'xy'[number % 2] if more else ''}")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory.mktemp("sounds") / "data", TEXTS)


@pytest.fixture(scope="module")
def run(data: Path) -> Path:
    Transcriber(**SMALL, bidirectional=False).fit(data, out=data.parent / "run")
    return data.parent / "run"


# -- what is recognised ---------------------------------------------------------------------------------------------


def test_sounds_with_texts_are_recognised_and_those_with_classes_are_not(data, tmp_path):
    assert catalogue.task_for([data], {}) == ("pairs", "list.csv lists sounds and their texts")
    assert catalogue.task_for([data / "list.csv"], {})[0] == "pairs"
    for text in range(5):
        written(tmp_path / f"{text}.wav", np.ones(900) / 2)
        (tmp_path / f"{text}.txt").write_text(f"text {text}\n")
    assert catalogue.task_for([tmp_path], {})[0] == "pairs"
    assert sources.read([tmp_path]).targets == [f"text {text}" for text in range(5)]
    few = folder_of(tmp_path / "few", ["yes", "no"] * 6)
    with pytest.raises(DataError, match=r"may be texts to write down, or classes .*: --target text .*, --label text"):
        catalogue.task_for([few], {})
    assert catalogue.task_for([few], {"target": "text"})[0] == "pairs"
    assert catalogue.task_for([few], {"label": "text"})[0] == "classification"
    assert SoundSource.recognize([few], {"names": "{label}_*"}) is None
    assert SoundSource.recognize([few], {"target": ["text"]}) is not None
    label = folder_of(tmp_path / "label", ["yes", "no"] * 6, column="label")
    assert catalogue.task_for([label], {})[0] == "classification"


def test_texts_beside_classes_are_two_readings_and_refused_by_both_names(tmp_path):
    both = folder_of(tmp_path / "both", TEXTS, more="label")
    with pytest.raises(DataError, match=r"texts in 'text' and classes in 'label'.*--task pairs.*--task classification"):
        catalogue.task_for([both], {})
    assert catalogue.task_for([both], {"target": "text"})[0] == "pairs"
    assert catalogue.task_for([both], {"label": "label"})[0] == "classification"


def test_a_text_of_digits_stays_as_it_was_written(tmp_path):
    digits = ["007", "12", "3", "450", "08", "9", "61", "5"]
    assert list(sources.read([folder_of(tmp_path / "digits", digits)]).targets or ()) == digits


def test_rows_of_a_validation_part_are_held_out_and_those_of_a_test_part_are_left(tmp_path):
    folder = folder_of(tmp_path / "parts", TEXTS[:12], more="split")
    rows = (folder / "list.csv").read_text().replace(",x\n", ",train\n").replace(",y\n", ",dev\n", 4)
    (folder / "list.csv").write_text(rows.replace(",y\n", ",test\n"))
    pairs = sources.read([folder])
    assert pairs.targets == [text for k, text in enumerate(TEXTS[:12]) if k % 2 == 0 or k < 8]
    assert [k for k, held in enumerate(pairs.held or ()) if held] == [1, 3, 5, 7]
    assert sources.read([folder], asked=True).targets == [TEXTS[9], TEXTS[11]]


# -- what is refused ------------------------------------------------------------------------------------------------


def test_a_text_that_needs_more_steps_than_its_sound_has_is_named_with_both_numbers(tmp_path):
    folder = folder_of(tmp_path / "long", [*TEXTS, "a b"])
    long = "abcd " * 12
    (folder / "list.csv").write_text((folder / "list.csv").read_text() + f"s000.wav,{long}\n")
    with pytest.raises(DataError, match=r"list.csv, 20: the source has 13 steps \(26 frames, 2 a step\), .* needs 59"):
        Transcriber(**SMALL).fit(folder)


def test_odd_sounds_are_said_by_word(tmp_path):
    (tmp_path / "broken.wav").write_bytes(b"RIFF????WAVEfmt ")
    with pytest.raises(DataError, match="broken.wav is no WAV file that can be read"):
        SoundSource.shaped([tmp_path / "broken.wav"], Settings()).keep(tmp_path / "broken.wav")
    source = SoundSource.shaped([(written(tmp_path / "a.wav", np.zeros(900)))], Settings())
    assert len(source.keep(tmp_path / "a.wav")) == 0, "silence has no steps"
    two = np.stack([np.sin(np.arange(4000) / 5), np.zeros(4000)], 1)
    stereo = source.keep(written(tmp_path / "b.wav", two.ravel(), channels=2))
    np.testing.assert_allclose(stereo, source.keep(SoundSource.given((two, 8000))[0]), atol=0.2)
    assert len(source.keep(SoundSource.given((np.random.default_rng(0).normal(size=500), 8000))[0])) == 4
    for given, said in (
        ([3.5], "a sound is the name of a file, or its samples with their rate, .* and float is given"),
        ([(np.zeros(5), 0)], "The rate of a sound is its samples a second, above 0, not 0"),
        ([(np.zeros((2, 900)), 8000)], r"\(n,\) or \(n, channels\), and these have the shape \(2, 900\)"),
    ):
        with pytest.raises(DataError, match=f"(?i){said}"):
            SoundSource.given(given)


@pytest.mark.parametrize("options", [{"form": "summary"}, {"label_smoothing": 0.0}, {"tied": False}])
def test_settings_of_a_decoder_are_refused_without_one(data, options):
    with pytest.raises(DataError, match="is for a decoder, and a model with the head ctc has none"):
        Transcriber(**SMALL, **options).fit(data)
    with pytest.raises(DataError, match="The head ctc .* writes while a sound is read, and these sources are texts"):
        Translator(**SMALL, head="ctc", level="char").fit([f"a {k}" for k in range(20)], [f"b {k}" for k in range(20)])


def test_files_without_texts_are_refused_by_word(data, tmp_path):
    with pytest.raises(DataError, match=r"list.csv lists sounds, and has no column 'words' \(--target\)"):
        sources.read([data], target="words")
    (tmp_path / "a.txt").write_text("x")
    with pytest.raises(DataError, match="holds no sounds with their texts"):
        SoundSource.read([tmp_path])


# -- what is written ------------------------------------------------------------------------------------------------


def test_a_sound_has_the_same_text_alone_and_in_any_batch_and_no_text_comes_twice(run, data):
    model = Transcriber.load(run)
    files = sorted(data.glob("*.wav"))
    together = model.transcribe(files, best=4)
    for file, mine in list(zip(files, together, strict=True))[::5]:
        (alone,) = model.transcribe(file, best=4)
        assert [one.text for one in alone] == [one.text for one in mine]
        assert [one.score for one in alone] == pytest.approx([one.score for one in mine], abs=1e-9)
        assert len({one.text for one in mine}) == len(mine)
        assert all(one.times.shape == (len(one.pieces), 2) for one in mine)
        assert all((np.diff(one.times.ravel()) >= 0).all() for one in mine), "symbols follow one another in time"
    assert model.predict(files).tolist() == [mine[0].text for mine in together]


@pytest.mark.parametrize("level", ["char", "word"])
def test_a_stream_writes_the_text_along_the_best_path(data, level):
    model = Transcriber(**SMALL | {"epochs": 1}, level=level, bidirectional=False).fit(data)
    torch.nn.init.normal_(model.network.head.weight, std=2)
    trained, (samples, rate) = model.trained, tones(["abc ade b"])[0]
    stream, text = model.stream(), ""
    assert stream.rate == rate
    for piece in np.array_split(samples, [1, 7, 300, 301, 2000, 5000]):
        text += stream.push(piece.astype(np.float32)).text
    text += stream.finish().text
    kept = torch.from_numpy(trained.source.keep(SoundSource.given((samples, rate))[0])).unsqueeze(1)
    log_p = trained.network(kept, torch.tensor([len(kept)]))[0][:, 0].detach().numpy()
    log_p[:, trained.target.unknown] = -np.inf
    assert text == trained.target.decode(one.symbol for one in best_path(log_p))
    assert text
    with pytest.raises(DataError, match="needs the end of a sound before it writes"):
        Transcriber(**SMALL | {"epochs": 1}).fit(data).stream()


def test_a_word_list_allows_its_words_alone(run, data):
    model = Transcriber.load(run)
    found = model.transcribe(sorted(data.glob("*.wav"))[:6], best=3, words=["ab", "e", "qq"])
    assert all(set(one.text.split()) <= {"ab", "e"} for mine in found for one in mine)
    with pytest.raises(DataError, match="The model can write none of the 2 words of the list"):
        model.transcribe(data / "s000.wav", words=["QQ", "xyz"])


def test_the_commands(run, data, tmp_path, capsys):
    written(tmp_path / "silent.wav", np.zeros(4000))
    (tmp_path / "words.txt").write_text("ab\nzz\n\n")
    carousel("transcribe", run, data / "s000.wav", tmp_path / "silent.wav", "--times")
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[0].startswith(f"{data / 's000.wav'}\t")
    assert lines[-1] == f"{tmp_path / 'silent.wav'}\t"
    assert "silent.wav is silent: it has the empty text" in said.err
    carousel("transcribe", run, data / "s000.wav", "--word-list", tmp_path / "words.txt", "--n-best", 2)
    assert "the model cannot write 1 words of the list: zz" in capsys.readouterr().err
    carousel("evaluate", run, data, "--out", tmp_path / "out")
    said = capsys.readouterr()
    for words in ("18 sounds", "this model: ", "word error rate", "character error rate", "nearest sound's text: "):
        assert words in said.out
    for typed, message in (
        ([], "Nothing to transcribe is named"),
        ([data / "s000.wav", "--n-best", 3, "--beam", 2], "a beam of 2 gives 1 to 2 texts, not 3"),
        ([tmp_path / "none.wav"], "There is no file"),
    ):
        with pytest.raises(DataError, match=message):
            carousel("transcribe", run, *typed)
    with pytest.raises(RunError, match="reads sounds, and Translator is for runs that read texts"):
        Translator.load(run)


def test_a_decoder_transcribes_too(data):
    model = Transcriber(**SMALL | {"epochs": 1}, head="decoder").fit(data)
    ((one,),) = model.transcribe(data / "s000.wav")
    assert one.alignment.shape[0] == len(one.pieces)
    assert one.times is None
    with pytest.raises(DataError, match="A list of words is for models with the head ctc"):
        model.transcribe(data / "s000.wav", words=["ab"])


def test_it_learns_tones():
    texts = [f"{a}{b}{c}" for a in "abcd" for b in "abcd" for c in "abcd"]
    model = Transcriber(hidden=32, epochs=16, batch=8, dropout=0.0, learning_rate=2e-2, threads=1)
    model.fit(tones(texts), texts)
    assert model.score(tones(texts), texts) > 0.9


def test_a_page_shows_when_each_symbol_was_written(run, data, tmp_path):
    page = inspect(run, out=tmp_path / "held").read_text("utf-8")
    assert "pair 0 of those held out" in page
    assert list((tmp_path / "held").rglob("*alignment.png"))
    assert "s003.wav" in inspect(run, data / "s003.wav", out=tmp_path / "given").read_text("utf-8")


# -- readers and scores ---------------------------------------------------------------------------------------------


def test_frames_stand_side_by_side_and_padding_is_zero():
    reader = FrameReader([1.0, 2.0], [2.0, 4.0], 3)
    x = torch.arange(16.0).view(8, 1, 2).repeat(1, 2, 1)
    x[4:, 1] = float("nan")
    steps, lengths = reader(x, torch.tensor([8, 4]))
    assert lengths.tolist() == [3, 2]
    z = (torch.arange(16.0).view(8, 2) - torch.tensor([1.0, 2.0])) / torch.tensor([2.0, 4.0])
    torch.testing.assert_close(steps[:, 0].reshape(9, 2), torch.cat([z, torch.zeros(1, 2)]))
    torch.testing.assert_close(steps[:2, 1].reshape(6, 2)[:4], z[:4])
    assert not steps[:2, 1].reshape(6, 2)[4:].any()


def test_error_rates_count_what_to_insert_delete_and_replace():
    def defined(one: str, other: str) -> int:
        if not one or not other:
            return len(one) + len(other)
        rest = defined(one[1:], other[1:]) + (one[0] != other[0])
        return min(rest, defined(one[1:], other) + 1, defined(one, other[1:]) + 1)

    rng = np.random.default_rng(0)
    for _ in range(60):
        one, other = ("".join(rng.choice(list("ab "), rng.integers(0, 6))) for _ in range(2))
        assert edits(one, other) == defined(one, other)
    found = scores(["a b", "xy"], ["a c", "xyz"])
    assert (found.word_errors, found.character_errors) == (pytest.approx(2 / 3), pytest.approx(2 / 6))
