"""Classes and groups in the names of files."""

import re
from collections.abc import Sequence
from pathlib import Path

from carousel.errors import DataError, option


def says_label(pattern: str | None) -> bool:
    return pattern is not None and "{label}" in pattern


def from_names(files: Sequence[Path], pattern: str, *, asked: bool = False) -> dict[str, list[str]]:
    """What the names say at {label} and {group}; * is anything. The ending of a name is left out of this.

    asked: names need not fit, and say nothing where some do not."""
    times = pattern.count("{label}"), pattern.count("{group}")
    if max(times) != 1:
        raise DataError(
            f"The pattern of file names ({option('names')}) must say once where the class stands, as {{label}}, or "
            f"the group, as {{group}}: '{{label}}_{{group}}_*', say. {pattern!r} does not."
        )
    expression = re.escape(pattern).replace(r"\*", ".*")
    for role in ("label", "group"):
        expression = expression.replace(rf"\{{{role}\}}", f"(?P<{role}>.+?)")
    parts: dict[str, list[str]] = {}
    for file in files:
        match = re.fullmatch(expression, file.stem)
        if match is None and asked:
            return {}
        if match is None:
            raise DataError(f"The name of {file} does not fit the pattern {pattern!r} ({option('names')}).")
        for role, value in match.groupdict().items():
            parts.setdefault(role, []).append(value)
    return parts
