# Two commands do everything on a machine with Python 3.11 or newer, make and a package index:
#   make demo    make test
#
# Three environments, on purpose. The demo runs in .venv-demo, which holds the light core and nothing else, so that it shows
# what a user gets and fails when the core needs a package that only developers have; .venv-queue has the extra `serve` and
# nothing else, for the same reason. Everything else runs in .venv.
# Stamp files inside them make the second run quick; a change of pyproject.toml or constraints.txt installs again.

ifeq ($(origin PYTHON),undefined)
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	"$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { command -v "$$p"; break; }; done)
endif

# Exact versions for the development environment, so that a new release elsewhere cannot break the build here.
# `make test CONSTRAINTS=` takes the newest ones instead. Users, and so the demo, are not held to them.
CONSTRAINTS ?= constraints.txt

VENV := .venv
DEMO_VENV := .venv-demo
QUEUE_VENV := .venv-queue
BIN := $(VENV)/bin
INSTALL := -m pip install --quiet --disable-pip-version-check
PYTEST_WORKERS ?= 2
PYTEST_ARGS ?=
# Real data is never part of the repository; see CONTRIBUTING.md.
DATA ?= $(or $(CTIFORGE_SHARED_DATA),../shared/data)
BENCH_ARGS ?=
SERVE_ARGS ?= --as '$(or $(USER),local user)'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo queue setup test test-slow lint types format bench constraints clean python

help: ## list the commands
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEMO_VENV)/.installed ## classify the invented advisories in examples/ with the light core
	$(DEMO_VENV)/bin/ctiforge classify examples/ --output table --rejects $(DEMO_VENV)/rejects.jsonl
	@printf '\nTo decide on these advisories in a browser, offline, at http://127.0.0.1:8765:\n  make queue\n'

queue: $(QUEUE_VENV)/.installed ## a review queue with examples/ in it, in a browser: http://127.0.0.1:8765
	$(QUEUE_VENV)/bin/ctiforge triage import examples/ --db $(QUEUE_VENV)/triage.db --rejects $(QUEUE_VENV)/rejects.jsonl
	$(QUEUE_VENV)/bin/ctiforge serve --db $(QUEUE_VENV)/triage.db $(SERVE_ARGS)

setup: $(VENV)/.installed ## make the development environment in .venv

test: $(VENV)/.installed ## run the tests (all but those marked slow)
	$(BIN)/python -m pytest -m "not slow" -n $(PYTEST_WORKERS) $(PYTEST_ARGS)

test-slow: $(VENV)/.installed ## run the tests marked slow
	$(BIN)/python -m pytest -m slow $(PYTEST_ARGS) || test $$? -eq 5  # 5: nothing is marked slow

lint: $(VENV)/.installed ## check style and format
	$(BIN)/ruff check
	$(BIN)/ruff format --check

types: $(VENV)/.installed ## check types
	$(BIN)/mypy

format: $(VENV)/.installed ## format the code and mend what can be mended
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.installed ## measure the shipped classifiers on the files in DATA, render README and model cards
	$(BIN)/python benchmarks/classifier.py --data $(DATA) $(BENCH_ARGS)
	$(BIN)/python benchmarks/render_readme.py
	$(BIN)/python benchmarks/render_cards.py

constraints: $(VENV)/.installed ## write constraints.txt from the development environment
	$(BIN)/python -m pip list --format=freeze --exclude-editable --exclude pip --exclude setuptools --exclude wheel \
		--disable-pip-version-check | sed 's/+cpu$$//' > constraints.txt.part
	mv constraints.txt.part constraints.txt

clean: ## remove the environments, caches and build outputs
	rm -rf $(VENV) $(DEMO_VENV) $(QUEUE_VENV) build dist runs .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEMO_VENV)/.installed: pyproject.toml | python
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/python $(INSTALL) -e .
	@touch $@

$(QUEUE_VENV)/.installed: pyproject.toml | python
	$(PYTHON) -m venv $(QUEUE_VENV)
	$(QUEUE_VENV)/bin/python $(INSTALL) -e '.[serve]'
	@touch $@

$(VENV)/.installed: pyproject.toml $(wildcard constraints.txt) | python
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python $(INSTALL) $(if $(CONSTRAINTS),-c $(CONSTRAINTS)) -e '.[dev]'
	@touch $@

python:
	@test -n "$(PYTHON)" || { echo "ctiforge needs Python 3.11 or newer with its venv module, and none is on PATH." >&2; \
		echo "  fix: install one (Debian, Ubuntu: apt install python3 python3-venv), or name it: make demo PYTHON=/path/to/python3.12" >&2; \
		exit 1; }
	@"$(PYTHON)" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "$(PYTHON) is older than Python 3.11, has no venv module, or does not run." >&2; \
		echo "  fix: make demo PYTHON=/path/to/python3.12 (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
