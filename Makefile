# Every target sets up what it needs from plain `python3`, and reuses it while pyproject.toml is unchanged.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Written last, so that an interrupted set-up is done again from nothing.
STAMP := $(VENV)/.installed
QUICKSTART_DIR ?= quickstart
FUZZ_SECONDS ?= 600
FUZZ_SEED ?= 0
FUZZ := PYTHONPATH=tests $(BIN)/python -m
PYTEST := $(BIN)/python -m pytest -n 2

# Real data sets for the tests that are marked shared_data; without them these tests are skipped, with the reason.
ifndef EDGEKIT_DATA
ifneq ($(wildcard ../shared/data/README.md),)
export EDGEKIT_DATA := $(abspath ../shared/data)
endif
endif

.PHONY: help setup quickstart test test-slow test-all-pythons lint types fmt aarch64 pi bench fuzz

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1: /p' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything for development

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v < (3, 14) else \
	"$(PYTHON) is Python %d.%d; edgekit needs 3.11, 3.12 or 3.13: make PYTHON=python3.11" % v[:2])'
	@test -e $@ || $(PYTHON) -m venv --clear $(VENV)
	@rm -f $@
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

quickstart: $(STAMP) ## train, convert, evaluate and benchmark a small model, in minutes
	$(BIN)/edgekit quickstart -o $(QUICKSTART_DIR) --force

test: $(STAMP) ## the default tests
	$(PYTEST) -m 'not slow'

test-slow: $(STAMP) ## the tests that take more than ten seconds each
	$(PYTEST) -m slow

test-all-pythons: ## the default tests on each of Python 3.11, 3.12 and 3.13 that is found
	.ci/test-all-pythons

lint: $(STAMP) ## style and likely mistakes
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## static types
	$(BIN)/mypy

fmt: $(STAMP) ## bring the code into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

fuzz: $(STAMP) ## damaged files for FUZZ_SECONDS through every reader, then 1,900 through the verbs, and 60 kills
	$(FUZZ) fuzz.fuzzing --seconds $(FUZZ_SECONDS) --seed $(FUZZ_SEED)
	$(FUZZ) fuzz.campaign --seed $(FUZZ_SEED)
	$(FUZZ) fuzz.kills --seed $(FUZZ_SEED)

aarch64: $(STAMP) ## an aarch64 Debian with the engines in build/, for tests and benchmarks on an emulated ARM CPU
	PYTHONPATH=benchmarks $(BIN)/python -m aarch64.sysroot

pi: $(STAMP) ## an aarch64 Debian in build/ that tests start as a Raspberry Pi and reach over SSH
	PYTHONPATH=benchmarks $(BIN)/python -m aarch64.pi_root

BENCHMARKS := startup int8_accuracy conversion_time latency_overhead litert_benchmark best_engine engine_table
BENCHMARKS += graph_nms training_speed demo_pipeline
# An emulated ARM CPU, for those that need one, is set up by: make aarch64 pi
BENCHMARKS += $(if $(wildcard build/aarch64/built),same_answers) $(if $(wildcard build/pi/built),raspberry_pi)

bench: $(STAMP) ## measure what the docs claim, and print it as one table; fails where a limit is exceeded
	@failed=; for script in $(BENCHMARKS); do \
	echo "== $$script"; $(BIN)/python benchmarks/$$script.py || failed="$$failed $$script"; done; \
	$(BIN)/python benchmarks/table.py; \
	if [ -n "$$failed" ]; then echo "Beyond a limit:$$failed" >&2; exit 1; fi
