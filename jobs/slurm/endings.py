"""Determines how a task ended: from Slurm's state of its job, or from what slurmstepd and srun wrote into its log."""

import errno
import os
import re
from contextlib import suppress
from pathlib import Path

from jobs.slurm.commands import ENDED, Job
from sentiment.runs.state import CANCELLED, COMPLETED, FAILED, LOST, OUT_OF_MEMORY, TIMEOUT, RunState

# Messages of slurmstepd and srun, and the state that each means; the first match wins. When a node fails, Slurm kills a
# step and then cancels it, which is no user's cancellation: so "Killed" comes first.
_TERMINATION_MESSAGES = (
    (FAILED, re.compile("^(cannot run the code in|is not requeued: )")),  # of `sentiment.runs.start_copy`, `jobs.tasks`
    (OUT_OF_MEMORY, re.compile(r"oom.?kill|out of memory|exceeded .*memory|memory limit", re.IGNORECASE)),
    (TIMEOUT, re.compile(r"DUE TO TIME LIMIT")),
    ("NODE_FAIL", re.compile(r"DUE TO NODE FAILURE")),
    ("PREEMPTED", re.compile(r"DUE TO PREEMPTION")),
    (FAILED, re.compile(r"error: .*Killed")),
    (CANCELLED, re.compile(r"CANCELLED AT")),
    (FAILED, re.compile(r"error: .*(Killed|Segmentation|Exited with exit code|signal)")),
)
_TERMINATION_PREFIXES = ("slurmstepd", "srun: error", "cannot run the code in", "is not requeued: ")

# The exit code of a task that a signal stopped, and which has saved.
STOPPED_EXIT_CODE = 3
_STOPPED = re.compile(rf"exit code {STOPPED_EXIT_CODE}$")
# The exit code of a task that could not record its failure because the disk is full.
DISK_FULL_EXIT_CODE = errno.ENOSPC
_DISK_FULL = re.compile(rf"exit code {DISK_FULL_EXIT_CODE}\b")
DISK_FULL_ADVICE = "the disk is full or its quota exceeded: make room"

_TAIL_BYTES = 1 << 14
_START_LINE = re.compile(rb"^task \d+ of .*, start \d+ on ", re.MULTILINE)


def start_line(title: str, restarts: int, node: str | None) -> str:
    """Return the line that a task prints when it starts, by which `read_termination` finds its newest attempt."""
    return f"{title}, start {restarts + 1} on {node or 'this machine'}"


def ended_state(job: Job | None, log: Path | None, remark: str) -> RunState:
    """Return the state of a task that has ended or that Slurm no longer lists.

    Args:
        remark: what else is known about the task, as a part of a sentence.
    """
    end = _as_slurm_says(job, log, remark)
    if end.state == FAILED and _STOPPED.search(end.reason):
        return RunState(FAILED, remark)
    return end


def _as_slurm_says(job: Job | None, log: Path | None, remark: str) -> RunState:
    if job and job.state in ENDED - {FAILED, COMPLETED, CANCELLED}:
        return RunState(job.state, remark)
    termination = read_termination(log)
    if termination and not _is_refuted(termination, job):
        return termination
    if job is None:
        return RunState(LOST, f"no longer known to Slurm; {remark}")
    if job.state == CANCELLED:
        return RunState(CANCELLED, remark)
    lines = [line.strip() for line in _newest_attempt(log) if line.strip()]
    if not lines:
        return RunState(FAILED, "ended without a result and wrote no log")
    return RunState(FAILED, f"ended without a result; last line of its log: {lines[-1]}")


def _is_refuted(termination: RunState, job: Job | None) -> bool:
    """Whether Slurm's state of the job contradicts the log.

    A step is also cancelled when its job ends in another way, and its processes are also killed when the job is
    cancelled: Slurm's own state decides between the two.
    """
    if job is None:
        return False
    if job.state == CANCELLED:
        return termination.state in (CANCELLED, FAILED)
    return termination.state == CANCELLED


def read_termination(log: Path | None) -> RunState | None:
    """Return how Slurm ended the newest attempt in a log; None if it printed nothing about that."""
    messages = [line for line in _newest_attempt(log) if line.startswith(_TERMINATION_PREFIXES)]
    for state, pattern in _TERMINATION_MESSAGES:
        for message in messages:
            if state == FAILED and _DISK_FULL.search(message):
                return RunState(FAILED, DISK_FULL_ADVICE)
            if pattern.search(message):
                return RunState(state, re.sub(r"^(slurmstepd[^:]*|srun): (error: )?", "", message).strip("* "))
    return None


def _newest_attempt(log: Path | None) -> list[str]:
    """Return the last lines of a log, from the newest start of its task; none if there is no log."""
    text = b""
    with suppress(OSError), open(log or os.devnull, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _TAIL_BYTES, 0))
        text = file.read()
    newest = max((match.start() for match in _START_LINE.finditer(text)), default=0)
    return text[newest:].decode(errors="replace").splitlines()
