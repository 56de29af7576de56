"""The language task as the catalogue of tasks needs it; see `carousel.tasks.catalogue`."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from carousel.errors import DataError, option
from carousel.lazy import importer
from carousel.tasks.kinds_of_files import data_in, why_data
from carousel.tasks.language.language_model import LanguageModel
from carousel.tasks.language.preparation import prepare
from carousel.tasks.language.settings import Settings
from carousel.training.progress import Report
from carousel.training.run_folder import RunFolder

if TYPE_CHECKING:
    from carousel.tasks.language.fill_training import open_run
    from carousel.tasks.language.portable import portable

__all__ = ["Settings", "conclude", "evaluate", "open_run", "portable", "prepare", "recognize"]

# Imported when they are used first, so that who only asks a model does not wait for them.
__getattr__ = importer(
    __name__, {"open_run": "carousel.tasks.language.fill_training", "portable": "carousel.tasks.language.portable"}
)

TAKES_ANYTHING = True


def recognize(paths: Sequence[Path], options: Mapping[str, Any]) -> str | None:  # noqa: ARG001
    """Takes any file for text, except one that holds data (a table, a sound, another program's file), and a folder with
    such files: those are read as text only where the task is named. Files that are no text raise when they are read."""
    for path in paths:
        if data_in(path) if path.is_dir() else why_data(path):
            return None
    return "text"


def conclude(folder: RunFolder, report: Report) -> None:
    """Shows what the model writes, and what to type next."""
    name = quote(str(folder.path))
    model = LanguageModel.of(folder)
    if model.fills:
        report.say(f"\nThe learning curve: {folder.path / 'curve.png'}\nWhat to type next:")
        report.say(f'  carousel fill {name} "He is ___ because he wins"')
        report.say(f"  carousel inspect {name}")
        report.say(f"  carousel evaluate {name} FILE")
        return
    written = model.generate(length=300)
    report.say(f"\nWhat it writes:\n\n{written}")
    sentence = beginning(str(folder.log_lines()[-1].get("begin", written)) or written)
    report.say(f"\nThe learning curve: {folder.path / 'curve.png'}\nWhat to type next:")
    report.say(f"  carousel generate {name} --prompt {sentence} --length 500 --temperature 0.7")
    report.say(f"  carousel complete {name} {sentence}")
    report.say(f"  carousel inspect {name}")
    report.say(f"  carousel evaluate {name} FILE")


def beginning(text: str, words: int = 4) -> str:
    """The first words of a line of a text, quoted for a shell: what the model can be asked to go on with.

    The first line may begin inside of a word, so a later one is taken where there is one.
    """
    lines = [line.strip() for line in text.splitlines()]
    long = [line for line in lines if line.isprintable() and len(line.split()) > words]
    line = next(iter(long[1:] or long or [line for line in lines if line] or [text[:20]]))
    prompt = " ".join(line.split()[1 if line is lines[0] and len(line.split()) > words + 1 else 0 :][:words])[:60]
    return f'"{prompt}"' if not set(prompt) & set('"$`\\!') else quote(prompt)


def evaluate(folder: RunFolder, paths: Sequence[Path], *, out: Path | None, say: Callable[[str], None]) -> None:
    """Shows how well the model predicts other texts: nats and bits per character, and perplexity."""
    if not paths:
        raise DataError(f"A text to evaluate on must be named: carousel evaluate {folder.path} FILE")
    if out is not None:
        raise DataError(f"The evaluation of a language model writes no files: leave {option('out')} away.")
    model = LanguageModel.of(folder)
    result = model.evaluate(paths)
    say(f"{result.characters:,} characters in {result.tokens:,} symbols\n")
    if model.fills:
        say(f"perplexity {result.perplexity:.3f} of a hidden {model.vocabulary.level}, from all the others near it\n")
    else:
        say(f"{result.nats_per_character:.4f} nats/char\n{result.bits_per_character:.4f} bits/char\n")
        say(f"perplexity {result.perplexity:.3f} per {model.vocabulary.level}\n")
    if result.unknown:
        share = result.unknown / result.tokens
        counted = "counted as one word" if model.fills else "counted with their spelling"
        say(f"{result.unknown:,} symbols ({share:.2%}) unknown to the model, {counted}\n")
