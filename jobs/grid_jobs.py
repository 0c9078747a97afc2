"""A grid's submissions, joined with the jobs in Slurm's queue and with how its tasks ended.

Jobs that run on this machine count as queue entries too: such a job runs while a command holds the lock in its folder.
"""

import os
import pwd
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from jobs.policy import Queued, Whereabouts
from jobs.services import KindName
from jobs.slurm import (
    ENDED,
    Job,
    ended_state,
    find_job,
    is_unfinished,
    read_partitions,
    read_queue,
    read_settings,
    read_termination,
)
from jobs.slurm.resources import Limits, Partition, Resources, limits_of
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.errors import NoProgressError, NoSlurmError, SentimentError, SlurmError, UsageError
from sentiment.files import write_atomically
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.locks import live_owner
from sentiment.runs.records import Attempt, Record
from sentiment.runs.run_dir import Results, read_record, sealed
from sentiment.runs.state import (
    CANCELLED,
    COMPLETED,
    FAILED,
    HELD,
    LOST,
    PENDING,
    RUNNING,
    TIMEOUT,
    UNKNOWN,
    RunProgress,
    RunState,
)

# A job that was accepted less than this ago is not taken for ended or lost because squeue does not list it.
_RECENT_SECONDS = 3600.0

Place = tuple[SubmissionDir, int]
"""A submission, and the number of a task in it."""


@dataclass(frozen=True)
class GridJobs:
    """A snapshot of a grid's submissions and of the queue.

    Attributes:
        queue: all jobs of the user; None if the queue could not be read.
        unseen: why the queue could not be read, in one line.
        here: jobs that run on this machine.
        unlisted: names of submissions whose jobs have not ended, though the queue does not list them.
    """

    submissions: Sequence[SubmissionDir]
    queue: Sequence[Job] | None
    unseen: str = ""
    here: Sequence[Job] = ()
    unlisted: Set[str] = frozenset()

    @cached_property
    def places(self) -> dict[str, Place]:
        """For each run id its newest submission and the task that the run was assigned to."""
        places: dict[str, Place] = {}
        for folder in self.submissions:
            for task, run_ids in enumerate(folder.tasks):
                for run_id in run_ids:
                    places[run_id] = (folder, task)
        return places

    @property
    def lacks_final_job(self) -> bool:
        """Whether there are training jobs without a final job after them, or whose final job failed."""
        in_queue = [folder for folder in self.submissions if not folder.submission.here]
        training = [folder for folder in in_queue if folder.submission.job_kind.trains_runs]
        final = [folder for folder in in_queue if folder.submission.job_kind.final]
        if not training:
            return False
        if not final or final[-1].number < training[-1].number:
            return True
        ended_too_early = self._any_active(training) and not self._any_active(final)
        return ended_too_early or "report" in self.failed_services

    def place(self, run_id: str, attempt: Attempt | None = None) -> Place | None:
        """Return the task of the run's newest attempt; for a run that has not started, a task that may take it."""
        if run_id not in self.places:
            return None
        folder, assigned = self.places[run_id]
        if attempt and attempt.job and folder.receipt:
            array, _, task = attempt.job.partition("_")
            if array == folder.job_id and task.isdecimal():
                return folder, int(task)
        available = self._available_tasks[folder]
        return folder, assigned if assigned in available or not available else available[0]

    def job(self, place: Place) -> Job | None:
        """Return a task's job, or its array's if the queue does not list the task (cancelled before it started)."""
        folder, task = place
        name = folder.submission.name
        return self._jobs.get((name, task)) or self._jobs.get((name, None))

    def queued(self, run_id: str, place: Place | None, attempt: Attempt | None = None) -> Queued:
        """Return what the queue says about the task that has a run or may take it.

        Args:
            attempt: the run's newest one.
        """
        if place is None:
            return Queued(lives=self._lives, ranks=bool(self.waiting_slots))
        folder, task = place
        where, state, reason = self._queue_state(place)
        job = folder.job(task) if folder.receipt else None

        def begun_by(job_id: str | None) -> bool:
            array = (job_id or "").partition("_")[0]
            return self._numbers.get(array, -1) >= folder.number

        return Queued(
            where,
            state,
            reason,
            job=job,
            trains=state == RUNNING and attempt is not None and attempt.job == job and attempt.end is None,
            cancelled=run_id in self._cancelled[folder],
            ended=lambda progress: self._how_it_ended(place, progress),
            lives=self._lives,
            begun_by=begun_by,
            ranks=bool(self.waiting_slots),
        )

    def _queue_state(self, place: Place) -> tuple[Whereabouts, str, str]:
        folder = place[0]
        job = self.job(place)
        if folder.submission.here:
            return ("runs", RUNNING, "") if job else ("gone", "", "")
        if self.queue is None:
            return "silent", "", self.unseen
        if job is None and folder.submission.name in self.unlisted:
            return "silent", "", _unlisted(folder)
        if job is None:
            return ("gone" if folder.receipt else "intent"), "", ""
        if not job.active:
            return "gone", "", ""
        if job.held:
            return "held", job.state, job.why
        if job.waits_for_others and (held := self._held_dependency(folder)):
            return "held", job.state, f"waits for job {held.address}, which is held: {held.why}"
        return "waits" if job.state == PENDING else "runs", job.state, job.why

    def _how_it_ended(self, place: Place, progress: RunProgress) -> RunState | None:
        folder, task = place
        if folder.submission.here:
            return None  # of a job on this machine only the run's directory tells
        job = self.job(place)
        if job and job.waits_for_others:
            return RunState(FAILED, self._dependency_failure(folder))
        if job and job.too_large:
            request = folder.submission.resources.describe()
            return RunState(
                FAILED,
                f"{job.reason}: Slurm never starts job {job.address}, which requests {request}; change the cluster "
                "file",
            )
        name = f"task {folder.job(task)}" if folder.receipt else folder.submission.name
        attempt = progress.last_attempt
        if attempt is None:
            last_known = f"{name} did not start to train it"
        elif attempt.end:
            last_known = f"saved at step {attempt.last_step} ({attempt.detail})"
        else:
            last_known = f"{name} ended without recording how"
        end = ended_state(job, folder.log_file(task), last_known)
        if end.state == LOST and self._is_unfinished(folder):
            return RunState(UNKNOWN, _unlisted(folder))
        return end

    def _is_unfinished(self, folder: SubmissionDir) -> bool:
        """Whether Slurm knows an unfinished job of a submission; asked for by its id, once for each submission."""
        if folder not in self._unfinished:
            self._unfinished[folder] = folder.receipt is not None and _may_live(folder)
        return self._unfinished[folder]

    @cached_property
    def _unfinished(self) -> dict[SubmissionDir, bool]:
        return {}

    def last_started(self, run_id: str) -> SubmissionDir | None:
        """Return the newest submission in which a run, or its assigned task, started."""
        for folder, task in reversed(self._assignments.get(run_id, [])):
            if folder.run_log(run_id).exists() or folder.log_file(task):
                return folder
        return None

    @cached_property
    def _assignments(self) -> dict[str, list[Place]]:
        """For each run id all its submissions, oldest first, each with the task that the run was assigned to."""
        assignments: dict[str, list[Place]] = defaultdict(list)
        for folder in self.submissions:
            for task, run_ids in enumerate(folder.tasks):
                for run_id in run_ids:
                    assignments[run_id].append((folder, task))
        return assignments

    def limits(self, resources: Resources) -> Limits:
        """Return the limits of the partitions that jobs with these resources may run in; Slurm is asked once."""
        return limits_of(resources, self._partitions)

    @cached_property
    def _partitions(self) -> list[Partition]:
        try:
            return read_partitions()
        except SlurmError:
            return []  # then sbatch finds out whether a request is too large

    @cached_property
    def active_tasks(self) -> dict[Place, Job]:
        """All queued or running tasks of the grid, of every submission, each with its job."""
        folders = {folder.submission.name: folder for folder in self.submissions}
        active: dict[Place, Job] = {}
        for job in self._jobs.values():
            folder = folders.get(job.name)
            if folder is None or job.state in ENDED:
                continue
            tasks = range(len(folder.submission.tasks)) if job.task is None else [job.task]
            for task in tasks:
                active[folder, task] = job
        for folder in self.submissions:
            if folder.submission.name in self.unlisted:
                for task in range(len(folder.submission.tasks)):
                    number = None if folder.submission.job_kind.final else task
                    active[folder, task] = Job(folder.submission.name, folder.job_id, number, PENDING)
        return active

    @cached_property
    def _available_tasks(self) -> dict[SubmissionDir, list[int]]:
        """The tasks of each submission that may take runs, held ones last."""
        available: dict[SubmissionDir, list[int]] = {folder: [] for folder in self.submissions}
        for (folder, task), _ in sorted(self.active_tasks.items(), key=lambda item: item[1].held):
            available[folder].append(task)
        return available

    @cached_property
    def waiting_slots(self) -> list[SubmissionDir]:
        """The arrays of later rungs that are in the queue and whose runs no ranking has chosen yet."""
        return [folder for folder in self.submissions if folder.waits_for_ranking and self._any_active([folder])]

    @cached_property
    def _services(self) -> dict[KindName, SubmissionDir]:
        folders = (folder for folder in self.submissions if not folder.submission.job_kind.trains_runs)
        return {folder.submission.kind: folder for folder in folders}

    def service_states(self) -> dict[str, str]:
        """Return the state of the newest job of each kind that trains no runs, by the kind's name."""
        states: dict[str, str] = {}
        for kind, folder in self._services.items():
            if kind in self.failed_services:
                states[kind] = self.failed_services[kind][0].state
                continue
            jobs = [job for job in self.queue or () if job.name == folder.submission.name]
            in_queue = ", ".join(sorted({HELD if job.held else job.state for job in jobs}))
            states[kind] = in_queue or (UNKNOWN if self.queue is None else "not in the queue any more")
        return states

    @cached_property
    def failed_services(self) -> dict[KindName, tuple[RunState, Resources]]:
        """How the newest job of each kind that trains no runs failed, if it did, and the resources that it had."""
        failures: dict[KindName, tuple[RunState, Resources]] = {}
        for kind, folder in self._services.items():
            failure = self._failure_of(folder)
            if failure:
                failures[kind] = (failure, folder.submission.resources)
        return failures

    def _failure_of(self, folder: SubmissionDir) -> RunState | None:
        """Return how a job that trains no runs failed; None if it is active or no failure is known."""
        if self.queue is None or folder.cancelled or not folder.receipt or self._any_active([folder]):
            return None
        for task in range(len(folder.submission.tasks)):
            failure = folder.read_failure(task)
            if failure:
                no_progress = failure.error == NoProgressError.__name__  # in its time: it is to get more
                state = TIMEOUT if no_progress else FAILED
                return RunState(state, f"{failure.error}: {failure.reason}")
            if self._has_failed(folder, task):
                end = self._how_it_ended((folder, task), RunProgress())
                return None if end is None or end.state == CANCELLED else end
        return None

    def _has_failed(self, folder: SubmissionDir, task: int) -> bool:
        job = self.job((folder, task))
        if job:
            return job.state != COMPLETED
        return read_termination(folder.log_file(task)) is not None

    @cached_property
    def _jobs(self) -> dict[tuple[str, int | None], Job]:
        return {(job.name, job.task): job for job in (*(self.queue or ()), *self.here)}

    def _lives(self, job: str) -> bool:
        if self.queue is None or job.startswith(LOCAL_JOB_PREFIX):
            return True  # of a process that no queue lists, the run's lock tells
        return job in self._addresses

    @cached_property
    def _addresses(self) -> set[str]:
        return {job.address for job in self.queue or () if job.active}

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {folder.job_id: folder.number for folder in self.submissions if folder.receipt}

    @cached_property
    def _cancelled(self) -> dict[SubmissionDir, set[str]]:
        return {folder: folder.cancelled for folder in self.submissions}

    def _any_active(self, folders: Iterable[SubmissionDir]) -> bool:
        active_names = self.active_names
        return any(folder.submission.name in active_names for folder in folders)

    @property
    def active_names(self) -> Set[str]:
        """The names of all jobs that are pending, running or completing."""
        return self.unlisted | {job.name for job in self._jobs.values() if job.active}

    def _dependency_failure(self, folder: SubmissionDir) -> str:
        for dependency in self._dependencies(folder):
            failure = self._failure_of(dependency)
            if failure:
                return f"its {dependency.submission.kind} job ended with {failure.state}: {failure.reason}"
        return f"its dependency ({folder.submission.after}) did not succeed"

    def _held_dependency(self, folder: SubmissionDir) -> Job | None:
        ids = {dependency.job_id for dependency in self._dependencies(folder)}
        return next((job for job in self._jobs.values() if job.held and job.job_id in ids), None)

    def _dependencies(self, folder: SubmissionDir) -> list[SubmissionDir]:
        _, *ids = (folder.submission.after or "").split(":")
        return [earlier for earlier in self.submissions if earlier.receipt and earlier.job_id in ids]


class QueueOwner(Record):
    """`results/slurm/owner.json`, written when something is submitted for the first time."""

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

    def describe(self) -> str:
        return f"submitted by {self.user} on cluster {self.cluster}; run this command there"


def insist_on_ownership(results: Results) -> None:
    """Record the first user and cluster that submit or cancel something as the owner of a results folder.

    Raises:
        UsageError: for any other user or cluster.
    """
    file = results.slurm / "owner.json"
    here = QueueOwner.here()
    owner = read_record(file, QueueOwner)
    if owner is None:
        results.slurm.mkdir(parents=True, exist_ok=True)
        write_atomically(file, sealed(here))
    elif owner != here:
        raise UsageError(
            f"{file}: these are the jobs of {owner.user} on cluster {owner.cluster}, not of {here.user} on "
            f"{here.cluster}: run this command there, or use another folder (--results DIR)"
        )


def read_jobs(results: Results, grids: Sequence[str]) -> list[GridJobs]:
    """Return the jobs of several grids, with a single query of the queue.

    The queue is queried after the submissions are read: a job that is submitted in between is not taken for lost.
    """
    submissions = [read_submissions(results, grid) for grid in grids]
    in_queue = any(not folder.submission.here for folders in submissions for folder in folders)
    queue, unseen = _read_queue_or_reason(results) if in_queue else ((), "")
    return [_joined(folders, queue, unseen) for folders in submissions]


def _joined(submissions: Sequence[SubmissionDir], queue: Sequence[Job] | None, unseen: str = "") -> GridJobs:
    unlisted = _find_unlisted(submissions, queue) if queue is not None else frozenset[str]()
    return GridJobs(submissions, queue, unseen, _local_jobs(submissions), unlisted)


def _find_unlisted(submissions: Sequence[SubmissionDir], queue: Sequence[Job]) -> Set[str]:
    """Ask Slurm by id for jobs that it accepted recently and that its list lacks; return those that have not ended."""
    listed = {job.name for job in queue}
    unlisted = set()
    for folder in submissions:
        name = folder.submission.name
        if name in listed or folder.submission.here or not folder.receipt:
            continue
        age = time.time() - folder.receipt_file.stat().st_mtime
        if age < _RECENT_SECONDS and _may_live(folder):
            unlisted.add(name)
    return unlisted


def _may_live(folder: SubmissionDir) -> bool:
    try:
        return is_unfinished(folder.job_id)
    except NoSlurmError:
        return False
    except SlurmError:
        return True  # as long as nobody knows the contrary


def _unlisted(folder: SubmissionDir) -> str:
    return f"squeue: does not list job {folder.job_id}, which Slurm has accepted; repeat the command in a minute"


def _read_queue_or_reason(results: Results) -> tuple[Sequence[Job] | None, str]:
    try:
        owner = read_record(results.slurm / "owner.json", QueueOwner)
        if owner and owner != QueueOwner.here():
            return None, owner.describe()
        return read_queue(), ""
    except SentimentError as error:
        return None, " ".join(str(error).split())


def _local_jobs(submissions: Iterable[SubmissionDir]) -> list[Job]:
    return [
        Job(folder.submission.name, folder.job_id, None, RUNNING)
        for folder in submissions
        if folder.submission.here and folder.receipt and live_owner(folder.lock_file)
    ]


def settle_jobs(results: Results, grid: str) -> GridJobs:
    """Return a grid's jobs, after repairing submissions that were interrupted.

    A submission without a receipt is looked up in Slurm by its job's name; if Slurm does not have the job, the
    submission is withdrawn. The caller must hold the grid's lock: otherwise the receipt may be about to be written.
    """
    insist_on_ownership(results)
    submissions = read_submissions(results, grid)
    queue = read_queue()
    return _joined([folder for folder in submissions if folder.receipt or settle(folder)], queue)


def settle(folder: SubmissionDir) -> bool:
    """Write the missing receipt of a submission whose job Slurm has; withdraw the submission if Slurm has no such job.

    Returns:
        Whether Slurm has the job.
    """
    job_id = find_job(folder.submission.name)
    if job_id is None:
        folder.withdraw()
        return False
    folder.write_receipt(job_id)
    return True
