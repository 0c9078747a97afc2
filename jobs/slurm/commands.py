"""Slurm's own commands: one query for all jobs, and the few orders that are given."""

import re
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sentiment.errors import NoSlurmError, SlurmError

_SECONDS = 120.0
# A restart of slurmctld takes seconds; a longer absence is an error.
_RESTART_SECONDS = 15.0
_AWAY = re.compile(r"contact|connect|unexpected message|timed out|no answer|zero bytes|endpoint", re.IGNORECASE)
_POLL_SECONDS = 0.5

# The final states of a job; in any other it still waits, runs or ends.
ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "LAUNCH_FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "REVOKED",
    "TIMEOUT",
}
NEVER_SATISFIED = "DependencyNeverSatisfied"

# A job that waits for one of these reasons begins only when it is released. A launch fails where a node's prolog fails;
# the other jobs were requeued too often or put on hold, by the site's settings or by somebody.
HELD_BY_USER = "JobHeldUser"
HELD_BY_ADMINISTRATOR = "JobHeldAdmin"
_HELD = {
    HELD_BY_ADMINISTRATOR,
    "JobHoldMaxRequeue",
    "job requeued in held state",
    "launch failed requeued held",
}
_WAITING = {"PENDING", "SPECIAL_EXIT"}

# The name comes last, since only a name may hold any character.
_FIELDS = ("%F", "%K", "%T", "%r", "%M", "%S", "%e", "%N", "%j")


@dataclass(frozen=True)
class Job:
    """A job, or one task of an array, as Slurm sees it."""

    name: str
    job_id: str
    """Of the array, for a task."""
    task: int | None
    state: str
    """In Slurm's words."""
    reason: str = ""
    elapsed: str = ""
    start: datetime | None = None
    """When it began, or is expected to."""
    end: datetime | None = None
    """When its time is over."""
    node: str = ""

    @property
    def active(self) -> bool:
        """Whether it waits, runs or ends; a job whose dependency failed waits for nothing."""
        return self.state not in ENDED and self.reason != NEVER_SATISFIED

    @property
    def held(self) -> bool:
        """Whether it waits to be released, though its user does not hold it."""
        return self.state in _WAITING and self.reason in _HELD

    @property
    def held_by_user(self) -> bool:
        """Whether its user holds it."""
        return self.state in _WAITING and self.reason == HELD_BY_USER

    @property
    def address(self) -> str:
        """As Slurm's commands take it."""
        return self.job_id if self.task is None else f"{self.job_id}_{self.task}"


def read_queue() -> list[Job]:
    """All of the user's jobs that Slurm remembers: the present ones and, for some minutes, those that have ended.

    While slurmctld is being restarted, this waits for it.

    Raises:
        SlurmError: there is no Slurm here, or it does not answer.
    """
    command = ("squeue", "--me", "--array", "--states=all", "--noheader", f"--format={'|'.join(_FIELDS)}")
    text = _ask_patiently(*command)
    return [_job(line.split("|", len(_FIELDS) - 1)) for line in text.splitlines()]


def read_accounting(names: Iterable[str], since: datetime) -> list[Job]:
    """What the accounting remembers of jobs, found by their names; empty where a site has no accounting."""
    wanted = ",".join(sorted(set(names)))
    try:
        text = ask(
            "sacct",
            "--noheader",
            "--parsable2",
            "--allocations",
            f"--name={wanted}",
            f"--starttime={since.astimezone():%Y-%m-%dT%H:%M:%S}",
            "--format=JobID,State,NodeList,JobName",
        )
    except SlurmError:
        return []
    return [_accounted(*line.split("|", 3)) for line in text.splitlines()]


def read_settings() -> dict[str, str]:
    """The site's settings, by the names of `scontrol show config`; waits for a restart, like `read_queue`.

    Raises:
        SlurmError: there is no Slurm here, or it does not answer.
    """
    pairs = (line.split("=", 1) for line in _ask_patiently("scontrol", "show", "config").splitlines() if "=" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def is_away(error: SlurmError) -> bool:
    """Whether slurmctld did not answer, as while it is being restarted, rather than refused."""
    return not isinstance(error, NoSlurmError) and _AWAY.search(str(error)) is not None


def requeue(job: str) -> None:
    """Let a job (`<array>_<task>`, from within an array) begin again later.

    Raises:
        SlurmError: Slurm refuses. If Slurm kills the command, that is no error: the order was accepted.
    """
    try:
        ask("scontrol", "requeue", job)
    except SlurmError as error:
        if "pending" not in str(error).lower():
            raise


def release(jobs: Iterable[str]) -> None:
    """Release held jobs; the refusal of one does not stop the others.

    Raises:
        SlurmError: Slurm refuses any of them, such as a job that an administrator holds; or there is no Slurm.
    """
    if wanted := list(jobs):
        ask("scontrol", "release", *wanted)


def cancel(jobs: Iterable[str]) -> None:
    """Cancel jobs; those that have ended may be among them.

    Raises:
        SlurmError: Slurm refuses, or there is no Slurm.
    """
    if wanted := list(jobs):
        ask("scancel", *wanted)


def ask(*command: str) -> str:
    """Run one of Slurm's commands; what it prints.

    Raises:
        SlurmError: it fails, or does not answer.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)  # noqa: S603
    except FileNotFoundError:
        raise NoSlurmError(f"{command[0]}: not found; there is no Slurm on this machine") from None
    except subprocess.TimeoutExpired:
        raise SlurmError(f"{command[0]}: no answer for {_SECONDS:.0f} s") from None
    if done.returncode > 0:
        if "Could not establish a configuration source" in done.stderr:
            raise NoSlurmError(f"{command[0]}: is installed, but knows of no cluster: there is no Slurm here")
        said = re.sub(rf"^{command[0]}: error: ", "", done.stderr.strip(), flags=re.MULTILINE)
        raise SlurmError(f"{command[0]}: {said or f'ended with {done.returncode}'}")
    return done.stdout


def _ask_patiently(*command: str) -> str:
    end = time.monotonic() + _RESTART_SECONDS
    while True:
        try:
            return ask(*command)
        except SlurmError as error:
            if not is_away(error) or time.monotonic() > end:
                raise
        time.sleep(_POLL_SECONDS)


def _job(fields: list[str]) -> Job:
    job_id, task, state, reason, elapsed, start, end, node, name = fields
    return Job(name, job_id, _number(task), state, reason, elapsed, _time(start), _time(end), node)


def _accounted(job: str, state: str, node: str, name: str) -> Job:
    job_id, _, task = job.partition("_")
    return Job(name, job_id, _number(task), state.split()[0], node=node)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        return None  # N/A
