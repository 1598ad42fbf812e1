PYTHON ?= python3.11
BIN := .venv/bin
ACCOUNTS ?= 1000
DAYS ?= 300
PORT ?= 3000

# What is compiled once is not compiled again by each of the hundreds of processes that the tests start.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install spark demo serve lint check test test-delivery tests bench lock clean

help:  ## what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

install: .venv/installed  ## a .venv from the lock file, from a bare Python 3.11

.venv/installed: requirements.lock pyproject.toml
	@[ "$$(uname)" != Linux ] || ! command -v $(PYTHON) >/dev/null || $(PYTHON) -c 'import ctypes; ctypes.CDLL("libgomp.so.1")' 2>/dev/null || \
	  { echo "LightGBM needs libgomp, which is not here. Install it (apt-get install libgomp1, or dnf install libgomp), then make again." >&2; exit 1; }
	$(PYTHON) -m venv .venv
	@sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r .venv/uv.lock
	$(BIN)/uv pip sync --quiet --require-hashes --compile-bytecode --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --python $(BIN)/python --editable .
	@touch $@

spark: .venv/spark  ## pyspark beside it, for engine = "spark"; needs Java 17

.venv/spark: requirements-spark.lock .venv/installed
	$(BIN)/python -m pip install --quiet --require-hashes --no-deps -r requirements-spark.lock
	@touch $@

demo: install  ## simulate a company, train, score, then serve on 127.0.0.1:3000
	$(BIN)/bellwether demo --accounts $(ACCOUNTS) --days $(DAYS)

serve: install  ## serve what is in var/
	$(BIN)/bellwether serve --port $(PORT)

lint: install  ## format, lint, types
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/lint-imports --no-logo --no-cache
	$(BIN)/mypy

check: lint  ## format, lint, types, unit tests
	$(BIN)/pytest -q -m "not slow"

test: install  ## format, lint, types beside every test but those of test-delivery
	@$(MAKE) --no-print-directory --jobs 2 lint tests

tests: install
	$(BIN)/pytest -q -m "not delivery" -n 2 --dist loadfile --no-loadscope-reorder --durations=15

test-delivery: install  ## what is delivered: commands, notebooks, the Bento, Spark, Schemathesis, a swap under load
	$(BIN)/pytest -q -m delivery --durations=15 $$(grep -rl --include='test_*.py' 'pytest\.mark\.delivery' tests)

bench: install  ## every benchmark: a table on stdout, JSON under var/bench/
	$(BIN)/python -m tests.benchmarks

RESOLVE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --no-annotate \
  --python-version 3.11 --extra notebooks --extra postgres --extra redis --group dev

lock: install  ## resolve the dependencies again
	$(RESOLVE) --output-file requirements.lock pyproject.toml
	@cp requirements.lock .venv/spark.lock
	$(RESOLVE) --extra spark --output-file .venv/spark.lock pyproject.toml
	@sed -n '/^py4j==/,/[^\\]$$/p;/^pyspark==/,/[^\\]$$/p' .venv/spark.lock > requirements-spark.lock

clean:  ## remove the stores and every cache; keeps .venv
	rm -rf var mlruns build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis bellwether.egg-info
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
