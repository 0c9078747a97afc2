"""Who trains a run or does other work that is done once: the kernel's lock keeps processes apart.

Where it does not reach the other process (some file systems do not pass locks between hosts, and a process that Slurm
took for dead may go on), the newest attempt at a run wins; the older one has only wasted its time.
"""

import contextlib
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import NamedTuple, Self

from sentiment.console import Progress
from sentiment.errors import LockedError, RunDirError
from sentiment.processes import slurm_job, slurm_restarts


class Owner(NamedTuple):
    """A process that holds a lock; the job of Slurm that it is of, and how often that had been requeued by then."""

    host: str
    pid: int
    job: str | None
    restarts: int

    def __str__(self) -> str:
        job = f" (Slurm job {self.job})" if self.job else ""
        return f"process {self.pid} on host {self.host}{job}"


def read_owner(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


_LOOK_SECONDS, _POLL_SECONDS = 0.02, 0.5


class ProcessLock:
    """Holds the lock `path` as long as the context lasts; the kernel takes it from a process that dies.

    Of a job that Slurm has requeued the earlier life is dead, whatever became of its lock. Entering raises a
    LockedError if another process holds it, with the `activity` of the owner. With `waiting` it waits instead, and
    tells this twice a second who holds it; an error that this raises ends the waiting.
    """

    def __init__(self, path: Path, activity: str = "trains this run", waiting: Progress | None = None) -> None:
        self._path, self._activity, self._waiting = path, activity, waiting
        self._descriptor = -1

    def __enter__(self) -> Self:
        while not self._take():
            if not live_owner(self._path):  # somebody only looked, which takes the lock for an instant
                time.sleep(_LOOK_SECONDS)
                continue
            owner = read_owner(self._path)
            held = f"{self._path.parent}: {owner or 'another process'} already {self._activity}"
            if self._waiting is None:
                message = f"{held}; if it is gone for good, delete {self._path}"
                raise LockedError(message, owner.job if owner else None)
            self._waiting(held, 0, None)
            time.sleep(_POLL_SECONDS)
        return self

    def _take(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise RunDirError(f"{self._path}: cannot be written: {error}") from None
        former, job, restarts = read_owner(self._path), slurm_job(), slurm_restarts()
        requeued = former is not None and job is not None and former.job == job and former.restarts < restarts
        if not _lock(descriptor, fcntl.LOCK_EX) and not requeued:
            os.close(descriptor)
            return False
        with contextlib.suppress(OSError):  # on a full disk others are not told the name
            os.ftruncate(descriptor, 0)
            owner = Owner(socket.gethostname(), os.getpid(), job, restarts)
            os.pwrite(descriptor, json.dumps(owner._asdict()).encode() + b"\n", 0)
        self._descriptor = descriptor
        return True

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:  # any other one: the file system knows no such locks
        return not isinstance(error, BlockingIOError)
    return True


def live_owner(path: Path) -> Owner | None:
    """Who holds a lock; None if nobody does, as far as the kernel of this host knows."""
    try:
        with open(path, "rb") as file:
            if _lock(file.fileno(), fcntl.LOCK_SH):
                return None
    except OSError:
        return None
    return read_owner(path) or Owner("unknown", 0, None, 0)
