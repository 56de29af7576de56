"""A language model learns, stops, goes on to the same bits, writes, completes and judges."""

import copy
import json
import os
import shlex
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

import carousel.training.loop
from carousel.errors import DataError, RunError
from carousel.tasks.language import task as language_task
from carousel.tasks.language.language_model import LanguageModel
from carousel.tasks.language.sampling import Sampling
from carousel.tasks.language.scoring import total_nats
from carousel.tasks.language.settings import Settings, automatic_dropout
from carousel.training.progress import Lines, Quiet
from carousel.training.run_folder import RunFolder

TEXT = "The clouds are in the sky. The fish are in the sea. " * 60
TINY: dict[str, Any] = {"hidden": 16, "window": 8, "lanes": 4, "seed": 3, "threads": 1}


@pytest.fixture
def text(tmp_path: Path) -> Path:
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    return file


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> LanguageModel:
    folder = tmp_path_factory.mktemp("trained")
    (folder / "text.txt").write_text(TEXT)
    options = TINY | {"hidden": 48, "learning_rate": 1e-2}
    return LanguageModel.train(folder / "text.txt", out=folder / "run", epochs=6, report=Quiet(), **options)


def results(run: Path) -> tuple[dict, dict, list]:
    """The final weights, the best weights, and the log without its clock."""
    folder = RunFolder.open(run)
    state = folder.read_state()
    log = [{key: value for key, value in line.items() if key != "seconds"} for line in folder.log_lines()]
    return state["loop"]["model"], folder.read_model(), log


def assert_same_run(one: Path, other: Path) -> None:
    first, second = results(one), results(other)
    for ours, theirs in zip(first[:2], second[:2], strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert torch.equal(ours[name], theirs[name]), name
    assert first[2] == second[2]


class StopAfter(Quiet):
    """Presses Ctrl-C (or sends another signal) after so many steps of this sitting."""

    def __init__(self, steps: int, number: int = signal.SIGINT) -> None:
        self.left, self.number = steps + 1, number  # the first tick comes before the first step

    def tick(self, status) -> None:  # noqa: ARG002
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("cell", "layers"), [("lstm", 1), ("gru", 2)])
def test_stopping_and_going_on_changes_no_bit(text: Path, tmp_path: Path, cell: str, layers: int) -> None:
    options = TINY | {"cell": cell, "layers": layers, "dropout": 0.3, "epochs": 0.5}
    LanguageModel.train(text, out=tmp_path / "whole", report=Quiet(), **options)
    steps = RunFolder.open(tmp_path / "whole").read_state()["loop"]["steps"]
    assert steps > 40
    with pytest.raises(KeyboardInterrupt):
        LanguageModel.train(text, out=tmp_path / "stopped", report=StopAfter(17), **options)
    assert RunFolder.open(tmp_path / "stopped").read_state()["loop"]["steps"] == 17
    torch.manual_seed(12345)  # the resumed run must not depend on what the process did before
    with pytest.raises(KeyboardInterrupt):
        LanguageModel.resume(tmp_path / "stopped", report=StopAfter(1))
    LanguageModel.resume(tmp_path / "stopped", report=Quiet())
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


def test_the_best_model_before_a_stop_is_the_best_after_it(text: Path, tmp_path: Path) -> None:
    options = TINY | {"epochs": 0.3, "learning_rate": 100.0}  # so high that nothing after the first step is better
    LanguageModel.train(text, out=tmp_path / "whole", report=Quiet(), **options)
    with pytest.raises(KeyboardInterrupt):
        LanguageModel.train(text, out=tmp_path / "stopped", report=StopAfter(17), **options)
    best = (tmp_path / "stopped" / "model.safetensors").read_bytes()
    LanguageModel.resume(tmp_path / "stopped", report=Quiet())
    assert (tmp_path / "stopped" / "model.safetensors").read_bytes() == best
    assert_same_run(tmp_path / "whole", tmp_path / "stopped")


@pytest.mark.parametrize(("rate", "first"), [(3e-3, 4), (100.0, 3)])
def test_a_crash_at_any_write_changes_no_bit(text: Path, tmp_path: Path, monkeypatch, rate: float, first: int) -> None:
    """Killed before a rename, again and again. At the higher rate the first weights stay the best: they must not be
    lost where the crash falls between the files of the first checkpoint."""
    options = TINY | {"dropout": 0.2, "epochs": 0.1, "learning_rate": rate}
    LanguageModel.train(text, out=tmp_path / "whole", report=Quiet(), **options)

    class Killed(BaseException):
        pass

    real = os.replace

    def crash_at(number: int) -> None:
        calls = 0

        def replace(source, target) -> None:
            nonlocal calls
            calls += 1
            if calls == number:
                raise Killed
            real(source, target)

        monkeypatch.setattr(os, "replace", replace)

    out = tmp_path / "crashed"
    crashes = 0
    crash_at(first)  # the first three renames write the config, a model and a state
    with pytest.raises(Killed):
        LanguageModel.train(text, out=out, report=Quiet(), **options)
    for number in (1, 2, 3, 1, 4, 2):
        crash_at(number)
        try:
            LanguageModel.resume(out, report=Quiet())
        except Killed:
            crashes += 1
    monkeypatch.setattr(os, "replace", real)
    LanguageModel.resume(out, report=Quiet())
    assert crashes >= 4
    assert_same_run(tmp_path / "whole", out)


def test_sigterm_saves_and_exits_with_143(text: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as exit:
        LanguageModel.train(text, out=tmp_path / "run", epochs=1, report=StopAfter(5, signal.SIGTERM), **TINY)
    assert exit.value.code == 143
    assert RunFolder.open(tmp_path / "run").read_state()["loop"]["steps"] == 5


def test_a_budget_in_minutes_is_fixed_early_and_then_kept(text: Path, tmp_path: Path) -> None:
    class StopWhenPlanned(StopAfter):
        def say(self, line: str) -> None:
            if "steps," in line:
                self.left = 1

    lines: list[str] = []
    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        LanguageModel.train(text, out=run, minutes=0.05, report=StopWhenPlanned(10**9), **TINY)
    plan = RunFolder.open(run).read_state()["loop"]["plan"]
    assert plan is not None
    LanguageModel.resume(run, report=Lines(write=lines.append))
    state = RunFolder.open(run).read_state()["loop"]
    assert state["plan"] == plan
    assert state["steps"] == plan["steps"]
    assert any(line.startswith("continuing") for line in lines)


def test_another_number_of_threads_is_said(text: Path, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        LanguageModel.train(text, out=tmp_path / "run", epochs=0.2, report=StopAfter(3), **TINY)
    lines: list[str] = []
    LanguageModel.resume(tmp_path / "run", threads=2, report=Lines(write=lines.append))
    assert any("began with 1 threads and goes on with 2" in line and "may differ" in line for line in lines)


def test_it_learns_and_beats_nothing_but_honestly(trained: LanguageModel) -> None:
    log = RunFolder.open(trained.run).log_lines()  # type: ignore[arg-type]
    final = log[-1]["final"]
    assert final == min(line["validation"] for line in log if "validation" in line)
    assert final < 0.5 < log[0]["validation"]
    assert log[-1]["all"] is True
    picture = (trained.run / "curve.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    assert not (trained.run / "tokens.bin").exists(), "a finished run keeps no copy of the text"
    assert not list(trained.run.glob("*.tmp"))


def test_a_finished_run_has_nothing_left_to_do(trained: LanguageModel) -> None:
    lines: list[str] = []
    before = (trained.run / "model.safetensors").read_bytes()
    LanguageModel.resume(trained.run, report=Lines(write=lines.append))  # type: ignore[arg-type]
    assert "has finished" in lines[0]
    assert (trained.run / "model.safetensors").read_bytes() == before


def test_writing_is_seeded_and_comes_in_whole_pieces(trained: LanguageModel) -> None:
    options: dict[str, Any] = {"prompt": "The cl", "length": 60, "temperature": 0.9}
    once = trained.generate(**options, seed=7)
    assert once == "".join(trained.stream(**options, seed=7))
    assert len(once) == 60
    assert len({trained.generate(**options, seed=seed) for seed in range(4)}) > 1
    surest = trained.generate("The cl", length=23, temperature=0)
    assert surest.startswith("ouds are in the s")
    assert trained.generate("The cl", length=23, top_k=1, temperature=1.0, seed=5) == surest


def test_writing_leaves_inference_mode_between_pieces(trained: LanguageModel) -> None:
    for _ in trained.stream("The", length=3):
        assert not torch.is_inference_mode_enabled()


def test_completions_are_whole_words_with_probabilities(trained: LanguageModel) -> None:
    likeliest = trained.complete("The clouds are in", count=3)
    assert likeliest[0].text == " the"
    assert likeliest[0].probability > 0.9
    assert trained.complete("The clou")[0].text == "ds"
    assert [c.probability for c in likeliest] == sorted((c.probability for c in likeliest), reverse=True)
    assert sum(c.probability for c in trained.complete("The ", count=50)) <= 1 + 1e-9


def test_a_prompt_is_taken_to_break_off_where_the_model_finds_that_likelier(trained: LanguageModel) -> None:
    assert all(not c.text[0].isalpha() for c in trained.complete("The fish are in the", count=10))
    assert all(c.text[0].isalpha() for c in trained.complete("The fish are in t", count=10))


@pytest.mark.parametrize(
    ("epochs", "parameters", "dropout"),
    [(1, 10**7, 0.0), (50, 10**4, 0.0), (10, 500_000, 0.1), (50, 400_000, 0.2), (50, 2 * 10**6, 0.3)],
)
def test_dropout_grows_with_what_could_be_learnt_by_heart(epochs: float, parameters: int, dropout: float) -> None:
    assert automatic_dropout(epochs, parameters, tokens=10**6) == dropout


def test_a_completion_has_the_probability_the_model_gives_its_symbols(trained: LanguageModel) -> None:
    """Multiplied out step by step, with the chance of the word ending after it."""
    prompt, best = "The fish are", trained.complete("The fish are", count=1)[0]
    symbols = trained.vocabulary
    ids = symbols.encode(prompt + best.text).ids.tolist()
    with torch.inference_mode():
        scores, _ = trained.network(torch.tensor(ids).unsqueeze(1))
    scores = scores[:, 0].double()
    scores[:, symbols.unknown] = -torch.inf
    probabilities = scores.softmax(-1)
    expected = 1.0
    for place in range(len(prompt), len(ids)):
        expected *= probabilities[place - 1, ids[place]].item()
    ends = [n for n in range(1, symbols.size) if not symbols.decode([n]).isalnum()]
    expected *= probabilities[-1, ends].sum().item()
    assert best.probability == pytest.approx(expected, rel=1e-6)


def test_evaluation_agrees_with_the_plain_definition(trained: LanguageModel, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text("The sea is in the sky.")
    result = trained.evaluate(other)
    ids = torch.from_numpy(trained.vocabulary.encode(other.read_text()).ids)
    with torch.inference_mode():
        scores, _ = trained.network(ids[:-1].unsqueeze(1))
    expected = torch.nn.functional.cross_entropy(scores[:, 0], ids[1:]).item()
    assert result.nats_per_character == pytest.approx(expected, rel=1e-5)
    assert result.bits_per_character == pytest.approx(expected / 0.6931471805599453, rel=1e-5)
    assert (result.tokens, result.characters, result.unknown) == (21, 21, 0)


def test_evaluation_counts_the_unknown(trained: LanguageModel, tmp_path: Path) -> None:
    plain, strange = tmp_path / "plain.txt", tmp_path / "strange.txt"
    plain.write_text("The sea is in the sky. " * 5)
    strange.write_text("The sea is in the sky€ " * 5, encoding="utf-8")
    result = trained.evaluate(strange)
    assert result.unknown == 5
    assert result.nats_per_character > trained.evaluate(plain).nats_per_character + 5 * 13.9 / result.characters


def test_evaluation_in_lanes_predicts_every_symbol_once(trained: LanguageModel, monkeypatch) -> None:
    ids = trained.vocabulary.encode(TEXT[:1001]).ids
    lane = 91  # of 1000 predictions in 11 lanes; the last has 90
    one_by_one = sum(total_nats(trained.network, ids[start : start + lane + 1]) for start in range(0, 1000, lane))
    monkeypatch.setattr("carousel.tasks.language.scoring.LANE", 90)
    assert total_nats(trained.network, ids) == pytest.approx(one_by_one, rel=1e-5)


@pytest.mark.parametrize("level", ["byte", "word"])
def test_other_levels_learn_write_and_judge(tmp_path: Path, level: str) -> None:
    file = tmp_path / "text.txt"
    file.write_text("Les nuées sont dans le ciel. " * 150, encoding="utf-8")
    model = LanguageModel.train(
        file, out=tmp_path / "run", level=level, epochs=8, report=Quiet(), **TINY | {"learning_rate": 1e-2}
    )
    assert model.generate("Les nu", length=8, temperature=0.1)
    assert model.evaluate(file).nats_per_character < 1.2
    assert model.complete("Les nuées sont dans")[0].text == " le"
    assert json.loads((tmp_path / "run" / "config.json").read_text("utf-8"))["settings"]["level"] == level


# -- what cannot be done is said ---------------------------------------------------------------------------------


def test_a_prompt_with_strange_characters(trained: LanguageModel) -> None:
    with pytest.raises(DataError, match=r"has never seen: '€'. It knows 19: ' \.T.*level=.byte"):
        trained.generate("€")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -1}, "temperature must be 0 or more, not -1"),
        ({"temperature": float("nan")}, "temperature must be 0 or more"),
        ({"temperature": "0.8"}, "temperature must be a number, not '0.8'"),
        ({"temperature": None}, "temperature must be a number, not None"),
        ({"top_k": 2.0}, "top_k must be a whole number of symbols, not 2.0"),
        ({"top_k": True}, "top_k must be a whole number of symbols, not True"),
        ({"top_p": "0.9"}, "top_p must be a number, not '0.9'"),
        ({"top_k": 0}, "top-k must be at least 1"),
        ({"top_p": 0.0}, "top-p is a probability above 0"),
        ({"length": 0}, "length must be 1 or more, not 0"),
    ],
)
def test_options_of_writing_that_mean_nothing(trained: LanguageModel, options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        trained.generate("The", **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"level": "sentence"}, "by char, byte, word or token"),
        ({"hidden": 0}, "hidden must be 1 or more, not 0"),
        ({"dropout": 1.0}, "dropout is a probability"),
        ({"minutes": 1, "epochs": 1}, "give one of them, not both"),
        ({"minutes": -1}, "minutes must be above 0"),
        ({"validation_share": 1.5}, "between 0 and 1"),
        ({"learning_rate": 0}, "learning rate must be above 0"),
    ],
)
def test_settings_that_mean_nothing(options: dict, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Settings(**options)


def test_bad_input_leaves_no_folder_behind(text: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.txt"
    short.write_text("too short")
    out = tmp_path / "run"
    with pytest.raises(DataError, match=r"short.txt is too short.*at least one window of 64 steps.*9 chars.*window="):
        LanguageModel.train(short, out=out, report=Quiet())
    with pytest.raises(DataError, match=r"no cell 'lstn'.*Did you mean 'lstm'"):
        LanguageModel.train(text, out=out, cell="lstn", report=Quiet())
    assert not out.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "lstn"}, "no cell 'lstn'"),
        ({"device": "tpu9"}, "There is no device 'tpu9'"),
        ({"cell": "{folder}/own.py:Own"}, "defines no cell Own"),
    ],
)
def test_a_choice_that_cannot_be_is_refused_before_a_long_text_is_read(
    text: Path, tmp_path: Path, monkeypatch, options: dict, message: str
) -> None:
    (tmp_path / "own.py").write_text("")
    options = {name: value.format(folder=tmp_path) for name, value in options.items()}
    monkeypatch.setattr("carousel.tasks.language.preparation.corpus.survey", lambda *_, **__: pytest.fail("it is read"))
    with pytest.raises(DataError, match=message):
        LanguageModel.train(text, out=tmp_path / "run", report=Quiet(), **TINY | options)
    assert not (tmp_path / "run").exists()


def test_a_failure_while_preparing_leaves_no_folder_behind(text: Path, tmp_path: Path, monkeypatch) -> None:
    def full(*_, **__) -> None:
        raise RunError("no room")

    monkeypatch.setattr("carousel.tasks.language.preparation.corpus.write", full)
    with pytest.raises(RunError, match="no room"):
        LanguageModel.train(text, out=tmp_path / "run", report=Quiet(), **TINY)
    assert not (tmp_path / "run").exists()


def test_weights_of_another_run(trained: LanguageModel, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "mixed")
    config = RunFolder.open(trained.run).config()  # type: ignore[arg-type]
    config["model"]["hidden"] = 32
    folder.write_config(config)
    folder.write_model(trained.network.state_dict())
    with pytest.raises(RunError, match=r"do not fit its config\.json"):
        LanguageModel.load(folder.path)


def test_a_config_or_a_state_of_another_run(text: Path, tmp_path: Path) -> None:
    for name, hidden in (("one", 16), ("other", 24)):
        with pytest.raises(KeyboardInterrupt):
            LanguageModel.train(text, out=tmp_path / name, epochs=1, report=StopAfter(2), **TINY | {"hidden": hidden})
    state = tmp_path / "one" / "train_state.pt"
    state.write_bytes((tmp_path / "other" / "train_state.pt").read_bytes())
    with pytest.raises(RunError, match=r"train_state.pt is not of this run.*put it back, or train again"):
        LanguageModel.resume(tmp_path / "one", report=Quiet())
    folder = RunFolder.open(tmp_path / "other")
    for key in ("settings", "corpus", "baseline", "vocabulary", "model", "versions"):
        config = folder.config()
        folder.write_config({name: value for name, value in config.items() if name != key})
        with pytest.raises(RunError, match=rf"config.json is damaged \(KeyError: '{key}'\)"):
            LanguageModel.resume(folder.path, report=Quiet())
        folder.write_config(config)


def test_a_run_does_not_bring_its_own_code(trained: LanguageModel, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "stranger")
    config = RunFolder.open(trained.run).config()  # type: ignore[arg-type]
    config["model"]["cell"] = "cell.py:Cell"
    folder.write_config(config)
    with pytest.raises(RunError, match=r"relative path, cell\.py:Cell: not run"):
        LanguageModel.load(folder.path)


def test_a_training_that_runs_away_says_so(text: Path, tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"has diverged: after step \d+ .*loss is (nan|inf).*lower learning rate.*1e\+30"
    ):
        LanguageModel.train(text, out=tmp_path / "run", epochs=1, learning_rate=1e30, report=Quiet(), **TINY)
    assert LanguageModel.load(tmp_path / "run").generate(length=3), "the best weights are kept"


def test_a_cell_of_ones_own_is_found_again_from_another_folder(text: Path, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "own.py").write_text(
        "import torch\n"
        "from carousel.cells import Cell\n\n"
        "class Own(Cell):\n"
        "    gates = ('z', 'n')\n\n"
        "    def step(self, h, z, n):\n"
        "        z = torch.sigmoid(z)\n"
        "        return z * h + (1 - z) * torch.tanh(n)\n"
    )
    monkeypatch.chdir(tmp_path)
    LanguageModel.train(text, out=tmp_path / "run", cell="own.py:Own", epochs=0.1, report=Quiet(), **TINY)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(LanguageModel.load(tmp_path / "run", trust_cell=True).generate(length=5)) == 5
    assert len(LanguageModel.load(tmp_path / "run", cell="../own.py:Own").generate(length=5)) == 5
    assert_a_moved_cell_is_said_to_be_gone(tmp_path / "own.py", tmp_path / "run", LanguageModel)


def assert_a_moved_cell_is_said_to_be_gone(file: Path, run: Path, task: type) -> None:
    log = (run / "log.jsonl").read_text().splitlines(keepends=True)
    (run / "log.jsonl").write_text("".join(line for line in log if '"final"' not in line))  # so that it can go on
    written = file.read_text()
    file.unlink()
    for call in (task.load, task.resume):
        with pytest.raises(RunError, match=rf"names its cell {file}:Own, and there is no such file any more.*put the"):
            call(run)
    file.write_text(written.replace("class Own", "class Another"))
    with pytest.raises(DataError, match=r"own\.py defines no cell Own; the cells it defines: Another"):
        task.load(run, trust_cell=True)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), "all"])
@pytest.mark.parametrize("temperature", [0, 0.8])
def test_scores_that_say_nothing_are_refused(number, temperature) -> None:
    scores = torch.full((5,), -torch.inf) if number == "all" else torch.tensor([0.0, 1.0, number, 2.0, 0.0])
    with pytest.raises(DataError, match="scores of the next symbol hold .*: its weights have diverged"):
        Sampling(temperature).choose(scores, torch.Generator())


def test_a_diverged_model_completes_nothing_and_says_so(trained: LanguageModel) -> None:
    model = copy.deepcopy(trained)
    with torch.no_grad():
        next(model.network.parameters()).fill_(float("nan"))
    for ask in (lambda: model.complete("The"), lambda: model.generate("The", length=3)):
        with pytest.raises(DataError, match="hold NaN, so nothing can be told from them: its weights have diverged"):
            ask()


def test_sampling_keeps_to_what_it_says() -> None:
    scores = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()

    def seen(**options) -> set[int]:
        generator = torch.Generator().manual_seed(0)
        return {Sampling(**options).choose(scores, generator) for _ in range(300)}

    assert seen(temperature=1.0) == {0, 1, 2, 3}
    assert seen(temperature=1.0, top_k=2) == {0, 1}
    assert seen(temperature=1.0, top_p=0.5) == {0}
    assert seen(temperature=1.0, top_p=0.51) == {0, 1}
    assert seen(temperature=0.0) == {0}
    assert seen(temperature=0.05) == {0}
    for tiny in (1e-320, 1e-40):
        assert seen(temperature=tiny) == seen(temperature=tiny, top_k=2) == seen(temperature=tiny, top_p=0.5) == {0}


def test_the_loop_reads_losses_back_only_when_they_are_shown(text: Path, tmp_path: Path, monkeypatch) -> None:
    reads = 0
    real = carousel.training.loop.Loop.take_mean_loss

    def counted(self) -> float:
        nonlocal reads
        reads += 1
        return real(self)

    monkeypatch.setattr(carousel.training.loop.Loop, "take_mean_loss", counted)
    LanguageModel.train(text, out=tmp_path / "run", epochs=5, report=Quiet(), **TINY)
    state = RunFolder.open(tmp_path / "run").read_state()["loop"]
    assert reads <= state["steps"] // state["plan"]["log_every"] + 1
    assert state["plan"]["log_every"] > 1


def test_a_text_in_the_place_of_its_file_is_said_to_be_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("A text that goes on, and on. " * 99, "a\nb"):
        with pytest.raises(DataError, match="is no name of one. If it is the text itself, write it to a file"):
            LanguageModel.train(text)
    assert not list(tmp_path.iterdir())


def test_a_model_says_what_it_is_and_a_prompt_is_a_text(trained: LanguageModel) -> None:
    size, count = trained.vocabulary.size, sum(one.numel() for one in trained.network.parameters())
    assert repr(trained) == (
        f"LanguageModel({size} symbols of the level 'char', {count:,} parameters, run={str(trained.run)!r})"
    )
    for ask in (trained.generate, trained.complete):
        with pytest.raises(DataError, match="A prompt is a text .*, not NoneType"):
            ask(None)  # type: ignore[arg-type]


def test_the_prompts_that_a_run_suggests_are_taken_by_its_model(tmp_path: Path, capsys) -> None:
    texts = {
        "english": "The clouds are in the sky. " * 60,
        "thai": "เมฆอยู่ในท้องฟ้า " * 60,
        "signs": '$5 "x" `y` \\ !\n' * 60,
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
        model = LanguageModel.train(tmp_path / f"{name}.txt", out=tmp_path / name, epochs=0.2, report=Quiet(), **TINY)
        language_task.conclude(RunFolder.open(tmp_path / name), Lines())
        lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.startswith("  carousel ")]
        assert lines
        typed = {words[1]: shlex.split(" ".join(words)) for words in lines}
        for prompt in (typed["generate"][4], typed["complete"][3]):
            assert model.complete(prompt)
            assert set(prompt) <= set(text)
        if name == "english":
            assert (typed["generate"][4], typed["complete"][3]) == ("clouds are in the", "clouds are in the")


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (b"hello", "bytes is given"),
        (7, "int is given"),
        (["a.txt", b"b"], "bytes is given"),
        ([], "none is"),
        ({"a": 1}, "dict is given"),
        (None, "NoneType is given"),
    ],
)
def test_what_names_no_files_is_refused(given, found) -> None:
    with pytest.raises(
        DataError, match=f"Files are named here, .* and {found}. What is in memory is written to a file"
    ):
        LanguageModel.train(given, epochs=1)
