# Each target does its own set-up. Everything made lands in this folder: .venv holds the packages and the caches.

PYTHON ?= python3
ARGS ?=

VENV := .venv
PY   := $(VENV)/bin/python
PIP  := $(PY) -m pip --disable-pip-version-check --quiet --no-input

# Kept out of the home folder, which may be missing or read-only; pip keeps its own, shared cache.
RUN  := XDG_CACHE_HOME='$(CURDIR)/$(VENV)/cache' MPLCONFIGDIR='$(CURDIR)/$(VENV)/cache/matplotlib'

MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.NOTPARALLEL:
.DEFAULT_GOAL := help
.PHONY: help report report-committed test soak test-arm64 hosts lowest newest lint docs dist mutants bench bench-pytest bench-compare clean

help:  ## list the targets
	@echo 'make TARGET [ARGS="..."] [PYTHON=python3.12]'
	@sed -n 's/^\([a-z0-9-]*\):.*  ## /\1  /p' Makefile | while read -r name text; do printf '  %-15s%s\n' "$$name" "$$text"; done

report: $(VENV)/.installed-base  ## run the main job, print its verdict and write the report to build/report
	@$(RUN) $(PY) -m fastsmc report $(ARGS)

report-committed: $(VENV)/.installed-base  ## the same into reports/scaling, which is kept with the code
	@$(RUN) $(PY) -m fastsmc report --out reports/scaling $(ARGS)

test: lint  ## what has to pass before a commit, in minutes: lint, tests, doc examples, benchmarks once
	@$(RUN) $(PY) -m pytest -n 2 --dist worksteal $(ARGS)

soak: $(VENV)/.installed-browser  ## the long tests: every id, real QEMU, long runs; each says what it adds to `make test`
	@$(RUN) $(PY) -m pytest -n 2 --dist worksteal -m soak $(ARGS)

test-arm64: $(VENV)/.installed-test  ## a part of the tests on an emulated arm64 CPU, and its bytes beside x86-64's; ARGS=--all: more
	@$(RUN) $(PY) -m tools.arm64 $(ARGS)

# What depends on other packages or on Python itself, a part of it, in minutes; ARGS names other tests, ARGS=tests all.
COMPANIONS := $(addprefix tests/,calls cli/test_app.py cli/test_migrate_check.py cli/test_simulate.py \
              dispatcher/test_answers.py dispatcher/test_batch.py files fleet/test_filters.py jit/test_threads.py \
              reporting results scenario whole/test_bench.py whole/test_examples.py whole/test_layers.py \
              test_vm.py test_kernels.py)

lowest: $(VENV)/lowest/.installed  ## tests with the lowest versions that pyproject.toml allows
	@XDG_CACHE_HOME='$(CURDIR)/$(VENV)/lowest/cache' MPLCONFIGDIR='$(CURDIR)/$(VENV)/lowest/cache' \
	    $(VENV)/lowest/bin/python -m pytest -n 2 --dist worksteal $(or $(ARGS),$(COMPANIONS))

newest: $(VENV)/newest/.installed  ## tests on the newest Python that is installed, with the newest versions allowed
	@XDG_CACHE_HOME='$(CURDIR)/$(VENV)/newest/cache' MPLCONFIGDIR='$(CURDIR)/$(VENV)/newest/cache' \
	    $(VENV)/newest/bin/python -m pytest -n 2 --dist worksteal $(or $(ARGS),$(COMPANIONS))

hosts: $(VENV)/.installed-base  ## ask the KVM of Debian's kernels on emulated hosts: ARGS="7.2 --add", or --list
	@$(RUN) $(PY) -m tools.hosts $(ARGS)

docs: $(VENV)/.installed-docs  ## the pages as a site in build/docs, without a warning
	@$(RUN) $(PY) -m sphinx -q -E -a -W --keep-going -b html docs build/docs $(ARGS)
	@echo 'wrote build/docs/index.html'

dist: $(VENV)/.installed-test  ## wheel and sdist into dist/
	@rm -rf dist
	@$(PY) -m build --no-isolation --outdir dist . >/dev/null
	@ls dist/*

mutants: $(VENV)/.installed-test  ## break one rule at a time, and see that the tests notice; ARGS=--resume goes on
	@$(RUN) $(PY) -m tools.mutate $(ARGS)

lint: $(VENV)/.installed-test  ## ruff, mypy and the layers
	@$(PY) -m ruff check --quiet
	@$(PY) -m ruff format --check --quiet || { echo 'ruff format: run $(PY) -m ruff format'; exit 1; }
	@$(PY) -m mypy
	@layers=$$($(VENV)/bin/lint-imports --no-logo) || { echo "$$layers"; exit 1; }

bench: $(VENV)/.installed-test  ## time dispatch side by side with C, NumPy and Python; bench/README.md
	@$(RUN) $(PY) -m bench.side_by_side $(ARGS)

bench-pytest: $(VENV)/.installed-test  ## time our own code over its scale axes with pytest-benchmark
	@$(RUN) $(PY) -m pytest bench --benchmark-enable $(ARGS)

bench-compare: $(VENV)/.installed-base  ## compare two results: A=old.json B=new.json ARGS="--fail-if 10%"
	@$(RUN) $(PY) -m bench.compare $(A) $(B) $(ARGS)

clean:  ## remove what the other targets made, .venv included
	@rm -rf $(VENV) build dist .mutants .benchmarks .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are as new as pyproject.toml or newer, so that a second run installs nothing and needs no network.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "fastsmc needs Python 3.11 or newer; '$(PYTHON)' is $$($(PYTHON) --version 2>/dev/null || echo missing)."; \
	    echo 'Name another one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12'; exit 1; } >&2
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "'$(PYTHON)' cannot make virtual environments: install its venv module (Debian, Ubuntu: python3-venv)."; \
	    exit 1; } >&2
	@$(PYTHON) -m venv --clear $(VENV)
	@touch $@

$(VENV)/.installed-base: pyproject.toml $(VENV)/.created
	@echo 'installing fastsmc into $(VENV) (the first time only, about a minute)' >&2
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml $(VENV)/.created
	@echo 'installing fastsmc and its test tools into $(VENV) (the first time only, about a minute)' >&2
	@$(PIP) install --editable '.[test]'
	@touch $(VENV)/.installed-base $@

$(VENV)/.installed-browser: $(VENV)/.installed-test
	@echo 'installing what drives a browser into $(VENV) (the first time only)' >&2
	@$(PIP) install --editable '.[test,browser]' || echo 'it cannot be installed: the pages are not looked at in a browser' >&2
	@touch $@

$(VENV)/.installed-docs: pyproject.toml $(VENV)/.created
	@echo 'installing fastsmc and Sphinx into $(VENV) (the first time only, about a minute)' >&2
	@$(PIP) install --editable '.[docs]'
	@touch $(VENV)/.installed-base $@

$(VENV)/lowest/.installed: pyproject.toml tools/lowest.py $(VENV)/.created
	@echo 'installing the lowest versions into $(VENV)/lowest (the first time only, about a minute)' >&2
	@$(PYTHON) -m venv --clear $(VENV)/lowest
	@$(PY) -m tools.lowest > $(VENV)/lowest/constraints.txt
	@$(VENV)/lowest/bin/python -m pip --disable-pip-version-check --quiet --no-input install \
	    --constraint $(VENV)/lowest/constraints.txt --editable '.[test]'
	@touch $@

# The newest of those on PATH and those that pyenv keeps; the Python that made .venv, where no newer one runs.
NEWEST = $(shell for n in 14 13 12; do \
             for python in python3.$$n "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/3.$$n.*/bin/python; do \
                 $$python -c 'import ensurepip, venv' 2>/dev/null && echo $$python && exit; done; done)

$(VENV)/newest/.installed: pyproject.toml $(VENV)/.created
	@echo 'installing the newest versions into $(VENV)/newest (the first time only, about a minute)' >&2
	@$(or $(NEWEST),$(PYTHON)) -m venv --clear $(VENV)/newest
	@$(VENV)/newest/bin/python -m pip --disable-pip-version-check --quiet --no-input install --editable '.[test]'
	@touch $@

.PHONY: modelled
modelled: $(VENV)/.installed-test  ## cycles of the wide kernels' loops on CPUs that are not here, modelled; needs llvm-mca
	@$(RUN) $(PY) -m tools.modelled $(ARGS)
