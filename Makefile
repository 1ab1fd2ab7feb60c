# Every step of development and CI is a target here. `make` alone prints them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)

PROTOS = $(shell cd proto && find tenantry -name '*.proto' | LC_ALL=C sort)
# What the gateway serves: what it asks others is no path of its own.
SERVED = $(filter-out tenantry/envoy/%,$(PROTOS))
DETAILS := google/rpc/status.proto google/rpc/error_details.proto
PROTOC = python -m grpc_tools.protoc -Iproto -Iproto/third_party
GENERATED := clients/python/src
PROJECTS := -e clients/python -e server

.PHONY: help
help: ## Print this list
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | sort | awk -F ':.*?## ' '{printf "  %-11s %s\n", $$1, $$2}'

# -- environment: pinned with hashes, from the Python package index alone ---------------------------------------------

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: server/requirements/run.txt server/pyproject.toml clients/python/pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r server/requirements/run.txt
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation $(PROJECTS)
	@touch $@

$(VENV)/.dev: server/requirements/dev.txt $(VENV)/.run
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r server/requirements/dev.txt
	@touch $@

.PHONY: run
run: $(VENV)/.run ## Serve REST, gRPC and gRPC-Web on one port, with a demo organization
	tenantry up --demo

.PHONY: locks
locks: $(VENV)/.dev ## Pin the newest allowed versions of every dependency again
	cd server && uv pip compile -q pyproject.toml --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-package tenantry --extra build --no-header -U -o requirements/run.txt
	cd server && uv pip compile -q pyproject.toml --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-package tenantry --extra build --extra dev --no-header -U -c requirements/run.txt -o requirements/dev.txt

# -- generated files, committed --------------------------------------------------------------------------------------

.PHONY: proto
proto: $(VENV)/.dev ## Generate the Python API package and the descriptor set from proto/
	rm -rf $(GENERATED)/tenantry/{envoy,policy,rest,v1} $(GENERATED)/buf
	$(PROTOC) --python_out=$(GENERATED) --grpc_python_out=$(GENERATED) \
	  --mypy_out=quiet:$(GENERATED) --mypy_grpc_out=quiet:$(GENERATED) $(PROTOS)
	$(PROTOC) --python_out=$(GENERATED) buf/validate/validate.proto
	$(PROTOC) --include_imports --descriptor_set_out=gateway/tenantry.binpb $(SERVED) $(DETAILS)

.PHONY: gateway
gateway: $(VENV)/.dev ## Render gateway/envoy.yaml from the descriptor set
	python gateway/render.py

# -- checks ----------------------------------------------------------------------------------------------------------

.PHONY: lint
lint: $(VENV)/.dev ## Check style, types, protos, the architecture, and that generated files are current
	ruff check .
	ruff format --check .
	mypy server/tenantry_server gateway tests
	buf lint
	buf format --diff --exit-code --path proto/tenantry
	pytest -c tests/pytest.ini -q tests/unit/test_architecture.py
	$(MAKE) --no-print-directory drift

STATE = find $(GENERATED)/tenantry $(GENERATED)/buf gateway -type f -not -path '*__pycache__*' | LC_ALL=C sort | xargs sha256sum

.PHONY: drift
drift: $(VENV)/.dev ## Check that the generated files are what the protos and gateway/render.py make
	@before=$$($(STATE)); $(MAKE) -s --no-print-directory proto gateway; after=$$($(STATE)); \
	  diff <(echo "$$before") <(echo "$$after") || { echo "Generated files were not current; now they are: commit them."; exit 1; }

.PHONY: test
test: $(VENV)/.dev ## Run all tests, on SQLite and PostgreSQL (FILTER=… for some of them)
	pytest -c tests/pytest.ini -n auto $(if $(FILTER),-k "$(FILTER)")

.PHONY: test-ha
test-ha: $(VENV)/.dev ha-packages ## Run the long tests under faults; writes tests/ha/report.md (HA=failover for a part)
	cd tests && PYTHONWARNINGS=ignore python -m ha $(HA)

.PHONY: ha-packages
ha-packages: ## Install Patroni, etcd, HAProxy and PostgreSQL from Debian, as root, for the tests of fail-over; starts nothing
	tests/ha/packages.sh

.PHONY: pgbouncer
pgbouncer: ## Install PgBouncer from Debian, as root, for the tests that need it; without it they are skipped
	apt-get install -y --no-install-recommends pgbouncer

$(VENV)/peers/.done: tests/benchmarks/requirements.txt | $(BIN)/python
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip install -q --disable-pip-version-check --require-hashes -r $<
	@touch $@

.PHONY: bench
bench: $(VENV)/.dev $(VENV)/peers/.done ## Measure what calls cost; writes tests/benchmarks/report.md (BENCH=--help for options)
	cd tests && PYTHONWARNINGS=ignore python -m benchmarks.bench $(BENCH)

.PHONY: format
format: $(VENV)/.dev ## Format Python and protos
	ruff check -q --fix .
	ruff format .
	buf format -w --path proto/tenantry

.PHONY: clean
clean: ## Remove the environment, caches and local data
	rm -rf $(VENV) .data .mypy_cache .ruff_cache .pytest_cache .hypothesis server/*.egg-info clients/python/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
