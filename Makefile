# make demo          set up, and read a capture: nothing but make and a Debian machine is needed
# make test          set up, and pass the tests
# make check         the tests, ruff, mypy --strict and import-linter
# make check-kernel  the tests of the kernel, in a build with bounds checks and sanitisers
# make matrix        every scan, flood and kind of ordinary traffic, and what iplog says of each, as root
# make bench         how fast iplog reads, beside tcpdump and others
# make wheels        wheels and sdists of the core and every plugin, in dist/
# make check-wheels  install these as users do, with every Python of PYTHONS that is there, and pass the end-to-end tests
# make docs          the site of the documents, in build/site
# make clean         remove all that the others made
#
# PYTHON=python3.12 VENV=.venv312 take another Python.

PYTHON ?= python3
VENV ?= .venv
PYTHONS ?= python3.12 python3.13
SANITIZED := $(VENV)-sanitized

PLUGINS := $(patsubst %/pyproject.toml,%,$(wildcard plugins/*/pyproject.toml))
KERNEL := $(wildcard iplog_core/kernel/*.pyx iplog_core/kernel/*.pxd)
CORE := $(wildcard iplog_core/*.py iplog_core/*/*.py)
PIP := -m pip install --quiet --disable-pip-version-check
EDITABLE := --config-settings editable_mode=compat
# Tests may leave out annotations, not what follows from those that they have.
MYPY_TESTS := --allow-untyped-defs --allow-incomplete-defs --allow-untyped-calls --allow-untyped-decorators

demo: $(VENV)/.plugins
	$(VENV)/bin/iplog read tests/captures/demo.pcap

test: $(VENV)/.tools
	$(VENV)/bin/pytest -n 2

check: test
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/mypy iplog_core conftest.py $(foreach plugin,$(PLUGINS),$(plugin)/iplog_$(notdir $(plugin)))
	for tests in tests $(wildcard plugins/*/tests); do $(VENV)/bin/mypy $(MYPY_TESTS) $$tests || exit; done
	$(VENV)/bin/lint-imports

check-kernel: $(SANITIZED)/.core
	LD_PRELOAD="$$(cc -print-file-name=libasan.so) $$(cc -print-file-name=libubsan.so)" \
	ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	$(SANITIZED)/bin/pytest -m kernel tests

matrix: $(VENV)/.plugins
	@tools/system-packages matrix $(PYTHON)
	$(VENV)/bin/python -m bench.matrix

bench: $(VENV)/.plugins
	@tools/system-packages bench $(PYTHON)
	$(VENV)/bin/python -m bench

wheels: $(VENV)/.tools
	rm -rf dist $(foreach folder,. $(PLUGINS),$(folder)/build/lib* $(folder)/build/bdist* $(folder)/*.egg-info)
	for folder in . $(PLUGINS); do $(VENV)/bin/python -m build --no-isolation --outdir dist $$folder || exit; done

check-wheels: wheels
	$(VENV)/bin/python tools/check_wheels.py $(PYTHON) $(PYTHONS)

docs: $(VENV)/.tools
	$(VENV)/bin/sphinx-build --quiet --fail-on-warning --keep-going --conf-dir docs --doctree-dir build/doctrees . build/site
	@echo "The site: build/site/index.html"

clean:
	rm -rf build dist .venv* *.egg-info plugins/*/build plugins/*/*.egg-info iplog_core/kernel/*.so iplog_core/kernel/*.c
	rm -rf .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

# Set-up: one stamp for each step, so that a second run has nothing to do.

$(VENV)/.packages: tools/system-packages
	tools/system-packages run $(PYTHON)
	@mkdir -p $(@D)
	@touch $@

$(VENV)/.core: pyproject.toml setup.py $(KERNEL) | $(VENV)/.packages
	@echo "Building iplog in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/python $(PIP) $(EDITABLE) --editable .
	@touch $@

$(VENV)/.plugins: $(PLUGINS:%=%/pyproject.toml) | $(VENV)/.core
	@echo "Installing $(notdir $(PLUGINS)) ..."
	@$(VENV)/bin/python $(PIP) $(EDITABLE) $(PLUGINS:%=--editable ./%)
	@touch $@

$(VENV)/.tools: pyproject.toml tools/system-packages | $(VENV)/.plugins
	@echo "Installing the tools of the tests ..."
	@tools/system-packages test $(PYTHON)
	@$(VENV)/bin/python $(PIP) 'iplog[dev]'
	@touch $@

$(SANITIZED)/.core: pyproject.toml setup.py $(KERNEL) $(CORE) $(wildcard plugins/*/iplog_*/*.py) | $(VENV)/.packages
	@echo "Building iplog with sanitisers in $(SANITIZED) ..."
	@$(PYTHON) -m venv $(SANITIZED)
	@IPLOG_SANITIZE=1 $(SANITIZED)/bin/python $(PIP) '.[dev]' $(PLUGINS:%=./%)
	@touch $@

.PHONY: demo test check check-kernel matrix bench wheels check-wheels docs clean
