# `make help` lists what can be done. Everything runs in .venv, which `make setup` keeps equal to the lock.
# Standard output belongs to the commands themselves; whatever setting up has to say goes to standard error.

# Dozens of processes are started, here and by the tests: each would compile what it imports anew.
unexport PYTHONDONTWRITEBYTECODE

SHELL := /bin/bash
BIN := .venv/bin
READY := .venv/.ready

.DEFAULT_GOAL := help
.PHONY: help setup test lint roles characteristics format demo dev test-compiled wheel counting-bench evaluation-bench loop-bench bench-gateway limits-bench bench-shadow lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1: \2/p' Makefile

setup: $(READY) ## the virtual environment, exactly as locked (redone only when the lock changes)

$(READY): requirements-dev.lock pyproject.toml
	@PYTHON="$(PYTHON)" bash .ci/setup >&2

demo: $(READY) ## a canary that goes wrong and is rolled back, on real Kafka and Postgres (ARGS="--json")
	@exec $(BIN)/headgate demo $(ARGS)

dev: $(READY) ## all services on this machine, with Kafka and Postgres (ARGS="--help")
	@exec $(BIN)/headgate dev $(ARGS)

# The tests wait more than they compute, so one process more than two cores pays. In the order of their
# folders the long files come first, and many small ones fill up the end.
test: PROCESSES := 3
# Each process has a core to itself at the most: threads of linear algebra would wait for each other.
test: export OPENBLAS_NUM_THREADS := 1
test: $(READY) ## every test, on real Kafka and Postgres (ARGS="-k routing")
	@exec $(BIN)/python -m pytest --numprocesses=$(PROCESSES) --dist=loadfile --no-loadscope-reorder $(ARGS)

test-compiled: $(READY) ## the gateway's tests against the gateway as it ships: compiled (needs a C compiler)
	@packages=$$($(BIN)/python -m benchmarks.gateway.environments) && \
		HEADGATE_TEST_COMPILED=1 PYTHONPATH=$$packages PYTHONSAFEPATH=1 $(BIN)/python -m pytest \
		--numprocesses=2 --dist=loadfile --import-mode=append tests/unit/gateway tests/integration/gateway $(ARGS)

wheel: $(READY) ## the package as it ships, into dist/: compiled if there is a C compiler
	@exec $(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

roles: $(READY) ## docs/roles.md: which key may do what, asked of the running product
	@HEADGATE_WRITE_ROLES=1 $(BIN)/python -m pytest -q tests/integration/access/test_matrix.py

characteristics: $(READY) ## the self-test of the statistics (ARGS=--quick)
	@exec $(BIN)/headgate characteristics $(ARGS)

lint: $(READY) ## formatting, rules, types and layers
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## format, and fix what can be fixed by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

counting-bench: $(READY) ## what an outcome costs a worker, with one experiment and with 1,000 (ARGS="--json")
	@exec $(BIN)/python -m benchmarks.counting $(ARGS)

evaluation-bench: $(READY) ## how long an evaluation takes: a day of minutes, five metrics (ARGS="--repeat 300")
	@exec $(BIN)/python -m benchmarks.evaluation $(ARGS)

loop-bench: $(READY) ## from a bad answer to the rollback: how long the whole loop takes
	@exec $(BIN)/python -m benchmarks.loop $(ARGS)

bench-gateway: $(READY) ## CPU per request, next to TensorZero, Envoy and bare relays (ARGS="--json")
	@exec $(BIN)/python -m benchmarks.gateway $(ARGS)

limits-bench: $(READY) ## three gateways, a real Kafka, twice the limit for a minute: what is admitted (ARGS="--json")
	@exec $(BIN)/python -m benchmarks.limits $(ARGS)

bench-shadow: $(READY) ## latency of a route with a shadow that answers, hangs, fails or floods (ARGS="--json")
	@exec $(BIN)/python -m benchmarks.shadow $(ARGS)

lock: $(READY) ## bring the locks in line with pyproject.toml, and Kafka's jars (needs uv; ARGS=--upgrade)
	@command -v uv >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 $(ARGS) \
		--extra analysis --extra embedded --extra dev pyproject.toml -o requirements-dev.lock
	uv pip compile --quiet --universal --generate-hashes --no-header --python-version 3.11 $(ARGS) \
		-c requirements-dev.lock pyproject.toml -o requirements.lock
	$(BIN)/python -m services.embedded.relock

clean: ## remove the virtual environment and every cache (not the data of `make dev`)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
