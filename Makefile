# Everything on a fresh machine: `make demo` and `make test`. Each sets up first what is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
DEMO ?= demo
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: setup demo test test-all lint types bench model pictures clean

setup: $(READY)

# torch first and by its pinned version: what depends on it would fetch a build with CUDA otherwise
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version) if sys.version_info < (3, 11) else None'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev,examples]'
	touch $(READY)

demo: $(READY)
	@test -e $(DEMO) || $(BIN)/progtrain init --example digits $(DEMO)
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/progtrain-tui $(DEMO); else $(BIN)/progtrain -C $(DEMO) run --yes; fi

test: lint types
	$(BIN)/pytest -n 2 -m 'not slow'

test-all: lint types
	$(BIN)/pytest -n 2

lint: $(READY)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY)
	$(BIN)/mypy

bench: $(READY)
	$(BIN)/python -m benchmarks

model: $(READY)
	$(BIN)/python -m models.recipe

pictures: $(READY)
	$(BIN)/python -m benchmarks.pictures

clean:
	rm -rf $(DEMO) .pytest_cache .mypy_cache .ruff_cache
