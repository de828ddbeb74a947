# From a fresh clone: Python 3.11 or newer, make and a package index are all that is needed.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed
BROWSERS := chromium chromium-browser google-chrome
FAST := $(addprefix tests/,close runs criteria plan report approval backup bulk_delete restore cli deployments model) \
    $(wildcard tests/test_*.py)

.DEFAULT_GOAL := help

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## make the virtual environment .venv, with lead-cleanup in it

demo: $(INSTALLED)  ## clean up a made-up organisation on this machine, with nothing to set up
	@$(BIN)/lead-cleanup demo

up: $(INSTALLED)  ## start a server, a worker and a stand-in for Close, with a first dry run to look at (REAL=1, PORT=4201)
	@$(BIN)/python -m deployments.up $(if $(REAL),--real) $(if $(PORT),--port $(PORT))

# These start hundreds of processes: none compiles again what another has, however this machine is set.
test test-system test-all check matrix bench: export PYTHONDONTWRITEBYTECODE :=

test: $(INSTALLED)  ## run the tests: a Prefect server, the sandbox and processes, for real
	$(BIN)/pytest --numprocesses 4 --dist loadgroup --no-loadscope-reorder -m "not exhaustive and not system"

test-system: $(INSTALLED) browser postgresql  ## run the tests with workers, a browser and PostgreSQL, and install the latter two
	$(BIN)/pytest --numprocesses 3 --dist loadgroup -m "system and not exhaustive"

test-all: $(INSTALLED) browser postgresql  ## run what make test leaves out as well; about an hour
	$(BIN)/pytest --numprocesses 3 --dist loadgroup

# What needs these two is all that installs on the system. Where one is still missing, its tests fail and say so.
browser:  ## install Chromium, if there is no browser, by apt-get, as root
	-@for name in $(BROWSERS); do command -v $$name >/dev/null && exit; done; \
	[ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || { apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null; }

postgresql:  ## install PostgreSQL, if there is none, by apt-get, as root
	-@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || \
	[ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null || { apt-get update -qq && \
	    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends postgresql >/dev/null; }

matrix: $(INSTALLED)  ## write tests/faults/MATRIX.md again, by running every row
	UPDATE_MATRIX=1 $(BIN)/pytest tests/faults/test_matrix.py tests/faults/test_terminal.py \
	    tests/deployments/test_faults.py

screenshots: $(INSTALLED)  ## take the pictures of the documentation again, in a browser
	$(BIN)/python -W ignore docs/screenshots.py

# About half an hour; with BENCH_ORGANIZATIONS=10,30,100 longer. An idle machine gives figures worth keeping.
bench: $(INSTALLED)  ## measure what cleanups cost, and write tests/bench/BENCHMARKS.md
	PYTHONPATH=tests $(BIN)/python -W ignore -m bench $(SUBJECTS)

check: $(INSTALLED)  ## run the fast part: lint, types, and the tests that start nothing but themselves
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	@$(MAKE) --no-print-directory --jobs 2 types fast

types: $(INSTALLED)
	$(BIN)/pyright

fast: $(INSTALLED)
	$(BIN)/pytest --numprocesses 2 -m "not server and not exhaustive" $(FAST)

fix: $(INSTALLED)  ## format, and fix what the linter can fix
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# The bucket buffer lets the automations find runs that fell silent while the server was away too, for up to seven days.
# Leases in files let a concurrency limit's slot whose holder died come free although the server was restarted.
# Steps of runs are stored in batches: on SQLite, each that is stored alone may hold up another request for two seconds.
server: $(INSTALLED)  ## start a Prefect server on this machine
	PREFECT_SERVER_ANALYTICS_ENABLED=false PREFECT_SERVER_EVENTS_EXPIRED_BUCKET_BUFFER=P7D \
	    PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE=prefect.server.concurrency.lease_storage.filesystem \
	    PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE=50 \
	    $(BIN)/prefect server start

deploy: $(INSTALLED)  ## deploy prefect.yaml and organizations.yaml, with their keys (PRUNE=1, REPLACE_KEY=1, ORGANIZATION=name)
	@$(BIN)/python -m deployments $(if $(PRUNE),--prune) $(if $(REPLACE_KEY),--replace-key) \
	    $(if $(ORGANIZATION),--organization "$(ORGANIZATION)")

offboard: $(INSTALLED)  ## remove an organisation: its deployments, key and entry (ORGANIZATION=name)
	@$(BIN)/python -m deployments offboard "$(ORGANIZATION)"

worker: $(INSTALLED)  ## run what is scheduled
	$(BIN)/prefect worker start --pool lead-cleanup

lock: $(INSTALLED)  ## renew requirements.lock: upgrading is a decision, so read the difference
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate --group dev --upgrade \
	    pyproject.toml --output-file requirements.lock

clean:  ## remove the virtual environment and caches
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis *.egg-info

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed; name it: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --requirement requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@

.PHONY: help install demo up test test-system test-all browser postgresql matrix bench check types fast fix server deploy offboard worker \
    screenshots lock clean
