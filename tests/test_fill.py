"""Missing words: a model that reads a text from both sides, and never the word that it predicts."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

import carousel
from carousel import LanguageModel
from carousel.cli import app
from carousel.errors import DataError, speaking
from carousel.models import FillModel
from carousel.models.fill_model import sampled_loss
from carousel.tasks.language import hidden_words, neighbour_baseline
from carousel.tasks.language.filling import fill
from carousel.tasks.language.pieces import PieceBatches
from carousel.tasks.vocabulary import TokenVocabulary, WordVocabulary, from_json
from carousel.training.progress import Quiet

TEXT = "The sea is blue . The sky is blue . He is glad because he wins . She is glad because she wins .\n" * 12
SMALL = {"fill": True, "level": "token", "hidden": 12, "window": 16, "lanes": 4, "threads": 1, "seed": 1}


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("fill") / "text.txt"
    path.write_text(TEXT)
    return path


@pytest.fixture(scope="module")
def run(text) -> Path:
    out = text.parent / "run"
    LanguageModel.train(text, out=out, report=Quiet(), epochs=30, learning_rate=0.02, **SMALL)
    return out


def network(symbols: int = 9, *, cell: str = "lstm", layers: int = 1) -> FillModel:
    torch.manual_seed(0)
    return FillModel(symbols, cell=cell, hidden=5, layers=layers, embedding=4).double().eval()


# -- the network -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("cell", "layers"), [("lstm", 1), ("gru", 3)])
def test_no_score_depends_on_the_word_itself_and_all_depend_on_each_other_word(cell, layers):
    model, symbols = network(cell=cell, layers=layers), torch.arange(7)[:, None]
    with torch.no_grad():
        before = model(symbols)
        for place in range(7):
            changed = symbols.clone()
            changed[place] = 8
            after = model(changed)
            assert torch.equal(after[place], before[place])
            others = [t for t in range(7) if t != place]
            assert (after[others] - before[others]).abs().amax((1, 2)).min() > 0


def test_a_text_has_the_same_scores_alone_and_in_a_batch():
    model, symbols = network(), torch.randint(9, (6, 5))
    with torch.no_grad():
        together = model(symbols)
        for row in range(5):
            torch.testing.assert_close(together[:, row], model(symbols[:, row : row + 1])[:, 0], rtol=0, atol=1e-12)


def test_a_text_of_one_word_is_predicted_from_nothing():
    model = network()
    with torch.no_grad():
        assert torch.equal(model(torch.tensor([[3]])), model(torch.tensor([[5]])))


def test_the_sampled_loss_with_all_others_alike_is_the_cross_entropy():
    model, symbols = network(), torch.randint(9, (6, 5))
    expected = functional.cross_entropy(model(symbols).flatten(0, 1), symbols.flatten())
    uniform = torch.ones(9, dtype=torch.float64)
    # 8 of 9 others leave the own word out of some places, and one word out of the others; all 9 leave out none.
    torch.testing.assert_close(sampled_loss(model, symbols, uniform, 9), expected, rtol=0, atol=1e-12)
    assert sampled_loss(model, symbols, uniform, 3) < expected + 1


def test_the_gradient_of_the_sampled_loss_is_near_that_of_all_words():
    """With a sample of half the words, averaged over samples, the direction is that of the whole loss."""
    model, symbols = network(40), torch.randint(40, (12, 8))
    frequency = torch.linspace(1, 5, 40, dtype=torch.float64)

    def gradient(loss: torch.Tensor) -> torch.Tensor:
        (found,) = torch.autograd.grad(loss, model.joined.weight)
        return found.flatten()

    whole = gradient(functional.cross_entropy(model(symbols).flatten(0, 1), symbols.flatten()))
    mean = torch.stack([gradient(sampled_loss(model, symbols, frequency, 20)) for _ in range(40)]).mean(0)
    assert functional.cosine_similarity(whole, mean, dim=0) > 0.97


# -- how well hidden words are predicted -------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 200, 1500])
def test_every_word_is_scored_once_with_words_on_either_side(count):
    tokens = np.arange(count)
    seen: list[int] = []
    for symbols, scored in hidden_words._batches(tokens):
        for row in range(symbols.shape[1]):
            places = np.flatnonzero(scored[:, row])
            seen += symbols[places, row].tolist()
            for place in places:
                assert place >= 32 or symbols[0, row] == 0
                assert len(symbols) - 1 - place >= 32 or symbols[-1, row] == count - 1
    assert sorted(seen) == tokens.tolist()


def test_the_loss_of_a_short_text_is_that_of_its_scores():
    model, tokens = network(), np.random.default_rng(0).integers(0, 9, 50)
    with torch.no_grad():
        symbols = torch.from_numpy(tokens)[:, None]
        expected = functional.cross_entropy(model(symbols)[:, 0], symbols[:, 0], reduction="sum").item()
    assert hidden_words.total_nats(model, tokens) == pytest.approx(expected, abs=1e-9)


def test_pairs_with_both_neighbours_are_the_chain_of_pairs_exactly():
    rng = np.random.default_rng(0)
    learnt, judged = rng.integers(0, 7, 300), rng.integers(0, 9, 60)  # two symbols are never met
    counts = neighbour_baseline.count(learnt, 9)
    pairs, single = np.zeros((9, 9)), np.bincount(learnt, minlength=9).astype(float)
    np.add.at(pairs, (learnt[:-1], learnt[1:]), 1)
    single = (single + 7 / 9) / (single.sum() + 7)
    kinds, totals = (pairs > 0).sum(1), pairs.sum(1)
    follow = np.stack(
        [(pairs[k] + kinds[k] * single) / (totals[k] + kinds[k]) if totals[k] else single for k in range(9)]
    )
    np.testing.assert_allclose(follow.sum(1), 1)
    left, middle, right = judged[:-2], judged[1:-1], judged[2:]
    both = follow[left, middle] * follow[middle, right] / (follow @ follow)[left, right]
    assert counts.nats(judged) == pytest.approx(-np.log(both).mean(), abs=1e-12)
    assert counts.bigram_nats(judged) == pytest.approx(-np.log(follow[judged[:-1], judged[1:]]).mean(), abs=1e-12)


# -- batches -----------------------------------------------------------------------------------------------------


def test_pieces_are_of_the_text_and_begin_elsewhere_in_each_epoch():
    read: list[torch.Tensor] = []

    def loss(_, symbols):
        read.append(symbols)
        return torch.zeros(())

    tokens = np.arange(103, dtype=np.uint8)
    batches = PieceBatches(tokens, lanes=4, window=10, loss=loss, seed=3)
    starts = set()
    for _ in range(4):
        read.clear()
        for _ in range(batches.steps_per_epoch):
            batches.next_loss(torch.nn.Identity())
        pieces = torch.cat(read, 1).T
        assert pieces.shape == (9, 10)
        assert (pieces.diff(dim=1) == 1).all()
        starts.add(int(pieces.min()))
        assert pieces.unique().numel() == 90
    assert len(starts) > 1
    assert (batches.units_read, batches.units_per_epoch) == (360, 90)
    for _ in range(2):
        batches.next_loss(torch.nn.Identity())
    saved = batches.state_dict()
    batches.next_loss(torch.nn.Identity())
    again = PieceBatches(tokens, lanes=4, window=10, loss=loss, seed=3)
    again.load_state_dict(saved)
    again.next_loss(torch.nn.Identity())
    assert torch.equal(read[-1], read[-2])


# -- tokens ------------------------------------------------------------------------------------------------------


def test_tokens_are_divided_by_white_space_and_give_the_text_back():
    vocabulary, count = TokenVocabulary.survey([TEXT], limit=100)
    encoded = vocabulary.encode("The sea @-@ is\n blue")
    assert encoded.lengths.tolist() == [3, 4, 4, 3, 1, 5]
    assert encoded.ids[2] == vocabulary.unknown
    assert vocabulary.decode(vocabulary.encode(TEXT).ids) == TEXT
    assert count == len(vocabulary.encode(TEXT).ids)
    assert isinstance(from_json(vocabulary.to_json()), TokenVocabulary)


# -- filling in --------------------------------------------------------------------------------------------------


def test_the_likeliest_words_have_the_probabilities_of_the_network(run):
    model = LanguageModel.load(run)
    filled = model.fill("The sea is ___ .", count=3)
    (blank,) = filled.blanks
    assert blank[0].text == "blue"
    assert filled.text == "The sea is blue ."
    ids = model.vocabulary.encode("The sea is blue .").ids
    with torch.no_grad():
        scores = model.network(torch.from_numpy(ids)[:, None])[3, 0].double()
    allowed = [k for k in range(1, model.vocabulary.size) if model.vocabulary.decode([k]).startswith(" ")]
    expected = scores[allowed].softmax(0).max().item()
    assert blank[0].probability == pytest.approx(expected, abs=1e-6)
    assert [one.probability for one in blank] == sorted((one.probability for one in blank), reverse=True)


@pytest.mark.parametrize(
    ("given", "blanks", "unknown"),
    [
        ("___ sea is blue .", 1, ()),
        ("The sea is ___", 1, ()),
        ("___", 1, ()),
        ("___ sea is ___ . The ____ is __ .", 4, ()),
        ("___ ___", 2, ()),
        ("The zork is ___ to Zork", 1, ("zork", "to", "Zork")),
        ("He is ___ because he wins", 1, ()),
    ],
)
def test_blanks_anywhere_are_filled(run, given, blanks, unknown):
    filled = LanguageModel.load(run).fill(given, count=4)
    assert len(filled.blanks) == blanks
    assert "__" not in filled.text
    assert filled.unknown == unknown
    for blank in filled.blanks:
        assert 0 < sum(one.probability for one in blank) <= 1 + 1e-9
        assert len({one.text for one in blank}) == len(blank)


def test_a_word_that_is_known_with_and_without_a_space_is_one_answer():
    vocabulary = WordVocabulary(["sea", " sea", " is", "."], 20)
    torch.manual_seed(0)
    model = FillModel(vocabulary.size, hidden=4, embedding=4).eval()
    begins = fill(model, vocabulary, "___ is", count=9).blanks[0]
    assert sorted(one.text for one in begins) == [".", "is", "sea"]
    assert sum(one.probability for one in begins) == pytest.approx(1)
    within = fill(model, vocabulary, "sea ___ .", count=9).blanks[0]
    assert sorted(one.text for one in within) == ["is", "sea"]
    glued = fill(model, vocabulary, "sea is___", count=9).blanks[0]
    assert sorted(one.text for one in glued) == [".", "sea"]


def test_several_blanks_agree_with_one_another(run):
    """Each is judged with the likeliest words in the others, which is where putting words in has come to rest."""
    model = LanguageModel.load(run)
    filled = model.fill("He is ___ because ___ wins .")
    first, second = (blank[0].text for blank in filled.blanks)
    assert model.fill(f"He is ___ because {second} wins .").blanks[0] == filled.blanks[0]
    assert model.fill(f"He is {first} because ___ wins .").blanks[0] == filled.blanks[1]


# -- the commands ------------------------------------------------------------------------------------------------


def test_what_the_commands_say(run, text, capsys):
    app(["fill", str(run), "The sea is ___ .", "--count", "2"], result_action="return_value")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[1] == "blue"
    assert lines[-1] == "The sea is blue ."
    app(["evaluate", str(run), str(text)], result_action="return_value")
    said = capsys.readouterr().out
    assert "of a hidden token, from all the others near it" in said
    app(["train", str(text), "--fill", "--dry-run"], result_action="return_value")
    said = capsys.readouterr().out
    assert "words known" in said
    assert "on either side" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["generate", "{run}"], r"fills in missing words, .* trained with --fill. Ask it for a word: carousel fill "),
        (
            ["complete", "{run}", "The"],
            r"carousel fill .* \"He is ___ because he wins\". To write and to complete texts",
        ),
        (["fill", "{run}", "The sea"], r"There is no blank in 'The sea': write two underscores or more"),
        (["fill", "{run}", "___", "--count", "0"], "The count must be 1 or more, not 0"),
        (["train", "{text}", "--fill", "--level", "char"], r"\(--fill\) reads words or tokens; leave --level char out"),
        (["train", "{text}", "--sampled", "9"], r"--sampled is for models that fill in words: give --fill, too"),
        (["train", "{text}", "--fill", "--window", "5000"], "is too short"),
        (["inspect", "{run}", "--live"], "leave --live out to write the page as a file"),
        (["export", "{run}", "--to", "onnx"], "a model that fills in words has no ONNX or C form"),
    ],
)
def test_what_is_refused(run, text, arguments, message):
    given = [one.format(run=run, text=text) for one in arguments]
    with speaking(python=False), pytest.raises(carousel.CarouselError, match=message):
        app(given, result_action="return_value", exit_on_error=False)


def test_a_model_that_writes_is_asked_for_the_next_word(text, tmp_path):
    model = LanguageModel.train(text, out=tmp_path / "run", report=Quiet(), epochs=0.1, hidden=4, threads=1, window=16)
    with pytest.raises(DataError, match=r"Ask it for the next word: model.complete\(\"He is\"\)"):
        model.fill("The ___")


def test_training_is_judged_beside_counts_of_pairs(run):
    import json

    last = json.loads((run / "log.jsonl").read_text().splitlines()[-1])
    assert last["final"] < last["both_neighbours"] + math.log(2)
    assert last["both_neighbours"] < last["bigram"]


def test_the_page_shows_each_word_from_all_the_others(run, tmp_path):
    page = carousel.inspect(run, "The sea is blue . The sky is blue .", out=tmp_path).read_text(encoding="utf-8")
    assert '"what":"word"' in page
    assert "neither has read the word" in page
