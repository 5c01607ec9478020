# `make demo` and `make test` need Python 3.11 or later, make, and nothing else: each makes .venv
# and installs what it needs, once, and again when pyproject.toml has changed.

PYTHON ?= python3
PORT ?= 8765
MINUTES ?= 1
CONNECTIONS ?= 200

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# What is done, as files: the run-time dependencies are installed; those of the developers too.
RUN := $(VENV)/run.stamp
DEV := $(VENV)/dev.stamp

# The layers without I/O have every branch tested, the others nearly all.
SANS_IO := trio_wsendpoint/protocol/*,trio_wsendpoint/handshake/*

.PHONY: help demo test check conformance fuzz soak format clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    a chat and an echo to try in a browser; PORT=$(PORT)"
	@echo "make test    all tests, with branch coverage"
	@echo "make check   format, lint, types, layers"
	@echo "make conformance  the Autobahn|Testsuite, both roles; FULL=1 all cases, DOCKER=1 its image"
	@echo "make fuzz    the fuzz targets for MINUTES=$(MINUTES) each, two at a time"
	@echo "make soak    every kind of load at once; MINUTES=$(MINUTES) CONNECTIONS=$(CONNECTIONS)"
	@echo "make format  put the source into the format that is checked"
	@echo "make clean   remove .venv and what the tools leave behind"

demo: $(RUN)
	@$(BIN)/python examples/demo.py $(PORT)

test: $(DEV)
	$(BIN)/python -m coverage run -m pytest -rfEs
	$(BIN)/python -m coverage report --include='$(SANS_IO)' --fail-under=100
	$(BIN)/python -m coverage report --omit='$(SANS_IO)' --fail-under=95

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/test_layers.py

# Needs a wstest: WSTEST=..., one on the PATH, or DOCKER=1.
conformance: $(DEV)
	$(BIN)/python -m tests.autobahn.run $(if $(FULL),--full) $(if $(DOCKER),--docker)

fuzz: $(DEV)
	$(PIP) install --quiet --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz.run --minutes $(MINUTES)

soak: $(DEV)
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --connections $(CONNECTIONS)

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) .coverage .hypothesis .mypy_cache .ruff_cache build dist *.egg-info

# pip comes last into a new .venv, so that one that was left half made is made again.
$(RUN): pyproject.toml
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --editable .
	@touch $@

$(DEV): pyproject.toml
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@ $(RUN)
