"""Plans the jobs of runs: where they pause, their code and resources, and how they are divided into arrays."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from jobs import slurm
from jobs.grid_jobs import GridJobs
from jobs.job_kinds import JOB_KINDS, JobKind, preparations_needed
from jobs.launch.local_runner import visible_gpus
from jobs.slurm.resources import ClusterFile, Lacked, Limits, Resources, sufficient
from jobs.status.grid_state import RunStatus
from jobs.submissions import Submission
from sentiment.config import RunConfig
from sentiment.errors import SlurmError
from sentiment.processes import available_cores
from sentiment.runs.halving import HalvingSearch, TrialPlace
from sentiment.runs.records import GridPlan
from sentiment.runs.run_dir import Results
from sentiment.runs.start_copy import find_damage
from sentiment.runs.state import PRUNED


class ArrayKey(NamedTuple):
    """What the runs of one array have in common.

    Attributes:
        lacked: what earlier attempts lacked.
        code: the id of the code snapshot that computes them; None is this checkout.
        epochs: the epoch after which they pause; None trains them to their end.
    """

    lacked: Lacked = Lacked()
    code: str | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class Launch:
    """The runs that are submitted to Slurm, or trained on this machine.

    Attributes:
        arrays: their configurations, by what those in one array have in common.
        code: the id of the code snapshot that prepares their inputs and ends the grid; None is this checkout.
        retry: whether nobody asked for them: the final job, or a local command, goes on with them by itself.
    """

    arrays: Mapping[ArrayKey, Sequence[RunConfig]]
    code: str | None = None
    retry: bool = False

    @property
    def configs(self) -> list[RunConfig]:
        return [config for configs in self.arrays.values() for config in configs]


def group_runs(
    rows: Iterable[RunStatus],
    configs: Mapping[str, RunConfig],
    search: HalvingSearch | None,
    codes: Mapping[str, str],
    jobs: GridJobs,
) -> dict[ArrayKey, list[RunConfig]]:
    """Group runs by array. Trials pause where their search ranks them, but for pruned ones that were asked for, ever.

    Args:
        configs: by run id.
        codes: the ids of code snapshots, by run id.
        jobs: those that the grid has.
    """
    arrays: dict[ArrayKey, list[RunConfig]] = defaultdict(list)
    for row in rows:
        run_id = row.run_id
        trial = search.trials_by_id.get(run_id) if search else None
        epochs = trial.epochs if trial and not _is_continued(row, trial, jobs) else None
        arrays[ArrayKey(jobs.lacked(run_id, row.state), codes.get(run_id), epochs)].append(configs[run_id])
    return arrays


def _is_continued(row: RunStatus, trial: TrialPlace, jobs: GridJobs) -> bool:
    """Whether a trial is, or was by its last submission, trained to its end though it was pruned."""
    task = jobs.tasks.get(row.run_id)
    was_continued = task is not None and task.folder.submission.epochs is None
    return row.state == PRUNED or (trial.rank is not None and was_continued)


def earlier_codes(results: Results, rows: Iterable[RunStatus], jobs: GridJobs, plan: GridPlan) -> dict[str, str]:
    """The id of the code snapshot that each run keeps, by run id; those that get the current code are left out.

    A run keeps the snapshot of its last submission; one that was never submitted, that of its grid's plan. A snapshot
    that is not intact is kept by none.
    """
    is_intact = cache(lambda code: not find_damage(results.code / code))
    codes: dict[str, str] = {}
    for row in rows:
        task = jobs.tasks.get(row.run_id)
        code = (task and task.folder.submission.code) or plan.code
        if code and is_intact(code):
            codes[row.run_id] = code
    return codes


def plan_slurm_jobs(
    launch: Launch, grid: str, results: Results, cluster: ClusterFile, jobs: GridJobs
) -> list[Submission]:
    """The jobs for some runs of a grid, in the order in which they are submitted; the last one is the final job."""
    configured = cluster.resources(grid)
    needed = preparations_needed(launch.configs, results)
    planned: list[Submission] = []
    for kind in JOB_KINDS.values():
        if kind.trains_runs:
            planned += _training_arrays(launch, configured, slurm.max_array_size())
        elif kind.final or kind.name in needed:
            job = _other_job(kind, cluster.resources(grid, kind.name), jobs)
            configs = needed.get(kind.name, [])
            given = cluster.as_given() if kind.final else {}
            planned.append(job.model_copy(update={"configs": configs, "code": launch.code, "cluster": given}))
    return planned


def _other_job(kind: JobKind, resources: Resources, jobs: GridJobs) -> Submission:
    """A job that trains no runs, with more of what the last one of its kind lacked."""
    lacked = Lacked()
    if kind.name in jobs.failed_other_jobs:
        previous = jobs.other_jobs[kind.name].submission
        lacked = previous.lacked.after(jobs.failed_other_jobs[kind.name].state, previous.resources)
        resources = _grown(resources, lacked)
    count = (resources.parallelism or 1) if kind.shareable else 1
    return Submission(kind=kind.name, tasks=[[] for _ in range(count)], resources=resources, lacked=lacked)


def runs_at_once(configs: Iterable[RunConfig], asked_for: int | None) -> int:
    """The most runs at a time on this machine: as asked for, or one for each GPU, or as many as its cores can train."""
    threads = max((config.runtime.threads or 1 for config in configs), default=1)
    return asked_for or len(visible_gpus()) or max(available_cores() // threads, 1)


def plan_local_jobs(launch: Launch, at_once: int) -> list[Submission]:
    """The jobs for this machine, which run one after another; each run prepares its own inputs."""
    jobs = _training_arrays(launch, Resources(tasks=1, at_once=at_once), 1)
    return [job.model_copy(update={"local": True}) for job in jobs]


def _training_arrays(launch: Launch, configured: Resources, max_tasks: int) -> list[Submission]:
    arrays = []
    for key, configs in launch.arrays.items():
        resources = _grown(configured, key.lacked)
        tasks = split_among_tasks([config.run_id for config in configs], resources, max_tasks)
        array = Submission(kind="train", tasks=tasks, configs=[*configs], resources=resources, **key._asdict())
        arrays.append(array.model_copy(update={"retry": launch.retry}))
    return arrays


def _grown(configured: Resources, lacked: Lacked) -> Resources:
    """Resources with more of what was lacking, as far as the partition has it, if Slurm tells that."""
    if lacked == Lacked():
        return configured
    limits = Limits()
    with suppress(SlurmError):
        limits = slurm.read_limits(configured.partition)
    return sufficient(configured, lacked, limits)


def split_among_tasks(run_ids: Sequence[str], resources: Resources, max_tasks: int) -> list[list[str]]:
    """Split runs round-robin into one list for each task of an array."""
    tasks = min(resources.tasks or math.ceil(len(run_ids) / resources.at_once), max_tasks, len(run_ids))
    return [list(run_ids[task::tasks]) for task in range(tasks)]
