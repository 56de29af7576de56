"""What a run keeps when its training has ended: the last line of its log, and its learning curve."""

from typing import Any

from carousel.training.measure import Measure
from carousel.training.run_folder import Log, RunFolder


def record_final(folder: RunFolder, **values: Any) -> None:
    """Appends the last line of the log. Its entry `final`, the loss of the best model, marks the run as finished."""
    log = Log(folder, length=None)
    log.write(**values)
    log.sync()
    log.close()


def draw_curve(
    folder: RunFolder, measure: Measure, baseline: tuple[str, float] | None, *, x_label: str = "epochs"
) -> None:
    """Draws the losses of the log into `curve.png`, beside the name and figure of a naive baseline."""
    from carousel.insight.learning_curve import draw_learning_curve  # not above: few who import this draw

    lines = folder.log_lines()
    in_nats = measure.quantity == "nats"
    draw_learning_curve(
        folder.path / "curve.png",
        training=[(line["epoch"], line["train"]) for line in lines if "train" in line],
        validation=[(line["epoch"], line["validation"]) for line in lines if "validation" in line],
        baseline=baseline,
        title=folder.path.name,
        x_label=x_label,
        loss=f"loss, nats per {measure.unit}" if in_nats else measure.quantity,
        in_nats=in_nats,
    )
