"""From runs to a chain of jobs (tweets, vectors, training, report), each written down before Slurm is asked."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, TypeVar

from jobs.job_kinds import JOB_KINDS, KindName
from jobs.slurm import commands as slurm
from jobs.slurm import sbatch
from jobs.slurm.grid_jobs import GridJobs
from jobs.slurm.resources import Resources
from jobs.slurm.submissions import Submission, SubmissionDir, new_submission, write_intent
from sentiment.config import RunConfig
from sentiment.errors import SlurmError, UnansweredError
from sentiment.runs.run_dir import Results

T = TypeVar("T")

# Slurm looks every 30 s for jobs to warn, so a warning may come a minute early.
_SWEEP_SECONDS = 60
_UNMEASURED_SAVE_SECONDS = 30.0
_MEASURED_RUNS = 20


@dataclass(frozen=True)
class ResourceGroup:
    """Runs whose tasks get the same resources and import the same code."""

    configs: list[RunConfig]
    resources: Resources
    code: str | None = None
    """As in `Submission`."""
    rung: int | None = None
    epochs: int | None = None
    """As in `Submission`, like `rung`."""
    slots: int = 0
    """How many of the runs are to be trained, where a ranking decides which; 0 trains all."""


def plan_chain(
    groups: Sequence[ResourceGroup],
    needed: Mapping[KindName, list[RunConfig]],
    resources: Mapping[KindName, Resources],
    most_tasks: int,
    cluster: Mapping[str, Any] | None = None,
) -> list[Submission]:
    """The jobs for some runs of a grid, in the order in which they are submitted.

    Args:
        groups: the runs to train, those of later rungs last.
        needed: the other kinds of jobs that they need, with the runs that each works for.
        resources: what jobs of these other kinds get.
        most_tasks: the largest number of tasks that the site allows in one array.
        cluster: what the cluster's file says, for the job that ends the grid.
    """
    jobs = []
    for kind in JOB_KINDS.values():
        if kind.trains_runs:
            jobs += [job for group in groups for job in _training(kind.name, group, most_tasks)]
        elif kind.name in needed:
            asked = resources[kind.name]
            tasks: list[list[str]] = [[] for _ in range(asked.parallelism or 1 if kind.shareable else 1)]
            code = groups[0].code if groups else None
            given = dict(cluster or {}) if kind.final else {}
            jobs.append(
                Submission(
                    kind=kind.name,
                    tasks=tasks,
                    configs=needed[kind.name],
                    resources=asked,
                    parallelism=len(tasks),
                    code=code,
                    cluster=given,
                )
            )
    return jobs


@dataclass
class SubmittedChain:
    """What became of a chain of jobs."""

    accepted: list[SubmissionDir] = field(default_factory=list)
    refused_report: SlurmError | None = None
    """Why the job that ends a grid was refused; training goes on without it."""


def submit_chain(results: Results, grid: str, jobs: Sequence[Submission], before: GridJobs) -> SubmittedChain:
    """Write down and submit each job, with its dependency on the grid's jobs before it: all of it, or nothing.

    Training stays without its report, if that alone is refused.

    Args:
        before: the grid's earlier jobs; a final one that still waits is replaced.

    Raises:
        QueueFullError: there is no room for all training and what it waits for; nothing of the chain is left.
        SlurmError: Slurm refuses for another reason. Nothing of the chain is left in the queue either.
    """
    active = {job.name for job in before.queue or () if job.active}
    rungs = {job.rung for job in jobs if job.slots}
    every = [folder for folder in before.submissions if folder.submission.name in active]
    replaced = [folder for folder in every if folder.submission.slots and folder.submission.rung in rungs]
    waiting = [folder for folder in every if folder not in replaced]
    chain = SubmittedChain()

    def submit(job: Submission) -> None:
        after = _dependency(job, [*waiting, *chain.accepted])
        chain.accepted.append(_submit(describe(results, grid, job, after)))

    try:
        for job in jobs:
            if not JOB_KINDS[job.kind].final:
                submit(job)
    except SlurmError:
        slurm.cancel(folder.job_id for folder in chain.accepted)
        for folder in chain.accepted:
            folder.withdraw()
        raise
    if any(folder.submission.slots for folder in chain.accepted):
        slurm.cancel(folder.job_id for folder in replaced)
    try:
        for job in jobs:
            if JOB_KINDS[job.kind].final:
                submit(job)
        slurm.cancel(folder.job_id for folder in waiting if folder.submission.job_kind.final)
    except SlurmError as error:
        chain.refused_report = error
    return chain


def describe(results: Results, grid: str, job: Submission, after: str | None) -> Submission:
    """The job as it would be submitted; `after` is its dependency, as sbatch takes it."""
    return new_submission(results, grid, job, _warning_seconds(results, grid, job.resources), after)


def _training(kind: KindName, group: ResourceGroup, most_tasks: int) -> list[Submission]:
    """One array, or several that together run as many tasks at a time as one would."""
    given: dict[str, Any] = {"code": group.code, "rung": group.rung, "epochs": group.epochs}
    given |= {"kind": kind, "resources": group.resources}
    if group.slots:
        return [
            Submission(tasks=[[] for _ in slots], configs=group.configs, parallelism=parallelism, slots=slots, **given)
            for slots, parallelism in _arrays(range(group.slots), group.resources, most_tasks)
        ]
    return [
        Submission(
            tasks=[[config.run_id for config in share] for share in shares],
            configs=[config for share in shares for config in share],
            parallelism=parallelism,
            **given,
        )
        for shares, parallelism in _arrays(group.configs, group.resources, most_tasks)
    ]


def _arrays(items: Sequence[T], resources: Resources, most_tasks: int) -> list[tuple[list[list[T]], int]]:
    """The items of each task of each array, and how many of the array's tasks may run at a time."""
    if resources.shares_tasks:
        wanted = resources.tasks or math.ceil(len(items) / resources.at_once)
        shares = deal(items, min(wanted, most_tasks))
        return [(shares, min(resources.parallelism or len(shares), len(shares)))]
    chunks = [items[first : first + most_tasks] for first in range(0, len(items), most_tasks)]
    return [
        ([[item] for item in chunk], max((resources.parallelism or len(chunk) * len(chunks)) // len(chunks), 1))
        for chunk in chunks
    ]


def deal(items: Sequence[T], tasks: int) -> list[list[T]]:
    """Each task's share of what they work off together, such as runs; no more tasks than items."""
    number = min(tasks, len(items))
    return [list(items[task::number]) for task in range(number)]


def _dependency(job: Submission, before: Sequence[SubmissionDir]) -> str | None:
    """Slots wait for the end, however it was, of all that trains in the rung before theirs."""
    if job.slots and job.rung:
        earlier = [folder.job_id for folder in before if folder.submission.rung == job.rung - 1]
        return f"afterany:{':'.join(earlier)}" if earlier else None
    job_kind = JOB_KINDS[job.kind]
    ids = [folder.job_id for folder in before if folder.submission.kind in job_kind.after]
    return f"{job_kind.condition}:{':'.join(ids)}" if ids else None


def _submit(submission: Submission) -> SubmissionDir:
    folder = write_intent(submission)
    try:
        folder.accept(sbatch.send(submission))
    except SlurmError as error:
        _accept_if_there(folder, error)
    return folder


def _accept_if_there(folder: SubmissionDir, error: SlurmError) -> None:
    """Look whether Slurm accepted the job although its answer was lost; if not, withdraw the intent.

    Raises:
        UnansweredError: it does not say, and the intent stays.
        SlurmError: it did not accept the job.
    """
    try:
        found = [job.job_id for job in slurm.read_queue() if job.name == folder.submission.name]
    except SlurmError as silence:
        why = f"{error}; {silence}; the next command finds out whether the job was accepted"
        raise UnansweredError(why) from None
    if not found:
        folder.withdraw()
        raise error
    folder.accept(found[0])


def _warning_seconds(results: Results, grid: str, resources: Resources) -> int:
    """How long before its end Slurm warns a task: as configured, or twice the slowest save that was measured."""
    if resources.signal_seconds:
        return resources.signal_seconds
    files = islice((results.runs / grid).glob("*/timings.jsonl"), _MEASURED_RUNS)
    rows = (row for file in files for row in results.run_dir(file.parent.name, grid).read_timings())
    saves = [row.get("seconds") for row in rows if row.get("kind") == "save"]
    slowest = max((one for one in saves if isinstance(one, int | float)), default=_UNMEASURED_SAVE_SECONDS)
    return min(math.ceil(2 * slowest) + _SWEEP_SECONDS, resources.time_minutes * 60 // 4)
