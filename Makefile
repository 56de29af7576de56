# Two commands on a fresh clone:
#   make demo    makes .venv, installs, trains a character model for about a minute, and shows what it wrote
#   make test    installs what tests need, checks style and types, runs all tests
# And one for who writes documents:
#   make docs    the site, in build/docs; a link to nothing or a docstring that cannot be read is an error
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test check docs clean

demo: .venv/installed
	$(BIN)/carousel train --minutes 0.75

test: .venv/installed-tests check
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(PYTEST)

check: .venv/installed-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/installed-docs
	$(BIN)/python -m sphinx -q -W --keep-going -c docs . build/docs

# The constraints file keeps torch at a version whose CPU wheel pip finds by itself.
.venv/installed: pyproject.toml constraints.txt CMakeLists.txt $(wildcard carousel/native/*)
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	touch $@

.venv/installed-tests: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]'
	touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

clean:
	rm -rf .venv build dist docs/reference *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
