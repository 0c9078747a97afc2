"""From the runs that are wanted to the jobs that train them: by which code, up to which epoch, with what resources."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

from jobs.job_kinds import JOB_KINDS, KindName, services_needed, steps_saved
from jobs.slurm.commands import read_settings
from jobs.slurm.grid_jobs import GridJobs, Place
from jobs.slurm.resources import ClusterFile, Resources, increased
from jobs.slurm.site import number_in
from jobs.slurm.submissions import Submission
from jobs.status import RunStatus
from sentiment.config import RunConfig
from sentiment.console import Say
from sentiment.errors import NoSlurmError, RunDirError
from sentiment.runs.code_version import freeze_code
from sentiment.runs.run_dir import Results
from sentiment.runs.rungs import Rungs
from sentiment.runs.start_copy import find_damage
from sentiment.runs.state import PRUNED

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
    """How a command chooses the code of runs.

    Attributes:
        new_code: take the code of now for all runs; those that have begun then begin anew.
    """

    results: Results
    new_code: bool = False

    @cached_property
    def present(self) -> str:
        """The copy of the code of now, which is made if it is not there."""
        return freeze_code(self.results)

    def choose(
        self, runs: Sequence[tuple[RunStatus, RunConfig]], places: Mapping[str, Place], again: bool, say: Say
    ) -> list[WantedRun]:
        """Give each run its code, and say how many don't get that of now.

        A run that has saved steps keeps the code that it was submitted with, as long as the copy of it is whole.

        Args:
            places: the tasks that runs were last given to.
            again: whether all others keep theirs, too.
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


@dataclass(frozen=True)
class LaterRungs:
    """The rungs after the current one, whose trials its ranking decides."""

    rungs: Rungs
    candidates: Sequence[WantedRun]
    """The trials of the current rung, whether or not anything of it is left to do."""

    @property
    def numbers(self) -> range:
        """Of the rungs that are to come."""
        return range(self.rungs.current + 1, self.rungs.last + 1)


def later_rungs(rungs: Rungs, runs: Iterable[WantedRun]) -> LaterRungs | None:
    """What follows the current rung; None if that is the last one, which is not ranked.

    Args:
        runs: which may include others than the trials of the current rung.
    """
    if rungs.current == rungs.last:
        return None
    trials = {*rungs.trials(rungs.current)}
    return LaterRungs(rungs, with_pauses([run for run in runs if run.config.run_id in trials], rungs))


def with_pauses(runs: Sequence[WantedRun], rungs: Rungs) -> list[WantedRun]:
    """Let each run pause where its rung ends; those that are pruned are continued to their end."""
    standings = ((run, rungs.standings.get(run.config.run_id)) for run in runs)
    return [
        replace(run, rung=standing.rung, epochs=standing.epochs) if standing and run.row.state != PRUNED else run
        for run, standing in standings
    ]


def plan_jobs(
    runs: Sequence[WantedRun],
    results: Results,
    file: ClusterFile,
    grid: str,
    jobs: GridJobs,
    later: LaterRungs | None = None,
) -> list[Submission]:
    """The jobs for some runs of a grid, in the order in which they are submitted.

    Runs that had too little memory or time get more than they had, in an array of their own.

    Args:
        jobs: the grid's earlier ones.
        later: the rungs of a search that are to follow.

    Raises:
        UsageError: a run had too little memory, and it is not known how much that was.
        SlurmError: there is a Slurm, but it does not answer.
    """
    most_tasks, groups = _most_tasks(), _groups(runs, file.resources(grid), jobs)
    training = [
        _array(group, Resources.model_validate_json(resources), most_tasks, code, rung, epochs)
        for (resources, code, rung, epochs), group in groups.items()
    ]
    needed: dict[KindName, list[RunConfig]] = services_needed([run.config for run in runs], results)
    planned = []
    for kind in JOB_KINDS.values():
        if kind.trains_runs:
            planned += training + (_slots(later, file.resources(grid), most_tasks) if later else [])
        elif kind.name in needed or kind.final:
            resources = file.resources(grid, kind.name)
            if kind.name in jobs.failed_services:
                failure, had = jobs.failed_services[kind.name]
                resources = increased(failure.state, resources, had)
            number = resources.parallelism or 1 if kind.shareable else 1
            planned.append(
                Submission(
                    kind=kind.name,
                    tasks=[[] for _ in range(number)],
                    configs=needed.get(kind.name, []),
                    resources=resources,
                    parallelism=number,
                    code=training[0].code if training else _code_of(later),
                    cluster=file.as_given() if kind.final else {},
                )
            )
    return planned


def plan_here(runs: Sequence[WantedRun], at_once: int, later: LaterRungs | None) -> list[Submission]:
    """The same for this machine, which works off one job after another: runs prepare for themselves what they need."""
    resources = Resources(tasks=1, at_once=at_once)
    groups = _groups([replace(run, row=replace(run.row, state="")) for run in runs], resources, GridJobs((), ()))
    training = [_array(group, resources, 1, *same[1:]) for same, group in groups.items()]
    planned = training + (_slots(later, resources, 1) if later else [])
    return [job.model_copy(update={"here": True}) for job in planned]


_Alike = tuple[str, str | None, int | None, int | None]
"""Resources as JSON, code, rung and epochs of runs that can be tasks of one array."""


def _groups(runs: Sequence[WantedRun], configured: Resources, jobs: GridJobs) -> dict[_Alike, list[RunConfig]]:
    groups: dict[_Alike, list[RunConfig]] = {}
    for run in runs:
        place = jobs.places.get(run.row.run_id)
        resources = increased(run.row.state, configured, place[0].submission.resources if place else None)
        same = (resources.model_dump_json(), run.code, run.rung, run.epochs)
        groups.setdefault(same, []).append(run.config)
    return groups


def _array(
    configs: Sequence[RunConfig],
    resources: Resources,
    most_tasks: int,
    code: str | None,
    rung: int | None,
    epochs: int | None,
) -> Submission:
    resources, shares = _shares(configs, resources, most_tasks)
    return Submission(
        kind="train",
        tasks=[[config.run_id for config in share] for share in shares],
        configs=[config for share in shares for config in share],
        resources=resources,
        parallelism=min(resources.parallelism or len(shares), len(shares)),
        code=code,
        rung=rung,
        epochs=epochs,
    )


def _slots(later: LaterRungs, configured: Resources, most_tasks: int) -> list[Submission]:
    """An array for each rung that is to come; its code is that of most trials, since one of any may be promoted."""
    rungs, configs, planned = later.rungs, [run.config for run in later.candidates], []
    for rung in later.numbers:
        resources, shares = _shares(range(rungs.size(rung)), configured, most_tasks)
        job = _array([], resources, most_tasks, _code_of(later), rung, rungs.epochs(rung))
        parallelism = min(resources.parallelism or len(shares), len(shares))
        tasks: list[list[str]] = [[] for _ in shares]
        planned.append(job.model_copy(update={"tasks": tasks, "configs": configs, "parallelism": parallelism}))
    return planned


def _code_of(later: LaterRungs | None) -> str | None:
    return Counter(run.code for run in later.candidates).most_common(1)[0][0] if later else None


def _shares(items: Sequence[T], resources: Resources, most_tasks: int) -> tuple[Resources, list[list[T]]]:
    """The items of each task of an array; of more items than the site allows tasks they are worked off together."""
    if not resources.shares_tasks and len(items) <= most_tasks:
        return resources, [[item] for item in items]
    tasks = min(resources.tasks or math.ceil(len(items) / resources.at_once), most_tasks)
    return resources.model_copy(update={"tasks": tasks}), deal(items, tasks)


def deal(items: Sequence[T], tasks: int) -> list[list[T]]:
    """Each task's share of what they work off together, such as runs; no more tasks than items."""
    number = min(tasks, len(items))
    return [list(items[task::number]) for task in range(number)]


def _most_tasks() -> int:
    """The largest number of tasks that the site allows in one array."""
    try:
        settings = read_settings()
    except NoSlurmError:
        settings = {}
    return number_in(settings, "MaxArraySize")
