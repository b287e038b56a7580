# Everything a developer or a first-time user types. `make help` lists it.
#
# The environment is .venv, made on first use and kept; a changed pyproject.toml updates it.
# PYTHON=/path/to/python3.x chooses the interpreter (3.10 or newer) that it is made from.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# The generator's version decides the oldest grpcio and protobuf that can load the stubs;
# pyproject.toml states the same floors.
GENERATOR := grpcio-tools==1.75.1
PROTO_BIN := .venv-proto/bin
STUBS := clients/python/penult/v1
PROTOS := $(wildcard protos/penult/v1/*.proto)
PROTOC := $(PROTO_BIN)/python -m grpc_tools.protoc -I protos $(PROTOS)

# Options of the targets below, for example: make demo IMAGES=~/photos
IMAGES ?=
DATA_DIR ?= penult-data
LISTEN ?= 127.0.0.1:50051
ARGS ?=

# End-to-end tests of what is kept in the database.
LASTING := $(addprefix tests/e2e/test_,$(addsuffix .py,datasets finetune indexes jobs models moving postgresql \
	sdk_datasets sdk_indexes))

.PHONY: help demo test test-faults image-test serve bench lint proto clean \
	check-stubs check-protos check-breaking check-style check-types check-imports check-tests

help: ## Show this list
	@echo "Usage: make TARGET"
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 14

demo: $(VENV)/.demo ## Classify real photos through a server it starts itself; IMAGES=folder for your own
	@$(BIN)/python -m penult.demo $(if $(IMAGES),--images "$(IMAGES)") --report demo-report $(ARGS)

test: $(VENV)/.dev ## Run every check: stubs, protos, style, types, imports, tests
	@$(MAKE) check-stubs check-protos check-breaking lint check-tests

test-faults: $(VENV)/.dev ## Run the long form of the fault tests: crowds, kills, damage; takes some time
	@PENULT_TEST_LONG=1 $(BIN)/python -m pytest tests/faults tests/e2e/test_moving.py tests/e2e/test_pages.py $(ARGS)
	@# And what lasts once more with its rows in PostgreSQL, where that is installed.
	@PENULT_TEST_LONG=1 PENULT_TEST_POSTGRESQL=1 $(BIN)/python -m pytest $(LASTING) $(ARGS)

image-test: ## Build the image and run it without a Docker engine (Debian, root); FULL=1 for all of it
	@deploy/image-test.sh

serve: $(VENV)/.demo ## Run the server; LISTEN=host:port, DATA_DIR=folder, ARGS="more flags"
	@exec $(BIN)/penult-server serve --data-dir "$(DATA_DIR)" --listen "$(LISTEN)" $(ARGS)

bench: $(VENV)/.demo ## Measure this machine: the server against a bare loop; ARGS="more flags"
	@$(BIN)/python -m benchmarks $(ARGS)

lint: $(VENV)/.dev ## Check style, types and import rules
	@$(MAKE) check-style check-types check-imports

proto: $(PROTO_BIN)/.generator $(VENV)/.dev ## Regenerate stubs and docs/api.md from protos/
	@rm -f $(STUBS)/*_pb2.py $(STUBS)/*_pb2.pyi $(STUBS)/*_pb2_grpc.py
	@out=clients/python && $(PROTOC) --python_out=$$out --pyi_out=$$out --grpc_python_out=$$out
	@$(BIN)/python -m protos.reference --buf $(BIN)/buf
	@echo "$(words $(PROTOS)) files generated into $(STUBS), and docs/api.md"

clean: ## Remove environments, caches and results; keeps penult-data
	rm -rf .venv .venv-proto build dist demo-report bench-results \
		.pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find benchmarks clients service tests -name __pycache__ -prune -exec rm -rf {} +

# The parts of `make test`, each with a heading so that a failure names itself.

check-stubs: $(PROTO_BIN)/.generator
	@echo "== stubs: regenerating leaves no difference"
	@out=$$(mktemp -d); trap 'rm -rf "$$out"' EXIT; \
	$(PROTOC) --python_out="$$out" --pyi_out="$$out" --grpc_python_out="$$out"; \
	diff -r -x __init__.py -x __pycache__ "$$out/penult/v1" $(STUBS) \
		|| { echo "The committed stubs are not those of protos/: run 'make proto'." >&2; exit 1; }

check-protos: $(VENV)/.dev
	@echo "== protos: buf lint"
	@$(BIN)/buf lint protos

check-breaking: $(VENV)/.dev
	@echo "== protos: buf breaking"
	@$(BIN)/python tests/architecture/breaking.py --buf $(BIN)/buf

check-style: $(VENV)/.dev
	@echo "== style: ruff"
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

check-types: $(VENV)/.dev
	@echo "== types: mypy"
	@$(BIN)/mypy

check-imports: $(VENV)/.dev
	@echo "== imports: import-linter"
	@$(BIN)/lint-imports

check-tests: $(VENV)/.dev
	@echo "== tests: pytest"
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile \
		--no-loadscope-reorder --ignore=tests/unit/engine/test_providers.py $(ARGS)
	@# In a process of its own: after the whole suite, one run crashed inside of a provider's library.
	@$(BIN)/python -m pytest tests/unit/engine/test_providers.py

# Environments. A stamp file says what an environment holds, so that a second run installs nothing.

# First of PYTHON, python3, python3.14 ... that runs, can make environments and has wheels of all
# that is installed (the newest Python often has not). Some of these names are shims that exist and
# fail, hence the trial run. A PYTHON that was named is only held to the lower bound.
CANDIDATES := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python3.10)
NEWEST := $(if $(PYTHON),99,14)
define find_python
for candidate in $(CANDIDATES); do \
	if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, $(NEWEST)))' \
		2>/dev/null; then python="$$candidate"; break; fi; \
done; \
if [ -z "$${python:-}" ]; then \
	echo "No usable Python 3.10 to 3.14 with the venv module among: $(CANDIDATES)" >&2; \
	echo "Install one (Debian, Ubuntu: apt install python3 python3-venv) or name it: make PYTHON=/path/to/python3" >&2; \
	exit 1; \
fi
endef

$(VENV)/.made:
	@$(find_python); \
	echo "Making $(VENV) with $$("$$python" -V)"; \
	"$$python" -m venv --clear $(VENV)
	@$(PIP) install --upgrade pip
	@touch $@

$(VENV)/.demo: $(VENV)/.made pyproject.toml clients/python/penult/_version.py
	@echo "Installing the server (PyTorch is large: minutes the first time)"
	@$(PIP) install --editable '.[server,bundled,demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.made pyproject.toml clients/python/penult/_version.py
	@echo "Installing the server and the tools that check it (PyTorch is large: minutes the first time)"
	@$(PIP) install --editable '.[server,bundled,demo,dev]'
	@touch $(VENV)/.demo $@

$(PROTO_BIN)/.generator: Makefile
	@$(find_python); \
	"$$python" -m venv --clear .venv-proto
	@$(PROTO_BIN)/python -m pip --quiet --disable-pip-version-check install '$(GENERATOR)'
	@touch $@
