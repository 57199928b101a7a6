# Spillway's commands. `make` lists them; each sets up what it needs in .venv, as any user.
.DEFAULT_GOAL := help
FUZZED := $(addprefix tests/unit/,gateway/dialects/test_fuzz.py gateway/dialects/test_round_trips.py \
	gateway/dialects/test_part_round_trips.py gateway/config/test_fuzz.py router/test_sse.py router/backends/test_http.py)

.PHONY: help demo test check format fuzz evidence benchmark dashboards sbom lock clean

# the first Python that runs and is new enough; an installed name alone proves nothing where versions are shimmed
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --progress-bar off
TESTS ?= tests

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: .venv/.run  ## start a gateway with simulated models, train, optimise, compare, keep serving
	@$(BIN)/spillway demo $(ARGS)

test: check .venv/focus/.done .venv/sbom/.done  ## everything that gates a change: style, types, imports, sizes, tests
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart 2 -m "not evidence" $(TESTS) $(ARGS)

check: .venv/.dev  ## style, types and import rules only
	@$(BIN)/ruff format --check --quiet . || { echo "run: make format"; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@PYTHONPATH=. $(BIN)/lint-imports --no-logo >.venv/imports.txt || { cat .venv/imports.txt; exit 1; }

format: .venv/.dev  ## write the code as the style has it
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .

fuzz: .venv/.dev  ## CASES (1000) new random cases for each test that fuzzes parsers, dialects, configuration or backends
	@SPILLWAY_FUZZ_CASES=$(or $(CASES),1000) $(BIN)/python -m pytest -n auto --timeout 7200 \
		--hypothesis-show-statistics $(FUZZED) $(ARGS)

evidence: .venv/.dev  ## what takes too long for every run: the measurements behind the claims
	@$(BIN)/python -m pytest -m evidence tests -s $(ARGS)

dashboards: .venv/.dev  ## make Grafana's dashboards and Prometheus' rules anew
	@$(BIN)/python -m dashboards.generate

sbom: .venv/sbom/.done  ## write sbom.cdx.json: what the image installs, each part with its hashes (CycloneDX)
	@.venv/sbom/bin/python -W ignore -m cyclonedx_py requirements requirements.lock --pyproject pyproject.toml \
		--mc-type application --output-reproducible --output-file sbom.cdx.json

lock: .venv/.dev  ## resolve the dependencies anew, with hashes
	@$(PIP) uv
	@$(BIN)/uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-header --python-version 3.11 \
		--upgrade --extra dev -o requirements-dev.lock
	@$(BIN)/uv pip compile pyproject.toml --quiet --universal --generate-hashes --no-header --python-version 3.11 \
		-c requirements-dev.lock --extra build --extra otel --extra parquet --extra postgres --extra redis -o requirements.lock
	@$(BIN)/uv pip compile tests/focus-validator.in --quiet --universal --generate-hashes --no-header --python-version 3.11 \
		--upgrade -o tests/focus-validator.lock
	@$(BIN)/uv pip compile tests/sbom.in --quiet --universal --generate-hashes --no-header --python-version 3.11 \
		--upgrade -o tests/sbom.lock

.venv/focus/.done: tests/focus-validator.lock .venv/.made
	@echo "Installing FOCUS's own checker beside it (once) ..."
	@$(BIN)/python -m venv --clear .venv/focus
	@.venv/focus/bin/python -m pip --disable-pip-version-check install --quiet --progress-bar off --require-hashes -r $<
	@touch $@

.venv/sbom/.done: tests/sbom.lock .venv/.made
	@echo "Installing what writes the bill of materials beside it (once) ..."
	@$(BIN)/python -m venv --clear .venv/sbom
	@.venv/sbom/bin/python -m pip --disable-pip-version-check install --quiet --progress-bar off --require-hashes -r $<
	@touch $@

clean:  ## remove the environment and the demo's folder
	@rm -rf .venv spillway-demo

.venv/.made:
	@test -n "$(PYTHON)" || { echo "Spillway needs Python 3.11 or newer; set PYTHON=/path/to/python"; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "python's venv module is missing (Debian: apt install python3-venv)"; exit 1; }
	@touch $@

.venv/.run: .venv/.made requirements.lock pyproject.toml
	@echo "Installing the locked dependencies into .venv (once) ..."
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.run requirements-dev.lock
	@echo "Installing the locked test dependencies into .venv (once) ..."
	@$(PIP) --require-hashes -r requirements-dev.lock
	@touch $@
