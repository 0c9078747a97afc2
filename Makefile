# Convenience targets: each calls `sentiment` or a development tool. `make` lists them.

RUN     ?= rnn
RESULTS ?= results
BENCH   ?= data training report

# User variables are passed through the environment and never inserted into commands, so that spaces, quotes and dollar
# signs in them are safe.
USER_VARIABLES := RUN RESULTS DATA SET GRID DRY_RUN LOCAL PYTEST BENCH
GIVEN := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name))) \
	$(if $(value DRY_RUN),DRY_RUN)
$(foreach name,$(USER_VARIABLES),$(eval override $(name) := $$(value $(name))))
export $(USER_VARIABLES)
# Turns each change in SET into an option `--set CHANGE`: a change begins with FIELD= and may hold spaces.
parse_set = set -f; set --; IFS="$$(printf '\036')"; for change in $$(printf '%s' "$$SET" | awk '{ \
	gsub(/[ \t]+[A-Za-z_][A-Za-z0-9_.]*=/, "\036&"); gsub(/\036[ \t]+/, "\036"); sub(/^[ \t]+/, ""); \
	sub(/[ \t]+$$/, ""); printf "%s\036", $$0 }'); do set -- "$$@" --set "$$change"; done; unset IFS;

# What each target takes. A variable that would be ignored, or is misspelt, is an error; so is DRY_RUN in the environment.
TAKES_run := RUN DATA SET RESULTS
TAKES_data := $(TAKES_run)
TAKES_study := DATA SET DRY_RUN LOCAL RESULTS
TAKES_submit := GRID $(TAKES_study)
TAKES_submit-rnn := $(TAKES_study)
TAKES_submit-sweep := $(TAKES_study)
TAKES_submit-attention := $(TAKES_study)
TAKES_submit-elmo := $(TAKES_study)
TAKES_status := GRID RESULTS
TAKES_rerun := GRID LOCAL RESULTS
TAKES_cancel := $(TAKES_status)
TAKES_report := $(TAKES_status)
TAKES_doctor := RESULTS
TAKES_test := PYTEST
TAKES_test-fast := PYTEST
TAKES_test-more := PYTEST
TAKES_bench := BENCH
OF_MAKE := PYTHON TORCH_INDEX MAKEFLAGS MAKEOVERRIDES MFLAGS SHELL
refuse = $(error make $(1) has no variable $(2)$(if $(filter $(USER_VARIABLES),$(2)),,; did you mean SET="$(2)=..."?); \
	it takes $(or $(TAKES_$(1)),no variables))
$(foreach target,$(or $(MAKECMDGOALS),help),$(foreach name,$(filter-out $(TAKES_$(target)) $(OF_MAKE) -%,$(GIVEN)), \
	$(call refuse,$(target),$(name))))

BIN    := .venv/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& echo $$p && break; done)
# TORCH_INDEX: a further package index for torch; https://download.pytorch.org/whl/cpu has small builds without CUDA.
PIP    := $(BIN)/python -m pip --disable-pip-version-check --quiet install --no-warn-conflicts \
	--constraint .ci/constraints.txt $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))
ACTIVATE_HINT = echo '`. $(BIN)/activate` puts `sentiment` on your PATH; `sentiment --help` lists its commands.'

.DEFAULT_GOAL := help
.PHONY: help setup run data study submit submit-rnn submit-sweep submit-attention submit-elmo status rerun cancel report \
	doctor test test-fast test-more fuzz mutants check bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'with DATA=vader|sentiment140|tweeteval|FILE, SET="model.hidden_size=32 seed=2",'
	@echo '     RESULTS=DIR, DRY_RUN=1, LOCAL=1 (without Slurm), PYTHON=python3.12, and'
	@echo "RUN=$$RUN, any of: $(basename $(notdir $(wildcard configs/runs/*.yaml)))" | fold -s -w 78
	@echo 'GRID=NAME, any of: $(basename $(notdir $(wildcard configs/grids/*.yaml)))' | fold -s -w 78
	@echo 'In scripts call $(BIN)/sentiment: make ends with 2 after any failure'
	@echo
	@echo 'For those who change the program:'
	@awk -F ':.*#: ' '/^[a-z-]+:.*#: / {printf "make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'BENCH: $(patsubst tests/benchmarks/bench_%.py,%,$(wildcard tests/benchmarks/bench_*.py))' | fold -s -w 78

setup: .venv/installed ## create .venv and install all packages
	@$(ACTIVATE_HINT)

run: .venv/installed ## train RUN on this machine and print the result
	@$(parse_set) $(BIN)/sentiment train "$$RUN" --results "$$RESULTS" $${DATA:+--data "$$DATA"} "$$@"
	@$(ACTIVATE_HINT)

data: .venv/installed ## download DATA (sentiment140: 81 MB), prepare and show it
	@$(parse_set) $(BIN)/sentiment data $${DATA:+"$$DATA"} --config "$$RUN" --results "$$RESULTS" "$$@"

submit-rnn: GRID = rnn
submit-sweep: GRID = random_sweep
submit-attention: GRID = attention
submit-elmo: GRID = elmo
submit: ## submit GRID (or smoke) to Slurm; DRY_RUN=1 only previews
submit-rnn: ## cells, directions, depths and widths
submit-sweep: ## random search: size, dropout, clipping, learning rate
submit-attention: ## self-attention or other poolings
submit-elmo: ## ELMo: small or 5.5B, layers, dropout and penalty
submit submit-rnn submit-sweep submit-attention submit-elmo: .venv/installed
	@$(parse_set) $(BIN)/sentiment submit $${GRID:-smoke} $${DATA:+--data "$$DATA"} --results "$$RESULTS" $${DRY_RUN:+--dry-run} $${LOCAL:+--local} "$$@"

study: .venv/installed ## the whole study; with LOCAL=1 DATA=vader on a laptop
	@test -n "$$DRY_RUN" || $(BIN)/sentiment data "$${DATA:-sentiment140}" --config sentiment140 --results "$$RESULTS"
	@$(parse_set) study=$${DATA:-sentiment140}; test -f "configs/studies/$$study.yaml" || study=vader; \
		$(BIN)/sentiment submit --study "$$study" $${DATA:+--data "$$DATA"} --results "$$RESULTS" $${DRY_RUN:+--dry-run} \
		$${LOCAL:+--local} "$$@"

status: .venv/installed ## show all runs, or those of GRID
	@set -f; $(BIN)/sentiment status $$GRID --results "$$RESULTS" || test $$? -eq 3

rerun: .venv/installed ## resubmit failed runs: all, or those of GRID
	@set -f; $(BIN)/sentiment rerun $$GRID --results "$$RESULTS" $${LOCAL:+--local}

cancel: .venv/installed ## cancel the grids or runs GRID
	@set -f; $(BIN)/sentiment cancel $$GRID --results "$$RESULTS"

report: .venv/installed ## report on all grids or GRID, in RESULTS/report
	@set -f; $(BIN)/sentiment report $$GRID --results "$$RESULTS"

doctor: .venv/installed ## check this site: Slurm, GPUs and cores
	@$(BIN)/sentiment doctor --results "$$RESULTS"

test: .venv/installed-dev #: run all tests but the long ones (some minutes)
	@set -f; $(BIN)/python -m pytest -n auto -m "not more" $$PYTEST

test-fast: .venv/installed-dev #: run only the fast tests (a minute)
	@set -f; $(BIN)/python -m pytest -n auto -m "not slurm and not browser and not slow and not more" $$PYTEST

test-more: .venv/installed-dev #: run the long tests: packaging, crash recovery
	@set -f; $(BIN)/python -m pytest -n auto -m more $$PYTEST

fuzz: .venv/installed-dev #: judge 1,000 random studies, damage one, compare tables
	@export FUZZ_SEED=$${FUZZ_SEED:-$$(date +%s)}; echo "new studies and tables; FUZZ_SEED=$$FUZZ_SEED make fuzz repeats them"; \
		FUZZ=1000 $(BIN)/python -m pytest -n auto tests/oracle tests/relations && \
		FUZZ=5000 $(BIN)/python -m pytest tests/data/test_as_pandas.py && \
		FUZZ=1000 $(BIN)/python -m pytest -n auto tests/data/test_every_command.py
	@FUZZ=1000 $(BIN)/python -m pytest -n auto tests/jobs/test_studies.py
	@FUZZ=500 $(BIN)/python -m pytest -n auto tests/damage -k random_damage
	@FUZZ=100000 $(BIN)/python -m pytest -n 0 tests/test_linear_time.py

mutants: .venv/installed-dev #: insert bugs into a copy; list the undetected ones
	@$(BIN)/python -m tests.mutants

check: .venv/installed-dev #: style and types: ruff, ruff format, mypy
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

bench: .venv/installed-dev #: time BENCH against reference implementations
	@set -f; for bench in $$BENCH; do $(BIN)/python -m "tests.benchmarks.bench_$$bench" || exit 1; done

clean: ## delete .venv and caches; results stay
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	find sentiment jobs report tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo 'No Python 3.11 to 3.13 with venv here. Install one (Debian: python3-venv),' \
		'or name it: make PYTHON=/path/to/python3' >&2; exit 2; }
	@echo "Creating .venv with $$($(PYTHON) --version)"
	@$(PYTHON) -m venv .venv

# allennlp, the reference for ELMo, pins packages of 2022 that its ELMo module does not need: hence --no-deps.
.venv/installed: pyproject.toml .ci/constraints.txt | $(BIN)/python
	@echo '1 of 2: installing torch (200 MB, or 6 GB with CUDA) and the packages for training: some minutes'
	@$(PIP) --editable .
	@echo '2 of 2: installing the packages for grids, the report and encoders: a minute or two'
	@$(PIP) --editable '.[all]'
	@$(PIP) --no-deps allennlp==2.10.1  # for elmo.backend=allennlp
	@touch $@

.venv/installed-dev: .venv/installed
	@$(PIP) --editable '.[dev]'
	@touch $@
