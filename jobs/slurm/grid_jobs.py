"""A grid's jobs: what was submitted for it, what Slurm says about that now, and how tasks have ended.

What a command works off on this machine is seen as a queue as well: the command holds a lock as long as it does so.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from jobs.job_kinds import KindName
from jobs.policy import Queued, Whereabouts
from jobs.slurm.commands import (
    ENDED,
    HELD_BY_ADMINISTRATOR,
    NEVER_SATISFIED,
    Job,
    read_accounting,
    read_queue,
    read_settings,
)
from jobs.slurm.resources import Resources
from jobs.slurm.site import QueueOwner, insist_on_ownership, read_owner
from jobs.slurm.submissions import SubmissionDir, read_submissions
from sentiment.errors import NoSlurmError, SentimentError, SlurmError
from sentiment.processes import HERE
from sentiment.runs.attempts import seems_held
from sentiment.runs.records import Attempt
from sentiment.runs.run_dir import Results
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

# The failure of a service whose time ended again and again: it needs more of it.
OUT_OF_ATTEMPTS = "NoProgressError"

Place = tuple[SubmissionDir, int]
"""A submission, and the number of a task in it."""


@dataclass(frozen=True)
class GridJobs:
    """A grid's submissions beside the queue, as they were when they were read.

    Attributes:
        queue: all of the user's jobs in Slurm; None if they are not known.
        unseen: why they are not known, in a line.
        here: what this machine works off.
    """

    submissions: Sequence[SubmissionDir]
    queue: Sequence[Job] | None
    unseen: str = ""
    here: Sequence[Job] = ()

    @cached_property
    def places(self) -> dict[str, Place]:
        """For each run id the training task that the run was last given to."""
        return newest_tasks(self.submissions)

    @cached_property
    def jobs(self) -> list[Job]:
        """All that are known."""
        return [*(self.queue or ()), *self.here]

    @property
    def lacks_final_job(self) -> bool:
        """Whether training was submitted without the job that ends a grid, or that failed."""
        training = [one for one in self.submissions if one.submission.job_kind.trains_runs and not one.submission.here]
        final = [one for one in self.submissions if one.submission.job_kind.final]
        if not training:
            return False
        newest_is_missing = not final or final[-1].number < training[-1].number
        ended_too_early = self._any_active(training) and not self._any_active(final)
        return newest_is_missing or ended_too_early or self.final_job_failed

    @property
    def final_job_failed(self) -> bool:
        """Whether the newest job that ends the grid did not succeed; one that was cancelled is as somebody wants it."""
        return "report" in self.failed_services

    def place(self, run_id: str, attempt: Attempt | None = None) -> Place | None:
        """The task that a run was last given to; None if it was given to none.

        Args:
            attempt: the run's newest one; of tasks that work off runs together it says which has the run.
        """
        if run_id not in self.places:
            return None
        folder, number = self.places[run_id]
        return folder, self._task_of_pool(folder, number, attempt) if folder.submission.pooled else number

    def job(self, place: Place) -> Job | None:
        """A task as the queue has it."""
        return _find(self._jobs, (place[0].submission.name, place[1]))

    def queued(self, run_id: str, place: Place | None) -> Queued:
        """What the queue says of the task that a run was last given to."""
        if place is None:
            return Queued(lives=self._lives, slots_wait=bool(self.waiting_slots))
        folder, number = place
        where, state, reason = self._where(place)
        return Queued(
            where,
            state,
            reason,
            job=folder.job(number) if folder.receipt else None,
            cancelled=_mark(folder, number, run_id) in self._cancelled[folder],
            shared=folder.submission.pooled,
            ended=lambda progress: self._how_it_ended(place, progress),
            lives=self._lives,
            begun_by=lambda job: self._numbers.get((job or "").partition("_")[0], -1) >= folder.number,
            slots_wait=bool(self.waiting_slots),
        )

    def _where(self, place: Place) -> tuple[Whereabouts, str, str]:
        """Where a task is, and what Slurm calls that and why."""
        folder, job = place[0], self.job(place)
        if folder.submission.here:
            return ("runs", RUNNING, "") if job else ("gone", "", "")
        if self.queue is None:
            return "silent", "", self.unseen
        if job is None or not job.active:
            return "intent" if job is None and folder.receipt is None else "gone", "", ""
        if job.held:
            return "held", job.state, release_advice(job)
        if job.reason == "Dependency" and (before := self._held_before(folder)):
            return "held", job.state, f"waits for job {before.address}, which is held: {release_advice(before)}"
        if job.held_by_user:
            return "waits", job.state, f"held by its user; `scontrol release {job.address}` lets it begin"
        return "waits" if job.state == PENDING else "runs", job.state, "" if job.reason == "None" else job.reason

    def _how_it_ended(self, place: Place, progress: RunProgress) -> RunState | None:
        folder, number = place
        if folder.submission.here:
            return None  # what its directory says is all that is known
        try:
            job = self.job(place) or self._accounted((folder.submission.name, number))
        except SlurmError as error:
            return RunState(UNKNOWN, " ".join(str(error).split()))
        if job and (job.reason == NEVER_SATISFIED or "Dependency" in job.reason):
            return RunState(FAILED, self._failure_before(folder))
        name = f"task {folder.job(number)}" if folder.receipt else folder.submission.name
        return ended_state(job, folder.log_file(number), _last_seen(progress, name))

    @cached_property
    def active_tasks(self) -> dict[Place, Job]:
        """All tasks of the grid that are in the queue, of each submission, however old, with one of their jobs."""
        folders = {folder.submission.name: folder for folder in self.submissions}
        found: dict[Place, Job] = {}
        for job in self.jobs:
            if job.state not in ENDED and (folder := folders.get(job.name)):
                tasks = range(len(folder.submission.tasks)) if job.task is None else [job.task]
                found.update({(folder, task): job for task in tasks})
        return found

    def _task_of_pool(self, folder: SubmissionDir, share: int, attempt: Attempt | None) -> int:
        """The task that has a run or had it last; for one that never began, any that may take it, else its share's."""
        name, numbers = folder.submission.name, range(len(folder.submission.tasks))
        for number in numbers:
            if attempt and folder.receipt and folder.job(number) == attempt.job:
                return number
        jobs = {number: _find(self._jobs, (name, number)) for number in (share, *numbers)}
        active = [number for number, job in jobs.items() if job and job.active]
        free = [number for number in active if (job := jobs[number]) and not job.held]
        wanted: list[int] = [*free, *active, share]
        return wanted[0]

    @cached_property
    def waiting_slots(self) -> list[SubmissionDir]:
        """The tasks of a search that are in the queue, and whose runs a ranking has still to decide."""
        return [one for one in self.submissions if one.waits_for_ranking and self._any_active([one])]

    @cached_property
    def _services(self) -> dict[KindName, SubmissionDir]:
        """The newest job of each kind that has no runs of its own."""
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
        """How the newest job of a kind without runs of its own failed, if it did, and what it had."""
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
            # Of a job without a last word no accounts are asked: most grids have one, which ended well long ago.
            job = self.job((folder, number))
            if (job.state != COMPLETED) if job else read_termination(folder.log_file(number)):
                ended = self._how_it_ended((folder, number), RunProgress())
                return None if ended is None or ended.state == CANCELLED else ended
        return None

    @cached_property
    def _jobs(self) -> dict[tuple[str, int | None], Job]:
        return {(job.name, job.task): job for job in self.jobs}

    def _lives(self, job: str) -> bool:
        """Of processes outside of Slurm the run's own lock says all."""
        return self.queue is None or job.startswith(HERE) or job in self._addresses

    @cached_property
    def _addresses(self) -> set[str]:
        return {job.address for job in self.queue or () if job.active}

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """The numbers of submissions, by the ids of their jobs."""
        return {folder.job_id: folder.number for folder in self.submissions if folder.receipt}

    @cached_property
    def _cancelled(self) -> dict[SubmissionDir, set[int | str]]:
        return {folder: folder.cancelled for folder in self.submissions}

    @cached_property
    def _accounting(self) -> dict[tuple[str, int | None], Job] | SlurmError:
        """What sacct knows, if there is accounting; it is asked once, when the first run needs it."""
        since = min(datetime.fromisoformat(folder.submission.created) for folder in self.submissions)
        try:
            if "slurmdbd" not in read_settings().get("AccountingStorageType", ""):
                return {}
            found = read_accounting((folder.submission.name for folder in self.submissions), since)
        except NoSlurmError:
            return {}
        except SlurmError as error:
            return error
        return {(job.name, job.task): job for job in found}

    def _accounted(self, key: tuple[str, int]) -> Job | None:
        """A task as the accounting has it.

        Raises:
            SlurmError: there is one, but it does not answer.
        """
        if isinstance(self._accounting, SlurmError):
            raise self._accounting
        return _find(self._accounting, key)

    def _any_active(self, folders: Iterable[SubmissionDir]) -> bool:
        active = {job.name for job in self.jobs if job.active}
        return any(folder.submission.name in active for folder in folders)

    def _failure_before(self, waiting: SubmissionDir) -> str:
        """Why a job that training waited for failed, as far as it or Slurm said."""
        for folder in self._waited_for(waiting):
            kind = folder.submission.kind
            for number in range(len(folder.submission.tasks)):
                if failure := folder.read_failure(number):
                    return f"its {kind} job failed: {failure.error}: {failure.reason}"
                if terminated := read_termination(folder.log_file(number)):
                    return f"its {kind} job ended with {terminated.state}: {terminated.reason}"
        return f"the job that it waited for ({waiting.submission.after}) did not succeed"

    def _held_before(self, waiting: SubmissionDir) -> Job | None:
        """The first held job that a training job waits for."""
        ids = {folder.job_id for folder in self._waited_for(waiting)}
        return next((job for job in self.jobs if job.held and job.job_id in ids), None)

    def _waited_for(self, waiting: SubmissionDir) -> list[SubmissionDir]:
        _, *ids = (waiting.submission.after or "").split(":")
        return [folder for folder in self.submissions if folder.receipt and folder.job_id in ids]


def read_jobs(results: Results, grids: Sequence[str]) -> list[GridJobs]:
    """The jobs of each of some grids, for which Slurm is asked once.

    It is asked after the submissions are read, so that one which is made meanwhile is not taken for lost.
    """
    submissions = [read_submissions(results, grid) for grid in grids]
    in_slurm = any(not folder.submission.here for one in submissions for folder in one)
    queue, unseen = _look(results) if in_slurm else ((), "")
    return [GridJobs(one, queue, unseen, _worked_off_here(one)) for one in submissions]


def _look(results: Results) -> tuple[Sequence[Job] | None, str]:
    """The queue, as far as it can be seen from here; if it cannot, why not."""
    try:
        owner = read_owner(results)
        if owner and owner != QueueOwner.here():
            return None, owner.describe()
        return read_queue(), ""
    except SentimentError as error:
        return None, " ".join(str(error).split())


def _worked_off_here(submissions: Iterable[SubmissionDir]) -> list[Job]:
    here = (folder for folder in submissions if folder.submission.here and folder.receipt)
    return [Job(one.submission.name, one.job_id, None, RUNNING) for one in here if seems_held(one.lock_file)]


def settle_jobs(results: Results, grid: str) -> GridJobs:
    """A grid's jobs, after settling what a command that was interrupted has left.

    The caller must hold the grid's lock.

    Raises:
        UsageError: they are somebody else's.
        SlurmError: there is no Slurm, or it does not answer.
    """
    insist_on_ownership(results)
    submissions = read_submissions(results, grid)
    queue = read_queue()
    known = reconcile(submissions, queue)
    return GridJobs(known, queue, here=_worked_off_here(known))


def reconcile(submissions: Iterable[SubmissionDir], queue: Iterable[Job]) -> list[SubmissionDir]:
    """Find missing receipts by the jobs' names, and withdraw intents that never reached Slurm.

    The caller must hold the grid's lock: otherwise a missing receipt may be one that is about to be written.
    """
    job_ids = {job.name: job.job_id for job in queue}
    known = []
    for folder in submissions:
        if folder.receipt is None:
            job_id = job_ids.get(folder.submission.name)
            if job_id is None:
                folder.withdraw()
                continue
            folder.accept(job_id)
        known.append(folder)
    return known


def cancelled_runs(results: Results, grid: str) -> set[str]:
    """Ids of the runs of a grid that `jobs cancel` has ended, and that were not submitted again since."""
    newest = newest_tasks(read_submissions(results, grid))
    marks = {folder: folder.cancelled for folder, _ in newest.values()}
    return {run_id for run_id, (folder, task) in newest.items() if _mark(folder, task, run_id) in marks[folder]}


def newest_tasks(submissions: Iterable[SubmissionDir]) -> dict[str, Place]:
    """For each run id the training task that the run was last given to."""
    return {
        run_id: (folder, task)
        for folder in submissions
        for task, run_ids in enumerate(folder.tasks)
        for run_id in run_ids
    }


def _mark(folder: SubmissionDir, task: int, run_id: str) -> int | str:
    """What says of a run that it was cancelled: tasks of a pool work off other runs as well."""
    return run_id if folder.submission.pooled else task


def _find(jobs: dict[tuple[str, int | None], Job], key: tuple[str, int]) -> Job | None:
    """A task's job; for tasks that were cancelled before they began Slurm may only know that of the array."""
    return jobs.get(key) or jobs.get((key[0], None))


# Termination messages of slurmstepd and srun, by the state that they mean; the first match wins. A step whose processes
# were killed on a node that dies is cancelled afterwards: nobody wished that.
_TERMINATION_MESSAGES = (
    (FAILED, re.compile(r"^refused: ")),  # by `sentiment.runs.start_copy`
    ("OUT_OF_MEMORY", re.compile(r"oom.?kill|out of memory|exceeded .*memory|memory limit", re.IGNORECASE)),
    (TIMEOUT, re.compile(r"DUE TO TIME LIMIT")),
    ("NODE_FAIL", re.compile(r"DUE TO NODE FAILURE")),
    ("PREEMPTED", re.compile(r"DUE TO PREEMPTION")),
    (FAILED, re.compile(r"error: .*Killed")),
    (CANCELLED, re.compile(r"CANCELLED AT")),
    (FAILED, re.compile(r"error: .*(Killed|Segmentation|Exited with exit code|signal)")),
)
# A task that finds no room on the disk can write nothing down, but ends with this code (that of ENOSPC).
DISK_FULL_EXIT_CODE = 28
_DISK_FULL = re.compile(rf"exit code {DISK_FULL_EXIT_CODE}\b")
ROOM_ADVICE = "found no room on the disk, or its quota is exhausted: make room (`jobs doctor` says how much there is)"
_TAIL_BYTES = 1 << 14
_TASK_BEGINS = re.compile(rb"^task \d+ of .*, start \d+ on ", re.MULTILINE)


def ended_state(job: Job | None, log: Path | None, seen: str) -> RunState:
    """What became of a task that has ended or that the queue has forgotten.

    Args:
        job: as the queue or the accounting has it.
        seen: what is known of it otherwise.
    """
    if job and job.state in ENDED - {FAILED, COMPLETED, CANCELLED}:
        return RunState(job.state, seen)
    terminated = read_termination(log)
    refuted = {CANCELLED, FAILED} if job and job.state == CANCELLED else {CANCELLED} if job else set()
    if terminated and terminated.state not in refuted:
        return terminated
    if job and job.state == CANCELLED:
        return RunState(CANCELLED, seen)
    return RunState(FAILED, _last_line(log)) if job else RunState(LOST, f"is not in the queue; {seen}")


def _last_seen(progress: RunProgress, name: str) -> str:
    """What its directory says last of a run that a task had."""
    attempt = progress.last_attempt
    if attempt is None:
        return f"{name} never began to train"
    if attempt.end is None:
        return f"{name} ended without a word"
    return f"saved at step {attempt.last_step} ({attempt.detail})"


def release_advice(held: Job) -> str:
    """Why a job is held, and who can release it."""
    if held.reason == HELD_BY_ADMINISTRATOR:
        return f"{held.reason}; an administrator has to let it go on (scontrol release {held.address})"
    return f"{held.reason}; `jobs rerun` lets it go on (scontrol release {held.address})"


def task_begins(title: str, restarts: int, node: str | None) -> str:
    """The first line that a Slurm task prints, each time that Slurm starts it."""
    return f"{title}, start {restarts + 1} on {node or 'this machine'}"


def read_termination(log: Path | None) -> RunState | None:
    """What Slurm printed about the end of the newest attempt; None if nothing."""
    said = [line for line in _newest_attempt(log) if line.startswith(("slurmstepd", "srun: error", "refused: "))]
    for state, pattern in _TERMINATION_MESSAGES:
        for line in said:
            if state == FAILED and _DISK_FULL.search(line):
                return RunState(FAILED, f"{ROOM_ADVICE}, then `jobs rerun`")
            if pattern.search(line):
                return RunState(state, re.sub(r"^(slurmstepd[^:]*|srun): (error: )?", "", line).strip("* "))
    return None


def _last_line(log: Path | None) -> str:
    """The last line of a task that wrote nothing into the run's directory: that Python was not found, say."""
    lines = [line for line in _newest_attempt(log) if line.strip()]
    return f"ended without a result; its log ends: {lines[-1].strip()}" if lines else "ended without a result or a log"


def _newest_attempt(log: Path | None) -> list[str]:
    """The last lines of a log, from the newest attempt only."""
    try:
        with open(log or os.devnull, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL_BYTES, 0))
            text = file.read()
    except OSError:
        return []
    starts = [match.start() for match in _TASK_BEGINS.finditer(text)]
    return text[starts[-1] if starts else 0 :].decode(errors="replace").splitlines()
