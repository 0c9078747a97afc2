"""How a task has ended: by Slurm's state of the job, or by what slurmstepd and srun wrote into its log."""

import errno
import os
import re
from pathlib import Path

from jobs.slurm.commands import ENDED, Job
from sentiment.runs.state import CANCELLED, COMPLETED, FAILED, LOST, TIMEOUT, RunState

# Termination messages of slurmstepd and srun, by the state that they mean; the first match wins. A step whose processes
# were killed on a node that dies is cancelled afterwards: nobody wished that.
_TERMINATION_MESSAGES = (
    (FAILED, re.compile(r"^(refused|is not requeued): ")),  # of `sentiment.runs.start_copy` and `jobs.tasks.task`
    ("OUT_OF_MEMORY", re.compile(r"oom.?kill|out of memory|exceeded .*memory|memory limit", re.IGNORECASE)),
    (TIMEOUT, re.compile(r"DUE TO TIME LIMIT")),
    ("NODE_FAIL", re.compile(r"DUE TO NODE FAILURE")),
    ("PREEMPTED", re.compile(r"DUE TO PREEMPTION")),
    (FAILED, re.compile(r"error: .*Killed")),
    (CANCELLED, re.compile(r"CANCELLED AT")),
    (FAILED, re.compile(r"error: .*(Killed|Segmentation|Exited with exit code|signal)")),
)
# A task that finds no room on the disk can write nothing down, but ends with this code.
DISK_FULL_EXIT_CODE = errno.ENOSPC
_DISK_FULL = re.compile(rf"exit code {DISK_FULL_EXIT_CODE}\b")
ROOM_ADVICE = (
    "found no room on the disk, or its quota is exhausted: make room (`sentiment doctor` says how much there is)"
)
_TAIL_BYTES = 1 << 14
_TASK_BEGINS = re.compile(rb"^task \d+ of .*, start \d+ on ", re.MULTILINE)


def task_begins(title: str, restarts: int, node: str | None) -> str:
    return f"{title}, start {restarts + 1} on {node or 'this machine'}"


def ended_state(job: Job | None, log: Path | None, seen: str) -> RunState:
    """What became of a task that has ended or that the queue has forgotten; `seen` is known of it otherwise."""
    if job and job.state in ENDED - {FAILED, COMPLETED, CANCELLED}:
        return RunState(job.state, seen)
    terminated = read_termination(log)
    refuted = {CANCELLED, FAILED} if job and job.state == CANCELLED else {CANCELLED} if job else set()
    if terminated and terminated.state not in refuted:
        return terminated
    if job and job.state == CANCELLED:
        return RunState(CANCELLED, seen)
    if job is None:
        return RunState(LOST, f"is not in the queue; {seen}")
    lines = [line for line in _newest_attempt(log) if line.strip()]
    end = f"; its log ends: {lines[-1].strip()}" if lines else " or a log"
    return RunState(FAILED, f"ended without a result{end}")


def read_termination(log: Path | None) -> RunState | None:
    """What Slurm printed about the end of the newest attempt; None if nothing."""
    begins = ("slurmstepd", "srun: error", "refused: ", "is not requeued: ")
    said = [line for line in _newest_attempt(log) if line.startswith(begins)]
    for state, pattern in _TERMINATION_MESSAGES:
        for line in said:
            if state == FAILED and _DISK_FULL.search(line):
                return RunState(FAILED, f"{ROOM_ADVICE}, then `sentiment rerun`")
            if pattern.search(line):
                return RunState(state, re.sub(r"^(slurmstepd[^:]*|srun): (error: )?", "", line).strip("* "))
    return None


def _newest_attempt(log: Path | None) -> list[str]:
    try:
        with open(log or os.devnull, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL_BYTES, 0))
            text = file.read()
    except OSError:
        return []
    starts = [match.start() for match in _TASK_BEGINS.finditer(text)]
    return text[starts[-1] if starts else 0 :].decode(errors="replace").splitlines()
