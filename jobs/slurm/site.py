"""What a site's Slurm is like: its settings, its partitions, what follows from them, and whose jobs results have."""

import os
import pwd
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Self

from jobs.slurm.commands import query, read_settings, shown
from jobs.slurm.resources import Gres, Resources, parse_gres
from sentiment.errors import UnansweredError, UsageError
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


_UNLIMITED = ("UNLIMITED", "INFINITE", "NONE")


@dataclass(frozen=True)
class NodeKind:
    """The resources of nodes that are alike."""

    gres: str
    """Generic resources, such as `gpu:a100:4(S:0-1)`."""
    memory_mb: int
    cpus: int

    @property
    def gpus(self) -> int:
        """GPUs of one node."""
        return self.count(Gres("gpu", None, 1))

    def count(self, wanted: Gres) -> int:
        """How many generic resources of the wanted kind a node has."""
        there = parse_gres(self.gres)
        return sum(one.count for one in there if one.covers(wanted))

    def describe(self) -> str:
        """In a few words."""
        gpus = f"{self.gpus} GPU{'s' if self.gpus > 1 else ''} ({self.gres})" if self.gpus else "no GPU"
        return f"{gpus}, {self.cpus} cores, {self.memory_mb / 1024:.3g} GB"

    def lacks(self, resources: Resources) -> Iterator[str]:
        """What a task asks for and such a node does not have."""
        if resources.gpus > self.gpus:
            yield f"{resources.gpus} GPU asked for, {self.gpus} there"
        if resources.gpus and resources.gpu_type and f":{resources.gpu_type}:" not in self.gres:
            yield f"GPU of type {resources.gpu_type} asked for, {self.gres} there"
        for wanted in parse_gres(resources.gres or ""):
            if wanted.count > self.count(wanted):
                kind = f"{wanted.name}:{wanted.type}" if wanted.type else wanted.name
                yield f"{wanted.count} of gres {kind} asked for, {self.count(wanted)} there"
        if resources.cpus > self.cpus:
            yield f"{resources.cpus} cores asked for, {self.cpus} there"
        if resources.memory_gb and resources.memory_gb * 1024 > self.memory_mb:
            yield f"{resources.memory_gb:g} GB asked for, {self.memory_mb / 1024:.3g} there"


@dataclass(frozen=True)
class Partition:
    """A partition as Slurm describes it."""

    settings: dict[str, str]
    """By the names of `scontrol show partition`."""
    nodes: list[NodeKind]

    @property
    def name(self) -> str:
        """As sbatch takes it."""
        return self.settings["PartitionName"]

    @property
    def default(self) -> bool:
        """Whether it gets jobs that name no partition."""
        return self.settings.get("Default") == "YES"

    @property
    def up(self) -> bool:
        """Whether it takes jobs and starts them."""
        return self.settings.get("State", "UP") == "UP"

    @property
    def limit_minutes(self) -> int | None:
        """The time limit of every task, in minutes; None if there is none."""
        limit = self.settings.get("MaxTime", "UNLIMITED")
        if limit in _UNLIMITED:
            return None
        days, _, clock = limit.rpartition("-")
        hours, minutes, _seconds = (int(part) for part in clock.split(":"))
        return (int(days or 0) * 24 + hours) * 60 + minutes

    def lacks(self, resources: Resources) -> list[str]:
        """What none of its nodes has; empty if one of them has it all."""
        lacking = [list(kind.lacks(resources)) for kind in self.nodes] or [["it has no nodes"]]
        return min(lacking, key=len) + ([] if self.up else [f"it is {self.settings['State']}"])


def read_partitions() -> list[Partition]:
    """All partitions that this user may see.

    Raises:
        SlurmError: there is no Slurm here, or it does not answer.
    """
    kinds: dict[str, list[NodeKind]] = {}
    for name, gres, memory_mb, cpus in read_nodes():
        kinds.setdefault(name, []).append(NodeKind(gres, memory_mb, cpus))
    return [Partition(one, kinds.get(one["PartitionName"], [])) for one in _read_settings()]


def read_nodes() -> list[tuple[str, str, int, int]]:
    """Of each partition, the kinds of its nodes: the partition's name, generic resources, memory in MB, cores.

    Raises:
        SlurmError: there is no Slurm here, or it does not answer.
    """
    text = query("sinfo", "--all", "--exact", "--format=%R|%G|%m|%c")
    rows = [line.split("|") for line in text.splitlines() if line.count("|") == 3]
    try:
        found = [(name, gres, int(memory.rstrip("+")), int(cpus.rstrip("+"))) for name, gres, memory, cpus in rows[1:]]
    except ValueError:
        found = []
    if not found or not text.endswith("\n"):
        raise UnansweredError(f"sinfo: {shown(text)} is not the list of nodes that was asked for")
    return found


def _read_settings() -> Iterator[dict[str, str]]:
    """The settings of each partition, by the names of `scontrol show partition`.

    Raises:
        SlurmError: there is no Slurm here, or it does not answer.
    """
    text = query("scontrol", "--all", "show", "partition", "--oneliner")
    lines = [line for line in text.splitlines() if line.startswith("PartitionName=")]
    if not lines:
        raise UnansweredError(f"scontrol: {shown(text)} is not a list of partitions")
    for line in lines:
        yield {name: value for name, _, value in (field.partition("=") for field in line.split())}


def explain_partitions(partitions: Iterable[Partition]) -> Iterator[Finding]:
    """A line for each partition."""
    for partition in partitions:
        limit = partition.settings.get("MaxTime", "UNLIMITED")
        parts = [" or ".join(dict.fromkeys(kind.describe() for kind in partition.nodes)) or "no nodes"]
        parts.append(
            "no time limit"
            if partition.limit_minutes is None
            else f"at most {limit}, after which runs go on in the next attempt"
        )
        if "REQUEUE" in partition.settings.get("PreemptMode", ""):
            parts.append(f"GraceTime {partition.settings.get('GraceTime', '0')} s if preempted")
        if not partition.up:
            parts.append(f"is {partition.settings['State']}")
        default = " (default)" if partition.default else ""
        yield Finding("ok" if partition.up else "note", f"partition {partition.name}{default}", "; ".join(parts))


def check_resources(section: str, resources: Resources, partitions: Sequence[Partition]) -> Finding:
    """Whether one of the task's partitions could run it; if not, what to write.

    Args:
        section: its name in the cluster's file.
    """
    known = {partition.name: partition for partition in partitions}
    default = [partition.name for partition in partitions if partition.default]
    named = resources.partition.split(",") if resources.partition else default
    if unknown := [name for name in named if name not in known]:
        return Finding("problem", section, f"there is no partition {', '.join(unknown)}, but {', '.join(known)}")
    if not named:
        return Finding("problem", section, f"there is no default partition: write partition: {' or '.join(known)}")
    able = [known[name] for name in named if not known[name].lacks(resources)]
    if not able:
        lacking = "; ".join(dict.fromkeys(line for name in named for line in known[name].lacks(resources)))
        others = [partition.name for partition in partitions if not partition.lacks(resources)]
        advice = f"write partition: {' or '.join(others)}" if others else "no partition has it all: ask for less"
        return Finding("problem", section, f"cannot run in {', '.join(named)} ({lacking}); {advice}")
    limits = [partition.limit_minutes for partition in able]
    longest = max((limit for limit in limits if limit is not None), default=0)
    if None not in limits and resources.time_minutes > longest:
        return Finding(
            "problem",
            section,
            f"time_minutes {resources.time_minutes} exceeds the limit of {', '.join(named)}: "
            f"write {longest}; what takes longer goes on in the next attempt",
        )
    return Finding("ok", section, f"fits {', '.join(partition.name for partition in able)}")
