"""What has become of a run, in Slurm's words: from its directory, the queue, and what Slurm printed into its log."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from jobs.slurm.commands import ENDED, HELD_BY_ADMINISTRATOR, NEVER_SATISFIED, Job
from jobs.status.progress import Progress

PLANNED = "PLANNED"
LOST = "LOST"
UNKNOWN = "UNKNOWN"
HELD = "HELD"
UNFINISHED = {"PENDING", "RUNNING"}

# What slurmstepd and srun print, by what it means; the first that is found counts, since one death has many heralds.
_TERMINATION_MESSAGES = (
    ("OUT_OF_MEMORY", re.compile(r"oom.?kill|out of memory|exceeded .*memory|memory limit", re.IGNORECASE)),
    ("TIMEOUT", re.compile(r"DUE TO TIME LIMIT")),
    ("NODE_FAIL", re.compile(r"DUE TO NODE FAILURE")),
    ("PREEMPTED", re.compile(r"DUE TO PREEMPTION")),
    ("CANCELLED", re.compile(r"CANCELLED AT")),
    ("FAILED", re.compile(r"error: .*(Killed|Segmentation|Exited with exit code|signal)")),
)
_START = re.compile(rb"^task \d+ of .*, start \d+ on ", re.MULTILINE)
_TAIL_BYTES = 1 << 14


@dataclass(frozen=True)
class Verdict:
    """A state and, where there is one, the reason in a line."""

    state: str
    reason: str = ""


@dataclass(frozen=True)
class Task:
    """The task that a run was last given to; its facts are looked up only when they are needed."""

    name: str
    job: Job | None
    """As the queue has it."""
    asked: bool
    """Whether there was a Slurm to ask."""
    cancelled: bool
    log: Callable[[], Path | None]
    accounted: Callable[[], Job | None]
    broken_dependency: Callable[[], str]
    """Why what it waited for failed."""
    held_before: Callable[[], Job | None]
    """The held job that it waits for, if it waits for one."""


def judge(progress: Progress, task: Task | None) -> Verdict:
    """The state of a run."""
    if progress.completed:
        return Verdict("COMPLETED")
    if progress.damage:
        return Verdict("FAILED", progress.damage)
    job = task.job if task else None
    if task and job and job.active:
        return _judge_active(progress, task, job)
    if progress.locked:
        return Verdict("RUNNING")
    if task and task.cancelled:
        return Verdict("CANCELLED", "by `jobs cancel`")
    if progress.failure:
        return Verdict("FAILED", f"{progress.failure.error}: {progress.failure.reason}")
    if task:
        return _judge_ended(progress, task)
    if progress.last_attempt:
        return _judge_local(progress)
    return Verdict(PLANNED)


def _judge_active(progress: Progress, task: Task, job: Job) -> Verdict:
    if progress.failure and progress.failure.job == job.address and job.state == "RUNNING":  # others of its task go on
        return Verdict("FAILED", f"{progress.failure.error}: {progress.failure.reason}")
    if job.held:
        return Verdict(HELD, _way_out(job))
    if job.reason == "Dependency" and (before := task.held_before()):
        return Verdict(HELD, f"waits for job {before.address}, which is held: {_way_out(before)}")
    if job.held_by_user:
        return Verdict(job.state, f"held by its user; `scontrol release {job.address}` lets it begin")
    return Verdict(job.state, "" if job.reason == "None" else job.reason)


def _way_out(held: Job) -> str:
    """Why a job is held, and who lets it go on."""
    if held.reason == HELD_BY_ADMINISTRATOR:
        return f"{held.reason}; an administrator has to let it go on (scontrol release {held.address})"
    return f"{held.reason}; `jobs rerun` lets it go on (scontrol release {held.address})"


def _judge_ended(progress: Progress, task: Task) -> Verdict:
    """A task that is not in the queue, or only as one that has ended, and a run that says nothing itself."""
    job = task.job or task.accounted()
    if job and (job.reason == NEVER_SATISFIED or "Dependency" in job.reason):
        return Verdict("FAILED", task.broken_dependency())
    if job and job.state in ENDED - {"FAILED", "COMPLETED", "CANCELLED"}:
        return Verdict(job.state, _last_seen(progress, task))
    terminated = read_termination(task.log())
    if terminated and (job is None or terminated.state != "CANCELLED"):
        return terminated
    if job and job.state == "CANCELLED":
        return Verdict("CANCELLED", _last_seen(progress, task))
    if job:
        return Verdict("FAILED", last_line(task.log()))
    if not task.asked:
        return Verdict(UNKNOWN, "there is no Slurm here to ask")
    return Verdict(LOST, f"is not in the queue; {_last_seen(progress, task)}")


def _judge_local(progress: Progress) -> Verdict:
    """A run that was never submitted but tried: here, or by hand."""
    attempt = progress.last_attempt
    if attempt is None or attempt.reason is None:
        return Verdict(LOST, "its process died without a word")
    if attempt.reason == "failed":
        return Verdict("FAILED", attempt.detail or "")
    return Verdict("TIMEOUT" if attempt.reason == "deadline" else "CANCELLED", f"saved and stopped: {attempt.detail}")


def _last_seen(progress: Progress, task: Task) -> str:
    attempt = progress.last_attempt
    if attempt is None:
        return f"{task.name} never began to train"
    if attempt.end is None:
        return f"{task.name} ended without a word"
    return f"saved at step {attempt.last_step} ({attempt.detail})"


def read_termination(log: Path | None) -> Verdict | None:
    """What Slurm printed about the end of the newest attempt; None if nothing."""
    said = [line for line in _newest_attempt(log) if line.startswith(("slurmstepd", "srun: error"))]
    for state, pattern in _TERMINATION_MESSAGES:
        for line in said:
            if pattern.search(line):
                return Verdict(state, re.sub(r"^(slurmstepd[^:]*|srun): (error: )?", "", line).strip("* "))
    return None


def last_line(log: Path | None) -> str:
    """What a task that wrote nothing into the run's directory said last, such as that Python was not found."""
    lines = [line for line in _newest_attempt(log) if line.strip()]
    return f"ended without a result; its log ends: {lines[-1].strip()}" if lines else "ended without a result or a log"


def _newest_attempt(log: Path | None) -> list[str]:
    """The last lines of a log, as far as they are of the newest attempt."""
    try:
        with open(log or os.devnull, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL_BYTES, 0))
            text = file.read()
    except OSError:
        return []
    starts = [match.start() for match in _START.finditer(text)]
    return text[starts[-1] if starts else 0 :].decode(errors="replace").splitlines()
