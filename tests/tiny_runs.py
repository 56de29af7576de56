"""Runs of every task that train in a moment, for tests of what becomes of their files."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from carousel import (
    Captioner,
    Forecaster,
    LanguageModel,
    SequenceClassifier,
    Tagger,
    Transcriber,
    Translator,
    TreeClassifier,
)
from carousel.training import checksums
from carousel.training.progress import Quiet

SMALL: dict[str, Any] = {"hidden": 4, "threads": 1, "seed": 1}


def language(folder: Path, out: Path, **options: Any) -> None:
    (folder / "text.txt").write_text("The sea is in the sky. " * 30)
    settings = SMALL | {"window": 8, "lanes": 4, "epochs": 1, "embedding": 3} | options
    LanguageModel.train(folder / "text.txt", out=out, **{"report": Quiet()} | settings)


def classification(folder: Path, out: Path, **options: Any) -> None:
    rows = [{"text": f"a {word} day", "label": word} for _ in range(6) for word in ("good", "bad")]
    pl.DataFrame(rows).write_csv(folder / "texts.csv")
    settings = SMALL | {"epochs": 8, "folds": 2, "embedding": 3, "batch": 3} | options
    SequenceClassifier.train(folder / "texts.csv", out=out, **{"report": Quiet()} | settings)


def forecasting(folder: Path, out: Path, **options: Any) -> None:
    values = np.sin(np.arange(60)) + np.arange(60) / 30
    pl.DataFrame({"step": np.arange(60), "y": values}).write_csv(folder / "series.csv")
    report = options.pop("report", None)
    settings = SMALL | {"epochs": 4, "horizon": 2, "context": 8, "season": 0} | options
    Forecaster(**settings).fit(folder / "series.csv", out=out, report=report)


def fill(folder: Path, out: Path, **options: Any) -> None:
    language(folder, out, **{"fill": True, "sampled": 3} | options)


def tagging(folder: Path, out: Path, **options: Any) -> None:
    sentences = ["the\tD\nsea\tN\nis\tV\nblue\tA\n", "blue\tA\nseas\tN\nare\tV\nthe\tD\nbest\tA\n"]
    (folder / "words.conll").write_text("\n".join(sentences * 6))
    settings = SMALL | {"epochs": 4, "embedding": 3, "character_hidden": 2, "batch": 3} | options
    Tagger.train(folder / "words.conll", out=out, **{"report": Quiet()} | settings)


def trees(folder: Path, out: Path, **options: Any) -> None:
    kinds = ("(2 (2 good) (1 film))", "(0 (1 a) (0 (0 bad) (1 one)))")
    (folder / "trees.txt").write_text("\n".join(kinds * 6))
    settings = SMALL | {"epochs": 4, "embedding": 3, "networks": 2, "batch": 3} | options
    TreeClassifier.train(folder / "trees.txt", out=out, **{"report": Quiet()} | settings)


def pairs(folder: Path, out: Path, **options: Any) -> None:
    lines = [f"go {a} {b}\tva {a} {b}\n" for a in "abcd" for b in "efgh"]
    (folder / "pairs.tsv").write_text("".join(lines))
    report = options.pop("report", None)
    settings = SMALL | {"epochs": 4, "level": "char", "batch": 8, "embedding": 3} | options
    Translator(**settings).fit(folder / "pairs.tsv", out=out, report=report)


def captions(folder: Path, out: Path, **options: Any) -> None:
    texts = [f"{a} {b}" for a in "abcd" for b in "efgh"]
    np.savez(folder / "images.npz", images=tiny_images(), captions=np.array(texts))
    report = options.pop("report", None)
    settings = SMALL | {"epochs": 4, "level": "char", "batch": 8, "embedding": 3, "channels": 4} | options
    Captioner(**settings).fit(folder / "images.npz", out=out, report=report)


def tiny_images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (16, 16, 16, 3), dtype=np.uint8)


def tones(texts: list[str], rate: int = 8000) -> list[tuple[np.ndarray, int]]:
    """A sound for each text: a letter is 80 ms of its tone, and 40 ms of faint noise follow it."""
    rng, t = np.random.default_rng(0), np.arange(rate * 8 // 100) / rate
    silence, found = rate * 4 // 100, []
    for text in texts:
        pieces = [np.append(np.sin(2 * np.pi * 300 * (ord(one) % 8 + 1) * t), np.zeros(silence)) for one in text]
        sound = np.concatenate([np.zeros(silence), *pieces])
        found.append((0.3 * sound + 1e-3 * rng.normal(size=len(sound)), rate))
    return found


def transcripts(folder: Path, out: Path, **options: Any) -> None:  # noqa: ARG001 (the sounds are in memory)
    texts = [f"{a}{b}" for a in "abcd" for b in "aefgh"]
    report = options.pop("report", None)
    Transcriber(**SMALL | {"epochs": 4, "batch": 8} | options).fit(tones(texts), texts, out=out, report=report)


@dataclass(frozen=True)
class Task:
    """train(folder, out, **options): a run in `out`, from data written to `folder`. answer(run): of its best model."""

    train: Callable[..., None]
    model: Any
    answer: Callable[[Any], Any]


def probabilities(model: SequenceClassifier) -> list:
    return model.predict_proba(["a good day", "a bad one"]).tolist()


TASKS = {
    "language": Task(
        language, LanguageModel, lambda model: (model.generate("The", length=12), model.complete("The s"))
    ),
    "classification": Task(classification, SequenceClassifier, probabilities),
    "fill": Task(fill, LanguageModel, lambda model: model.fill("The ___ is in ___ sky.")),
    "tagging": Task(tagging, Tagger, lambda model: model.tag("the blue seas")),
    "pairs": Task(
        pairs,
        Translator,
        lambda model: [
            vars(one) | {"alignment": one.alignment.tolist()} for (one,) in model.translate(["go a e", "x"])
        ],
    ),
    "captions": Task(
        captions,
        Captioner,
        lambda model: [
            vars(one) | {"alignment": one.alignment.tolist()} for (one,) in model.caption(tiny_images()[:3])
        ],
    ),
    "transcripts": Task(
        transcripts,
        Transcriber,
        lambda model: [
            vars(one) | {"times": one.times.tolist()} for (one,) in model.transcribe(tones(["ae", "dd"]), beam=3)
        ],
    ),
    "forecasting": Task(forecasting, Forecaster, lambda model: model.predict().rows()),
    "trees": Task(trees, TreeClassifier, lambda model: model.answers(["((good) (film))"], nodes=True).rows()),
}


class Interrupted(Exception):
    pass


class BreaksOff(Quiet):
    """As a crash at the so manyth validation, after what was written then."""

    def __init__(self, at: int = 3) -> None:
        self.left = at

    def validated(self, status: object, sample: object) -> None:  # noqa: ARG002
        self.left -= 1
        if not self.left:
            raise Interrupted


def without_checksums(run: Path) -> None:
    """The run as it was written before files had any."""
    config = json.loads((run / "config.json").read_bytes())
    for key in ("sha256", "files", "cell_sha256"):
        config.pop(key, None)
    (run / "config.json").write_bytes(checksums.json_bytes(config, indent=1))
    model = run / "model.safetensors"
    header, rest = checksums._parts(model.read_bytes())
    del header["__metadata__"]["sha256"]
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    model.write_bytes(len(text).to_bytes(8, "little") + text + rest)
    state = run / "train_state.pt"
    state.write_bytes(state.read_bytes()[: -checksums.COMMENT_SIZE - 2] + b"\0\0")
    log = run / "log.jsonl"
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    for line in lines:
        del line["crc32"]
    log.write_bytes(b"".join(checksums.json_bytes(line) + b"\n" for line in lines))
