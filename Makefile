# make run      a virtual environment in .venv, Ringfence in it, and the guard started without any configuration
# make install  only the environment and the installation
# make test     what the tests need, and all tests (as root nothing is skipped)
# make lint     ruff and mypy
# make bench    Ringfence side by side with its peers (as root for the parts that need a network namespace)
# make build    the wheel, in dist/
# make messages the texts of pages and warnings for translators, and the translations that there are, compiled
# make clean    remove what the above made
#
# Variables: PYTHON (an interpreter, 3.11 or newer), VENV (.venv), JOBS (tests at a time; twice the processors), ARGS (further arguments
# for the command, as in: make test ARGS="tests/parse -x").

SHELL := /bin/sh
VENV ?= .venv
# The tests with real servers mostly wait, so there are more of them at a time than processors.
JOBS ?= $(shell echo $$((2 * $$(nproc 2>/dev/null || echo 2))))
ARGS ?=

BIN := $(VENV)/bin
# Stamps: newer than what they were made from, so that the second time is quick.
INSTALLED := $(VENV)/.installed
WITH_TESTS := $(VENV)/.installed-dev
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: run install test lint bench build messages clean help

run: $(INSTALLED)
	@exec $(BIN)/ringfence run $(ARGS)

install: $(INSTALLED)
	@echo "installed: $(BIN)/ringfence"

test: $(WITH_TESTS)
	@packaging/test-packages
	@# An SSH session of who runs the tests would whitelist addresses that the tests ban.
	env -u SSH_CONNECTION -u SSH_CLIENT $(BIN)/python -m pytest -n $(JOBS) --no-loadscope-reorder -rs $(ARGS)

lint: $(WITH_TESTS)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(WITH_TESTS)
	$(BIN)/python -m bench.run $(ARGS)

LOCALE := src/ringfence/web/locale

messages: $(WITH_TESTS)
	@mkdir -p $(LOCALE)
	$(BIN)/pybabel --quiet extract --mapping-file=babel.cfg --output=$(LOCALE)/ringfence.pot --add-location=file \
	  --sort-by-file --width=120 --project=Ringfence --header-comment="# The texts of Ringfence's pages and warnings; see docs/translating.md." .
	@for file in $(LOCALE)/*/LC_MESSAGES/ringfence.po; do if [ -e "$$file" ]; then \
	  $(BIN)/pybabel --quiet update --domain=ringfence --input-file=$(LOCALE)/ringfence.pot --output-dir=$(LOCALE) --no-fuzzy-matching && \
	  $(BIN)/pybabel --quiet compile --domain=ringfence --directory=$(LOCALE); break; fi; done

build: $(WITH_TESTS)
	$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .

clean:
	rm -rf "$(VENV)" build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

help:
	@sed -n 's/^# \{0,1\}//p; /^$$/q' Makefile

# Editable: a change of the sources needs no new installation, a change of the dependencies does.
$(INSTALLED): pyproject.toml packaging/make-venv
	@packaging/make-venv "$(VENV)"
	@echo "installing Ringfence into $(VENV) …"
	@$(PIP) install --editable .
	@touch $@

$(WITH_TESTS): $(INSTALLED)
	@echo "installing what the tests need into $(VENV) …"
	@$(PIP) install --editable ".[dev]"
	@touch $@
