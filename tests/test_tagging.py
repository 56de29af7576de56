"""Tagging: a tag at every step. Its files, its laws, its spans and its words."""

from __future__ import annotations

import gzip
import json
import random
import wave
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

import carousel
from carousel import Tagger
from carousel.cli import app
from carousel.errors import DataError, RunError
from carousel.models import TagModel
from carousel.tasks import catalogue
from carousel.tasks.tagging import conll
from carousel.tasks.tagging.baselines import NearestMean, TagCounts
from carousel.tasks.tagging.spans import Span, are_spans, scores, spans
from carousel.tasks.tagging.tagged import Tagged
from carousel.tasks.tagging.tokenizing import words_of
from carousel.tasks.tagging.trained import TrainedTagger
from carousel.tasks.tagging.words import WordFrontEnd
from carousel.training.progress import Quiet

SMALL: dict[str, Any] = {"hidden": 6, "embedding": 4, "character_hidden": 3, "batch": 4, "threads": 1, "seed": 1}
SENTENCES = [
    (["The", "cat", "sees", "Ada", "Lovelace", "."], ["O", "O", "O", "B-PER", "I-PER", "O"]),
    (["Paris", "is", "old", "."], ["B-LOC", "O", "O", "O"]),
    (["The", "old", "cat", "sleeps", "in", "New", "York", "."], ["O", "O", "O", "O", "O", "B-LOC", "I-LOC", "O"]),
    (["Ada", "is", "in", "Paris", "."], ["B-PER", "O", "O", "B-LOC", "O"]),
] * 5


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def as_columns(sentences) -> str:
    return "\n".join("".join(f"{word}\t{tag}\n" for word, tag in zip(*one, strict=True)) for one in sentences)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tagging")
    data = written(folder / "train.conll", as_columns(SENTENCES))
    Tagger.train(data, out=folder / "run", report=Quiet(), epochs=30, learning_rate=0.02, dropout=0.0, **SMALL)
    return folder / "run"


# -- the network -------------------------------------------------------------------------------------------------


def sizes_of(front_end: WordFrontEnd) -> dict[str, Any]:
    return dict(front_end.sizes)


def drawn_words(rng: random.Random, length: int) -> tuple[str, ...]:
    return tuple("".join(rng.choices("abcXY1-", k=rng.randint(1, 9))) for _ in range(length))


@pytest.mark.parametrize("kind", ["words", "numbers"])
def test_a_sequence_has_the_same_tags_alone_and_in_any_batch(kind):
    """Padding is never read: neither that of sentences, nor that of the letters of words."""
    rng = random.Random(0)
    torch.manual_seed(0)
    lengths = [1, 9, 4, 30, 2, 4]
    if kind == "words":
        items = [drawn_words(rng, length) for length in lengths]
        front_end = WordFrontEnd.fit([*items[:3], *items[:3]])
        network = TagModel(5, **sizes_of(front_end), hidden=7, layers=2, embedding=6).double().eval()
        data = Tagged("words", items, [str(k) for k in range(len(items))])
        trained = TrainedTagger(network, front_end, tuple("abcde"), (1,) * 5, TagCounts({}, 5), {})
        together, apart = (
            trained.log_probabilities(data),
            [trained.log_probabilities(data.at([k]))[0] for k in range(6)],
        )
    else:
        x = [torch.randn(length, 3, dtype=torch.float64) for length in lengths]
        network = TagModel(5, inputs=3, hidden=7, layers=2).double().eval()
        padded = torch.nn.utils.rnn.pad_sequence(x, padding_value=1e6)
        with torch.no_grad():
            all_scores = network(padded, torch.tensor(lengths))
            together = [all_scores[:length, row].numpy() for row, length in enumerate(lengths)]
            apart = [network(one[:, None], torch.tensor([len(one)]))[:, 0].numpy() for one in x]
    for mine, alone in zip(together, apart, strict=True):
        np.testing.assert_allclose(mine, alone, rtol=0, atol=1e-12)


def test_each_form_is_spelled_once_and_unknown_words_differ_by_their_letters():
    front_end = WordFrontEnd.fit([["run", "Run", "ran"], ["run", "ran"]])
    assert front_end.known == ("run", "ran")
    spelled = front_end.spell(["Run", "running", "jumping"])
    assert spelled.words.tolist() == [1, 0, 0]
    assert spelled.lengths.tolist() == [3, 7, 7]
    assert not torch.equal(spelled.letters[:, 1], spelled.letters[:, 2])
    long = front_end.spell(["r" * 200])
    assert long.lengths.tolist() == [48]


def test_a_forgetful_network_reads_known_words_as_unknown_ones_in_training_only():
    front_end = WordFrontEnd.fit([["a", "a", "b", "b"]])
    network = TagModel(2, **sizes_of(front_end), character_hidden=0, embedding=3, forget=0.999)
    spelled, x = front_end.spell(["a", "b"]), torch.tensor([[0], [1]])
    e = network.read(x, spelled)
    assert torch.equal(e[0], e[1])
    network.eval()
    e = network.read(x, spelled)
    assert not torch.equal(e[0], e[1])


# -- spans -------------------------------------------------------------------------------------------------------


def tags_of(found: list[Span], length: int, scheme: str) -> list[str]:
    """An independent statement of the schemes: from spans to tags."""
    tags = ["O"] * length
    for start, end, kind in found:
        for step in range(start, end):
            tags[step] = f"{'B' if step == start else 'I'}-{kind}"
        if scheme in ("BIOES", "BILOU"):
            last, single = ("E", "S") if scheme == "BIOES" else ("L", "U")
            tags[end - 1] = f"{single if end - start == 1 else last}-{kind}"
    if scheme == "IOB1":
        ends = {(span.end, span.type) for span in found}
        for start, _, kind in found:
            if (start, kind) not in ends:
                tags[start] = f"I-{kind}"
    return tags


@pytest.mark.parametrize("scheme", ["BIO", "IOB1", "BIOES", "BILOU"])
def test_spans_are_those_that_the_tags_were_made_of(scheme):
    rng = random.Random(1)
    for _ in range(300):
        found, step = [], rng.randint(0, 2)
        while step < 12:
            end = min(12, step + rng.randint(1, 3))
            found.append(Span(step, end, rng.choice(["PER", "LOC", "B-X"])))
            step = end + rng.choice([0, 0, 1, 2])
        assert spans(tags_of(found, 12, scheme)) == found


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O I-PER I-PER O", [(1, 3, "PER")]),
        ("I-PER I-LOC", [(0, 1, "PER"), (1, 2, "LOC")]),
        ("B-PER B-PER I-PER", [(0, 1, "PER"), (1, 3, "PER")]),
        ("B-PER I-LOC I-LOC", [(0, 1, "PER"), (1, 3, "LOC")]),
        ("E-PER I-PER", [(0, 1, "PER"), (1, 2, "PER")]),
        ("S-PER I-PER", [(0, 1, "PER"), (1, 2, "PER")]),
        ("", []),
    ],
)
def test_tags_that_break_a_scheme_are_read_as_conlleval_reads_them(tags, expected):
    assert spans(tags.split()) == expected


def test_scores_of_spans_are_counted_over_all_sequences():
    truth = [["B-PER", "I-PER", "O", "B-LOC"], ["B-LOC", "O", "O"]]
    said = [["B-PER", "O", "O", "B-LOC"], ["B-PER", "O", "B-LOC"]]
    together, location, person = scores(truth, said)
    assert (together.true, together.predicted, together.right) == (3, 4, 1)
    assert (together.precision, together.recall, together.f1) == (1 / 4, 1 / 3, 2 / 7)
    assert (location.type, location.right, person.right) == ("LOC", 1, 0)
    assert person.f1 == 0


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ("O B-PER", True),
        ("B-PER I-PER", True),
        ("O", False),
        ("NOUN B-PER", False),
        ("S-X E-X O", True),
        ("A-B O", False),
    ],
)
def test_tags_of_spans_are_known_by_their_form(tags, expected):
    assert are_spans(tags.split()) == expected


# -- files of words ----------------------------------------------------------------------------------------------

CONLL_U = """# text = I can't.
1\tI\tI\tPRON\tPRP\t_\t2\tnsubj\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\t_
2\tca\tcan\tAUX\tMD\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
3.1\t_\t_\t_\t_\t_\t_\t_\t_\t_
4\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\t_

"""


@pytest.mark.parametrize(
    ("name", "text", "options", "words", "tags"),
    [
        ("a.conllu", CONLL_U, {}, [("I", "ca", "n't", ".")], [["PRON", "AUX", "PART", "PUNCT"]]),
        ("a.conllu", CONLL_U, {"label": "xpos"}, [("I", "ca", "n't", ".")], [["PRP", "MD", "RB", "."]]),
        (
            "a.conllu",
            CONLL_U,
            {"label": "4", "word": "lemma"},
            [("I", "can", "not", ".")],
            [["PRON", "AUX", "PART", "PUNCT"]],
        ),
        ("a.txt", "A\tx\n# \ty\n\n\nB\tz", {}, [("A", "#"), ("B",)], [["x", "y"], ["z"]]),
        ("a.iob", "-DOCSTART- -X- O\n\nEU NNP B-ORG\r\nis V O\r\n", {}, [("EU", "is")], [["B-ORG", "O"]]),
        ("a.conllup", "# global.columns = ID FORM UPOS\n1\tx\tN\n", {}, [("x",)], [["N"]]),
    ],
)
def test_a_file_of_words_is_read(tmp_path, name, text, options, words, tags):
    for packed in (False, True):
        path = tmp_path / (name + ".gz" * packed)
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
        found = conll.read(path, **options)
        assert list(found.items) == words
        assert found.tags == tags


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        (
            "a\tX\nb\n",
            {},
            r"a.conll, line 2: there is 1 column, and there are 2 columns in line 1, divided at tabs: 'b'",
        ),
        ("a X\nb Y Z\n", {}, r"line 2: there are 3 columns, and there are 2 columns in line 1, divided at white space"),
        ("a\tX\nb\t\n", {}, r"line 2: the column 2, which has the tags, is empty. Every word has a tag"),
        ("a\tX\n\tY\n", {}, r"line 2: the column 1, which has the words, is empty"),
        ("a\nb\n", {}, r"has one column, which are words, and no tags"),
        ("", {}, r"a.conll is empty: a file of tagged words"),
        ("\n\n", {}, r"holds no word"),
        ("a\tX\n", {"label": "ner"}, r"has no column 'ner' \(--label\). Its columns are numbered from 1 to 2\."),
        ("a\tX\n", {"label": "1"}, r"the column 1 cannot have both the words \(--word\) and the tags \(--label\)"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_its_line(tmp_path, text, options, message):
    with pytest.raises(DataError, match=message):
        conll.read(written(tmp_path / "a.conll", text), **options)


def test_a_file_of_another_encoding_is_refused_with_its_line(tmp_path):
    (tmp_path / "a.conll").write_bytes("a\tX\nöl\tY\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"line 2: the byte 0xF6 is not UTF-8 .* iconv"):
        conll.read(tmp_path / "a.conll")


# -- what data are taken for -------------------------------------------------------------------------------------

CHANGING = "id,time,x,label\n" + "".join(
    f"{k // 8},{k % 8},{k * 0.1},{'walk' if k % 8 < 4 else 'run'}\n" for k in range(32)
)
CONSTANT = "id,time,x,label\n" + "".join(
    f"{k // 8},{k % 8},{k * 0.1},{'walk' if k < 16 else 'run'}\n" for k in range(32)
)


@pytest.mark.parametrize(
    ("name", "text", "task"),
    [
        ("a.conllu.gz", CONLL_U, "tagging"),
        ("words.txt", as_columns(SENTENCES), "tagging"),
        ("words.tsv", as_columns(SENTENCES), "tagging"),
        ("ner.txt", as_columns(SENTENCES).replace("\t", " "), "tagging"),
        ("table.csv", CHANGING, "tagging"),
        ("table.csv", CONSTANT, "classification"),
        ("verse.txt", "roses red\nviolets blue\n\nsugar sweet\nso are\n\nmore words\nhere too\n" * 3, "language"),
        ("sounds.csv", "file,start,end,label\na.wav,0,1,hum\na.wav,1,2,hiss\n", "tagging"),
    ],
)
def test_data_are_taken_for_their_task(tmp_path, name, text, task):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    found, why = catalogue.task_for([path], {})
    assert found == task, why


def test_a_folder_has_parts_to_learn_from_and_to_judge_on(tmp_path, capsys):
    for part, sentences in (("train", SENTENCES), ("dev", SENTENCES[:2]), ("test", SENTENCES[2:4])):
        written(tmp_path / f"xx-{part}.conll", as_columns(sentences))
    app(["train", str(tmp_path), "--dry-run"], result_action="return_value")
    said = capsys.readouterr().out
    assert "taken for words with tags, to train tagging" in said
    assert "20 sequences to learn from, 2 to validate on, 2 to judge the best model on" in said
    assert "the tags mark spans" in said
    assert "nothing was trained" in said


@pytest.mark.parametrize(
    ("sentences", "message"),
    [
        ([(["a", "b"], ["X", "X"])] * 3, "learns to tell tags apart, and all steps have the tag 'X'"),
        ([(["a", "b"], ["X", "Y"])], "There is one sequence, so none can be held out"),
        ([([f"w{k}" for k in range(20)], [f"t{k}" for k in range(20)])] * 1 * 2, None),
    ],
)
def test_data_that_teach_nothing_are_refused(sentences, message):
    X, y = [one for one, _ in sentences], [tags for _, tags in sentences]
    if message is None:
        Tagger(epochs=0.1, **SMALL).fit(X, y)
        return
    with pytest.raises(DataError, match=message):
        Tagger(**SMALL).fit(X, y)


# -- tables and sounds -------------------------------------------------------------------------------------------


def test_the_rows_of_a_table_are_tagged(tmp_path, capsys):
    path = written(tmp_path / "moves.csv", CHANGING)
    app(["train", str(path), "--epochs", "1", "--hidden", "3", "--out", str(tmp_path / "run"), "--quiet"],
        result_action="return_value")  # fmt: skip
    app(["tag", str(tmp_path / "run"), "--data", str(path)], result_action="return_value")
    assert capsys.readouterr().out.startswith("sequence,start,end,tag\n0,1,")
    out = tmp_path / "out.csv"
    app(["tag", str(tmp_path / "run"), "--data", str(path), "--out", str(out)], result_action="return_value")
    frame = pl.read_csv(out)
    assert frame.columns == ["sequence", "step", "tag", "prediction", "probability"]
    assert frame["tag"].to_list() == (["walk"] * 4 + ["run"] * 4) * 4
    assert "32 steps" in capsys.readouterr().out
    page = carousel.inspect(tmp_path / "run", out=tmp_path / "page").read_text(encoding="utf-8")
    assert "which the run held out" in page
    with pytest.raises(DataError, match=r"There is no sequence '9' \(--item\) among the 4"):
        carousel.inspect(tmp_path / "run", item=9, out=tmp_path / "page")
    written(path, "".join(f"1{line}\n" if line[0].isdigit() else f"{line}\n" for line in CHANGING.splitlines()))
    with pytest.raises(DataError, match=r"moves.csv are no longer those that this run learnt from: name data"):
        carousel.inspect(tmp_path / "run", out=tmp_path / "page")


def test_steps_without_a_tag_are_read_and_not_judged():
    rng = np.random.default_rng(0)
    X = [rng.normal(size=(6, 2)) for _ in range(6)]
    y = [[None if k == 0 else "hi" if row[0] > 0 else "lo" for k, row in enumerate(one)] for one in X]
    model = Tagger(epochs=1, **SMALL).fit(X, y)
    result = model.evaluate(X, y)
    assert result.steps.count == 30
    assert [len(one) for one in model.predict(X)] == [6] * 6


def sound(path: Path, seconds: float) -> Path:
    samples = (np.sin(np.arange(int(8000 * seconds)) / 9) * 9000).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.tobytes())
    return path


def test_frames_of_sounds_have_the_tag_of_their_interval(tmp_path, capsys):
    for name in "ab":
        sound(tmp_path / f"{name}.wav", 0.5)
    table = written(
        tmp_path / "list.csv",
        "file,start,end,label\na.wav,0.1,0.3,hum\na.wav,0.3,0.4,hiss\nb.wav,0,0.25,hum\n",
    )
    app(["train", str(table), "--epochs", "1", "--hidden", "3", "--out", str(tmp_path / "run"), "--quiet"],
        result_action="return_value")  # fmt: skip
    model = Tagger.load(tmp_path / "run")
    assert model.classes_.tolist() == ["-", "hiss", "hum"]
    out = tmp_path / "o.csv"
    app(["tag", str(tmp_path / "run"), "--data", str(table), "--out", str(out)], result_action="return_value")
    frame = pl.read_csv(out).filter(pl.col("sequence") == "a.wav")
    expected = ["-" if t < 0.1 else "hum" if t < 0.3 else "hiss" if t < 0.4 else "-" for t in frame["seconds"]]
    assert frame["tag"].to_list() == expected
    app(["tag", str(tmp_path / "run"), "--data", str(tmp_path / "a.wav")], result_action="return_value")
    assert "file,start,end,tag" in capsys.readouterr().out
    page = carousel.inspect(tmp_path / "run", out=tmp_path / "page").read_text(encoding="utf-8")
    assert "which the run held out" in page


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("a.wav,0.3,0.2,x", r"row 1 below the names has an interval from 0.3 s to 0.2 s"),
        ("a.wav,0,0.3,x\na.wav,0.2,0.4,y", r"'x' from 0 s to 0.3 s overlaps with 'y', which starts at 0.2 s"),
        ("a.wav,0,9,x", r"'x' ends at 9 s, and the sound at 0.50 s"),
        ("b.wav,0,9,x", r"There is no file .*b.wav"),
    ],
)
def test_intervals_that_cannot_be_are_refused(tmp_path, rows, message):
    sound(tmp_path / "a.wav", 0.5)
    table = written(tmp_path / "list.csv", f"file,start,end,label\n{rows}\n")
    with pytest.raises(DataError, match=message):
        Tagger(**SMALL).fit(table)


# -- baselines ---------------------------------------------------------------------------------------------------


def test_the_counts_say_the_most_frequent_tag_and_are_probabilities():
    sentences = [["run", "runs", "runner"], ["run", "singer", "dances"]]
    tags = [np.array([0, 0, 1]), np.array([0, 1, 0])]
    counts = TagCounts.count(sentences, tags, 3)
    forms = ["run", "runner", "winner", "sees", "", "ß"]
    probabilities = np.exp(counts.log_probabilities(forms))
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-12)
    assert probabilities[:4].argmax(1).tolist() == [0, 1, 1, 0]
    assert (probabilities > 0).all()


def test_the_nearest_mean_is_linear_discriminant_analysis_with_one_variance_a_channel():
    rng = np.random.default_rng(0)
    steps, tags = rng.normal(size=(60, 2)), np.arange(60) % 3
    model = NearestMean.fit(steps, tags, 3)
    logs = model.log_probabilities(steps)
    np.testing.assert_allclose(np.exp(logs).sum(1), 1, atol=1e-12)
    centred = steps - np.stack([steps[tags == k].mean(0) for k in tags])
    density = [
        20 * np.exp(-0.5 * (((steps - steps[tags == k].mean(0)) ** 2) / (centred**2).mean(0)).sum(1)) for k in range(3)
    ]
    expected = np.stack(density, 1)
    np.testing.assert_allclose(np.exp(logs), expected / expected.sum(1, keepdims=True), atol=1e-10)


# -- text --------------------------------------------------------------------------------------------------------

KNOWN = {"do", "n't", "'s", "-", "mr.", "e-mail", "...", "(", ")", ",", "."}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don't e-mail Mr. Bush's dog, (now)...", "Do n't e-mail Mr. Bush 's dog , ( now ) ..."),
        ("the U.S. has 3,000 15-year-olds.", "the U.S. has 3,000 15 - year - olds ."),
        ("see http://x.org/a-b, or me@x.org!", "see http://x.org/a-b, or me@x.org !"),
        ("either/or don’t", "either/or do n’t"),
        ("", ""),
    ],
)
def test_a_text_is_divided_as_the_words_of_training_say(text, words):
    assert " ".join(words_of(text, lambda word: word.lower() in KNOWN)) == words


# -- the commands and the class ----------------------------------------------------------------------------------


def test_what_the_command_says_of_a_text(run, capsys):
    app(["tag", str(run), "Ada sees Berlin."], result_action="return_value")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["Ada", "sees", "Berlin", "."]
    assert lines[2].endswith("unknown word")
    assert lines[-1].startswith(("PER: ", "LOC: "))
    app(["tag", str(run), "--json", "--", "Ada is old", "Paris"], result_action="return_value")
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["words"] for one in records] == [["Ada", "is", "old"], ["Paris"]]
    assert records[0]["spans"][0] == {"start": 0, "end": 1, "type": "PER", "text": "Ada"}
    assert all(0 < p <= 1 for one in records for p in one["probabilities"])


def test_lines_of_standard_input_are_tagged_as_they_are_alone(run, capsys, monkeypatch):
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("Ada sees Paris.\n\nNew York\n"))
    app(["tag", str(run), "--json", "--pretokenized"], result_action="return_value")
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["words"] for one in records] == [["Ada", "sees", "Paris."], [], ["New", "York"]]
    app(["tag", str(run), "--json", "--pretokenized", "New York"], result_action="return_value")
    assert json.loads(capsys.readouterr().out) == records[2]


def test_the_evaluation_stands_beside_the_baseline_and_names_strange_tags(run, tmp_path, capsys):
    data = written(tmp_path / "test.conll", as_columns([*SENTENCES[:4], (["Ada", "zork"], ["B-PER", "B-ORG"])]))
    app(["evaluate", str(run), str(data), "--out", str(tmp_path / "out")], result_action="return_value")
    said = capsys.readouterr().out
    assert "5 sequences, 25 words" in said
    assert "most frequent tag of the word" in said
    assert "spans: F1" in said
    assert "never met in training, so never the answer: B-ORG" in said
    assert (tmp_path / "out" / "answers.csv").exists()
    result = Tagger.load(run).evaluate(data)
    assert result.unknown == 1
    assert result.strange == ("B-ORG",)
    assert result.accuracy == pytest.approx(float(result.right.mean()))


def test_a_tagger_has_the_manners_of_scikit_learn(run, tmp_path):
    X, y = [one for one, _ in SENTENCES[:4]], [tags for _, tags in SENTENCES[:4]]
    model = Tagger.load(run)
    assert model.score(X, y) == np.mean(
        [a == b for m, t in zip(model.predict(X), y, strict=True) for a, b in zip(m, t, strict=True)]
    )
    assert model.predict([" ".join(X[0])]) == model.predict(X[:1])
    proba = model.predict_proba(X)
    assert [one.shape for one in proba] == [(len(one), len(model.classes_)) for one in X]
    np.testing.assert_allclose(proba[0].sum(1), 1)
    copy = Tagger.load(model.save(tmp_path / "copy"))
    np.testing.assert_array_equal(copy.predict_proba(X)[2], proba[2])
    assert Tagger(**dict(model.get_params().items())).hidden == 6
    with pytest.raises(RunError, match="call fit first, or load a run"):
        Tagger().predict(X)
    with pytest.raises(DataError, match="sequence 1 has 4 steps, and its tags are 3"):
        Tagger().fit(X, [y[0], y[1][:3], y[2], y[3]])
    assert [one.words for one in [model.tag("Ada Lovelace.")]] == [("Ada", "Lovelace", ".")]


def test_a_very_long_sentence_and_an_empty_one_are_tagged(run):
    model = Tagger.load(run)
    long, empty = model.predict([["cat"] * 5000, []])
    assert (len(long), empty) == (5000, [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "x.txt", "text"], "leave the text or --data out"),
        (["--data", "{here}/plain.txt"], r"is no file of tagged words: .* carousel tag RUN < plain.txt"),
        (["x", "--out", "{here}/a.doc"], "ends in none of"),
    ],
)
def test_what_cannot_be_tagged_is_refused(run, tmp_path, arguments, message):
    written(tmp_path / "plain.txt", "a text\n")
    with pytest.raises(DataError, match=message):
        app(["tag", str(run), *(one.format(here=tmp_path) for one in arguments)], result_action="return_value",
            exit_on_error=False)  # fmt: skip


def test_the_page_opens_what_was_held_out_of_files_named_from_another_folder(tmp_path, monkeypatch):
    written(tmp_path / "train.conll", as_columns(SENTENCES))
    monkeypatch.chdir(tmp_path)
    Tagger.train(Path("train.conll"), out=Path("run"), report=Quiet(), epochs=1, **SMALL)
    monkeypatch.chdir(tmp_path.parent)
    page = carousel.inspect(tmp_path / "run", out=tmp_path / "page").read_text(encoding="utf-8")
    assert "which the run held out" in page


def test_the_page_shows_each_tag_over_its_word(run, tmp_path):
    page = carousel.inspect(run, "Ada sees Paris.", out=tmp_path)
    text = page.read_text(encoding="utf-8")
    assert '"kind":"Guesses"' in text
    assert '"what":"tag"' in text
