"""From text files to a finished run: everything between the files and the training loop."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from carousel.errors import DataError
from carousel.insight.learning_curve import draw_learning_curve
from carousel.models import TokenModel
from carousel.tasks.language import baseline, corpus, vocabulary
from carousel.tasks.language.language_model import damaged_config, parameters, refuse_strange_cell
from carousel.tasks.language.sampling import Sampling
from carousel.tasks.language.scoring import total_nats
from carousel.tasks.language.settings import Settings, automatic_dropout
from carousel.tasks.language.writing import write
from carousel.training.lanes import Lanes
from carousel.training.loop import Loop, Run
from carousel.training.measure import Measure, bits
from carousel.training.progress import Report, clock, report_for
from carousel.training.run_folder import Log, RunFolder, free_name, require_space

VALIDATED_ON = 131_072  # tokens at most, while training; the end judges on more
JUDGED_ON = 8_000_000  # tokens at most, at the end


def train(paths: Sequence[str | Path], settings: Settings, *, out: Path | None, report: Report | None) -> Path:
    """A new run, from text files to the end of its budget. Returns its folder."""
    report = report or report_for()
    any_bytes = settings.level == "byte"
    sources = corpus.find(paths, any_bytes=any_bytes)
    if out is None:
        first = Path(paths[0])
        out = free_name(Path("runs"), first.stem or first.resolve().name or "text")
    RunFolder.require_unused(out)
    share = 1 - settings.validation_share
    symbols, tokens = corpus.survey(sources, settings.level, words=settings.words, training_share=share)
    _announce_text(sources, symbols, tokens, settings, report)

    settings = _resolved(settings)
    model = {
        "cell": settings.cell,
        "hidden": settings.hidden,
        "layers": settings.layers,
        "embedding": settings.embedding,
    }
    if settings.threads:
        torch.set_num_threads(settings.threads)
    network = _network(symbols, model, settings)
    if int(tokens * share) < settings.window + 1 or tokens - int(tokens * share) < 2:
        raise DataError(
            f"{' '.join(map(str, paths))} is too short: its first {100 * share:.0f} % must fill at least one window of "
            f"{settings.window} steps, and it has {tokens:,} {settings.level}s in all. "
            f"Give more text, a shorter window (--window {max(1, int(tokens * share) // 4)}), "
            f"or less of it to --validation."
        )
    # Twice (the old file stays until the new one is whole): weights, and weights with AdamW's two averages.
    require_space(out, 2 * 4 * 4 * parameters(network), "A checkpoint of this model")

    folder = RunFolder.create(out)
    try:
        text = corpus.write(sources, symbols, tokens, out, validation_share=settings.validation_share)
        rival = baseline.count(
            text.training, text.validation[:VALIDATED_ON], symbols.size, orders=3 if settings.level == "word" else 6
        )
        folder.write_config(
            {
                "task": "language",
                "versions": _versions(),
                "settings": asdict(settings),
                "sources": [{"file": str(file), "bytes": file.stat().st_size} for file in sources.files[:1000]],
                "model": model,
                "corpus": text.to_json(),
                "baseline": {"name": rival.name, "nats_per_token": rival.nats, "trained_on": rival.trained_on},
                "vocabulary": symbols.to_json(),
            }
        )
    except BaseException:
        folder.discard(corpus.TOKENS)
        raise
    _go(folder, report, resuming=False)
    return out


def resume(run: Path, *, threads: int | None, report: Report | None) -> None:
    """A stopped run, from its last checkpoint to the end of its budget."""
    report = report or report_for()
    folder = RunFolder.open(run)
    config = folder.config()
    if any("final" in line for line in folder.log_lines()):
        report.say(f"{run} has finished: there is nothing left to do. Start a new run to train longer.")
        return
    try:
        recorded, versions = config["settings"]["threads"], config["versions"]
    except (KeyError, TypeError) as problem:
        raise damaged_config(folder, problem) from None
    torch.set_num_threads(threads or recorded)
    if threads not in (None, recorded):
        report.say(
            f"This run began with {recorded} threads and goes on with {threads}: "
            f"sums are taken in another order, so the last bits of the results may differ."
        )
    if versions != _versions():
        report.say(
            f"This run began with {_listed(versions)} and goes on with {_listed(_versions())}: "
            f"the last bits of the results may differ."
        )
    _go(folder, report, resuming=True)


def _go(folder: RunFolder, report: Report, *, resuming: bool) -> None:
    """Train from where the folder stands to the end, then judge the best model on all the validation text."""
    config = folder.config()
    try:
        settings = Settings(**config["settings"])
        text = corpus.Corpus.from_json(folder.path, config["corpus"])
        symbols = vocabulary.from_json(config["vocabulary"])
        refuse_strange_cell(folder, config["model"]["cell"])
        network = _network(symbols, config["model"], settings)
        rival_name, rival_nats = config["baseline"]["name"], min(config["baseline"]["nats_per_token"])
    except (KeyError, TypeError) as problem:
        raise damaged_config(folder, problem) from None
    lanes = Lanes(text.training, lanes=settings.lanes, window=settings.window)
    device = settings.torch_device
    loop = Loop(network, lanes, peak_rate=settings.learning_rate, device=device)

    measure = _measure(text.training_tally, symbols)
    validation_measure = _measure(text.validation_tally, symbols)
    rival = validation_measure.nats(rival_nats)
    validation = text.validation[:VALIDATED_ON]
    report.begin(measure, (rival_name, rival))

    run = Run(
        loop,
        folder,
        settings.budget,
        validate=lambda: total_nats(network, validation) / (len(validation) - 1),
        sample=_sampler(network, symbols),
        planned=_planner(settings, report),
        measure=measure,
        validation_measure=validation_measure,
        report=report,
    )
    if resuming:
        found = run.resume()
        report.say(f"continuing {folder.path} from step {loop.steps:,}" if found else f"starting {folder.path} again")
    else:
        _announce_run(folder, network, lanes, settings, text, rival_name, rival, report)
    try:
        run.train()
    except (KeyboardInterrupt, SystemExit):
        report.say(f"stopped at step {loop.steps:,}, and saved. Go on with: carousel train --resume {folder.path}")
        raise
    _conclude(folder, network, text, validation_measure, (rival_name, rival), report)


def _conclude(
    folder: RunFolder,
    network: TokenModel,
    text: corpus.Corpus,
    measure: Measure,
    rival: tuple[str, float],
    report: Report,
) -> None:
    network.load_state_dict(folder.read_model())
    judged = text.validation[:JUDGED_ON]
    nats = measure.nats(total_nats(network, judged) / (len(judged) - 1))
    log = Log(folder, length=None)
    log.write(final=nats, tokens=len(judged), all=len(judged) == text.validation_tally.tokens)
    log.sync()
    log.close()
    (folder.path / corpus.TOKENS).unlink(missing_ok=True)  # the text is the user's; a finished run needs no copy
    part = "all" if len(judged) == text.validation_tally.tokens else f"the first {len(judged):,} symbols of"
    report.say(
        f"best model: {nats:.4f} nats/char ({bits(nats):.4f} bits/char) on {part} the validation text; "
        f"{rival[0]}: {rival[1]:.4f} nats/char"
    )
    draw_curve(folder, rival)


def draw_curve(folder: RunFolder, rival: tuple[str, float]) -> None:
    """The run's learning curve, in its curve.png."""
    lines = folder.log_lines()
    draw_learning_curve(
        folder.path / "curve.png",
        training=[(line["epoch"], line["train"]) for line in lines if "train" in line],
        validation=[(line["epoch"], line["validation"]) for line in lines if "validation" in line],
        baseline=rival,
        title=folder.path.name,
        x_label="epochs (times over the training text)",
        unit="character",
    )


# -- the parts of a run -----------------------------------------------------------------------------------------


def _resolved(settings: Settings) -> Settings:
    """With what was left to be chosen by the machine or by other settings, so that a resumed run chooses the same."""
    return replace(
        settings,
        cell=_absolute(settings.cell),
        embedding=settings.embedding or max(1, settings.hidden // 2),
        minutes=settings.budget.minutes,
        device=str(settings.torch_device),
        threads=settings.threads or torch.get_num_threads(),
    )


def _absolute(cell: str) -> str:
    """A cell in a user's file, named so that the run finds it from any folder."""
    path, colon, name = cell.rpartition(":")
    return f"{Path(path).resolve()}:{name}" if colon and path.endswith(".py") else cell


def _network(symbols: vocabulary.Vocabulary, model: dict[str, Any], settings: Settings) -> TokenModel:
    torch.manual_seed(settings.seed)
    try:
        return TokenModel(symbols.size, **model, dropout=settings.dropout or 0.0).to(settings.torch_device)
    except ValueError as problem:
        raise DataError(f"The cell {settings.cell!r} cannot be the language model's: {problem}") from None


def _measure(tally: corpus.Tally, symbols: vocabulary.Vocabulary) -> Measure:
    spelling = symbols.unknown_nats(tally.unknown, tally.unknown_characters)
    characters = max(1, tally.characters)
    return Measure("char", tally.tokens / characters, spelling / characters)


def _sampler(network: TokenModel, symbols: vocabulary.Vocabulary) -> Callable[[int], str]:
    """A sample of a few lines, the same for the same weights and step, that leaves torch's own dice alone."""
    length = 50 if symbols.level == "word" else 200

    def sample(steps: int) -> str:
        was_training = network.training
        network.eval()
        text = "".join(write(network, symbols, "", length=length, sampling=Sampling(), seed=steps))
        network.train(was_training)
        return text

    return sample


def _planner(settings: Settings, report: Report) -> Callable[[Loop], None]:
    def planned(loop: Loop) -> None:
        assert loop.plan is not None
        epochs = loop.plan.steps / loop.lanes.windows_per_epoch
        assert isinstance(loop.model, TokenModel)
        dropout = settings.dropout
        if dropout is None:
            dropout = automatic_dropout(epochs, parameters(loop.model), loop.lanes.tokens_per_epoch)
        loop.model.set_dropout(dropout)
        report.say(f"{loop.plan.steps:,} steps, {epochs:.1f} times over the training text, dropout {dropout:g}")

    return planned


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"carousel": version("carousel-rnn"), "torch": torch.__version__, "python": platform.python_version()}


def _listed(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())


# -- what is said -----------------------------------------------------------------------------------------------


def _announce_text(
    sources: corpus.Sources, symbols: vocabulary.Vocabulary, tokens: int, settings: Settings, report: Report
) -> None:
    what = sources.files[0].name if len(sources.files) == 1 else f"{len(sources.files):,} files"
    kinds = {"char": "different characters", "byte": "possible bytes", "word": "words known"}[settings.level]
    known = symbols.size - (symbols.unknown is not None)
    report.say(f"{what}: text, {sources.bytes:,} bytes; {tokens:,} {settings.level}s, {known:,} {kinds}")
    if sources.skipped:
        names = ", ".join(file.name for file in sources.skipped[:3])
        more = f" and {len(sources.skipped) - 3:,} more" if len(sources.skipped) > 3 else ""
        report.say(f"passed over, as they are not UTF-8 text: {names}{more}")


def _announce_run(
    folder: RunFolder,
    network: TokenModel,
    lanes: Lanes,
    settings: Settings,
    text: corpus.Corpus,
    rival_name: str,
    rival: float,
    report: Report,
) -> None:
    level, training, validation = settings.level, text.training_tally, text.validation_tally
    report.say(f"the first {training.tokens:,} {level}s to learn from, the last {validation.tokens:,} to validate on")
    if validation.tokens > VALIDATED_ON:
        report.say(f"validation while training uses the first {VALIDATED_ON:,} of those")
    if training.unknown or validation.unknown:
        report.say(
            f"words beyond the vocabulary: {training.unknown / training.tokens:.1%} of the training text, "
            f"{validation.unknown / validation.tokens:.1%} of the validation text; losses count their spelling"
        )
    report.say(
        f"model: {settings.cell}, {settings.layers} x {settings.hidden} units, {parameters(network):,} parameters; "
        f"{lanes.lanes} lanes, windows of {lanes.window} steps; {settings.device}, {settings.threads} threads"
    )
    for line in network.recurrent.explain().splitlines()[1:]:
        report.say(line)
    report.say(f"a naive rival to beat: {rival_name}, {rival:.3f} nats/char ({bits(rival):.3f} bits/char)")
    report.say(f"writing to {folder.path}")
    if settings.minutes is not None:
        report.say(
            f"training for {clock(60 * settings.minutes)}; its first {settings.budget.trial_seconds:.0f} s are timed, "
            f"to fix the number of steps"
        )
