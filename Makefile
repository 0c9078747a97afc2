# The front door: each target is a line or two that calls a module. `make` lists them.

RUN     ?= rnn
RESULTS ?= results
DATA    ?=
SET     ?=
GRID    ?=
MODELS  ?= small original-5.5b
PYTEST  ?=
BENCH   ?= data training checkpoints elmo_cache report
DRY_RUN ?=
LOCAL   ?=
RERUN   ?=
MINUTES ?= 5
TEXT_COLUMN  ?=
LABEL_COLUMN ?=
POSITIVE ?=
NEGATIVE ?=
# Where pip looks for torch besides its usual index; https://download.pytorch.org/whl/cpu has small builds without CUDA.
TORCH_INDEX ?=

VENV   := .venv
BIN    := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)
PIP    := $(BIN)/python -m pip --disable-pip-version-check install --no-warn-conflicts \
	--constraint .ci/constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

# What a user gives reaches the shell in its environment and never as a part of a command: names may hold spaces, quotes
# and dollar signs, and nothing in them is run.
GIVEN := RUN RESULTS DATA TEXT_COLUMN LABEL_COLUMN POSITIVE NEGATIVE SET GRID MODELS PYTEST BENCH DRY_RUN LOCAL RERUN \
	MINUTES
$(foreach name,$(GIVEN),$(eval override $(name) := $$(value $(name))))
export $(GIVEN)
of_table = $${TEXT_COLUMN:+--text-column "$$TEXT_COLUMN"} $${LABEL_COLUMN:+--label-column "$$LABEL_COLUMN"} \
	$${POSITIVE:+--positive "$$POSITIVE"} $${NEGATIVE:+--negative "$$NEGATIVE"}
with_set = set -f; set --; for one in $$SET; do set -- "$$@" --set "$$one"; done;

from_command_line = $(filter command,$(firstword $(origin $(1))))
KNOWN := $(GIVEN) PYTHON TORCH_INDEX MAKEFLAGS MAKEOVERRIDES MFLAGS SHELL
$(foreach name,$(filter-out $(KNOWN) -%,$(.VARIABLES)),$(if $(call from_command_line,$(name)),$(error \
	make has no variable $(name); did you mean SET="$(name)=..."? Its variables are $(GIVEN) PYTHON TORCH_INDEX)))

.DEFAULT_GOAL := help
.PHONY: help setup run data vectors pretrain elmo-weights submit submit-rnn submit-sweep submit-attention submit-elmo submit-all \
	status logs rerun cancel doctor sync report test test-fast test-more mutants check fuzz bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'with DATA=vader|sentiment140|FILE, SET="model.hidden_size=32 seed=2",'
	@echo '     TEXT_COLUMN, LABEL_COLUMN, POSITIVE and NEGATIVE of a FILE,'
	@echo '     RESULTS=DIR, PYTHON=python3.12, DRY_RUN=1, LOCAL=1 (without Slurm), and'
	@echo "RUN=$$RUN, any of: $(basename $(notdir $(wildcard configs/runs/*.yaml)))" | fold -s -w 78
	@echo 'GRID=NAME, any of: $(basename $(notdir $(wildcard configs/grids/*.yaml)))' | fold -s -w 78
	@echo 'In scripts call .venv/bin/sentiment-jobs: make ends with 2 whatever went wrong'
	@echo 'BENCH: $(patsubst tests/benchmarks/bench_%.py,%,$(wildcard tests/benchmarks/bench_*.py))' | fold -s -w 78

setup: $(VENV)/installed ## create .venv and install what training needs

run: $(VENV)/installed ## train RUN here and now, and show what came out
	@$(with_set) $(BIN)/python -m sentiment train "configs/runs/$$RUN.yaml" --results "$$RESULTS" \
		$${DATA:+--data "$$DATA"} $(of_table) "$$@"

data: $(VENV)/installed ## fetch and prepare DATA (sentiment140: 81 MB), show it
	@$(with_set) $(BIN)/python -m sentiment data $${DATA:+"$$DATA"} --config "configs/runs/$$RUN.yaml" \
		--results "$$RESULTS" $(of_table) "$$@"

vectors: $(VENV)/installed ## learn word vectors from the training text of RUN
	@$(with_set) $(BIN)/python -m sentiment vectors "configs/runs/$$RUN.yaml" --results "$$RESULTS" \
		$${DATA:+--data "$$DATA"} "$$@"

pretrain: $(VENV)/installed ## train an ELMo of the text of RUN's training tweets
	@$(with_set) $(BIN)/python -m sentiment pretrain "configs/runs/$$RUN.yaml" --results "$$RESULTS" \
		$${DATA:+--data "$$DATA"} "$$@"

elmo-weights: $(VENV)/installed ## download the ELMo models MODELS (430 MB)
	@set -f; $(BIN)/python -m sentiment elmo-weights $$MODELS --results "$$RESULTS"

submit-rnn: GRID = rnn
submit-sweep: GRID = random_sweep
submit-attention: GRID = attention
submit-elmo: GRID = elmo
submit-all: GRID = rnn random_sweep attention elmo stop_words
submit submit-rnn submit-sweep submit-attention submit-elmo submit-all: $(VENV)/installed
submit: ## submit the grids GRID to Slurm; DRY_RUN=1 only shows it
submit-rnn: ## cells, directions, depths and widths
submit-sweep: ## random search: size, dropout, clipping, learning rate
submit-attention: ## self-attention against none
submit-elmo: ## ELMo's models, layers, dropout and penalty
submit-all: ## all grids that need no other grid's results
submit submit-rnn submit-sweep submit-attention submit-elmo submit-all:
	@$(with_set) for grid in $${GRID:-smoke}; do \
		$(BIN)/python -m jobs submit "$$grid" --results "$$RESULTS" $${DRY_RUN:+--dry-run} \
			$${LOCAL:+--local} "$$@" || exit; done

status: $(VENV)/installed ## show all runs, or those of GRID
	@set -f; $(BIN)/python -m jobs status $$GRID --results "$$RESULTS" || test $$? -eq 3

logs: $(VENV)/installed ## show what the run GRID has printed
	@$(BIN)/python -m jobs logs "$$GRID" --results "$$RESULTS"

rerun: $(VENV)/installed ## submit again what failed (RERUN="--only oom")
	@set -f; $(BIN)/python -m jobs rerun $$GRID $$RERUN --results "$$RESULTS"

cancel: $(VENV)/installed ## cancel the grids or runs GRID
	@set -f; $(BIN)/python -m jobs cancel $$GRID --results "$$RESULTS"

sync: $(VENV)/installed ## upload what is new to Weights & Biases, all or GRID
	@set -f; $(BIN)/python -m jobs sync $$GRID --results "$$RESULTS"

doctor: $(VENV)/installed ## say what is here: Slurm, disk, tweets, ELMo, W&B
	@$(BIN)/python -m jobs doctor --results "$$RESULTS"

report: $(VENV)/installed ## say what came out, all or GRID: RESULTS/report
	@set -f; set --; for grid in $$GRID; do set -- "$$@" --grid "$$grid"; done; \
		$(BIN)/python -m report build --results "$$RESULTS" "$$@"

test: $(VENV)/installed-dev ## run all tests of what the product does
	@set -f; $(BIN)/python -m pytest -n auto -m "not more" $$PYTEST

test-fast: $(VENV)/installed-dev ## run the tests that take moments
	@set -f; $(BIN)/python -m pytest -n auto -m "not slurm and not browser and not slow and not more" $$PYTEST

test-more: $(VENV)/installed-dev ## run what takes long: packaging, many kills
	@set -f; $(BIN)/python -m pytest -n auto -m more $$PYTEST

mutants: $(VENV)/installed-dev ## plant bugs in a copy: which do no tests notice?
	@$(BIN)/python -m tests.mutants

check: $(VENV)/installed-dev ## style and types: ruff, ruff format, mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

fuzz: $(VENV)/installed-dev ## read invented and damaged files for MINUTES
	@$(BIN)/python -m tests.fuzz "$$MINUTES"

bench: $(VENV)/installed-dev ## measure BENCH against the plain way, as ratios
	@set -f; for bench in $$BENCH; do $(BIN)/python -m "tests.benchmarks.bench_$$bench" || exit 1; done

clean: ## delete .venv and caches; results stay
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find sentiment jobs report tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo 'No Python 3.11 to 3.13 with venv here. Install one (Debian: python3-venv),' \
		'or name it: make PYTHON=/path/to/python3' >&2; exit 2; }
	@echo "Creating $(VENV) with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv $(VENV)

# allennlp, the reference for ELMo, asks for packages of 2022; what is used of it needs none of them, hence --no-deps.
$(VENV)/installed: pyproject.toml .ci/constraints.txt | $(VENV)/bin/python
	@echo 'Installing; torch is large and takes some minutes, the other packages moments'
	@$(PIP) --editable '.[all]'
	@$(PIP) --quiet --no-deps allennlp==2.10.1
	@echo 'Installed. `make run` trains a first model; `make` lists the rest.'
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(PIP) --quiet --editable '.[dev]'
	@touch $@
