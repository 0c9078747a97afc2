"""Which process on which machine: how one is named in a file, and whether it still lives."""

import json
import os
import socket
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

from sentiment.allocation import slurm_job, slurm_restarts

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_GONE = ("Z", "X", "x")  # states of processes that only wait to be reaped


@dataclass(frozen=True)
class Owner:
    """A process that holds a lock, so described that no other process of any host can be taken for it."""

    token: int
    """Grows with each owner of the lock."""
    host: str
    pid: int
    job: str | None
    """As Slurm's commands take it; None outside Slurm."""
    restarts: int
    """How often Slurm had requeued the job before."""
    boot: str | None = None
    """Differs after each start of the host; None where the system has no such thing."""
    start: int | None = None
    """When the process began, by the host's own count, since process numbers are used again."""
    released: bool = False
    """Whether it has left in good order."""

    @classmethod
    def this_process(cls, token: int) -> Self:
        """This process as the owner with a token."""
        pid = os.getpid()
        return cls(token, socket.gethostname(), pid, slurm_job(), slurm_restarts(), _boot_id(), _start_of(pid))

    @classmethod
    def parse(cls, content: bytes) -> Self | None:
        """The owner in a lock's file; None if there is none, as after a power cut."""
        try:
            values = json.loads(content.split(b"\n")[0])
            known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
            owner = cls(**known)
        except (ValueError, TypeError, RecursionError):
            return None
        return owner if isinstance(owner.token, int) else None

    def encode(self) -> bytes:
        """A line from which `parse` reads it back."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @property
    def is_here(self) -> bool:
        """Whether it runs, or ran, on this host since the host was started."""
        return self.host == socket.gethostname() and self.boot in (None, _boot_id())

    @property
    def may_live(self) -> bool:
        """Whether it has not left, and is not known to be dead: of other hosts nothing is known."""
        return not self.released and (not self.is_here or self.lives_here)

    @property
    def lives_here(self) -> bool:
        """Whether it runs on this host at this moment."""
        return self.is_here and process_lives(self.pid, self.start)

    @property
    def is_earlier_attempt(self) -> bool:
        """Whether Slurm has requeued its job since, to start this process."""
        return self.job is not None and self.job == slurm_job() and self.restarts != slurm_restarts()

    def __str__(self) -> str:
        job = f" (Slurm job {self.job})" if self.job else ""
        return f"process {self.pid} on host {self.host}{job}"


def process_lives(pid: int, start: int | None = None) -> bool:
    """Whether a process of this host lives; a suspended one does.

    Args:
        start: as in `Owner`; None takes any process of this number for it.
    """
    known = _stat(pid)
    if known is not None:
        return known[0] not in _GONE and start in (None, int(known[19]))
    if _BOOT_ID.exists():
        return False
    try:  # a system without /proc
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _start_of(pid: int) -> int | None:
    known = _stat(pid)
    return None if known is None else int(known[19])


def _stat(pid: int) -> list[str] | None:
    """What the kernel says of a process, from its state on (see proc_pid_stat(5)); None if it says nothing."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _boot_id() -> str | None:
    try:
        return _BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return None
