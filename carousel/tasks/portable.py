"""A run's network in a form that runs without Carousel: `carousel export`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

import carousel
from carousel.errors import DataError, option
from carousel.export.answering import Answer, answer_of
from carousel.export.c import rounded, to_c
from carousel.export.onnx import to_onnx
from carousel.export.onnx.checking import answer_in_runtime, interface_of
from carousel.files import read, write_atomically
from carousel.models.label_model import Ensemble
from carousel.tasks import task_named
from carousel.tasks.catalogue import task_of
from carousel.tasks.files import make_folder
from carousel.training.run_folder import RunFolder

FORMS = ("onnx", "c")
Figures = Mapping[str, float]


@dataclass(frozen=True)
class Portable:
    """What a task says of a run that is exported.

    preprocessing: what stands between the data and the network, and what its answers mean, for JSON.
    judge: how good answers are, {name of a figure: figure}, on data of the user's. Raises DataError for unfit data.
    """

    network: nn.Module
    preprocessing: dict[str, Any]
    judge: Callable[[Answer, Sequence[Path]], Figures]


def export_run(
    folder: RunFolder,
    form: str,
    *,
    out: Path,
    name: str = "model",
    int8: bool = False,
    networks_alone: bool = False,
    data: Sequence[Path] = (),
    say: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """Writes the best network of a run, with what it reads and gives in `name.json`, into the folder `out`.

    form: "onnx", checked in ONNX Runtime before the file is kept, or "c". int8: matrices as int8; how good the answers
    are before and after, on `data`, is reported (without data: on what the run held out, where it keeps that).
    networks_alone: leaves out the vote of fixed convolutions that a classifier of series may have beside its networks.

    Returns the paths. Raises ProgramError for a network that the form does not have, with the reason; DataError for
    an unknown form, and where data are needed or unfit; CarouselError where a package is missing.
    """
    if form not in FORMS:
        raise DataError(
            f"exporting {folder.path}: the form must be {' or '.join(FORMS)} ({option('to')}), not {form!r}"
        )
    task = task_of(folder)
    portable: Portable = task_named(task).portable(folder)
    if networks_alone and isinstance(portable.network, Ensemble):
        portable = replace(portable, network=Ensemble(portable.network.members).eval())
    make_folder(out)
    about: dict[str, Any] = {"task": task, "carousel": carousel.__version__, "int8": int8}
    if form == "onnx":
        paths = [to_onnx(portable.network, out / f"{name}.onnx", int8=int8)]
        about |= interface_of(read(paths[0]))
    else:
        paths = to_c(portable.network, out, name=name, int8=int8)
    if int8:
        before = portable.judge(answer_of(portable.network), data)
        answer = answer_in_runtime(read(paths[0])) if form == "onnx" else answer_of(rounded(portable.network))
        after = portable.judge(answer, data)
        for figure, value in before.items():
            say(f"{figure}: {value:.4f} before, {after[figure]:.4f} with int8")
        about["figures"] = {"before": dict(before), "int8": dict(after)}
    about["preprocessing"] = portable.preprocessing
    write_atomically(out / f"{name}.json", json.dumps(about, indent=1, ensure_ascii=False).encode())
    paths.append(out / f"{name}.json")
    for path in paths:
        say(f"{path}: {path.stat().st_size:,} bytes")
    return paths


def require_data(data: Sequence[Path], run: Path) -> None:
    """Raises DataError where there are none to measure on."""
    if not data:
        raise DataError(
            f"exporting {run} with int8: what that costs is measured on data, and this run keeps none; name some "
            f"({option('data')})"
        )


__all__ = ["FORMS", "Portable", "export_run", "require_data"]
