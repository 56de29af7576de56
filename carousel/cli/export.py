"""carousel export"""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from carousel.cli.own_cell import NOT_ASKED, OwnCell


def export(
    run: Path,
    /,
    *,
    to: Literal["onnx", "c"],
    out: Path | None = None,
    name: str = "model",
    quantize: Literal["int8"] | None = None,
    networks_alone: Annotated[bool, Parameter(negative=())] = False,
    data: Annotated[tuple[Path, ...], Parameter(consume_multiple=True, negative=())] = (),
    own: OwnCell = NOT_ASKED,
) -> None:
    """Write a trained network in a form that runs without Carousel.

    For example:

    ```
    carousel export runs/birds --to c --out firmware --name birds
    carousel export runs/sales --to onnx
    carousel export runs/shakespeare --to onnx --quantize int8 --data sonnets.txt
    ```

    Parameters
    ----------
    run
        A run folder that `carousel train` wrote.
    to
        onnx: one file, which was compared with the network in ONNX Runtime. c: a header and a source in C99.
    out
        The folder to write to. Without it: `onnx` or `c` in the run.
    name
        Of the files: name.onnx, or name.h and name.c; and name.json, which says what stands before and behind the
        network.
    quantize
        int8: matrices of whole numbers, in about a quarter of the memory. What that costs is measured and shown.
    networks_alone
        Leave out the vote of fixed convolutions that a classifier of series has beside its networks. The files then
        answer as the networks do: `carousel train` said how well at its end.
    data
        What to measure it on, files or folders as for `carousel evaluate`. A forecaster has data of its own.
    """
    from carousel.cli.terminal import show
    from carousel.tasks.portable import export_run
    from carousel.training.run_folder import RunFolder

    folder = RunFolder.open(run, **own.allowed)
    export_run(
        folder,
        to,
        out=out or run / to,
        name=name,
        int8=quantize is not None,
        networks_alone=networks_alone,
        data=data,
        say=lambda line: show(line + "\n"),
    )
