"""A grid's submissions, joined with the jobs in Slurm's queue and with how its tasks ended.

Jobs that run on this machine count as queue entries too: such a job runs while a command has the lock of its folder.
"""

import os
import pwd
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import NamedTuple, Self

from jobs.job_kinds import KindName
from jobs.slurm import (
    ENDED,
    Job,
    cancel,
    ended_state,
    find_job,
    is_unfinished,
    read_queue,
    read_settings,
    read_termination,
)
from jobs.slurm.resources import Lacked
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.errors import NoProgressError, NoSlurmError, SentimentError, SlurmError, UsageError, in_one_line
from sentiment.files import write_atomically
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.locks import may_be_held
from sentiment.runs.records import Attempt, Record
from sentiment.runs.run_dir import Results, read_record, sealed
from sentiment.runs.state import (
    CANCELLED,
    COMPLETED,
    FAILED,
    HELD,
    LOST,
    NEVER_SUBMITTED,
    OUT_OF_MEMORY,
    PLANNED,
    RUNNING,
    TIMEOUT,
    UNKNOWN,
    RunProgress,
    RunState,
    TaskView,
)

# If squeue does not list a job that was accepted less than this ago, the job is not taken for ended or lost.
_RECENT_SECONDS = 3600.0
# The states of preparation jobs that failed for want of time or memory, by error: a retry gets more of it.
_LACKED = {NoProgressError.__name__: TIMEOUT, MemoryError.__name__: OUT_OF_MEMORY}

NOT_LISTED = "not in the queue any more"
"""The state of a job that has ended, and of which no failure is known."""
_SUBMITTING = "is being submitted, or its submission was interrupted; repeat the command"


class GridTask(NamedTuple):
    """A task: the submission that it belongs to, and its number there."""

    folder: SubmissionDir
    number: int

    @property
    def address(self) -> str:
        """Its id in Slurm; empty as long as that is not on record."""
        return self.folder.task_address(self.number) if self.folder.receipt else ""


@dataclass(frozen=True)
class GridJobs:
    """A snapshot of a grid's submissions and of the queue.

    Attributes:
        queue: all jobs of the user in Slurm, and the grid's jobs on this machine. A job in the state UNKNOWN has not
            ended, though squeue does not list it.
        queue_error: why Slurm's queue could not be read, in one line; empty if it was read.
    """

    submissions: Sequence[SubmissionDir]
    queue: Sequence[Job] = ()
    queue_error: str = ""

    @cached_property
    def tasks(self) -> dict[str, GridTask]:
        """The task that each run, by its id, was assigned to in its newest submission."""
        return {run_id: tasks[-1] for run_id, tasks in self._assignments.items()}

    @cached_property
    def _assignments(self) -> dict[str, list[GridTask]]:
        """For each run id the tasks that it was assigned to, of all its submissions, oldest first."""
        assignments: dict[str, list[GridTask]] = defaultdict(list)
        for folder in self.submissions:
            for number, run_ids in enumerate(folder.tasks):
                for run_id in run_ids:
                    assignments[run_id].append(GridTask(folder, number))
        return assignments

    def by_submission(self, run_ids: Iterable[str]) -> dict[SubmissionDir, list[str]]:
        """Group runs by their newest submission; those that were never submitted are left out."""
        groups: dict[SubmissionDir, list[str]] = defaultdict(list)
        for run_id in run_ids:
            if run_id in self.tasks:
                groups[self.tasks[run_id].folder].append(run_id)
        return groups

    @cached_property
    def _own(self) -> list[tuple[SubmissionDir, Job]]:
        """The grid's jobs in the queue, each with its submission."""
        folders = {folder.name: folder for folder in self.submissions}
        return [(folders[job.name], job) for job in self.queue if job.name in folders]

    @property
    def held(self) -> list[Job]:
        return [job for _, job in self._own if job.held]

    @cached_property
    def active(self) -> Set[SubmissionDir]:
        """The submissions of which something is pending, running or completing."""
        return {folder for folder, job in self._own if job.active}

    @cached_property
    def active_tasks(self) -> dict[GridTask, Job]:
        """All queued or running tasks of the grid, of every submission, each with its job."""
        active: dict[GridTask, Job] = {}
        for folder, job in self._own:
            if job.state not in ENDED:
                numbers = range(len(folder.tasks)) if job.task is None else [job.task]
                active |= {GridTask(folder, number): job for number in numbers}
        return active

    @property
    def has_final_job(self) -> bool:
        """Whether a final job is in the queue that starts by itself: no job of the grid stands in its way for ever."""
        final = [job for folder, job in self._own if folder.submission.job_kind.final and job.active and not job.held]
        return bool(final) and not any(job.never_starts for _, job in self._own)

    @property
    def lacks_final_job(self) -> bool:
        """Whether there are training jobs without a final job after them, or whose final job failed."""
        in_slurm = [folder for folder in self.submissions if not folder.submission.local]
        training = [folder for folder in in_slurm if folder.submission.job_kind.trains_runs]
        final = [folder for folder in in_slurm if folder.submission.job_kind.final]
        if not training:
            return False
        if not final or final[-1].number < training[-1].number:
            return True
        is_training_alone = not self.active.isdisjoint(training) and self.active.isdisjoint(final)
        return is_training_alone or "report" in self.failed_other_jobs

    def task_of(self, run_id: str, attempt: Attempt | None = None) -> GridTask | None:
        """Return the task of the run's newest attempt; for a run that has not started, a task that may take it."""
        task = self.tasks.get(run_id)
        if task is None:
            return None
        folder = task.folder
        if attempt and attempt.job and folder.receipt:
            array, _, number = attempt.job.partition("_")
            if array == folder.job_id and number.isdecimal():
                return GridTask(folder, int(number))
        if task in self.active_tasks:
            return task
        return self._available_tasks.get(folder, task)

    @cached_property
    def _available_tasks(self) -> dict[SubmissionDir, GridTask]:
        """Of each submission with active tasks one that may take runs: if there is, one that is not held."""
        available: dict[SubmissionDir, GridTask] = {}
        for task, _ in sorted(self.active_tasks.items(), key=lambda item: item[1].held):
            available.setdefault(task.folder, task)
        return available

    def job(self, task: GridTask) -> Job | None:
        """Return a task's job, or its array's: squeue lists an array as one that was cancelled before it started."""
        name = task.folder.name
        return self._jobs.get((name, task.number)) or self._jobs.get((name, None))

    @cached_property
    def _jobs(self) -> dict[tuple[str, int | None], Job]:
        return {(job.name, job.task): job for job in self.queue}

    def look(self, run_id: str, progress: RunProgress) -> tuple[RunProgress, TaskView]:
        """What the queue tells of a run's task, and the run's progress as far as it is of its last submission.

        The queue knows better than the run's lock whether a job's process is alive, and locks do not reach other hosts
        on some file systems. A log is read only if nothing else says how the task ended.
        """
        attempt = progress.last_attempt
        task = None if progress.completed else self.task_of(run_id, attempt)
        if task is None:
            return progress, NEVER_SUBMITTED
        folder = task.folder
        view = self._in_queue(task)
        is_training = progress.locked and (progress.owner_job is None or self._is_alive(progress.owner_job))
        if view.state == RUNNING and attempt and attempt.job == task.address and not attempt.end:
            is_training = is_training or not progress.failure
        failure = progress.failure
        if failure and not self._is_since(folder, failure.job):
            failure = None
        # A run that has paused has left its task, which trains others: how that ended says nothing about the run.
        has_left = attempt is not None and attempt.reason == "paused" and self._is_since(folder, attempt.job)
        is_ended = view.phase == "ended" and view.state != PLANNED
        if is_ended and not (failure or has_left or folder.submission.local):
            end = self._how_it_ended(task, attempt)
            view = TaskView("unknown" if end.state == UNKNOWN else "ended", end.state, end.reason)
        job = self.job(task)
        view = replace(
            view,
            job=job.address if job else None,
            is_cancelled=run_id in self._cancelled[folder],
            may_retry=is_ended and self._may_retry(run_id, progress),
        )
        return replace(progress, locked=is_training, failure=failure), view

    def _in_queue(self, task: GridTask) -> TaskView:
        folder = task.folder
        job = self.job(task)
        if self.queue_error and not folder.submission.local:
            return TaskView("unknown", reason=self.queue_error)
        if job is None:
            return TaskView("ended") if folder.receipt else TaskView("ended", PLANNED, _SUBMITTING)
        if job.state == UNKNOWN:
            return TaskView("unknown", reason=_not_listed(folder))
        if not job.active:
            return TaskView("ended")
        if job.held:
            return TaskView("queued", HELD, job.why)
        if job.depends_on_others:
            ids = {dependency.job_id for dependency in self._dependencies(folder)}
            for held in self.held:
                if held.job_id in ids:
                    return TaskView("queued", HELD, f"follows job {held.address}, which is held: {held.why}")
        return TaskView("queued", job.state, job.why)

    def _is_since(self, folder: SubmissionDir, job: str | None) -> bool:
        """Whether a job (None: a process outside a grid) belongs to this submission or to a later one."""
        array = (job or "").partition("_")[0]
        return self._submission_numbers.get(array, -1) >= folder.number

    @cached_property
    def _submission_numbers(self) -> dict[str, int]:
        return {folder.job_id: folder.number for folder in self.submissions if folder.receipt}

    def _has_begun(self, folder: SubmissionDir, progress: RunProgress) -> bool:
        """Whether a task of this submission, or of a later one, has started a run."""
        starts = (progress.last_attempt, progress.newest_start)
        return any(start and self._is_since(folder, start.job) for start in starts)

    def _may_retry(self, run_id: str, progress: RunProgress) -> bool:
        """Whether its last submission has started a run; or a further one could, and few retries went without it."""
        task = self.tasks[run_id]
        if self._has_begun(task.folder, progress):
            return True
        dependencies = self._dependencies(task.folder)
        jobs = [self.job(task), *(self.job(GridTask(dependency, 0)) for dependency in dependencies)]
        if any(job and (job.never_starts or job.not_allowed) for job in jobs):
            return False
        if any(map(_has_failed_by_itself, dependencies)):
            return False
        unstarted = 0
        for folder, _ in reversed(self._assignments[run_id]):
            if not folder.submission.retry or self._has_begun(folder, progress):
                break
            unstarted += 1
        return unstarted < task.folder.submission.resources.attempts_without_progress

    def _how_it_ended(self, task: GridTask, attempt: Attempt | None) -> RunState:
        """Return how a task of Slurm ended; `attempt` is its run's newest one."""
        folder = task.folder
        job = self.job(task)
        if job is None or job.depends_on_others:
            if end := self._end_by_dependency(folder):
                return end
            if job and (job.state != CANCELLED or job.never_satisfied):
                return RunState(FAILED, f"its dependency ({folder.submission.after}) did not succeed")
        if job and job.not_allowed:
            request = folder.submission.resources.describe()
            return RunState(
                FAILED,
                f"{job.reason}: Slurm never starts job {job.address}, which requests {request}; change the cluster "
                "file",
            )
        name = f"task {task.address}" if task.address else folder.name
        remark = f"{name} ended without recording how"
        if attempt is None and folder.submission.job_kind.trains_runs:
            remark = f"{name} did not start to train it"
        elif attempt and attempt.end:
            remark = f"saved at step {attempt.last_step} ({attempt.detail})"
        end = ended_state(job, folder.log_file(task.number), remark)
        if end.state == LOST and self._may_live_once_asked(folder):
            return RunState(UNKNOWN, _not_listed(folder))
        return end

    @cached_property
    def _may_live_once_asked(self) -> Callable[[SubmissionDir], bool]:
        """`_may_live`, which asks Slurm once for each submission: thousands of runs may belong to one."""
        return cache(_may_live)

    def lacked(self, run_id: str, state: str) -> Lacked:
        """Return what attempts of a run lacked; the newest, of the last submission that began it, ended in `state`."""
        if run_id not in self.tasks:
            return Lacked()
        lacked = self.tasks[run_id].folder.submission.lacked
        for folder, number in reversed(self._assignments[run_id]):
            if folder.run_log(run_id).exists() or folder.log_file(number):
                return lacked.after(state, folder.submission.resources)
        return lacked

    @cached_property
    def other_jobs(self) -> dict[KindName, SubmissionDir]:
        """The newest job of each kind that trains no runs: preparation jobs and the final job."""
        folders = (folder for folder in self.submissions if not folder.submission.job_kind.trains_runs)
        return {folder.submission.kind: folder for folder in folders}

    def other_job_states(self) -> dict[str, str]:
        """Return the state of each of the `other_jobs`."""
        states: dict[str, str] = {}
        for kind, folder in self.other_jobs.items():
            in_queue = {HELD if job.held else job.state for owner, job in self._own if owner == folder}
            if kind in self.failed_other_jobs:
                in_queue = {self.failed_other_jobs[kind].state}
            ended = NOT_LISTED if folder.receipt else PLANNED
            if folder.is_cancelled:
                ended = CANCELLED
            states[kind] = ", ".join(sorted(in_queue)) or (UNKNOWN if self.queue_error else ended)
        return states

    @cached_property
    def failed_other_jobs(self) -> dict[KindName, RunState]:
        """The `other_jobs` that failed, each with how it ended."""
        ends = {kind: self._failure_of(folder) for kind, folder in self.other_jobs.items()}
        return {kind: end for kind, end in ends.items() if end}

    def _failure_of(self, folder: SubmissionDir) -> RunState | None:
        """Return how a job that trains no runs failed; None if it is active or no failure is known."""
        end = self._bad_end_of(folder)
        return None if end is None or end.state == CANCELLED else end

    def _bad_end_of(self, folder: SubmissionDir) -> RunState | None:
        """Return how a job that trains no runs failed, or that a user cancelled it in Slurm."""
        if self.queue_error or folder.cancelled or not folder.receipt or folder in self.active:
            return None
        for failure in folder.failures:
            return RunState(_LACKED.get(failure.error, FAILED), failure.summary)
        for number in range(len(folder.tasks)):
            task = GridTask(folder, number)
            job = self.job(task)
            log = folder.log_file(number)
            never_began = log is None and folder.submission.job_kind.final  # as when Slurm has lost its state
            failed = job.state != COMPLETED if job else never_began or read_termination(log) is not None
            if failed:
                end = self._how_it_ended(task, None)
                return None if end.state == UNKNOWN else end
        return None

    def _is_alive(self, job: str) -> bool:
        """Whether a job is in the queue; the run's lock says whether a process outside the queue is alive."""
        return bool(self.queue_error) or job.startswith(LOCAL_JOB_PREFIX) or job in self._active_addresses

    @cached_property
    def _active_addresses(self) -> set[str]:
        return {job.address for job in self.queue if job.active}

    @cached_property
    def _cancelled(self) -> dict[SubmissionDir, set[str]]:
        """The ids that `sentiment cancel` marked in each submission."""
        return {folder: folder.cancelled for folder in self.submissions}

    def _end_by_dependency(self, folder: SubmissionDir) -> RunState | None:
        """Return how jobs ended whose dependency failed, or was cancelled; None if none is known to.

        The final job starts however the jobs before it end.
        """
        if folder.submission.job_kind.final:
            return None
        for dependency in self._dependencies(folder):
            kind = dependency.submission.kind
            end = self._bad_end_of(dependency)
            if end and end.state == CANCELLED:
                return RunState(CANCELLED, f"its {kind} job was cancelled")
            if end:
                return RunState(FAILED, f"its {kind} job {end.state}: {end.reason}")
        return None

    def _dependencies(self, folder: SubmissionDir) -> list[SubmissionDir]:
        ids = folder.submission.dependencies
        return [earlier for earlier in self.submissions if earlier.receipt and earlier.job_id in ids]


def _has_failed_by_itself(folder: SubmissionDir) -> bool:
    """Whether a preparation job recorded an error that a retry would meet again."""
    return any(not failure.retry and failure.error not in _LACKED for failure in folder.failures)


class QueueOwner(Record):
    """`results/slurm/owner.json`, written when a grid's jobs are first submitted, repaired or cancelled."""

    user: str
    cluster: str
    """Slurm's ClusterName."""

    @classmethod
    def here(cls) -> Self:
        """Return the user of this process (by its uid: anybody can set $USER) and this cluster."""
        uid = os.geteuid()
        try:
            user = pwd.getpwuid(uid).pw_name
        except KeyError:  # this machine has no name for it, as in a container
            user = str(uid)
        return cls(user=user, cluster=read_settings()["ClusterName"])

    def __str__(self) -> str:
        return f"{self.user} on cluster {self.cluster}"


def check_owner(results: Results, *, claims: bool = False) -> None:
    """Check that the jobs of a results folder are those of this user on this cluster.

    Args:
        claims: whether the command submits, repairs or cancels jobs: the first that does makes its user the owner.

    Raises:
        UsageError: they are of another user, or on another cluster.
    """
    file = results.slurm / "owner.json"
    owner = read_record(file, QueueOwner, "delete it, and repeat the command as the folder's owner")
    if owner is None and not claims:
        return
    here = QueueOwner.here()
    if owner is None:
        results.slurm.mkdir(parents=True, exist_ok=True)
        write_atomically(file, sealed(here))
    elif owner != here:
        raise UsageError(
            f"{file}: these are the jobs of {owner}, not of {here}: run this command there, or use another folder "
            "(--results DIR)"
        )


class QueueAnswer(NamedTuple):
    """The jobs in Slurm's queue; if it could not be read, why, in one line."""

    queue: Sequence[Job] = ()
    error: str = ""


def ask_queue(results: Results) -> QueueAnswer:
    """Read Slurm's queue, unless the jobs of this results folder are another user's, or on another cluster."""
    try:
        check_owner(results)
        return QueueAnswer(read_queue())
    except SentimentError as error:
        return QueueAnswer(error=in_one_line(error))


def read_jobs(
    results: Results, grid: str, ask: Callable[[Results], QueueAnswer] = ask_queue, *, is_locked: bool = False
) -> GridJobs:
    """Return the jobs of a grid.

    The queue is queried after the submissions are read, unless `ask` knows it already: what it lacks that was accepted
    recently is not taken for lost.

    Args:
        ask: asks for the queue.
        is_locked: whether the command may submit, so that it has to know which jobs live.
    """
    folders = read_submissions(results, grid)
    asked = QueueAnswer() if all(folder.submission.local for folder in folders) else ask(results)
    return _join(folders, asked, is_locked=is_locked)


def _join(submissions: Sequence[SubmissionDir], asked: QueueAnswer, *, is_locked: bool = False) -> GridJobs:
    """Join submissions with the queue, with jobs on this machine, and with jobs that the queue does not list.

    Slurm is asked by id for jobs that it accepted recently and that its list lacks. A command that may submit
    (`is_locked`) asks for the newest final job, however old: squeue's output may have been cut after a whole line, and
    must not make it submit a second one.
    """
    final = [folder for folder in submissions if folder.submission.job_kind.final and not folder.submission.local]
    listed = {job.name for job in asked.queue}
    others: list[Job] = []
    for folder in submissions:
        name = folder.name
        if name in listed or not folder.receipt:
            continue
        if folder.submission.local:
            if may_be_held(folder.lock_file, watch=is_locked):
                others.append(Job(name, folder.job_id, None, RUNNING))
            continue
        is_recent = time.time() - folder.receipt_file.stat().st_mtime < _RECENT_SECONDS
        is_asked_for = is_recent or (is_locked and final[-1:] == [folder])
        if not asked.error and is_asked_for and _may_live(folder):
            numbers = [None] if folder.submission.job_kind.final else range(len(folder.submission.tasks))
            others += [Job(name, folder.job_id, number, UNKNOWN) for number in numbers]
    return GridJobs(submissions, _without_hope(submissions, [*asked.queue, *others]), asked.error)


def _without_hope(submissions: Sequence[SubmissionDir], queue: Sequence[Job]) -> list[Job]:
    """The queue, in which a job whose preparation job never starts is like one whose preparation job has failed.

    To Slurm it is a job like others that wait for one that is pending.
    """
    never_starting = {job.job_id for job in queue if job.never_starts}
    hopeless = {
        folder.name
        for folder in submissions
        if not folder.submission.job_kind.final and not never_starting.isdisjoint(folder.submission.dependencies)
    }
    return [
        job.when_never_satisfied() if job.name in hopeless and job.active and job.depends_on_others else job
        for job in queue
    ]


def _may_live(folder: SubmissionDir) -> bool:
    """Ask Slurm whether a submission's job is unfinished; True as well if Slurm does not answer."""
    try:
        return is_unfinished(folder.job_id, folder.name)
    except NoSlurmError:
        return False
    except SlurmError:
        return True


def _not_listed(folder: SubmissionDir) -> str:
    return f"squeue: does not list job {folder.job_id}, which Slurm has accepted; repeat the command in a minute"


def settle_jobs(results: Results, grid: str) -> GridJobs:
    """Return a grid's jobs, after repairing submissions that were interrupted.

    A submission without a receipt is looked up in Slurm by its job's name; if Slurm does not have the job, the
    submission is withdrawn. The caller must hold the grid's lock: otherwise the receipt may be about to be written.
    """
    check_owner(results, claims=True)
    submissions = read_submissions(results, grid)
    asked = QueueAnswer(read_queue())
    settled = [folder for folder in submissions if folder.receipt or settle(folder)]
    return _join(settled, asked, is_locked=True)


def settle(folder: SubmissionDir) -> bool:
    """Accept the job of a submission without a receipt, if Slurm has it; return whether it has, and it is accepted."""
    job_id = find_job(folder.name)
    if job_id is None:
        folder.withdraw()
        return False
    return accept(folder, job_id)


def accept(folder: SubmissionDir, job_id: str) -> bool:
    """Write the receipt of a submission, unless an earlier job of the grid had the same id; return whether it did.

    Runs record by which job they were trained, so that the new job would be taken for the earlier one, as when Slurm
    has lost its state and counts from 1 again. It is cancelled, and the submission withdrawn.
    """
    submissions = read_submissions(folder.results, folder.grid)
    if any(other.job_id == job_id for other in submissions if other.receipt):
        cancel([job_id])
        folder.withdraw()
        return False
    folder.write_receipt(job_id)
    return True
