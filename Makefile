# `make` alone prints what there is. Every target installs what it needs, into .venv and .cache here and into the
# user's cache folder for MicroPython, and a stamp file says that it is done.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
STUBS := .cache/stubs
# Unit of demo, simulate and flash: `make demo UNIT=b`.
UNIT ?= a
# Board of flash.
BOARD ?= rpi_pico
# Its kernel: viper, which the board compiles, or native, made here from C (needs what `make pico` builds).
KERNEL ?= viper
FLASH_ARGS ?=
PYTEST_ARGS ?=
FUZZ_ARGS ?=
SOAK_ARGS ?=
# As many workers as processors.
JOBS ?= auto

DEMO_STAMP := $(STAMPS)/demo
SIM_STAMP := $(STAMPS)/sim
TEST_STAMP := $(STAMPS)/test
FLASH_STAMP := $(STAMPS)/flash
PICO_STAMP := $(STAMPS)/pico
SCOPE_STAMP := $(STAMPS)/scope
BROWSER_STAMP := $(STAMPS)/browser
ACCEPT_STAMP := $(STAMPS)/accept
CHECK_STAMP := $(STAMPS)/check
DOCS_STAMP := $(STAMPS)/docs
MICROPYTHON_STAMP := $(STAMPS)/micropython

PYRIGHT := PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(BIN)/pyright
INSTALL := $(PYTHON) -m host_tools.environment

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

.PHONY: help
help: ## print this list
	@echo "eesm: motor control for externally excited synchronous machines"
	@echo
	@awk -F':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PYTHON=path       Python 3.11 or newer for .venv (default: python3)"
	@echo "  MICROPYTHON=path  a 32-bit MicroPython of your own instead of Debian's"
	@echo "  UF2=path          a MicroPython firmware of your own for the virtual Pico"

.PHONY: install
install: $(CHECK_STAMP) $(MICROPYTHON_STAMP) ## install everything for development into .venv
	@$(INSTALL) dev

.PHONY: demo
demo: $(DEMO_STAMP) $(MICROPYTHON_STAMP) ## boot the firmware on MicroPython, drive a simulated machine, make a report
	$(BIN)/eesm demo --unit $(UNIT)

.PHONY: simulate
simulate: $(SIM_STAMP) ## run the demo's scenario in one process, far faster than real time
	$(BIN)/eesm simulate --unit $(UNIT)

.PHONY: bench
bench: $(SIM_STAMP) $(MICROPYTHON_STAMP) ## measure the simulation beside plain CPython, and the link; writes build/bench/
	$(BIN)/python -m host_tools.bench
	$(BIN)/python -m host_tools.bench_link

.PHONY: accept
accept: $(ACCEPT_STAMP) ## measure the control law of units a, b, c against every requirement; build/accept.json
	$(BIN)/eesm accept

.PHONY: fault-campaign
fault-campaign: $(ACCEPT_STAMP) $(MICROPYTHON_STAMP) ## inject every fault into units a, b, c, claimed against measured; build/faults.json
	$(BIN)/python -m host_tools.campaign

.PHONY: mutate
mutate: $(TEST_STAMP) ## remove each protection in turn: the campaign or a test must notice; build/mutations.json
	$(BIN)/python -m tests.mutate

.PHONY: docs
docs: $(DOCS_STAMP) ## build the documents as pages: build/site/index.html
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo "eesm: build/site/index.html"

.PHONY: check
check: $(CHECK_STAMP) ## ruff and pyright, host and board code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(PYRIGHT)
	$(PYRIGHT) -p firmware/pyrightconfig.json

.PHONY: format
format: $(CHECK_STAMP) ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: test
test: $(TEST_STAMP) $(MICROPYTHON_STAMP) ## every test, in parallel; PYTEST_ARGS='-k wire -n0' for a few
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

.PHONY: fuzz
fuzz: $(TEST_STAMP) $(MICROPYTHON_STAMP) ## 10 million bytes and a million messages at the link; FUZZ_ARGS=--help; build/fuzz.json
	$(BIN)/python -m host_tools.fuzz $(FUZZ_ARGS)

.PHONY: fuzz-guided
fuzz-guided: $(TEST_STAMP) ## coverage-guided (atheris), until Ctrl-C; FUZZ_ARGS=-max_total_time=60 ends it sooner
	@$(INSTALL) fuzz
	$(BIN)/python -m host_tools.fuzz.coverage_guided $(FUZZ_ARGS)

.PHONY: soak
soak: $(TEST_STAMP) $(MICROPYTHON_STAMP) ## 24 h simulated, 1 h on MicroPython, hosts killed; 15 minutes at most; build/soak.json
	$(BIN)/python -m host_tools.soak $(SOAK_ARGS)

.PHONY: flash
flash: $(FLASH_STAMP) ## put the drive's software onto a board: make flash BOARD=rpi_pico UNIT=a KERNEL=native
	$(BIN)/eesm flash $(UNIT) --board $(BOARD) --kernel $(KERNEL) $(FLASH_ARGS)

.PHONY: pico
pico: $(PICO_STAMP) ## build MicroPython for the Raspberry Pi Pico and boot it on the virtual Pico
	$(BIN)/python -m host_tools.virtual_pico.prepare

.PHONY: demo-pico
demo-pico: pico ## the demo on a blank virtual Pico, flashed first; report in build/demo-pico
	$(BIN)/eesm demo --board rpi_pico --unit $(UNIT)

.PHONY: test-pico
test-pico: pico ## tests on the virtual Pico; PYTEST_ARGS as for test
	$(BIN)/python -m pytest tests/pico -n $(JOBS) --dist worksteal -m 'not full' $(PYTEST_ARGS)

.PHONY: test-pico-full
test-pico-full: pico ## the long ones too, power cuts at 50 moments of a flash among them
	$(BIN)/python -m pytest tests/pico -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

.PHONY: bench-pico
bench-pico: pico ## cycles, margins, memory and telemetry on the virtual Pico; writes build/bench/pico.json
	@$(INSTALL) test flash sim optimum
	$(BIN)/python -m host_tools.virtual_pico.bench

.PHONY: scope
scope: $(SCOPE_STAMP) $(MICROPYTHON_STAMP) ## the live scope in the browser, on a virtual drive: make scope UNIT=b
	$(BIN)/eesm scope --virtual $(UNIT)

.PHONY: test-scope
test-scope: $(BROWSER_STAMP) $(MICROPYTHON_STAMP) ## the scope's page in a real browser, fetched from Debian if need be
	$(BIN)/python -m pytest tests/scope/browser -n0 $(PYTEST_ARGS)

.PHONY: bench-scope
bench-scope: $(BROWSER_STAMP) $(MICROPYTHON_STAMP) ## rows a second, time to stop, memory of the scope; build/bench/scope.json
	$(BIN)/python -m host_tools.scope.measure

.PHONY: bench-hour
bench-hour: $(SCOPE_STAMP) $(MICROPYTHON_STAMP) ## an hour of streaming from kernel to page and log: losses, memory (8 min)
	$(BIN)/python -m host_tools.scope.hour

.PHONY: micropython
micropython: ## find or fetch the 32-bit MicroPython, print its command line
	@$(PYTHON) -m host_tools.interpreter

.PHONY: clean
clean: ## remove everything that make made here (MicroPython stays in the user's cache folder)
	rm -rf build $(VENV) .cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: python
python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "eesm: Python 3.11 or newer is needed, but '$(PYTHON)' is" \
	    "$$($(PYTHON) -V 2>/dev/null || echo 'not there')." >&2; \
	  echo "eesm: install python3.11 or name one: make PYTHON=/path/to/python3.11 ..." >&2; exit 1; }

# The demo needs little; compilers and type checkers come only with the targets that use them.
$(DEMO_STAMP): pyproject.toml | python
	@$(INSTALL) log plot
	@mkdir -p $(@D) && touch $@

$(SIM_STAMP): pyproject.toml | python
	@$(INSTALL) log plot sim optimum
	@mkdir -p $(@D) && touch $@

# The drive cycle needs a speed trace.
$(ACCEPT_STAMP): pyproject.toml | python
	@$(INSTALL) log plot sim optimum cycle
	@mkdir -p $(@D) && touch $@

# A machine without a C compiler gets zig's.
$(TEST_STAMP): pyproject.toml | python
	@$(INSTALL) test
	@$(BIN)/python -m host_tools.compiler >/dev/null 2>&1 || $(INSTALL) test cc
	@mkdir -p $(@D) && touch $@

$(SCOPE_STAMP): pyproject.toml | python
	@$(INSTALL) scope sim optimum
	@mkdir -p $(@D) && touch $@

$(BROWSER_STAMP): pyproject.toml host_tools/scope/chromium.py | python
	@$(INSTALL) browser
	@$(BIN)/python -m host_tools.scope.chromium
	@mkdir -p $(@D) && touch $@

$(FLASH_STAMP): pyproject.toml | python
	@$(INSTALL) flash
	@mkdir -p $(@D) && touch $@

$(PICO_STAMP): pyproject.toml | python
	@$(INSTALL) test flash
	@mkdir -p $(@D) && touch $@

$(DOCS_STAMP): pyproject.toml | python
	@$(INSTALL) docs
	@mkdir -p $(@D) && touch $@

# MicroPython's stubs stay out of .venv: they would shadow the standard library.
$(CHECK_STAMP): pyproject.toml | python
	@$(INSTALL) check
	@rm -rf $(STUBS)
	@$(INSTALL) --target $(STUBS) 'micropython-rp2-stubs==1.25.*'
	@mkdir -p $(@D) && touch $@

# Probed each time, since it lives outside of this folder; that takes a tenth of a second.
.PHONY: $(MICROPYTHON_STAMP)
$(MICROPYTHON_STAMP): | python
	@$(PYTHON) -m host_tools.interpreter --quiet
