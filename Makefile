# Two commands on a fresh clone:
#   make demo    makes .venv, installs, trains a character model for about a minute, and shows what it wrote
#   make test    installs what tests need, checks style and types, runs all tests
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test check clean

demo: .venv/installed
	$(BIN)/carousel train --minutes 0.75

test: .venv/installed-tests check
	$(BIN)/python -m pytest -n auto --dist loadfile $(PYTEST)

check: .venv/installed-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The constraints file keeps torch at a version whose CPU wheel pip finds by itself.
.venv/installed: pyproject.toml constraints.txt CMakeLists.txt $(wildcard carousel/native/*)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/installed-tests: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
