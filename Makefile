# The one list of commands, for people and for CI.
#   make demo          generate, fold, look                     ARGS="--locale ru"
#   make test          every test that needs no long run        ARGS="-k midnight"
#   make check         format, lint, types, imports, schemas
#   make bench         the published figure                     ARGS=--quick
#   make bench-peers   the same job by other engines            ARGS="--only faust"
#   make test-faults   kill -9 and the like, at length          SHORT=1 for a short run
#   make lock          resolve pyproject.toml anew; make format; make schemas

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

BIN := .venv/bin
READY := .venv/.ready
WORKERS ?= 3
ARGS ?=
BENCH ?= fold

.PHONY: help demo test test-faults check bench bench-peers lock lock-peers format schemas java clean

help:
	@sed -n '2,8s/^#   //p' Makefile

# Redone when a dependency, the package's own table or compiled code changes; an interpreter that is there stays.
$(READY): requirements.lock pyproject.toml .ci/venv $(wildcard */*.pyx */*.pxd)
	@.ci/venv .venv
	@touch $@

java:
	@.ci/java

demo: $(READY)
	@$(BIN)/flowsell demo $(ARGS)

# A file at a time to whoever is free, for its tests share what takes long to make; the long ones come first.
# One worker more than two cores: a quarter of the time of tests is waiting.
test: $(READY) java
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations 20 $(ARGS)

test-faults: $(READY) java
	FAULTS=$(if $(SHORT),short,full) $(BIN)/pytest -m faults -rs $(ARGS)
	$(if $(SHORT),,$(BIN)/pytest -n $(WORKERS) --hypothesis-profile=faults tests/property)

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check --output-format concise .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(BIN)/check-jsonschema --check-metaschema $$(ls schemas/json/*.json | grep -v asyncapi)

bench: $(READY)
	$(BIN)/flowsell bench $(BENCH) --json $(ARGS)

# Installs each peer on its own, which takes minutes; the whole run takes half an hour and more.
bench-peers: $(READY) java
	$(BIN)/flowsell bench peers --results $(ARGS)

lock-peers: $(READY)
	for peer in benchmarks/peers/*/requirements.in; do \
	  $(BIN)/uv pip compile --python-version 3.11 --generate-hashes --no-emit-index-url \
	    --custom-compile-command "make lock-peers" -o "$${peer%.in}.txt" "$$peer"; done

lock: $(READY)
	$(BIN)/uv pip compile --universal --python-version 3.11 --extra dev --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make lock" -o requirements.lock pyproject.toml

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schemas: $(READY)
	$(BIN)/python -m schemas.export schemas/json

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist demo-out *.egg-info
	rm -f schemas/*.c schemas/*.so state/*.c state/*.so operators/*.c operators/*.so
