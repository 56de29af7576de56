"""carousel train"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from carousel.training.progress import Report

MODEL = Group("Model", sort_key=1)
TRAINING = Group("Training", sort_key=2)
RUN = Group("Run", sort_key=3)
TEXT = Group("Text to read and write", sort_key=4)
DATA = Group("Columns of tables, and names of files", sort_key=5)
CLASSES = Group("Sequences to classify", sort_key=6)
SERIES = Group("Series to forecast", sort_key=7)


def train(
    *data: Path,
    task: Annotated[str | None, Parameter(group=RUN)] = None,
    minutes: Annotated[float | None, Parameter(group=TRAINING)] = None,
    epochs: Annotated[float | None, Parameter(group=TRAINING)] = None,
    cell: Annotated[str | None, Parameter(group=MODEL)] = None,
    hidden: Annotated[int | None, Parameter(group=MODEL)] = None,
    layers: Annotated[int | None, Parameter(group=MODEL)] = None,
    dropout: Annotated[float | None, Parameter(group=TRAINING)] = None,
    lr: Annotated[float | None, Parameter(group=TRAINING)] = None,
    validation: Annotated[float | None, Parameter(group=TRAINING)] = None,
    seed: Annotated[int | None, Parameter(group=TRAINING)] = None,
    out: Annotated[Path | None, Parameter(group=RUN)] = None,
    resume: Annotated[Path | None, Parameter(group=RUN)] = None,
    dry_run: Annotated[bool, Parameter(group=RUN, negative=())] = False,
    device: Annotated[str | None, Parameter(group=RUN)] = None,
    threads: Annotated[int | None, Parameter(group=RUN)] = None,
    trust_cell: Annotated[bool, Parameter(group=RUN, negative=())] = False,
    quiet: Annotated[bool, Parameter(group=RUN, negative=())] = False,
    level: Annotated[Literal["char", "byte", "word"] | None, Parameter(group=TEXT)] = None,
    words: Annotated[int | None, Parameter(group=TEXT)] = None,
    embedding: Annotated[int | None, Parameter(group=TEXT)] = None,
    window: Annotated[int | None, Parameter(group=TEXT)] = None,
    lanes: Annotated[int | None, Parameter(group=TEXT)] = None,
    id: Annotated[str | None, Parameter(group=DATA)] = None,
    time: Annotated[str | None, Parameter(group=DATA)] = None,
    label: Annotated[str | None, Parameter(group=DATA)] = None,
    text: Annotated[str | None, Parameter(group=DATA)] = None,
    file: Annotated[str | None, Parameter(group=DATA)] = None,
    group: Annotated[str | None, Parameter(group=DATA)] = None,
    names: Annotated[str | None, Parameter(group=DATA)] = None,
    decimal: Annotated[str | None, Parameter(group=DATA)] = None,
    thousands: Annotated[str | None, Parameter(group=DATA)] = None,
    axes: Annotated[Literal["NTC", "NCT"] | None, Parameter(group=CLASSES)] = None,
    head: Annotated[Literal["last", "mean", "max", "attention"] | None, Parameter(group=CLASSES)] = None,
    bidirectional: Annotated[bool | None, Parameter(group=CLASSES)] = None,
    differences: Annotated[bool | None, Parameter(group=CLASSES)] = None,
    folds: Annotated[int | None, Parameter(group=CLASSES)] = None,
    batch: Annotated[int | None, Parameter(group=CLASSES)] = None,
    class_weights: Annotated[Literal["none", "balanced"] | None, Parameter(group=CLASSES)] = None,
    label_smoothing: Annotated[float | None, Parameter(group=CLASSES)] = None,
    augment: Annotated[bool | None, Parameter(group=CLASSES)] = None,
    target: Annotated[list[str] | None, Parameter(group=SERIES, negative=())] = None,
    known: Annotated[list[str] | None, Parameter(group=SERIES, negative=())] = None,
    past: Annotated[list[str] | None, Parameter(group=SERIES, negative=())] = None,
    static: Annotated[list[str] | None, Parameter(group=SERIES, negative=())] = None,
    horizon: Annotated[int | None, Parameter(group=SERIES)] = None,
    frequency: Annotated[str | None, Parameter(group=SERIES)] = None,
    date_format: Annotated[str | None, Parameter(group=SERIES)] = None,
    season: Annotated[list[int] | None, Parameter(group=SERIES, negative=())] = None,
    allow_negative: Annotated[bool | None, Parameter(group=SERIES, negative=())] = None,
    log: Annotated[bool | None, Parameter(group=SERIES)] = None,
    form: Annotated[Literal["encoder-decoder", "autoregressive"] | None, Parameter(group=SERIES)] = None,
    context: Annotated[int | None, Parameter(group=SERIES)] = None,
) -> None:
    """Train a model on your data.

    Looks at the data, says what they are taken for and how to say otherwise, and trains. The run folder keeps the
    model that did best on the part of the data that it does not learn from. Ctrl-C stops the training, and --resume
    goes on with it.

    For example:

    ```
    carousel train shakespeare.txt --minutes 3
    carousel train letters/ --level word --epochs 10 --out runs/letters
    carousel train sales.csv --horizon 28 --known price,holiday
    carousel train BasicMotions_TRAIN.ts
    carousel train words/ --no-bidirectional
    carousel train sales.csv --dry-run
    carousel train --resume runs/shakespeare
    carousel train
    ```

    The last of these is a demonstration: three quarters of a minute on a text that is built into Python.

    Parameters
    ----------
    data
        Files, or folders of them: UTF-8 text; tables of series over time; sequences and their classes as .ts, .npz,
        tables, sounds or texts.
    task
        What to learn, where the data leave it open: classification, forecasting or language.
    minutes
        Train for this long. Without it and --epochs: 3 for text; series and classes take what they need.
    epochs
        Or: train until the data have been read this many times.
    cell
        The recurrent cell: lstm, gru, rnn, and others, or your own as path/to/file.py:ClassName. Usual: lstm for text,
        gru for series and classes.
    hidden
        Units in each layer. Usual: 256 for text, 64 for series and classes.
    layers
        Layers on top of each other. Usual: 1.
    dropout
        Share of activations zeroed in training. Without it, for text: by the sizes of network and data, and how often
        it is read; for series: by how much there is to learn; for classes: 0.5 of texts, 0.3 of series and sounds.
    lr
        Learning rate at its peak. Usual: 0.006 for text, 0.002 for series, 0.004 for classes.
    validation
        Share of the data to validate on: of text and series their end, of classes see --folds. Usual: 0.1 for text and
        series, 0.2 for classes.
    seed
        With --epochs, the same seed, data, settings and threads give the same model. Usual: 0.
    out
        The run folder. Without it: runs/ and the name of the data.
    resume
        A run folder whose training was stopped: go on from its last checkpoint.
    dry_run
        Say all that would be decided about the data and the model, and train and write nothing.
    device
        auto, cpu or cuda. Usual: auto.
    threads
        Threads to compute with. Without it: torch's choice.
    trust_cell
        With --resume, of a run whose cell stands in a file: run the file that the run names. Or name it with --cell.
    quiet
        Say nothing but errors.
    level
        What the model reads and writes: char, byte or word. Bytes take any file. Texts to classify are read by word or
        char; without it, by what they are like. Usual: char for text.
    words
        With --level word: how many words to know, the most frequent. Usual: 10,000.
    embedding
        Numbers that stand for a symbol at the input. Without it, for text: half of --hidden. Usual: 64 for classes.
    window
        Steps that gradients go back; the state goes on for ever. Usual: 64.
    lanes
        Places at which the text is read at once. Usual: 32.
    id
        The column that says which sequence a row belongs to; for series several, separated by commas. Without these
        options columns are found by their usual names, and what was found is said.
    time
        The column of times, which a sequence's rows are put in order by; or several that tell it together, separated by
        commas: year,month,day or year,week or date,hour.
    label
        The column of classes.
    text
        The column of texts to classify.
    file
        The column of file names, in a table that lists files and their classes.
    group
        The column of speakers, subjects or the like: none is both learnt from and validated on.
    names
        What file names say: `"{label}_{group}_*"` reads 7_theo_12.wav.
    axes
        Of arrays in .npz files: NTC (sequences, steps, channels) or NCT. Without it: NTC, and what has more channels
        than steps is refused. Of a table whose columns ch1, ch2, ... are the steps of the sequence in each row: NCT.
    decimal
        What stands before the decimals of numbers in a text table: "." or ",". Without it: found.
    thousands
        What stands between thousands: ",", ".", " " or "'". Without it: found.
    head
        How outputs become one: the last, or the mean, the maximum or an attention over all. Usual: attention.
    bidirectional
        Read sequences in both directions; a model that does not can stream. Usual: yes.
    differences
        Of series: read changes from step to step beside the values. Without it: they are read.
    folds
        Networks that vote, each trained without its part of the data and judged on it. Without it: 5 up to 10,000
        sequences, else 1, which is judged on --validation of the data.
    batch
        Sequences in a step of training. Without it, for classes: 16 to 64, by how many there are. Usual: 32 for series.
    class_weights
        balanced: errors on rare classes weigh more. Usual: none.
    label_smoothing
        Share of the truth given to all classes alike. Usual: 0.1.
    augment
        Vary what is learnt from a little at every step. Usual: yes.
    target
        The columns to forecast: separated by commas, or named one by one, as all lists here.
    known
        Covariates that are known in advance: prices, holidays.
    past
        Covariates that are known up to now. Without it: the other columns.
    static
        Covariates with one value a series.
    horizon
        Steps ahead. Without it: a season or so.
    frequency
        15min, 1h, d, w, mo, q, y, weekday. Without it: found; with it, a stamp that is a little off counts for the
        nearest, and what falls between is averaged.
    date_format
        How the column of times is written: %d/%m/%Y, or s, ms, us, ns for numbers that count since 1970, or steps for
        numbers that only count. Without it: the form under which the stamps are regular.
    season
        Length of a season in steps; several may be given, 0 is none. Without it: those that the frequency has.
    allow_negative
        Forecasts of what has never been negative may be so, and do not end at 0. Usual: no.
    log
        Learn the logarithm of the target. Without it: where its spread grows with its level.
    form
        encoder-decoder: all steps ahead at once. autoregressive: one, fed back, in many sampled paths. Usual:
        encoder-decoder.
    context
        Steps of history that gradients go back; the state goes on for ever. Without it: two seasons or so.
    """
    typed = {name: value for name, value in locals().items() if value is not None}
    for other in ("data", "task", "out", "resume", "trust_cell", "quiet", "dry_run"):
        typed.pop(other, None)

    import tempfile

    from carousel.errors import SETTING_OF, DataError
    from carousel.tasks.language.demo_text import write_demo_text
    from carousel.training.progress import Quiet, report_for

    given = {SETTING_OF.get(name, name): value for name, value in typed.items()}
    report = Quiet() if quiet else report_for()
    if resume is not None:
        if dry_run:
            raise DataError("--dry-run says what a new run would be; --resume goes on with one. Give one of them.")
        _resume(resume, data, given, report, trust_cell=trust_cell)
        return
    if trust_cell:
        raise DataError("--trust-cell is about the cell of a run that was stopped: give --resume RUN, or leave it out.")
    with tempfile.TemporaryDirectory() as folder:
        if not data:
            demo, what = write_demo_text(Path(folder))
            report.say(f"No data were named, so this is a demonstration on {what}.")
            data, task = (demo,), "language"
            if minutes is None and epochs is None:
                given["minutes"] = 0.75
        _train(data, task, given, out, report, dry_run=dry_run)


def _train(
    data: Sequence[Path], task: str | None, given: dict[str, Any], out: Path | None, report: "Report", *, dry_run: bool
) -> None:
    from carousel.tasks.catalogue import choose, prepare

    if dry_run:
        from carousel.training.run_folder import RunFolder
        from carousel.training.session import how_long

        if out is not None:
            RunFolder.require_unused(out)
        _, prepared = prepare(data, task, given, report)
        report.say(f"would train for {how_long(prepared.settings, prepared.steps_per_epoch)}")
        report.say("nothing was trained, and nothing written (--dry-run)")
        return
    chosen = choose(data, task, given, report)
    run = chosen.train(data, chosen.Settings(**given), out=out, report=report)
    chosen.farewell(run, report, cell=_own(given.get("cell")))


def _resume(run: Path, data: Sequence[Path], given: dict[str, Any], report: "Report", *, trust_cell: bool) -> None:
    from carousel.errors import DataError, option
    from carousel.tasks.catalogue import task_named, task_of
    from carousel.training.run_folder import RunFolder
    from carousel.training.session import may_go_on

    threads, cell = given.pop("threads", None), _own(given.get("cell"))
    if cell is not None:
        del given["cell"]
    if data:
        raise DataError("--resume goes on with the data the run began with: leave the files out.")
    if given:
        raise DataError(
            f"--resume goes on with the settings the run began with, or its end would not be what it would have been "
            f"without the stop: leave {', '.join(map(option, given))} out, or start a new run."
        )
    folder = RunFolder.open(run, cell=cell, trust_cell=trust_cell)
    task = task_named(task_of(folder))
    if may_go_on(folder, threads=threads, report=report):
        task.go_on(folder, report, resuming=True)
    task.farewell(run, report, cell=cell, trust_cell=trust_cell)


def _own(cell: str | None) -> str | None:
    """The cell that was named, where it stands in a file."""
    from carousel.training.run_cell import in_file

    return cell if in_file(cell) else None
