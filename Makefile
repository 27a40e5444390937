# make run     a fresh checkout to a verdict; ARGS="..." passes options to `stress run`
# make test    everything that CI runs
# make STAGE   one stage of it: lint unit cluster dashboards explore airflow compose helm wheel; ARGS="..." passes options to pytest
# make test-compose
#              the stage compose with all that it needs: an engine, Compose v2, images
# make install .venv with .venv/bin/stress, and nothing more
# make fmt     format the code, and repair what ruff can
# make lock    the locks of the harness anew
# make help    this list
#
# Needs Python 3.11 or newer with venv and pip, and make. Everything else is installed here, from locks with hashes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=
LOCK := requirements/harness.txt
STAMP := $(VENV)/.installed-$(shell cat $(LOCK) pyproject.toml | cksum | cut -d' ' -f1)

STAGES := lint unit cluster dashboards explore airflow compose helm wheel

.PHONY: run test test-compose install lock fmt help $(STAGES)

run: install
	@$(BIN)/stress run $(ARGS)

install: $(STAMP)

# uv first, by pip and from its own lock: it installs the rest in a second where pip takes half a minute. What they print
# is shown only if something fails.
UV := PYTHONPATH=. $(BIN)/python -m stress.arms.uvtool
$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@{ $(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements/uv.txt \
	  && $(UV) pip sync --python $(BIN)/python --require-hashes --compile-bytecode $(LOCK) \
	  && $(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation --editable . ; \
	} > $(VENV)/install.log 2>&1 || { cat $(VENV)/install.log; exit 1; }
	@rm -f $(VENV)/.installed-* && touch $@

# The last line is the summary; nox's own exit code counts as well.
test: install
	@$(BIN)/nox --session $(STAGES); code=$$?; $(BIN)/python -m tests.summary $(STAGES) && exit $$code

$(STAGES): install
	@$(BIN)/nox --session $@ -- $(ARGS); code=$$?; $(BIN)/python -m tests.summary $@ && exit $$code

fmt: install
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

help:
	@sed -nE '/^#/!q; s/^# ?//p' Makefile

# Images that are not on the engine are made here, as stand-ins; `docker compose pull` first gets the official ones.
test-compose: install
	@.ci/engine
	@.ci/standins 3.2.1 3.3.2
	@$(MAKE) --no-print-directory compose

# Locks carry hashes and no index addresses. Releases of Airflow: .venv/bin/python -m stress.arms.relock
COMPILE := $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
  --no-emit-index-url --no-emit-find-links
lock: install
	@$(COMPILE) --group build --group dev pyproject.toml -o $(LOCK)
	@$(COMPILE) --constraints $(LOCK) pyproject.toml -o requirements/stress-image.txt
	@echo uv | $(COMPILE) --constraints $(LOCK) - -o requirements/uv.txt
