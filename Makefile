# Everything on a fresh machine: `make demo` and `make test`. Each sets up first what is missing.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# what running needs, and what developing needs besides
READY := $(VENV)/ready
READY_DEV := $(VENV)/ready-dev
# an environment of its own beside it, for scripts that need what progtrain does not
SCRIPTS := $(VENV)/scripts
READY_SCRIPTS := $(SCRIPTS)/ready
# tools of experiments whose packages get on with no others
READY_TOOLS := $(VENV)/inspect/ready $(VENV)/torchtune/ready
# trackers that versions are exported to, of which progtrain needs none
READY_TRACKERS := $(VENV)/trackers/ready
DEMO ?= demo
PIP := $(BIN)/python -m pip install --quiet --constraint constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# tests start thousands of processes: what these import is compiled once
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-all lint types bench model pictures docs clean

setup: $(READY)

# The declared dependencies without llama.cpp, which is installed by itself: where it cannot be compiled, all else works.
define REQUIREMENTS
import tomllib
found = tomllib.load(open("pyproject.toml", "rb"))["project"]
names = found["dependencies"] + found["optional-dependencies"]["examples"]
print(*(name for name in names if not name.startswith("llama")), sep="\n")
endef
export REQUIREMENTS

# torch first and by its pinned version: what depends on it would fetch a build with CUDA otherwise
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or later is needed, this is " + sys.version + "; name another: make PYTHON=python3.12") if sys.version_info < (3, 11) else None'
	@echo "Setting up in $(VENV), once. It takes a few minutes:"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "  1 of 3  PyTorch: some hundred megabytes to download, the first time"
	@$(PIP) torch
	@echo "  2 of 3  the other packages: about a minute"
	@$(BIN)/python -c "$$REQUIREMENTS" > $(VENV)/requirements.txt
	@$(PIP) --requirement $(VENV)/requirements.txt
	@$(PIP) --no-deps --editable .
	@if command -v c++ >/dev/null || command -v g++ >/dev/null || command -v clang++ >/dev/null; then \
	  echo "  3 of 3  llama.cpp: compiled the first time, which takes about 5 minutes"; \
	  $(PIP) llama-cpp-python > $(VENV)/llama.log 2>&1 || \
	    echo "  llama.cpp could not be compiled ($(VENV)/llama.log says why): drafts are made by rules alone"; \
	else \
	  echo "  3 of 3  there is no C++ compiler, so llama.cpp is left out: drafts are made by rules alone."; \
	  echo "          Install one (Debian: g++, macOS: xcode-select --install), then: rm $(READY); make setup"; \
	fi
	@touch $(READY)

$(READY_DEV): $(READY)
	@echo "Setting up the development tools"
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["dev"], sep="\n")' > $(VENV)/requirements-dev.txt
	@$(PIP) --requirement $(VENV)/requirements-dev.txt
	@touch $(READY_DEV)

# it sees what the first has, and has the packages of the extra `scripts-test` besides
$(READY_SCRIPTS): $(READY_DEV)
	@echo "Setting up an environment for scripts that need other packages"
	@$(BIN)/python -m venv $(SCRIPTS)
	@$(BIN)/python -c 'import site; print(site.getsitepackages()[0])' > $$($(SCRIPTS)/bin/python -c 'import site; print(site.getsitepackages()[0])')/progtrain-first.pth
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["scripts-test"], sep="\n")' > $(SCRIPTS)/requirements.txt
	@$(SCRIPTS)/bin/python -m pip install --quiet --constraint constraints.txt --requirement $(SCRIPTS)/requirements.txt
	@touch $@

# each has its extra (`inspect-test`, `torchtune-test`) and nothing of the first environment. The tested versions of a few
# packages are kept to: of all together no set satisfies both
$(READY_TOOLS): $(VENV)/%/ready: $(READY_DEV)
	@echo "Setting up an environment for $*"
	@$(BIN)/python -m venv $(VENV)/$*
	@grep -E '^(torch|transformers|tokenizers|peft|numpy|huggingface_hub|safetensors)==' constraints.txt > $(VENV)/$*/constraints.txt
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["$*-test"], sep="\n")' > $(VENV)/$*/requirements.txt
	@$(VENV)/$*/bin/python -m pip install --quiet --constraint $(VENV)/$*/constraints.txt torch
	@$(VENV)/$*/bin/python -m pip install --quiet --constraint $(VENV)/$*/constraints.txt --requirement $(VENV)/$*/requirements.txt
	@touch $@

# nothing of the first environment: they bring packages of their own versions
$(READY_TRACKERS): $(READY_DEV)
	@echo "Setting up an environment with trackers"
	@$(BIN)/python -m venv $(VENV)/trackers
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["trackers-test"], sep="\n")' > $(VENV)/trackers/requirements.txt
	@$(VENV)/trackers/bin/python -m pip install --quiet --requirement $(VENV)/trackers/requirements.txt
	@touch $@

demo: $(READY)
	@test -e $(DEMO) || $(BIN)/progtrain init --example digits $(DEMO)
	@if [ -t 0 ] && [ -t 1 ]; then $(BIN)/progtrain-tui $(DEMO); else $(BIN)/progtrain -C $(DEMO) run --yes; fi

# types are checked while tests run; what is said of them comes after, and either's failure is that of the whole
define TYPES_AND_TESTS
@$(BIN)/mypy > $(VENV)/types.log 2>&1 & types=$$!; \
echo "$(BIN)/pytest $(1)"; $(BIN)/pytest $(1); tests=$$?; \
wait $$types || tests=1; \
echo "$(BIN)/mypy"; cat $(VENV)/types.log; exit $$tests
endef

# on two cores: a quarter of the tests' time is waiting for others (runners, terminals, clocks), so four go side by side
test: lint
	$(call TYPES_AND_TESTS,-n 4 --dist worksteal -m 'not slow')

test-all: lint $(READY_SCRIPTS) $(READY_TOOLS) $(READY_TRACKERS)
	$(call TYPES_AND_TESTS,-n 2 --dist worksteal)

lint: $(READY_DEV)
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(READY_DEV)
	$(BIN)/mypy

bench: $(READY_DEV)
	$(BIN)/python -m benchmarks

model: $(READY_DEV)
	$(BIN)/python -m models.recipe

pictures: $(READY_DEV)
	$(BIN)/python -m benchmarks.pictures

# the site, into site/; what builds it is fetched the first time
docs: $(READY)
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["docs"], sep="\n")' > $(VENV)/requirements-docs.txt
	@$(PIP) --requirement $(VENV)/requirements-docs.txt
	$(BIN)/mkdocs build --strict

clean:
	rm -rf $(DEMO) .pytest_cache .mypy_cache .ruff_cache
