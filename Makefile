# Everything runs from .venv, which is made again only when a lock file changed.
# Needs GNU make, Python >= 3.11 and a package registry; follows pip's configuration.
VENV  := .venv
BIN   := $(VENV)/bin
ARGS  ?=
SETUP  = $(call find_python) "$$python" ops/set_up.py $(VENV)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv up test check format bench faults feast mlflow evidently plots lock clean

help:  ## this list
	@sed -nE 's/^([a-z]+):.*## (.*)/  make \1|\2/p' $(firstword $(MAKEFILE_LIST)) | tr '|' '\t' | expand -t 16

up: $(VENV)/.runtime  ## start everything, replay the shop, serve until Ctrl-C; ARGS="--rate 1000"
	@exec $(BIN)/thalweg up $(ARGS)

venv: $(VENV)/.runtime  ## set up .venv alone, with .venv/bin/thalweg in it
	@echo "$(BIN)/thalweg is set up"

test: $(VENV)/.dev  ## all tests, on a real broker, Redis server and browser; ARGS="-k name"
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.dev  ## lint, format, types and layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.dev  ## put the code into its form
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.dev  ## measure throughput and latency against their budgets
	$(BIN)/python -m benchmarks $(ARGS)

HISTORIES := tests/agents/kafka/test_takeover.py tests/agents/kafka/test_incremental.py \
  tests/agents/prediction/test_interruptions.py tests/online_models/test_registry.py
faults: $(VENV)/.dev  ## fail workers and three brokers for half an hour; ARGS="-k killed"
	FAULTS=full $(BIN)/python -m pytest -s tests/faults $(HISTORIES) $(ARGS)

feast: $(VENV)/.dev  ## set Feast up beside .venv, for the tests that it reads what we write
	$(BIN)/python -m tests.environments feast

mlflow: $(VENV)/.dev  ## set MLflow up beside .venv, for the tests that it loads what we export
	$(BIN)/python -m tests.environments mlflow

evidently: $(VENV)/.dev  ## set Evidently up beside .venv, for the test that it draws our drift
	$(BIN)/python -m tests.environments evidently

plots: $(VENV)/.dev  ## measure drift detectors and draw them into docs/, some ten minutes
	@$(SETUP) requirements.lock requirements-dev.lock requirements-plots.lock
	$(BIN)/python -m benchmarks drift --plots docs $(ARGS)

# After any change of dependencies in pyproject.toml. No lock holds a registry's address.
LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url
lock: $(VENV)/.dev  ## pin what pyproject.toml asks for; ARGS="--upgrade" for the newest
	echo 'uv' | $(BIN)/$(LOCK) - $(ARGS) -o requirements-uv.lock
	@# setuptools: the checkout itself is installed without a build environment of its own
	echo 'setuptools>=80' | $(BIN)/$(LOCK) pyproject.toml - $(ARGS) -o requirements.lock
	$(BIN)/$(LOCK) --group dev -c requirements.lock $(ARGS) -o requirements-dev.lock
	$(BIN)/$(LOCK) --group plots -c requirements.lock -c requirements-dev.lock $(ARGS) -o requirements-plots.lock
	@! grep -n '://' requirements*.lock

clean:  ## remove .venv and caches; data in .thalweg stays
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis build *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.runtime: requirements.lock requirements-uv.lock pyproject.toml
	@echo "setting up $(VENV): some 20 s, once" >&2
	@$(SETUP) requirements.lock
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@$(SETUP) requirements.lock requirements-dev.lock
	@touch $@

# The first interpreter that is new enough and can make an environment, or one line that says why not.
define find_python
python=; \
for candidate in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11; do \
  if "$$candidate" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
    python=$$candidate; break; \
  fi; \
done; \
if [ -z "$$python" ]; then \
  echo "Thalweg needs Python >= 3.11 with venv (on Debian: apt-get install python3-venv), or name one: make PYTHON=/path/to/python" >&2; \
  exit 1; \
fi;
endef
