"""What a release says of itself: one version everywhere, each change in one place, hooks that name what is here."""

from __future__ import annotations

import difflib
import re
from pathlib import Path

import carousel

ROOT = Path(__file__).resolve().parent.parent
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
CITATION = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
VERSIONS = re.findall(r"^## (\S+) \((\d{4}-\d\d-\d\d)\)$", CHANGELOG, flags=re.MULTILINE)


def entries(section: str) -> list[str]:
    return [" ".join(entry.split()) for entry in re.split(r"^- ", section, flags=re.MULTILINE)[1:]]


def alike(one: str, other: str) -> bool:
    """Whether two entries say the same: their words are the same to four fifths."""
    matcher = difflib.SequenceMatcher(None, one.split(), other.split(), autojunk=False)
    return matcher.quick_ratio() > 0.8 and matcher.ratio() > 0.8


def test_one_version_and_one_date():
    headings = re.findall(r"^## .*$", CHANGELOG, flags=re.MULTILINE)
    assert len(headings) == len(VERSIONS), "a version's heading is `## 1.2.3 (2026-01-31)`"
    assert sorted(VERSIONS, key=lambda version: version[1], reverse=True) == VERSIONS
    version, date = VERSIONS[0]
    assert version == carousel.__version__
    assert f"\nversion: {version}\ndate-released: {date}\n" in CITATION


def test_no_change_stands_twice():
    found = [entry for section in CHANGELOG.split("\n## ")[1:] for entry in entries(section)]
    assert len(found) > 100
    twice = [(a, b) for n, a in enumerate(found) for b in found[:n] if alike(a, b)]
    assert not twice
    assert alike("a wheel for every Python on Linux", "a wheel for every Python on macOS")


def test_hooks_and_workflows_type_what_is_here():
    hooks = (ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    workflows = [file.read_text(encoding="utf-8") for file in (ROOT / ".github" / "workflows").glob("*.yml")]
    assert len(workflows) == 2
    made = re.findall(r"make ([a-z]+)", "\n".join([hooks, *workflows]))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), flags=re.MULTILINE))
    assert set(made) <= targets
    assert all((ROOT / script).is_file() for text in workflows for script in re.findall(r"run: (\.ci/\w+)", text))
    # Nobody has seen most of these jobs run: each file says of itself what has.
    assert all("What has run of this so far:" in text for text in workflows)
