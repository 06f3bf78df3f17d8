# Two commands do all the set-up: `make run` (a throw-away node) and `make test` (everything that proves it).

PYTHON ?= python3
VENV := .venv
DIR ?= .demo
AUTH_PORT ?= 1812
ACCT_PORT ?= 1813
METRICS_PORT ?= 9812
LOGINS ?= 1000
PYTEST_ARGUMENTS ?=

.PHONY: help run test check soak bench example clean

help:
	@echo "make run     a throw-away node on 127.0.0.1, ports $(AUTH_PORT)/$(ACCT_PORT), with a PostgreSQL of its own in $(DIR)"
	@echo "             (AUTH_PORT=, ACCT_PORT=, METRICS_PORT=, LOGINS=, DIR=; Ctrl-C ends it, make run goes on with it)"
	@echo "make test    linters, types, import contracts and all tests"
	@echo "make check   linters, types and import contracts only"
	@echo "make soak    the long proofs"
	@echo "make bench   side by side with FreeRADIUS; writes bench/RESULTS.md"
	@echo "make example writes config/aaad.example.toml and docs/metrics.md anew from the declarations in the code"
	@echo "make clean   remove $(VENV), $(DIR) and what the tools leave"

run: $(VENV)/.installed-demo
	@exec $(VENV)/bin/python -m aaad demo --dir $(DIR) --auth-port $(AUTH_PORT) --acct-port $(ACCT_PORT) \
		--metrics-port $(METRICS_PORT) --logins $(LOGINS)

test: $(VENV)/.installed-dev
	@scripts/test $(VENV) $(PYTEST_ARGUMENTS)

check: $(VENV)/.installed-dev
	@scripts/check $(VENV)

soak: $(VENV)/.installed-dev
	$(VENV)/bin/python -m pytest -m soak --timeout 3600 $(PYTEST_ARGUMENTS)

bench: $(VENV)/.installed-dev
	$(VENV)/bin/python bench/run.py $(BENCH_ARGUMENTS)

example: $(VENV)/.installed-dev
	$(VENV)/bin/python -c 'from aaad.config import example_toml; print(example_toml(), end="")' > $(VENV)/example
	$(VENV)/bin/python -m aaad.daemon.metric_families > $(VENV)/metrics
	mv $(VENV)/example config/aaad.example.toml
	mv $(VENV)/metrics docs/metrics.md

$(VENV)/.installed-demo: pyproject.toml constraints.txt scripts/make-venv
	@PYTHON="$(PYTHON)" scripts/make-venv $(VENV) demo

$(VENV)/.installed-dev: pyproject.toml constraints.txt scripts/make-venv
	@PYTHON="$(PYTHON)" scripts/make-venv $(VENV) demo,dev
	@touch $(VENV)/.installed-demo

clean:
	@# Where nothing else serves, root's PostgreSQL lives below /var/tmp, and a link in its folder tells where.
	@case "$$(readlink $(DIR)/postgresql/data)" in /var/tmp/aaad-*/data) \
		rm -rf "$$(dirname "$$(readlink $(DIR)/postgresql/data)")" ;; esac
	rm -rf $(VENV) $(DIR) build dist *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
