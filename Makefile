# Every target makes the environment that it needs: a machine with Python 3.11+ and make is enough.
PYTHON ?= python3
BIN := .venv/bin
SHARED ?= ../shared
PIP := $(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock

.DEFAULT_GOAL := help
.PHONY: help run demo test chaos test-real test-servers test-others check bench bench-real train evaluate lock clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

.venv/run: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("Tingchao needs Python 3.11 or newer; set PYTHON=" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	@touch $@

.venv/dev: .venv/run
	$(PIP) --editable '.[dev]'
	@touch $@

run: .venv/run ## Run everything with the default configuration: http://127.0.0.1:8760, Ctrl-C stops
	@exec $(BIN)/tingchao up

demo: .venv/run ## See an incident unfold, from page to alert, within a minute and without a network
	@exec $(BIN)/python demo/run.py

test: .venv/dev ## Run the tests; names what it left out
	$(BIN)/pytest

test-real: .venv/dev ## Run the tests, also those on a real Kafka and Elasticsearch, which it starts and stops
	$(MAKE) --no-print-directory --jobs=2 --output-sync=target test-servers test-others

# Side by side: tests on servers wait most of their time, at first for the download of the servers.
test-servers: .venv/dev
	$(BIN)/python tests/services.py run -- $(BIN)/pytest -m real

test-others: .venv/dev
	$(BIN)/pytest -m "not real"

chaos: .venv/dev ## The long proof: break servers, kill everything many times, and count afterwards
	$(BIN)/python tests/storm.py --shared $(SHARED)
	$(BIN)/python tests/storm.py --shared $(SHARED) --outage 600

check: .venv/dev ## Lint, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p .mypy_path && ln -sfn .. .mypy_path/tingchao
	$(BIN)/mypy

bench: .venv/dev ## Measure speed and size, each beside a peer in the same run
	$(BIN)/python bench/run.py $(SHARED)

bench-real: .venv/dev ## The same on a real Kafka and Elasticsearch, which it starts and stops
	$(BIN)/python tests/services.py run -- sh -c '$(BIN)/python bench/elastic.py $(SHARED) && $(BIN)/python bench/real.py $(SHARED)'

train: .venv/run ## Train the models anew from SHARED (default ../shared)
	$(BIN)/tingchao train $(SHARED)

evaluate: .venv/run ## Evaluate the models on SHARED, check the floors, write models/CARD.md
	$(BIN)/tingchao evaluate $(SHARED)

lock: ## Pin what the present environment has
	$(BIN)/pip freeze --exclude-editable | grep -v '^-' > requirements.lock

clean: ## Delete the environment and what tools left behind
	rm -rf .venv .mypy_path .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist *.egg-info
