# Patron: two commands on a fresh machine. `make demo` shows it working, `make test` shows that it works.
PYTHON ?= python3
BIN := .venv/bin
# one file to one worker, for what its tests share; in the order of tests/conftest.py, the long ones first
PARALLEL := $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

.PHONY: install extras demo test test-exhaustive lint check-types layers unit coverage lock bench bench-peers catalogue

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
	$(PARALLEL) -m "not exhaustive"

# long properties, PostgreSQL and Spark: what has its extra or server runs
test-exhaustive: install
	$(PARALLEL) -m exhaustive

# of all tests, which is why it takes its time
coverage: install
	$(PARALLEL) --cov

bench: install
	$(BIN)/pytest tests/benchmarks --benchmark-only -o addopts="--import-mode=importlib"

# docs/backtest.md: families, naive forecasts, lifetimes and pymc-marketing, which gets an environment of its own
bench-peers: extras
	$(BIN)/python -m tests.benchmarks.backtest_peers

# what the extras need besides: PostgreSQL's driver, the data of an example, and Spark, which is large
extras: install requirements-extras.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-extras.lock

# the page that a test holds against the code
catalogue: install
	$(BIN)/python -m features.describe > docs/catalogue.md

# names no index and no host; run where `uv` is installed
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
  --no-emit-find-links --no-annotate --no-header --quiet
lock:
	$(LOCK) --extra dev -o requirements.lock
	$(LOCK) --extra dev --extra examples --extra postgres --extra spark -o requirements-extras.lock
