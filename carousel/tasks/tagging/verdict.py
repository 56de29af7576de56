"""How a tagger stands beside the naive baseline, in words."""

from carousel.tasks.chance import BY_CHANCE, by_chance
from carousel.tasks.tagging.scoring import Evaluation


def said(result: Evaluation, which: str, unit: str) -> list[str]:
    """The lines about a model on the sequences that were held out, or on others. which: "held out" for example."""
    baseline = result.baseline
    lines = [
        f"best model: accuracy {result.accuracy:.1%} on {result.steps.count:,} {unit}s of {result.sequences:,} "
        f"sequences {which}; {baseline.name}: {baseline.accuracy:.1%}"
    ]
    if result.f1 is not None:
        all_types = result.spans[0]
        lines.append(
            f"spans: precision {all_types.precision:.1%}, recall {all_types.recall:.1%}, F1 {all_types.f1:.1%}; "
            f"{baseline.name}: F1 {baseline.spans[0].f1:.1%}"
        )
    if result.unknown and result.known is not None:
        theirs = float(baseline.right[~result.known].mean())
        lines.append(
            f"{result.unknown:,} words that training did not have twice: {result.unknown_accuracy:.1%}; "
            f"{baseline.name}: {theirs:.1%}"
        )
    lines.append(_verdict(result, unit))
    return lines


def _verdict(result: Evaluation, unit: str) -> str:
    """Whether the model is better than the baseline, and whether that may be chance (McNemar's test on steps)."""
    mine, theirs = result.right, result.baseline.right
    more, chance = int(mine.sum()) - int(theirs.sum()), by_chance(mine, theirs)
    name = result.baseline.name
    if chance >= BY_CHANCE:
        return (
            f"the model has {abs(more):,} {'more' if more >= 0 else 'fewer'} of {len(mine):,} {unit}s right than the "
            f"baseline ({name}), which may be chance (p = {chance:.2g} by McNemar's test): neither "
            f"is shown to be better"
        )
    if more < 0:
        return (
            f"the baseline ({name}) is better on these data than this model, by {-100 * more / len(mine):.1f} points: "
            f"use that instead, or give more data and train longer"
        )
    return f"this model is better than the baseline ({name}), by {100 * more / len(mine):.1f} points"
