"""From runs to a chain of jobs (tweets, vectors, training, report), each written down before Slurm is asked."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from jobs.job_kinds import JOB_KINDS, KindName
from jobs.slurm import commands as slurm
from jobs.slurm import sbatch
from jobs.slurm.commands import Job
from jobs.slurm.resources import ClusterFile, Resources
from jobs.slurm.submissions import PlannedJob, Submission, SubmissionDir, new_submission, write_intent
from sentiment.config import RunConfig
from sentiment.errors import SlurmError
from sentiment.run_dir import Results

T = TypeVar("T")

# Slurm looks every 30 s for jobs to warn, so a warning may come a minute early.
_SWEEP_SECONDS = 60
_UNMEASURED_SAVE_SECONDS = 30.0
_MEASURED_RUNS = 20


@dataclass(frozen=True)
class ResourceGroup:
    """Runs whose tasks get the same resources."""

    configs: list[RunConfig]
    resources: Resources


def plan_chain(
    groups: Sequence[ResourceGroup],
    needed: Mapping[KindName, list[RunConfig]],
    file: ClusterFile,
    most_tasks: int,
) -> list[PlannedJob]:
    """The jobs for some runs of a grid, in the order in which they are submitted.

    Args:
        groups: the runs to train.
        needed: the other kinds of jobs that they need, with the runs that each works for.
        file: says what jobs of these other kinds get.
        most_tasks: the largest number of tasks that the site allows in one array.
    """
    jobs, resources = [], file.service_resources()
    for kind in JOB_KINDS.values():
        if kind.trains_runs:
            jobs += [job for group in groups for job in _training(kind.name, group, most_tasks)]
        elif kind.name in needed:
            asked = resources[kind.name]
            tasks: list[list[str]] = [[] for _ in range(asked.parallelism or 1 if kind.shareable else 1)]
            jobs.append(
                PlannedJob(
                    kind.name, tasks, needed[kind.name], asked, len(tasks), file.as_given() if kind.final else {}
                )
            )
    return jobs


def submit_chain(
    results: Results, grid: str, jobs: Sequence[PlannedJob], queue: Sequence[Job], earlier: Sequence[SubmissionDir]
) -> list[SubmissionDir]:
    """Write down and submit each job, with its dependency on the grid's jobs before it.

    Args:
        queue: all of the user's jobs in Slurm.
        earlier: the grid's earlier submissions; a final job of theirs that still waits is replaced.

    Raises:
        SlurmError: Slurm refuses a job; nothing of the chain is left in the queue.
    """
    active = {job.name for job in queue if job.active}
    waiting = [folder for folder in earlier if folder.submission.name in active]
    accepted: list[SubmissionDir] = []
    try:
        for job in jobs:
            submission = describe(results, grid, job, _dependency(job.kind, [*waiting, *accepted]))
            accepted.append(_submit(submission, job.configs))
    except SlurmError:
        slurm.cancel(folder.job_id for folder in accepted)
        for folder in accepted:
            folder.withdraw()
        raise
    slurm.cancel(folder.job_id for folder in waiting if folder.submission.job_kind.final)
    return accepted


def describe(results: Results, grid: str, job: PlannedJob, after: str | None) -> Submission:
    """The job as it would be submitted; `after` is its dependency, as sbatch takes it."""
    return new_submission(results, grid, job, _warning_seconds(results, grid, job.resources), after)


def _training(kind: KindName, group: ResourceGroup, most_tasks: int) -> list[PlannedJob]:
    """One array, or several that together run as many tasks at a time as one would."""
    size = group.resources.runs_per_task
    if group.resources.tasks:
        shares = deal(group.configs, min(group.resources.tasks, most_tasks))
        tasks = [[config.run_id for config in share] for share in shares]
        configs = [config for share in shares for config in share]
        parallelism = min(group.resources.parallelism or len(tasks), len(tasks))
        return [PlannedJob(kind, tasks, configs, group.resources, parallelism)]
    chunks = list(_pieces(group.configs, size * most_tasks))
    jobs = []
    for configs in chunks:
        tasks = [[config.run_id for config in task] for task in _pieces(configs, size)]
        parallelism = (group.resources.parallelism or len(tasks) * len(chunks)) // len(chunks)
        jobs.append(PlannedJob(kind, tasks, configs, group.resources, max(parallelism, 1)))
    return jobs


def deal(configs: Sequence[RunConfig], tasks: int) -> list[list[RunConfig]]:
    """Each task's share of the runs that they work off together; no more tasks than runs."""
    number = min(tasks, len(configs))
    return [list(configs[task::number]) for task in range(number)]


def _pieces(items: Iterable[T], size: int) -> Iterable[list[T]]:
    iterator = iter(items)
    while piece := list(islice(iterator, size)):
        yield piece


def _dependency(kind: KindName, before: Sequence[SubmissionDir]) -> str | None:
    job_kind = JOB_KINDS[kind]
    ids = [folder.job_id for folder in before if folder.submission.kind in job_kind.after]
    return f"{job_kind.condition}:{':'.join(ids)}" if ids else None


def _submit(submission: Submission, configs: Iterable[RunConfig]) -> SubmissionDir:
    folder = write_intent(submission, configs)
    try:
        folder.accept(sbatch.send(submission))
    except SlurmError as error:
        _clear_up(folder, error)
        raise
    return folder


def _clear_up(folder: SubmissionDir, error: SlurmError) -> None:
    """Cancel the job if Slurm accepted it although its answer was lost, and withdraw the intent.

    Raises:
        SlurmError: Slurm does not say whether it accepted the job; the intent stays.
    """
    try:
        found = [job.job_id for job in slurm.read_queue() if job.name == folder.submission.name]
    except SlurmError as silence:
        raise SlurmError(f"{error}\n{silence}\nthe next command will find out whether the job was accepted") from None
    slurm.cancel(found[:1])
    folder.withdraw()


def _warning_seconds(results: Results, grid: str, resources: Resources) -> int:
    """How long before its end Slurm warns a task: as configured, or twice the slowest save that was measured."""
    if resources.signal_seconds:
        return resources.signal_seconds
    files = islice((results.runs / grid).glob("*/timings.jsonl"), _MEASURED_RUNS)
    rows = (row for file in files for row in results.run_dir(file.parent.name, grid).read_timings())
    slowest = max((row["seconds"] for row in rows if row["kind"] == "save"), default=_UNMEASURED_SAVE_SECONDS)
    return min(math.ceil(2 * slowest) + _SWEEP_SECONDS, resources.time_minutes * 60 // 4)
