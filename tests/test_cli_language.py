"""The command line, as typed, with its words and exit codes; in processes of its own, killed and interrupted."""

import io
import logging
import os
import pydoc_data.topics
import random
import re
import signal
import subprocess
import sys
import time
import tomllib
import warnings
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import fields
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from processes import Process

from carousel.cli import app, main
from carousel.cli.doctor import doctor
from carousel.tasks import settings_of
from carousel.tasks.classification import choices
from carousel.tasks.language.language_model import LanguageModel
from carousel.training.progress import Quiet
from carousel.training.run_folder import RunFolder
from carousel.training.settings import DEFAULT_MINUTES

TEXT = "The clouds are in the sky. The fish are in the sea. " * 80
TINY = ["--hidden", "16", "--window", "8", "--lanes", "4", "--threads", "1", "--dropout", "0.2", "--epochs", "2"]


MAIN = "from carousel.cli import main; main()"


class Done(NamedTuple):
    """What a command printed."""

    stdout: str
    stderr: str


def carousel(*arguments: object, cwd: Path, code: int = 0) -> Done:
    """Runs a command as its process would, but in this one: the import of torch takes longer than most commands."""
    out, err = io.StringIO(), io.StringIO()
    found: object = 0
    with chdir(cwd), redirect_stdout(out), redirect_stderr(err), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["carousel", *map(str, arguments)])
        patch.setenv("COLUMNS", "120")
        patch.setattr(warnings, "showwarning", warnings.showwarning)  # `main` replaces both
        patch.setattr(logging.getLogger("carousel"), "handlers", [])
        try:
            main()
        except SystemExit as exit:
            found = exit.code or 0
    done = Done(out.getvalue(), err.getvalue())
    assert found == code, done
    return done


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder with a text and a finished run on it."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "text.txt").write_text(TEXT)
    carousel("train", "text.txt", *TINY, "--out", "whole", cwd=folder)
    return folder


def test_training_says_what_it_saw_and_what_to_type_next(folder: Path) -> None:
    said = carousel("train", "text.txt", *TINY[:-1], "0.1", cwd=folder).stdout
    assert "text.txt: text, 4,160 bytes; 4,160 chars, 19 different characters" in said
    assert "the first 3,744 chars to learn from, the last 416 to validate on" in said
    assert re.search(r"a naive baseline to beat: \d-gram counts, [\d.]+ nats/char \([\d.]+ bits\)", said)
    assert re.search(r"best model: [\d.]+ nats/char \([\d.]+ bits/char\) on all the validation text", said)
    for line in re.findall(r"^  (carousel .*)$", said, re.MULTILINE):
        assert "runs/text" in line
    assert (folder / "runs" / "text" / "curve.png").exists()
    again = carousel("train", "text.txt", *TINY[:-1], "0.1", "--quiet", cwd=folder)
    assert again.stdout.count("\n") == 0
    assert (folder / "runs" / "text-2").exists(), "an earlier run is never written over"


def test_without_a_file_it_demonstrates_itself_on_a_text_of_pythons(folder: Path, monkeypatch) -> None:
    topics = dict(list(pydoc_data.topics.topics.items())[:12])
    monkeypatch.setattr(pydoc_data.topics, "topics", topics)
    said = carousel("train", "--epochs", "0.02", "--hidden", "8", "--lanes", "4", cwd=folder).stdout
    assert "No data were named, so this is a demonstration on the help topics of Python" in said
    assert "carousel generate runs/python-help" in said


def wait_for(condition, process: Process) -> None:
    deadline = time.monotonic() + 600  # as long as a crowded machine may take
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def assert_same_model(one: Path, other: Path) -> None:
    ours, theirs = (RunFolder.open(path).read_state()["loop"]["model"] for path in (one, other))
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name
    ours, theirs = (RunFolder.open(path).read_model() for path in (one, other))
    for name in ours:
        assert torch.equal(ours[name], theirs[name]), name


def test_kill_9_at_any_moment_loses_nothing_that_matters(folder: Path, tmp_path: Path) -> None:
    """Killed at random moments again and again, then left to finish: the same bits as the run that was not."""
    run = folder / "killed"
    arguments = ["text.txt", *TINY, "--out", "killed"]
    chance = random.Random(5)
    kills = 0
    for _ in range(3):
        process = Process(MAIN, "train", *arguments, cwd=folder, streams=tmp_path)
        seen = run / "train_state.pt"
        before = seen.stat().st_mtime_ns if seen.exists() else 0
        wait_for(lambda: seen.exists() and seen.stat().st_mtime_ns > before, process)  # noqa: B023
        time.sleep(chance.uniform(0, 0.15))
        process.send_signal(signal.SIGKILL)
        kills += process.wait().returncode == -signal.SIGKILL
        arguments = ["--resume", "killed"]
    carousel("train", "--resume", "killed", cwd=folder)
    assert kills >= 2
    assert_same_model(folder / "whole", run)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_saves_and_says_how_to_go_on(folder: Path, tmp_path: Path, number: int, code: int) -> None:
    name = f"stopped-{code}"
    process = Process(MAIN, "train", "text.txt", *TINY, "--out", name, cwd=folder, streams=tmp_path)
    wait_for(lambda: (folder / name / "train_state.pt").exists(), process)
    process.send_signal(number)
    done = process.wait()
    assert done.returncode == code
    found = re.search(r"stopped at step ([\d,]+), and saved\. Go on with: carousel (train --resume \S+)", done.stdout)
    assert found
    carousel(*found[2].split(), cwd=folder)
    assert_same_model(folder / "whole", folder / name)


def test_generating_completing_and_evaluating(folder: Path) -> None:
    options = ["whole", "--prompt", "The ", "--length", "40", "--seed", "1"]
    written = carousel("generate", *options, cwd=folder).stdout
    assert written.startswith("The ")
    assert len(written) == len("The ") + 40 + 1
    assert carousel("generate", *options, cwd=folder).stdout == written
    lines = carousel("complete", "whole", "The clouds are in the", "-n", "3", cwd=folder).stdout.splitlines()
    assert len(lines) == 3
    assert re.fullmatch(r" *[\d.]+%  The clouds are in the.+", lines[0])
    judged = carousel("evaluate", "whole", "text.txt", cwd=folder).stdout
    assert re.search(r"^[\d.]+ nats/char\n[\d.]+ bits/char\nperplexity [\d.]+ per char$", judged, re.MULTILINE)


def test_a_terminal_without_the_characters_gets_question_marks(folder: Path) -> None:
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    (folder / "french.txt").write_text("Où sont les nuées? " * 100, encoding="utf-8")
    LanguageModel.train(folder / "french.txt", out=folder / "french", hidden=8, epochs=1, report=Quiet())
    arguments = ["generate", "french", "--prompt", "Où", "--length", "30", "--seed", "1"]
    done = subprocess.run([sys.executable, "-c", MAIN, *arguments], cwd=folder, capture_output=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(b"O?")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train gone.txt", r"carousel: There is no file gone.txt. Check its name; the current folder is"),
        ("train text.txt --out whole", r"whole already holds a run"),
        ("train text.txt --minutes 1 --epochs 1", r"give one of them, not both"),
        ("train text.txt --resume whole", r"leave the files out"),
        ("train --resume whole --hidden 9 --lr 0.1", r"settings the run began with.* leave --hidden, --lr out"),
        ("train text.txt --task birds", r"There is no task 'birds'. There are: .*language"),
        ("train --resume text.txt", r"text.txt is not a run"),
        ("train text.txt --cell lstn", r"no cell 'lstn'. Did you mean 'lstm'\?"),
        ("train text.txt --device tpu9", r"There is no device 'tpu9'. Try auto, cpu or cuda"),
        ("generate gone", r"gone is not a run.*there is no such folder"),
        ("generate whole --prompt €", r"has never seen: '€'"),
        ("generate whole --temperature -1", r"temperature must be 0 or more, not -1"),
        ("evaluate whole", r"carousel evaluate whole FILE"),
    ],
)
def test_what_the_user_can_put_right_is_said_in_one_short_block(
    folder: Path, monkeypatch, capsys, arguments: str, message: str
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["carousel", *arguments.split()])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 2
    said = capsys.readouterr().err
    assert re.search(message, said), said
    assert len(said) < 600


@pytest.mark.parametrize(
    "arguments",
    [
        "train text.txt --hidden 3.5",
        "train text.txt --season 7 --season 7.5",
        "generate whole --length 3.7",
        "complete whole The -n 2.5",
        "forecast whole --horizon 1.5",
    ],
)
def test_whole_numbers_are_not_rounded(folder: Path, monkeypatch, capsys, arguments: str) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["carousel", *arguments.split()])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code
    said = " ".join("".join(capsys.readouterr()).split())
    assert re.search(r'unable to convert "\d\.\d" into int', said), said


def test_whole_numbers_may_be_written_with_a_point(folder: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(folder)
    app(["complete", "whole", "The", "--count", "2.0"], result_action="return_value")
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_mistyped_names_get_the_near_one(folder: Path) -> None:
    done = carousel("trian", cwd=folder, code=2)
    assert 'Did you mean "train"?' in done.stdout + done.stderr
    done = carousel("train", "text.txt", "--minuts", "3", cwd=folder, code=2)
    assert "Did you mean --minutes?" in done.stdout + done.stderr


def test_help_answers_without_torch(folder: Path) -> None:
    script = "import sys, carousel.cli; print(sorted({'torch', 'numpy', 'matplotlib', 'polars'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"
    for name in ("train", "generate", "complete", "evaluate", "doctor"):
        said = carousel(name, "--help", cwd=folder).stdout
        assert f"carousel {name}" in said.split("For example:")[1]


def test_doctor_names_versions_threads_and_engines(folder: Path) -> None:
    said = carousel("doctor", cwd=folder).stdout
    assert f"torch        {torch.__version__}" in said
    assert re.search(r"threads +\d+", said)
    assert re.search(r"cpu engine +reference: ready", said)


def doctor_without(*names: str, cwd: Path) -> subprocess.CompletedProcess:
    """As where these packages are not installed: neither found nor to be imported."""
    script = f"""
import importlib.metadata, sys
real = importlib.metadata.version
def version(name):
    if name in {names!r}:
        raise importlib.metadata.PackageNotFoundError(name)
    return real(name)
importlib.metadata.version = version
sys.modules |= dict.fromkeys({names!r})
from carousel.cli import main
from carousel.cli.doctor import doctor
sys.argv = ["carousel", "doctor"]
main()
"""
    return subprocess.run([sys.executable, "-c", script], cwd=cwd, capture_output=True, encoding="utf-8")


def test_doctor_says_what_is_missing(tmp_path: Path) -> None:
    done = doctor_without("torch", "polars", "soundfile", cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert re.search(r"^torch +missing: pip install torch$", done.stdout, re.MULTILINE)
    assert re.search(r"^soundfile +missing: pip install 'carousel-rnn\[audio\]'$", done.stdout, re.MULTILINE)
    assert re.search(r"^numpy +\d", done.stdout, re.MULTILINE)
    assert done.stderr == "carousel: Carousel does not run without torch, polars: pip install torch polars\n"
    done = doctor_without("soundfile", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "reference: ready" in done.stdout


def test_doctor_names_all_that_the_package_declares(capsys) -> None:
    with open(Path(__file__).parents[1] / "pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    extras = {extra: all_of for extra, all_of in project["optional-dependencies"].items() if extra != "test"}
    declared = {*project["dependencies"], *(one for all_of in extras.values() for one in all_of)}
    doctor()
    named = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    assert {re.match(r"[\w.-]+", one)[0] for one in declared} <= named


def said_of(task: str, setting: str) -> str:
    """What help says of a setting of a task."""
    return next(one.metadata["help"] for one in fields(settings_of(task)) if one.name == setting)


def test_help_names_what_is_chosen_where_nothing_is_said() -> None:
    assert f"--epochs: {DEFAULT_MINUTES:g}." in said_of("language", "minutes")
    kinds = {kind: choices.dropout(kind) for kind in ("text", "series", "audio")}
    assert kinds["series"] == kinds["audio"]
    assert f"Without it: {kinds['text']} for texts, {kinds['series']} for series and sounds" in said_of(
        "classification", "dropout"
    )
    assert f"Without it: {choices.FOLDS} up to {choices.FEW:,} sequences, else 1" in said_of("classification", "folds")
