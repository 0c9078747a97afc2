"""Plans and submits jobs: the code snapshot, where runs pause, their resources, and the job arrays."""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from jobs import slurm
from jobs.grid_jobs import GridJobs, settle
from jobs.job_kinds import JOB_KINDS, preparations_needed, steps_saved
from jobs.slurm.resources import INCREASED_STATES, ClusterFile, Resources, increased
from jobs.status.grid_state import RunStatus
from jobs.submissions import Submission, SubmissionDir, new_submission, record_submission
from sentiment.config import RunConfig
from sentiment.errors import QueueFullError, RunDirError, SlurmError, UnansweredError
from sentiment.runs.run_dir import Results
from sentiment.runs.rungs import Rungs
from sentiment.runs.start_copy import find_damage
from sentiment.runs.state import PRUNED

T = TypeVar("T")


@dataclass(frozen=True)
class RunRequest:
    """A run that is to be executed.

    Attributes:
        rung: of a search, the rung in which it trains.
        epochs: the epoch after which it pauses; None trains it to its end.
    """

    row: RunStatus
    config: RunConfig
    rung: int | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class Launch:
    """The runs that a command submits to Slurm, or trains on this machine.

    Attributes:
        runs: those to train now.
        trials: of a search, all trials of the current rung if jobs for the later rungs are to be submitted; else empty.
        rungs: of a search with early termination; else None.
        code: the id of the code snapshot that computes the runs.
    """

    runs: Sequence[RunRequest]
    trials: Sequence[RunRequest] = ()
    rungs: Rungs | None = None
    code: str | None = None


def request_runs(rows: Iterable[RunStatus], configs: Mapping[str, RunConfig], rungs: Rungs | None) -> list[RunRequest]:
    """Request runs that pause at the end of their rungs; pruned runs that were asked for train to their end.

    Args:
        configs: by run id.
    """
    requests = []
    for row in rows:
        request = RunRequest(row, configs[row.run_id])
        trial_rung = rungs.trial_rungs.get(row.run_id) if rungs else None
        if trial_rung and row.state != PRUNED:
            request = replace(request, rung=trial_rung.rung, epochs=trial_rung.epochs)
        requests.append(request)
    return requests


def earlier_code(results: Results, rows: Sequence[RunStatus], jobs: GridJobs, resubmit: bool) -> str | None:
    """The id of the code snapshot that some runs keep; None if they get the current code.

    If the snapshot of their last submission is intact, they keep it when they are resubmitted or when one of them has
    saved steps.
    """
    folders = jobs.by_submission(row.run_id for row in rows)
    if not folders:
        return None
    code = max(folders, key=lambda folder: folder.number).submission.code
    if code is None or find_damage(results.code / code):
        return None
    for row in rows:
        with suppress(RunDirError):  # the task will report whether the run can be resumed
            if resubmit or steps_saved(results.run_dir(row.run_id, row.grid)):
                return code
    return None


def plan_slurm_jobs(
    launch: Launch, grid: str, results: Results, cluster: ClusterFile, jobs: GridJobs
) -> list[Submission]:
    """The jobs for some runs of a grid, in the order in which they are submitted; the last one is the final job."""
    max_tasks = slurm.max_array_size()
    configured = cluster.resources(grid)
    needed = preparations_needed([request.config for request in launch.runs], results)
    planned: list[Submission] = []
    for kind in JOB_KINDS.values():
        if kind.trains_runs:
            planned += _training_arrays(launch, configured, jobs, max_tasks)
            planned += _later_rung_arrays(launch, configured, max_tasks)
        elif kind.final or kind.name in needed:
            resources = cluster.resources(grid, kind.name)
            if kind.name in jobs.failed_other_jobs:
                previous = jobs.other_jobs[kind.name].submission.resources
                state = jobs.failed_other_jobs[kind.name].state
                resources = increased(state, resources, previous, jobs.limits(resources))
            count = resources.parallelism or 1 if kind.shareable else 1
            job = Submission(
                kind=kind.name,
                tasks=[[] for _ in range(count)],
                configs=needed.get(kind.name, []),
                resources=resources,
                code=launch.code,
                cluster=cluster.as_given() if kind.final else {},
            )
            planned.append(job)
    return planned


def plan_local_jobs(launch: Launch, at_once: int) -> list[Submission]:
    """The jobs for this machine, which run one after another; each run prepares its own inputs."""
    resources = Resources(tasks=1, at_once=at_once)
    jobs = _training_arrays(launch, resources, None, 1) + _later_rung_arrays(launch, resources, 1)
    return [job.model_copy(update={"local": True}) for job in jobs]


def _training_arrays(launch: Launch, configured: Resources, jobs: GridJobs | None, max_tasks: int) -> list[Submission]:
    """One job array for each group of runs with equal rung and resources; runs that lacked memory or time get more."""
    groups: dict[tuple[str, SubmissionDir | None, int | None, int | None], list[RunRequest]] = defaultdict(list)
    for run in launch.runs:
        previous = jobs.last_started(run.row.run_id) if jobs and run.row.state in INCREASED_STATES else None
        groups[run.row.state if previous else "", previous, run.rung, run.epochs].append(run)
    arrays = []
    for (state, previous, _, _), requests in groups.items():
        resources = configured
        if jobs and previous:
            resources = increased(state, configured, previous.submission.resources, jobs.limits(configured))
        shares = split_among_tasks(requests, resources, max_tasks)
        tasks = [[request.config.run_id for request in share] for share in shares]
        arrays.append(_training_array(requests, tasks, resources, launch.code))
    return arrays


def _later_rung_arrays(launch: Launch, resources: Resources, max_tasks: int) -> list[Submission]:
    """One job array for each later rung, with all trials of the current one, since any of them may be promoted."""
    if not launch.rungs or not launch.trials:
        return []
    arrays = []
    for rung in launch.rungs.later:
        shares = split_among_tasks(range(launch.rungs.size(rung)), resources, max_tasks)
        trials = [replace(trial, rung=rung, epochs=launch.rungs.epochs(rung)) for trial in launch.trials]
        arrays.append(_training_array(trials, [[] for _ in shares], resources, launch.code))
    return arrays


def _training_array(
    runs: Sequence[RunRequest], tasks: list[list[str]], resources: Resources, code: str | None
) -> Submission:
    """An array that trains runs of one rung."""
    return Submission(
        kind="train",
        tasks=tasks,
        configs=[run.config for run in runs],
        resources=resources,
        code=code,
        rung=runs[0].rung,
        epochs=runs[0].epochs,
    )


def split_among_tasks(items: Sequence[T], resources: Resources, max_tasks: int) -> list[list[T]]:
    """Split items, such as runs, round-robin into one list for each task of an array."""
    tasks = min(resources.tasks or math.ceil(len(items) / resources.at_once), max_tasks, len(items))
    return [list(items[task::tasks]) for task in range(tasks)]


@dataclass
class SubmittedChain:
    """The outcome of submitting dependent jobs.

    Attributes:
        refused: training arrays and a final job whose refusal did not affect the other jobs, each with its error.
        not_cancelled: why jobs that these jobs replace could not be cancelled, if any could not.
    """

    accepted: list[SubmissionDir] = field(default_factory=list)
    refused: list[tuple[Submission, SlurmError]] = field(default_factory=list)
    not_cancelled: SlurmError | None = None

    def cancel(self, job_ids: Iterable[str]) -> None:
        try:
            slurm.cancel(job_ids)
        except SlurmError as error:
            self.not_cancelled = error


def submit_chain(results: Results, grid: str, jobs: Sequence[Submission], existing: GridJobs) -> SubmittedChain:
    """Record and submit jobs in order, with their dependencies.

    A refused training array of the first rung does not keep the others from being submitted, nor does a refused final
    job. Nothing is submitted if any other job is refused, if all training arrays are, if Slurm's queue is full, or if
    Slurm does not answer. Of earlier submissions, final jobs and arrays of later rungs that new ones replace are
    cancelled, and so are jobs of these runs that can never start.

    Raises:
        UnansweredError: nothing was submitted, except possibly the job about which Slurm did not answer.
        SlurmError: nothing was submitted.
    """
    names = existing.active_names
    active = [folder for folder in existing.submissions if folder.name in names and not folder.submission.local]
    new_rungs = {job.rung for job in jobs if job.by_ranking}
    replaced = [folder for folder in active if folder.submission.by_ranking and folder.submission.rung in new_rungs]
    kept = [folder for folder in active if folder not in replaced]
    chain = SubmittedChain()

    def submit(job: Submission) -> None:
        dependency = _dependency(job, [*kept, *chain.accepted])
        chain.accepted.append(_record_and_submit(new_submission(results, grid, job, dependency)))

    *others, final = jobs
    try:
        _submit_all_but_final(others, submit, chain)
    except SlurmError:
        slurm.cancel(folder.job_id for folder in chain.accepted)
        for folder in chain.accepted:
            folder.withdraw()
        raise
    accepted_ids = {run_id for folder in chain.accepted for run_id in folder.run_ids}
    never_starting = [
        job.address
        for (folder, task), job in existing.active_tasks.items()
        if job.never_starts and accepted_ids.issuperset(folder.tasks[task])
    ]
    chain.cancel(never_starting)
    if any(folder.submission.by_ranking for folder in chain.accepted):
        chain.cancel(folder.job_id for folder in replaced)
    try:
        submit(final)
    except SlurmError as error:
        chain.refused.append((final, error))
    else:
        chain.cancel(folder.job_id for folder in kept if folder.submission.job_kind.final)
    return chain


def _submit_all_but_final(
    jobs: Iterable[Submission], submit: Callable[[Submission], None], chain: SubmittedChain
) -> None:
    for job in jobs:
        try:
            submit(job)
        except (UnansweredError, QueueFullError):
            raise
        except SlurmError as error:
            if not job.job_kind.trains_runs or job.by_ranking:
                raise  # other jobs depend on it
            chain.refused.append((job, error))
    if chain.refused and not any(folder.submission.job_kind.trains_runs for folder in chain.accepted):
        raise chain.refused[0][1]


def _dependency(job: Submission, earlier: Sequence[SubmissionDir]) -> str | None:
    """Return sbatch's `--dependency`; an array of a later rung waits for the end of all arrays of the previous rung."""
    if job.by_ranking and job.rung:
        ids = [folder.job_id for folder in earlier if folder.submission.rung == job.rung - 1]
    else:
        ids = [folder.job_id for folder in earlier if folder.submission.kind in job.job_kind.after]
    if not ids:
        return None
    condition = "afterany" if job.by_ranking or job.job_kind.final else "afterok"
    return f"{condition}:{':'.join(ids)}"


def _record_and_submit(folder: SubmissionDir) -> SubmissionDir:
    record_submission(folder)
    try:
        folder.write_receipt(slurm.submit(folder))
    except SlurmError as error:  # perhaps Slurm has accepted the job, and only its answer was lost
        try:
            accepted = settle(folder)
        except SlurmError as query_error:
            raise UnansweredError(
                f"{error}; {query_error}; it is not known whether the job was accepted: the next command finds out"
            ) from None
        if not accepted:
            raise
    return folder
