# All set-up is here: `make demo` and `make test` need Python 3.11 or newer, make and git, and nothing else.
# Each step runs once, and again only after pyproject.toml or constraints.txt changed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
WORKERS ?= 2

.DEFAULT_GOAL := help
.PHONY: help demo bench-deps test test-slow lint format types docs references hooks debs clean

help:
	@echo "make demo       install, search the bit widths of a small network on real data, show the results"
	@echo "make test       install, run the tests"
	@echo "make test-slow  the tests that take longer"
	@echo "make lint       formatting, lint and the order of the rooms; make format mends the first two"
	@echo "make types      the type checker"
	@echo "make docs       the documentation with its API pages, into site/"
	@echo "make references  docs/config-reference.md and docs/command-reference.md, from the code"
	@echo "make hooks      git checks each commit as make lint and make types do"
	@echo "make bench-deps  the networks of others that benchmarks/real_networks.py runs (timm, transformers)"
	@echo "make debs       PostgreSQL, Chromium, compilers and simulators for the tests that need them (Debian, as root)"
	@echo "make clean      remove $(VENV), site/ and caches"
	@echo "Another Python: make test PYTHON=python3.12"

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "error: $(PYTHON) is older than 3.11; name another: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# hatchling is installed first, so that the package is built with the pinned one
$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	@echo "installing widthwise into $(VENV) (torch is the large part; minutes the first time)"
	$(PIP) install -c constraints.txt hatchling
	$(PIP) install -c constraints.txt --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -c constraints.txt --no-build-isolation -e ".[dev,docs,postgres,ray]"
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/widthwise demo

# one thread each: the tests are many and small, and the workers share the cores
test: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m "not slow"

test-slow: $(VENV)/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) -m slow

lint: $(VENV)/.installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

format: $(VENV)/.installed-dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

types: $(VENV)/.installed-dev
	$(BIN)/mypy

docs: $(VENV)/.installed-dev
	$(BIN)/mkdocs build --strict --quiet

# a test says when they are stale
references: $(VENV)/.installed-dev
	$(BIN)/python benchmarks/references.py

hooks: $(VENV)/.installed-dev
	$(BIN)/pre-commit install

# timm without what it asks for: its networks need no torchvision, which would have to match torch
bench-deps: $(VENV)/.installed
	$(PIP) install -c constraints.txt --no-build-isolation -e ".[transformers]"
	$(PIP) install -c constraints.txt --no-deps timm

# tests that need these skip, with the reason, where they are missing
debs:
	@if ! command -v apt-get >/dev/null; then \
		echo "skipped: no apt-get here; install PostgreSQL, Chromium, g++, verilator, ghdl, yosys, iverilog and nextpnr-ice40 for the tests that need them"; \
	elif [ "$$(id -u)" != 0 ]; then \
		echo "skipped: not root; sudo make debs installs what some tests need"; \
	else \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && \
		apt-get install -y -qq --no-install-recommends postgresql chromium chromium-driver \
			g++ libc6-dev verilator ghdl yosys iverilog nextpnr-ice40 >/dev/null; \
	fi

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis build dist site
