# Poise: everything a user or a developer runs. `make help` lists it.
VENV   := .venv
PYTHON := $(VENV)/bin/python
READY  := $(VENV)/.ready
ARGS   ?=
PYTEST := OMP_NUM_THREADS=1 $(PYTHON) -m pytest -n 2 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo sweep ui serve check test lint bench

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo "  ARGS='...' passes options on, for example: make demo ARGS=--full"

setup: $(READY) ## install into .venv; does nothing when nothing changed

$(READY): pyproject.toml requirements.lock
	test -x $(PYTHON) || python3.11 -m venv $(VENV) || python3 -m venv $(VENV)
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@PYTHONWARNINGS=ignore $(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: $(READY) ## the main job end to end on this machine (about nine minutes)
	@PYTHONUNBUFFERED=1 $(PYTHON) jobs/demo.py $(ARGS)

sweep: $(READY) ## run a plan: make sweep ARGS='--plan demo'
	@PYTHONUNBUFFERED=1 $(PYTHON) jobs/sweep.py $(ARGS)

ui: $(READY) ## MLflow's pages on the results, http://127.0.0.1:5000
	@$(PYTHON) jobs/ui.py $(ARGS)

serve: $(READY) ## the champion behind http://127.0.0.1:8000
	@PYTHONUNBUFFERED=1 $(PYTHON) jobs/serve.py $(ARGS)

test: $(READY) ## all tests, two at a time
	$(PYTEST) $(ARGS)

check: lint ## lint, and the tests that are quick and need no server: the inner loop
	$(PYTEST) -m 'not server and not slow' $(ARGS)

lint: $(READY) ## ruff, mypy --strict, order of packages, security, licences
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	PYTHONPATH=platform:models:retrieval $(VENV)/bin/lint-imports --no-logo --no-cache
	$(PYTHON) -m bandit --quiet --configfile pyproject.toml --recursive platform models retrieval jobs tools
	$(PYTHON) tools/licences.py
	$(PYTHON) tools/advisories.py

bench: $(READY) ## ratios against reference implementations, measured side by side
	$(PYTHON) -m benchmarks.swaa

