"""The settings of tasks whose training, validation and test data may be three files."""

from __future__ import annotations

from dataclasses import dataclass

from carousel.training.settings import DATA, TrainingSettings, setting


@dataclass(frozen=True)
class HeldOutSettings(TrainingSettings):
    """What names the files that training does not learn from."""

    validation_file: str | None = setting(
        None, "A file to validate on. Without it: --validation of the data.", group=DATA
    )
    test_file: str | None = setting(
        None, "A file to judge the trained model on. Nothing is chosen by it. Without it: none.", group=DATA
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("validation_file", "test_file"):
            if (given := getattr(self, name)) is not None:
                object.__setattr__(self, name, str(given))  # a Path is no JSON
