"""carousel predict"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from carousel.cli.own_cell import NOT_ASKED, OwnCell


def predict(
    run: Path,
    /,
    *data: Path,
    string: Annotated[list[str] | None, Parameter(negative=())] = None,
    every: int | None = None,
    nodes: Annotated[bool, Parameter(negative=())] = False,
    decimal: str | None = None,
    thousands: str | None = None,
    out: Path | None = None,
    own: OwnCell = NOT_ASKED,
) -> None:
    """Predict the classes of sequences, or the labels of trees, with a trained classifier, with probabilities.

    For example:

    ```
    carousel predict runs/words clip.wav
    carousel predict runs/movements new.csv --out answers.csv
    carousel predict runs/movements new.csv --every 10
    carousel predict runs/reviews --string "a gripping, funny film"
    carousel predict runs/sentiment test.txt --nodes
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    data
        Files or folders of the kind of the training data. If they contain classes, these are shown beside the
        predictions.
    string
        Or: the text itself, or the tree in brackets. May be given several times.
    every
        Early prediction: predict after every this many steps, while the sequence is still arriving.
    nodes
        Of trees: predict the label of every node.
    decimal
        The decimal sign of numbers in a text table, "." or ",". Without it: as in training, or found.
    thousands
        The sign between thousands: ",", ".", " " or "'". Without it: as in training, or found.
    out
        A file for all predictions and probabilities: .csv, .tsv, .parquet or .arrow. Without it, they are printed.
    """
    from carousel.cli.terminal import show
    from carousel.tasks.catalogue import predict as predict_by_task
    from carousel.tasks.files import require_writable
    from carousel.tasks.table import WRITTEN, numbers_written, write
    from carousel.training.run_folder import RunFolder

    require_writable(out, WRITTEN)
    with numbers_written(decimal, thousands):
        folder = RunFolder.open(run, **own.allowed)
        given = {"strings": string, "every": every, "nodes": nodes or None}
        frame, lines = predict_by_task(folder, data, {name: one for name, one in given.items() if one is not None})
    if out is not None:
        write(frame, out)
        show(f"{frame.height:,} answers: {out}\n")
        return
    for line in lines:
        show(line + "\n")
