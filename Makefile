# Two commands need nothing done before: `make run` and `make test`.
# They make .venv from PYTHON (3.11 or newer, with the venv module) and install this project into it.

# The first of these that runs and is new enough; a version manager's stub may exist and not run.
PYTHON ?= $(shell for each in python3 python3.13 python3.12 python3.11; do \
  $$each -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
  && echo $$each && break; done || true)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
RUN ?=

# Property tests try the same examples each time. HYPOTHESIS_PROFILE=random makes them try others,
# as the long search of `make histories` does unless it is told otherwise.
LONG_PROFILE = HYPOTHESIS_PROFILE=$${HYPOTHESIS_PROFILE:-random}

.PHONY: docs coverage test-cluster strimzi strimzi-faults run test lint test-fast kubernetes kubernetes-down kubernetes-kind kubernetes-packages browser-packages series transactions starts repeats members kills workers histories oracles mutated mutants bench old-against-new compare-power workflows growth clean help

help:  ## what can be made
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-19s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: $(STAMP)  ## every built-in profile under the default experiments, judged
	@$(BIN)/harness run $(RUN)

# The linter and the tests without brokers share two cores; those with brokers want both.
test: $(STAMP)  ## linter, type checker and every test but the long series
	@$(MAKE) --no-print-directory -j2 lint test-fast
	@$(MAKE) --no-print-directory test-cluster
	$(BIN)/python -m pytest -m "kubernetes and not long"

test-fast: $(STAMP)  ## the tests that need no broker
	$(BIN)/python -m pytest -n 2 -m "not long and not cluster and not kubernetes"

test-cluster: $(STAMP)  ## the tests on real local brokers
	$(BIN)/python -m pytest -m "cluster and not long"

# The property tests are a part of it, so it takes as long as test-fast does on one core.
coverage: $(STAMP)  ## how much of the pure layers (record to judge) the tests without brokers run
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -m "not long and not cluster and not kubernetes"
	$(BIN)/coverage report

docs: $(STAMP)  ## the documentation as a site, with the library's reference; a warning is an error
	@$(BIN)/python -c 'import mkdocs, material, mkdocstrings' 2>/dev/null || $(BIN)/pip install --quiet -c constraints.txt -e '.[docs]'
	PYTHONPATH=. NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

series: $(STAMP)  ## ten runs of the default experiments with different seeds, and ten of no_fault
	$(BIN)/python -m tests.series.default_experiments $(SERIES)

strimzi: $(STAMP)  ## every producer profile on Kafka pods that end: three faults, three seeds each
	$(BIN)/python -m tests.series.strimzi $(STRIMZI)

strimzi-faults: $(STAMP)  ## the longer tests on Kafka pods: zones, controllers, rolls, the operator
	$(BIN)/python -m pytest -m "kubernetes and long"

transactions: $(STAMP)  ## transactions in trouble: coordinators killed and moved at each step, producers that die
	$(BIN)/python -m tests.series.transactions $(TRANSACTIONS)

members: $(STAMP)  ## consumers under kills, pauses and coordinator moves, ten seeds
	$(BIN)/python -m tests.series.members $(MEMBERS)

starts: $(STAMP)  ## a warm start of three brokers takes less than eight seconds
	$(BIN)/python -m pytest -m long tests/cluster/test_brokers_cluster.py

repeats: $(STAMP)  ## repeated runs and their aggregate
	$(BIN)/python -m pytest -m long tests/cluster/test_statistics_cluster.py

kills: $(STAMP)  ## SIGKILL of load, reader and harness in mid-run, ten times each
	$(BIN)/python -m tests.series.kills $(KILLS)

workers: $(STAMP)  ## SIGKILL of a load worker in mid-run, twenty times
	$(BIN)/python -m tests.series.workers $(WORKERS)

histories: $(STAMP)  ## anomalies planted in 10,000 random histories: all of them found, and nothing else
	$(LONG_PROFILE) $(BIN)/python -m pytest -m long tests/unit/test_generated_histories.py --timeout 7200

oracles: $(STAMP)  ## 5,000 random histories, judged by the harness and by oracles written from the page alone
	$(BIN)/python -m tests.series.oracles $(ORACLES)

mutated: $(STAMP)  ## 10,000 histories and 1,000 run directories, changed: refused, or judged rightly?
	$(BIN)/python -m tests.series.mutated_input $(MUTATED)

mutants: $(STAMP)  ## the rules changed one at a time: is every change caught by a test?
	$(BIN)/python -m tests.series.mutants $(MUTANTS)

bench: $(STAMP)  ## load and verification beside Kafka's own performance tools
	$(BIN)/harness bench --json reports/runs/bench.json $(BENCH)

old-against-new: $(STAMP)  ## CPU time a record beside an earlier checkout: OLD=path/to/it
	$(BIN)/python -m tests.series.old_against_new $(OLD)

compare-power: $(STAMP)  ## comparisons of the same code, and with a slowdown planted: what is called worse?
	$(BIN)/python -m tests.series.compare_power $(POWER)

workflows:  ## the workflows that users copy, and the project's own, read by actionlint (needs Go)
	go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 docs/ci/github.yml .github/workflows/ci.yml

growth: $(STAMP)  ## load and verification of one, ten and a hundred million records
	$(BIN)/harness bench --only footprint --growth 100000000 --json reports/runs/growth.json

kubernetes: $(STAMP)  ## a Kubernetes with Kafka on this machine that stays, for trying things; prints its KUBECONFIG
	@$(BIN)/python -m tests.kubernetes.lab.developer up kafka

kubernetes-down: $(STAMP)  ## remove that Kubernetes, and wait until it is gone
	@$(BIN)/python -m tests.kubernetes.lab.developer down

kubernetes-kind: $(STAMP)  ## the tests of Strimzi on kind with the real operator (docker, kind, helm, kubectl)
	@$(BIN)/python -m tests.kubernetes.lab.kind

kubernetes-packages: $(STAMP)  ## install the Debian packages that a node of Kubernetes needs (root)
	@$(BIN)/python -m tests.kubernetes.lab.packages

browser-packages: $(STAMP)  ## install Debian's Chromium, which the tests in a browser need (root)
	@$(BIN)/python -m tests.support.browser

$(STAMP): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or newer with its venv module is needed, and none was found. On Debian and Ubuntu:" >&2; \
	  echo "apt-get install python3-venv. Or name one: make PYTHON=/path/to/python3.11 …" >&2; exit 4; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,k8s,browser,metrics,otlp]' >&2
	@touch $(STAMP)

clean:  ## remove .venv and what runs left behind
	rm -rf $(VENV) build *.egg-info reports/runs
