"""What every training is told, whatever its task."""

from dataclasses import dataclass
from numbers import Integral

import torch

from carousel.errors import DataError, option
from carousel.training.budget import Budget

DEFAULT_MINUTES = 3.0


@dataclass(frozen=True)
class TrainingSettings:
    """The choices that all tasks share, with their defaults; each task's `Settings` adds its own.

    Recorded in the run's config.json. Raises DataError for a value that means nothing.
    """

    cell: str = "lstm"
    hidden: int = 256  # units in each layer
    layers: int = 1
    dropout: float | None = None  # None: chosen by the task
    learning_rate: float = 6e-3  # at its peak
    minutes: float | None = None  # of training; None with no epochs either: the task's choice
    epochs: float | None = None  # times over the training data
    validation_share: float = 0.1  # of the data, to validate on
    seed: int = 0
    device: str = "auto"
    threads: int | None = None  # None: as many as torch takes by itself

    def __post_init__(self) -> None:
        self.require_at_least_one("hidden", "layers", "threads")
        if self.dropout is not None and not 0 <= self.dropout < 1:
            raise DataError(f"dropout is a probability, at least 0 and below 1, not {self.dropout}.")
        if not 0 < self.validation_share < 1:
            raise DataError(
                f"The validation share is a part of the data, between 0 and 1, not {self.validation_share}."
            )
        if not (isinstance(self.seed, Integral) and 0 <= self.seed < 2**63):
            raise DataError(f"The seed must be a whole number from 0 to 2^63 - 1, not {self.seed}.")
        if not 0 < self.learning_rate < float("inf"):
            raise DataError(f"The learning rate must be above 0, not {self.learning_rate}. Usual: 0.001 to 0.01.")
        if self.minutes is not None and self.epochs is not None:
            raise DataError("Training ends after so many minutes or so many epochs: give one of them, not both.")
        for name in ("minutes", "epochs"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise DataError(f"{name} must be above 0, not {value}.")

    def require_at_least_one(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, Integral) and int(value) >= 1):
                kind = "" if isinstance(value, Integral) else "a whole number, "
                raise DataError(f"{name} must be {kind}1 or more, not {value}.")
            object.__setattr__(self, name, value if value is None else int(value))  # NumPy's are no JSON

    @property
    def budget(self) -> Budget:
        if self.epochs is not None:
            return Budget(epochs=self.epochs)
        return Budget(minutes=self.minutes or DEFAULT_MINUTES)

    @property
    def torch_device(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        try:
            device = torch.device(self.device)
        except RuntimeError:
            raise DataError(f"There is no device {self.device!r}. Try auto, cpu or cuda.") from None
        if device.type not in ("cpu", "cuda"):
            raise DataError(f"Training runs on cpu or cuda, not on {self.device!r}.")
        if device.type == "cuda" and not torch.cuda.is_available():
            raise DataError(f"No CUDA device can be used here. Try {option('device', 'cpu')}, or auto.")
        return device
