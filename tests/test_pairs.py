"""The task of pairs of texts: what is recognised, read, held out and written."""

from __future__ import annotations

import gzip
import io
import re
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_runs import tones

from carousel import Translator, inspect
from carousel.cli import app
from carousel.errors import CarouselError, DataError, ProgramError, RunError
from carousel.tasks import catalogue
from carousel.tasks.pairs import Settings, parts, sources
from carousel.tasks.pairs.examples import Pairs
from carousel.tasks.pairs.preparation import prepare
from carousel.tasks.pairs.scoring import TextScores
from carousel.tasks.pairs.settings import Level
from carousel.tasks.pairs.sources import text_files as reading
from carousel.tasks.pairs.symbols import Subwords, TextSymbols, from_json
from carousel.tasks.pairs.training import said
from carousel.tasks.pairs.translation_memory import TranslationMemory
from carousel.training.length_batches import LengthBatches
from carousel.training.progress import Quiet

SMALL: dict = {"hidden": 8, "threads": 1, "level": "char", "epochs": 1, "batch": 16}
DIGITS = ["zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf"]
SOURCES = [f"the number {a} {b}" for a in range(8) for b in range(5)]
TARGETS = [f"le nombre {DIGITS[a]} {DIGITS[b]}" for a in range(8) for b in range(5)]

PAIRS = list(zip(SOURCES, TARGETS, strict=True))


def carousel(*words: object) -> None:
    app([str(word) for word in words], result_action="return_value")


def table(folder: Path, name: str = "train.tsv", head: str = "") -> Path:
    rows = [f"{x}\t{y}" for x, y in zip(SOURCES, TARGETS, strict=True)]
    (folder / name).write_text("\n".join([*([head] if head else []), *rows]) + "\n")
    return folder / name


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    Translator(**SMALL).fit(table(folder), out=folder / "run")
    return folder / "run"


# -- what is recognised ---------------------------------------------------------------------------------------------


def recognised(folder: Path, *names: str) -> str:
    task, _ = catalogue.task_for([folder / name for name in names], {})
    return task


def test_pairs_are_recognised(tmp_path):
    table(tmp_path)
    table(tmp_path, "pairs.txt")
    (tmp_path / "anki.txt").write_text("".join(f"{x}\t{y}\tCC-BY 2.0 (France)\n" for x, y in PAIRS))
    (tmp_path / "x.csv").write_text("".join(f'"{x}","{y}"\n' for x, y in [("source", "target"), *PAIRS]))
    for name, content in (("a.en", SOURCES), ("a.fr", TARGETS), ("a.src", SOURCES), ("a.tgt", TARGETS)):
        (tmp_path / name).write_text("\n".join(content) + "\n")
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(("\n".join(content) + "\n").encode()))
    for names in (["train.tsv"], ["pairs.txt"], ["anki.txt"], ["x.csv"], ["a.en", "a.fr"], ["a.fr.gz", "a.en.gz"]):
        assert recognised(tmp_path, *names) == "pairs", names
    assert recognised(tmp_path, "a.src", "a.tgt") == "pairs"


OTHERS = {
    "labels.tsv": "text\tlabel\n" + "".join(f"a good day number {k}\tgood\na bad one {k}\tbad\n" for k in range(20)),
    "prose.txt": "The clouds are in the sky.\n" * 20,
    "numbers.tsv": "a\tb\n" + "".join(f"{k}\t{k * k}\n" for k in range(20)),
    "words.tsv": "".join(f"word{k}\ttag{k}\n" for k in range(20)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_data_are_not_taken_for_pairs(tmp_path, name):
    (tmp_path / name).write_text(OTHERS[name])
    assert reading.recognize([tmp_path / name], {}) is None


def test_the_first_line_is_a_pair_unless_it_names_columns(tmp_path):
    assert len(reading.read([table(tmp_path)])) == 40
    named = reading.read([table(tmp_path, head="english\tfrench")])
    assert len(named) == 40
    assert "the first line names the columns: english, french" in named.said
    turned = reading.read([table(tmp_path, head="target\tsource")])
    assert turned.sources[0] == TARGETS[0]
    assert reading.read([table(tmp_path)], source="2", target="1").sources[0] == TARGETS[0]


REFUSED = [
    ({"a.en": "one\ntwo\n", "a.fr": "un\n"}, "must have equally many lines, and they have 2 and 1"),
    ({"a.tsv": "one two\tun deux\n" * 3 + "three\n"}, "1 of the 4 lines of .* have none, the first of them line 4"),
    ({"a.tsv": "one\ntwo\n"}, "line 1 of .*a.tsv has no tab"),
    ({"a.tsv": "\n\n"}, "a.tsv holds no pairs"),
    ({"a.tsv": b"caf\xe9 au lait\tx\n"}, "is no UTF-8 text: byte 3 cannot be read"),
    ({"a.en.gz": b"\x1f\x8bxx", "a.fr": "un\n"}, "a.en.gz cannot be read"),
    ({"a.tsv": "x y\tz\n", "b.tsv": "x y\tz\n", "c.tsv": "x y\tz\n"}, "one table .* or in two files, and 3 files"),
]


@pytest.mark.parametrize(("files", "said"), REFUSED, ids=[said[:30] for _, said in REFUSED])
def test_files_that_hold_no_pairs_are_refused(tmp_path, files, said):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError, match=said):
        reading.read([tmp_path / name for name in files])
    with pytest.raises(DataError, match="There is no column 'de'"):
        reading.read([table(tmp_path)], source="de")


class Said(Quiet):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def test_what_cannot_be_learnt_is_left_out_by_word():
    report = Said()
    x, y = [*SOURCES, "", "a", "long " * 60], [*TARGETS, "vide", " ", "court"]
    prepare(Pairs(x, y, range(1, 44), "the test"), Settings(**SMALL | {"longest": 100}), report)
    text = "\n".join(report.lines)
    assert "left out, as a side is empty: 2 pairs, the first in line 41" in text
    assert "left out, as a side has more than 100 chars (--longest): 1 pairs, the first in line 43" in text
    with pytest.raises(DataError, match="learns from 10 pairs or more, with both sides filled, and .* has 1"):
        Translator(**SMALL).fit(["a", "b"], ["c", ""])
    with pytest.raises(DataError, match="All pairs have the same source or the same target"):
        Translator(**SMALL).fit(["Hello!"] * 20, TARGETS[:20])
    with pytest.raises(DataError, match="Each source has one target, and 2 sources and 1 are given"):
        Translator(**SMALL).fit(["a", "b"], ["c"])
    with pytest.raises(DataError, match="Texts are written, and float is given: nan"):
        Translator(**SMALL).fit(["a"] * 20, [float("nan")] * 20)
    with pytest.raises(RunError, match="must have learnt before it can be asked"):
        Translator().predict(["x"])


@pytest.mark.parametrize("kind", sources.KINDS)
def test_the_kind_of_source_chooses_sizes_where_nobody_does(kind):
    """The run records them, the report says them, and the help names them. One that somebody chose stays."""
    usual, report = sources.of_kind(kind).usual, Said()
    shapes: dict[str, list] = {
        "text": SOURCES,
        "image": list(np.eye(40, dtype=np.uint8).reshape(40, 5, 8)),
        "sound": tones(TARGETS),
        "series": list(np.eye(40).reshape(40, 20, 2)),
    }
    items = shapes[kind]
    level: Level | None = "char" if kind == "text" else None  # subwords take seconds to learn
    pairs = Pairs(sources.of_kind(kind).given(items), TARGETS, range(1, 41), "the test", kind)
    chosen = prepare(pairs, Settings(threads=1, epochs=1, layers=3, level=level), report).settings
    assert (chosen.hidden, chosen.layers) == (usual["hidden"], 3)
    assert chosen.level == (level or usual["level"])
    assert chosen.dropout == usual.get("dropout", 0.3)
    assert f"3 x {usual['hidden']} units" in "\n".join(report.lines)
    for name in ("hidden", "layers"):
        (help,) = (one.metadata["help"] for one in fields(Settings) if one.name == name)
        plural = sources.of_kind(kind).plural
        assert re.search(rf"\b{usual[name]} for ([a-z, ]+ )?{plural}", help), (name, kind, help)


def test_help_tells_the_sizes_that_are_chosen():
    told = {one.name: one.metadata["help"] for one in fields(Settings)}
    assert "Without it: 256 for texts and images, 128 for sounds and series." in told["hidden"]
    assert "Without it: 1 for texts, images and series, 2 for sounds." in told["layers"]
    assert "0.4 for images, else 0.3, or 0.1 from 200,000 pairs on" in told["dropout"]
    assert "subword for texts, word for images and series, char for sounds" in told["level"]


def test_a_dry_run_says_all_and_writes_nothing(tmp_path, capsys):
    data = table(tmp_path)
    carousel("train", data, "--dry-run", "--level", "char", "--hidden", 4, "--threads", 1, "--epochs", 2)
    said = capsys.readouterr().out
    for words in (
        "taken for a table with two columns of texts, to train pairs",
        "40 pairs: column 1 is the source, column 2 the target",
        "38 pairs to learn from, 2 to validate on",
        "model: encoder-decoder, gru, 1 x 4 units, source read in both directions, attention (general)",
        "2.0 times over the training part",
    ):
        assert words in said, words
    assert list(tmp_path.iterdir()) == [data]


# -- which pairs are held out ---------------------------------------------------------------------------------------


def test_no_pair_held_out_has_a_source_or_target_that_is_learnt():
    rng = np.random.default_rng(0)
    sources = [f"Sentence {'abcdefghij'[k]}{'xyzuvw'[j]}!" for k, j in rng.integers(0, [10, 6], (300, 2))]
    targets = [
        f"Phrase {'abcdefghijklmnopqrstuvwxyz'[k]}{'abcdefghijklm'[j]}" for k, j in rng.integers(0, [26, 13], (300, 2))
    ]
    sources[5], sources[6] = "Don't go", "don't GO!!"
    groups, linked = parts.groups_of(sources, [*targets[:-1], "an own one"])
    held = parts.held_out(groups, 0.1, seed=0)
    assert 0 < held.sum() < 300
    assert groups[5] == groups[6]
    for side in (sources, targets) if linked else (sources,):
        keys = np.array([parts.key_of(text) for text in side])
        assert not set(keys[held]) & set(keys[~held])


def test_words_for_classes_are_all_learnt():
    """Ten words for a hundred sources: no group of a word has a fifth of the pairs, and yet none may be held out."""
    groups, linked = parts.groups_of([f"picture {k}" for k in range(100)], [f"word {k % 10}" for k in range(100)])
    assert not linked
    assert len(set(groups)) == 100


def test_few_targets_do_not_put_all_pairs_in_one_group():
    groups, linked = parts.groups_of([f"picture {chr(97 + k)}" for k in range(20)], ["one", "two"] * 10)
    assert not linked
    assert len(set(groups)) == 20


def test_batches_have_like_lengths_and_every_example_once_an_epoch():
    rng = np.random.default_rng(1)
    lengths, seen = rng.integers(1, 60, (230, 2)), []

    def note(_: object, chosen: torch.Tensor) -> torch.Tensor:
        seen.append(chosen.numpy())
        return torch.zeros(())

    batches = LengthBatches(lengths, lengths[:, 0], 8, note, seed=3)
    for _ in range(batches.steps_per_epoch):
        batches.next_loss(torch.nn.Identity())
    assert sorted(np.concatenate(seen)) == list(range(230))
    assert batches.units_read == batches.units_per_epoch == lengths[:, 0].sum()
    padding = sum(int((lengths[b, 0].max() - lengths[b, 0]).sum()) for b in seen)
    assert padding < 0.1 * lengths[:, 0].sum(), "random batches have about as much padding as symbols"
    assert [len(b) for b in seen] == [8] * 28 + [6]
    firsts = [int(lengths[b, 0].max()) for b in seen]
    assert firsts != sorted(firsts), "short batches do not all come first"


# -- symbols --------------------------------------------------------------------------------------------------------

TEXTS = ["Suis-je gros\u202f?", "Ça va.", "日本 語", "emoji 🎠 here", "a  b"]


@pytest.mark.parametrize("level", ["subword", "word", "char", "byte"])
def test_symbols_give_back_the_text(level):
    if level == "subword":
        pytest.importorskip("tokenizers")
    symbols = TextSymbols.learn(TEXTS * 2, level, 300)
    again = from_json(symbols.to_json())
    for text in TEXTS:
        ids = symbols.encode(text)
        assert ids.min() > 0, "symbol 0 is the boundary"
        assert ids.max() < symbols.size == again.size
        assert symbols.decode([0, *ids, 0]) == text
        np.testing.assert_array_equal(again.encode(text), ids)
        assert "".join(symbols.pieces(ids)).strip() == text or level in ("byte", "subword")
    strange = symbols.encode("Ω")
    assert (symbols.unknown in strange) == (level in ("word", "char"))


def test_subwords_need_their_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(CarouselError, match="pip install 'carousel-rnn\\[text\\]'. Or read them by word: --level word"):
        TextSymbols.learn(TEXTS, "subword")


def test_a_damaged_vocabulary_is_refused():
    pytest.importorskip("tokenizers")
    with pytest.raises(RunError, match="is no tokenizer"):
        Subwords("{}")


# -- baselines and scores -------------------------------------------------------------------------------------------


def test_the_translation_memory_answers_with_the_nearest_source():
    memory = TranslationMemory(["the red house", "a blue house", "go home now"], ["1", "2", "3"])
    assert memory.answer("The red car!") == "1"
    assert memory.answer("blue") == "2"
    assert memory.answer("now go") == "3"
    assert memory.answer("xyz") == ""


def test_the_better_one_is_recommended():
    good, bad = TextScores(30.0, 50.0, 0.2, 9), TextScores(10.0, 30.0, 0.1, 9)
    assert said(good, bad, "dictionary", advice="").startswith("the model is better than the dictionary: ")
    assert said(bad, good, "dictionary", advice="more pairs").endswith("; more pairs")
    whole = said(TextScores(None, None, 0.2, 9), TextScores(None, None, 0.1, 9), "x", advice="")
    assert whole.startswith("the model is better than the x: texts that are right as a whole")


# -- a trained model ------------------------------------------------------------------------------------------------


def test_a_text_is_the_same_alone_and_in_any_batch(run):
    model = Translator.load(run)
    texts = [*SOURCES, "3", "the number the number the number 1 2 3", ""]
    together = model.translate(texts, best=2)
    for text, mine in list(zip(texts, together, strict=True))[::14]:
        (alone,) = model.translate(text, best=2)
        assert [one.text for one in alone] == [one.text for one in mine]
        assert [one.score for one in alone] == pytest.approx([one.score for one in mine], abs=1e-9)
    assert model.predict(texts[::-1]).tolist() == [mine[0].text for mine in together][::-1]
    assert together[-1][0].text == "", "an empty line stays an empty line"


def test_an_attention_has_a_row_for_each_symbol_and_a_column_for_each_that_was_read(run):
    ((one,),) = Translator.load(run).translate("the number 1 2")
    assert one.alignment.shape == (len(one.pieces), len("the number 1 2"))
    np.testing.assert_allclose(one.alignment.sum(1), 1)
    assert "".join(one.read) == "the number 1 2"


def test_the_commands(run, tmp_path, capsys, monkeypatch):
    carousel("translate", run, "the number 1 2", "--alignment", tmp_path / "a.png")
    one = capsys.readouterr().out
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    monkeypatch.setattr(sys, "stdin", io.StringIO("the number 1 2\n\nthe number Ω\n"))
    carousel("translate", run)
    said = capsys.readouterr()
    assert said.out.splitlines()[:2] == [one.rstrip("\n"), ""]
    assert len(said.out.splitlines()) == 3
    assert "no training source had these characters: Ω" in said.err
    carousel("translate", run, "the number 1 2", "--n-best", "2", "--beam", "3")
    assert len(capsys.readouterr().out.splitlines()) == 2
    carousel("evaluate", run, table(tmp_path), "--out", tmp_path / "out")
    said = capsys.readouterr().out
    for words in ("40 pairs", "this model: ", "nearest source's target: ", "too", "every answer"):
        assert words in said
    assert len((tmp_path / "out" / "answers.csv").read_text().splitlines()) == 41
    for typed, message in (
        (["a", "b", "--alignment", "x.png"], "draws the alignment of one text, and 2 are given"),
        (["a", "--alignment", "x.gif"], "ends in none of .png"),
        (["a", "--n-best", "9"], "a beam of 5 gives 1 to 5 sequences, not 9"),
    ):
        with pytest.raises(CarouselError, match=message):
            carousel("translate", run, *typed)
    with pytest.raises(ProgramError, match="is found by a beam search"):
        carousel("export", run, "--to", "onnx", "--out", tmp_path / "exported")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"form": "sum"}, "--form is one of attention, summary, not 'sum'"),
        ({"attention_score": "cosine"}, "is one of general, dot, concat"),
        ({"level": "line"}, "is one of subword, word, char, byte"),
        ({"label_smoothing": 1.0}, "label_smoothing is a share"),
        ({"form": "summary", "attention_score": "dot"}, "summary has no attention"),
        ({"target": ["a", "b"]}, "A pair has one target: name one column"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, said):
    with pytest.raises(DataError, match=said):
        Settings(**options)


def test_it_learns_to_count_in_french():
    """Seven words, 40 pairs: what it has learnt by heart after a second's training is most of them."""
    model = Translator(hidden=32, level="word", epochs=25, batch=8, dropout=0.0, learning_rate=1e-2, threads=1)
    model.fit(SOURCES, TARGETS)
    right = sum(model.predict(SOURCES[:12]) == np.array(TARGETS[:12], dtype=object))
    assert right >= 10


def test_a_page_shows_what_is_written_and_the_attention(run, tmp_path):
    page = inspect(run, out=tmp_path / "held")
    text = page.read_text(encoding="utf-8")
    assert "pair 0 of those held out" in text
    assert list((tmp_path / "held").rglob("*alignment.png"))
    assert "the text that was given" in inspect(run, "the number 1 2", out=tmp_path / "given").read_text("utf-8")
    with pytest.raises(DataError, match="There is no pair '99'"):
        inspect(run, item="99", out=tmp_path / "none")
