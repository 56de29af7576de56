"""The settings of a training that all tasks share, and how a setting is declared."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Callable
from dataclasses import MISSING, dataclass, field, fields
from numbers import Integral
from typing import TYPE_CHECKING, Any, TypeVar

from carousel.errors import SETTING_OF, DataError, option
from carousel.training.budget import Budget

if TYPE_CHECKING:
    import torch

DEFAULT_MINUTES = 3.0

C = TypeVar("C", bound=type)

DATA, MODEL, TRAINING, RUN = "Data", "Model", "Training", "Run"  # the groups in which help lists settings


def setting(default: Any, help: str, *, group: str) -> Any:
    """A field of a `Settings`: its default, its line in the help of `carousel train`, and the group it is listed in.

    The command line makes an option of each such field: `validation_share` of the type `float` is `--validation FLOAT`
    (a few names are shorter there, see `carousel.errors.SETTING_OF`). A default of None means that the task chooses
    a value from the data; the help then says how.
    """
    return field(default=default, metadata={"help": help, "group": group})


@dataclass(frozen=True)
class TrainingSettings:
    """The settings that all tasks share, with their defaults; the `Settings` of each task adds its own.

    A task says what `hidden` and `layers` are where nobody chooses: as defaults of its `Settings`, or by its data.

    Recorded in the run's config.json. Raises DataError for an impossible value.
    """

    cell: str = setting(
        "lstm", "The recurrent cell: lstm, gru, rnn, ..., or your own as path/to/file.py:ClassName.", group=MODEL
    )
    hidden: int | None = setting(None, "Units in each layer.", group=MODEL)
    layers: int | None = setting(None, "Layers on top of each other.", group=MODEL)
    dropout: float | None = setting(
        None, "Share of activations set to zero in training. Without it: chosen by the task.", group=TRAINING
    )
    learning_rate: float = setting(6e-3, "Learning rate at its peak.", group=TRAINING)
    minutes: float | None = setting(
        None, "Train for this long. Without it and --epochs: as long as the task finds useful.", group=TRAINING
    )
    epochs: float | None = setting(
        None, "Train until all training data have been read this many times, instead of --minutes.", group=TRAINING
    )
    validation_share: float = setting(0.1, "Share of the data to validate on.", group=TRAINING)
    seed: int = setting(
        0, "With --epochs, the same seed, data, settings and threads give the same model.", group=TRAINING
    )
    device: str = setting("auto", "auto, cpu or cuda.", group=RUN)
    threads: int | None = setting(
        None,
        "Threads to compute with. Without it: 1 or torch's number, whichever is faster at the start; with --epochs, "
        "torch's number.",
        group=RUN,
    )

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
        """Raises DataError unless each of the settings `names` is None or a whole number, 1 or more."""
        for name in names:
            value = getattr(self, name)
            if value is not None and not (isinstance(value, Integral) and int(value) >= 1):
                kind = "" if isinstance(value, Integral) else "a whole number, "
                raise DataError(f"{name} must be {kind}1 or more, not {value}.")
            object.__setattr__(self, name, value if value is None else int(value))  # NumPy's are no JSON

    @property
    def budget(self) -> Budget:
        """How long to train."""
        if self.epochs is not None:
            return Budget(epochs=self.epochs)
        return Budget(minutes=self.minutes or DEFAULT_MINUTES)

    @property
    def torch_device(self) -> torch.device:
        """The device to train on. Raises DataError where this machine does not have it."""
        import torch  # not above: the help of the command line reads this file, and does not wait for torch

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


def changed(name: str, *, default: Any = MISSING, help: str | None = None) -> Any:
    """The field of `TrainingSettings` of this name, with another default or another line of help for one task."""
    (shared,) = (one for one in fields(TrainingSettings) if one.name == name)
    default = shared.default if default is MISSING else default
    return setting(default, help or shared.metadata["help"], group=shared.metadata["group"])


def explained_by(settings: type) -> Callable[[C], C]:
    """A class decorator: the docstring goes on with a line for each argument that is one of these settings.

    The line is the setting's help, which then stands in one place for the command line, for `help` and for the site.
    """

    def complete(cls: C) -> C:
        if cls.__doc__:  # python -OO removes docstrings
            arguments = inspect.signature(cls).parameters
            items = [_item(one.name, one.metadata["help"]) for one in fields(settings) if one.name in arguments]
            cls.__doc__ = "\n".join([inspect.cleandoc(cls.__doc__), "", *items])
        return cls

    return complete


def explained(settings: C) -> C:
    """A class decorator: the docstring of a class of settings goes on with a line for each of them, its help."""
    return explained_by(settings)(settings)


def _item(name: str, help: str) -> str:
    """A setting and its help as an item of a docstring, where other settings have the names that Python gives them."""

    def in_python(flag: re.Match[str]) -> str:
        return f"`{SETTING_OF.get(flag[1], flag[1].replace('-', '_'))}`"

    text = re.sub(r"--([a-z][a-z-]*)", in_python, help)
    return textwrap.fill(f"{name}: {text}", 116, subsequent_indent="    ", break_on_hyphens=False)
