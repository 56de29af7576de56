"""The task of trees: what is recognised, what is refused and with which words, learning, answers and scores."""

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from treebank import lines, write

import carousel
from carousel import TreeClassifier
from carousel.cli import app
from carousel.errors import CarouselError, DataError, RunError
from carousel.layers.trees import read_brackets
from carousel.tasks.catalogue import task_for
from carousel.tasks.trees.merging import Merging
from carousel.tasks.trees.naive_bayes import NaiveBayes
from carousel.tasks.trees.reading import from_texts, read_treebank
from carousel.tasks.trees.settings import Settings
from carousel.tasks.trees.stored import StoredTrees
from carousel.tasks.trees.treebank import classes_of, learnt_labels
from carousel.tasks.trees.words import Words
from carousel.training.run_folder import RunFolder

SMALL: dict[str, Any] = {"hidden": 12, "embedding": 8, "networks": 2, "threads": 1}


def typed(*words: object) -> None:
    app([str(word) for word in words], result_action="return_value")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("treebank")
    return {name: write(folder / f"{name}.txt", *size) for name, size in
            {"train": (150, 1), "dev": (40, 2), "test": (40, 3)}.items()}  # fmt: skip


@pytest.fixture(scope="module")
def run(files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "run"
    TreeClassifier.train(
        files["train"], out=out, validation_file=files["dev"], test_file=files["test"], merge="0/2", epochs=30,
        learning_rate=2e-2, dropout=0.0, **SMALL, report=carousel.training.progress.Quiet(),
    )  # fmt: skip
    return out


# -- what is recognised -----------------------------------------------------------------------------------------

KINDS = {
    "(3 (2 It) (4 works))\n": "trees",
    "\n(S (NP (D the) (N film)) (VP (V is) (A fine)))\n": "trees",
    "(3 ((It) (works)))\n": "trees",
    "(hello world)\n(again)\n": "language",  # no node inside another
    "(3 (2 It) (4 works)) and more\n": "language",
    "(3 (2 It) (4 works)\n": "language",
    "It works.\n(3 (2 It) (4 works))\n": "language",
    "a,b\n1,2\n": None,
}


@pytest.mark.parametrize("text", KINDS)
def test_what_is_taken_for_trees(text: str, tmp_path: Path) -> None:
    path = tmp_path / ("data.csv" if "," in text else "data.txt")
    path.write_text(text)
    if KINDS[text] is None:
        with pytest.raises(DataError):
            task_for([path], {})
    else:
        assert task_for([path], {})[0] == KINDS[text]


def stanford(folder: Path, parents: str, words: str = "It works", labels: str | None = "2 4 3") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "parents.txt").write_text(parents + "\n")
    (folder / "sents.toks").write_text(words + "\n")
    if labels is not None:
        (folder / "labels.txt").write_text(labels + "\n")
    return folder


def test_lists_of_parents_are_the_same_trees(tmp_path: Path) -> None:
    folder = stanford(tmp_path / "sst", "3 3 0")
    assert task_for([folder], {})[0] == "trees"
    (found,), (expected,) = read_treebank([folder]), from_texts(["(3 (2 It) (4 works))"])
    assert (found.labels, found.words, found.spans()) == (expected.labels, expected.words, expected.spans())
    assert torch.equal(found.shape.parent, expected.shape.parent)


REFUSED_PARENTS = {
    ("3 3", "It works", "2 4"): "the parent of node 0 is 2",
    ("2 1", "It works", "2 4"): "cycle through node",
    ("0 0", "It works", "2 4"): "a tree has one root, a node of parent 0; this has 2",
    ("x 0", "It works", "2 4"): "the parents of nodes must be whole numbers",
    ("2 0", "It works well", "2 4"): "there are 2 nodes and 3 words",
    ("2 0", "It works", "2"): "there are 2 nodes and 1 labels; write # where there is none",
}


@pytest.mark.parametrize("case", REFUSED_PARENTS)
def test_lists_of_parents_that_are_no_tree_are_refused_with_their_line(case: tuple, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=rf"parents.txt, line 1: .*{REFUSED_PARENTS[case]}"):
        read_treebank([stanford(tmp_path / "sst", *case)])


REFUSED = {
    "(3 (2 a) (4 b))\n\n(3 (2 a)\n": "line 3: the bracket of character 1 is never closed",
    "(3 (2 a) (4 b))\n()\n": "line 2: the bracket of character 1 must be (label word)",
    "(3 (2 a) (4 b))\n(3 (2 a) (b))\n": "line 2 the node 'b' has none, and others have; label every node, or only the "
    "roots. Or learn the labels of the roots alone: --labels root",
    "(3 (2 a) (4 b))\n((2 a) (4 b))\n": "the root of the tree at DATA, line 2 has none",
    "(3 (2 a) (4 b))\n(3 (2 a) (4 b)) (1 c)\n": "line 2: the tree ends before character 17",
    "(3 (3 a) (3 b))\n(3 (3 a) (3 b))\n": "training on trees needs two labels or more, and all are 3",
    "(3 (2 a) (4 b))\n": "training on trees needs two or more, to hold one out; there is 1",
    "\n\n": "has none; each line must be a tree",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_cannot_be_learnt_is_refused_with_its_line(text: str, tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text(text)
    says = re.escape(REFUSED[text].replace("DATA", str(tmp_path / "data.txt")))
    with pytest.raises(DataError, match=says):
        typed("train", tmp_path / "data.txt", "--task", "trees", "--dry-run", "--quiet")
    assert [file.name for file in tmp_path.iterdir()] == ["data.txt"]


OPTIONS = {
    ("--merge", "0"): "two or more, with each label once: --merge 0,1/3,4; found '0'",
    ("--merge", "0/9"): "the data have no label '9'; they have 0, 1, 2",
    ("--labels", "leaves"): "labels",
    ("--rare", "-1"): "rare is how often a rare word occurs at most",
    (
        "--cell",
        "rnn",
    ): "has a node with 2 children, and the cell RNN.* continues 1; train with --cell child-sum-tree-lstm",
    ("--validation-file", "no.txt"): "There is no file no.txt",
    ("--horizon", "3"): "--horizon is an option of the task forecasting",
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_that_mean_nothing_are_refused_in_words(option: tuple, files: dict[str, Path]) -> None:
    with pytest.raises(Exception, match=f"(?s){OPTIONS[option]}"):
        app(
            ["train", str(files["train"]), *option, "--dry-run", "--quiet"],
            result_action="return_value", exit_on_error=False, print_error=False,
        )  # fmt: skip


def test_a_chain_of_100_000_nodes_needs_no_recursion() -> None:
    deep = "(1 " * 50_000 + "(1 a)" + ")" * 50_000
    (tree,) = from_texts([deep])
    assert tree.shape.nodes == 50_001
    words = Words(["a"], lowercase=True)
    batch = StoredTrees.of([tree], words, [np.zeros(tree.shape.nodes, np.int64)]).batch(np.array([0]))
    assert int(batch.trees.height.max()) == 50_000
    assert tree.spans()[tree.root] == "a"


# -- labels and words -------------------------------------------------------------------------------------------


def test_a_node_may_lack_its_label_where_the_reader_is_told() -> None:
    found = read_brackets("(3 (It) ((very) (2 good)))", labelled=False)
    assert found.labels == (None, None, "2", None, "3")
    assert found.words == ("It", "very", "good", None, None)


def test_words_end_at_the_white_space_of_ascii() -> None:
    assert read_brackets("(3 (2 8\xa01/2) (4 stars))\r\n").words == ("8\xa01/2", "stars", None)


def test_which_labels_are_learnt_is_what_there_is() -> None:
    nodes, roots = from_texts(["(3 (2 It) (4 works))"]), from_texts(["(3 (It) (works))"])
    assert (learnt_labels(nodes, None), classes_of(nodes, "nodes")) == ("nodes", (2, 3, 4))
    assert (learnt_labels(roots, None), classes_of(roots, "root")) == ("root", (3,))
    assert learnt_labels(nodes, "root") == "root"
    tagged = from_texts(["(S (NP It) (VP works))", "(10 (9 a) (b c))"])
    assert classes_of(tagged, "nodes") == ("10", "9", "NP", "S", "VP", "b"), "texts, where some are no numbers"


def test_rare_words_share_a_number_and_capital_letters_may_make_no_difference() -> None:
    words = Words.of(["The", "the", "film", "film", "odd"], lowercase=True, rare=1)
    assert words.numbers(["the", "THE", None, "odd", "never"]).tolist() == [2, 2, -1, 0, 0]
    assert Words.from_json(words.to_json()).numbers(["film"]).tolist() == [1]
    assert Words.of(["The", "the"], lowercase=False, rare=0).number("The") == 1


def test_merged_labels_have_the_sum_of_their_probabilities() -> None:
    merging, classes = Merging.of("0,1/3,4"), (0, 1, 2, 3, 4)
    chances = np.array([[0.1, 0.2, 0.4, 0.25, 0.05], [0.0, 0.1, 0.1, 0.1, 0.7]])
    expected = [[0.3 / 0.6, 0.3 / 0.6], [0.1 / 0.9, 0.8 / 0.9]]
    with np.errstate(divide="ignore"):
        np.testing.assert_allclose(np.exp(merging.log_probabilities(np.log(chances), classes)), expected)
    assert merging.group_of(classes).tolist() == [0, 0, -1, 1, 1]
    assert merging.names == ("0,1", "3,4")


def test_naive_bayes_is_that_of_scikit_learn() -> None:
    text = pytest.importorskip("sklearn.feature_extraction.text")
    bayes = pytest.importorskip("sklearn.naive_bayes")
    chance = np.random.default_rng(0)
    sentences = [[str(w) for w in chance.integers(0, 12, chance.integers(1, 9))] for _ in range(60)]
    truth = chance.integers(0, 3, 60)
    counted = text.CountVectorizer(analyzer=lambda one: [*one, *map(" ".join, pairwise(one))], binary=True)
    expected = bayes.MultinomialNB().fit(counted.fit_transform(sentences[:40]), truth[:40])
    ours = NaiveBayes(sentences[:40], truth[:40], 3)
    found = [ours.answer(sentence) for sentence in sentences]
    assert found == expected.predict(counted.transform(sentences)).tolist()


# -- learning and answers ---------------------------------------------------------------------------------------


def test_it_learns_what_naive_bayes_cannot(run: Path) -> None:
    """That "not" turns what stands beside it depends on the shape of the tree."""
    final = RunFolder.open(run).log_lines()[-1]
    assert final["test"]["accuracy"] > final["test"]["naive_bayes"] + 0.1
    assert final["test"]["nodes_accuracy"] > 0.85
    assert final["test"]["merged_accuracy"] > 0.85
    assert final["test"]["trees"] == 40


def test_scores_are_those_of_the_answers(run: Path, files: dict[str, Path]) -> None:
    model = TreeClassifier.load(run)
    result, table = model.evaluate(files["test"]), model.answers(files["test"], nodes=True)
    right = table["label"] == table["prediction"]
    assert result.nodes == (pytest.approx(right.mean()), table.height)
    roots = model.answers(files["test"])
    assert result.accuracy == pytest.approx((roots["label"] == roots["prediction"]).mean())
    assert result.accuracy == model.score(files["test"]) == RunFolder.open(run).log_lines()[-1]["test"]["accuracy"]
    strong = roots.filter(pl.col("label") != "1")
    merged = (strong["P(2)"] > strong["P(0)"]) == (strong["label"] == "2")
    assert result.merged is not None
    assert (result.merged.accuracy, result.merged.count) == (pytest.approx(merged.mean()), strong.height)


def test_a_tree_is_answered_for_alone_as_in_a_batch(run: Path) -> None:
    model, trees = TreeClassifier.load(run), lines(30, 7)
    together, alone = model.predict_proba(trees), np.concatenate([model.predict_proba([one]) for one in trees])
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    nodes = model.predict_nodes(trees)
    assert [of_tree[-1] for of_tree in nodes] == model.predict(trees).tolist()
    assert list(map(len, nodes)) == [one.shape.nodes for one in from_texts(trees)]


def test_labels_never_met_are_never_right(run: Path) -> None:
    result = TreeClassifier.load(run).evaluate(["(7 (2 good) (7 film))", "(2 (2 good) (2 fine))"])
    assert result.roots.classes == (0, 1, 2, 7)
    assert result.roots.count == 2
    assert result.nats == np.inf


def test_commands(run: Path, files: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    typed("predict", run, "--string", "((not) (2 good))", "--nodes")
    said = capsys.readouterr().out
    assert "not good" in said
    assert len(said.splitlines()) == 4
    typed("predict", run, files["test"], "--out", tmp_path / "answers.csv")
    assert pl.read_csv(tmp_path / "answers.csv").columns == [
        "tree",
        "words",
        "label",
        "prediction",
        "P(0)",
        "P(1)",
        "P(2)",
    ]
    capsys.readouterr()
    typed("evaluate", run, files["test"], "--out", tmp_path / "out")
    said = capsys.readouterr().out
    assert re.search(r"40 trees\nroots: accuracy .*\nmerged, 0 or 2: accuracy .*\nall nodes: accuracy ", said)
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"answers.csv", "confusion.png"}
    with pytest.raises(DataError, match="--every is for runs of the task classification, and .* is one of trees"):
        typed("predict", run, files["test"], "--every", 3)
    with pytest.raises(RunError, match="has no form in ONNX or C yet"):
        typed("export", run, "--to", "onnx", "--out", tmp_path / "x")


def test_predict_says_whose_it_is(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"format": 1, "task": "language"}')
    with pytest.raises(
        RunError, match="run of the task 'language', and this needs one of .*'classification' or 'trees'"
    ):
        typed("predict", tmp_path, "a.txt")


def test_dry_run_says_all_that_is_decided(
    files: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    typed("train", files["train"], "--validation-file", files["dev"], "--dry-run", "--threads", 1)
    said = capsys.readouterr().out
    for words in (
        "taken for trees in brackets, to train trees",
        "learns the labels of all nodes (--labels)",
        "trees: 150 to learn from, 40 to validate on",
        "7 words known, capital letters make no difference; 0.0% of all words are unknown",
        "3 networks vote; tree-lstm, 1 x 100 units",
        "would train for 300 steps, 60.0 times over",
    ):
        assert words in said
    assert not list(tmp_path.iterdir())


# -- in scikit-learn's manners ----------------------------------------------------------------------------------


def test_labels_of_roots_alone_are_learnt_and_any_number_of_children() -> None:
    texts = [f"((the) ({word}) (film))" for word in ("good", "bad", "fine", "dull") for _ in range(5)]
    truth = [label for label in ("up", "down", "up", "down") for _ in range(5)]
    model = TreeClassifier(epochs=40, rare=0, **SMALL | {"networks": 1}).fit(texts, truth)
    assert model.config["labels"] == "root"
    assert model.config["settings"]["cell"] == "child-sum-tree-lstm"
    assert model.classes_.tolist() == ["down", "up"]
    assert model.score(texts, truth) == 1.0
    assert model.evaluate(texts, truth).nodes is None


def test_a_copy_has_the_same_parameters_and_a_saved_model_the_same_answers(run: Path, tmp_path: Path) -> None:
    model = TreeClassifier(hidden=3, merge="0/1")
    assert repr(model) == "TreeClassifier(hidden=3, merge='0/1')"
    assert repr(TreeClassifier(**model.get_params())) == repr(model)
    with pytest.raises(RunError, match="must have learnt before it can be asked"):
        model.predict(["(1 a)"])
    trained, texts = TreeClassifier.load(run), lines(5, 9)
    again = TreeClassifier.load(trained.save(tmp_path / "copy"))
    assert (again.predict_proba(texts) == trained.predict_proba(texts)).all()


WRONG: list[tuple[Any, Any, str]] = [
    ([1, 2], None, "Trees are texts in brackets"),
    (["(1 a) \n (1 b)"], None, "text 0 has 2 trees, and each text is one"),
    (["(1 a"], None, "text 0, line 1: the bracket of character 1 is never closed"),
    (["(a)", "(b)"], [1, 2, 3], "one label for each of the 2 trees, and has 3"),
    (["(a)", "(b)"], [1.5, 2], "A label is a text or a whole number, not 1.5"),
]


@pytest.mark.parametrize(("x", "y", "says"), WRONG)
def test_what_is_no_tree_or_label_is_refused_in_words(x: Any, y: Any, says: str) -> None:
    with pytest.raises(CarouselError, match=says):
        TreeClassifier(epochs=1, **SMALL).fit(x, y)


def test_the_settings_name_files_as_text() -> None:
    assert Settings(validation_file=Path("a.txt")).validation_file == "a.txt"  # type: ignore[arg-type]
