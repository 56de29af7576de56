"""The page of a classifier of trees: its data against the model, and in a browser clicks, keys and small screens."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from test_page_browser import Shown, browser  # noqa: F401 (browser is a fixture)
from treebank import lines, write

import carousel
from carousel import TreeClassifier, insight
from carousel.errors import DataError, RunError
from carousel.page.document import document
from carousel.page.readers import reader_for
from carousel.page.trees import TreeMoments
from carousel.tasks.trees.reading import from_texts
from carousel.training.progress import Quiet

NASTY = "</script><img\xa0src=x\xa0onerror=alert&lt;1&gt;><b>"
TREE = f"(2 (2 (1 {NASTY}) (2 good)) (0 (1 not) (2 (2 fine) (1 film))))"


@pytest.fixture(scope="module")
def model() -> TreeClassifier:
    return TreeClassifier(hidden=6, embedding=4, networks=2, epochs=2, threads=1).fit(lines(30, 1))


@pytest.fixture(scope="module")
def moments(model: TreeClassifier) -> TreeMoments:
    reader = reader_for(model)
    found = reader.examine("tiny", reader.choose(TREE, item=None, steps=500), lambda _: None)[0]
    assert isinstance(found, TreeMoments)
    return found


@pytest.fixture(scope="module")
def file(moments: TreeMoments, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(document([moments]), "utf-8")
    return path.as_uri()


def test_the_page_has_the_answers_and_states_of_the_model(model: TreeClassifier, moments: TreeMoments) -> None:
    (tree,) = from_texts([TREE])
    (logs,) = model.trained.log_probabilities([tree])
    np.testing.assert_allclose(moments.probability, np.exp(logs), rtol=1e-5)
    assert moments.truth.tolist() == list(tree.labels)
    assert moments.spans == tree.spans()
    member = model.trained.network.members[0]
    h, _ = member.recurrent(member.embedding.weight[moments_words(model, tree)], tree.shape, at=tree.shape.leaves)
    np.testing.assert_allclose(moments.states["h"], h.detach().numpy(), atol=1e-6)
    assert [curve.name for curve in moments.gradients] == ["h", "c"]
    assert len(moments.gradients[0].by_depth) == 4


def moments_words(model: TreeClassifier, tree) -> list[int]:
    return [model.trained.words.number(tree.words[leaf]) for leaf in tree.shape.leaves.tolist()]


def test_a_page_reads_what_a_run_held_out(tmp_path: Path) -> None:
    train, dev = write(tmp_path / "train.txt", 30, 1), write(tmp_path / "dev.txt", 10, 2)
    settings = {"hidden": 3, "embedding": 3, "networks": 1, "epochs": 1, "threads": 1}
    TreeClassifier.train(train, out=tmp_path / "run", validation_file=dev, report=Quiet(), **settings)
    page = carousel.inspect(tmp_path / "run", report=lambda _: None)
    assert "dev.txt, line 1" in page.read_text("utf-8")
    assert {file.name for file in page.parent.iterdir()} == {"index.html", "gradients.png", "tree.png"}
    reader = reader_for(tmp_path / "run")
    assert reader.choose(train, item="3", steps=500).tree.where.endswith("line 4")
    with pytest.raises(DataError, match=r"There is no tree '40' \(--item\)"):
        reader.choose(train, item="40", steps=500)
    with pytest.raises(DataError, match="nodes, and the page shows 2 at most"):
        reader.choose(TREE, item=None, steps=2)
    with pytest.raises(DataError, match="Nothing can be typed for a classifier of trees"):
        reader.typing()
    dev.unlink()
    with pytest.raises(DataError, match="The trees of this run are no longer at .*dev.txt"):
        carousel.inspect(tmp_path / "run", report=lambda _: None)
    with pytest.raises((DataError, RunError), match="There is no file|is not a run"):
        carousel.inspect(tmp_path / "other", report=lambda _: None)


@pytest.fixture
def shown(browser, file: str):  # noqa: F811
    page = Shown(browser, file)
    yield page
    assert page.complaints == []
    assert [url for url in page.asked if not url.startswith(("file:", "data:"))] == []
    page.context.close()


def test_keys_and_clicks_lead_through_the_tree(shown, moments: TreeMoments) -> None:
    root = len(moments.parents) - 1
    assert shown.status.startswith(f"Node {root + 1} of {root + 1}, ")
    shown.page.keyboard.press("ArrowRight")
    children = [node for node, parent in enumerate(moments.parents) if parent == root]
    assert shown.js("treePage.runs[0].node") == children[0]
    shown.page.keyboard.press("ArrowLeft")
    assert shown.js("treePage.runs[0].node") == root
    shown.page.locator(".node[data-node='1'] circle").click()
    assert "good" in shown.status
    shown.page.locator(".branches").press("ArrowDown")
    rows = moments.rows
    assert rows[shown.js("treePage.runs[0].node")] >= rows[1]
    shown.js("treePage.go(1)")
    shown.until("location.hash.startsWith('#1,')")
    shown.page.reload()
    assert shown.js("treePage.runs[0].node") == 1


def test_numbers_on_the_page_are_those_of_the_model(shown, moments: TreeMoments) -> None:
    for node in range(len(moments.parents)):
        shown.js("node => treePage.go(node)", node)
        for unit in (0, 5):
            found = shown.js("unit => treePage.runs[0].unitAt(treePage.runs[0].node, unit)", unit)
            assert found == pytest.approx(float(moments.states["h"][node, unit]), abs=1e-4)
        best = int(moments.probability[node].argmax())
        assert shown.text(".likely tbody th").startswith(moments.classes[best])
    shown.js("treePage.choose(treePage.runs[0], { state: 'c', unit: 4 })")
    assert "c of unit 4" in shown.status


def test_words_never_become_markup(shown) -> None:
    assert shown.js("document.querySelectorAll('img').length") == 0
    assert "<img" in shown.js("document.querySelector('.tree').textContent")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser, file: str, scheme: str) -> None:  # noqa: F811
    page = Shown(browser, file, width=390, height=844, color_scheme=scheme)
    assert page.js("document.documentElement.scrollWidth") <= 390
    for k in range(page.js("document.querySelector('select').options.length")):
        page.page.locator("select").first.select_option(index=k)
    assert page.complaints == []
    page.context.close()


def test_two_runs_stand_side_by_side(browser, moments: TreeMoments, tmp_path: Path) -> None:  # noqa: F811
    (tmp_path / "two.html").write_text(document([moments, moments]), "utf-8")
    page = Shown(browser, (tmp_path / "two.html").as_uri())
    page.page.keyboard.press("ArrowRight")
    assert page.js("treePage.runs.map(run => run.node)") == page.js("[treePage.runs[0].node, treePage.runs[0].node]")
    assert page.js("document.querySelectorAll('.tree').length") == 2
    assert page.complaints == []
    page.context.close()


def test_gradients_on_the_page_are_those_of_insight(model: TreeClassifier, moments: TreeMoments) -> None:
    flow = insight.gradient_by_depth(
        model.trained.network.members[0],
        *reader_batch(model),
        loss=lambda scores: -scores.log_softmax(1)[:, model.classes_.tolist().index(2)],
    )
    np.testing.assert_allclose(moments.gradients[0].norms, flow.norms["h"][0].numpy(), rtol=1e-4)


def reader_batch(model: TreeClassifier):
    (tree,) = from_texts([TREE])
    return torch.tensor(moments_words(model, tree)), tree.shape, tree.shape.leaves
