# The front door: each target is a line or two that calls a program. `make` lists them.

RUN     ?= rnn
RESULTS ?= results
BENCH   ?= data training report

# What a user gives reaches the shell in its environment and never as a part of a command: names may hold spaces, quotes
# and dollar signs, and nothing in them is run.
GIVEN := RUN RESULTS DATA SET GRID DRY_RUN LOCAL PYTEST BENCH
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
export $(GIVEN)
with_set = set -f; set --; for one in $$SET; do set -- "$$@" --set "$$one"; done;

KNOWN := $(GIVEN) PYTHON TORCH_INDEX MAKEFLAGS MAKEOVERRIDES MFLAGS SHELL
$(foreach name,$(filter-out $(KNOWN) -%,$(.VARIABLES)),$(if $(filter command,$(firstword $(origin $(name)))),$(error \
	make has no variable $(name); did you mean SET="$(name)=..."? Its variables are $(GIVEN) PYTHON TORCH_INDEX)))

BIN    := .venv/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)
# TORCH_INDEX: where pip also looks for torch; https://download.pytorch.org/whl/cpu has small builds without CUDA.
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-warn-conflicts \
	--constraint .ci/constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
ON_PATH = echo '`. $(BIN)/activate` puts `sentiment` on the path, and `sentiment --help` lists its commands.'

.DEFAULT_GOAL := help
.PHONY: help setup run data submit submit-rnn submit-sweep submit-attention submit-elmo status rerun cancel report \
	doctor test test-fast test-more mutants check bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'with DATA=vader|sentiment140|FILE, SET="model.hidden_size=32 seed=2",'
	@echo '     RESULTS=DIR, DRY_RUN=1, LOCAL=1 (without Slurm), PYTHON=python3.12, and'
	@echo "RUN=$$RUN, any of: $(basename $(notdir $(wildcard configs/runs/*.yaml)))" | fold -s -w 78
	@echo 'GRID=NAME, any of: $(basename $(notdir $(wildcard configs/grids/*.yaml)))' | fold -s -w 78
	@echo 'BENCH: $(patsubst tests/benchmarks/bench_%.py,%,$(wildcard tests/benchmarks/bench_*.py))' | fold -s -w 78
	@echo 'In scripts call $(BIN)/sentiment: make ends with 2 whatever went wrong'

setup: .venv/installed ## create .venv and install all that the program needs
	@$(ON_PATH)

run: .venv/installed ## train RUN here and now, and show what came out
	@$(with_set) $(BIN)/sentiment train "$$RUN" --results "$$RESULTS" $${DATA:+--data "$$DATA"} "$$@"
	@$(ON_PATH)

data: .venv/installed ## fetch and prepare DATA (sentiment140: 81 MB), show it
	@$(with_set) $(BIN)/sentiment data $${DATA:+"$$DATA"} --config "$$RUN" --results "$$RESULTS" "$$@"

submit-rnn: GRID = rnn
submit-sweep: GRID = random_sweep
submit-attention: GRID = attention
submit-elmo: GRID = elmo
submit: ## submit the grids GRID to Slurm; DRY_RUN=1 only shows it
submit-rnn: ## cells, directions, depths and widths
submit-sweep: ## random search: size, dropout, clipping, learning rate
submit-attention: ## self-attention against none
submit-elmo: ## ELMo's models, layers, dropout and penalty
submit submit-rnn submit-sweep submit-attention submit-elmo: .venv/installed
	@$(with_set) for grid in $${GRID:-smoke}; do \
		$(BIN)/sentiment submit "$$grid" --results "$$RESULTS" $${DRY_RUN:+--dry-run} $${LOCAL:+--local} "$$@" || exit; done

status: .venv/installed ## show all runs, or those of GRID
	@set -f; $(BIN)/sentiment status $$GRID --results "$$RESULTS" || test $$? -eq 3

rerun: .venv/installed ## submit again what failed, all or GRID
	@set -f; $(BIN)/sentiment rerun $$GRID --results "$$RESULTS" $${LOCAL:+--local}

cancel: .venv/installed ## cancel the grids or runs GRID
	@set -f; $(BIN)/sentiment cancel $$GRID --results "$$RESULTS"

report: .venv/installed ## say what came out, all or GRID: RESULTS/report
	@set -f; $(BIN)/sentiment report $$GRID --results "$$RESULTS"

doctor: .venv/installed ## say what is here: Slurm, processors, disk
	@$(BIN)/sentiment doctor --results "$$RESULTS"

test: .venv/installed-dev ## run the tests: some minutes
	@set -f; $(BIN)/python -m pytest -n auto -m "not more" $$PYTEST

test-fast: .venv/installed-dev ## run the tests that take moments
	@set -f; $(BIN)/python -m pytest -n auto -m "not slurm and not browser and not slow and not more" $$PYTEST

test-more: .venv/installed-dev ## run what takes long: packaging, many kills
	@set -f; $(BIN)/python -m pytest -n auto -m more $$PYTEST

mutants: .venv/installed-dev ## plant bugs in a copy: which do no tests notice?
	@$(BIN)/python -m tests.mutants

check: .venv/installed-dev ## style and types: ruff, ruff format, mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: .venv/installed-dev ## measure BENCH against the plain way, as ratios
	@set -f; for bench in $$BENCH; do $(BIN)/python -m "tests.benchmarks.bench_$$bench" || exit 1; done

clean: ## delete .venv and caches; results stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find sentiment jobs report tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'No Python 3.11 to 3.13 with venv here. Install one (Debian: python3-venv),' \
		'or name it: make PYTHON=/path/to/python3' >&2; exit 2; }
	@echo "Creating .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv

# allennlp, the reference for ELMo, asks for packages of 2022; what is used of it needs none of them, hence --no-deps.
.venv/installed: pyproject.toml .ci/constraints.txt | $(BIN)/python
	@echo '1 of 2: installing torch (200 MB, or 6 GB with CUDA) and what training needs: some minutes'
	@$(PIP) --editable .
	@echo '2 of 2: installing what grids, the report and encoders need: a minute or two'
	@$(PIP) --editable '.[all]'
	@$(PIP) --no-deps allennlp==2.10.1
	@touch $@

.venv/installed-dev: .venv/installed
	@$(PIP) --editable '.[dev]'
	@touch $@
