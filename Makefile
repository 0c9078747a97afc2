# The front door: each target is a line or two that calls a module. `make` lists them.

RUN     ?= rnn
RESULTS ?= results
DATA    ?=
SET     ?=
GRID    ?=
MODELS  ?= small original-5.5b
PYTEST  ?=
BENCH   ?= data training checkpoints
# Where pip looks for torch besides its usual index; https://download.pytorch.org/whl/cpu has small builds without CUDA.
TORCH_INDEX ?=

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-warn-conflicts \
	--constraint .ci/constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

data_option = $(if $(DATA),--data '$(DATA)')
grid_options = $(foreach grid,$(GRID),--grid '$(grid)')
set_options = $(foreach assignment,$(SET),--set '$(assignment)')

.DEFAULT_GOAL := help
.PHONY: help setup run data elmo-weights report test check bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'with RUN=$(RUN) (any of: $(basename $(notdir $(wildcard configs/runs/*.yaml)))), DATA=vader|sentiment140|FILE,'
	@echo '     SET="model.hidden_size=32 seed=2", RESULTS=DIR, PYTHON=python3.12'

setup: $(VENV)/installed ## create .venv and install what training needs

run: $(VENV)/installed ## train RUN here and now, and show what came out
	@$(BIN)/python -m sentiment train configs/runs/$(RUN).yaml --results '$(RESULTS)' $(data_option) $(set_options)

data: $(VENV)/installed ## fetch and prepare DATA (sentiment140: 81 MB), and say what is in it
	@$(BIN)/python -m sentiment data $(DATA) --config configs/runs/$(RUN).yaml --results '$(RESULTS)' $(set_options)

elmo-weights: $(VENV)/installed ## download the ELMo models MODELS (small and original-5.5b: 430 MB)
	@$(BIN)/python -m sentiment elmo-weights $(MODELS) --results '$(RESULTS)'

report: $(VENV)/installed ## say what came out, of all runs or of GRID: RESULTS/report/report.html and report.md
	@$(BIN)/python -m report build --results '$(RESULTS)' $(grid_options)

test: $(VENV)/installed-dev ## run all tests
	@$(BIN)/python -m pytest -n auto $(PYTEST)

check: $(VENV)/installed-dev ## style and types: ruff, ruff format, mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: $(VENV)/installed-dev ## measure speed against the plain way, as ratios; BENCH=accuracy and BENCH=elmo take minutes
	@for bench in $(BENCH); do $(BIN)/python -m tests.benchmarks.bench_$$bench || exit 1; done

clean: ## delete .venv and caches; results stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find sentiment report tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo 'No Python 3.11 to 3.13 with venv here. Install one (Debian: python3-venv),' \
		'or name it: make PYTHON=/path/to/python3' >&2; exit 2; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

# allennlp, the reference for ELMo, asks for packages of 2022; what is used of it needs none of them, hence --no-deps.
$(VENV)/installed: pyproject.toml .ci/constraints.txt | $(VENV)/bin/python
	@echo 'Installing (torch is large: some minutes)'
	@$(PIP) --editable .
	@$(PIP) --no-deps allennlp==2.10.1
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(PIP) --editable '.[dev]'
	@touch $@
