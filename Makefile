# Everything a newcomer needs: `make eval` and `make test`. Both set up what they need, once.
#
#   make eval ARGS="--model reference -k branch"     what is after ARGS goes to pytest
#   make eval PYTHON=python3.12 VENV=/tmp/venv        another interpreter, another place

PYTHON ?= python3
VENV   ?= .venv
ARGS   ?=
BIN    := $(VENV)/bin

export PIP_DISABLE_PIP_VERSION_CHECK = 1

.DEFAULT_GOAL := help
.PHONY: help eval distill test test-all check bench soak validate attack doctor clean

help:            ## show this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1|/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

eval: $(VENV)/.base   ## evaluate: ask the models, execute their answers, compare
	$(BIN)/python -m pytest evals/ $(ARGS)

distill: $(VENV)/.train   ## the whole loop: requests, a teacher's answers, a student, the comparison
	OMP_WAIT_POLICY=PASSIVE $(BIN)/distill run $(ARGS)

test: $(VENV)/.dev    ## the project's own quick tests
	$(BIN)/python -m pytest -n 2 -m "not model and not slow" $(ARGS)

test-all: $(VENV)/.dev $(VENV)/.train     ## the thorough tests, and those that need the real small model
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -n 2 -m "model or slow" $(ARGS)

check: $(VENV)/.dev   ## lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev   ## measure, and write benchmarks/RESULTS.md
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m benchmarks

soak: $(VENV)/.dev    ## grade 20,000 commands, kill workers under them, and write benchmarks/SOAK.md
	$(BIN)/python -m benchmarks.soak $(ARGS)

validate: $(VENV)/.base   ## prove every case with thousands of mutants, and write docs/validity.md
	$(BIN)/distill validate --output docs/validity.md

attack: $(VENV)/.dev  ## attack the sandbox with the whole corpus; the table goes to docs/security.md
	$(BIN)/python -m tests.attacks $(ARGS)

doctor: $(VENV)/.base ## what this machine can do, and what to install
	$(BIN)/distill doctor

clean:           ## remove the virtual environment and the caches inside this folder
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "distill needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(VENV)/bin/python
	@echo "Installing distill into $(VENV) (once)"
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.train: pyproject.toml | $(VENV)/bin/python
	@echo "Installing distill and what training needs into $(VENV) (once; about 1.3 GB)"
	$(BIN)/python -m pip install --quiet --editable ".[train]"
	@touch $@ $(VENV)/.base

$(VENV)/.dev: pyproject.toml | $(VENV)/bin/python
	@echo "Installing distill and its development tools into $(VENV) (once)"
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@ $(VENV)/.base
