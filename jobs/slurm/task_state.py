"""The state of a task in Slurm, from the queue, the accounting, and what Slurm printed into the task's log."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.slurm.commands import ENDED, HELD_BY_ADMINISTRATOR, NEVER_SATISFIED, Job
from sentiment.errors import SlurmError
from sentiment.run_state import (
    BY_COMMAND,
    CANCELLED,
    COMPLETED,
    FAILED,
    HELD,
    LOST,
    PENDING,
    PLANNED,
    RUNNING,
    TIMEOUT,
    UNKNOWN,
    RunProgress,
    RunState,
)

# Termination messages of slurmstepd and srun, by the state that they mean; the first match wins. A step whose processes
# were killed on a node that dies is cancelled afterwards: nobody wished that.
_TERMINATION_MESSAGES = (
    (FAILED, re.compile(r"^refused: ")),  # by `sentiment.start_copy`
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


@dataclass(frozen=True)
class SlurmTask:
    """The task that a run was last given to; its facts are looked up only when they are needed."""

    address: str | None
    """As Slurm's commands take it; None while it is not known."""
    submission: str
    """The name of the submission that it belongs to."""
    job: Job | None
    """As the queue has it."""
    unseen: str | None
    """Why the queue is not known; None if it is."""
    cancelled: bool
    """Whether `jobs cancel` ended the task, or this run of it."""
    log: Callable[[], Path | None]
    accounted: Callable[[], Job | None]
    """As the accounting has it."""
    broken_dependency: Callable[[], str]
    """Why the job that it waited for failed."""
    held_before: Callable[[], Job | None]
    """The held job that it waits for, if there is one."""
    pooled: bool = False
    """Whether the task works off runs together with others, so that it may have another run at the moment."""

    def active_state(self, progress: RunProgress) -> RunState | None:
        """The state while the task waits, runs or is held; None once it has ended."""
        if self.unseen is not None:
            return self._state_unseen(progress)
        job, failure = self.job, progress.failure
        if job is None or not job.active:
            return None
        if self.cancelled and self.pooled and not progress.locked:
            return RunState(CANCELLED, BY_COMMAND)
        if failure and failure.job == job.address and job.state == RUNNING:  # the task's other runs go on
            return RunState(FAILED, f"{failure.error}: {failure.reason}")
        if self.pooled and failure and failure.job and failure.job.partition("_")[0] == job.job_id:
            return RunState(FAILED, f"{failure.error}: {failure.reason}")
        if job.held:
            return RunState(HELD, _release_advice(job))
        if job.reason == "Dependency" and (before := self.held_before()):
            return RunState(HELD, f"waits for job {before.address}, which is held: {_release_advice(before)}")
        if job.held_by_user:
            return RunState(job.state, f"held by its user; `scontrol release {job.address}` lets it begin")
        if self.pooled and job.state == RUNNING and not progress.locked:
            return RunState(PENDING, "waits for its turn")
        return RunState(job.state, "" if job.reason == "None" else job.reason)

    def ended_state(self, progress: RunProgress) -> RunState:
        """What became of a task that has ended or that the queue has forgotten."""
        attempt = progress.last_attempt
        if attempt and attempt.reason == "paused" and attempt.job == self.address:
            return RunState(PLANNED, "goes on in the next rung of its search, for which nothing is submitted")
        try:
            job = self.job or self.accounted()
        except SlurmError as error:
            return RunState(UNKNOWN, " ".join(str(error).split()))
        if job is None and self.address is None:
            return RunState(PLANNED, "is being submitted, or that was interrupted: the same command goes on")
        if job and (job.reason == NEVER_SATISFIED or "Dependency" in job.reason):
            return RunState(FAILED, self.broken_dependency())
        if job and job.state in ENDED - {FAILED, COMPLETED, CANCELLED}:
            return RunState(job.state, self._last_seen(progress))
        terminated = read_termination(self.log())
        refuted = {CANCELLED, FAILED} if job and job.state == CANCELLED else {CANCELLED} if job else set()
        if terminated and terminated.state not in refuted:
            return terminated
        if job and job.state == CANCELLED:
            return RunState(CANCELLED, self._last_seen(progress))
        if job:
            return RunState(FAILED, last_line(self.log()))
        return RunState(LOST, f"is not in the queue; {self._last_seen(progress)}")

    def _state_unseen(self, progress: RunProgress) -> RunState:
        """What the run's directory says for certain of a task whose queue is not known: it may wait there."""
        failure = progress.failure
        if progress.locked:
            return RunState(RUNNING)
        if self.cancelled:
            return RunState(CANCELLED, BY_COMMAND)
        if failure and failure.job == self.address:  # of an earlier job it would say nothing about this one
            return RunState(FAILED, f"{failure.error}: {failure.reason}")
        return RunState(UNKNOWN, self.unseen or "")

    def _last_seen(self, progress: RunProgress) -> str:
        attempt, name = progress.last_attempt, f"task {self.address}" if self.address else self.submission
        if attempt is None:
            return f"{name} never began to train"
        if attempt.end is None:
            return f"{name} ended without a word"
        return f"saved at step {attempt.last_step} ({attempt.detail})"


def _release_advice(held: Job) -> str:
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


def last_line(log: Path | None) -> str:
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
