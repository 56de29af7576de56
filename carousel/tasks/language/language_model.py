"""The language model as a user meets it: train it, let it write, ask it, judge it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from carousel.errors import DataError, option, speaking
from carousel.models import FillModel, TokenModel
from carousel.tasks import vocabulary
from carousel.tasks.files import paths_in
from carousel.tasks.language import corpus, hidden_words
from carousel.tasks.language.completing import Completion, complete
from carousel.tasks.language.filling import Filled, fill
from carousel.tasks.language.sampling import Sampling
from carousel.tasks.language.scoring import total_nats
from carousel.tasks.language.settings import Settings
from carousel.tasks.language.writing import write
from carousel.tasks.saved_model import SavedModel
from carousel.training.building import build, parameter_count, require_counts
from carousel.training.measure import bits
from carousel.training.progress import Report, report_for
from carousel.training.run_folder import RunFolder
from carousel.training.run_location import folder_for


@dataclass(frozen=True)
class Evaluation:
    """How well a model predicts a text. All per-character figures count the spelling of what it does not know.

    nats_per_character: the mean loss per character, in nats. perplexity: e^(nats per token), where all unknown tokens
        count as one symbol. tokens, characters: how many of each were predicted. unknown: how many tokens are outside
        the vocabulary.
    """

    nats_per_character: float
    perplexity: float  # e^(nats per token), unknown tokens counted as one symbol
    tokens: int
    characters: int
    unknown: int  # tokens outside the vocabulary

    @property
    def bits_per_character(self) -> float:
        """The mean loss per character, in bits."""
        return bits(self.nats_per_character)


class LanguageModel(SavedModel):
    """A network that predicts the next character, byte or word of a text, with its vocabulary.

        model = LanguageModel.train("shakespeare.txt", minutes=3)
        print(model.generate("ROMEO:", length=300))
        model.complete("The clouds are in the")
        model.evaluate("other.txt").bits_per_character

        model = LanguageModel.load("runs/shakespeare")

        model = LanguageModel.train("shakespeare.txt", fill=True)
        model.fill("The ___ are in the sky.").blanks

    network: scores the next symbol, or each symbol from all the others. symbols: the vocabulary, kept as `vocabulary`.
    run: the run folder, None for none.
    """

    TASK = "language"

    def __init__(
        self, network: TokenModel | FillModel, symbols: vocabulary.Vocabulary, run: Path | None = None
    ) -> None:
        self.network = network.eval()
        self.vocabulary = symbols
        self.run = run

    def __repr__(self) -> str:
        """The vocabulary, the size of the network, and the run folder."""
        where = "" if self.run is None else f", run={str(self.run)!r}"
        known = f"{self.vocabulary.size:,} symbols of the level {self.vocabulary.level!r}"
        return f"LanguageModel({known}, {parameter_count(self.network):,} parameters{where})"

    @classmethod
    @speaking(python=True)
    def train(
        cls,
        paths: str | Path | Sequence[str | Path],
        *,
        out: str | Path | None = None,
        report: Report | None = None,
        **settings: Any,
    ) -> "LanguageModel":
        """Learns from text files, and returns the model that did best in validation.

        paths: a file, a folder of files, or several of these. out: the run folder to write. Default: `runs/` and the
            name of the text.
        report: is told of the progress. Default: the terminal; `Quiet()` for silence.
        settings: those of `Settings`, by name.

        Seeds torch's global generator with the run's seed, as dropout draws from it.
        Raises DataError where the text or a setting cannot be used, RunError where the run cannot be written,
        KeyboardInterrupt after Ctrl-C, when the step is finished and saved.
        """
        from carousel.tasks.language.fill_training import open_run  # not above: who loads a model waits for no training
        from carousel.tasks.language.preparation import prepare
        from carousel.training.task_run import train

        files = paths_in(paths)
        folder = Path(out) if out is not None else folder_for(files)
        RunFolder.require_unused(folder)
        report = report or report_for()
        prepared = prepare(files, Settings(**settings), report)
        return cls.of(train(prepared, open_run, out=folder, report=report))

    @classmethod
    def of(cls, folder: RunFolder, device: str = "auto") -> Self:
        """The best model of an open run so far; `load` opens a run and calls it.

        folder: the run. device: "auto", "cpu" or "cuda". Raises RunError for a run that is damaged.
        """
        network, symbols = trained_network(folder)
        return cls(network.to(Settings(device=device).torch_device), symbols, folder.path)

    @speaking(python=True)
    def stream(
        self,
        prompt: str = "",
        *,
        length: int = 500,
        temperature: float = 0.8,
        top_k: int | None = None,
        top_p: float | None = None,
        seed: int = 0,
    ) -> Iterator[str]:
        """The text that follows a prompt, piece by piece as it is written. It never yields part of a character.

        prompt: the text before it. length: how many symbols to write. seed: the same seed gives the same text.
        temperature: the scores of symbols are divided by it. Below 1 the likely becomes likelier; 0 always takes the
            likeliest.
        top_k: only the k likeliest symbols take part. top_p: only the fewest symbols that together have at least this
        probability, after temperature.
        Raises DataError where the prompt has characters the model has never seen, and for impossible numbers.
        """
        if length < 1:
            raise DataError(f"The length must be 1 or more, not {length}.")
        sampling = Sampling(temperature, top_k, top_p)
        return write(self.reading_on, self.vocabulary, prompt, length=length, sampling=sampling, seed=seed)

    @speaking(python=True)
    def generate(self, prompt: str = "", **options: Any) -> str:
        """The text that follows a prompt, as one string.

        prompt: the text before it. options: those of `stream`, whose errors (DataError) it raises too.
        """
        return "".join(self.stream(prompt, **options))

    @speaking(python=True)
    def complete(self, prompt: str, *, count: int = 5) -> list[Completion]:
        """The likeliest next words, or ends of the word that the prompt breaks off in, with their probabilities,
        likeliest first.

        prompt: the text before them. count: how many to return at most.
        Raises DataError for a count below 1, and where the prompt has characters the model has never seen.
        """
        if count < 1:
            raise DataError(f"The count must be 1 or more, not {count}.")
        return complete(self.reading_on, self.vocabulary, prompt, count=count)

    @speaking(python=True)
    def fill(self, text: str, *, count: int = 5) -> Filled:
        """The likeliest words for each blank of a text, two underscores or more: "He is ___ today."

        For a model that was trained with fill=True; see `carousel.tasks.language.filling` for the answer.

        text: the text with its blanks. count: how many words to return for each blank at most.
        Raises DataError for another model, for a count below 1, and for a text without a blank.
        """
        if count < 1:
            raise DataError(f"The count must be 1 or more, not {count}.")
        return fill(self.reading_both_ways, self.vocabulary, text, count=count)

    @property
    def fills(self) -> bool:
        """Whether the model fills in missing words, and so does not write."""
        return isinstance(self.network, FillModel)

    @property
    def reading_on(self) -> TokenModel:
        """The network of a model that predicts what follows. Raises DataError for a model that fills in words."""
        if isinstance(self.network, FillModel):
            raise DataError(
                f"{self._name} fills in missing words, and does not know what follows a text, as it was trained with "
                f"{option('fill', True)}. Ask it for a word: {self._call('fill', 'He is ___ because he wins')}. To "
                f"write and to complete texts, train a model without {option('fill', True)}."
            )
        return self.network

    @property
    def reading_both_ways(self) -> FillModel:
        """The network of a model that fills in words. Raises DataError for a model that predicts what follows."""
        if isinstance(self.network, TokenModel):
            raise DataError(
                f"{self._name} predicts what follows a text, and does not look at what stands after a blank. Ask it "
                f"for the next word: {self._call('complete', 'He is')}. To fill in missing words, train a model with "
                f"{option('fill', True)}."
            )
        return self.network

    @property
    def _name(self) -> str:
        return "The model" if self.run is None else str(self.run)

    def _call(self, what: str, text: str) -> str:
        """A call of a method with a text, as Python users or users of the command line write it."""
        if option("fill").startswith("--"):
            return f'carousel {what} {self._name} "{text}"'
        return f'model.{what}("{text}")'

    @speaking(python=True)
    def evaluate(self, paths: str | Path | Sequence[str | Path]) -> Evaluation:
        """How well the model predicts other text, read from beginning to end.

        paths: a file, a folder of files, or several of these.
        Raises DataError where the text cannot be read, or has fewer than two symbols.
        """
        any_bytes = self.vocabulary.level == "byte"
        sources = corpus.find(paths_in(paths), any_bytes=any_bytes)
        if isinstance(self.network, FillModel):
            return self._of_hidden_words(self.network, sources)
        tally, nats = corpus.Tally(), 0.0
        last = np.zeros(0, np.int64)
        for ids, lengths in corpus.encode(corpus.read(sources.files, any_bytes=any_bytes), self.vocabulary):
            # The text's first token is given, not predicted; every other is predicted from those before it.
            nats += total_nats(self.network, np.concatenate([last, ids]))
            skipped = 1 - len(last) if len(ids) else 0
            tally = tally.plus(ids[skipped:], lengths[skipped:], self.vocabulary.unknown)
            last = ids[-1:] if len(ids) else last
        if tally.tokens == 0:
            raise DataError(
                "A text to evaluate on must have at least two symbols: the second is predicted from the first."
            )
        spelling = self.vocabulary.unknown_nats(tally.unknown, tally.unknown_characters)
        return Evaluation(
            nats_per_character=(nats + spelling) / max(1, tally.characters),
            perplexity=float(np.exp(nats / tally.tokens)),
            tokens=tally.tokens,
            characters=tally.characters,
            unknown=tally.unknown,
        )

    def _of_hidden_words(self, network: FillModel, sources: corpus.Sources) -> Evaluation:
        """How well the model predicts each word of other text from all the others near it."""
        tally, parts = corpus.Tally(), []
        for ids, lengths in corpus.encode(corpus.read(sources.files), self.vocabulary):
            tally = tally.plus(ids, lengths, self.vocabulary.unknown)
            parts.append(ids)
        if tally.tokens < 2:
            raise DataError("A text to evaluate on must have at least two words: one is predicted from the other.")
        nats = hidden_words.total_nats(network, np.concatenate(parts))
        spelling = self.vocabulary.unknown_nats(tally.unknown, tally.unknown_characters)
        return Evaluation(
            nats_per_character=(nats + spelling) / max(1, tally.characters),
            perplexity=float(np.exp(nats / tally.tokens)),
            tokens=tally.tokens,
            characters=tally.characters,
            unknown=tally.unknown,
        )


def trained_network(folder: RunFolder) -> tuple[TokenModel | FillModel, vocabulary.Vocabulary]:
    """The network of a run with its best weights so far, on the CPU, and its vocabulary. Raises RunError."""
    config = folder.config()
    with folder.reading_config():
        symbols = vocabulary.from_json(config["vocabulary"])
        model = folder.model(config)
        require_counts(layers=model["layers"])
        kind = FillModel if config["settings"].get("fill") else TokenModel
    return build(folder, lambda: kind(symbols.size, **model), trained=True), symbols
