# Two commands on a fresh clone:
#   make demo    makes .venv, installs, trains a character model for about a minute, and shows what it wrote
#   make test    installs what tests need, checks style and types, runs all tests
# And for who works on a part of it:
#   make docs        the site, in build/docs; a link to nothing or a docstring that cannot be read is an error
#   make javascript  the types and the style of the page's scripts (needs npm)
#   make wheel       a wheel and an sdist in dist/, which are installed and tested away from here (.ci/wheel)
#   make coverage    the tests with the branches that they take; a floor stands in pyproject.toml
PYTHON ?= python3
BIN = .venv/bin

.PHONY: demo test style check docs javascript wheel coverage clean

demo: .venv/installed
	$(BIN)/carousel train --minutes 0.75

test: .venv/installed-tests style
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder $(PYTEST)

style: .venv/installed-tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The types are a test too (tests/test_types.py): mypy keeps one processor busy for a minute, and the tests the other.
check: style
	$(BIN)/mypy

docs: .venv/installed-docs
	$(BIN)/python -m sphinx -q -W --keep-going -c docs . build/docs

javascript: node_modules/.package-lock.json
	npm run --silent check

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --silent
	touch $@

# The library is compiled in the folder in which an installation from here compiles it, and so once for both.
wheel: .venv/installed
	.ci/wheel $(BIN)/python

# Each process of the tests measures alone; `combine` joins what they found.
coverage: .venv/installed-tests
	$(BIN)/python -m coverage run -m pytest -n auto --dist loadfile --no-loadscope-reorder $(PYTEST)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered --sort=cover

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
	rm -rf .venv build dist wheelhouse node_modules .coverage* docs/reference docs/gallery.md *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
