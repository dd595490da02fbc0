# Darkroom's commands. Everything runs in .venv, which `make setup` builds from the hashed lock.
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv/bin/python

.PHONY: help setup lock audit demo test test-full mutants year lint benchmarks clean

help:
	@echo "make demo       run the whole line on scikit-learn's digits (a few minutes)"
	@echo "make test       build .venv if needed and run the tests"
	@echo "make test-full  the tests and the long proofs (MNIST, CIFAR-10, refused and rolled-back releases)"
	@echo "make mutants    that the tests notice every small fault put into what guards a release"
	@echo "make year       365 nights on a growing folder, with kills and full disks (an hour or two)"
	@echo "make setup      build or update .venv; GPU=1 adds what TensorFlow needs on an NVIDIA GPU"
	@echo "make lock       rebuild requirements.txt from pyproject.toml"
	@echo "make audit      look the lock's packages up among the known vulnerabilities (needs pypi.org)"
	@echo "make lint       ruff's checks and formatting, and mypy's types"
	@echo "make benchmarks measure the demo's time and memory; others: $(VENV) -m benchmarks --help"
	@echo "make clean      remove .venv (out/ with its releases stays)"

setup:
	@PYTHON="$(PYTHON)" GPU="$(GPU)" bash .ci/setup.sh

lock: setup
	@bash .ci/lock.sh

audit: setup
	@bash .ci/audit.sh

demo: setup
	@$(VENV) -m pipeline run digits

# Two processes, however many cores there are: each needs the memory of a whole line. A file stays in
# one process, for its tests share what it made; what all files share (TFX and the frameworks, imported
# once: tests/conftest.py) each process has for itself.
TESTS := $(VENV) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

test: setup
	@$(TESTS) -m "not full" tests

test-full: setup
	@$(TESTS) tests
	@$(VENV) -m tests.mutants --sample 20

# All of some four thousand take an hour; `$(VENV) -m tests.mutants 'serving/store/*'` those of a part.
mutants: setup
	@$(VENV) -m tests.mutants

# Ends like an undisturbed year, and goes on where it was ended; its table is in out/year.
year: setup
	@$(VENV) -m tests.year

lint: setup
	@$(VENV) -m ruff check . && $(VENV) -m ruff format --check . && $(VENV) -m mypy

benchmarks: setup
	@$(VENV) -m benchmarks

clean:
	rm -rf .venv
