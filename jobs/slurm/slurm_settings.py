"""What a site's Slurm settings mean for grids, a sentence each."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's."""

    level: Literal["ok", "note", "problem"]
    topic: str
    text: str


def explain_settings(settings: Mapping[str, str]) -> Iterator[Finding]:
    """What follows from the settings of `scontrol show config`."""
    version, name = settings.get("SLURM_VERSION", "?"), settings.get("ClusterName", "?")
    yield Finding("ok", "Slurm", f"version {version}, cluster {name}")
    yield _requeue(settings.get("JobRequeue", "1"))
    yield _preemption(settings)
    kill_wait = _first_number(settings.get("KillWait", ""), 30)
    yield Finding(
        "ok" if kill_wait >= 10 else "note",
        f"KillWait {kill_wait} s",
        "so long a task has between TERM and KILL to finish its step and save; what it does not save is redone",
    )
    most = _first_number(settings.get("MaxArraySize", ""), 1001)
    yield Finding(
        "ok", f"MaxArraySize {most}", f"a grid of more than {most:,} tasks is submitted as several arrays by itself"
    )
    yield Finding(
        "ok",
        f"MinJobAge {_first_number(settings.get('MinJobAge', ''), 300)} s",
        "so long squeue remembers jobs that have ended; later their states come from logs and run directories",
    )
    yield _accounting(settings.get("AccountingStorageType", ""))
    match = re.search(r"cred_expire=(\d+)", settings.get("AuthInfo", ""))
    delay = int(match[1]) if match else 120
    yield Finding("ok", f"cred_expire {delay} s", "so long a requeued task waits before it can start again")
    timeout = _first_number(settings.get("SlurmdTimeout", ""), 300)
    yield Finding("ok", f"SlurmdTimeout {timeout} s", "after that a dead node is noticed, and its tasks are requeued")
    if "associations" in settings.get("AccountingStorageEnforce", ""):
        yield Finding(
            "note",
            "accounts",
            "jobs need one: `sacctmgr show associations user=$USER` lists yours; "
            "write it as defaults.account into the cluster's file unless you have a default",
        )


def _requeue(value: str) -> Finding:
    if value == "0":
        return Finding(
            "ok", "JobRequeue 0", "jobs are not requeued here unless they ask for it, which those of a grid do"
        )
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
    return Finding("ok", topic, "a preempted task stands still, keeps its memory and goes on later")


def _accounting(kind: str) -> Finding:
    if "slurmdbd" in kind:
        return Finding("ok", "accounting", "sacct is asked how jobs ended that squeue has forgotten")
    return Finding("ok", "no accounting", "sacct knows nothing here, which is not needed: logs and run directories do")


def _first_number(text: str, otherwise: int) -> int:
    match = re.search(r"\d+", text)
    return int(match[0]) if match else otherwise
