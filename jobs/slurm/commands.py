"""Wrappers for squeue, scontrol, scancel, sbatch and sinfo; readers of the site's settings.

Incomplete output counts as no answer: if it were taken for an empty queue, pending jobs would be submitted twice.

All functions raise a NoSlurmError if there is no Slurm on this machine. Functions that change the queue raise a
SlurmError if Slurm refuses, and an UnansweredError if it is not known whether slurmctld received the request. Functions
that read raise an UnansweredError if slurmctld does not respond or refuses.
"""

import math
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from threading import Timer
from typing import Self

from jobs.slurm.resources import Limits
from sentiment.errors import NoSlurmError, SlurmError, UnansweredError

# sbatch itself retries for two minutes when slurmctld has too many jobs.
_COMMAND_SECONDS = 180.0
# A restart of slurmctld takes seconds; a longer absence is an error.
_RESTART_SECONDS = 15.0
# Slurm's commands try for 9 s to reach slurmctld before they say that they cannot.
_SILENT_SECONDS = 2.0
_UNREACHABLE = re.compile(r"contact|connect|unexpected message|timed out|zero bytes|endpoint", re.IGNORECASE)
_POLL_SECONDS = 0.5

# Variables of a user's shell or of a surrounding job that change what Slurm's commands print, or would be inherited by
# jobs.
_REMOVED_PREFIXES = (
    *("SLURM", "SBATCH_", "SALLOC_", "SRUN_", "SQUEUE_", "SACCT", "SCONTROL_", "SCANCEL_", "SINFO_"),
    *("PMI_", "PMIX_", "SUBMITIT_"),
)
# Variables that say where Slurm is and who asks.
_KEPT_VARIABLES = {"SLURM_CONF", "SLURM_CONF_SERVER", "SLURM_JWT"}

# The final states of a job; a job in any other state is pending, running or completing.
ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "LAUNCH_FAILED", "NODE_FAIL", "OUT_OF_MEMORY"),
    *("PREEMPTED", "REVOKED", "TIMEOUT"),
}
# The reason for which a pending job never starts because of the jobs that it depends on.
_NEVER_SATISFIED = "DependencyNeverSatisfied"
# Reasons for which a job never starts as it was requested, whatever becomes of other jobs; Slurm may end it as FAILED.
# PartitionConfig and "not permitted" mean that the partition is closed to the job's account, QOS or user.
_NOT_ALLOWED = re.compile(
    r"PartitionTimeLimit|PartitionNodeLimit|PartitionConfig|Job's \w+ not permitted to use this partition.*"
    r"|BadConstraints|MaxMemPerLimit|QOSMin\w+|(QOS|Assoc)Max\w+Per(Job|Node)(Limit)?"
)

# A job that is pending for one of these reasons starts only when it is released: a node's prolog failed, the job was
# requeued too often, its reservation ended, or an administrator or the site's policy holds it. What its own user holds
# (JobHeldUser) is meant.
_HELD_BY_ADMINISTRATOR = "JobHeldAdmin"
_HELD = re.compile(
    rf"{_HELD_BY_ADMINISTRATOR}|JobHoldMaxRequeue|job requeued in held state|launch failed requeued held"
    r"|Reservation .* was deleted"
)
_PENDING_STATES = {"PENDING", "RESV_DEL_HOLD", "SPECIAL_EXIT"}

_FIELDS = ("%F", "%K", "%T", "%r", "%j")


@dataclass(frozen=True)
class Job:
    """A job, or one task of a job array, as squeue reports it.

    Attributes:
        job_id: the array's id, if this is a task.
        state: Slurm's name of the state, such as PENDING.
    """

    name: str
    job_id: str
    task: int | None
    state: str
    reason: str = ""

    @property
    def active(self) -> bool:
        """Whether the job is pending, running or completing; False if it is pending and can never start."""
        return self.state not in ENDED and not self.never_starts

    @property
    def never_starts(self) -> bool:
        return self.state == "PENDING" and (self.not_allowed or self.never_satisfied)

    @property
    def never_satisfied(self) -> bool:
        """Whether a job that it depends on failed."""
        return self.reason == _NEVER_SATISFIED

    @property
    def not_allowed(self) -> bool:
        """Whether the site never starts such a job where it was submitted, and it is pending or FAILED for that."""
        return self.state in ("PENDING", "FAILED") and _NOT_ALLOWED.fullmatch(self.reason) is not None

    @property
    def held(self) -> bool:
        return self.state in _PENDING_STATES and _HELD.fullmatch(self.reason) is not None

    @property
    def depends_on_others(self) -> bool:
        """Whether the job is, or was when it ended, pending because of a dependency, which may have failed."""
        return "Dependency" in self.reason

    def when_never_satisfied(self) -> Self:
        """The job as Slurm shows it when a job that it depends on has failed."""
        return replace(self, reason=_NEVER_SATISFIED)

    @property
    def why(self) -> str:
        """Slurm's reason for the state and, for a held job, the command that releases it."""
        release = f"scontrol release {self.address}"
        if self.held and self.reason == _HELD_BY_ADMINISTRATOR:
            return f"{self.reason}; an administrator has to release it (`{release}`)"
        if self.held:
            return f"{self.reason}; `{release}` releases it"
        if self.state in _PENDING_STATES and self.reason == "JobHeldUser":
            return f"held by its user; `{release}` releases it"
        return "" if self.reason == "None" else self.reason

    @property
    def address(self) -> str:
        """The id by which Slurm's commands know the job: `<job>`, or `<array>_<task>`."""
        return self.job_id if self.task is None else f"{self.job_id}_{self.task}"


def read_queue() -> list[Job]:
    """Return all jobs of the user that Slurm remembers: those that ended stay in its list for some minutes.

    Fields are separated by a random token: a job's name, which may hold any characters, is never taken for other
    fields or for another job.
    """
    separator = f"~{secrets.token_hex(8)}~"
    line = separator + separator.join(_FIELDS) + separator
    output = read_command("squeue", "--me", "--all", "--array", "--states=all", f"--format={line}")
    pattern = separator + separator.join(["(.*?)"] * len(_FIELDS)) + separator + "\n"
    rows = re.findall(pattern, output, re.DOTALL)
    is_whole = rows and output.count(separator) == (len(_FIELDS) + 1) * len(rows)
    if not is_whole or _is_job(rows[0]) or not all(map(_is_job, rows[1:])):
        raise UnansweredError(f"squeue: unexpected output {_abbreviate(output)}")
    return [
        Job(name, job_id, int(task) if task.isdecimal() else None, state, reason)
        for job_id, task, state, reason, name in rows[1:]
    ]


def _is_job(fields: Sequence[str]) -> bool:
    """Whether a line describes a job; the first line names the columns instead."""
    return fields[0].isdecimal() and fields[2].replace("_", "").isupper()


def read_settings() -> dict[str, str]:
    """Return the site's settings, by the names of `scontrol show config`."""
    output = read_command("scontrol", "show", "config")
    settings: dict[str, str] = {}
    for line in output.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            settings[name.strip()] = value.strip()
    if not output.endswith("\n") or not settings.get("ClusterName"):
        raise UnansweredError(f"scontrol: show config printed {_abbreviate(output)}, without a ClusterName")
    return settings


def is_unfinished(job_id: str, name: str) -> bool:
    """Ask slurmctld for one job or job array: whether it, or any of its tasks, is pending, running or completing.

    squeue may lack a job that was accepted moments ago, as where a site answers it from a cache. A job of this id and
    another name is somebody else's: Slurm's counter may have begun anew.
    """
    try:
        output = read_command("scontrol", "--oneliner", "show", "job", job_id)
    except UnansweredError as error:
        if "Invalid job id" in str(error):
            return False
        raise
    if " JobState=" not in output:
        raise UnansweredError(f"scontrol: show job printed {_abbreviate(output)}, without a JobState")
    states = re.findall(rf" JobName={re.escape(name)} .*?JobState=([A-Z_]+)", output)
    return not ENDED.issuperset(states)


def find_job(name: str) -> str | None:
    """Ask slurmctld for the id of the job or job array with this name, which must be unique; None if it knows none.

    As in `is_unfinished`, squeue's list is not enough. scontrol lists all jobs of all users, which may take seconds.
    """
    output = read_command("scontrol", "--oneliner", "show", "job")
    if not output.endswith("\n"):
        raise UnansweredError(f"scontrol: show job printed {_abbreviate(output)}, which is not complete")
    job = re.search(rf"^JobId=(\d+)( ArrayJobId=(\d+))?.* JobName={re.escape(name)} ", output, re.MULTILINE)
    return (job[3] or job[1]) if job else None


def requeue(job: str) -> None:
    """Requeue a job (`<array>_<task>`, from within an array).

    If Slurm kills scontrol meanwhile, as it does with the processes of a job that is requeued, it accepted the request.
    """
    try:
        run_command("scontrol", "requeue", job)
    except _KilledError:
        pass
    except SlurmError as error:
        if "pending" not in str(error).lower():
            raise


def release(jobs: Iterable[str]) -> None:
    """Release held jobs; a refusal for one of them does not stop the others."""
    ids = list(jobs)
    if ids:
        run_command("scontrol", "release", *ids)


def cancel(jobs: Iterable[str]) -> None:
    """Cancel jobs; those that have already ended are ignored."""
    ids = list(jobs)
    if ids:
        run_command("scancel", *ids)


def run_sbatch(file: str) -> str:
    """Submit a batch file and return the job's id."""
    output = run_command("sbatch", file)
    match = re.search(r"^Submitted batch job (\d+)( on cluster \S+)?\n\Z", output, re.MULTILINE)
    if match is None:
        raise UnansweredError(f"sbatch: no job id in {_abbreviate(output)}")
    return match[1]


class _KilledError(UnansweredError):
    """The command was killed by SIGTERM or SIGKILL, as when Slurm requeues the job that it belongs to."""


def run_command(*command: str) -> str:
    """Run a Slurm command in a clean environment and return its standard output."""
    name = command[0]
    try:
        done = subprocess.run(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",  # job names may hold any bytes
            env=_environment(name),
            timeout=_COMMAND_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UnansweredError(f"{name}: no answer for {_COMMAND_SECONDS:g} s") from None
    except OSError as error:
        if shutil.which(name, os.F_OK) is None:
            raise NoSlurmError(f"{name}: not found; there is no Slurm on this machine") from None
        raise UnansweredError(f"{name}: cannot be run: {error.strerror}") from None
    if done.returncode < 0:  # Slurm's signals to a job reach its commands too, perhaps before the request was sent
        killed = -done.returncode in (signal.SIGTERM, signal.SIGKILL)
        error_type = _KilledError if killed else UnansweredError
        raise error_type(f"{name}: was killed by signal {-done.returncode}")
    if done.returncode > 0:
        raise _error(name, done.returncode, done.stderr)
    return done.stdout


def _error(name: str, exit_code: int, stderr: str) -> SlurmError:
    text = re.sub(rf"^{name}: error: ", "", stderr.strip(), flags=re.MULTILINE)
    if "Could not establish a configuration source" in text:
        return NoSlurmError(f"{name}: is installed, but knows of no cluster: there is no Slurm here")
    message = f"{name}: {text or f'ended with exit code {exit_code}'}"
    return UnansweredError(message) if _UNREACHABLE.search(text) else SlurmError(message)


def read_command(*command: str) -> str:
    """Run a command that changes nothing, and repeat it for 15 s while slurmctld does not respond, after saying so."""
    notice = Timer(_SILENT_SECONDS, _say_that_it_waits, [command[0]])
    notice.daemon = True
    notice.start()
    try:
        return _read(command)
    finally:
        notice.cancel()


def _say_that_it_waits(program: str) -> None:
    text = f"{program}: Slurm does not answer; it is asked again until {_RESTART_SECONDS:g} s have passed"
    print(text, file=sys.stderr, flush=True)


def _read(command: Sequence[str]) -> str:
    end = time.monotonic() + _RESTART_SECONDS
    while True:
        try:
            return run_command(*command)
        except UnansweredError:
            if time.monotonic() >= end:
                raise
        except NoSlurmError:
            raise
        except SlurmError as error:
            raise UnansweredError(str(error)) from None
        time.sleep(_POLL_SECONDS)


def _environment(command: str) -> dict[str, str]:
    """Return this process's variables without those of a surrounding job; all commands but sbatch print English."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name in _KEPT_VARIABLES or not name.startswith(_REMOVED_PREFIXES)
    }
    if command != "sbatch":  # a job inherits the environment of sbatch
        environment["LC_ALL"] = "C"
    return environment


def _abbreviate(text: str) -> str:
    return repr(text[:60]) if text else "(nothing)"


_DEFAULT_ARRAY_SIZE = 1001
"""Slurm's default of MaxArraySize."""


def describe_partitions() -> list[list[str]]:
    """The name of each partition, also of hidden ones, and what it has; once for each kind of its nodes."""
    fields = "%P|%a, %D nodes of %c cores, %m MB and gres %G; time limit %l; shared: %h"
    output = read_command("sinfo", "--all", "--noheader", "--exact", f"--format={fields}")
    return [line.split("|", 1) for line in output.splitlines()]


def read_limits(partition: str | None) -> Limits:
    """The limits of a partition, or the widest of several, separated by commas; None means the default one."""
    names = (partition or "").split(",")
    output = read_command("sinfo", "--all", "--noheader", "--exact", "--format=%P|%m|%l")
    memory_gb = []
    minutes = []
    for line in output.splitlines():
        try:
            name, memory_mb, limit = line.split("|")
            if name.rstrip("*") in names or (not partition and name.endswith("*")):
                memory_gb.append(int(memory_mb) / 1024)
                minutes.append(_minutes(limit))
        except ValueError:
            raise UnansweredError(f"sinfo: unexpected output {_abbreviate(line)}") from None
    return Limits(max(memory_gb, default=math.inf), max(minutes, default=math.inf))


def _minutes(limit: str) -> float:
    """Parse `[[days-]hours:]minutes:seconds`, as Slurm prints a time limit, or `infinite`."""
    if not limit[:1].isdecimal():
        return math.inf
    days, _, clock = limit.rpartition("-")
    seconds = 0
    for number in clock.split(":"):
        seconds = 60 * seconds + int(number)
    return 24 * 60 * int(days or 0) + seconds / 60


def max_array_size() -> int:
    """Return the largest number of tasks that the site allows in one array; Slurm's default if there is no Slurm.

    Raises:
        SlurmError: the site allows no arrays.
    """
    try:
        size = int(read_settings().get("MaxArraySize", _DEFAULT_ARRAY_SIZE))
    except NoSlurmError:
        return _DEFAULT_ARRAY_SIZE
    if size < 1:
        raise SlurmError(
            "MaxArraySize is 0: this cluster accepts no job arrays, as which grids run; ask its administrators, or run "
            "the grid on one machine (`submit GRID --local`)"
        )
    return size
