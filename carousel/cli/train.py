"""carousel train"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from carousel.training.progress import Report

MODEL = Group("Model", sort_key=1)
TRAINING = Group("Training", sort_key=2)
RUN = Group("Run", sort_key=3)


def train(
    *files: Path,
    minutes: Annotated[float | None, Parameter(group=TRAINING)] = None,
    epochs: Annotated[float | None, Parameter(group=TRAINING)] = None,
    level: Annotated[Literal["char", "byte", "word"], Parameter(group=MODEL)] = "char",
    words: Annotated[int, Parameter(group=MODEL)] = 10_000,
    cell: Annotated[str, Parameter(group=MODEL)] = "lstm",
    hidden: Annotated[int, Parameter(group=MODEL)] = 256,
    layers: Annotated[int, Parameter(group=MODEL)] = 1,
    embedding: Annotated[int | None, Parameter(group=MODEL)] = None,
    dropout: Annotated[float | None, Parameter(group=TRAINING)] = None,
    window: Annotated[int, Parameter(group=TRAINING)] = 64,
    lanes: Annotated[int, Parameter(group=TRAINING)] = 32,
    lr: Annotated[float, Parameter(group=TRAINING)] = 6e-3,
    validation: Annotated[float, Parameter(group=TRAINING)] = 0.1,
    seed: Annotated[int, Parameter(group=TRAINING)] = 0,
    out: Annotated[Path | None, Parameter(group=RUN)] = None,
    resume: Annotated[Path | None, Parameter(group=RUN)] = None,
    device: Annotated[str, Parameter(group=RUN)] = "auto",
    threads: Annotated[int | None, Parameter(group=RUN)] = None,
    quiet: Annotated[bool, Parameter(group=RUN, negative=())] = False,
) -> None:
    """Train a language model on text files.

    Reads the text in order, at many places at once, and learns to predict the next symbol. The run folder keeps
    the model that did best on the end of the text, which it does not learn from. Ctrl-C stops the training, and
    --resume goes on with it.

    For example:

    ```
    carousel train shakespeare.txt --minutes 3
    carousel train letters/ --level word --epochs 10 --out runs/letters
    carousel train --resume runs/shakespeare
    carousel train
    ```

    The last of these is a demonstration: three quarters of a minute on a text that is built into Python.

    Parameters
    ----------
    files
        UTF-8 text files, or folders of them.
    minutes
        Train for this long. Without --minutes or --epochs: 3.
    epochs
        Or: train until the text has been read this many times.
    level
        What the model reads and writes. Bytes take any file.
    words
        With --level word: how many words to know, the most frequent.
    cell
        The recurrent cell: lstm, gru, rnn, and others, or your own as path/to/file.py:ClassName.
    hidden
        Units in each layer.
    layers
        Layers on top of each other.
    embedding
        Numbers that stand for a symbol at the input. Without it: half of --hidden.
    dropout
        Share of activations zeroed in training. Without it: chosen by the sizes of network and text.
    window
        Steps that gradients go back. The state goes on for ever.
    lanes
        Places at which the text is read at once.
    lr
        Learning rate at its peak.
    validation
        Share of the text, at its end, to validate on.
    seed
        With --epochs, the same seed, text, settings and threads give the same model.
    out
        The run folder. Without it: runs/ and the name of the text.
    resume
        A run folder whose training was stopped: go on from its last checkpoint.
    device
        auto, cpu or cuda.
    threads
        Threads to compute with. Without it: torch's choice.
    quiet
        Say nothing but errors.
    """
    import tempfile

    from carousel.errors import DataError
    from carousel.tasks.language import training
    from carousel.tasks.language.demo_text import write_demo_text
    from carousel.tasks.language.settings import Settings
    from carousel.training.progress import Quiet, report_for

    report = Quiet() if quiet else report_for()
    if resume is not None:
        if files:
            raise DataError("--resume goes on with the text the run began with: leave the files out.")
        training.resume(resume, threads=threads, report=report)
        _farewell(resume, report)
        return
    with tempfile.TemporaryDirectory() as folder:
        if not files:
            file, what = write_demo_text(Path(folder))
            report.say(f"No file was named, so this is a demonstration on {what}.")
            files = (file,)
            if minutes is None and epochs is None:
                minutes = 0.75
        settings = Settings(
            level=level,
            words=words,
            cell=cell,
            hidden=hidden,
            layers=layers,
            embedding=embedding,
            dropout=dropout,
            window=window,
            lanes=lanes,
            learning_rate=lr,
            minutes=minutes,
            epochs=epochs,
            validation_share=validation,
            seed=seed,
            device=device,
            threads=threads,
        )
        run = training.train(files, settings, out=out, report=report)
    _farewell(run, report)


def _farewell(run: Path, report: "Report") -> None:
    """Show what the model writes, and what to type next."""
    from shlex import quote

    from carousel.tasks.language.language_model import LanguageModel

    name = quote(str(run))
    report.say("\nWhat it writes:\n")
    report.say(LanguageModel.load(run).generate(length=300))
    report.say(f"\nThe learning curve: {run / 'curve.png'}\nWhat to type next:")
    report.say(f'  carousel generate {name} --prompt "The " --length 500 --temperature 0.7')
    report.say(f'  carousel complete {name} "The clouds are in the"')
    report.say(f"  carousel evaluate {name} FILE")
