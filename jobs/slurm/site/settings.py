"""A site's Slurm settings: what they mean for grids, and Slurm's defaults for those that a site does not set."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

# What Slurm assumes where slurm.conf does not say: seconds, and tasks of an array.
_DEFAULTS = {
    "AuthInfo": 120,
    "KillWait": 30,
    "MaxArraySize": 1001,
    "MinJobAge": 300,
    "SlurmdTimeout": 300,
}


@dataclass(frozen=True)
class Finding:
    """A line of `jobs doctor`."""

    level: Literal["ok", "note", "problem"]
    topic: str
    text: str


def explain_settings(settings: Mapping[str, str]) -> Iterator[Finding]:
    """What follows from the settings of `scontrol show config`, a sentence each."""
    version, name = settings.get("SLURM_VERSION", "?"), settings.get("ClusterName", "?")
    yield Finding("ok", "Slurm", f"version {version}, cluster {name}")
    yield _requeue(settings.get("JobRequeue", "1"))
    yield _preemption(settings)
    kill_wait = number_in(settings, "KillWait")
    yield Finding(
        "ok" if kill_wait >= 10 else "note",
        f"KillWait {kill_wait} s",
        "a task has this long between TERM and KILL to finish its step and save; what it does not save is redone",
    )
    most = number_in(settings, "MaxArraySize")
    yield Finding("ok", f"MaxArraySize {most}", f"a grid of more than {most:,} tasks is submitted as several arrays")
    yield Finding(
        "ok",
        f"MinJobAge {number_in(settings, 'MinJobAge')} s",
        "squeue remembers ended jobs this long; later their states come from logs and run directories",
    )
    yield _accounting(settings.get("AccountingStorageType", ""))
    delay = number_in(settings, "AuthInfo", r"cred_expire=(\d+)")
    yield Finding("ok", f"cred_expire {delay} s", "a requeued task waits this long before it can start again")
    timeout = number_in(settings, "SlurmdTimeout")
    yield Finding("ok", f"SlurmdTimeout {timeout} s", "after this time a dead node is noticed, its tasks are requeued")
    if "associations" in settings.get("AccountingStorageEnforce", ""):
        yield Finding(
            "note",
            "accounts",
            "jobs need one: `sacctmgr show associations user=$USER` lists yours; "
            "write it as defaults.account into the cluster's file unless you have a default",
        )


def number_in(settings: Mapping[str, str], name: str, pattern: str = r"(\d+)") -> int:
    """The number in one of a site's settings, in Slurm's unit (`30 sec` is 30); Slurm's default if there is none."""
    match = re.search(pattern, settings.get(name, ""))
    return int(match[1]) if match else _DEFAULTS[name]


def _requeue(value: str) -> Finding:
    if value == "0":
        text = "jobs are not requeued here unless they ask for it, which those of a grid do"
        return Finding("ok", "JobRequeue 0", text)
    return Finding("ok", "JobRequeue 1", "tasks that lose their node or are preempted start again by themselves")


def _preemption(settings: Mapping[str, str]) -> Finding:
    kind, mode = settings.get("PreemptType", ""), settings.get("PreemptMode", "OFF")
    signalled = "send_user_signal" in settings.get("PreemptParameters", "")
    if kind in ("", "(null)", "preempt/none") or mode == "OFF":
        return Finding("ok", "preemption off", "no other job takes a task's place")
    how = "USR2 comes first (send_user_signal), then TERM" if signalled else "TERM comes first"
    topic = f"PreemptMode {mode}"
    if "REQUEUE" in mode:
        return Finding("ok", topic, f"a preempted task saves and is requeued; {how}")
    if "CANCEL" in mode:
        return Finding("note", topic, f"a preempted task saves, but is cancelled: `jobs rerun` resumes it; {how}")
    return Finding("ok", topic, "a preempted task is suspended, keeps its memory and goes on later")


def _accounting(kind: str) -> Finding:
    if "slurmdbd" in kind:
        return Finding("ok", "accounting", "sacct is asked how jobs ended that squeue has forgotten")
    return Finding("ok", "no accounting", "sacct knows nothing here, and is not needed: logs and run directories tell")
