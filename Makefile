# One verb per task. Everything is set up on first use; nothing is installed outside this folder (and ~/.m2).
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready

.PHONY: help demo test test-deploy lint format bench bench-smoke quality chaos clean lock

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## / - /'

$(STAMP): pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "lanjie needs Python >= 3.11 with venv: got '$$($(PYTHON) --version 2>&1)'. Say: make PYTHON=/path/to/python3.11 ..."; exit 1; }
	@echo "setting up $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV) || { echo "python venv is missing; on Debian/Ubuntu: apt-get install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)   ## real Kafka, one worker, a real log through it, a summary (KEEP=1 leaves it running)
	@$(BIN)/lanjie demo $(if $(KEEP),--keep) $(if $(BOOTSTRAP),--bootstrap $(BOOTSTRAP))

test: $(STAMP)   ## unit, property, contract and integration tests (start their own Kafka; ARGS="-k dlq" for some)
ifdef ARGS
	@$(BIN)/pytest $(ARGS)
else
	@$(BIN)/pytest -m "not alone" --numprocesses 2 --dist loadfile
	@$(BIN)/pytest -m alone
	@$(BIN)/pytest tests/browser
endif

test-deploy: $(STAMP) ## containers, rules, dashboards, manifests; then the stack for real (Debian, as root; ARGS="-k 'not live'")
	@deploy/standin/install.sh
	@$(BIN)/pytest -m "deploy or not deploy" tests/deploy $(ARGS)

lint: $(STAMP)   ## ruff, mypy --strict, the four dependency contracts
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports --no-cache

format: $(STAMP) ## rewrite the sources in the house format
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

bench: $(STAMP)  ## the floor, the peers, latency, growth, memory -> tests/benchmarks/RESULTS.md (ARGS="--parts peers")
	@$(BIN)/python -m tests.benchmarks run $(ARGS)

bench-smoke: $(STAMP) ## two minutes: whether the ratios are still those of tests/benchmarks/results.json
	@$(BIN)/python -m tests.benchmarks smoke $(ARGS)

quality: $(STAMP) ## what is caught and who is troubled, on published data -> tests/benchmarks/QUALITY.md
	@$(BIN)/python -m tests.benchmarks.quality --date $$(date -u +%F) $(ARGS)

chaos: $(STAMP)  ## 20 minutes of faults under load, and what is left of the promises (ARGS="--short")
	@$(BIN)/python -m tests.chaos $(ARGS)

clean:           ## stop the local Kafka, remove everything that was made
	@test ! -x $(BIN)/lanjie || $(BIN)/lanjie dev kafka down
	@rm -rf $(VENV) .lanjie deploy/kafka-local/lib .mypy_cache .ruff_cache .pytest_cache .hypothesis

lock:            ## re-resolve requirements.lock from pyproject.toml (needs uv)
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --all-extras pyproject.toml -o requirements.lock
	@uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --extra otlp -c requirements.lock pyproject.toml -o deploy/docker/requirements.txt
	@printf 'hatchling>=1.27\nsetuptools>=80\n' | uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -c requirements.lock - -o deploy/docker/build.txt
