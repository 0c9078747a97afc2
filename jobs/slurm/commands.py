"""Slurm's own commands: one query for all jobs, the few orders that are given, and what a site's settings mean.

All of them are run by `ask`. An answer that is not whole is none: whoever takes it for an empty queue submits again
what waits there.

Each raises a SlurmError if Slurm refuses, which is a NoSlurmError where there is no Slurm, and an UnansweredError where
it does not answer or does not say whether it has heard an order.
"""

import os
import re
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from sentiment.errors import NoSlurmError, SlurmError, UnansweredError

# sbatch itself tries for two minutes where slurmctld has too many jobs.
_SECONDS = 180.0
# A restart of slurmctld takes seconds; a longer absence is an error.
_RESTART_SECONDS = 15.0
_AWAY = re.compile(r"contact|connect|unexpected message|timed out|zero bytes|endpoint", re.IGNORECASE)
_POLL_SECONDS = 0.5

# Variables by which a user's shell, or another job around it, changes what Slurm's commands answer or hand on; and
# those that say where Slurm is and who asks.
_FOREIGN = ("SLURM", "SBATCH_", "SALLOC_", "SRUN_", "SQUEUE_", "SACCT", "SCONTROL_", "SCANCEL_", "SINFO_")
_FOREIGN_TO_JOBS = ("PMI_", "PMIX_", "SUBMITIT_")
_KEPT = {"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"}

# The final states of a job; in any other it still waits, runs or ends.
ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "REVOKED", "TIMEOUT"),
}
_NEVER_SATISFIED = "DependencyNeverSatisfied"

# A job that waits for one of these reasons begins only when it is released. A launch fails where a node's prolog fails;
# the other jobs were requeued too often or put on hold, by the site's settings or by somebody.
_HELD_BY_ADMINISTRATOR = "JobHeldAdmin"
_HELD = {
    _HELD_BY_ADMINISTRATOR,
    "JobHoldMaxRequeue",
    "job requeued in held state",
    "launch failed requeued held",
}
_WAITING = {"PENDING", "SPECIAL_EXIT"}

_FIELDS = ("%F", "%K", "%T", "%r", "%j")


@dataclass(frozen=True)
class Job:
    """A job, or one task of an array, as Slurm sees it.

    Attributes:
        job_id: of the array, for a task.
        state: in Slurm's words.
    """

    name: str
    job_id: str
    task: int | None
    state: str
    reason: str = ""

    @property
    def active(self) -> bool:
        """Whether it waits, runs or ends; a job whose dependency failed waits for nothing."""
        return self.state not in ENDED and self.reason != _NEVER_SATISFIED

    @property
    def held(self) -> bool:
        return self.state in _WAITING and self.reason in _HELD

    @property
    def waits_for_others(self) -> bool:
        """Perhaps in vain, since they failed."""
        return "Dependency" in self.reason

    @property
    def why(self) -> str:
        """Why it is where it is and, if it is held, who can release it."""
        if self.held and self.reason == _HELD_BY_ADMINISTRATOR:
            return f"{self.reason}; an administrator has to let it go on (scontrol release {self.address})"
        if self.held:
            return f"{self.reason}; `sentiment rerun` lets it go on (scontrol release {self.address})"
        if self.state in _WAITING and self.reason == "JobHeldUser":
            return f"held by its user; `scontrol release {self.address}` lets it begin"
        return "" if self.reason == "None" else self.reason

    @property
    def address(self) -> str:
        return self.job_id if self.task is None else f"{self.job_id}_{self.task}"


def read_queue() -> list[Job]:
    """All of the user's jobs that Slurm remembers: the present ones and, for some minutes, those that have ended.

    Anybody may give a job any name, with line breaks and bars in it. Fields are separated by a word that nobody knows
    beforehand, so that no name can be taken for another field or another job.
    """
    mark = f"~{secrets.token_hex(8)}~"
    fields = "".join(f"{mark}{field}" for field in _FIELDS) + mark
    text = query("squeue", "--me", "--all", "--array", "--states=all", f"--format={fields}")
    _, *parts = text.split(mark)  # what comes before is a warning
    width = len(_FIELDS) + 1  # and the line break
    lines = [parts[first : first + width] for first in range(0, len(parts), width)]
    whole = lines and all(len(line) == width and line[-1] == "\n" for line in lines)
    if not whole or any(not _is_job(line) for line in lines[1:]) or _is_job(lines[0]):
        raise UnansweredError(f"squeue: {shown(text)} is not the list of jobs that was asked for")
    return [_job(line[:-1]) for line in lines[1:]]


def read_settings() -> dict[str, str]:
    """The site's settings, by the names of `scontrol show config`; waits for a restart, like `read_queue`."""
    text = query("scontrol", "show", "config")
    pairs = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    settings = {name.strip(): value.strip() for name, value in pairs}
    if not text.endswith("\n") or not settings.get("ClusterName"):
        raise UnansweredError(f"scontrol: {shown(text)} are not the site's settings, which name its cluster")
    return settings


def requeue(job: str) -> None:
    """Let a job (`<array>_<task>`, from within an array) begin again; if Slurm kills the command, it has heard it."""
    try:
        ask("scontrol", "requeue", job)
    except _KilledError:
        pass
    except SlurmError as error:
        if "pending" not in str(error).lower():
            raise


def release(jobs: Iterable[str]) -> None:
    """Release held jobs; the refusal of one does not stop the others."""
    if wanted := list(jobs):
        ask("scontrol", "release", *wanted)


def cancel(jobs: Iterable[str]) -> None:
    """Cancel jobs; those that have ended may be among them."""
    if wanted := list(jobs):
        ask("scancel", *wanted)


def submit(file: str) -> str:
    """Hand a file to sbatch; the job's id."""
    text = ask("sbatch", file)
    if found := re.search(r"^Submitted batch job (\d+)( on cluster \S+)?\n\Z", text, re.MULTILINE):
        return found[1]
    raise UnansweredError(f"sbatch: {shown(text)} names no job")


class _KilledError(UnansweredError):
    """A command was killed, as Slurm kills what belongs to a job."""


def ask(*command: str) -> str:
    """Run one of Slurm's commands, whatever the shell's variables want of it; what it prints."""
    name = command[0]
    try:
        done = subprocess.run(  # noqa: S603
            command, stdin=subprocess.DEVNULL, capture_output=True, env=_environment(name), timeout=_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UnansweredError(f"{name}: no answer for {_SECONDS:g} s") from None
    except OSError as error:
        if shutil.which(name, os.F_OK) is None:
            raise NoSlurmError(f"{name}: not found; there is no Slurm on this machine") from None
        raise UnansweredError(f"{name}: cannot be run: {error.strerror}") from None
    if done.returncode < 0:  # a job's commands get its warnings too, before Slurm has heard them
        kind = _KilledError if -done.returncode in (signal.SIGTERM, signal.SIGKILL) else UnansweredError
        raise kind(f"{name}: was killed by signal {-done.returncode}")
    if done.returncode > 0:
        said = re.sub(rf"^{name}: error: ", "", _text(done.stderr).strip(), flags=re.MULTILINE)
        if "Could not establish a configuration source" in said:
            raise NoSlurmError(f"{name}: is installed, but knows of no cluster: there is no Slurm here")
        message = f"{name}: {said or f'ended with {done.returncode}'}"
        raise UnansweredError(message) if _AWAY.search(said) else SlurmError(message)
    return _text(done.stdout)


def query(*command: str) -> str:
    """Ask Slurm something; it is asked again for some seconds if there is no answer, as during a restart."""
    end = time.monotonic() + _RESTART_SECONDS
    while True:
        try:
            return ask(*command)
        except UnansweredError:
            if time.monotonic() >= end:
                raise
        except NoSlurmError:
            raise
        except SlurmError as error:
            raise UnansweredError(str(error)) from None
        time.sleep(_POLL_SECONDS)


def _environment(command: str) -> dict[str, str]:
    """A job inherits the environment of sbatch, but neither what another job left there nor a language of ours."""
    foreign = (*_FOREIGN, *_FOREIGN_TO_JOBS)
    kept = {name: value for name, value in os.environ.items() if name in _KEPT or not name.startswith(foreign)}
    return kept if command == "sbatch" else kept | {"LC_ALL": "C"}


def _text(output: bytes) -> str:
    """Names of jobs may be any bytes."""
    return output.decode("utf-8", errors="replace")


def shown(text: str) -> str:
    return repr(text[:60]) if text else "nothing"


def _is_job(fields: list[str]) -> bool:
    """The first line has the names of the columns instead."""
    return fields[0].isdecimal() and fields[2].replace("_", "").isupper()


def _job(fields: list[str]) -> Job:
    job_id, task, state, reason, name = fields
    return Job(name, job_id, int(task) if task.isdecimal() else None, state, reason)


_MOST_TASKS = 1001
"""Of an array, where slurm.conf does not say."""

_PREEMPTED = {
    "OFF": "no other job takes a task's place",
    "REQUEUE": "a preempted task saves and is requeued",
    "CANCEL": "a preempted task saves, but is cancelled: `sentiment rerun` resumes it",
    "SUSPEND": "a preempted task is suspended, keeps its memory and goes on later",
}


def explain_settings(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What follows from the settings of `scontrol show config`: each with a sentence."""
    yield "Slurm", f"version {settings.get('SLURM_VERSION', '?')}, cluster {settings.get('ClusterName', '?')}"
    mode = settings.get("PreemptMode", "OFF")
    if settings.get("PreemptType", "") in ("", "(null)", "preempt/none"):
        mode = "OFF"
    first = "USR2" if "send_user_signal" in settings.get("PreemptParameters", "") else "TERM"
    preempted = next((told for name, told in _PREEMPTED.items() if name in mode), _PREEMPTED["SUSPEND"])
    yield f"PreemptMode {mode}", preempted if mode == "OFF" else f"{preempted}; {first} comes first"
    if "associations" in settings.get("AccountingStorageEnforce", ""):
        yield "accounts", "jobs need one (`sacctmgr show associations user=$USER`): defaults.account, or your default"


def read_partitions() -> list[tuple[str, str]]:
    """Each partition, and what kinds of nodes and which time limit it has."""
    text = query("sinfo", "--all", "--noheader", "--format=%P|%a, %D nodes of %c cores, %m MB and gres %G, at most %l")
    rows = (line.partition("|") for line in text.splitlines() if "|" in line)
    return [(f"partition {name}", what) for name, _, what in rows]


def most_tasks() -> int:
    """The largest number of tasks that the site allows in one array; Slurm's default where there is no Slurm."""
    try:
        return int(read_settings().get("MaxArraySize", _MOST_TASKS))
    except NoSlurmError:
        return _MOST_TASKS
