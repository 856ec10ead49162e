# `make help` shows what there is. PYTHON names the interpreter to build .venv with.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	if $$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; \
	then echo $$p; break; fi; done)
LOCK := uv pip compile --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --quiet pyproject.toml

.PHONY: help install up check test test-browser pictures bench chaos soak lock clean

help: ## Show this help
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' Makefile

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "posthaste needs Python 3.11, 3.12 or 3.13: install one, or name it with make PYTHON=/path/to/python" >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment: on Debian and Ubuntu install python3-venv" >&2; exit 2; }

$(VENV)/.installed: $(VENV)/bin/python requirements.txt pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

install: $(VENV)/.installed ## Create .venv and install from the lock

up: install ## Run the whole system here; Ctrl-C stops it
	@$(BIN)/posthaste up $(ARGS)

check: $(VENV)/.installed-dev ## Format, lint, types and boundaries
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/architecture

test: $(if $(CHECKED),$(VENV)/.installed-dev,check) ## Everything `check` does, then all tests, quick ones first
	@$(BIN)/python -m pytest -q -n 2 tests/unit
	@$(BIN)/python -m pytest -q -n 6 --dist loadfile --no-loadscope-reorder tests/contract tests/scenario
	@$(MAKE) --no-print-directory test-browser

test-browser: $(VENV)/.installed-dev ## Drive the pages of a running installation with headless Chromium
	@$(BIN)/python -m pytest -q -n 2 --dist worksteal tests/browser

pictures: $(VENV)/.installed-dev ## Take pictures of every page into build/pictures, and README's into deploy/pictures
	@$(BIN)/python -m tests.browser.pictures build/pictures
	@$(BIN)/python -m tests.browser.pictures --readme deploy/pictures

bench: $(VENV)/.installed-dev ## Measure; QUICK=1 for the first four figures, FIGURES="batch drain" for some
	@$(BIN)/python -m tests.bench.run $(if $(QUICK),--quick) $(FIGURES)

chaos: $(VENV)/.installed-dev ## Kill everything under load, account for every message; N=2000 SEED= VERBOSE=1
	@$(BIN)/python -m tests.chaos $(if $(N),--messages $(N)) $(if $(SEED),--seed $(SEED)) $(if $(VERBOSE),--verbose)

soak: $(VENV)/.installed-dev ## Ten minutes of steady mail: does memory grow? MINUTES= for more
	@$(BIN)/python -m tests.soak $(if $(MINUTES),--minutes $(MINUTES))

# Other parts of deploy are checked by other prerequisites, or by a recipe, of check-deploy.
.PHONY: check-deploy check-containers check-kubernetes check-monitoring render-rules
check-deploy: check-containers check-kubernetes check-monitoring ## Check everything in deploy/

check-containers: $(VENV)/.installed-dev ## Check the image, nginx and Compose files
	@$(BIN)/hadolint deploy/Dockerfile
	@BIN=$(BIN) deploy/nginx/check.sh
	@if docker compose version >/dev/null 2>&1; then docker compose --profile inbox config --quiet; \
	else echo "docker compose is not here: docker-compose.yml is not checked"; fi

check-kubernetes: $(VENV)/.installed-dev ## Render and validate deploy/k8s, play its scaling
	@CI=true $(BIN)/python -m pytest -q tests/unit/deploy/test_kubernetes_*.py tests/unit/deploy/test_autoscaler.py tests/unit/deploy/test_scaling_*.py

check-monitoring: ## Prometheus and Alertmanager: configuration, rules and their tests
	@deploy/prometheus/check.sh

render-rules: $(VENV)/.installed-dev ## Make deploy/k8s/production/rules.yaml of deploy/prometheus/rules
	@$(BIN)/python deploy/k8s/render_rules.py

lock: $(VENV)/.installed-dev ## Resolve pyproject.toml into the hash-locked requirements
	@$(BIN)/$(LOCK) --extra embedded --extra build -o requirements.txt
	@$(BIN)/$(LOCK) -c requirements.txt -o deploy/requirements.txt
	@$(BIN)/$(LOCK) --all-extras -c requirements.txt -o requirements-dev.txt

clean: ## Remove .venv and caches; mail in .posthaste stays
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
