"""From runs to jobs: tweets, ELMo's vectors, training, report as a chain, each written down before Slurm is asked."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from jobs.slurm import commands as slurm
from jobs.slurm import sbatch
from jobs.slurm.commands import Job
from jobs.slurm.resources import Kind, Resources
from jobs.slurm.submissions import Submission, SubmissionDir, new_submission, write_intent
from sentiment.config import RunConfig
from sentiment.errors import RunDirError, SlurmError
from sentiment.run_dir import Results

T = TypeVar("T")

# Training needs what comes before it; a report can be written of what there is.
_AFTER: dict[Kind, tuple[tuple[Kind, ...], str]] = {
    "data": ((), ""),
    "cache": (("data",), "afterok"),
    "train": (("data", "cache"), "afterok"),
    "report": (("train",), "afterany"),
}

# Slurm looks every 30 s for jobs to warn, so that a warning may come a minute early.
_SWEEP_SECONDS = 60
_UNMEASURED_SAVE_SECONDS = 30.0
_MEASURED_RUNS = 20


@dataclass(frozen=True)
class ResourceGroup:
    """Runs whose tasks get the same."""

    configs: list[RunConfig]
    resources: Resources


@dataclass(frozen=True)
class PlannedJob:
    """One job of a chain: an array, or the report."""

    kind: Kind
    tasks: list[list[str]]
    """Run ids; a task that belongs to no run has none."""
    configs: list[RunConfig]
    resources: Resources
    parallelism: int


def plan_chain(
    batches: Iterable[ResourceGroup], unprepared: list[RunConfig], others: Mapping[Kind, Resources], most_tasks: int
) -> list[PlannedJob]:
    """The jobs for some runs of a grid: tweets and ELMo's vectors as far as needed, training, and the report.

    Args:
        unprepared: of the runs those that find no prepared tweets.
        others: resources of jobs of other kinds than training.
        most_tasks: that the site allows in one array.
    """
    training = [part for batch in batches for part in _training(batch, most_tasks)]
    cached = [one for part in training for one in part.configs if one.elmo and one.elmo.cached]
    encoders = others["cache"].parallelism or 1
    data = [PlannedJob("data", [[]], unprepared, others["data"], 1)] if unprepared else []
    cache = [PlannedJob("cache", [[]] * encoders, cached, others["cache"], encoders)] if cached else []
    return [*data, *cache, *training, PlannedJob("report", [[]], [], others["report"], 1)]


def submit_chain(
    results: Results, grid: str, parts: Sequence[PlannedJob], queue: Sequence[Job], earlier: Sequence[SubmissionDir]
) -> list[SubmissionDir]:
    """Write down and submit each part: training after tweets and vectors, the report after all training of the grid.

    Args:
        queue: what Slurm has of the user's jobs.
        earlier: what was submitted for the grid before; a report that still waits is superseded.

    Raises:
        SlurmError: Slurm refuses a part; nothing of the chain is left in the queue.
    """
    active = {job.name for job in queue if job.active}
    waiting = [folder for folder in earlier if folder.submission.name in active]
    accepted: list[SubmissionDir] = []
    try:
        for part in parts:
            submission = describe(results, grid, part, _dependency(part.kind, [*waiting, *accepted]))
            accepted.append(_submit(submission, part.configs))
    except SlurmError:
        slurm.cancel(_job_id(folder) for folder in accepted)
        for folder in accepted:
            folder.withdraw()
        raise
    slurm.cancel(_job_id(folder) for folder in waiting if folder.submission.kind == "report")
    return accepted


def describe(results: Results, grid: str, part: PlannedJob, after: str | None) -> Submission:
    """The part as it would be submitted."""
    signal = _warning_seconds(results, grid, part.resources)
    return new_submission(results, grid, part.kind, part.tasks, part.resources, part.parallelism, signal, after)


def _training(batch: ResourceGroup, most_tasks: int) -> list[PlannedJob]:
    """One array, or several that together run as many tasks at a time as one would."""
    size = batch.resources.runs_per_task
    chunks = list(_pieces(batch.configs, size * most_tasks))
    parts = []
    for configs in chunks:
        tasks = [[config.run_id for config in task] for task in _pieces(configs, size)]
        parallelism = (batch.resources.parallelism or len(tasks) * len(chunks)) // len(chunks)
        parts.append(PlannedJob("train", tasks, configs, batch.resources, max(parallelism, 1)))
    return parts


def _pieces(items: Iterable[T], size: int) -> Iterable[list[T]]:
    iterator = iter(items)
    while piece := list(islice(iterator, size)):
        yield piece


def _dependency(kind: Kind, before: Sequence[SubmissionDir]) -> str | None:
    needed, condition = _AFTER[kind]
    ids = [_job_id(folder) for folder in before if folder.submission.kind in needed]
    return f"{condition}:{':'.join(ids)}" if ids else None


def _submit(submission: Submission, configs: Iterable[RunConfig]) -> SubmissionDir:
    folder = write_intent(submission, configs)
    try:
        folder.accept(sbatch.send(submission))
    except SlurmError as error:
        _clear_up(folder, error)
        raise
    return folder


def _clear_up(folder: SubmissionDir, error: SlurmError) -> None:
    """Slurm may have accepted a job although its answer was lost; the intent stays where that cannot be known.

    Raises:
        SlurmError: it cannot.
    """
    try:
        found = [job.job_id for job in slurm.read_queue() if job.name == folder.submission.name]
    except SlurmError as silence:
        raise SlurmError(f"{error}\n{silence}\nwhether the job was accepted is found out by the next command") from None
    slurm.cancel(found[:1])
    folder.withdraw()


def _job_id(folder: SubmissionDir) -> str:
    if folder.receipt is None:
        raise RunDirError(f"{folder.path}: has no receipt yet; submit again")
    return folder.receipt.job_id


def _warning_seconds(results: Results, grid: str, resources: Resources) -> int:
    """How long before its end Slurm warns a task: as configured, or what two of the slowest saves measured take."""
    if resources.signal_seconds:
        return resources.signal_seconds
    files = islice((results.runs / grid).glob("*/timings.jsonl"), _MEASURED_RUNS)
    rows = (row for file in files for row in results.run_dir(file.parent.name, grid).read_timings())
    slowest = max((row["seconds"] for row in rows if row["kind"] == "save"), default=_UNMEASURED_SAVE_SECONDS)
    return min(math.ceil(2 * slowest) + _SWEEP_SECONDS, resources.time_minutes * 60 // 4)
