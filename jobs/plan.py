"""Plans and submits jobs: the code snapshot of each run, where it pauses, its resources, and the job arrays."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TypeVar

from jobs import slurm
from jobs.grid_jobs import GridJobs, Place, settle
from jobs.services import JOB_KINDS, JobKind, services_needed, steps_saved
from jobs.slurm.resources import INCREASED_STATES, ClusterFile, Resources, increased
from jobs.status import RunStatus
from jobs.submissions import Submission, SubmissionDir, new_submission, record_submission
from sentiment.config import RunConfig
from sentiment.errors import QueueFullError, RunDirError, SlurmError, UnansweredError
from sentiment.runs.code_version import freeze_code
from sentiment.runs.run_dir import Results
from sentiment.runs.start_copy import find_damage
from sentiment.runs.state import PRUNED, Rungs

T = TypeVar("T")


@dataclass(frozen=True)
class RunRequest:
    """A run that is to be executed.

    Attributes:
        code: the id of the code snapshot that computes it; None runs the code of the working directory.
        rung: of a search, the rung in which it trains.
        epochs: the epoch after which it pauses; None trains it to its end.
    """

    row: RunStatus
    config: RunConfig
    code: str | None
    rung: int | None = None
    epochs: int | None = None


@dataclass(frozen=True)
class CodeChoice:
    """Chooses code snapshots. With `new_code` started runs restart from scratch with the current code."""

    results: Results
    new_code: bool = False

    @cached_property
    def current(self) -> str:
        """The id of the snapshot of the current code, which is taken when this is first asked for."""
        return freeze_code(self.results)

    def choose(
        self, rows: Sequence[RunStatus], configs: Mapping[str, RunConfig], tasks: Mapping[str, Place], resubmit: bool
    ) -> list[RunRequest]:
        """Assign a code snapshot to each run.

        A run keeps the snapshot that it was submitted with if that is intact and the run has saved steps or is
        resubmitted. Else it gets the current code.

        Args:
            configs: by run id.
            tasks: by run id, the newest submission of the run.
        """
        if self.new_code:
            return [RunRequest(row, _with_restart_allowed(configs[row.run_id]), self.current) for row in rows]
        previous = {row.run_id: tasks[row.run_id][0].submission.code for row in rows if row.run_id in tasks}
        intact = {code for code in {*previous.values()} if code and not find_damage(self.results.code / code)}
        requests = []
        for row in rows:
            code = previous.get(row.run_id)
            if code not in intact or not (resubmit or self._has_saved_steps(row)):
                code = self.current
            requests.append(RunRequest(row, configs[row.run_id], code))
        return requests

    def describe_earlier(self, requests: Sequence[RunRequest]) -> Iterator[str]:
        """A line for each snapshot of earlier code that runs keep."""
        counts = Counter(request.code for request in requests if request.code)
        for code, count in counts.items():
            if code != self.current:
                yield (
                    f"{count} of them keep their earlier code, {self.results.code / code}; --new-code restarts them "
                    "with the current code"
                )

    def _has_saved_steps(self, row: RunStatus) -> bool:
        try:
            return steps_saved(self.results.run_dir(row.run_id, row.grid)) > 0
        except RunDirError:
            return False  # the task will report whether the run can be resumed


def _with_restart_allowed(config: RunConfig) -> RunConfig:
    runtime = config.runtime.model_copy(update={"other_code": "restart"})
    return config.model_copy(update={"runtime": runtime})


@dataclass(frozen=True)
class Launch:
    """What a command executes.

    Attributes:
        runs: those to train now.
        trials: of a search, all trials of the current rung if jobs for the later rungs are to be submitted; else empty.
        rungs: of a search with early termination; else None.
    """

    runs: Sequence[RunRequest]
    trials: Sequence[RunRequest] = ()
    rungs: Rungs | None = None


def pause_at_rung_end(requests: Sequence[RunRequest], rungs: Rungs) -> list[RunRequest]:
    """Let each run pause at the end of its rung; pruned runs that were asked for train to their end."""
    paused = []
    for request in requests:
        standing = rungs.standings.get(request.config.run_id)
        if standing and request.row.state != PRUNED:
            request = replace(request, rung=standing.rung, epochs=standing.epochs)
        paused.append(request)
    return paused


def plan_slurm_jobs(
    launch: Launch, grid: str, results: Results, cluster: ClusterFile, jobs: GridJobs
) -> list[Submission]:
    """The jobs for some runs of a grid, in the order in which they are submitted."""
    max_tasks = slurm.most_tasks()
    configured = cluster.resources(grid)
    training = _training_arrays(launch.runs, configured, jobs, max_tasks)
    training += _later_rung_arrays(launch, configured, max_tasks)
    code = training[0].code if training else None
    needed = services_needed([request.config for request in launch.runs], results)
    services = []
    final = []
    for kind in JOB_KINDS.values():
        if kind.final:
            final.append(_other_job(kind, [], code, _other_resources(kind, grid, cluster, jobs), cluster))
        elif kind.name in needed:
            resources = _other_resources(kind, grid, cluster, jobs)
            services.append(_other_job(kind, needed[kind.name], code, resources))
    return [*services, *training, *final]


def _other_resources(kind: JobKind, grid: str, cluster: ClusterFile, jobs: GridJobs) -> Resources:
    resources = cluster.resources(grid, kind.name)
    if kind.name not in jobs.failed_services:
        return resources
    failure, previous = jobs.failed_services[kind.name]
    return increased(failure.state, resources, previous, jobs.limits(resources))


def _other_job(
    kind: JobKind, configs: list[RunConfig], code: str | None, resources: Resources, cluster: ClusterFile | None = None
) -> Submission:
    """A job that trains no runs."""
    count = resources.parallelism or 1 if kind.shareable else 1
    return Submission(
        kind=kind.name,
        tasks=[[] for _ in range(count)],
        configs=configs,
        resources=resources,
        parallelism=count,
        code=code,
        cluster=cluster.as_given() if cluster else {},
    )


def plan_local_jobs(launch: Launch, at_once: int) -> list[Submission]:
    """The jobs for this machine, which runs one at a time; each run prepares its own inputs."""
    resources = Resources(tasks=1, at_once=at_once)
    jobs = _training_arrays(launch.runs, resources, None, 1) + _later_rung_arrays(launch, resources, 1)
    return [job.model_copy(update={"here": True}) for job in jobs]


def _training_arrays(
    runs: Sequence[RunRequest], configured: Resources, jobs: GridJobs | None, max_tasks: int
) -> list[Submission]:
    """One job array for each combination of resources, code and rung; what a run lacked before is increased."""
    groups: dict[tuple[str, str | None, int | None, int | None], list[RunRequest]] = defaultdict(list)
    keys: dict[tuple[str, str], str] = {}
    for run in runs:
        previous = jobs.last_started(run.row.run_id) if jobs and run.row.state in INCREASED_STATES else None
        # Most runs share a state and a submission, and serialising resources takes longer than all the rest.
        group = (run.row.state, previous.path.name if previous else "")
        if group not in keys:
            resources = configured
            if jobs and previous:
                limits = jobs.limits(configured)
                resources = increased(run.row.state, configured, previous.submission.resources, limits)
            keys[group] = resources.model_dump_json()
        groups[keys[group], run.code, run.rung, run.epochs].append(run)
    arrays = []
    for (key, *_), requests in groups.items():
        resources = Resources.model_validate_json(key)
        shares = split_among_tasks(requests, resources, max_tasks)
        tasks = [[request.config.run_id for request in share] for share in shares]
        configs = [request.config for share in shares for request in share]
        arrays.append(_training_array(requests[0], tasks, configs, resources))
    return arrays


def _later_rung_arrays(launch: Launch, resources: Resources, max_tasks: int) -> list[Submission]:
    """One job array for each later rung, with the code that most trials use, since any trial may be promoted."""
    if not launch.rungs or not launch.trials:
        return []
    ((code, _),) = Counter(trial.code for trial in launch.trials).most_common(1)
    configs = [trial.config for trial in launch.trials]
    arrays = []
    for rung in launch.rungs.later:
        size = launch.rungs.size(rung)
        tasks: list[list[str]] = [[] for _ in split_among_tasks(range(size), resources, max_tasks)]
        trial = replace(launch.trials[0], code=code, rung=rung, epochs=launch.rungs.epochs(rung))
        arrays.append(_training_array(trial, tasks, configs, resources))
    return arrays


def _training_array(
    like: RunRequest, tasks: list[list[str]], configs: list[RunConfig], resources: Resources
) -> Submission:
    """An array with the code, the rung and the last epoch of a run."""
    return Submission(
        kind="train",
        tasks=tasks,
        configs=configs,
        resources=resources,
        parallelism=min(resources.parallelism or len(tasks), len(tasks)),
        code=like.code,
        rung=like.rung,
        epochs=like.epochs,
    )


def split_among_tasks(items: Sequence[T], resources: Resources, max_tasks: int) -> list[list[T]]:
    """Split items, such as runs, round-robin into one list for each task of an array."""
    tasks = min(resources.tasks or math.ceil(len(items) / resources.at_once), max_tasks, len(items))
    return [list(items[task::tasks]) for task in range(tasks)]


@dataclass
class SubmittedChain:
    """The outcome of submitting dependent jobs.

    Attributes:
        refused: jobs that Slurm refused without harm to the others, each with its error.
        not_cancelled: why jobs that these jobs replace could not be cancelled, if any could not.
    """

    accepted: list[SubmissionDir] = field(default_factory=list)
    refused: list[tuple[Submission, SlurmError]] = field(default_factory=list)
    not_cancelled: SlurmError | None = None

    @property
    def refused_run_ids(self) -> set[str]:
        return {run_id for job, _ in self.refused for task in job.tasks for run_id in task}

    def cancel(self, job_ids: Iterable[str]) -> None:
        try:
            slurm.cancel(job_ids)
        except SlurmError as error:
            self.not_cancelled = error


def submit_chain(results: Results, grid: str, jobs: Sequence[Submission], before: GridJobs) -> SubmittedChain:
    """Record and submit jobs in order, with their dependencies.

    A refused training array does not keep the others from being submitted, nor does a refused final job; if any other
    job is refused, or all training arrays are, nothing is submitted. Of earlier submissions, final jobs and arrays of
    later rungs that new ones replace are cancelled, and so are jobs of these runs that can never start.

    Raises:
        SlurmError: nothing was submitted.
    """
    active_names = before.active_names
    new_rungs = {job.rung for job in jobs if job.by_ranking}
    kept: list[SubmissionDir] = []
    replaced: list[SubmissionDir] = []
    for folder in before.submissions:
        submission = folder.submission
        if submission.name in active_names and not submission.here:
            is_replaced = submission.by_ranking and submission.rung in new_rungs
            (replaced if is_replaced else kept).append(folder)
    chain = SubmittedChain()

    def submit(job: Submission) -> None:
        dependency = _dependency(job, [*kept, *chain.accepted])
        chain.accepted.append(_record_and_submit(new_submission(results, grid, job, dependency)))

    try:
        _submit_all_but_final(jobs, submit, chain)
    except SlurmError:
        slurm.cancel(folder.job_id for folder in chain.accepted)
        for folder in chain.accepted:
            folder.withdraw()
        raise
    chain.cancel(_never_starting(before, chain))
    if any(folder.submission.by_ranking for folder in chain.accepted):
        chain.cancel(folder.job_id for folder in replaced)
    for job in jobs:
        if job.job_kind.final:
            try:
                submit(job)
            except SlurmError as error:
                chain.refused.append((job, error))
            else:
                chain.cancel(folder.job_id for folder in kept if folder.submission.job_kind.final)
    return chain


def _submit_all_but_final(
    jobs: Sequence[Submission], submit: Callable[[Submission], None], chain: SubmittedChain
) -> None:
    for job in jobs:
        if job.job_kind.final:
            continue
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


def _never_starting(before: GridJobs, chain: SubmittedChain) -> list[str]:
    """Return the ids of tasks that can never start and whose runs, or whose work, the accepted jobs take over."""
    run_ids = {run_id for folder in chain.accepted for run_id in folder.run_ids}
    return [
        job.address
        for (folder, task), job in before.active_tasks.items()
        if job.never_starts and run_ids.issuperset(folder.tasks[task])
    ]


def _dependency(job: Submission, before: Sequence[SubmissionDir]) -> str | None:
    """Return sbatch's `--dependency`; an array of a later rung waits for the end of all arrays of the previous rung."""
    if job.by_ranking and job.rung:
        ids = [folder.job_id for folder in before if folder.submission.rung == job.rung - 1]
    else:
        ids = [folder.job_id for folder in before if folder.submission.kind in job.job_kind.after]
    if not ids:
        return None
    condition = "afterany" if job.by_ranking or job.job_kind.final else "afterok"
    return f"{condition}:{':'.join(ids)}"


def _record_and_submit(submission: Submission) -> SubmissionDir:
    folder = record_submission(submission)
    try:
        folder.write_receipt(slurm.submit(submission))
    except SlurmError as error:  # perhaps Slurm has accepted the job, and only its answer was lost
        try:
            accepted = settle(folder)
        except SlurmError as question:
            raise UnansweredError(
                f"{error}; {question}; it is not known whether the job was accepted: the next command finds out"
            ) from None
        if not accepted:
            raise
    return folder
