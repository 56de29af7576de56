"""What is chosen by the data where nobody has chosen: how long, in what batches, how much is dropped and varied."""

from dataclasses import replace

import numpy as np

from carousel.tasks.classification.augmentation import Augmentation
from carousel.tasks.classification.settings import Settings
from carousel.training.run_cell import absolute_cell

READ = 30_000  # sequences that a training reads, all epochs together, where nothing else is asked for
FEWEST_EPOCHS, MOST_EPOCHS = 4.0, 150.0
SMALL = 500  # series: of fewer, learning lasts about UPDATES updates of the weights, fewer where a series is long
UPDATES, UPDATED_STEPS, EPOCHS_OF_SMALL = 240, 60_000, 30.0
FEW = 10_000  # sequences: up to here several networks share them, beyond it one holds a part out
FOLDS = 5
CONVOLUTIONS = {"series": 32, "audio": 32, "text": 0}  # channels beside the recurrence
FRAMES = 64  # on average, of a sequence
UNEVEN = 1.2  # the longest sequence by the shortest
FIXED = 5_000  # features of fixed convolutions; of more series than FIXED_UP_TO their matrices become large
FIXED_UP_TO = 2_000
PATIENCE = 12_000_000  # steps of sequences that are read, in all epochs and by all networks
MINUTES = 3.0  # where not even the fewest epochs keep within that

SOUNDS = Augmentation(noise=0.1, level=1.0, time_masks=1, band_masks=1)
SERIES = Augmentation(noise=0.05, bend=0.3, size=0.1)
TEXTS = Augmentation(forget=0.1)


def frames(settings: Settings, kind: str, lengths: np.ndarray) -> dict[str, int]:
    """How the convolutions read sequences: `stride`, so that they have about FRAMES frames on average, or one a step
    where they are shorter; `points`, what a sequence is stretched to, where series differ in length, as they do where
    some are slower than others, and the network may see their end."""
    stride = max(1, round(float(lengths.mean()) / FRAMES))
    uneven = lengths.max() > UNEVEN * lengths.min() and kind == "series" and settings.bidirectional
    return {"stride": stride, "points": stride * round(float(lengths.mean()) / stride) if uneven else 0}


def resolved(settings: Settings, kind: str, lengths: np.ndarray, threads: int) -> Settings:
    """The settings with nothing left open, so that a resumed run computes the same.

    kind: of the sequences. lengths: of those to learn from, in steps. Batches of 16 sequences, 32 from 200 on and 64
    from 5,000 on. Up to 10,000 sequences five networks vote, each trained without its fifth of the data.
    """
    sequences, steps = len(lengths), int(lengths.sum())
    folds = settings.folds or (FOLDS if sequences <= FEW else 1)
    batch = settings.batch or (16 if sequences < 200 else 32 if sequences < 5000 else 64)
    minutes, epochs = settings.minutes, settings.epochs
    if minutes is None and epochs is None:
        wanted = min(MOST_EPOCHS, max(FEWEST_EPOCHS, round(READ / sequences)))
        if kind == "series" and sequences < SMALL:
            updates = min(UPDATES, UPDATED_STEPS / float(lengths.max()))
            wanted = min(wanted, max(EPOCHS_OF_SMALL, round(updates / -(-sequences // batch))))
        affordable = PATIENCE // max(1, steps * folds)
        if affordable >= FEWEST_EPOCHS:
            epochs = min(wanted, affordable)
        else:
            minutes = MINUTES
    return replace(
        settings,
        cell=absolute_cell(settings.cell),
        folds=folds,
        convolutions=CONVOLUTIONS[kind] if settings.convolutions is None else settings.convolutions,
        fixed_convolutions=_fixed_convolutions(settings, kind, sequences),
        batch=batch,
        minutes=minutes,
        epochs=epochs,
        device=str(settings.torch_device),
        threads=threads,
    )


def _fixed_convolutions(settings: Settings, kind: str, sequences: int) -> int:
    """How many features of fixed convolutions vote: they read whole series, and know no weights of classes."""
    if kind != "series":
        return 0
    if settings.fixed_convolutions is not None:
        return settings.fixed_convolutions
    alike = settings.bidirectional and settings.class_weights == "none"
    return FIXED if alike and sequences <= FIXED_UP_TO else 0


def augmentation(kind: str, settings: Settings) -> Augmentation:
    """Sound: noise, loudness, a stretch of time and one of frequencies masked. Series: noise. Text: forgotten words."""
    if not settings.augment:
        return Augmentation()
    return {"audio": SOUNDS, "series": SERIES, "text": TEXTS}[kind]


def dropout(kind: str) -> float:
    return 0.5 if kind == "text" else 0.3
