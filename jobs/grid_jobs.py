"""A grid's jobs: what was submitted for it, what the queue says about that now, and how tasks have ended.

What a command works off on this machine is seen as a queue as well: the command holds a lock as long as it does so.
"""

import os
import pwd
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

from jobs.policy import Queued, Whereabouts
from jobs.services import KindName
from jobs.slurm.commands import ENDED, Job, read_queue, read_settings
from jobs.slurm.endings import ended_state, read_termination
from jobs.slurm.resources import Resources
from jobs.submissions import SubmissionDir, read_submissions
from sentiment.errors import SentimentError, UsageError
from sentiment.files import write_json
from sentiment.processes import LOCAL_JOB_PREFIX
from sentiment.runs.locks import live_owner
from sentiment.runs.records import Attempt, Record
from sentiment.runs.run_dir import Results, read_record
from sentiment.runs.state import (
    CANCELLED,
    COMPLETED,
    FAILED,
    HELD,
    PENDING,
    RUNNING,
    TIMEOUT,
    UNKNOWN,
    RunProgress,
    RunState,
)

# The failure of a service whose time ended again and again: it needs more of it.
OUT_OF_ATTEMPTS = "NoProgressError"

Place = tuple[SubmissionDir, int]
"""A submission, and the number of a task in it."""


@dataclass(frozen=True)
class GridJobs:
    """A grid's submissions beside the queue, as they were when they were read.

    Attributes:
        queue: all of the user's jobs; None if they are not known.
        unseen: why they are not known, in a line.
        here: what this machine works off.
    """

    submissions: Sequence[SubmissionDir]
    queue: Sequence[Job] | None
    unseen: str = ""
    here: Sequence[Job] = ()

    @cached_property
    def places(self) -> dict[str, Place]:
        """For each run id the submission that the run was last given to, and the task that begins with it."""
        return {
            run_id: (folder, task)
            for folder in self.submissions
            for task, run_ids in enumerate(folder.tasks)
            for run_id in run_ids
        }

    @property
    def lacks_final_job(self) -> bool:
        """Whether training was submitted without the job that ends a grid, or that failed."""
        training = [one for one in self.submissions if one.submission.job_kind.trains_runs and not one.submission.here]
        final = [one for one in self.submissions if one.submission.job_kind.final]
        if not training:
            return False
        newest_is_missing = not final or final[-1].number < training[-1].number
        ended_too_early = self._any_active(training) and not self._any_active(final)
        return newest_is_missing or ended_too_early or "report" in self.failed_services

    def place(self, run_id: str, attempt: Attempt | None = None) -> Place | None:
        """The task that has a run, by its newest attempt; of one that nobody has begun, a task that may take it."""
        if run_id not in self.places:
            return None
        folder, share = self.places[run_id]
        array, _, task = (attempt.job or "").partition("_") if attempt else ("", "", "")
        if folder.receipt and array == folder.job_id and task.isdecimal():
            return folder, int(task)
        able = self._able[folder]
        return folder, share if share in able or not able else able[0]

    def job(self, place: Place) -> Job | None:
        """A task's job; of tasks that were cancelled before they began the queue may only know that of the array."""
        name = place[0].submission.name
        return self._jobs.get((name, place[1])) or self._jobs.get((name, None))

    def queued(self, run_id: str, place: Place | None, attempt: Attempt | None = None) -> Queued:
        """What the queue says of the task that has a run, or may take it; `attempt` is the run's newest one."""
        if place is None:
            return Queued(lives=self._lives, ranks=bool(self.waiting_slots))
        folder, number = place
        where, state, reason = self._where(place)
        job = folder.job(number) if folder.receipt else None
        return Queued(
            where,
            state,
            reason,
            job=job,
            trains=state == RUNNING and attempt is not None and attempt.job == job and attempt.end is None,
            cancelled=run_id in self._cancelled[folder],
            ended=lambda progress: self._how_it_ended(place, progress),
            lives=self._lives,
            begun_by=lambda one: self._numbers.get((one or "").partition("_")[0], -1) >= folder.number,
            ranks=bool(self.waiting_slots),
        )

    def _where(self, place: Place) -> tuple[Whereabouts, str, str]:
        folder, job = place[0], self.job(place)
        if folder.submission.here:
            return ("runs", RUNNING, "") if job else ("gone", "", "")
        if self.queue is None:
            return "silent", "", self.unseen
        if job is None or not job.active:
            return "intent" if job is None and folder.receipt is None else "gone", "", ""
        if job.held:
            return "held", job.state, job.why
        if job.waits_for_others and (before := self._held_before(folder)):
            return "held", job.state, f"waits for job {before.address}, which is held: {before.why}"
        return "waits" if job.state == PENDING else "runs", job.state, job.why

    def _how_it_ended(self, place: Place, progress: RunProgress) -> RunState | None:
        folder, number = place
        if folder.submission.here:
            return None  # what its directory says is all that is known
        job = self.job(place)
        if job and job.waits_for_others:
            return RunState(FAILED, self._failure_before(folder))
        attempt = progress.last_attempt
        name = f"task {folder.job(number)}" if folder.receipt else folder.submission.name
        seen = f"{name} ended without a word" if attempt else f"{name} never began to train"
        if attempt and attempt.end:
            seen = f"saved at step {attempt.last_step} ({attempt.detail})"
        return ended_state(job, folder.log_file(number), seen)

    @cached_property
    def active_tasks(self) -> dict[Place, Job]:
        """All tasks of the grid that are in the queue, of each submission, however old, with one of their jobs."""
        folders = {folder.submission.name: folder for folder in self.submissions}
        found: dict[Place, Job] = {}
        for job in self._jobs.values():
            if job.state not in ENDED and (folder := folders.get(job.name)):
                tasks = range(len(folder.submission.tasks)) if job.task is None else [job.task]
                found.update({(folder, task): job for task in tasks})
        return found

    @cached_property
    def _able(self) -> dict[SubmissionDir, list[int]]:
        """The tasks of each submission that may take runs; those that are held come last."""
        found: dict[SubmissionDir, list[int]] = {folder: [] for folder in self.submissions}
        for (folder, task), _ in sorted(self.active_tasks.items(), key=lambda one: one[1].held):
            found[folder].append(task)
        return found

    @cached_property
    def waiting_slots(self) -> list[SubmissionDir]:
        return [one for one in self.submissions if one.waits_for_ranking and self._any_active([one])]

    @cached_property
    def _services(self) -> dict[KindName, SubmissionDir]:
        folders = (folder for folder in self.submissions if not folder.submission.job_kind.trains_runs)
        return {folder.submission.kind: folder for folder in folders}

    def service_states(self) -> dict[str, str]:
        """The states of the newest job of each kind that has no runs of its own, by the kind's name."""
        found: dict[str, str] = {}
        for kind, folder in self._services.items():
            states = {HELD if job.held else job.state for job in self.queue or () if job.name == folder.submission.name}
            seen = ", ".join(sorted(states)) or ("not in the queue any more" if self.queue is not None else UNKNOWN)
            found[kind] = self.failed_services[kind][0].state if kind in self.failed_services else seen
        return found

    @cached_property
    def failed_services(self) -> dict[KindName, tuple[RunState, Resources]]:
        """How the newest job of each kind without runs of its own failed, if it did, and what it had."""
        failures = {kind: (self._failure_of(one), one.submission.resources) for kind, one in self._services.items()}
        return {kind: (failure, had) for kind, (failure, had) in failures.items() if failure}

    def _failure_of(self, folder: SubmissionDir) -> RunState | None:
        """How a job failed that has no runs of its own; None while it is active, and if nobody knows of a failure."""
        if self.queue is None or folder.cancelled or not folder.receipt or self._any_active([folder]):
            return None
        for number in range(len(folder.submission.tasks)):
            if failure := folder.read_failure(number):
                state = TIMEOUT if failure.error == OUT_OF_ATTEMPTS else FAILED
                return RunState(state, f"{failure.error}: {failure.reason}")
            job = self.job((folder, number))
            if (job.state != COMPLETED) if job else read_termination(folder.log_file(number)):
                ended = self._how_it_ended((folder, number), RunProgress())
                return None if ended is None or ended.state == CANCELLED else ended
        return None

    @cached_property
    def _jobs(self) -> dict[tuple[str, int | None], Job]:
        return {(job.name, job.task): job for job in (*(self.queue or ()), *self.here)}

    def _lives(self, job: str) -> bool:  # of processes that no queue knows the run's own lock says all
        return self.queue is None or job.startswith(LOCAL_JOB_PREFIX) or job in self._addresses

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
        active = {job.name for job in self._jobs.values() if job.active}
        return any(folder.submission.name in active for folder in folders)

    def _failure_before(self, waiting: SubmissionDir) -> str:
        for folder in self._waited_for(waiting):
            if failure := self._failure_of(folder):
                return f"its {folder.submission.kind} job ended with {failure.state}: {failure.reason}"
        return f"the job that it waited for ({waiting.submission.after}) did not succeed"

    def _held_before(self, waiting: SubmissionDir) -> Job | None:
        ids = {folder.job_id for folder in self._waited_for(waiting)}
        return next((job for job in self._jobs.values() if job.held and job.job_id in ids), None)

    def _waited_for(self, waiting: SubmissionDir) -> list[SubmissionDir]:
        _, *ids = (waiting.submission.after or "").split(":")
        return [folder for folder in self.submissions if folder.receipt and folder.job_id in ids]


class QueueOwner(Record):
    """`results/slurm/owner.json`, written when something is submitted for the first time."""

    user: str
    cluster: str
    """As the site's settings name it."""

    @classmethod
    def here(cls) -> Self:
        """This process's user; the environment, which anybody can set, has no say in it."""
        number = os.geteuid()
        try:
            user = pwd.getpwuid(number).pw_name
        except KeyError:  # this machine knows no name for it, as in a container
            user = str(number)
        return cls(user=user, cluster=read_settings()["ClusterName"])

    def describe(self) -> str:
        return f"submitted by {self.user} on cluster {self.cluster}; ask there"


def insist_on_ownership(results: Results) -> None:
    """Let only one user on one cluster submit and cancel, the first one to do so; a UsageError tells the others."""
    here, owner = QueueOwner.here(), read_record(results.slurm / "owner.json", QueueOwner)
    if owner is None:
        results.slurm.mkdir(parents=True, exist_ok=True)
        write_json(results.slurm / "owner.json", here.model_dump(mode="json"))
    elif owner != here:
        raise UsageError(
            f"{results.slurm / 'owner.json'}: these are the jobs of {owner.user} on cluster {owner.cluster}, not of "
            f"{here.user} on {here.cluster}: give this command there, or use another folder (--results DIR)"
        )


def read_jobs(results: Results, grids: Sequence[str]) -> list[GridJobs]:
    """The jobs of each of some grids, for which the queue is asked once.

    It is asked after the submissions are read, so that one which is made meanwhile is not taken for lost.
    """
    submissions = [read_submissions(results, grid) for grid in grids]
    in_queue = any(not folder.submission.here for one in submissions for folder in one)
    queue, unseen = _look(results) if in_queue else ((), "")
    return [GridJobs(one, queue, unseen, _worked_off_here(one)) for one in submissions]


def _look(results: Results) -> tuple[Sequence[Job] | None, str]:
    try:
        owner = read_record(results.slurm / "owner.json", QueueOwner)
        if owner and owner != QueueOwner.here():
            return None, owner.describe()
        return read_queue(), ""
    except SentimentError as error:
        return None, " ".join(str(error).split())


def _worked_off_here(submissions: Iterable[SubmissionDir]) -> list[Job]:
    here = (folder for folder in submissions if folder.submission.here and folder.receipt)
    return [Job(one.submission.name, one.job_id, None, RUNNING) for one in here if live_owner(one.lock_file)]


def settle_jobs(results: Results, grid: str) -> GridJobs:
    """A grid's jobs, after settling what a command that was interrupted has left.

    Missing receipts are found by the jobs' names; intents that never reached the queue are withdrawn. The caller must
    hold the grid's lock: otherwise a missing receipt may be one that is about to be written.
    """
    insist_on_ownership(results)
    submissions, queue = read_submissions(results, grid), read_queue()
    job_ids, known = {job.name: job.job_id for job in queue}, []
    for folder in submissions:
        if folder.receipt is None and folder.submission.name not in job_ids:
            folder.withdraw()
            continue
        if folder.receipt is None:
            folder.accept(job_ids[folder.submission.name])
        known.append(folder)
    return GridJobs(known, queue, here=_worked_off_here(known))
