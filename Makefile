# `make demo` and `make test` need Python 3.11 or later, make, and nothing else: each makes .venv
# and installs what it needs, once, and again when pyproject.toml has changed.

PYTHON ?= python3
PORT ?= 8765
MINUTES ?= 1
CONNECTIONS ?= 200
SEEDS ?= 64
SCHEDULES ?= 1000
TALKS ?= 2000
# How many processes run the tests.
JOBS ?= auto

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check

# What is done, as files: the run-time dependencies are installed; those of the developers too; and
# those of the site.
RUN := $(VENV)/run.stamp
DEV := $(VENV)/dev.stamp
DOCS := $(VENV)/docs.stamp

# The layers without I/O have every branch tested, the others nearly all.
SANS_IO := trio_wsendpoint/protocol/*,trio_wsendpoint/handshake/*
SANS_IO := $(SANS_IO),trio_wsendpoint/http/*,trio_wsendpoint/addressing/*,trio_wsendpoint/session/*

# The command's tests run it in processes of its own, which are not measured.
COMMAND := trio_wsendpoint/cli/*

# The codec, compiled in place or found not to be.
CODEC := build/codec.stamp

# What the codec is beneath.
ON_CODEC := tests/protocol tests/seed tests/extensions tests/state_machine tests/differential \
	tests/fuzz tests/hostile

# Whichever process is free takes tests from one that is not: no test needs another's process.
SPREAD := -n $(JOBS) --dist worksteal

.PHONY: help demo test figures check compile docs links conformance proxies fuzz torture soak bench release format \
	clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    a chat and an echo to try in a browser; PORT=$(PORT)"
	@echo "make test    all tests, with branch coverage, on JOBS=$(JOBS) cores"
	@echo "make compile the codec, in place, if there is a C compiler; make test does it too"
	@echo "make check   format, lint, types, layers"
	@echo "make docs    the site, in docs/_build/html, without a network; make links: links to others"
	@echo "make conformance  the Autobahn|Testsuite, both roles; FULL=1 all cases, DOCKER=1 its image"
	@echo "make proxies  nginx, haproxy, Apache, Caddy, Varnish in front: docs/proxies-table.md"
	@echo "make fuzz    the fuzz targets for MINUTES=$(MINUTES) each, two at a time"
	@echo "make soak    every kind of load at once; MINUTES=$(MINUTES) CONNECTIONS=$(CONNECTIONS)"
	@echo "make bench   speed and memory beside other libraries, 12 minutes; BENCH=--quick under 2;"
	@echo "             BENCH='--compare PATH' beside another checkout of this library"
	@echo "make figures times and CPU that are promised; make bench without BENCH does it too"
	@echo "make torture  strike at every checkpoint with SEEDS=$(SEEDS), and SCHEDULES=$(SCHEDULES);"
	@echo "             a Ctrl-C at every line; TALKS=$(TALKS) of two connections"
	@echo "make release  a release, tagged: VERSION=0.2.0; nothing is uploaded"
	@echo "make format  put the source into the format that is checked"
	@echo "make clean   remove .venv and what the tools leave behind"

demo: $(RUN)
	@$(BIN)/python examples/demo.py $(PORT)

# With the compiled codec, if there is a compiler; and again, what runs on it, with the pure one.
test: $(DEV) compile
	$(BIN)/python -m pytest -rfEs $(SPREAD) --cov --cov-report=
	TRIO_WSENDPOINT_PURE=1 $(BIN)/python -m pytest -q $(SPREAD) $(ON_CODEC)
	$(BIN)/python -m coverage report --include='$(SANS_IO)' --fail-under=100
	$(BIN)/python -m coverage report --omit='$(SANS_IO),$(COMMAND)' --fail-under=95

compile: $(DEV) $(CODEC)

check: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/python -m pytest -q tests/test_layers.py

# Without a network: what it links to of Python and Trio is in docs/inventories.
docs: $(DOCS)
	$(BIN)/python docs/generated.py --check
	$(BIN)/python -m tests.pages --check
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

links: $(DOCS)
	$(BIN)/python -m sphinx -q -b linkcheck docs docs/_build/links

# Needs a wstest: WSTEST=..., one on the PATH, or DOCKER=1.
conformance: $(DEV)
	$(BIN)/python -m tests.autobahn.run $(if $(FULL),--full) $(if $(DOCKER),--docker)

# A proxy that is not installed is named and left out; the page is written if there are all.
proxies: $(DEV)
	$(BIN)/python -m tests.proxies

fuzz: $(DEV)
	$(PIP) install --quiet --editable '.[fuzz]'
	$(BIN)/python -m tests.fuzz.run --minutes $(MINUTES)

soak: $(DEV)
	$(BIN)/python -m tests.soak --minutes $(MINUTES) --connections $(CONNECTIONS)

# A library that cannot be installed is not measured; the others are.
bench: $(DEV) compile
	$(PIP) install --quiet --editable '.[bench]' || \
		for peer in aiohttp picows uvloop; do $(PIP) install --quiet $$peer || true; done
	$(BIN)/python -m tests.benchmarks $(BENCH)
	$(if $(BENCH),,$(BIN)/python -m pytest -q -m figure)

# In one process, and nothing beside it: they are of the real clock, and of the CPU.
figures: $(DEV) compile
	$(BIN)/python -m pytest -q -m figure

torture: $(DEV)
	$(BIN)/python -m tests.torture --seeds $(SEEDS) --schedules $(SCHEDULES) --lines \
		--talks $(TALKS)

# Uploads and pushes nothing.
release: $(DEV)
	$(PIP) install --quiet --editable '.[release]'
	$(BIN)/python -m tests.packaging.release $(VERSION)

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -f trio_wsendpoint/protocol/_codec.*.so trio_wsendpoint/protocol/_codec.pyd
	rm -rf docs/_build $(VENV) .coverage .hypothesis .mypy_cache .ruff_cache build dist *.egg-info

# pip comes last into a new .venv, so that one that was left half made is made again.
$(RUN): pyproject.toml
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --editable .
	@touch $@

# Where nothing can be compiled, this says so and succeeds.
$(CODEC): trio_wsendpoint/protocol/codec.py hatch_build.py $(DEV)
	$(BIN)/python hatch_build.py
	@mkdir -p $(@D) && touch $@

$(DEV): pyproject.toml
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --editable '.[dev]'
	@touch $@ $(RUN)

$(DOCS): $(DEV)
	$(PIP) install --quiet --editable '.[docs]'
	@touch $@
