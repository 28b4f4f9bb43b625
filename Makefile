# `make` alone prints the targets.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
PROGRAMS := .venv-programs
PROGRAMS_NODE := tests/programs/node
BIN := $(VENV)/bin
CODE := app tests wsgi.py deploy
# The lock names everything, so nothing is resolved: pip takes a newer release than the locked one for a package
# that another asks for with an extra, and then refuses it for having no hash.
PIP := $(BIN)/python -m pip install --disable-pip-version-check --no-deps --require-hashes
# The one requirement that is compiled where it is installed; gunicorn does without it, more slowly.
PARSER := /^gunicorn-h1c==/,/[^\\]$$/
.DEFAULT_GOAL := help
# So many tests run side by side, each on gateways and simulators of its worker; WORKERS=0 runs one after the
# other. Each worker has its share in the order of the files, and whoever is done first takes of the rest.
WORKERS ?= 2
SHARED := -n $(WORKERS) --dist worksteal
# The tests start some hundred processes: none of them shall compile all modules for itself.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

.PHONY: run
run: install ## start the gateway on offline simulators and print a line to try
	@exec $(BIN)/tokens run

.PHONY: install
install: $(VENV)/runs ## set up .venv and the `tokens` program, nothing else

.PHONY: test
test: $(VENV)/tests ## set up what is needed and run every test
	$(BIN)/python -m pytest $(SHARED) $(ARGS)
	@echo 'Left out: client programs such as Codex CLI and LangChain; "make programs" runs them.'

.PHONY: quick
quick: $(VENV)/tests ## run the tests that start no process: most of them, in a minute or two
	$(BIN)/python -m pytest $(SHARED) -m 'not slow' $(ARGS)

.PHONY: programs
programs: $(VENV)/tests $(PROGRAMS)/ready $(PROGRAMS_NODE)/node_modules/ready ## install real client programs (1.2 GB) and run them against the gateway
	TESTS_NEED_EVERYTHING=1 $(BIN)/python -m pytest tests/programs $(ARGS)

# The end-to-end tests drive a gateway in processes of its own, which coverage does not see: the figure
# for all of it is what the other tests reach alone.
.PHONY: check
check: lint ## what CI runs: format, lint, import contracts, types, tests with coverage
	$(BIN)/python -m pytest $(SHARED) --cov --cov-report= $(ARGS)
	$(BIN)/coverage report --include='app/wire/*,app/canonical/*' --fail-under=95 --format=total
	$(BIN)/coverage report --fail-under=88 --format=total

.PHONY: lint
lint: $(VENV)/tests ## format, lint, import contracts and types
	$(BIN)/black --quiet --check $(CODE) || { echo 'run "make format"'; exit 1; }
	$(BIN)/isort --quiet --check $(CODE) || { echo 'run "make format"'; exit 1; }
	$(BIN)/flake8 $(CODE)
	$(BIN)/lint-imports --config setup.cfg
	$(BIN)/mypy

.PHONY: format
format: $(VENV)/tests ## put the code into the form that `lint` wants
	$(BIN)/isort --quiet $(CODE)
	$(BIN)/black --quiet $(CODE)

.PHONY: matrix
matrix: $(VENV)/tests ## write docs/conformance.md from the tests
	$(BIN)/python -m pytest $(SHARED) -m feature --matrix

.PHONY: bench
bench: $(VENV)/runs ## measure the gateway beside nginx and beside no gateway at all (needs gcc); PEERS=litellm,portkey,mlflow adds those
	$(BIN)/python tests/bench/compare.py $(ARGS)
	$(BIN)/python tests/bench/pick.py

.PHONY: rehearsal
rehearsal: $(VENV)/tests ## do what deploy/install.md says on a Debian of its own under systemd (needs root, debootstrap, systemd-nspawn)
	$(BIN)/python -m tests.rehearsal

.PHONY: lock
lock: $(VENV)/tests ## write requirements.txt from setup.cfg; ARGS=--upgrade takes newer releases
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/python deploy/lock.py $(ARGS)

.PHONY: clean
clean: ## remove what was set up; data in var/ stays
	rm -rf $(VENV) $(PROGRAMS) .peers node_modules $(PROGRAMS_NODE)/node_modules build *.egg-info .mypy_cache .pytest_cache .hypothesis

# ---- set-up. A stamp file each, so that a second call takes no time.

$(VENV)/runs: requirements.txt setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
		{ echo 'Python 3.11 or newer is needed: install it, or name it with `make PYTHON=python3.12 ...`'; exit 1; }
	@touch . && test -w . || { echo "this folder cannot be written: $$PWD"; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo 'the venv module is missing: apt-get install python3-venv'; exit 1; }
	@test -x $(BIN)/python || { echo 'making .venv ...'; $(PYTHON) -m venv $(VENV); }
	@echo 'installing what the gateway needs ...'
	@sed '/^# ---- tests/,$$d' requirements.txt | sed '$(PARSER)d' > $(VENV)/runs.txt
	@sed -n '$(PARSER)p' requirements.txt > $(VENV)/parser.txt
	@$(PIP) --progress-bar on -r $(VENV)/runs.txt
	@$(PIP) --quiet -r $(VENV)/parser.txt >$(VENV)/parser.log 2>&1 || echo 'The HTTP parser in C could not be built, so gunicorn uses the one in Python: about 45 us more a request. "apt-get install gcc python3-dev" and "make clean install" change that.'
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -m compileall -q app deploy wsgi.py
	@touch $@

$(VENV)/tests: $(VENV)/runs
	@echo 'installing what the tests need ...'
	@sed '$(PARSER)d' requirements.txt > $(VENV)/tests.txt
	@$(PIP) --progress-bar on -r $(VENV)/tests.txt
	@if command -v npm >/dev/null; then npm ci --prefix tests/sdk/node --no-audit --no-fund --loglevel=error; \
		else echo 'npm is not here: the Node SDK tests will say so'; fi
	@touch $@

# The programs have an environment of their own: their requirements are none of the gateway's business.
$(PROGRAMS)/ready: tests/programs/requirements.txt
	@test -x $(PROGRAMS)/bin/python || $(PYTHON) -m venv $(PROGRAMS)
	@echo 'installing client programs from PyPI ...'
	@$(PROGRAMS)/bin/python -m pip install --disable-pip-version-check --quiet --no-deps --no-compile --require-hashes -r tests/programs/requirements.txt
	@touch $@

$(PROGRAMS_NODE)/node_modules/ready: $(PROGRAMS_NODE)/package-lock.json
	@echo 'installing client programs from npm ...'
	@npm ci --prefix $(PROGRAMS_NODE) --no-audit --no-fund --loglevel=error
	@touch $@
