"""How a tagger stands beside the naive baseline, in words."""

from carousel.tasks.tagging.scoring import Evaluation
from carousel.tasks.verdict import by_right


def said(result: Evaluation, which: str, unit: str, *, advice: str) -> list[str]:
    """The lines about a model on the sequences that were held out, or on others. which: "held out" for example.
    advice: what to try where the model does not win."""
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
            f"{result.unknown:,} words that training had once or never: {result.unknown_accuracy:.1%}; "
            f"{baseline.name}: {theirs:.1%}"
        )
    named = f"the baseline ({baseline.name})"
    lines.append(str(by_right(named, result.right, baseline.right, f"{unit}s", advice=advice)))
    return lines
