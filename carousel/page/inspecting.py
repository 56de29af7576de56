"""From a run and a text to the page: what `carousel inspect` does, as a function."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from pathlib import Path

from carousel.errors import DataError, RunError
from carousel.page import analysis
from carousel.page.document import document
from carousel.page.moments import Moments
from carousel.page.passage import Passage, passage_for, settings_of
from carousel.page.pictures import Measured, draw_pictures
from carousel.page.reading import pieces_of, read_steps
from carousel.tasks.language import LanguageModel
from carousel.training.measure import bits
from carousel.training.run_folder import RunFolder

STEPS = 500
PAGE = "index.html"
PICTURED = 8  # outputs in the picture of influence


def inspect(
    run: str | Path | LanguageModel,
    text: str | Path | None = None,
    *,
    against: str | Path | LanguageModel | None = None,
    out: str | Path | None = None,
    steps: int = STEPS,
    report: Callable[[str], None] = lambda _: None,
) -> Path:
    """Write a page that shows what a language model does with a text, step by step, and pictures beside it.

        carousel.inspect("runs/shakespeare", Path("sonnets.txt"))
        carousel.inspect(model, "The clouds are in the sky.", against="runs/gru", out="page")

    text: a str is the text itself, a Path a file of it. None: the end of the text that the run was trained on, which
        it did not learn from, where that file is still there; otherwise what the model writes by itself.
    against: another run, shown beside the first with the same text.
    out: a folder, made if need be; default: `inspect` in the run's. steps: how many symbols to read at most.
    report: called with a line for each thing that is being done.

    Returns the page's path, `out`/index.html: one file, which needs no network. Raises RunError for a folder that is no
    run of a language model or cannot be written to, DataError for a text that cannot be read or is too short.
    """
    if steps < 2:
        raise DataError(f"A page shows 2 steps or more, not {steps}.")
    models = [load(each) for each in (run, against) if each is not None]
    passage = passage_for(models[0], text, steps)
    folder = _folder(models[0], out)
    report(f"the text: {passage.source}{', its beginning' if passage.more else ''}")
    names = _names(models)
    examined = [examine(model, name, passage, report) for model, name in zip(models, names, strict=True)]
    written = _write(folder / PAGE, document([moments for moments, _ in examined]).encode("utf-8"))
    report("pictures")
    for moments, measured in examined:
        draw_pictures(folder, f"{moments.name}-" if len(examined) > 1 else "", measured)
    report(f"wrote {written}, {written.stat().st_size / 1e6:.1f} MB, and pictures beside it")
    return written


def load(run: str | Path | LanguageModel) -> LanguageModel:
    """The model of a run. Raises RunError for a run of another task, which has no page yet."""
    if isinstance(run, LanguageModel):
        return run
    folder = RunFolder.open(run)
    task = folder.config().get("task", "language")
    if task != "language":
        raise RunError(
            f"{folder.path} is a run of the task {task!r}. The page shows runs of language models only, so far; "
            f"carousel.insight measures any layer from Python."
        )
    return LanguageModel.load(run)


def examine(
    model: LanguageModel, name: str, passage: Passage, report: Callable[[str], None] = lambda _: None
) -> tuple[Moments, Measured]:
    """Everything a page shows of one model and text; and the measures themselves, for pictures."""
    network, layer = model.network, model.network.recurrent
    ids, pieces, starts = pieces_of(model.vocabulary, passage.text)
    report(f"{name}: {len(ids):,} steps of {layer.num_layers} x {layer.hidden_size} units")
    steps, after = read_steps(network, model.vocabulary, ids, pieces, starts)
    report(f"{name}: what moved each prediction, over the last {min(analysis.BACK, len(ids))} steps")
    influence = analysis.influence(network, ids, after)
    report(f"{name}: gradients, timescales, units that follow the text")
    gates = analysis.gates_of(network, ids)
    flow = analysis.flow_of(network, ids)
    curves, untold = analysis.curves_of(flow)
    timescales, too_short = analysis.timescales_of(gates)
    findings, too_little = analysis.findings(network, ids, settings_of(model).get("window"))
    # As the equations call them: c' is what a step makes of c.
    states = (
        (k, f"{name}'", gates.values[name][k, :, 0].numpy()) for name in gates.states for k in range(layer.num_layers)
    )
    moments = Moments(
        name=name,
        unit=model.vocabulary.level,
        about=_about(model, passage, steps.surprise[:-1].sum(), len(ids)),
        steps=steps,
        influence=influence,
        timescales=timescales,
        flow=curves,
        properties=analysis.followers(passage.text, starts, states),
        findings=findings,
        refusals={"flow": untold, "timescales": too_short, "findings": too_little},
    )
    at_end = analysis.influence_at_end(network, ids, after, outputs=PICTURED)
    return moments, Measured(passage.text, starts, gates, flow, at_end, pieces[-len(at_end.norms[0]) :])


def _about(model: LanguageModel, passage: Passage, nats: float, count: int) -> list[tuple[str, str]]:
    """Facts for the end of the page. A page is sent to others: it names files, and no folders."""
    layer, level = model.network.recurrent, model.vocabulary.level
    strange = sum(passage.text.count(part) for part in model.vocabulary.unknown_parts(passage.text))
    settings = {name: value for name, value in settings_of(model).items() if name != "cell" and value is not None}
    loss, guess = nats / (count - 1), math.log(model.vocabulary.size)
    return [
        ("text", f"{passage.source}; {count:,} {level}s{' of its beginning' if passage.more else ''}"),
        ("network", f"{layer.cell}, {layer.num_layers} x {layer.hidden_size} units, reads {level}s"),
        (
            "loss",
            f"{loss:.3f} nats ({bits(loss):.3f} bits) a {level} on this text; "
            f"guessing among all {model.vocabulary.size:,} symbols would be {guess:.3f}",
        ),
        *([("unknown", f"{strange:,} places that the model has no symbol for")] if strange else []),
        ("trained with", ", ".join(f"{name} {value}" for name, value in settings.items()) or "not told"),
    ]


def _names(models: list[LanguageModel]) -> list[str]:
    names = [model.run.resolve().name if model.run else "the model" for model in models]
    return names if len(set(names)) == len(names) else [f"{name} {k}" for k, name in enumerate(names, 1)]


def _folder(model: LanguageModel, out: str | Path | None) -> Path:
    if out is None and model.run is None:
        raise DataError("A model that is of no run has no folder for its page: name one with out=.")
    folder = Path(out) if out is not None else Path(str(model.run)) / "inspect"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise RunError(f"The folder {folder} cannot be made: {problem.strerror}. Choose another --out.") from None
    return folder


def _write(path: Path, content: bytes) -> Path:
    """A reader of the path finds what was there before or all of the new, never a part."""
    unfinished = path.with_name(path.name + ".tmp")
    try:
        unfinished.write_bytes(content)
        os.replace(unfinished, path)
    except OSError as problem:
        unfinished.unlink(missing_ok=True)
        raise RunError(
            f"{path} ({len(content) / 1e6:.1f} MB) could not be written: {problem.strerror}. Choose another --out."
        ) from None
    return path
