"""A real Slurm on one machine: several nodes with fake GPUs, in a private folder, on private ports.

Needs root (the fake GPUs are device files) and Debian's packages slurmctld, slurmd, slurm-client and munge.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

from tests.limits import limit, wait_for

PROGRAMS = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "scontrol", "scancel")

# Nodes by what happens to them, which is no business of scenarios on others; each is in the partition of its name.
PARTITIONS = {
    "main": (("n1", "n2", "n3"), "Default=YES PriorityTier=1"),
    "mortal": (("mortal1", "mortal2"), "PriorityTier=1"),
    "low": (("shared1",), "PriorityTier=1 PreemptMode=REQUEUE"),
    "disposable": (("shared2",), "PriorityTier=1 PreemptMode=CANCEL"),
    "high": (("shared1", "shared2"), "PriorityTier=10 PreemptMode=OFF"),
    "whole": (("whole1", "whole2"), "PriorityTier=1 OverSubscribe=EXCLUSIVE"),
    "apart": (("apart1", "apart2"), "PriorityTier=1"),
    "roomy": (("roomy1",), "PriorityTier=1"),
    "small": (("small1",), "PriorityTier=1 MaxTime=10"),
}
NODES = sorted({node for nodes, _ in PARTITIONS.values() for node in nodes})

_LOCAL_LOCKS = Path(__file__).with_name("local_locks.c")

# What production waits minutes for takes seconds here. A requeued job waits 5 s, the least that Slurm accepts.
SETTINGS = {
    "ClusterName": "test",
    "SlurmUser": "root",
    "ProctrackType": "proctrack/linuxproc",
    "JobAcctGatherType": "jobacct_gather/linux",
    "JobAcctGatherFrequency": "task=1",
    "JobAcctGatherParams": "OverMemoryKill",
    "ReturnToService": "2",
    "SlurmdParameters": "config_overrides",
    "SelectType": "select/cons_tres",
    "SelectTypeParameters": "CR_Core_Memory",
    "GresTypes": "gpu,shard",
    "SchedulerParameters": "bf_interval=1,sched_interval=1,sched_min_interval=0,batch_sched_delay=0",
    "SlurmctldTimeout": "10",
    "SlurmdTimeout": "10",
    "KillWait": "60",
    "BatchStartTimeout": "60",
    "PreemptType": "preempt/partition_prio",
    "PreemptMode": "REQUEUE",
}


def what_is_missing() -> str | None:
    """Why no cluster can be started here; None if one can."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=_path()) is None]
    if missing:
        return f"not installed: {', '.join(missing)} (Debian: slurmctld slurmd slurm-client munge)"
    return None if os.geteuid() == 0 else "fake GPUs are device files, which only root can make"


def build_local_locks(folder: Path) -> Path | None:
    """A library that, preloaded, keeps locks of files from passing between hosts; None without a compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return None
    library = folder / "local_locks.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", library, _LOCAL_LOCKS], check=True, timeout=limit())
    return library


@dataclass(frozen=True)
class Process:
    """One that was there a moment ago."""

    pid: int
    name: str
    parent: int

    @cached_property
    def environ(self) -> dict[str, str]:
        """As it was at its start; empty if it has gone or wiped it."""
        with contextlib.suppress(OSError):
            pairs = Path(f"/proc/{self.pid}/environ").read_bytes().decode(errors="replace").split("\0")
            return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
        return {}

    @property
    def alive(self) -> bool:
        """Whether it still runs; one that only waits to be reaped does not."""
        return any(one.pid == self.pid and one.name == self.name for one in processes())

    def has_open(self, folder: Path) -> bool:
        with contextlib.suppress(OSError):
            return any(link.readlink().is_relative_to(folder) for link in Path(f"/proc/{self.pid}/fd").iterdir())
        return False

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)


def processes() -> Iterator[Process]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            with contextlib.suppress(OSError):
                head, _, rest = (folder / "stat").read_text().rpartition(")")
                state, parent = rest.split()[:2]
                if state != "Z":
                    yield Process(int(folder.name), head.partition("(")[2], int(parent))


@dataclass
class Cluster:
    """All of it is in its folder; `settings` are lines of slurm.conf that differ from SETTINGS."""

    root: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def environ(self) -> dict[str, str]:
        """Under which Slurm's commands find this cluster and no other."""
        # Scenarios run in threads, and pytest sets and deletes its variable meanwhile.
        foreign = ("SLURM_", "SBATCH_", "SRUN_", "SQUEUE_", "PYTEST_CURRENT_TEST")
        kept = {name: os.environ[name] for name in os.environ if not name.startswith(foreign)}
        return kept | {"SLURM_CONF": str(self.root / "etc" / "slurm.conf"), "PATH": _path()}

    def __enter__(self) -> Self:
        self._lay_out()
        self._launch("munged", "--force", *(f"--{name}={path}" for name, path in self._munge().items()))
        self.start_controller()
        for node in NODES:
            self.start_node(node)
        self.wait(lambda: self.node_states() == dict.fromkeys(NODES, "idle"), "idle nodes")
        return self

    def __exit__(self, *error: object) -> None:
        subprocess.run(["scancel", "--me", "--signal=KILL"], env=self.environ, capture_output=True, timeout=limit())
        _end(self._daemons("slurmctld", "slurmd"), signal.SIGKILL)
        _end([*self._members(), *self._keepers()], signal.SIGKILL)
        _end(self._daemons("munged"))

    def start_controller(self) -> None:
        self._launch("slurmctld")
        self.wait(lambda: self.run("scontrol", "ping", check=False).returncode == 0, "an answer of slurmctld")

    def stop_controller(self) -> None:
        """As for maintenance: it writes down its state first, without which it would forget what others just did."""
        _end(self._daemons("slurmctld"))

    def start_node(self, name: str) -> None:
        """Start a node's slurmd, with a host name of its own, by which processes know who is on their host."""
        self._launch("unshare", "--uts", "sh", "-c", 'hostname "$0" && exec slurmd -N "$0"', name)

    def kill_node(self, name: str) -> None:
        """As if its power had gone: what runs there ends last, so that nothing reports its death."""
        tasks = [process for process in self._members() if process.environ.get("SLURMD_NODENAME") == name]
        keepers = {task.parent for task in tasks}
        pid = (self.root / "run" / f"slurmd-{name}.pid").read_text().strip()
        _end([one for one in self._daemons("slurmd") if str(one.pid) == pid], signal.SIGKILL)
        _end([one for one in processes() if one.pid in keepers and one.name == "slurmstepd"], signal.SIGKILL)
        _end(tasks, signal.SIGKILL)

    def node_states(self) -> dict[str, str]:
        rows = self.run("sinfo", "-h", "-N", "-o", "%N %T", check=False).stdout.split("\n")
        return dict(row.split() for row in rows if row)  # type: ignore[misc]

    def run(self, *command: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=limit())
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stdout}{done.stderr}")
        return done

    def wait(self, condition: Callable[[], object], what: str, seconds: float = 300.0, pause: float = 0.1) -> None:
        wait_for(condition, what, seconds, self._last_words, pause)  # a long one, since many wait at the same time

    def _lay_out(self) -> None:
        for name in ("etc", "state", "log", "run", "munge", "dev", *(f"spool/{node}" for node in NODES)):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        for folder in (self.root, self.root / "munge"):
            folder.chmod(0o755)
        for gpu in ("nvidia0", "nvidia1"):
            # A clone of /dev/null: only a device becomes a CUDA index.
            os.mknod(self.root / "dev" / gpu, 0o20666, os.makedev(1, 3))
        key = self.root / "etc" / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        self._write("slurm.conf", self._slurm_conf())
        gpus = f"Name=gpu Type=fake File={self.root}/dev/nvidia[0-1]"
        self._write("gres.conf", [f"NodeName={node} {what}" for node in NODES for what in (gpus, "Name=shard Count=4")])
        self._write("cgroup.conf", ["CgroupPlugin=disabled"])

    def _slurm_conf(self) -> list[str]:
        host = socket.gethostname().split(".")[0]
        controller, *ports = free_ports(len(NODES) + 1)
        places = {
            "SlurmctldHost": f"{host}(127.0.0.1)",
            "SlurmctldPort": str(controller),
            "AuthInfo": f"socket={self.root}/munge/munge.socket,cred_expire=5",
            "StateSaveLocation": f"{self.root}/state",
            "SlurmdSpoolDir": f"{self.root}/spool/%n",
            "SlurmctldPidFile": f"{self.root}/run/slurmctld.pid",
            "SlurmdPidFile": f"{self.root}/run/slurmd-%n.pid",
            "SlurmctldLogFile": f"{self.root}/log/slurmctld.log",
            "SlurmdLogFile": f"{self.root}/log/slurmd-%n.log",
        }
        lines = [f"{name}={value}" for name, value in {**SETTINGS, **places, **self.settings}.items()]
        machine = "NodeAddr=127.0.0.1 CPUs=8 RealMemory=16000 Gres=gpu:fake:2,shard:4 State=UNKNOWN"
        for node, port in zip(NODES, ports, strict=True):
            lines.append(f"NodeName={node} Port={port} {machine}")
        for name, (nodes, rest) in PARTITIONS.items():
            lines.append(f"PartitionName={name} Nodes={','.join(nodes)} State=UP {rest}")
        return lines

    def _write(self, name: str, lines: Iterable[str]) -> None:
        (self.root / "etc" / name).write_text("\n".join(lines) + "\n")

    def _munge(self) -> dict[str, Path]:
        munge = self.root / "munge"
        files = {"socket": "munge.socket", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "seed"}
        return {name: munge / file for name, file in files.items()} | {"key-file": self.root / "etc" / "munge.key"}

    def _launch(self, *command: str) -> None:
        log = self.root / "log" / "start.log"
        with open(log, "ab") as file:  # a daemon that inherits a pipe would keep its reader waiting
            subprocess.run(command, env=self.environ, stdout=file, stderr=file, check=True, timeout=limit())

    def _daemons(self, *names: str) -> list[Process]:
        """Those whose pid files lie here; the name is compared as well, since ids are used again."""
        pids = {path.read_text().strip() for path in self.root.glob("*/*.pid")}
        return [process for process in processes() if str(process.pid) in pids and process.name in names]

    def _members(self) -> list[Process]:
        conf = self.environ["SLURM_CONF"]
        return [one for one in processes() if one.environ.get("SLURM_CONF") == conf and "SLURM_JOB_ID" in one.environ]

    def _keepers(self) -> list[Process]:
        """The slurmstepd of tasks: they have no environment, but files of this cluster open."""
        return [one for one in processes() if one.name == "slurmstepd" and one.has_open(self.root)]

    def _last_words(self) -> str:
        said = [self.run("squeue", "-a", "-t", "all", check=False).stdout]
        for log in sorted((self.root / "log").glob("*.log")):
            said += [f"--- {log.name}", *log.read_text().splitlines()[-15:]]
        return "\n".join(said)


def _path() -> str:
    return f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"


def free_ports(count: int) -> list[int]:
    """Below those that the system gives to others, who might get one before its daemon binds it, or binds it again."""
    found = set[int]()
    while len(found) < count:
        port = random.randrange(10_000, 30_000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            found.add(port)
    return [*found]


def _end(victims: list[Process], number: signal.Signals = signal.SIGTERM) -> None:
    for victim in victims:
        victim.signal(number)
    end = time.monotonic() + limit(60)
    while (alive := [one for one in victims if one.alive]) and time.monotonic() < end:
        time.sleep(0.02)
    for survivor in alive:
        survivor.signal(signal.SIGKILL)
