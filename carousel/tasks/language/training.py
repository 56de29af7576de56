"""From text files to a finished run: everything between the files and the training loop."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch

from carousel.models import TokenModel
from carousel.tasks.language import corpus, ngram_baseline, vocabulary
from carousel.tasks.language.preparation import VALIDATED_ON, network_of, prepare
from carousel.tasks.language.sampling import Sampling
from carousel.tasks.language.scoring import total_nats
from carousel.tasks.language.settings import Settings, automatic_dropout
from carousel.tasks.language.writing import write
from carousel.training.building import build, require_counts
from carousel.training.lane_batches import LaneBatches
from carousel.training.lanes import Lanes
from carousel.training.loop import Loop
from carousel.training.measure import Measure, bits
from carousel.training.progress import Report, report_for
from carousel.training.run import Run
from carousel.training.run_cell import hash_of
from carousel.training.run_folder import RunFolder
from carousel.training.session import (
    announce_start,
    carry_out,
    draw_curve,
    folder_for,
    parameter_count,
    record_final,
    require_space_for,
    versions,
)

JUDGED_ON = 8_000_000  # tokens at most, at the end


def train(paths: Sequence[str | Path], settings: Settings, *, out: Path | None, report: Report | None) -> Path:
    """A new run, from text files to the end of its budget. Returns its folder."""
    report = report or report_for()
    out = out or folder_for(paths, otherwise="text")
    RunFolder.require_unused(out)
    prepared = prepare(paths, settings, report)
    settings, sources, symbols = prepared.settings, prepared.sources, prepared.symbols
    if settings.threads:
        torch.set_num_threads(settings.threads)
    require_space_for(network_of(symbols.size, prepared.model, settings), out)

    folder = RunFolder.create(out, cell=settings.cell)
    try:
        text = corpus.write(sources, symbols, prepared.tokens, out, validation_share=settings.validation_share)
        baseline = ngram_baseline.count(
            text.training, text.validation[:VALIDATED_ON], symbols.size, orders=3 if settings.level == "word" else 6
        )
        folder.write_config(
            {
                "task": "language",
                "versions": versions(),
                "settings": asdict(settings),
                "sources": [corpus.identity(file) for file in sources.files[:1000]],
                "model": prepared.model,
                "corpus": text.to_json(),
                "baseline": {"name": baseline.name, "nats_per_token": baseline.nats, "trained_on": baseline.trained_on},
                "vocabulary": symbols.to_json(),
                **hash_of(settings.cell),
            },
            data=[corpus.TOKENS],
        )
    except BaseException:
        folder.discard(corpus.TOKENS)
        raise
    continue_run(folder, report, resuming=False)
    return out


def continue_run(folder: RunFolder, report: Report, *, resuming: bool) -> None:
    """Train from where the folder stands to the end, then judge the best model on all the validation text."""
    config = folder.config()
    with folder.reading_config():
        settings = Settings(**config["settings"])
        text = corpus.Corpus.from_json(folder.path, config["corpus"])
        symbols = vocabulary.from_json(config["vocabulary"])
        model = folder.model(config)
        require_counts(layers=model["layers"])
        baseline_name, baseline_nats = str(config["baseline"]["name"]), float(min(config["baseline"]["nats_per_token"]))
    if resuming:
        folder.data(corpus.TOKENS, "the training text")
        text.require_symbols(symbols.size)
    network = build(folder, lambda: network_of(symbols.size, model, settings), trained=False).to(settings.torch_device)
    lanes = Lanes(text.training, lanes=settings.lanes, window=settings.window)
    device = settings.torch_device
    loop = Loop(network, LaneBatches(lanes, device), peak_rate=settings.learning_rate, device=device)

    measure = _measure(text.training_tally, symbols)
    validation_measure = _measure(text.validation_tally, symbols)
    baseline = validation_measure(baseline_nats)
    validation = text.validation[:VALIDATED_ON]
    report.begin(measure, (baseline_name, baseline), samples="what it writes now")

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
    if not resuming:
        _announce_run(folder, network, settings, text, baseline_name, baseline, report)
    carry_out(run, report, resuming=resuming)
    _conclude(folder, network, text, validation_measure, (baseline_name, baseline), report)


def _conclude(
    folder: RunFolder,
    network: TokenModel,
    text: corpus.Corpus,
    measure: Measure,
    baseline: tuple[str, float],
    report: Report,
) -> None:
    folder.load_into(network)
    judged = text.validation[:JUDGED_ON]
    nats = measure(total_nats(network, judged) / (len(judged) - 1))
    record_final(folder, final=nats, tokens=len(judged), all=len(judged) == text.validation_tally.tokens)
    (folder.path / corpus.TOKENS).unlink(missing_ok=True)  # the text is the user's; a finished run needs no copy
    part = "all" if len(judged) == text.validation_tally.tokens else f"the first {len(judged):,} symbols of"
    report.say(
        f"best model: {nats:.4f} nats/char ({bits(nats):.4f} bits/char) on {part} the validation text; "
        f"{baseline[0]}: {baseline[1]:.4f} nats/char"
    )
    draw_curve(folder, measure, baseline, x_label="epochs (times over the training text)")


# -- the parts of a run -----------------------------------------------------------------------------------------


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
        epochs = loop.plan.steps / loop.batches.steps_per_epoch
        assert isinstance(loop.model, TokenModel)
        dropout = settings.dropout
        if dropout is None:
            dropout = automatic_dropout(epochs, parameter_count(loop.model), loop.batches.units_per_epoch)
        loop.model.set_dropout(dropout)
        report.say(f"{loop.plan.steps:,} steps, {epochs:.1f} times over the training text, dropout {dropout:g}")

    return planned


# -- what is said -----------------------------------------------------------------------------------------------


def _announce_run(
    folder: RunFolder,
    network: TokenModel,
    settings: Settings,
    text: corpus.Corpus,
    baseline_name: str,
    baseline: float,
    report: Report,
) -> None:
    training, validation = text.training_tally, text.validation_tally
    if training.unknown or validation.unknown:
        report.say(
            f"words beyond the vocabulary: {training.unknown / training.tokens:.1%} of the training text, "
            f"{validation.unknown / validation.tokens:.1%} of the validation text; losses count their spelling"
        )
    words = f"{baseline_name}, {baseline:.3f} nats/char ({bits(baseline):.3f} bits/char)"
    announce_start(folder, settings, network.recurrent.explain(), words, report)
