"""What a site's Slurm is like: what follows from its settings, whether it takes jobs, and whose jobs results have."""

import os
import pwd
import re
from collections.abc import Iterator, Mapping
from typing import Self

from jobs.slurm.commands import query, read_settings
from sentiment.errors import UsageError
from sentiment.files import write_json
from sentiment.runs.records import Record
from sentiment.runs.run_dir import Results, read_record

# What Slurm assumes where slurm.conf does not say: seconds, and tasks of an array.
_DEFAULTS = {
    "AuthInfo": 120,
    "KillWait": 30,
    "MaxArraySize": 1001,
    "MinJobAge": 300,
    "SlurmdTimeout": 300,
}


def explain_settings(settings: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """What follows from the settings of `scontrol show config`: each with a sentence."""
    yield "Slurm", f"version {settings.get('SLURM_VERSION', '?')}, cluster {settings.get('ClusterName', '?')}"
    if settings.get("JobRequeue", "1") == "0":
        yield "JobRequeue 0", "jobs are not requeued here unless they ask for it, which those of a grid do"
    else:
        yield "JobRequeue 1", "tasks that lose their node or are preempted start again by themselves"
    yield _preemption(settings)
    yield (
        f"KillWait {number_in(settings, 'KillWait')} s",
        "a task has this long between TERM and KILL to finish its step and save; what it does not save is redone",
    )
    most = number_in(settings, "MaxArraySize")
    yield f"MaxArraySize {most}", "more runs than this are worked off by as many tasks, one after another"
    yield (
        f"MinJobAge {number_in(settings, 'MinJobAge')} s",
        "squeue remembers ended jobs this long; later their states come from logs and run directories",
    )
    if "slurmdbd" in settings.get("AccountingStorageType", ""):
        yield "accounting", "sacct is asked how jobs ended that squeue has forgotten"
    else:
        yield "no accounting", "sacct knows nothing here, and is not needed: logs and run directories tell"
    delay = number_in(settings, "AuthInfo", r"cred_expire=(\d+)")
    yield f"cred_expire {delay} s", "a requeued task waits this long before it can start again"
    timeout = number_in(settings, "SlurmdTimeout")
    yield f"SlurmdTimeout {timeout} s", "after this time a dead node is noticed, its tasks are requeued"
    if "associations" in settings.get("AccountingStorageEnforce", ""):
        yield (
            "accounts",
            "jobs need one: `sacctmgr show associations user=$USER` lists yours; write it as defaults.account into the "
            "cluster's file unless you have a default",
        )


def _preemption(settings: Mapping[str, str]) -> tuple[str, str]:
    mode = settings.get("PreemptMode", "OFF")
    if settings.get("PreemptType", "") in ("", "(null)", "preempt/none") or mode == "OFF":
        return "preemption off", "no other job takes a task's place"
    signalled = "send_user_signal" in settings.get("PreemptParameters", "")
    how = "USR2 comes first (send_user_signal), then TERM" if signalled else "TERM comes first"
    if "REQUEUE" in mode:
        return f"PreemptMode {mode}", f"a preempted task saves and is requeued; {how}"
    if "CANCEL" in mode:
        return f"PreemptMode {mode}", f"a preempted task saves, but is cancelled: `jobs rerun` resumes it; {how}"
    return f"PreemptMode {mode}", "a preempted task is suspended, keeps its memory and goes on later"


def number_in(settings: Mapping[str, str], name: str, pattern: str = r"(\d+)") -> int:
    """The number in one of a site's settings, in Slurm's unit (`30 sec` is 30); Slurm's default if there is none."""
    match = re.search(pattern, settings.get(name, ""))
    return int(match[1]) if match else _DEFAULTS[name]


def read_partitions() -> list[tuple[str, str]]:
    """Each partition, and what kinds of nodes and which time limit it has.

    Raises:
        SlurmError: there is no Slurm here, or it does not answer.
    """
    text = query("sinfo", "--all", "--noheader", "--format=%P|%a, %D nodes of %c cores, %m MB and gres %G, at most %l")
    rows = (line.partition("|") for line in text.splitlines() if "|" in line)
    return [(f"partition {name}", what) for name, _, what in rows]


class QueueOwner(Record):
    """`results/slurm/owner.json`, written when something is submitted for the first time."""

    user: str
    cluster: str
    """`ClusterName` of `scontrol show config`."""

    @classmethod
    def here(cls) -> Self:
        """This process's user; the environment, which anybody can set, has no say in it.

        Raises:
            SlurmError: there is no Slurm here, or it does not answer.
        """
        return cls(user=_user_name(os.geteuid()), cluster=read_settings()["ClusterName"])

    def describe(self) -> str:
        """For messages."""
        return f"submitted by {self.user} on cluster {self.cluster}; ask there"


def read_owner(results: Results) -> QueueOwner | None:
    """Whose jobs they are; None before the first.

    Raises:
        RunDirError: the file cannot be read.
    """
    return read_record(results.slurm / "owner.json", QueueOwner)


def insist_on_ownership(results: Results) -> None:
    """Let only one user on one cluster submit and cancel; the first one to do so.

    Raises:
        UsageError: it is somebody else.
        SlurmError: there is no Slurm here, or it does not answer.
    """
    here, owner = QueueOwner.here(), read_owner(results)
    if owner is None:
        results.slurm.mkdir(parents=True, exist_ok=True)
        write_json(results.slurm / "owner.json", here.model_dump(mode="json"))
    elif owner != here:
        raise UsageError(
            f"{results.slurm / 'owner.json'}: these are the jobs of {owner.user} on cluster {owner.cluster}, not of "
            f"{here.user} on {here.cluster}: give this command there, or use another folder (--results DIR)"
        )


def _user_name(number: int) -> str:
    """A user's name; the number where this machine knows no name for it, as in a container."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
