# edgeai.fleet: `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
COLLECTION := .build/ansible_collections/edgeai/fleet
export ORT_DISABLE_TELEMETRY := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Some images set it; then each of the many short-lived Pythons here would compile all that it imports anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help setup dev demo test lint sanity format test-runtime test-power test-power-sample test-switches \
	test-transfer fuzz test-plugins test-example test-benchmarks test-collection test-integration test-demo test-hosts \
	test-industrial-pc bench-serving bench-convert changelog locks clean

help: ## Say what can be typed
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.complete $(COLLECTION) ## Install what the workstation needs into .venv

$(VENV)/.complete: requirements.txt constraints.txt runtime/pyproject.toml tools/make_venv.sh
	@tools/make_venv.sh $(VENV)
	@touch $@

dev: setup $(VENV)/.dev ## Install what the tests need besides

$(VENV)/.dev: requirements-dev.txt $(VENV)/.complete
	@$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt --constraint constraints.txt
	@touch $@

$(COLLECTION):
	@mkdir -p $(@D) && ln -sfn ../../.. $@

demo: setup ## Run the whole job on this machine: bundle to rollback, three devices
	@$(BIN)/python tests/demo/walk.py

# Three at a time, for half of the time they wait: for playbooks, keepers, servers. The longest is the first;
# test-industrial-pc wants the machine.
TOGETHER := test-runtime lint test-demo test-collection sanity test-integration test-power-sample test-plugins \
	test-benchmarks test-example

test: dev ## Run every test
	@echo "What each of $(TOGETHER) says appears here when it has ended."
	@$(MAKE) --no-print-directory --jobs=3 --output-sync=target $(TOGETHER)
	@if tools/apart.sh true; then $(MAKE) --no-print-directory test-industrial-pc; \
	else echo "Not run: make test-industrial-pc, since hosts that run systemd take root and namespaces."; fi

lint: dev ## Check style, types, arrows between packages, playbooks
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy -p ansible_collections.edgeai.fleet.plugins
	$(BIN)/lint-imports --no-cache
	$(BIN)/python tools/role_docs.py --check
	$(BIN)/antsibull-changelog lint
	$(BIN)/ansible-lint --offline --profile production

sanity: dev ## Run ansible-test sanity, with nothing ignored
	@$(BIN)/python tools/test_sanity.py

format: dev ## Put the Python code into shape, and the tables of variables
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/python tools/role_docs.py

test-runtime: dev ## Test the runtime on every Python found among 3.8, 3.10, 3.11, 3.13
	@$(BIN)/python tools/test_runtime.py

test-power: dev ## Cut the power at every change on the disk in an update, on three media (about an hour)
	@$(BIN)/python tests/power

test-power-sample: dev ## The same at a point of each stage, on two media (a minute)
	@$(BIN)/python tests/power --points 1 --medium killed --medium "synced only"

test-switches: dev ## Switch model and runtime 50 times each under load; no request may be lost
	cd runtime && EDGEAI_SWITCHES=50 ../$(BIN)/python -m pytest -q -s tests/generations/test_under_load.py

test-transfer: dev ## Kill a download of 200 MB at 50 points and count what the depot sends (2 minutes)
	cd runtime && EDGEAI_TEST_SIZE=200000000 EDGEAI_TEST_CUTS=50 \
	  ../$(BIN)/python -m pytest -q -s tests/trust/test_killed.py

fuzz: dev ## Fuzz what reads requests for ten minutes (where .venv is Python 3.11 on x86_64)
	$(BIN)/python runtime/tests/fuzz/decoder.py -max_total_time=600 -max_len=4096 -rss_limit_mb=1024

test-plugins: dev ## Test modules, filters and callback on the oldest and the newest ansible-core
	@$(BIN)/python tools/test_plugins.py

test-example: dev ## Test the example's rendering and releases
	$(BIN)/python -m pytest -q tests/example

test-benchmarks: dev ## Test that the benchmark measures what it says
	$(BIN)/python -m pytest -q tests/benchmarks

test-collection: dev ## Build, install and run the collection as a user does, from an empty directory
	$(BIN)/python -m pytest -q tests/collection

test-integration: dev ## Run the playbooks on wrong input and on faults, on a small fleet of their own
	$(BIN)/python -m pytest -q tests/integration

test-industrial-pc: dev ## Run the life of an industrial PC on a host with systemd (Debian 12; needs root)
	@$(BIN)/python tools/test_hosts.py --limit 'all:!pc-debian13' industrial_pc

test-hosts: dev ## Run the other scenarios of molecule/ on hosts with systemd (needs root)
	@$(BIN)/python tools/test_hosts.py --limit 'all:!pc-debian12'

test-demo: setup ## Run the demo without a network and check its outcome
	@$(BIN)/python tests/demo/walk.py --isolated

bench-serving: setup ## Measure serving beside its peers (40 minutes; BENCH=--quick for one)
	@$(BIN)/python -m benchmarks.serving $(BENCH)

bench-convert: setup ## Measure what a conversion's search finds beside fixed ways (20 minutes)
	@$(BIN)/python -m benchmarks.converting $(BENCH)

changelog: dev ## Write CHANGELOG.md from the fragments
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/antsibull-changelog release --update-existing --refresh

locks: dev ## Resolve the wheels of every target again, and what the workstation's .venv holds
	$(BIN)/python runtime/locks/compile.py
	$(BIN)/uv pip compile --no-config --quiet --upgrade --universal --python-version 3.11 --no-annotate \
	  --no-emit-index-url --no-emit-find-links --custom-compile-command 'make locks' --output-file constraints.txt \
	  --extra workstation requirements.txt requirements-dev.txt runtime/pyproject.toml

clean: ## Stop local devices and remove what was made here (caches outside stay)
	@if [ -x $(BIN)/ansible-playbook ] && [ -d .edgeai ]; then $(BIN)/ansible-playbook -i inventories/local playbooks/remove.yml; fi
	rm -rf $(VENV) .venvs .build .cache/test-hosts .edgeai report examples/*/releases .mypy_cache .ruff_cache .pytest_cache
