"""What a command imports before it answers: the large packages that it needs, and no other.

`python -X importtime` shows what an import costs, and `benchmarks/startup.py` measures commands beside `import torch`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import tiny_runs

SEVERAL_SECONDS = {"torch._dynamo", "sympy", "torch.onnx", "matplotlib", "onnx", "onnxruntime", "sklearn", "pandas"}
OF_TRAINING = {"carousel.training.loop", "carousel.training.task_run", "carousel.insight", "carousel.export"}
RUNS = {"text": "language", "words": "fill", "tags": "tagging", "pairs": "pairs", "series": "forecasting"}
RUNS |= {"classes": "classification", "trees": "trees"}
# Each command with the packages that it must not import, beside SEVERAL_SECONDS.
COMMANDS = {
    "--help": {"torch", "numpy", "polars"},
    "train --help": {"torch", "numpy", "polars"},
    "train --help forecasting": {"torch", "numpy", "polars"},
    "cells": {"polars", *OF_TRAINING},
    "complete text The": {"polars", "rich", *OF_TRAINING},
    "generate text --length 9": {"polars", "rich", *OF_TRAINING},
    "fill words 'The ___ is'": {"polars", "rich", *OF_TRAINING},
    "translate pairs 'go a e'": OF_TRAINING - {"carousel.insight"},  # a kind of source knows how its alignment is drawn
    "tag tags 'the blue seas'": OF_TRAINING,
    "forecast series": OF_TRAINING,
    "predict classes texts.csv": OF_TRAINING,
    "predict trees trees.txt": OF_TRAINING,
    "doctor": {"carousel.training.loop"},
}
# Runs each command in a process of its own, forked from one that has torch where a command may import it.
SCRIPT = """
import json, os, shlex, sys
found = {}
for line, forbidden in json.loads(sys.argv[1]).items():
    if "torch" not in forbidden:
        import torch
    reader, writer = os.pipe()
    if not os.fork():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        before = set(sys.modules)
        from carousel.cli import app
        try:
            app(shlex.split(line), result_action="return_value")
        except SystemExit:
            pass
        os.write(writer, json.dumps(sorted(set(sys.modules) - before)).encode())
        os._exit(0)
    os.close(writer)
    with open(reader) as answer:
        found[line] = json.load(answer)
    os.wait()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """The modules that each command imported, {command: names}."""
    if not hasattr(os, "fork"):
        pytest.skip("this system cannot fork")
    folder = tmp_path_factory.mktemp("answers")
    for run, task in RUNS.items():
        tiny_runs.TASKS[task].train(folder, folder / run)
    given = json.dumps({line: sorted(forbidden) for line, forbidden in COMMANDS.items()})
    command = [sys.executable, "-c", SCRIPT, given]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert "carousel:" not in done.stderr  # no command was refused
    return json.loads(done.stdout)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_imports_what_it_needs_alone(line, imported):
    names = set(imported[line])
    assert "carousel.cli" in names
    assert sorted(names & (SEVERAL_SECONDS | COMMANDS[line])) == []
