"""Which runs of another grid a grid starts from, and whether it waits for them, which is asked here alone."""

import json
from collections import defaultdict
from collections.abc import Sequence

from jobs.grid_jobs import read_jobs
from jobs.grids.grid import ExpandedGrid, GridRequest, expand_grid, read_readable_plan
from jobs.grids.sweep_file import REPETITIONS, BaseRuns
from jobs.requested import read_waiting
from jobs.status.grid_state import GridRows, read_grid_state
from sentiment.errors import DivergedError, UnfinishedBaseError, UsageError
from sentiment.runs.records import Failure, GridPlan, PlannedRun, Result, StartsFrom, mean_score
from sentiment.runs.run_dir import Results

# Errors that every retry of a run would hit. All others may disappear: with more memory or time, on another node, or
# after a file was restored.
_DETERMINISTIC_ERRORS = {DivergedError.__name__}

Finished = tuple[PlannedRun, Result]


def expand_when_ready(
    results: Results, request: GridRequest, *, check_inputs: bool = True, without_failed: bool = False
) -> ExpandedGrid:
    """The expanded grid, if it waits for no other one.

    Args:
        check_inputs: whether the inputs of all runs must exist.
        without_failed: see `choose_bases`.

    Raises:
        UnfinishedBaseError: it waits.
    """
    starts_from = None
    if request.base:
        chosen = choose_bases(results, request, request.base, without_failed=without_failed)
        starts_from = _kept_choice(results, read_readable_plan(results, request.name), chosen)
    return expand_grid(request, results, starts_from, check_inputs=check_inputs)


def choose_bases(results: Results, request: GridRequest, base: BaseRuns, *, without_failed: bool) -> StartsFrom:
    """Choose the runs of another grid that a grid starts from.

    It waits while the other one waits itself, has something in the queue, or has a run that may still get a result, by
    itself or by a person, such as one that was cancelled. Runs that fail deterministically are left out. With `best`
    so are runs that differ from such a run in the seed or fold alone, because a mean over the others would be biased.
    If no run fits, and some were left out, it waits too: these may be repaired.

    Args:
        without_failed: leave out all runs that failed by an error of their own.

    Raises:
        UnfinishedBaseError: it waits.
        UsageError: there is no such grid.
    """
    purpose = f"grid {request.name!r} starts from runs of grid {base.grid!r}"
    if read_waiting(results, base.grid):
        raise UnfinishedBaseError(f"{purpose}, which waits itself")
    plan = results.read_grid(base.grid)
    if plan is None:
        both = results.command("submit", base.grid, request.name)
        raise UsageError(
            f"{purpose}, which has no plan in this results folder ({results.grid_file(base.grid)} is missing); submit "
            f"that one first, or both: `{both}`"
        )
    state = state_of(results, plan)
    if not state.has_ended:
        raise UnfinishedBaseError(f"{purpose}, which is not finished")
    finished, failed, unfinished = _classify_runs(results, plan, state, without_failed)
    status = results.command("status", plan.name)
    if unfinished:
        raise UnfinishedBaseError(
            f"{purpose}, which is not finished: {len(unfinished)} of {len(plan.runs)} runs have no result yet, such as "
            f"{unfinished[0].run_id}; see `{status}`"
        )
    rule = base.runs if base.runs == "overfitting" else f"best {base.count}"
    if base.runs == "overfitting":
        chosen = [run for run, result in finished if result.overfits]
    else:
        failing = {_configuration(run) for run, _ in failed}
        complete = [(run, result) for run, result in finished if _configuration(run) not in failing]
        chosen = _best(complete, request)[: base.count]
    if failed and not chosen:
        raise UnfinishedBaseError(f"{purpose}, of which no run fits, and {len(failed)} failed; see `{status}`")
    left_out = [f"{run.run_id}, which failed: {failure.summary}" for run, failure in failed]
    return StartsFrom(grid=plan.name, rule=rule, run_ids=[run.run_id for run in chosen], left_out=left_out)


def state_of(results: Results, plan: GridPlan) -> GridRows:
    return read_grid_state(results, plan, read_jobs(results, plan.name))


def _classify_runs(
    results: Results, plan: GridPlan, state: GridRows, without_failed: bool
) -> tuple[list[Finished], list[tuple[PlannedRun, Failure]], list[PlannedRun]]:
    """Runs with a result, failed ones that are left out, and all others but trials that a search has pruned."""
    finished: list[Finished] = []
    failed = []
    unfinished = []
    for run, row in zip(plan.runs, state.rows, strict=True):
        run_dir = results.run_dir(run.run_id, plan.name)
        if result := run_dir.read(Result):
            finished.append((run, result))
            continue
        failure = run_dir.read(Failure)
        if failure and (failure.error in _DETERMINISTIC_ERRORS or (without_failed and not failure.retry)):
            failed.append((run, failure))
        elif not state.missed_ranking(row):
            unfinished.append(run)
    return finished, failed, unfinished


def _best(finished: Sequence[Finished], request: GridRequest) -> list[PlannedRun]:
    """One run of each configuration that overfits with no seed and in no fold, the best first.

    They are sorted by the mean score over seeds and folds; those that have learned nothing are left out.
    """
    repetitions: dict[str, list[Finished]] = defaultdict(list)
    for run, result in finished:
        repetitions[_configuration(run)].append((run, result))
    candidates = []
    for runs in repetitions.values():
        has_learned = any(result.only_label is None for _, result in runs)
        if has_learned and not any(result.overfits for _, result in runs):
            candidates.append(runs)
    metric = request.file.sweep.metric

    def score(runs: list[Finished]) -> float:
        return mean_score(metric.score_from(result.metrics["validation"]) for _, result in runs)

    candidates.sort(key=score, reverse=True)
    return [runs[0][0] for runs in candidates]


def _configuration(run: PlannedRun) -> str:
    """What a run has in common with those that differ from it in the seed or fold alone."""
    return json.dumps({key: value for key, value in run.parameters.items() if key not in REPETITIONS}, sort_keys=True)


def _kept_choice(results: Results, planned: GridPlan | None, chosen: StartsFrom) -> StartsFrom:
    """The runs that a planned grid has started from, if the rule would choose others by now.

    The rule chooses anew if one of them has no result any more, as after the other grid was removed and planned again.
    """
    former = planned.starts_from if planned else None
    if former is None or (former.grid, former.rule) != (chosen.grid, chosen.rule):
        return chosen
    if {*former.run_ids} <= {*chosen.run_ids}:
        return chosen
    if gone := [run_id for run_id in former.run_ids if not results.run_dir(run_id, former.grid).completed]:
        lines = [f"{run_id}, which was chosen before, but has no result there any more" for run_id in gone]
        return chosen.model_copy(update={"left_out": [*chosen.left_out, *lines]})
    others = [run_id for run_id in chosen.run_ids if run_id not in former.run_ids]
    left_out = [f"{run_id}, which the rule would choose by now: what was chosen stays" for run_id in others]
    return former.model_copy(update={"left_out": [*chosen.left_out, *left_out]})
