"""The one reader of the runs of grids, for `status` and for the report: what their plans and directories hold."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sentiment.errors import RunDirError
from sentiment.runs.halving import HalvingSearch, TrialPlace, read_search
from sentiment.runs.records import Assignment, Cancelled, GridPlan, PlannedRun
from sentiment.runs.run_dir import SINGLE, Results, RunDir, read_record
from sentiment.runs.state import PRUNED, RunProgress, judge, read_progress

# Supplies the metric of runs that no plan names; it is never written.
_NO_PLAN = GridPlan.model_construct(name=SINGLE, metric="validation/macro_f1", goal="maximize", runs=[])


class RecordedRun(NamedTuple):
    """A run: its row in its grid's plan (None: no plan names it), what its directory holds, its place in a search."""

    planned: PlannedRun | None
    run_dir: RunDir
    progress: RunProgress
    trial: TrialPlace | None

    @property
    def run_id(self) -> str:
        return self.run_dir.path.name


@dataclass(frozen=True)
class RecordedGrid:
    """A grid, or the runs outside of grids.

    Attributes:
        runs: those of the plan in its order, then those that no plan names.
        copies: the folders that are named otherwise than the run in them, by name, each with a line that says so: they
            are no runs.
    """

    runs: Sequence[RecordedRun]
    copies: dict[str, str]


def read_runs(results: Results, grid: str, plan: GridPlan | None, search: HalvingSearch | None = None) -> RecordedGrid:
    """Read the runs of a grid.

    Args:
        plan: None for a grid without a readable one, and for the runs outside of grids.
        search: by successive halving, if it is one.
    """
    planned = {run.run_id: run for run in plan.runs} if plan else {}
    trials = search.trials_by_id if search else {}
    copies = {}
    runs = []
    for run_id in (*planned, *_other_folders(results, grid, {*planned})):
        run_dir = results.run_dir(run_id, grid)
        run = RecordedRun(planned.get(run_id), run_dir, read_progress(run_dir, plan or _NO_PLAN), trials.get(run_id))
        held = run_id if run.planned else _recorded_id(run)
        if held not in (None, run_id):
            copies[run_id] = f"{run_dir.path}: holds run {held}; a folder that is not named as its run is left out"
        elif run.planned or any(run_dir.path.glob("*.json")):
            runs.append(run)
    return RecordedGrid(runs, copies)


def _other_folders(results: Results, grid: str, planned: set[str]) -> list[str]:
    """The names of a grid's folders that its plan does not name, without hidden ones such as those of Jupyter."""
    names: set[str] = set()
    with contextlib.suppress(FileNotFoundError):
        names = {path.name for path in (results.runs / grid).iterdir()} - planned
    return sorted(name for name in names if name[0] != "." and (results.runs / grid / name).is_dir())


def _recorded_id(run: RecordedRun) -> str | None:
    """The run that a folder holds; None if it holds none, or one that cannot be read."""
    if run.progress.record:
        return run.progress.record.run_id
    with contextlib.suppress(RunDirError):
        return run.run_dir.read_config().run_id
    return None


def cancelled_runs(results: Results, grid: str) -> set[str]:
    """The runs that `sentiment cancel` marked in the last submission of each; `status` tells of damaged ones."""
    cancelled: set[str] = set()
    for file in sorted((results.slurm / grid).glob(f"{5 * '[0-9]'}-*/submission.json")):
        with contextlib.suppress(RunDirError):
            submission = read_record(file, Assignment)
            marked = read_record(file.with_name("cancelled.json"), Cancelled)
            run_ids = {run_id for task in submission.tasks for run_id in task} if submission else set()
            cancelled = cancelled - run_ids | run_ids.intersection(marked.ids if marked else ())
    return cancelled


def pruned_place(run_dir: RunDir) -> TrialPlace | None:
    """The place of a run that its grid's search has pruned; None for any other run."""
    plan = None if run_dir.completed else run_dir.results.read_grid(run_dir.grid)
    search = read_search(run_dir.results, plan) if plan else None
    trial = search.trials_by_id.get(run_dir.path.name) if search else None
    return trial if judge(read_progress(run_dir), trial).state == PRUNED else None
