"""Locks on files (flock), which ensure that only one process trains a run or prepares shared data.

A lock can fail: some file systems do not share locks between hosts, and Slurm may requeue a job whose process is still
alive. Then the newest attempt at a run wins, and the older one has only wasted its time.
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
    """The process that holds a lock, its Slurm job, and how often that job had been requeued when it took the lock."""

    host: str
    pid: int
    job: str | None
    restarts: int

    def __str__(self) -> str:
        job = f" (Slurm job {self.job})" if self.job else ""
        return f"process {self.pid} on host {self.host}{job}"

    @classmethod
    def here(cls) -> Self:
        """This process."""
        return cls(socket.gethostname(), os.getpid(), slurm_job(), slurm_restarts())

    @property
    def was_requeued(self) -> bool:
        """Whether it is an earlier start of this Slurm job, which Slurm has given up."""
        return self.job is not None and self.job == slurm_job() and self.restarts < slurm_restarts()

    @property
    def record(self) -> bytes:
        return json.dumps(self._asdict()).encode() + b"\n"


def read_owner(path: Path) -> Owner | None:
    try:
        return Owner(**json.loads(path.read_bytes()))
    except (OSError, ValueError, TypeError, RecursionError):
        return None


_RETRY_SECONDS = 0.02
_POLL_SECONDS = 0.5


class ProcessLock:
    """Holds the lock `path` as long as the context lasts; the kernel releases it when the process dies.

    A lock that an earlier execution of the same, requeued Slurm job holds is ignored, since Slurm has given that up.
    Without `while_locked`, entering raises LockedError if another process holds the lock; the message names the owner
    and its `activity`. With it, entering lasts until the lock is free and calls `while_locked` twice a second with the
    owner; an exception that it raises ends that.
    """

    def __init__(self, path: Path, activity: str = "trains this run", while_locked: Progress | None = None) -> None:
        self._path = path
        self._activity = activity
        self._while_locked = while_locked
        self._descriptor = -1

    def __enter__(self) -> Self:
        while not self._take():
            if not live_owner(self._path):  # another process called `live_owner`, which holds the lock briefly
                time.sleep(_RETRY_SECONDS)
                continue
            owner = read_owner(self._path)
            held = f"{self._path.parent}: {owner or 'another process'} already {self._activity}"
            if self._while_locked is None:
                message = f"{held}; if that process no longer exists, delete {self._path}"
                raise LockedError(message, owner.job if owner else None)
            self._while_locked(held, 0, None)
            time.sleep(_POLL_SECONDS)
        return self

    def _take(self) -> bool:
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise RunDirError(f"{self._path}: cannot be written: {error}") from None
        former = read_owner(self._path)
        if not _lock(descriptor, fcntl.LOCK_EX) and not (former and former.was_requeued):
            os.close(descriptor)
            return False
        with contextlib.suppress(OSError):  # on a full disk the owner is not recorded
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, Owner.here().record, 0)
        self._descriptor = descriptor
        return True

    def __exit__(self, *error: object) -> None:
        os.close(self._descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except OSError as error:  # any other error: the file system has no locks, so this counts as taken
        return not isinstance(error, BlockingIOError)
    return True


def live_owner(path: Path) -> Owner | None:
    """The process that holds a lock; None if no process does, as far as the kernel of this host knows.

    It takes a shared lock for an instant.
    """
    try:
        with open(path, "rb") as file:
            if _lock(file.fileno(), fcntl.LOCK_SH):
                return None
    except OSError:
        return None
    return read_owner(path) or Owner("unknown", 0, None, 0)
