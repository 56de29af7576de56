"""The training of a language model: batches, losses and samples from the text that a run folder holds."""

from carousel.errors import option
from carousel.models import FillModel, TokenModel
from carousel.tasks import vocabulary
from carousel.tasks.language import corpus
from carousel.tasks.language.preparation import VALIDATED_ON, network_of
from carousel.tasks.language.sampling import Sampling
from carousel.tasks.language.scoring import total_nats
from carousel.tasks.language.settings import WORDS, Settings, automatic_dropout
from carousel.tasks.language.writing import write
from carousel.tasks.verdict import by_loss, longer
from carousel.training.building import build, parameter_count, require_counts
from carousel.training.lane_batches import LaneBatches
from carousel.training.lanes import Lanes
from carousel.training.measure import Measure, bits
from carousel.training.run_folder import RunFolder
from carousel.training.task_run import Judgement, TaskRun

LEVEL = 0.01  # the part of a baseline's loss by which a model must differ from it
BEGIN = 200  # symbols of the validation text that the log keeps: the commands that are proposed begin with some of them
JUDGED_ON = 8_000_000  # tokens at most, at the end


class TextRun(TaskRun):
    """What the trainings of all models of text share. check: whether the symbols of the folder fit the vocabulary."""

    reads = "training text"
    unneeded = (corpus.TOKENS,)  # the text is the user's: a finished run needs no copy of it

    network: TokenModel | FillModel
    settings: Settings

    def __init__(self, folder: RunFolder, *, check: bool) -> None:
        config = folder.config()
        with folder.reading_config():
            self.settings = settings = Settings(**config["settings"])
            self.text = corpus.Corpus.from_json(folder.path, config["corpus"])
            self.symbols = vocabulary.from_json(config["vocabulary"])
            model = folder.model(config)
            require_counts(layers=model["layers"])
            self.naive = str(config["baseline"]["name"]), float(min(config["baseline"]["nats_per_token"]))
        if check:
            folder.data(corpus.TOKENS, "the training text")
            self.text.require_symbols(self.symbols.size)
        network = build(folder, lambda: network_of(self.symbols.size, model, settings), trained=False)
        self.network = network.to(settings.torch_device)
        self.recurrent = self.network.recurrent
        self.validation = self.text.validation

    def dropout_for(self, epochs: float) -> float:
        dropout = self.settings.dropout
        if dropout is None:
            dropout = automatic_dropout(epochs, parameter_count(self.network), self.batches.units_per_epoch)
        self.network.set_dropout(dropout)
        return dropout


class LanguageRun(TextRun):
    """A training of a language model on the text in a run folder."""

    samples = "what it writes now"

    network: TokenModel

    def __init__(self, folder: RunFolder, *, check: bool) -> None:
        super().__init__(folder, check=check)
        lanes = Lanes(self.text.training, lanes=self.settings.lanes, window=self.settings.window)
        self.batches = LaneBatches(lanes, self.settings.torch_device)
        self.measure = _measure(self.text.training_tally, self.symbols)
        self.validation_measure = _measure(self.text.validation_tally, self.symbols)
        name, nats = self.naive
        self.baseline = (name, self.validation_measure(nats))

    def validate(self) -> float:
        return self._nats(VALIDATED_ON)

    def sample(self, step: int) -> str:
        """A few lines that the network writes. They leave torch's random state alone."""
        length = 50 if self.symbols.level in WORDS else 200
        was_training = self.network.training
        self.network.eval()
        text = "".join(write(self.network, self.symbols, "", length=length, sampling=Sampling(), seed=step))
        self.network.train(was_training)
        return text

    def remarks(self) -> list[str]:
        training, validation = self.text.training_tally, self.text.validation_tally
        if not (training.unknown or validation.unknown):
            return []
        return [
            f"words beyond the vocabulary: {training.unknown / training.tokens:.1%} of the training text, "
            f"{validation.unknown / validation.tokens:.1%} of the validation text; losses count their spelling"
        ]

    def judge(self) -> Judgement:
        nats, (name, figure) = self.validation_measure(self._nats(JUDGED_ON)), self.baseline
        tokens = min(JUDGED_ON, self.text.validation_tally.tokens)
        all_of_it = tokens == self.text.validation_tally.tokens
        part = "all" if all_of_it else f"the first {tokens:,} symbols of"
        line = (
            f"best model: {nats:.4f} nats/char ({bits(nats):.4f} bits/char) on {part} the validation text; "
            f"{name}: {figure:.4f} nats/char"
        )
        advice = f"{longer(self.settings)}, or one with fewer units ({option('hidden')})"
        better = str(by_loss(name, nats, figure, least=LEVEL, advice=advice))
        begin = self.symbols.decode(self.validation[:BEGIN].tolist())
        record = {"final": nats, "tokens": tokens, "all": all_of_it, "begin": begin}
        return Judgement(record, (line, better))

    def _nats(self, most: int) -> float:
        """The mean loss, in nats per token, on the first tokens of the validation text, `most` at most."""
        tokens = self.validation[:most]
        return total_nats(self.network, tokens) / (len(tokens) - 1)


def _measure(tally: corpus.Tally, symbols: vocabulary.Vocabulary) -> Measure:
    """Nats per character, with the cost of spelling the words that are not in the vocabulary."""
    spelling = symbols.unknown_nats(tally.unknown, tally.unknown_characters)
    characters = max(1, tally.characters)
    return Measure("char", tally.tokens / characters, spelling / characters)
