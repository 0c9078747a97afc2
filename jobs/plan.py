"""From the runs that are wanted to the jobs that train them: by which code, up to which epoch, with what resources."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from jobs.grid_jobs import GridJobs, Place
from jobs.services import JOB_KINDS, services_needed, steps_saved
from jobs.slurm.commands import most_tasks
from jobs.slurm.resources import ClusterFile, Resources, increased
from jobs.status import RunStatus
from jobs.submissions import Submission
from sentiment.config import RunConfig
from sentiment.console import Say
from sentiment.errors import RunDirError
from sentiment.runs.code_version import freeze_code
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results
from sentiment.runs.start_copy import find_damage
from sentiment.runs.state import PRUNED, Rungs, read_rungs

T = TypeVar("T")


@dataclass(frozen=True)
class WantedRun:
    """A run that is to be executed.

    Attributes:
        code: the id of the copy of the code that computes it; None executes whatever the present folder holds.
        rung, epochs: of a search, in which it trains and after how many epochs it pauses; None trains it to its end.
    """

    row: RunStatus
    config: RunConfig
    code: str | None
    rung: int | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class CodeChoice:
    """How a command chooses the code of runs; if that of now is asked for, those that have begun begin anew."""

    results: Results
    new_code: bool = False

    @cached_property
    def present(self) -> str:
        return freeze_code(self.results)

    def choose(
        self, runs: Sequence[tuple[RunStatus, RunConfig]], places: Mapping[str, Place], again: bool, say: Say
    ) -> list[WantedRun]:
        """Give each run its code, and say how many don't get that of now.

        A run that has saved steps keeps the code that it was submitted with, as long as the copy of it is whole; all
        others do so when they are submitted again.
        """
        if self.new_code:
            return [WantedRun(row, _beginning_anew(config), self.present) for row, config in runs]
        given = {row.run_id: places[row.run_id][0].submission.code for row, _ in runs if row.run_id in places}
        whole = {code for code in {*given.values()} if code and not find_damage(self.results.code / code)}
        wanted = []
        for row, config in runs:
            kept = given.get(row.run_id)
            keeps = kept in whole and (again or self._has_saved_steps(row))
            wanted.append(WantedRun(row, config, kept if keeps else self.present))
        for code, number in Counter(one.code for one in wanted if one.code and one.code != self.present).items():
            say(f"{number} of them with the code of before, {self.results.code / code}; --new-code takes that of now")
        return wanted

    def _has_saved_steps(self, row: RunStatus) -> bool:
        try:
            return steps_saved(self.results.run_dir(row.run_id, row.grid)) > 0
        except RunDirError:
            return False  # its task finds out whether it can go on


def _beginning_anew(config: RunConfig) -> RunConfig:
    runtime = config.runtime.model_copy(update={"other_code": "restart"})
    return config.model_copy(update={"runtime": runtime})


def ranked_next(runs: Iterable[WantedRun], rungs: Rungs) -> list[WantedRun]:
    """Those of a search's runs that are in its current rung; none if that is the last one, which is not ranked."""
    trials = {*rungs.trials(rungs.current)} if rungs.current < rungs.last else ()
    return with_pauses([run for run in runs if run.config.run_id in trials], rungs)


def with_pauses(runs: Sequence[WantedRun], rungs: Rungs) -> list[WantedRun]:
    """Let each run pause where its rung ends; those that are pruned are continued to their end."""
    standings = ((run, rungs.standings.get(run.config.run_id)) for run in runs)
    return [
        replace(run, rung=standing.rung, epochs=standing.epochs) if standing and run.row.state != PRUNED else run
        for run, standing in standings
    ]


def plan_jobs(
    runs: Sequence[WantedRun],
    candidates: Sequence[WantedRun],
    plan: GridPlan,
    results: Results,
    file: ClusterFile,
    jobs: GridJobs,
) -> list[Submission]:
    """The jobs for some runs of a grid, in the order in which they are submitted.

    Args:
        candidates: of a search, all trials of the current rung, if tasks for the later rungs are to follow.
    """
    most, training = most_tasks(), file.resources(plan.name)
    planned = _arrays(runs, training, jobs, most) + _slots(candidates, read_rungs(results, plan), training, most)
    code = planned[0].code if planned else None
    needed = services_needed([run.config for run in runs], results)
    before, after = list[Submission](), list[Submission]()
    for kind in JOB_KINDS.values():
        if kind.name in needed or kind.final:
            resources = file.resources(plan.name, kind.name)
            if kind.name in jobs.failed_services:
                failure, had = jobs.failed_services[kind.name]
                resources = increased(failure.state, resources, had)
            number = resources.parallelism or 1 if kind.shareable else 1
            job = Submission(
                kind=kind.name,
                tasks=[[] for _ in range(number)],
                configs=needed.get(kind.name, []),
                resources=resources,
                parallelism=number,
                code=code,
                cluster=file.as_given() if kind.final else {},
            )
            (after if kind.final else before).append(job)
    return [*before, *planned, *after]


def plan_here(
    runs: Sequence[WantedRun], candidates: Sequence[WantedRun], rungs: Rungs | None, at_once: int
) -> list[Submission]:
    """The same for this machine, which works off one job after another: runs prepare for themselves what they need."""
    resources = Resources(tasks=1, at_once=at_once)
    planned = _arrays(runs, resources, None, 1) + _slots(candidates, rungs, resources, 1)
    return [job.model_copy(update={"here": True}) for job in planned]


def _arrays(runs: Sequence[WantedRun], configured: Resources, jobs: GridJobs | None, most: int) -> list[Submission]:
    """An array for all runs that get the same resources (more than before, if they lacked any) and code."""
    groups: dict[tuple[str, str | None, int | None, int | None], list[RunConfig]] = {}
    for run in runs:
        place = jobs.places.get(run.row.run_id) if jobs else None
        resources = increased(run.row.state, configured, place[0].submission.resources) if place else configured
        groups.setdefault((resources.model_dump_json(), run.code, run.rung, run.epochs), []).append(run.config)
    planned = []
    for (given, code, rung, epochs), configs in groups.items():
        shares = deal(configs, Resources.model_validate_json(given), most)
        tasks = [[config.run_id for config in share] for share in shares]
        job = _training(tasks, Resources.model_validate_json(given), code, rung, epochs)
        planned.append(job.model_copy(update={"configs": [config for share in shares for config in share]}))
    return planned


def _slots(candidates: Sequence[WantedRun], rungs: Rungs | None, resources: Resources, most: int) -> list[Submission]:
    """An array for each rung that is to come; its code is that of most trials, since one of any may be promoted."""
    if not rungs or not candidates:
        return []
    code = Counter(run.code for run in candidates).most_common(1)[0][0]
    configs, planned = [run.config for run in candidates], []
    for rung in rungs.later:
        tasks: list[list[str]] = [[] for _ in deal(range(rungs.size(rung)), resources, most)]
        job = _training(tasks, resources, code, rung, rungs.epochs(rung))
        planned.append(job.model_copy(update={"configs": configs}))
    return planned


def _training(
    tasks: list[list[str]], resources: Resources, code: str | None, rung: int | None, epochs: int | None
) -> Submission:
    parallelism = min(resources.parallelism or len(tasks), len(tasks))
    return Submission(
        kind="train", tasks=tasks, resources=resources, parallelism=parallelism, code=code, rung=rung, epochs=epochs
    )


def deal(items: Sequence[T], resources: Resources, most: int) -> list[list[T]]:
    """What each task of an array begins with, such as runs; the site allows so many tasks at most."""
    tasks = min(resources.tasks or math.ceil(len(items) / resources.at_once), most, len(items))
    return [list(items[task::tasks]) for task in range(tasks)]
