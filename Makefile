# Two commands for a fresh machine that has only Python and make: `make demo` and `make test`.
# Everything is installed into this folder.
PYTHON ?= python3
PYTHON313 ?= $(shell python3.13 --version >/dev/null 2>&1 && command -v python3.13)

# One more than there are cores: many tests wait for processes that they start.
JOBS ?= $(shell echo $$(($$(nproc 2>/dev/null || echo 2) + 1)))

# Each has an environment of its own: the collector depends on none of them.
PEERS := $(basename $(notdir $(wildcard benchmarks/peers/*.in)))

# Singer's targets, each in an environment of its own, too.
TARGETS := $(basename $(notdir $(wildcard tests/singer/targets/*.in)))

RUN := .venv-run/bin/python
DEV := .venv/bin/python
# The tests of a file stay together, as they share servers.
PYTEST := -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
ROOT := $(shell [ "$$(id -u)" = 0 ] && command -v apt-get)
NO_LINK = @[ ! -L $(@D) ] || { echo "$(@D) is a link, whose target would be emptied: remove the link" >&2; exit 1; }
PIP := -m pip install --quiet --disable-pip-version-check --require-hashes

# Tests start hundreds of processes, and each worker imports all tests: without bytecode each compiles everything again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-all test-slow test-313 check lint format lock azurite docs reference pictures bench compare bill audit image dist clean

help: ## what there is
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: .venv-run/ready ## the main job on the simulated API, end to end
	$(RUN) -m collector demo

# With COVERAGE=1 it fails if too few branches are run. The tests that take long are not needed for that.
test: .venv/ready ## most tests, in about four minutes; they need nothing but Python
	$(if $(COVERAGE),$(DEV) -m coverage erase)
	$(DEV) $(if $(COVERAGE),-m coverage run) $(PYTEST) -m "not slow"
	$(if $(COVERAGE),$(DEV) -m coverage combine --quiet)
	$(if $(COVERAGE),$(DEV) -m coverage report)

# With TESTED=1 without what `make test` has just run, and without coverage, which takes two minutes. Its tests wait even more.
test-all: .venv/ready ## all tests, with branch coverage: needs a database, a browser and more (see .ci/run)
	$(if $(TESTED),,$(MAKE) test COVERAGE=1)
	$(if $(PYTHON313),,@echo "no python3.13 on the PATH, nor in PYTHON313: all tests run on one version of Python")
	KILLS=$(or $(KILLS),200) SEEDS=$(or $(SEEDS),500) $(MAKE) test-slow JOBS=$$(($(JOBS) + 1))
	$(if $(ROOT),,@echo "no root or no apt-get: the image is not built, and its tests are left out")
	$(if $(PYTHON313)$(ROOT),$(MAKE) -j2 --output-sync=target $(if $(PYTHON313),test-313) $(if $(ROOT),image))

# On the newest Python that is there: the others have run on the oldest.
test-slow: .venv/ready $(TARGETS:%=.venv-targets/%/ready) $(if $(PYTHON313),.venv-313/ready .venv-focus/ready)
	$(if $(PYTHON313),.venv-313/bin/python,$(DEV)) $(PYTEST) -m "slow or scaled"

# Whole runs are among the slow tests. These are about what changes with Python: sockets, TLS, files, SQLite, processes.
test-313: .venv-313/ready ## the tests of the adapters on Python 3.13, where that is there
	.venv-313/bin/python $(PYTEST) -m "not slow" tests/adapters

check: lint test ## before a commit: format, lint, types, import rules, tests

lint: .venv/ready ## format, lint, types, import rules
	$(DEV) -m ruff format --check .
	$(DEV) -m ruff check .
	$(DEV) -m mypy
	.venv/bin/lint-imports

format: .venv/ready ## fix what can be fixed
	$(DEV) -m ruff format .
	$(DEV) -m ruff check --fix .

# With SITE=folder elsewhere.
docs: .venv-docs/ready ## the documents as a site, with a search, in build/site
	$(if $(SITE),,rm -rf build/site)
	.venv-docs/bin/python -m sphinx -W --keep-going -E -a -q -b html docs $(or $(SITE),build/site)
	.venv-docs/bin/python scripts/check_site.py $(or $(SITE),build/site)

reference: .venv/ready ## docs/reference/ and the schema of the chart's config, from the program
	$(DEV) -m scripts.reference

pictures: .venv/ready ## the documents' pictures, from the simulated API; needs Chromium, and npm for a new diagram
	$(DEV) -m scripts.pictures

azurite: .node/ready ## Azure's Blob Storage as a program, for slow tests; needs node and npm

.node/ready:
	@mkdir -p .node
	npm install --prefix .node --no-audit --no-fund --silent azurite@3.37.0
	@touch $@

bench: .venv/ready ## memory and speed, compared in one run; takes two hours, most of them for scale and waiting
	$(DEV) -m benchmarks.memory
	$(DEV) -m benchmarks.memory --ledger
	$(DEV) -m benchmarks.fat
	$(DEV) -m benchmarks.ledger
	$(DEV) -m benchmarks.places
	$(DEV) -m benchmarks.metrics
	$(DEV) -m benchmarks.speed
	$(DEV) -m benchmarks.soak
	$(DEV) -m benchmarks.idle
	$(DEV) -m benchmarks.greedy
	$(DEV) -m benchmarks.scale
	$(DEV) -m benchmarks.waiting
	$(MAKE) compare

# With ARGS="--turns 1 --only bare,collector" less of it, with ARGS=--write into docs/performance.md.
compare: .venv/ready .venv-run/ready $(PEERS:%=.venv-bench/%/ready) ## speed against other tools, in one run; needs nginx and wrk
	$(DEV) -m benchmarks.side_by_side --python $(CURDIR)/$(RUN) $(ARGS)

bill: .venv/ready ## what a nightly run of 100 and of 5,000 orgs costs
	$(DEV) -m benchmarks.bill

image: .venv/ready ## build the image, inspect it and run it, on a bare Debian machine as root
	scripts/image

dist: .venv/ready ## wheel, sdist and Helm chart
	rm -rf dist/usage_collector-* dist/usage-collector-*.tgz
	$(DEV) -m hatchling build -d dist
	$(DEV) -c 'import helm_python; helm_python.package("deploy/helm/usage-collector", destination="dist")'

audit: .venv/ready ## known vulnerabilities in what we install; fails if it can't find out
	$(DEV) scripts/audit.py

lock: .venv/ready ## make the hashed requirement files again
	scripts/lock

clean: ## remove what make has made
	rm -rf .venv .venv-run .venv-313 .venv-docs .venv-bench .venv-targets .venv-focus .node .mypy_cache .ruff_cache .hypothesis .coverage* build dist demo

.venv-run/ready: requirements/report.txt
	$(NO_LINK)
	$(PYTHON) scripts/check_python.py
	$(PYTHON) -m venv --clear .venv-run
	$(RUN) $(PIP) -r requirements/report.txt
	touch $@

.venv/ready: requirements/dev.txt pyproject.toml
	$(NO_LINK)
	$(PYTHON) scripts/check_python.py
	$(PYTHON) -m venv --clear .venv
	$(DEV) $(PIP) --no-compile -r requirements/dev.txt
	$(DEV) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

.venv-313/ready: requirements/dev.txt pyproject.toml
	$(NO_LINK)
	$(if $(PYTHON313),,$(error python3.13 is not on the PATH: set PYTHON313=/path/to/python3.13))
	$(PYTHON313) -m venv --clear .venv-313
	.venv-313/bin/python $(PIP) --no-compile -r requirements/dev.txt
	.venv-313/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

.venv-docs/ready: requirements/docs.txt
	$(NO_LINK)
	$(PYTHON) scripts/check_python.py
	$(PYTHON) -m venv --clear .venv-docs
	.venv-docs/bin/python $(PIP) -r requirements/docs.txt
	touch $@

.venv-targets/%/ready: tests/singer/targets/%.txt
	$(NO_LINK)
	$(PYTHON) -m venv --clear .venv-targets/$*
	.venv-targets/$*/bin/python $(PIP) -r $<
	touch $@

# FOCUS's validator doesn't run on Python 3.11.
.venv-focus/ready: tests/focus/validator.txt
	$(NO_LINK)
	$(PYTHON313) -m venv --clear .venv-focus
	.venv-focus/bin/python $(PIP) -r $<
	touch $@

.venv-bench/%/ready: benchmarks/peers/%.txt
	$(NO_LINK)
	$(PYTHON) -m venv --clear .venv-bench/$*
	.venv-bench/$*/bin/python $(PIP) -r $<
	touch $@
