# Patron: two commands on a fresh machine. `make demo` shows it working, `make test` shows that it works.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: install demo test lint check-types layers unit lock bench

install: .venv/.installed

# the environment is made from the lock and made again whenever the lock or the project file has changed
.venv/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Patron needs Python 3.11 or later; set PYTHON=...")'
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

demo: install
	$(BIN)/patron demo

test: lint check-types layers unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

check-types: install
	$(BIN)/mypy

layers: install
	$(BIN)/lint-imports

unit: install
	$(BIN)/pytest -n auto --dist loadfile

bench: install
	$(BIN)/pytest tests/benchmarks --benchmark-only --no-cov -o addopts="--import-mode=importlib"

# names no index and no host; run where `uv` is installed
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --quiet -o requirements.lock
