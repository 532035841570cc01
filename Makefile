# The two commands are `make evolve` and `make test`; each sets up what it needs in .venv first, once.
#
#   make evolve ARGS="market=sp500 seed=1"   one study; ARGS go to `arena evolve` as they are
#   make test                                every check that CI runs
#   make test ARGS="tests/markets -k fill"   the same, with pytest's own arguments
#   make format                              lay out the code as the checks want it
#   make vendor                              fetch the report's drawing library anew (wants npm)
#   make screenshots                         take the README's pictures of the report anew, of a run of a few minutes
#   make constraints                         resolve all dependencies anew into constraints.txt
#   make clean                               remove .venv and every cache; runs/ stays
#
# PYTHON=/path/to/python chooses the interpreter that .venv is made with.

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
ARGS ?=
WORKERS ?= 2

# Compiled programs are kept: tests that compile alike, on either worker and in processes of their own, share them, and
# so does the next run. CI begins without any, since a fresh clone has none.
XLA_CACHE := JAX_COMPILATION_CACHE_DIR="$(CURDIR)/.pytest_cache/xla" JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0.1

# The first of these that runs, is new enough and can make virtual environments.
CANDIDATES = $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python3.14 python)
SUITABLE = import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.PHONY: help evolve test format screenshots vendor constraints clean
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \{0,1\}//p' Makefile | sed '/^PYTHON=/q'

evolve: $(VENV)/.installed-run
	@$(BIN)/arena evolve $(ARGS)

test: $(VENV)/.installed-dev
	@$(BIN)/ruff format --check --quiet . || { echo "make format lays the code out as wanted" >&2; exit 1; }
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports --no-logo
	@$(XLA_CACHE) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

format: $(VENV)/.installed-dev
	@$(BIN)/ruff check --fix --exit-zero --quiet .
	@$(BIN)/ruff format .

# What vendor.json names, from the official package alone; another version is its `version`, `integrity` and `sha256`.
VENDOR := experiments/report/vendor
said = $(shell sed -n 's/^ *"$(1)": "\(.*\)",\{0,1\}$$/\1/p' $(VENDOR)/vendor.json)

vendor:
	@rm -rf build/vendor && mkdir -p build/vendor
	@cd build/vendor && npm pack --silent '$(call said,name)@$(call said,version)' >/dev/null
	@test "sha512-$$(openssl dgst -sha512 -binary build/vendor/*.tgz | openssl base64 -A)" = '$(call said,integrity)' || \
		{ echo "the package is not the one that $(VENDOR)/vendor.json names; nothing was changed" >&2; exit 1; }
	@tar -xzf build/vendor/*.tgz -C build/vendor
	@cp build/vendor/package/dist/$(call said,file) build/vendor/package/LICENSE build/vendor/package/NOTICE $(VENDOR)
	@cp build/vendor/package/licenses/* $(VENDOR)/licenses
	@rm -rf build/vendor

screenshots: $(VENV)/.installed-dev
	@mkdir -p docs/images
	@$(XLA_CACHE) ARENA_SCREENSHOTS="$(CURDIR)/docs/images" \
		$(BIN)/python -m pytest tests/experiments/report/browser/test_report_pictures.py --timeout 3600

# An environment of its own, so that only what our own bounds ask for decides.
constraints: $(VENV)/.installed-dev
	@rm -rf build/constraints && $(BIN)/python -m venv build/constraints
	@build/constraints/bin/python -m pip --disable-pip-version-check --no-input install -qq '.[dev,live,nautilus,oracles,trees]'
	@{ sed -n '/^#/p' constraints.txt; build/constraints/bin/python -m pip list --format=freeze \
		--exclude pip --exclude setuptools --exclude lineage-arena | LC_ALL=C sort -f; } > build/constraints.txt
	@mv build/constraints.txt constraints.txt && rm -rf build/constraints

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

# What is installed is said by stamps, so that nothing is fetched again until the requirements change. The development
# environment holds all that a run needs.
$(VENV)/.installed-run: pyproject.toml constraints.txt
	@$(call install,.)
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt
	@$(call install,.[dev$(comma)live$(comma)nautilus$(comma)oracles$(comma)trees])
	@touch $(VENV)/.installed-run $@

comma := ,

# $(call install,WHAT): make or mend .venv, then install WHAT into it at the versions of constraints.txt. Byte code is
# made of what is imported when it first is, not of everything beforehand, most of which never is.
define install
if ! $(BIN)/python -c 'import pip' 2>/dev/null; then \
	for candidate in $(CANDIDATES); do \
		if "$$candidate" -c '$(SUITABLE)' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$${found:-}" ]; then \
		echo "no Python 3.11 or newer with the venv module was found; name one with PYTHON=/path/to/python" >&2; exit 1; \
	fi; \
	"$$found" -m venv --clear $(VENV) || exit 1; \
fi; \
echo "installing into $(VENV) (once; this takes a few minutes)" >&2; \
$(PIP) install -qq --no-compile --constraint constraints.txt --editable '$(1)'
endef
