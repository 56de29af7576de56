"""One word, one thing: names that were replaced by the field's standard terms, and names of classes."""

from __future__ import annotations

import ast
import io
import tokenize
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "carousel"
FILES = sorted(PACKAGE.rglob("*.py"))

# A name that must not come back: what to write instead, and the folders that are clean of it.
WORDS = {
    "told": ("quantiles, or forecast", ("tasks", "training", "models", "cli", "page", "insight", "program")),
    "came": ("actual", ("tasks", "training", "models", "cli", "page")),
    "_came": ("_actual", ("",)),
    "place": ("index, position or where", ("tasks", "training")),
    "places": ("indices, positions", ("tasks/forecasting", "tasks/table", "training")),
    "require_place": ("require_writable", ("",)),
    "session": ("task_run", ("training", "tasks", "cli")),
    "tell": ("decode, or report", ("models", "tasks", "cli")),
    "tell_apart": ("find_ids", ("",)),
    "rival": ("baseline", ("tasks", "training", "models", "cli", "page")),
    "rivals": ("baselines", ("tasks", "training", "models", "cli", "page")),
    "lessons": ("batches", ("engines", "layers", "models", "training", "tasks")),  # those of the course are lessons
    "farewell": ("conclude", ("",)),
    "go_on": ("continue_run", ("",)),
    "nobody": ("silent", ("",)),
    "dice": ("rng", ("",)),
}


def names_of(file: Path) -> set[str]:
    """The identifiers of a file, without those in strings and comments."""
    with tokenize.open(file) as handle:
        tokens = tokenize.generate_tokens(io.StringIO(handle.read()).readline)
        return {token.string for token in tokens if token.type == tokenize.NAME}


@cache
def names_of_all() -> dict[str, set[str]]:
    return {str(file.relative_to(PACKAGE)): names_of(file) for file in FILES}


@pytest.mark.parametrize("word", WORDS)
def test_a_word_that_was_replaced_does_not_come_back(word):
    better, clean = WORDS[word]
    found = [name for name, names in names_of_all().items() if word in names and name.startswith(clean)]
    assert not found, f"{word} is called {better} here"


# Classes whose name stands in several modules, and why a reader is not misled.
SHARED = {
    "Kept": "a lesson measures what a graph keeps; engines decide it",
    "Settings": "each task has its own, which the catalogue finds by this name; the native engine has one for tests",
    "Prepared": "what `prepare` of a task returns: each task has its own, in its preparation.py",
    "Evaluation": "what `evaluate` of a task returns, whose fields are the metrics of that task",
    "RNN": "a cell, and the layer of that cell, as torch.nn names it",
    "LSTM": "a cell, and the layer of that cell, as torch.nn names it",
    "GRU": "a cell, and the layer of that cell, as torch.nn names it",
    "Stepper": "each engine has its own, beside the interface that they share and the layer's, which users see",
    "Reader": "each task has its own on the page, which `reader_for` finds by this name, beside their interface",
    "Chosen": "what a task's Reader was asked to show: each has its own, beside their interface",
    "Vector": "a learned vector that a cell declares; in a native plan, the structure that plan.h calls CarouselVector",
    "Product": "a matrix product of a program; in a native plan, the structure that plan.h calls CarouselProduct",
}


def test_no_two_modules_have_a_class_of_the_same_name():
    modules = defaultdict(set)
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                modules[node.name].add(str(file.relative_to(PACKAGE)))
    twice = {name: sorted(found) for name, found in modules.items() if len(found) > 1}
    assert not {name: found for name, found in twice.items() if name not in SHARED}
    assert set(SHARED) <= set(twice), "a class of the list stands in one module only: remove its name there"
