"""The networks of a classifier that an exporter writes."""

from carousel.errors import ProgramError
from carousel.models.label_model import Ensemble, LabelModel


def members_of(module: LabelModel | Ensemble, *, to: str) -> list[LabelModel]:
    """The networks whose probabilities are averaged.

    to: what is written, "C". Raises ProgramError where a vote of fixed convolutions is added to theirs, since the
    file would answer otherwise than the classifier.
    """
    if isinstance(module, LabelModel):
        return [module]
    if module.fixed is not None and float(module.fixed.share) > 0:
        raise ProgramError(
            f"exporting to {to}: the networks of this classifier have to answer alone, and fixed convolutions give "
            f"{float(module.fixed.share):.0%} of its answer; leave them out with --networks-alone (the end of the "
            f"training said how well the networks do), or train it with --fixed-convolutions 0"
        )
    return module.members
